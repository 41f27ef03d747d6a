"""Peers that read steadily and so slowly that the systems' buffers between take no more for longer than `idle`:
nothing is cut. Who stops reading is, and cannot take it for the end."""

import concurrent.futures
import hashlib
import socket
import threading
import time
import unittest

from h2.events import DataReceived, StreamReset
from h2.settings import SettingCodes

from gateway_backends import Backend, new_port
from gateway_h2_client import Http2
from gateway_lab import HOST, Gateway, read_until, route, table
from lab import SLOW, Case, wait_until

SIZE = 24 << 20
PATTERN = bytes(range(251)) * (SIZE // 251 + 1)
WHOLE = hashlib.sha256(PATTERN[:SIZE]).digest()
IDLE, SLOWLY = 5, 13  # seconds


def read_slowly(read):
    """150 KB in a second for a while, then the rest: how much it was and its digest."""
    begin, size, digest = time.monotonic(), 0, hashlib.sha256()
    while size < SIZE and (data := read(30_000 if time.monotonic() - begin < SLOWLY else 1 << 20)):
        size += len(data)
        digest.update(data)
        if time.monotonic() - begin < SLOWLY:
            time.sleep(0.2)
    return size, digest.digest()


class Server:
    """Sends SIZE bytes to whoever connects, and waits for its end."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", new_port()))
        self.port, self.held = self.socket.getsockname()[1], []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            self.held.append(connection)
            threading.Thread(target=self.send, args=(connection,), daemon=True).start()

    @staticmethod
    def send(connection):
        try:
            connection.sendall(PATTERN[:SIZE])
            connection.recv(1)
            connection.close()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for one in (self.socket, *self.held):
            one.close()


class SlowTest(Case):
    def setUp(self):
        self.backend, self.server, self.tcp = Backend(), Server(), new_port()
        self.uploaded = None
        self.backend.on("/down", lambda e: (e.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"),
                                            e.connection.sendall(PATTERN[:SIZE])))
        self.backend.on("/up", self.take)
        self.backend.on("/tunnel", lambda e: (
            e.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: bytes\r\n\r\n"),
            e.connection.sendall(PATTERN[:SIZE]), e.connection.recv(1)))
        listener = {"name": "tcp", "address": ["127.0.0.1"], "tcp": self.tcp, "idle": f"{IDLE}s",
                    "backends": [f"127.0.0.1:{self.server.port}"]}
        self.gateway = Gateway(route(self.backend, timeouts={"idle": f"{IDLE}s"}),
                               config=table("gateway.listener", listener))
        for one in (self.backend, self.server, self.gateway):
            self.enterContext(one)

    def take(self, exchange):
        def read(size):  # some of it may have come with the head
            return exchange.reader.some(size) if exchange.reader.buffer else exchange.connection.recv(size)
        self.uploaded = read_slowly(read)
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def ask(self, path, more="", tls=True):
        connection = self.enterContext(self.gateway.dial(tls, timeout=60))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{more}\r\n".encode())
        return connection

    def head(self, connection):
        """Not a byte more than the head."""
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            got += connection.recv(1)
        return got

    def download(self):
        connection = self.ask("/down")
        self.assertIn(b" 200 ", self.head(connection))
        return read_slowly(connection.recv)

    def tunnel(self):
        connection = self.ask("/tunnel", "Connection: upgrade\r\nUpgrade: bytes\r\n")
        self.assertIn(b" 101 ", self.head(connection))
        got = read_slowly(connection.recv)
        connection.close()  # or it would be idle while others are not done
        return got

    def upload(self):
        connection = self.enterContext(self.gateway.dial(timeout=60))
        connection.sendall(f"PUT /up HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        connection.sendall(PATTERN[:SIZE])
        self.assertIn(b" 200 ", read_until(connection, b"\r\n\r\nok"))
        return self.uploaded

    def relay(self):
        with socket.create_connection(("127.0.0.1", self.tcp), 60 * SLOW) as connection:
            return read_slowly(connection.recv)

    def download_h2(self):
        with Http2(self.gateway, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1 << 30}) as client:
            client.socket.settimeout(60 * SLOW)
            client.open(path="/down")

            def read(size):
                payload = b""
                while not payload and (data := client.socket.recv(size)):
                    payload = b"".join(event.data for event in client.protocol.receive_data(data)
                                       if isinstance(event, DataReceived))
                return payload
            return read_slowly(read)

    def test_who_reads_on_is_not_cut(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            ways = {way.__name__: pool.submit(way)
                    for way in (self.download, self.tunnel, self.upload, self.relay, self.download_h2)}
            for name, way in ways.items():
                with self.subTest(name):
                    self.assertEqual(way.result(), (SIZE, WHOLE))
        self.assertEqual(self.gateway.metrics()["postern_gateway_idle_timeouts_total"], 0)

    def test_a_stream_that_is_not_read_is_cut_although_others_of_its_connection_are(self):
        self.backend.on("/drip", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n"), [
            (e.connection.sendall(bytes(20_000)), time.sleep(0.1)) for _ in range(1000)]))
        with Http2(self.gateway) as client:
            stalled, other = client.open(path="/down"), client.open(path="/drip")
            begin, events, dripped = time.monotonic(), [], 0
            while not any(isinstance(event, StreamReset) for event in events):
                self.assertLess(time.monotonic() - begin, 3 * IDLE * SLOW)
                events = client.protocol.receive_data(client.socket.recv(65536))
                for event in events:
                    if isinstance(event, DataReceived) and event.stream_id == other:
                        dripped += len(event.data)
                        client.protocol.acknowledge_received_data(event.flow_controlled_length, other)
                client.flush()
            self.assertEqual([event.stream_id for event in events if isinstance(event, StreamReset)], [stalled])
            self.assertGreater(time.monotonic() - begin, IDLE)
            self.assertGreater(dripped, IDLE * 50_000)

    def test_who_stops_reading_is_cut_and_sees_it(self):
        begin = time.monotonic()
        waiting = [self.ask("/down", tls=False), self.ask("/tunnel", "Connection: upgrade\r\nUpgrade: bytes\r\n", tls=False),
                   self.enterContext(socket.create_connection(("127.0.0.1", self.tcp), 60 * SLOW))]
        wait_until("all to be cut", lambda: self.gateway.metrics()["postern_gateway_idle_timeouts_total"] == 3, 3 * IDLE)
        self.assertGreater(time.monotonic() - begin, IDLE)
        for connection in waiting:
            size = 0
            with self.assertRaises(OSError):
                while data := connection.recv(1 << 20):
                    size += len(data)
            self.assertLess(size, SIZE)


if __name__ == "__main__":
    unittest.main()
