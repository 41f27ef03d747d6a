"""What every kind of client gets of every kind of backend: trailers, 100-continue, and answers that HTTP/2 cuts."""

import socket
import ssl
import struct
import threading
import unittest

from hyperframe.frame import DataFrame, GoAwayFrame, RstStreamFrame

from gateway_backends import Backend, server_context
from gateway_h2_backend import H2Backend
from gateway_h2_client import Http2
from gateway_lab import HOST, Gateway, read_all, read_until, route, tls_context
from lab import SLOW, Case, wait_until

NO_ERROR, INTERNAL_ERROR = 0, 2  # RFC 9113 section 7
BACKENDS = {"http": Backend, "https": lambda: Backend(context=server_context("127.0.0.1")), "h2c": H2Backend,
            "h2": lambda: H2Backend(tls=True)}


def post(host, *fields):
    return "\r\n".join(["POST / HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode()


def lower(fields):
    return [(name.lower(), value) for name, value in fields]


class Pairs(Case):
    """A gateway with a host for each kind of backend. They do what `answer_1` says, or `begun_2` and `answer_2`."""

    def setUp(self):
        self.backends = {f"{name}.vanillax.me": make() for name, make in BACKENDS.items()}
        for backend in self.backends.values():
            self.addCleanup(backend.__exit__)
            if isinstance(backend, H2Backend):
                backend.begun, backend.done = self.begun_2, self.answer_2
            else:
                backend.on("/", self.answer_1)
        self.gateway = Gateway(*(route(backend, hosts=[host]) for host, backend in self.backends.items()))
        self.addCleanup(self.gateway.__exit__, None, None, None)
        self.gateway.start()

    def begun_2(self, request):
        """Its head is there."""

    def each(self, ask_1, ask_2):
        """`ask_1(client, host)` for clients of HTTP/1.1, plain and over TLS, and `ask_2` for those of HTTP/2."""
        for host in self.backends:
            for tls in (False, True):
                with self.subTest(host, tls=tls), self.gateway.dial(tls, host) as client:
                    ask_1(client, host)
            with self.subTest(host, http2=True), Http2(self.gateway, host) as client:
                ask_2(client, host)
        self.assertEqual([len(one.exchanges) for one in self.backends.values()], [3] * 4)


class Trailers(Pairs):
    def answer_1(self, exchange):
        exchange.body()
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
                      "3\r\nxyz\r\n" if self.body else "", f"0\r\nX-Sum: {len(exchange.trailers)}\r\n\r\n")

    def answer_2(self, request):
        request.peer.protocol.send_headers(request.number, [(":status", "200"), ("trailer", "x-sum")])
        if self.body:
            request.peer.protocol.send_data(request.number, b"xyz")
        request.peer.protocol.send_headers(request.number, [("x-sum", str(len(request.trailers)))], end_stream=True)
        request.peer.flush()

    def ask_1(self, client, host):
        head = post(host, "TE: trailers", "Connection: TE, close", "Trailer: X-Up", "Transfer-Encoding: chunked")
        client.sendall(head + (b"3\r\nabc\r\n" if self.body else b"") + b"0\r\nX-Up: 42\r\n\r\n")
        got, closed = read_all(client)
        self.assertTrue(closed)
        self.assertRegex(got, rb"^HTTP/1\.1 200 ")
        body = got.split(b"\r\n\r\n", 1)[1].lower()
        self.assertEqual(body, (b"3\r\nxyz\r\n" if self.body else b"") + b"0\r\nx-sum: 1\r\n\r\n")
        self.check(host)

    def ask_2(self, client, host):
        number = client.open(("te", "trailers"), ("trailer", "x-up"), method="POST", authority=host, end=False)
        if self.body:
            client.data(number, b"abc")
        client.protocol.send_headers(number, [("x-up", "42")], end_stream=True)
        client.flush()
        stream = client.finish(number)
        self.assertEqual((stream.status, stream.body, stream.trailers, stream.ended),
                         (200, b"xyz" if self.body else b"", [("x-sum", "1")], True))
        self.check(host)

    def check(self, host):
        seen = self.backends[host].exchanges[-1]
        self.assertEqual((seen.received, lower(seen.trailers)), (3 if self.body else 0, [("x-up", "42")]))

    def test_behind_a_body(self):
        self.body = True
        self.each(self.ask_1, self.ask_2)

    def test_without_a_body(self):
        self.body = False
        self.each(self.ask_1, self.ask_2)


class Continue(Pairs):
    """The body is sent when the backend has asked for it, which it does when `go` is set."""

    def answer_1(self, exchange):
        assert self.go.wait(20 * SLOW)
        exchange.send("HTTP/1.1 100 Continue\r\n\r\n")
        exchange.body()
        exchange.reply()

    def begun_2(self, request):
        assert self.go.wait(20 * SLOW)
        request.peer.protocol.send_headers(request.number, [(":status", "100")])
        request.peer.flush()

    def answer_2(self, request):
        request.reply()

    def arrived(self, host, before):
        """The request, when its head has come to the backend."""
        exchanges = self.backends[host].exchanges
        wait_until("the head at the backend", lambda: len(exchanges) > before)
        fields = exchanges[-1].fields
        fields = dict(fields if isinstance(fields, dict) else lower(fields))
        self.assertEqual((fields["expect"], fields["content-length"]), ("100-continue", "3"))
        return exchanges[-1]

    def ask_1(self, client, host):
        self.go, before = threading.Event(), len(self.backends[host].exchanges)
        client.sendall(post(host, "Expect: 100-continue", "Content-Length: 3"))
        seen = self.arrived(host, before)
        client.settimeout(0.05)
        with self.assertRaises(TimeoutError):
            client.recv(1)
        client.settimeout(6 * SLOW)
        self.go.set()
        self.assertEqual(read_until(client, b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(seen.received, 0)
        client.sendall(b"abc")
        self.assertRegex(read_until(client, b"\r\n\r\n"), rb"^HTTP/1\.1 200 ")
        self.assertEqual(seen.received, 3)

    def ask_2(self, client, host):
        self.go, before = threading.Event(), len(self.backends[host].exchanges)
        number = client.open(("expect", "100-continue"), ("content-length", "3"), method="POST", authority=host,
                             end=False)
        stream, seen = client.streams[number], self.arrived(host, before)
        self.assertFalse(client.read(lambda: stream.informational or stream.fields or stream.done, 0.05 / SLOW))
        self.go.set()
        client.wait(lambda: stream.informational)
        self.assertEqual((stream.informational, stream.fields, seen.received), ([[(":status", "100")]], None, 0))
        client.data(number, b"abc", end=True)
        self.assertEqual((client.finish(number).status, seen.received), (200, 3))

    def test_it_comes_from_the_backend_before_the_body_is_sent(self):
        self.each(self.ask_1, self.ask_2)


class CutByHttp2(Case):
    """Backends of HTTP/2 that end an answer in its middle: no client takes it for a whole one."""

    LENGTH = 4
    ENDS = {  # name: (whether the answer is whole, frames behind its first three bytes, how the connection ends then)
        "whole": (True, lambda number: [DataFrame(number, b"d", flags=["END_STREAM"])], None),
        "whole behind GOAWAY": (True, lambda number: [GoAwayFrame(last_stream_id=number),
                                                      DataFrame(number, b"d", flags=["END_STREAM"])], None),
        "RST_STREAM": (False, lambda number: [RstStreamFrame(number, error_code=INTERNAL_ERROR)], None),
        "RST_STREAM without error": (False, lambda number: [RstStreamFrame(number, error_code=NO_ERROR)], None),
        "GOAWAY that leaves it out": (False, lambda number: [GoAwayFrame()], None),
        "GOAWAY": (False, lambda number: [GoAwayFrame(last_stream_id=number)], "close"),
        "GOAWAY with error": (False, lambda number: [GoAwayFrame(error_code=INTERNAL_ERROR)], "close"),
        "closed": (False, lambda number: [], "close"),
        "reset": (False, lambda number: [], "reset")}

    def answer(self, request):
        protocol, number = request.peer.protocol, request.number
        told = [("content-length", str(self.LENGTH))] if self.told else []
        protocol.send_headers(number, [(":status", "200"), *told])
        protocol.send_data(number, b"abc")
        request.peer.flush()
        assert self.arrived.wait(20 * SLOW)
        _, frames, end = self.ENDS[self.name]
        request.peer.socket.sendall(b"".join(one.serialize() for one in frames(number)))
        if end == "reset":
            request.peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if end:
            raise ConnectionError

    def each(self, gateway, is_whole):
        """What this says for each way to end, with and without a length that was told before."""
        for self.name, (whole, *_) in self.ENDS.items():
            for self.told in (False, True):
                with self.subTest(self.name, told=self.told):
                    self.arrived = threading.Event()
                    self.assertEqual(is_whole(gateway), whole)

    def is_whole_in_http_1(self, gateway, version, tls):
        """Whether a client of this version can take what it got for all."""
        client = socket.create_connection(("127.0.0.1", gateway.https_port if tls else gateway.http_port), 6 * SLOW)
        if tls:
            client = tls_context().wrap_socket(client, server_hostname=HOST, suppress_ragged_eofs=False)
        error = None
        with client:
            client.sendall(f"GET / HTTP/{version}\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
            got = read_until(client, b"abc")
            self.arrived.set()
            try:
                while part := client.recv(65536):
                    got += part
            except (ConnectionResetError, ssl.SSLEOFError) as one:
                error = one
        head, body = got.split(b"\r\n\r\n", 1)
        self.assertRegex(head, rb"^HTTP/1\.1 200 ")
        if b"transfer-encoding: chunked" in head.lower():
            self.assertEqual(version, "1.1")
            return body.endswith(b"\r\n0\r\n\r\n")
        return len(body) == self.LENGTH if self.told else error is None

    def is_whole_in_http_2(self, gateway, client):
        number = client.open()
        stream = client.streams[number]
        client.wait(lambda: stream.body == b"abc")
        self.arrived.set()
        client.finish(number)
        self.assertEqual(stream.status, 200)
        return stream.ended and stream.reset is None

    def test_each_kind_of_client(self):
        for tls in (False, True):
            with H2Backend(tls) as backend, Gateway(route(backend)) as gateway, Http2(gateway) as client:
                backend.done = self.answer
                for version in ("1.0", "1.1"):
                    for over_tls in (False, True):
                        with self.subTest(backend=backend.url, version=version, tls=over_tls):
                            self.each(gateway, lambda gateway, version=version, over_tls=over_tls:
                                      self.is_whole_in_http_1(gateway, version, over_tls))
                with self.subTest(backend=backend.url, version="2"):
                    self.each(gateway, lambda gateway, client=client: self.is_whole_in_http_2(gateway, client))
                self.assertEqual(len(backend.exchanges), 5 * 2 * len(self.ENDS))  # none was sent again


if __name__ == "__main__":
    unittest.main()
