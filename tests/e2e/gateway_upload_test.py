"""Bodies of gigabytes need constant memory, whichever way they go and however slow the reader is."""

import hashlib
import threading
import time
import unittest

from hyperframe.frame import DataFrame

from gateway_backends import Backend
from gateway_h2_client import Http2
from gateway_lab import HOST, Gateway, read_until, route
from lab import SLOW, Case

SIZE = 2 << 30 if SLOW == 1 else 256 << 20
ROOM = int((32 << 20) * SLOW * SLOW)  # sanitizers keep freed memory for a while


class Peak:
    """How much the process grows while the block runs."""

    def __init__(self, gateway):
        self.gateway, self.peak = gateway, 0

    def __enter__(self):
        self.start, self.running = self.gateway.rss(), True
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while self.running:
            self.peak = max(self.peak, self.gateway.rss())
            time.sleep(0.02)

    def __exit__(self, *error):
        self.running = False
        self.thread.join()

    @property
    def grown(self):
        return self.peak - self.start


class Large(Case):
    @classmethod
    def setUpClass(cls):
        cls.backend = Backend()
        cls.backend.on("/take", cls.take)
        cls.backend.on("/give", cls.give)
        cls.gateway = Gateway(route(cls.backend))
        cls.gateway.start()
        cls.file = cls.gateway.directory / "large"
        small = cls.gateway.write("small", "x" * 1_000_000)
        with open(cls.file, "wb") as file:
            file.truncate(SIZE)
        for scheme in ("http", "https"):  # what is allocated once
            cls.gateway.curl(f"{scheme}://{HOST}/", "-T", str(small))

    @classmethod
    def tearDownClass(cls):
        cls.backend.stop()
        cls.gateway.__exit__(None, None, None)

    @staticmethod
    def take(e):
        size = 0
        for part in e.parts():
            size += len(part)
        e.reply(body=str(size).encode())

    @staticmethod
    def give(e):
        e.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n")
        block = bytes(1 << 20)
        for _ in range(SIZE >> 20):
            e.send(block)

    def upload(self, scheme, how, size, *arguments):
        with Peak(self.gateway) as peak:
            reply = self.gateway.curl(f"{scheme}://{HOST}/take", "-T", str(self.file), "-H", "Expect:", *arguments,
                                      http=how, seconds=120)
        self.assertEqual((reply.status, reply.text), (200, str(size)))
        self.assertLess(peak.grown, ROOM)

    def test_up_over_http_1(self):
        self.upload("http", "--http1.1", SIZE)

    def test_up_over_http_2_in_chunks(self):
        self.upload("https", "--http2", SIZE, "-H", "Transfer-Encoding: chunked")

    def test_every_byte_arrives_in_its_place(self):
        content = b"".join(i.to_bytes(8, "big") for i in range(8 << 20 >> 3))
        path = self.gateway.write("counted", content)
        digest = hashlib.sha256(content).hexdigest()
        for how in ("--http2", "--http1.1"):
            for form in ([], ["-H", "Transfer-Encoding: chunked"]):
                for _ in range(6):
                    said = self.gateway.curl(f"https://{HOST}/echo", "-T", str(path), "-H", "Expect:", *form, http=how).json()
                    self.assertEqual((said["size"], said["sha256"]), (len(content), digest))

    def test_down_over_http_2(self):
        with Peak(self.gateway) as peak:
            reply = self.gateway.curl(f"https://{HOST}/give", "-o", "/dev/null", http="--http2", seconds=120)
        self.assertEqual((reply.status, reply.header("Content-Length")), (200, str(SIZE)))
        self.assertLess(peak.grown, ROOM)

    def test_a_backend_that_does_not_read_holds_the_client_back(self):
        go = threading.Event()
        self.backend.on("/later", lambda e: (go.wait(30 * SLOW), self.take(e)))
        sent = [0]
        size = 64 << 20

        def client():
            connection.sendall(f"POST /later HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {size}\r\n\r\n".encode())
            for _ in range(size >> 16):
                connection.sendall(bytes(1 << 16))
                sent[0] += 1 << 16
        with self.gateway.dial(tls=False, timeout=60) as connection, Peak(self.gateway) as peak:
            thread = threading.Thread(target=client)
            thread.start()
            previous = -1
            while sent[0] != previous:
                previous = sent[0]
                time.sleep(0.3 * SLOW)
            self.assertLess(sent[0], size // 2)
            go.set()
            thread.join()
            self.assertTrue(read_until(connection, str(size).encode()))
        self.assertLess(peak.grown, ROOM)

    def test_frames_of_one_byte_for_a_backend_that_stops_reading(self):
        """Each becomes a chunk of its own, six times as long, as many as the largest window allows."""
        go = threading.Event()
        self.addCleanup(go.set)

        def stop(e):
            parts = e.parts()
            fast = 0
            while fast < len(much):
                fast += len(next(parts))
            go.wait(60 * SLOW)
            left, slow = e.reader.buffer, 0
            while True:
                slow += left.count(b"x")
                if left.endswith(b"0\r\n\r\n"):
                    break
                more = e.connection.recv(1 << 20)
                if not more:
                    return
                left = left[-4:].replace(b"x", b" ") + more
            e.reply(body=f"{fast} {slow}".encode())
            e.close()
        much, sent = b"y" * (16 << 20), 0
        self.backend.on("/stops", stop)
        with Http2(self.gateway) as client, Peak(self.gateway) as peak:
            client.tolerant = True
            stream = client.open(method="POST", path="/stops", end=False)
            client.data(stream, much)
            def room():
                return client.protocol.local_flow_control_window(stream) - sent
            while client.read(lambda: room() > 0, 0.5 if sent > 1 << 20 else 20):
                for size in [10_000] * (room() // 10_000) + [room() % 10_000]:
                    self.assertTrue(client.send(DataFrame(stream, b"x").serialize() * size))
                    sent += size
            go.set()
            client.send(DataFrame(stream, b"", flags=["END_STREAM"]))
            got = client.finish(stream, 30 * SLOW)
        self.assertEqual((got.status, got.body), (200, f"{len(much)} {sent}".encode()))
        self.assertGreater(sent, 1 << 20)
        self.assertLess(peak.grown, ROOM)

    def test_a_hundred_slow_readers_are_cheap(self):
        with Peak(self.gateway) as peak:
            readers = [self.gateway.dial(tls=False) for _ in range(100)]
            for one in readers:
                one.sendall(f"GET /give HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            for one in readers:
                read_until(one, b"\r\n\r\n")
            time.sleep(1)
            for one in readers:
                one.close()
        self.assertLess(peak.grown, 2 * ROOM)


if __name__ == "__main__":
    unittest.main()
