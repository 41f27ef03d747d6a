"""TLS records on the wire: small answers leave in one."""

import contextlib
import socket
import struct
import threading
import unittest

import h2.events

from gateway_backends import Backend, server_context
from gateway_h2_backend import H2Backend
from gateway_h2_client import Http2
from gateway_lab import HOST, Gateway, read_until, route
from lab import SLOW, Case


class Recorder:
    """Relays connections to the TLS port of a gateway and keeps what it says. Takes the place of that port."""

    def __init__(self, gateway):
        self.port, self.said = gateway.https_port, bytearray()
        self.socket = socket.create_server(("127.0.0.1", 0))
        gateway.https_port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.socket.accept()[0]
                server = socket.create_connection(("127.0.0.1", self.port))
                for one, other, kept in ((client, server, bytearray()), (server, client, self.said)):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=self._relay, args=(one, other, kept), daemon=True).start()

    @staticmethod
    def _relay(one, other, kept):
        with one, contextlib.suppress(OSError):
            while part := one.recv(65536):
                kept += part
                other.sendall(part)
            other.shutdown(socket.SHUT_WR)

    def records(self, mark):
        """Types and sizes of the TLS records behind this many bytes."""
        found = []
        while mark < len(self.said):
            kind, _, size = struct.unpack_from("!BHH", self.said, mark)
            found.append((kind, size))
            mark += 5 + size
        assert mark == len(self.said)
        return found

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Records(Case):
    """Head and body of a small answer leave in one TLS record."""

    APPLICATION_DATA = 23
    BODY = b"x" * 128

    def assert_records(self, recorder, ask, count):
        """All that comes to this is so many records."""
        mark = len(recorder.said)
        ask()
        records = recorder.records(mark)
        self.assertEqual([kind for kind, _ in records], [self.APPLICATION_DATA] * count, records)
        self.assertGreater(sum(size for _, size in records), len(self.BODY))

    @contextlib.contextmanager
    def lab(self):
        """A gateway behind a recorder, and the paths of which the answers are small."""
        def late(e):
            e.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.BODY)}\r\n\r\n")
            self.assertTrue(self.go.wait(20 * SLOW))
            e.send(self.BODY)
        self.go = threading.Event()
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n80\r\n" + self.BODY + b"\r\n0\r\n\r\n"
        with Backend(handlers={"/late": late, "/chunked": lambda e: e.send(chunked),
                               "/length": lambda e: e.reply(body=self.BODY)}) as backend, \
                Backend(context=server_context("127.0.0.1")) as tls, H2Backend() as h2c, H2Backend(tls=True) as h2s, \
                Gateway(route(backend), *(route(one, matches=[{"path_exact": path}]) for one, path in (
                            (tls, "/tls"), (h2c, "/h2c"), (h2s, "/h2s"))),
                        route(respond={"status": 200, "body": self.BODY.decode()},
                              matches=[{"path_exact": "/own"}])) as gateway:
            tls.on("/tls", lambda e: e.reply(body=self.BODY))
            h2c.done = h2s.done = lambda request: request.reply(body=self.BODY)
            with contextlib.closing(Recorder(gateway)) as recorder:
                yield gateway, recorder, ("/length", "/chunked", "/tls", "/h2c", "/h2s", "/own")

    def test_http_1(self):
        with self.lab() as (gateway, recorder, paths), gateway.dial() as client:
            def ask(path):
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                read_until(client, self.BODY + (b"\r\n0\r\n\r\n" if path in ("/chunked", "/h2c", "/h2s") else b""))

            def ask_late():
                client.sendall(f"GET /late HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                read_until(client, b"\r\n\r\n")
                self.go.set()
                read_until(client, self.BODY)
            ask("/own")  # with it come the session tickets
            for path in paths:
                with self.subTest(path):
                    self.assert_records(recorder, lambda path=path: ask(path), 1)
            self.assert_records(recorder, ask_late, 2)

    def test_http_2(self):
        with self.lab() as (gateway, recorder, paths), Http2(gateway) as client:
            def ask(path):
                stream = client.request(path=path)
                self.assertEqual((stream.status, stream.body), (200, self.BODY))

            def ask_late():
                stream = client.streams[client.open(path="/late")]
                client.wait(lambda: stream.fields)
                self.go.set()
                client.wait(lambda: stream.ended)
            ask("/own")
            client.protocol.ping(b"settling")
            client.flush()
            client.wait(lambda: any(isinstance(one, h2.events.PingAckReceived) for one in client.events))
            for path in paths:
                with self.subTest(path):
                    self.assert_records(recorder, lambda path=path: ask(path), 1)
            self.assert_records(recorder, ask_late, 2)


if __name__ == "__main__":
    unittest.main()
