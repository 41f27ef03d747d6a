"""What tools of the field say of the TLS listener (sslscan, nghttp, h2load, openssl), and odd frames from
python3-hyperframe: connection errors where RFC 9113 has them, tolerance where it asks for it."""

import os
import re
import struct
import subprocess
import unittest
import xml.etree.ElementTree

from hyperframe.frame import (ContinuationFrame, HeadersFrame, PingFrame, PriorityFrame,
                              WindowUpdateFrame)

from gateway_backends import Backend
from gateway_h2_client import Http2, Stream
from gateway_lab import HOST, Gateway, read_all, route
from lab import SLOW, Case

HEAD = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/")]
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, COMPRESSION_ERROR = 0, 1, 3, 5, 6, 9


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60 * SLOW, check=False)
    return done.stdout + done.stderr


class Tools(Case):
    @classmethod
    def setUpClass(cls):
        cls.backend = Backend()
        cls.gateway = Gateway(route(cls.backend))
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.backend.stop()
        cls.gateway.__exit__(None, None, None)

    def test_sslscan_finds_no_old_version_and_no_weak_cipher(self):
        path = self.gateway.directory / "scan.xml"
        run("sslscan", "--no-colour", f"--xml={path}", f"--sni-name={HOST}", f"127.0.0.1:{self.gateway.https_port}")
        scan = xml.etree.ElementTree.parse(path).getroot().find("ssltest")
        self.assertIsNotNone(scan)
        versions = {f"{one.get('type')} {one.get('version')}": one.get("enabled") for one in scan.findall("protocol")}
        self.assertEqual({name for name, enabled in versions.items() if enabled == "1"}, {"tls 1.2", "tls 1.3"})
        ciphers = [(one.get("cipher"), int(one.get("bits")), one.get("strength"), one.get("sslversion"))
                   for one in scan.findall("cipher")]
        self.assertGreater(len(ciphers), 3)
        for name, bits, strength, version in ciphers:
            with self.subTest(name):
                self.assertGreaterEqual(bits, 128)
                self.assertIn(strength, ("strong", "acceptable"))
                self.assertNotRegex(name, "RC4|DES|NULL|EXP|anon|ADH|MD5|SEED|IDEA|CAMELLIA|ARIA")
                if version == "TLSv1.2":  # forward secrecy and AEAD: RFC 9113 section 9.2.2
                    self.assertRegex(name, "^(ECDHE|DHE)-")
                    self.assertRegex(name, "GCM|POLY1305|CCM")
        renegotiation = scan.find("renegotiation")
        if renegotiation is not None:
            self.assertEqual(renegotiation.get("supported"), "0")
        for one in scan.findall("heartbleed"):
            self.assertEqual(one.get("vulnerable"), "0")

    def test_a_renegotiation_is_refused(self):
        stdin, wish = os.pipe()  # which stays open: at its end s_client leaves without the answer
        with open(stdin, "rb") as stdin, open(wish, "wb", buffering=0) as wish:
            wish.write(b"R\n")
            done = subprocess.run(["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{self.gateway.https_port}",
                                   "-servername", HOST], stdin=stdin, capture_output=True, text=True,
                                  timeout=20 * SLOW, check=False)
        self.assertRegex(done.stderr, r"\nRENEGOTIATING\n.*:no renegotiation:")  # what it tries, and our alert
        self.assertEqual(self.gateway.curl(f"https://{HOST}/").status, 200)

    def test_nghttp(self):
        said = run("nghttp", "-nv", "-m", "5", f"https://127.0.0.1:{self.gateway.https_port}/x", "-H", f":authority: {HOST}",
                   "--no-verify-peer")
        self.assertIn("The negotiated protocol: h2", said)
        self.assertEqual(len(re.findall(r":status: 200", said)), 5)
        self.assertRegex(said, r"alt-svc: clear")
        self.assertNotIn("ERROR", said.replace("NO_ERROR", ""))

    def test_h2load_over_both_protocols(self):
        for how in (["-m", "10"], ["--h1"]):
            port = self.gateway.https_port
            said = run("h2load", "-n", "2000", "-c", "10", *how, f"--connect-to=127.0.0.1:{port}", f"https://{HOST}:{port}/")
            self.assertIn("2000 succeeded, 0 failed", said)
            self.assertIn("status codes: 2000 2xx", said)


