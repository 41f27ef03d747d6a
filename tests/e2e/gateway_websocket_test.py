"""WebSocket: python3-websockets on both ends with the gateway between, HTTP/1.1 Upgrade and HTTP/2 extended
CONNECT (RFC 8441) in front of the same server."""

import asyncio
import base64
import hashlib
import logging
import os
import socket
import threading
import time
import unittest

import websockets

from gateway_backends import Backend, new_port
from gateway_h2_backend import H2Backend
from gateway_h2_client import Http2
from gateway_lab import HOST, Gateway, read_all, read_until, route, tls_context
from lab import SLOW, Case, wait_until

ACCEPT = base64.b64encode(hashlib.sha1(b"dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
OPENING = (f"GET /chat HTTP/1.1\r\nHost: {HOST}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


logging.getLogger("websockets.server").setLevel(logging.CRITICAL)  # ends without goodbye are meant


class Server:
    """Echoes; "close" closes with 4000; the path "/greet" is spoken to first."""

    def __init__(self):
        self.port = new_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.closed, self.headers = [], []
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        threading.Thread(target=self._run, args=(started,), daemon=True).start()
        assert started.wait(10)

    def _run(self, started):
        asyncio.set_event_loop(self.loop)

        async def start():
            self.server = await websockets.serve(self._session, "127.0.0.1", self.port, max_size=1 << 25,
                                                 subprotocols=["chat"])
        self.loop.run_until_complete(start())
        started.set()
        self.loop.run_forever()

    async def _session(self, socket, path):
        self.headers.append((path, socket.request_headers))
        try:
            if path == "/greet":
                await socket.send("hello")
            async for message in socket:
                if message == "close":
                    await socket.close(4000, "as asked")
                    return
                await socket.send(message)
        finally:
            self.closed.append(path)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)


def frame(text):
    """A text frame of a client, with a mask of zeros."""
    return bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text


class WebSocket(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.plain = Backend()
        cls.gateway = Gateway(route(cls.server), route(cls.plain, hosts=["plain.vanillax.me"]),
                              route(cls.server, hosts=["idle.vanillax.me"], timeouts={"idle": "700ms"}))
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.plain.stop()
        cls.gateway.__exit__(None, None, None)

    def run_client(self, session, scheme="wss", path="/", **options):
        port = self.gateway.https_port if scheme == "wss" else self.gateway.http_port

        async def run():
            extra = {"ssl": tls_context(), "server_hostname": HOST} if scheme == "wss" else {}
            async with websockets.connect(f"{scheme}://{HOST}{path}", host="127.0.0.1", port=port, max_size=1 << 25,
                                          open_timeout=6 * SLOW, **extra, **options) as client:
                return await asyncio.wait_for(session(client), 15 * SLOW)
        return asyncio.run(run())

    def test_a_backend_without_upgrades_among_others_is_passed_over(self):
        with H2Backend() as other, Gateway(route(other, self.server)) as gateway:
            for i in range(20):
                with self.subTest(i), gateway.dial(tls=False) as connection:
                    connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                                       .encode())
                    self.assertIn(b" 101 ", read_until(connection, b"\r\n"))
            self.assertEqual(other.exchanges, [])

    def test_messages_of_every_size_come_back(self):
        messages = ["", "a", "é" * 100, os.urandom(125), os.urandom(126), os.urandom(70_000), os.urandom(5_000_000)]

        async def session(client):
            got = []
            for message in messages:
                await client.send(message)
                got.append(await client.recv())
            return got
        for scheme in ("ws", "wss"):
            with self.subTest(scheme):
                self.assertTrue(self.run_client(session, scheme) == messages)

    def test_the_server_may_speak_first_and_ping(self):
        async def session(client):
            greeting = await client.recv()
            await (await client.ping())
            return greeting
        self.assertEqual(self.run_client(session, path="/greet"), "hello")

    def test_closing_codes_pass(self):
        async def session(client):
            await client.send("close")
            await client.wait_closed()
            return client.close_code, client.close_reason
        self.assertEqual(self.run_client(session), (4000, "as asked"))

    def test_subprotocols_and_headers(self):
        async def session(client):
            return client.subprotocol
        self.assertEqual(self.run_client(session, path="/sub", subprotocols=["chat", "x"],
                                         extra_headers={"X-Mine": "1"}), "chat")
        headers = dict(self.server.headers)["/sub"]
        self.assertEqual((headers["X-Mine"], headers["Host"].split(":")[0]), ("1", HOST))
        self.assertEqual(headers["X-Forwarded-Proto"], "https")

    def test_fifty_at_once(self):
        async def run():
            async def one(i):
                async with websockets.connect(f"wss://{HOST}/", host="127.0.0.1", port=self.gateway.https_port,
                                              ssl=tls_context(), server_hostname=HOST) as client:
                    for j in range(10):
                        await client.send(f"{i} {j}")
                        assert await client.recv() == f"{i} {j}"
            await asyncio.gather(*(one(i) for i in range(50)))
        asyncio.run(run())

    def test_a_client_that_vanishes_is_told_to_the_server(self):
        with self.gateway.dial() as connection:
            connection.sendall(OPENING.replace("/chat", "/vanish").encode())
            self.assertIn(b" 101 ", read_until(connection, b"\r\n\r\n"))
        wait_until("the end at the server", lambda: "/vanish" in self.server.closed)

    def test_bytes_right_behind_the_opening_are_not_lost(self):
        with self.gateway.dial() as connection:
            connection.sendall(OPENING.encode())
            head = read_until(connection, b"\r\n\r\n")
            self.assertIn(b"upgrade: websocket", head.lower())
            self.assertIn(ACCEPT, head)
            connection.sendall(frame(b"abc"))
            self.assertEqual(read_until(connection, b"abc"), b"\x81\x03abc")

    def test_a_server_that_has_ended_goes_on_listening(self):
        got = []

        def half(exchange):
            exchange.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: bytes\r\n\r\nbye")
            exchange.connection.shutdown(socket.SHUT_WR)
            while data := exchange.connection.recv(100):
                got.append(data)
            got.append("the end")
        with Backend() as backend, Gateway(route(backend)) as gateway, gateway.dial(tls=False) as client:
            backend.on("/half", half)
            client.sendall(f"GET /half HTTP/1.1\r\nHost: {HOST}\r\nConnection: upgrade\r\nUpgrade: bytes\r\n\r\n".encode())
            self.assertTrue(read_all(client)[0].endswith(b"\r\n\r\nbye"))
            time.sleep(4)
            client.sendall(b"late")
            client.shutdown(socket.SHUT_WR)
            wait_until("all of it", lambda: got == [b"late", "the end"])
            self.assertNotIn("failure=", gateway.access("path=/half"))

    def test_a_server_that_does_not_upgrade_answers_as_usual(self):
        with self.gateway.dial(name="plain.vanillax.me") as connection:
            connection.sendall(OPENING.replace(HOST, "plain.vanillax.me").encode())
            got = read_until(connection, b'"name"')
            self.assertRegex(got, rb"^HTTP/1.1 200 ")

    def test_an_upgrade_that_nobody_asked_for_is_an_error(self):
        self.plain.on("/surprise", lambda e: (e.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nGET"), e.close()))
        self.assertIn(self.gateway.curl("https://plain.vanillax.me/surprise", http="--http1.1").status, (502, 503))

    def test_upgrade_to_h2c_is_not_taken_up_nor_passed_on(self):
        got, _ = self.gateway.raw("GET /h2c HTTP/1.1\r\nHost: plain.vanillax.me\r\nConnection: Upgrade, HTTP2-Settings, close"
                                  "\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n")
        self.assertTrue(got.startswith(b"HTTP/1.1 200 "), got)
        (seen,) = self.plain.seen("/h2c")
        self.assertIsNone(seen.header("Upgrade"))
        self.assertIsNone(seen.header("HTTP2-Settings"))
        self.assertNotRegex(seen.header("Connection") or "", "(?i)upgrade|http2-settings")

    def test_an_idle_one_ends_and_a_busy_one_stays(self):
        with self.gateway.dial(name="idle.vanillax.me") as connection:
            connection.sendall(OPENING.replace(HOST, "idle.vanillax.me").encode())
            read_until(connection, b"\r\n\r\n")
            for _ in range(6):
                connection.settimeout(0.25)
                with self.assertRaises(TimeoutError):
                    connection.recv(1)
                connection.settimeout(6 * SLOW)
                connection.sendall(frame(b"abc"))
                read_until(connection, b"abc")
            self.assertTrue(read_all(connection)[1])

    def connect(self, client, path="/h2", **how):
        return client.open(("sec-websocket-version", "13"), only=[
            (":method", "CONNECT"), (":protocol", how.get("protocol", "websocket")), (":scheme", "https"),
            (":path", path), (":authority", how.get("host", HOST)), ("sec-websocket-version", "13"),
            ("x-mine", "2")], end=False)

    def test_extended_connect(self):
        with Http2(self.gateway) as client:
            stream = self.connect(client)
            client.wait(lambda: client.streams[stream].fields)
            self.assertEqual(client.streams[stream].status, 200)
            for i, word in enumerate((b"abc", b"d" * 100), 1):
                client.data(stream, frame(word))
                client.wait(lambda word=word: client.streams[stream].body.endswith(word))
            self.assertEqual(dict(self.server.headers)["/h2"]["X-Mine"], "2")
            client.data(stream, b"\x88\x82\0\0\0\0\x03\xe8")
            client.wait(lambda: client.streams[stream].body.endswith(b"\x88\x02\x03\xe8"))
            client.wait(lambda: client.streams[stream].done)
            client.data(stream, b"", end=True)  # a half-closed connection stays one behind the gateway
            wait_until("the end at the server", lambda: "/h2" in self.server.closed)
            self.assertEqual(client.request(path="/", authority="plain.vanillax.me").status, 200)

    def test_extended_connect_that_is_given_up(self):
        with Http2(self.gateway) as client:
            stream = self.connect(client, path="/given-up")
            client.wait(lambda: client.streams[stream].fields)
            client.protocol.reset_stream(stream, 8)
            client.flush()
            wait_until("the end at the server", lambda: "/given-up" in self.server.closed)

    def test_extended_connect_to_a_server_that_does_not_upgrade_or_of_another_protocol(self):
        with Http2(self.gateway) as client:
            stream = client.finish(self.connect(client, host="plain.vanillax.me"))
            self.assertTrue(stream.status >= 400 or stream.reset is not None, vars(stream))
            stream = client.finish(self.connect(client, protocol="connect-udp"))
            self.assertTrue(stream.status >= 400 or stream.reset is not None, vars(stream))
            self.assertEqual(client.request(authority="plain.vanillax.me").status, 200)


if __name__ == "__main__":
    unittest.main()
