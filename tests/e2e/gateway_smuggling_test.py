"""What two readers could understand differently is a 400 and the end of the connection (RFC 9112 section
11.2), and nothing of it reaches the backend."""

import re
import unittest

from gateway_lab import HOST, EchoCase


class Smuggling(EchoCase):
    END = "3\r\nabc\r\n0\r\n\r\n"
    HEADS = {
        "length and coding": "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "coding and length": "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "lengths differ": "Content-Length: 3\r\nContent-Length: 4\r\n",
        "length list": "Content-Length: 3, 4\r\n",
        "length sign": "Content-Length: +3\r\n",
        "length hex": "Content-Length: 0x3\r\n",
        "length minus": "Content-Length: -1\r\n",
        "length huge": "Content-Length: 99999999999999999999\r\n",
        "length empty": "Content-Length:\r\n",
        "gzip": "Transfer-Encoding: gzip\r\n",
        "chunked, gzip": "Transfer-Encoding: chunked, gzip\r\n",
        "gzip, chunked": "Transfer-Encoding: gzip, chunked\r\n",
        "chunked twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "identity": "Transfer-Encoding: identity\r\n",
        "xchunked": "Transfer-Encoding: xchunked\r\n",
        "vertical tab": "Transfer-Encoding: \x0bchunked\r\n",
        "obs-fold": "Transfer-Encoding:\r\n chunked\r\n",
        "fold": "X: a\r\n b\r\nTransfer-Encoding: chunked\r\n",
        "space before colon": "Transfer-Encoding : chunked\r\n",
        "space in name": "X Y: z\r\n",
        "bare CR": "X: a\rTransfer-Encoding: chunked\r\n",
        "bare LF": "X: a\nTransfer-Encoding: chunked\r\n",
        "NUL": "X: a\0b\r\n",
        "NUL in name": "X\0: a\r\n",
        "no colon": "nonsense\r\n",
        "empty name": ": x\r\n",
        "control": "X: a\x01b\r\n",
    }
    CHUNKS = {
        "hex prefix": "0x3\r\nabc\r\n0\r\n\r\n", "plus": "+3\r\nabc\r\n0\r\n\r\n", "minus": "-3\r\nabc\r\n0\r\n\r\n",
        "space first": " 3\r\nabc\r\n0\r\n\r\n", "letters": "g\r\nabc\r\n0\r\n\r\n", "empty": "\r\nabc\r\n0\r\n\r\n",
        "overflow": "10000000000000003\r\nabc\r\n0\r\n\r\n", "bare LF": "3\nabc\n0\n\n",
        "no CRLF behind data": "3\r\nabcX\r\n0\r\n\r\n", "CR in extension": "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "LF in extension": "3;a\nb\r\nabc\r\n0\r\n\r\n", "bad trailer": "3\r\nabc\r\n0\r\nX Y: z\r\n\r\n",
        "NUL": "3\0\r\nabc\r\n0\r\n\r\n",
    }
    HOSTS = {"none": "X: y\r\n", "two": f"Host: {HOST}\r\nHost: {HOST}\r\n", "two differ": f"Host: {HOST}\r\nHost: b\r\n",
             "empty": "Host:\r\n", "space": "Host: a b\r\n", "user": f"Host: u@{HOST}\r\n", "slash": f"Host: {HOST}/x\r\n",
             "port": f"Host: {HOST}:x\r\n", "port range": f"Host: {HOST}:99999\r\n", "comma": f"Host: {HOST},b\r\n"}
    LINES = {"tab": "GET\t/ HTTP/1.1", "two spaces": "GET  / HTTP/1.1", "version": "GET / HTTP/1.10", "small": "GET / http/1.1",
             "0.9": "GET /", "NUL": "GET /\0 HTTP/1.1", "space in path": "GET /a b HTTP/1.1", "fragment": "GET /#a HTTP/1.1",
             "method": "G(T / HTTP/1.1", "no slash": "GET a HTTP/1.1", "trailing space": "GET / HTTP/1.1 "}

    def assert_400(self, request, may_reach=False, statuses=b"400"):
        before, smuggled = len(self.backend.seen("/")), len(self.backend.seen("/smuggled"))
        follow = f"GET /smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
        for tls in (False, True):
            got, closed = self.gateway.raw((request + follow), tls=tls, timeout=4)
            self.assertRegex(got, rb"^HTTP/1\.[01] (%s) " % statuses, repr(request))
            self.assertEqual(got.count(b"HTTP/1."), 1, got)
            self.assertTrue(closed, "the connection stays open")
            self.assertLess(len(got), 1000)
        self.assertEqual(len(self.backend.seen("/smuggled")), smuggled)
        if not may_reach:
            self.assertEqual(len(self.backend.seen("/")), before)

    def test_heads(self):
        for name, fields in self.HEADS.items():
            with self.subTest(name):
                self.assert_400(f"POST / HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n{self.END}",
                                statuses=b"400|501" if name == "gzip, chunked" else b"400")

    def test_hosts(self):
        for name, fields in self.HOSTS.items():
            with self.subTest(name):
                self.assert_400(f"GET / HTTP/1.1\r\n{fields}\r\n")

    def test_request_lines(self):
        for name, line in self.LINES.items():
            with self.subTest(name):
                self.assert_400(f"{line}\r\nHost: {HOST}\r\n\r\n")

    def test_chunks(self):
        for name, chunks in self.CHUNKS.items():
            with self.subTest(name):
                self.assert_400(f"POST /chunks HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}",
                                may_reach=True)

    def test_a_length_that_is_said_twice_alike_is_no_second_request(self):
        got, _ = self.gateway.raw(f"POST /twice HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\nContent-Length: 3\r\n"
                                  "Connection: close\r\n\r\nabc", timeout=3)
        self.assertRegex(got, rb"^HTTP/1\.1 (400|200) ")
        self.assertLessEqual(len(self.backend.seen("/twice")), 1)

    def test_the_body_of_a_request_for_an_upgrade_is_its_body(self):
        """The upgrade is not asked for: the backend gets the body once, and what is behind it is the next request."""
        inner = f"GET /smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
        bodies = {"abcde": ("Content-Length: 5", "abcde"), "length": (f"Content-Length: {len(inner)}", inner),
                  "chunked": ("Transfer-Encoding: chunked", f"{len(inner):x}\r\n{inner}\r\n0\r\n\r\n")}
        self.backend.on("/switch", lambda e: (e.body(), e.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello")))
        for path, status in (("/page", b"200"), ("/switch", b"502")):
            for name, (framing, body) in bodies.items():
                for tls in (False, True):
                    with self.subTest(path, body=name, tls=tls):
                        before = len(self.backend.exchanges)
                        got, closed = self.gateway.raw(
                            f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                            f"{framing}\r\n\r\n{body}"
                            f"GET /next HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n", tls=tls)
                        self.assertEqual((re.findall(rb"HTTP/1\.1 (\d+) ", got), closed), ([status, b"200"], True))
                        self.assertNotIn(b"hello", got)
                        first, second = self.backend.exchanges[before:]
                        self.assertEqual((first.target, first.received, first.header("Upgrade")),
                                         (path, 5 if name == "abcde" else len(inner), None))
                        self.assertEqual((second.target, second.received), ("/next", 0))


if __name__ == "__main__":
    unittest.main()
