"""dns.dnstap, read back by the programs of others: dnstap-ldns and fstrm_capture."""

import contextlib
import re
import signal
import socket
import struct
import subprocess
import time
import unittest

import dns.rcode

from lab import SLOW, Case, Postern, Upstream, free_port, wait_until

OVERRIDE = """
    [[dns.override]]
    names   = ["*.vanillax.me"]
    address = ["192.168.10.50"]
    """
FRAMES = "postern_dnstap_frames_total"
LOST = 'postern_dnstap_dropped_total{to="socket"}'
CONTENT = b"protobuf:dnstap.Dnstap"


def read_back(path, *arguments):
    done = subprocess.run(["dnstap-ldns", "-r", str(path), *arguments], capture_output=True, text=True, check=True,
                          timeout=30 * SLOW)
    return done.stdout


class File(Case):
    def test_queries_and_responses_as_dnstap_ldns_reads_them(self):
        with Upstream("www.example.com. 300 A 192.0.2.1") as up, \
                Postern(OVERRIDE + up.forward(), dns='dnstap = { file = "tap.fstrm", identity = "ns1.lan" }\n') as postern:
            postern.answer("llama.vanillax.me", source="127.0.0.2")
            postern.answer("www.example.com", tcp=True)
            postern.ask("nothing.example.com", "AAAA")
            wait_until("the frames", lambda: postern.metrics()[FRAMES] >= 6)
            port = postern.port
            self.assertEqual(postern.stop(), 0)
            lines = read_back(postern.directory / "tap.fstrm").splitlines()
            full = read_back(postern.directory / "tap.fstrm", "-y")
        self.assertTrue(any(re.search(r"CQ 127\.0\.0\.2 UDP \d+b \"llama\.vanillax\.me\.\" IN A$", line) for line in lines), lines)
        self.assertTrue(any(re.search(r"CR 127\.0\.0\.2 UDP \d+b \"llama\.vanillax\.me\.\" IN A$", line) for line in lines), lines)
        self.assertTrue(any(re.search(r"CR 127\.0\.0\.1 TCP \d+b \"www\.example\.com\.\" IN A$", line) for line in lines), lines)
        self.assertTrue(any(re.search(r"CQ 127\.0\.0\.1 UDP \d+b \"nothing\.example\.com\.\" IN AAAA$", line) for line in lines), lines)
        self.assert_says(full, "identity: \"ns1.lan\"", "version: \"postern ", "type: CLIENT_RESPONSE", "socket_family: INET",
                         'query_address: "127.0.0.2"', 'response_address: "127.0.0.1"', f"response_port: {port}",
                         "rcode: NXDOMAIN", "192.168.10.50", "192.0.2.1")
        self.assertEqual(full.count("type: CLIENT_QUERY"), full.count("type: CLIENT_RESPONSE"))

    def test_what_upstreams_were_asked_and_said(self):
        with Upstream("www.example.com. 300 A 192.0.2.1") as up, \
                Postern(OVERRIDE + up.forward(), dns='dnstap = { file = "tap.fstrm", messages = ["forwarder"] }\n') as postern:
            postern.answer("www.example.com")
            postern.answer("www.example.com")  # from the cache
            postern.answer("llama.vanillax.me")
            wait_until("the frames", lambda: postern.metrics()[FRAMES] >= 2)
            self.assertEqual(postern.stop(), 0)
            lines = read_back(postern.directory / "tap.fstrm").splitlines()
            full = read_back(postern.directory / "tap.fstrm", "-y")
        self.assertEqual([line.split()[2] for line in lines if "ready.invalid" not in line.lower()], ["FQ", "FR"], lines)
        for line in lines:
            self.assertRegex(line.lower(), r"\"www\.example\.com\.\" in a$")
        self.assert_says(full, "type: FORWARDER_QUERY", "type: FORWARDER_RESPONSE", f"response_port: {up.port}", "192.0.2.1")

    def test_queries_that_no_upstream_answered_well(self):
        with Upstream(f"big.example.com. 300 TXT {' '.join(['x' * 250] * 8)}") as up, \
                Postern(up.forward(timeout="700ms") + up.forward("nowhere.test", timeout="700ms")
                        .replace(str(up.port), str(nobody := free_port())),
                        dns='dnstap = { file = "tap.fstrm", messages = ["forwarder"] }\n') as postern:
            up.on("silent.example.com", lambda query, transport: None)
            up.on("fail.example.com", Upstream.failing(dns.rcode.SERVFAIL))
            for name in ("silent.example.com", "fail.example.com", "www.nowhere.test"):
                self.assertEqual(postern.ask(name).rcode(), dns.rcode.SERVFAIL)
            self.assertEqual(len(postern.answer("big.example.com", rdtype="TXT", tcp=True)), 1)
            self.assertEqual(postern.stop(), 0)
            seen = [re.search(r"(F[QR]) \S+ (UDP|TCP) (\d+)b \"(\S+)\" IN (\w+)$", line).groups()
                    for line in read_back(postern.directory / "tap.fstrm").splitlines()]
            full = read_back(postern.directory / "tap.fstrm", "-y")
        # Each query that came there, as it came, and no other one.
        sent = [(one.transport.upper(), str(len(one.message.to_wire())), one.name, one.type) for one in up.asked]
        self.assertEqual(sorted(one[1:] for one in seen if one[0] == "FQ" and "nowhere" not in one[3].lower()), sorted(sent))
        answers = [one[3].lower() for one in seen if one[0] == "FR" and one[3].lower() != "ready.invalid."]
        self.assertEqual(sorted(answers), ["big.example.com."] * 2 + ["fail.example.com."] * up.count("fail.example.com"))
        self.assertEqual([one[1:3] for one in seen if one[0] == "FQ" and one[3].lower().startswith("big.")][1][0], "TCP")
        self.assertGreaterEqual(len([one for one in seen if "nowhere" in one[3].lower()]), 1)
        self.assert_says(full, f"response_port: {nobody}", "rcode: SERVFAIL", "flags: qr tc")

    def test_a_restart_keeps_the_old_file(self):
        postern = Postern(OVERRIDE, dns='dnstap = { file = "tap.fstrm" }\n')
        with postern:
            postern.ask("first.vanillax.me")
            self.assertEqual(postern.stop(), 0)
            postern.start()
            postern.ask("second.vanillax.me")
            self.assertEqual(postern.stop(), 0)
            self.assertIn("first.vanillax.me", read_back(postern.directory / "tap.fstrm.1"))
            self.assertIn("second.vanillax.me", read_back(postern.directory / "tap.fstrm"))


