"""PROXY protocol version 2 towards a TCP listener (`trusted_proxies`): whose word is believed, what is understood, what
is cut off, and what comes of it in the access log and in the header towards the backend."""

import contextlib
import ipaddress
import socket
import struct
import threading
import time
import unittest

from gateway_backends import new_port
from gateway_lab import Gateway, read_all, route, table
from lab import SLOW, Case, wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
UNSPEC, TCP4, UDP4, TCP6, UNIX = 0x00, 0x11, 0x12, 0x21, 0x31
PROXY_ADDRESS, STRANGER = "127.0.0.2", "127.0.0.1"
TLVS = b"\x01\0\x02h2" + b"\x02\0\x0bapp.invalid" + b"\x04\x01\x2c" + b"\0" * 300 + b"\xea\0\0"
FAILED = "postern_gateway_tcp_failed_total"


def header(command, family, body=b"", length=None):
    """One as the protocol's section 2.2 has it, its length maybe a lie."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(body) if length is None else length) + body


def addresses(source, source_port, destination, destination_port):
    packed = b"".join(ipaddress.ip_address(one).packed for one in (source, destination))
    return packed + struct.pack("!HH", source_port, destination_port)


V4 = addresses("192.0.2.9", 1234, "198.51.100.1", 5432)
V6 = addresses("2001:db8::9", 1234, "2001:db8::1", 5432)


class Inward(Case):
    """Two listeners, the second with `proxy_protocol`; their backend says what it got when that has ended."""

    @classmethod
    def setUpClass(cls):
        cls.accepted = 0
        cls.backend = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=cls.serve, daemon=True).start()
        cls.ports = plain, told = new_port(), new_port()
        keys = {"address": ["127.0.0.1"], "backends": [f"127.0.0.1:{cls.backend.getsockname()[1]}"],
                "trusted_proxies": [f"{PROXY_ADDRESS}/32"]}
        cls.gateway = Gateway(route(respond={"status": 200, "body": "x"}), config=(
            table("gateway.listener", {"name": "plain", "tcp": plain, **keys}) +
            table("gateway.listener", {"name": "told", "tcp": told, "proxy_protocol": True, **keys})),
            server="log = { requests = true }")
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.gateway.__exit__(None, None, None)
        cls.backend.close()

    @classmethod
    def serve(cls):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = cls.backend.accept()
                cls.accepted += 1
                with connection:
                    connection.settimeout(6 * SLOW)
                    connection.sendall(read_all(connection)[0])

    def dial(self, port, source):
        connection = socket.create_connection(("127.0.0.1", port), 6 * SLOW, source_address=(source, 0))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def exchange(self, port, source, parts):
        """What the backend got of these parts, the line of the access log, and the port that the client had."""
        mark = len(self.gateway.log)
        with self.dial(port, source) as connection:
            own = connection.getsockname()[1]
            with contextlib.suppress(OSError):  # it may be cut off before all is sent
                for part in parts:
                    connection.sendall(part)
                connection.shutdown(socket.SHUT_WR)
            got, closed = read_all(connection)
        self.assertTrue(closed)
        return got, self.gateway.wait_log(" protocol=tcp ", mark), own

    def test_what_a_trusted_proxy_says_is_taken(self):
        other = b"/run/client".ljust(108, b"\0") + b"/run/server".ljust(108, b"\0")
        v4, v6 = ("192.0.2.9", TCP4, V4), ("2001:db8::9", TCP6, V6)
        own = (PROXY_ADDRESS, TCP4, None)
        for name, head, (client, family, passed) in (
                ("IPv4", header(PROXY, TCP4, V4), v4),
                ("IPv6", header(PROXY, TCP6, V6), v6),
                ("IPv4 with TLVs", header(PROXY, TCP4, V4 + TLVS), v4),
                ("IPv6 with TLVs", header(PROXY, TCP6, V6 + TLVS), v6),
                ("LOCAL", header(LOCAL, UNSPEC), own),
                ("LOCAL with addresses", header(LOCAL, TCP4, V4 + TLVS), own),
                ("unspecified", header(PROXY, UNSPEC), own),
                ("unspecified with TLVs", header(PROXY, UNSPEC, TLVS), own),
                ("UNIX", header(PROXY, UNIX, other), own),
                ("UDP", header(PROXY, UDP4, V4), own)):
            for port, listener in zip(self.ports, ("plain", "told")):
                with self.subTest(name, listener=listener):
                    got, line, mine = self.exchange(port, PROXY_ADDRESS, [head, b"payload"])
                    # What holds where nothing is said are the addresses of the connection itself.
                    body = passed or addresses(PROXY_ADDRESS, mine, "127.0.0.1", port)
                    self.assertEqual(got, (header(PROXY, family, body) if listener == "told" else b"") + b"payload")
                    self.assertIn(f" client={client} listener={listener} protocol=tcp ", line)
                    self.assertIn(" received=7 ", line)
                    self.assertNotIn("failure=", line)

    def test_a_header_may_come_in_pieces(self):
        def pieces(data):
            for at in range(0, len(data), 7):
                yield data[at:at + 7]
                time.sleep(0.01)
        got, line, _ = self.exchange(self.ports[0], PROXY_ADDRESS, pieces(header(PROXY, TCP6, V6 + TLVS) + b"payload"))
        self.assertEqual(got, b"payload")
        self.assertIn(" client=2001:db8::9 ", line)

    def test_a_trusted_proxy_without_a_valid_header_is_cut_off_and_counted(self):
        failed, accepted = self.gateway.metrics()[FAILED], self.accepted
        cases = {"version 1": b"PROXY TCP4 192.0.2.9 198.51.100.1 1234 5432\r\npayload",
                 "none": b"payload",
                 "nothing": b"",
                 "too short for its addresses": header(PROXY, TCP4, b"abcd") + b"payload" * 9,
                 "IPv6 with the length of IPv4": header(PROXY, TCP6, V4) + b"payload" * 9,
                 "longer than 4,096 bytes": header(PROXY, TCP4, V4, length=4081) + b"payload" * 900,
                 "another version": header(0x11, TCP4, V4) + b"payload",
                 "another command": header(0x22, TCP4, V4) + b"payload",
                 "another family": header(PROXY, 0x41, V4) + b"payload",
                 "an end within it": header(PROXY, TCP4, V4)[:-1]}
        for name, data in cases.items():
            with self.subTest(name):
                got, line, _ = self.exchange(self.ports[0], PROXY_ADDRESS, [data])
                self.assertEqual(got, b"")
                self.assertIn(f" client={PROXY_ADDRESS} listener=plain protocol=tcp ", line)
                self.assertIn(' failure="no PROXY header"', line)
                self.assertNotIn(" backend=", line)
        wait_until("all to be counted", lambda: self.gateway.metrics()[FAILED] - failed == len(cases))
        self.assertEqual(self.accepted, accepted)  # none was led to the backend

    def test_what_a_stranger_sends_passes_as_it_is(self):
        failed = self.gateway.metrics()[FAILED]
        for name, data in (("version 2", header(PROXY, TCP4, V4) + b"payload"),
                           ("LOCAL", header(LOCAL, UNSPEC) + b"payload"),
                           ("version 1", b"PROXY TCP4 192.0.2.9 198.51.100.1 1234 5432\r\npayload"),
                           ("too short", header(PROXY, TCP4, b"abcd")), ("none", b"payload")):
            for port, listener in zip(self.ports, ("plain", "told")):
                with self.subTest(name, listener=listener):
                    got, line, mine = self.exchange(port, STRANGER, [data])
                    own = header(PROXY, TCP4, addresses(STRANGER, mine, "127.0.0.1", port))
                    self.assertEqual(got, (own if listener == "told" else b"") + data)
                    self.assertIn(f" client={STRANGER} listener={listener} protocol=tcp ", line)
                    self.assertNotIn("failure=", line)
        self.assertEqual(self.gateway.metrics()[FAILED], failed)


if __name__ == "__main__":
    unittest.main()