class Frames(Case):
    @classmethod
    def setUpClass(cls):
        cls.backend = Backend()
        cls.gateway = Gateway(route(cls.backend))
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.backend.stop()
        cls.gateway.__exit__(None, None, None)

    def client(self, **options):
        client = Http2(self.gateway, **options)
        self.addCleanup(client.close)
        client.read(seconds=0.05)
        return client

    def head(self, client, stream=1, fields=HEAD, flags=("END_HEADERS", "END_STREAM")):
        return HeadersFrame(stream, client.protocol.encoder.encode(fields), flags=list(flags))

    @staticmethod
    def frame(kind, flags, stream, body=b"", length=None):
        """A frame as bytes, its length maybe a lie."""
        return struct.pack("!I", len(body) if length is None else length)[1:] + struct.pack("!BBI", kind, flags, stream) + body

    def post(self, client, stream=1):
        return self.head(client, stream, [(":method", "POST"), *HEAD[1:]], ["END_HEADERS"])

    def test_connection_errors(self):
        cases = {
            "DATA on stream 0": (lambda c: [self.frame(0, 0, 0, b"x")], PROTOCOL_ERROR),
            "DATA on an idle stream": (lambda c: [self.frame(0, 0, 5, b"x")], PROTOCOL_ERROR),
            "HEADERS on stream 0": (lambda c: [self.frame(1, 5, 0, b"\x82")], PROTOCOL_ERROR),
            "HEADERS on an even stream": (lambda c: [self.head(c, 2)], PROTOCOL_ERROR),
            "RST_STREAM on stream 0": (lambda c: [self.frame(3, 0, 0, b"\0\0\0\x08")], PROTOCOL_ERROR),
            "RST_STREAM on an idle stream": (lambda c: [self.frame(3, 0, 7, b"\0\0\0\x08")], PROTOCOL_ERROR),
            "RST_STREAM of 3 bytes": (lambda c: [self.post(c), self.frame(3, 0, 1, b"\0\0\0")], FRAME_SIZE_ERROR),
            "SETTINGS on a stream": (lambda c: [self.frame(4, 0, 1)], PROTOCOL_ERROR),
            "SETTINGS of 5 bytes": (lambda c: [self.frame(4, 0, 0, b"12345")], FRAME_SIZE_ERROR),
            "SETTINGS ACK with a body": (lambda c: [self.frame(4, 1, 0, b"\0\3\0\0\0\1")], FRAME_SIZE_ERROR),
            "ENABLE_PUSH 2": (lambda c: [self.frame(4, 0, 0, b"\0\2\0\0\0\2")], PROTOCOL_ERROR),
            "INITIAL_WINDOW_SIZE 2^31": (lambda c: [self.frame(4, 0, 0, b"\0\4\x80\0\0\0")], FLOW_CONTROL_ERROR),
            "MAX_FRAME_SIZE 100": (lambda c: [self.frame(4, 0, 0, b"\0\5\0\0\0\x64")], PROTOCOL_ERROR),
            "PUSH_PROMISE": (lambda c: [self.post(c), self.frame(5, 4, 1, b"\0\0\0\2\x82")], PROTOCOL_ERROR),
            "PING of 7 bytes": (lambda c: [self.frame(6, 0, 0, b"1234567")], FRAME_SIZE_ERROR),
            "PING on a stream": (lambda c: [self.frame(6, 0, 1, b"12345678")], PROTOCOL_ERROR),
            "GOAWAY on a stream": (lambda c: [self.frame(7, 0, 1, b"\0" * 8)], PROTOCOL_ERROR),
            "WINDOW_UPDATE of 0": (lambda c: [self.frame(8, 0, 0, b"\0\0\0\0")], PROTOCOL_ERROR),
            "WINDOW_UPDATE over 2^31": (lambda c: [self.frame(8, 0, 0, b"\x7f\xff\xff\xff")] * 2, FLOW_CONTROL_ERROR),
            "WINDOW_UPDATE on an idle stream": (lambda c: [self.frame(8, 0, 9, b"\0\0\0\1")], PROTOCOL_ERROR),
            "WINDOW_UPDATE of 3 bytes": (lambda c: [self.frame(8, 0, 0, b"\0\0\1")], FRAME_SIZE_ERROR),
            "CONTINUATION alone": (lambda c: [self.frame(9, 4, 1, b"\x82")], PROTOCOL_ERROR),
            "another frame within a head": (lambda c: [self.head(c, flags=()), PingFrame(0, opaque_data=b"12345678")],
                                            PROTOCOL_ERROR),
            "CONTINUATION of another stream": (lambda c: [self.head(c, flags=()), self.frame(9, 4, 3, b"\x82")],
                                               PROTOCOL_ERROR),
            "a frame over 16,384 bytes": (lambda c: [self.post(c), self.frame(0, 0, 1, b"x" * 16385)], FRAME_SIZE_ERROR),
            "padding longer than the frame": (lambda c: [self.post(c), self.frame(0, 8, 1, b"\x09abc")], PROTOCOL_ERROR),
            "HPACK index 0": (lambda c: [self.frame(1, 5, 1, b"\x80")], COMPRESSION_ERROR),
            "HPACK index beyond the table": (lambda c: [self.frame(1, 5, 1, b"\xff\xff\x7f")], COMPRESSION_ERROR),
            "HPACK string cut off": (lambda c: [self.frame(1, 5, 1, b"\x40\x0aabc")], COMPRESSION_ERROR),
            "HPACK Huffman with EOS": (lambda c: [self.frame(1, 5, 1, b"\x40\x84\xff\xff\xff\xff\x00")], COMPRESSION_ERROR),
        }
        for name, (frames, code) in cases.items():
            with self.subTest(name):
                client = self.client()
                client.tolerant = True
                client.send(*frames(client))
                client.read(lambda: client.closed, 4)
                self.assertTrue(client.closed, "still open")
                if client.goaway is not None and code is not None:
                    self.assertIn(client.goaway, {code, PROTOCOL_ERROR} | (
                        {STREAM_CLOSED} if "idle" in name else set()))

    def test_what_is_odd_but_allowed(self):
        cases = {
            "an unknown frame": lambda c: [self.frame(0xEE, 0xFF, 0, b"abc")],
            "PRIORITY on an idle stream": lambda c: [PriorityFrame(9, depends_on=0, stream_weight=5)],
            "PRIORITY_UPDATE": lambda c: [self.frame(0x10, 0, 0, b"\0\0\0\x01u=1")],
            "ALTSVC of a client": lambda c: [self.frame(0x0A, 0, 0, b"\0\1ah3=\":1\"")],
            "an unknown setting": lambda c: [self.frame(4, 0, 0, b"\xff\xfe\0\0\0\1")],
            "no settings": lambda c: [self.frame(4, 0, 0)],
            "PING": lambda c: [PingFrame(0, opaque_data=b"12345678")],
            "a window for the connection": lambda c: [WindowUpdateFrame(0, window_increment=1000)],
            "the reserved bit": lambda c: [self.frame(6, 0, 0x80000000, b"12345678")],
        }
        for name, frames in cases.items():
            with self.subTest(name):
                client = self.client()
                self.assertTrue(client.send(*frames(client)))
                stream = client.request(path="/odd")
                self.assertEqual(stream.status, 200)

    def test_a_head_in_many_pieces_and_padding(self):
        client = self.client()
        stream = client.protocol.get_next_available_stream_id()
        client.streams[stream] = Stream()
        client.protocol.send_headers(stream, HEAD + [("x-long", "y" * 300)], end_stream=True)
        block = client.protocol.data_to_send()[9:]  # of the one frame that it made
        client.send(HeadersFrame(stream, block[:50], flags=["END_STREAM"]),
                    *(ContinuationFrame(stream, block[i:i + 50]) for i in range(50, len(block), 50)),
                    ContinuationFrame(stream, b"", flags=["END_HEADERS"]))
        self.assertEqual(client.finish(stream).status, 200)
        stream = client.open(method="POST", path="/padded", end=False)
        client.protocol.send_data(stream, b"abc", pad_length=200)
        client.protocol.send_data(stream, b"", pad_length=255, end_stream=True)
        client.flush()
        self.assertEqual(client.finish(stream).reply().json()["size"], 3)

    def test_a_bad_preface_is_ended(self):
        for text in (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + b"x" * 40, b"\0" * 100):
            with self.gateway.dial(alpn=("h2",)) as connection:
                connection.sendall(text)
                self.assertTrue(read_all(connection)[1])

    def test_data_behind_the_end_of_a_stream(self):
        client = self.client()
        stream = client.open(path="/done")
        client.tolerant = True
        client.send(self.frame(0, 0, stream, b"more"))
        client.read(lambda: client.closed or client.goaway is not None or client.streams[stream].done, 5)
        self.assertLessEqual(len(self.backend.seen("/done")), 1)
        self.assertEqual(self.gateway.curl(f"https://{HOST}/").status, 200)


if __name__ == "__main__":
    unittest.main()