class Capture:
    """fstrm_capture, writing what comes to a socket into a file."""

    def __init__(self, directory, name):
        self.file = directory / name
        self.process = subprocess.Popen(["fstrm_capture", "-t", CONTENT.decode(), "-u", str(directory / "tap.sock"),
                                         "-w", str(self.file)], stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10 * SLOW)


class Socket(Case):
    def test_a_reader_that_restarts_gets_what_comes_then_and_the_rest_is_counted(self):
        with Postern(OVERRIDE, dns='dnstap = { socket = "tap.sock" }\n') as postern:
            connected = lambda: postern.metrics()["postern_dnstap_connected"]
            postern.ask("nobody.vanillax.me")
            wait_until("the loss", lambda: postern.metrics()[LOST] >= 2)
            for name in ("one", "two"):
                with Capture(postern.directory, name) as capture:
                    wait_until("the connection", connected)
                    before = postern.metrics()[LOST]
                    for i in range(100):
                        postern.ask(f"{name}{i}.vanillax.me")
                    frames = postern.metrics()[FRAMES]
                    wait_until("the frames", lambda: postern.metrics()[FRAMES] >= frames)
                    self.assertEqual(postern.metrics()[LOST], before)
                    time.sleep(0.3)  # on its way to the reader's file
                wait_until("the end", lambda: not connected())
                text = read_back(capture.file)
                for i in range(100):
                    self.assertEqual(text.count(f'"{name}{i}.vanillax.me."'), 2, i)
            self.assertTrue(postern.wait_log("dnstap: lost the reader"))

    def test_a_reader_that_does_not_read_stops_nobody(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, \
                Postern(OVERRIDE, dns='dnstap = { socket = "tap.sock" }\n') as postern:
            listener.bind(str(postern.directory / "tap.sock"))
            listener.listen()
            listener.settimeout(10 * SLOW)
            connection, _ = listener.accept()
            with connection:
                self.assertIn(CONTENT, connection.recv(1000))
                content = struct.pack("!II", 1, len(CONTENT)) + CONTENT
                connection.sendall(struct.pack("!III", 0, 4 + len(content), 1) + content)  # ACCEPT
                wait_until("the connection", lambda: postern.metrics()["postern_dnstap_connected"])
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
                    channel.settimeout(5 * SLOW)
                    channel.connect((postern.address, postern.port))
                    name = b"".join(bytes([60]) + b"x" * 60 for _ in range(3)) + b"\x08vanillax\x02me\0"
                    query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0" + name + b"\0\x01\0\x01"
                    for _ in range(9000):  # 2 x 300 bytes each: more than the 4 MiB that may wait
                        channel.send(query)
                        channel.recv(2000)
                wait_until("the loss", lambda: postern.metrics()[LOST] > 0)
                self.assertEqual(postern.stop(), 0)

    def test_nonsense_from_the_reader_is_the_end_of_the_connection(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, \
                Postern(OVERRIDE, dns='dnstap = { socket = "tap.sock" }\n') as postern:
            listener.bind(str(postern.directory / "tap.sock"))
            listener.listen()
            listener.settimeout(10 * SLOW)
            for _ in range(2):  # it comes again
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(5 * SLOW)
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    with contextlib.suppress(ConnectionResetError):
                        self.assertEqual(connection.recv(1000), b"")
            self.assertEqual(postern.answer("llama.vanillax.me"), ["192.168.10.50"])


if __name__ == "__main__":
    unittest.main()
