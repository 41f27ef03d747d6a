"""WebSocket: the npm package ws as client and as server, with each other, with python3-websockets, and behind
extended CONNECT; the gateway between."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import time
import unittest

import websockets
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

import npm
from gateway_backends import HERE, Process, authority, new_port, pem
from gateway_h2_client import Http2
from gateway_lab import HOST, Gateway, route, tls_context
from gateway_websocket_test import Server
from lab import SLOW, Case, wait_until

PYTHON, TLS, MORTAL = "python.vanillax.me", "tls.vanillax.me", "mortal.vanillax.me"
MIB = 1 << 20
DEFLATE = "permessage-deflate; server_max_window_bits=12"  # what ws_server.js answers


def setUpModule():
    npm.install()


class WsServer(Process):
    """node/ws_server.js; `told` is what it said of the connections with one path, in turn."""

    def __init__(self, port=None, certificate=None):
        self.port = port or new_port()
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.port}"
        super().__init__("node", HERE / "node/ws_server.js", self.port, *([certificate] if certificate else []),
                         ready="ready")

    def told(self, path, key):
        lines = [json.loads(line) for line in list(self.said) if line.startswith("{")]
        return [line for line in lines if line["path"] == path and key in line]

    def wait(self, path, key):
        """The first that it says with this key."""
        return wait_until(f"{key} of {path}", lambda: self.told(path, key))[0]


class Frames:
    """WebSocket frames on a stream of an HTTP/2 client; `taken` bytes of its body have been read."""

    def __init__(self, client, stream, *extensions):
        self.client, self.stream, self.extensions = client, stream, extensions
        self.reader, self.taken = StreamReader(), 0

    def send(self, opcode, data, fin=True):
        self.client.data(self.stream, Frame(opcode, data, fin).serialize(mask=True, extensions=self.extensions))

    def receive(self):
        """The next one: (opcode, data)."""
        parser, frames = Frame.parse(self.reader.read_exact, mask=False, extensions=self.extensions), []

        def parse():
            body = self.client.streams[self.stream].body
            self.reader.feed_data(body[self.taken:])
            self.taken = len(body)
            try:
                next(parser)
            except StopIteration as done:
                frames.append(done.value)
            return frames
        self.client.wait(parse)
        return frames[0].opcode, frames[0].data


class Ws(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = WsServer()
        cls.tls = WsServer(certificate=pem("127.0.0.1"))
        cls.python = Server()
        cls.mortal_port = new_port()
        cls.gateway = Gateway(route(cls.server), route(cls.tls, hosts=[TLS]), route(cls.python, hosts=[PYTHON]),
                              route(f"http://127.0.0.1:{cls.mortal_port}", hosts=[MORTAL]),
                              server='log = { level = "info", format = "json", requests = true }')
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.tls.stop()
        cls.python.stop()
        cls.gateway.__exit__(None, None, None)

    def command(self, path, *steps, host=HOST, scheme="wss", **more):
        """ws_client.js, which takes these steps."""
        port = self.gateway.https_port if scheme == "wss" else self.gateway.http_port
        asked = {"url": f"{scheme}://{host}{path}", "port": port, "ca": str(authority().certificate),
                 "steps": steps, **more}
        return "node", str(HERE / "node/ws_client.js"), json.dumps(asked)

    def client(self, path, *steps, **how):
        """What its connection saw, or a list for `count` connections."""
        done = subprocess.run(self.command(path, *steps, **how), capture_output=True, text=True, check=False,
                              timeout=30 * SLOW)
        self.assertEqual(done.returncode, 0, done.stderr)
        seen = json.loads(done.stdout.splitlines()[-1])
        return seen if "count" in how else seen[0]

    def waiting(self, path, **how):
        """A client that has an answer and waits for more."""
        process = Process(*self.command(path, ["text", "here"], ["wait", ""], **how), ready="waits")
        self.addCleanup(process.stop)
        return process

    def end(self, process):
        """What a waiting one has seen when it ends."""
        self.assertEqual(process.process.wait(15 * SLOW), 0)
        return json.loads(wait_until("what it saw", lambda: process.said[1:])[-1])[0]

    def logged(self, path):
        return json.loads(self.gateway.access(f'"path":"{path}"'))

    def counted(self, name):
        return sum(value for key, value in self.gateway.metrics().items() if key.split("{")[0] == name)

    def upgrades(self):
        return self.counted("postern_gateway_upgrades_total")

    def test_messages_fragments_pings_and_compression_pass_as_they_are(self):
        for scheme, proto in (("wss", "https"), ("ws", "http")):
            with self.subTest(scheme):
                before, path = self.upgrades(), f"/both-{scheme}"
                seen = self.client(
                    path, ["text", ""], ["text", "häppchen"], ["random", 4 * MIB], ["zeros", 4 * MIB],
                    ["burst", [str(i) for i in range(300)]], ["fragments", ["one ", "two ", "", "three"]],
                    ["ping", "p" * 125], ["ask", "ping back"], ["close", [4001, "bye"]], scheme=scheme,
                    protocols=["other", "chat"], headers={"X-Mine": "1", "X-Forwarded-For": "192.0.2.7"})
                zeros = {"bytes": 4 * MIB, "sha256": hashlib.sha256(bytes(4 * MIB)).hexdigest()}
                self.assertEqual(seen["got"], [*seen["sent"], "pong back"])
                self.assertEqual([*seen["sent"][:2], *seen["sent"][3:]],
                                 ["", "häppchen", zeros, *map(str, range(300)), "one two three"])
                self.assertEqual(seen["pongs"], [*(f"fragment {i}" for i in range(4)), "p" * 125])
                self.assertEqual((seen["pings"], seen["errors"], seen["closed"]), (["back"], [], [4001, "bye"]))
                self.assertEqual((seen["status"], seen["protocol"], seen["extensions"]),
                                 (101, "chat", "permessage-deflate"))
                self.assertEqual(seen["headers"]["sec-websocket-extensions"], DEFLATE)

                said = self.server.wait(path, "headers")
                port = self.gateway.https_port if scheme == "wss" else self.gateway.http_port
                for name, value in (("host", f"{HOST}:{port}"), ("x-forwarded-for", "127.0.0.1"), ("x-mine", "1"),
                                    ("x-forwarded-proto", proto), ("sec-websocket-protocol", "other,chat"),
                                    ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")):
                    self.assertEqual(said["headers"][name], value, name)
                self.assertEqual((said["protocol"], said["extensions"]), ("chat", "permessage-deflate"))
                self.assertEqual(self.server.wait(path, "closed")["closed"], [4001, "bye"])
                self.assertEqual(self.server.told(path, "error"), [])

                line = self.logged(path)
                self.assertEqual((line["status"], line["protocol"], line["backend"], line.get("failure")),
                                 (101, "http/1.1", self.server.url, None))
                for way in ("sent", "received"):  # the zeros are next to nothing, the rest does not get smaller
                    self.assertTrue(4 * MIB < line[way] < 4.2 * MIB, f"{way} {line[way]}")
                self.assertEqual(self.upgrades() - before, 1)

    def test_nothing_is_compressed_that_was_not_agreed_upon(self):
        seen = self.client("/raw", ["zeros", 3 * MIB], ["close", [1000, ""]], deflate=False)
        self.assertEqual(seen["got"], seen["sent"])
        self.assertEqual((seen["extensions"], seen["closed"]), ("", [1000, ""]))
        self.assertNotIn("sec-websocket-extensions", seen["headers"])
        self.assertNotIn("sec-websocket-extensions", self.server.wait("/raw", "headers")["headers"])
        line = self.logged("/raw")
        # A head is 10 bytes, a mask 4; a close of two bytes and, from the client, its mask.
        self.assertEqual((line["sent"], line["received"]), (3 * MIB + 10 + 4, 3 * MIB + 14 + 8))

    def test_the_server_closes(self):
        seen = self.client("/close", ["text", "a"], ["ask", "close"])
        self.assertEqual((seen["got"], seen["closed"], seen["errors"]), (["a"], [4000, "as asked"], []))
        self.assertEqual(self.server.wait("/close", "closed")["closed"], [4000, "as asked"])

    def test_a_server_of_python(self):
        seen = self.client("/python", ["text", "ä"], ["random", 2 * MIB], ["zeros", 2 * MIB],
                           ["fragments", ["a", "b", "c"]], ["ping", "p"], ["ask", "close"], host=PYTHON,
                           protocols=["chat"])
        self.assertEqual(len(seen["got"]), 4)
        self.assertEqual(seen["got"], seen["sent"])
        self.assertEqual((seen["protocol"], seen["extensions"], seen["closed"]),
                         ("chat", "permessage-deflate", [4000, "as asked"]))
        self.assertEqual(seen["headers"]["sec-websocket-extensions"],
                         "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12")
        headers = dict(self.python.headers)["/python"]
        self.assertEqual((headers["Host"], headers["X-Forwarded-For"]),
                         (f"{PYTHON}:{self.gateway.https_port}", "127.0.0.1"))
        line = self.logged("/python")
        for way in ("sent", "received"):
            self.assertTrue(2 * MIB < line[way] < 2.1 * MIB, f"{way} {line[way]}")

    def test_a_client_of_python(self):
        messages = ["", "é" * 100, os.urandom(125), os.urandom(70_000), os.urandom(2 * MIB), bytes(2 * MIB)]

        async def session():
            async with websockets.connect(f"wss://{HOST}/from-python", host="127.0.0.1", port=self.gateway.https_port,
                                          ssl=tls_context(), server_hostname=HOST, subprotocols=["x", "chat"],
                                          max_size=1 << 25, open_timeout=6 * SLOW) as client:
                got = []
                for message in messages:
                    await client.send(message)
                    got.append(await client.recv())
                await client.send(["in ", "frag", "ments"])
                got.append(await client.recv())
                await (await client.ping(b"to"))
                await client.send("ping fro")  # websockets answers it by itself
                got.append(await client.recv())
                await client.close(4002, "bye")
                return got, client.subprotocol, client.response_headers["Sec-WebSocket-Extensions"]
        got, subprotocol, extensions = asyncio.run(asyncio.wait_for(session(), 20 * SLOW))
        self.assertTrue(got[:-2] == messages)
        self.assertEqual((got[-2:], subprotocol, extensions), (["in fragments", "pong fro"], "chat", DEFLATE))
        self.assertEqual(self.server.wait("/from-python", "closed")["closed"], [4002, "bye"])
        self.assertEqual(self.server.wait("/from-python", "headers")["headers"]["x-forwarded-for"], "127.0.0.1")

    def test_a_server_behind_https(self):
        for scheme, proto in (("wss", "https"), ("ws", "http")):
            path = f"/tls-{scheme}"
            seen = self.client(path, ["random", 2 * MIB], ["fragments", ["a", "b"]], ["ask", "ping p"],
                               ["close", [4003, "ä"]], host=TLS, scheme=scheme)
            self.assertEqual(seen["got"], [*seen["sent"], "pong p"])
            self.assertEqual((seen["extensions"], seen["closed"]), ("permessage-deflate", [4003, "ä"]))
            said = self.tls.wait(path, "headers")
            self.assertEqual((said["tls"], said["headers"]["x-forwarded-proto"], said["extensions"]),
                             (True, proto, "permessage-deflate"))
            self.assertEqual(self.tls.wait(path, "closed")["closed"], [4003, "ä"])
            self.assertEqual(self.logged(path)["backend"], self.tls.url)

    def test_fifty_at_once_get_their_own(self):
        before, words = self.upgrades(), [f"# {i}" for i in range(20)]
        all_seen = self.client("/fifty", ["burst", words], ["random", 100_000], ["burst", words],
                               ["close", [1000, ""]], count=50)
        self.assertEqual(len(all_seen), 50)
        for i, seen in enumerate(all_seen):
            own = [word.replace("#", str(i)) for word in words]
            self.assertEqual((seen["got"][:20], seen["got"][21:], seen["closed"]), (own, own, [1000, ""]))
            self.assertEqual(seen["got"][20], seen["sent"][20])
        self.assertEqual(len({seen["got"][20]["sha256"] for seen in all_seen}), 50)
        self.assertEqual(self.upgrades() - before, 50)
        self.assertEqual(len(self.server.told("/fifty", "headers")), 50)
        wait_until("their ends", lambda: len(self.server.told("/fifty", "closed")) == 50)
        wait_until("their lines", lambda: sum('"path":"/fifty"' in line for line in list(self.gateway.log)) == 50)

    def test_a_server_that_vanishes_is_told_and_taken_again_when_it_is_back(self):
        server = WsServer(self.mortal_port)
        self.addCleanup(lambda: server.stop())
        waiting = self.waiting("/killed", host=MORTAL)
        with Http2(self.gateway, name=MORTAL) as client:
            killed, other = (self.extended_connect(client, f"/{host}", host=host) for host in (MORTAL, HOST))
            began = time.monotonic()
            server.stop(signal.SIGKILL)
            seen = self.end(waiting)
            self.assertEqual((seen["got"], seen["closed"]), (["here"], [1006, ""]))
            self.assertEqual(client.finish(killed).body, b"")  # no frame of the gateway's own
            self.assertLess(time.monotonic() - began, 5 * SLOW)
            frames = Frames(client, other)  # what goes elsewhere goes on
            frames.send(Opcode.TEXT, b"still here")
            self.assertEqual(frames.receive(), (Opcode.TEXT, b"still here"))
        for path, status in (("/killed", 101), (f"/{MORTAL}", 200)):
            line = self.logged(path)
            self.assertEqual((line["status"], line["host"]), (status, MORTAL))
        gone = self.client("/gone", ["text", "a"], host=MORTAL)
        self.assertEqual((gone["status"], gone["got"]), (503, []))
        server = WsServer(self.mortal_port)
        again = self.client("/again", ["text", "a"], ["close", [1000, ""]], host=MORTAL)
        self.assertEqual((again["status"], again["got"], again["closed"]), (101, ["a"], [1000, ""]))

    def test_a_client_that_vanishes_is_told_to_the_server(self):
        for host, server in ((HOST, self.server), (TLS, self.tls)):
            client = self.waiting("/left", host=host)
            server.wait("/left", "headers")
            client.stop(signal.SIGKILL)
            self.assertEqual(server.wait("/left", "closed")["closed"], [1006, ""])

    def extended_connect(self, client, path, *fields, host=HOST):
        """The stream of a WebSocket that is open (RFC 8441)."""
        stream = client.open(only=[(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
                                   (":path", path), (":authority", host), ("sec-websocket-version", "13"), *fields],
                             end=False)
        client.wait(lambda: client.streams[stream].fields)
        self.assertEqual(client.streams[stream].status, 200)
        return stream

    def test_extended_connect_with_compression(self):
        before, offer, noise = self.upgrades(), "permessage-deflate; client_max_window_bits", os.urandom(MIB)
        with Http2(self.gateway) as client:
            stream = self.extended_connect(client, "/h2", ("sec-websocket-protocol", "chat"),
                                           ("x-forwarded-for", "192.0.2.7"), ("sec-websocket-extensions", offer))
            reply = client.streams[stream].reply()
            self.assertEqual([reply.header(f"sec-websocket-{name}") for name in ("extensions", "protocol", "accept")],
                             [DEFLATE, "chat", None])
            frames = Frames(client, stream, PerMessageDeflate(False, False, 12, 15))
            for data in (noise, bytes(4 * MIB), b"", noise[:1000]):
                frames.send(Opcode.BINARY, data)
                self.assertTrue(frames.receive() == (Opcode.BINARY, data), f"{len(data)} bytes")
            self.assertTrue(MIB < frames.taken < 1.1 * MIB, frames.taken)  # so the zeros came compressed
            frames.send(Opcode.TEXT, b"one ", fin=False)
            frames.send(Opcode.PING, b"between")
            self.assertEqual(frames.receive(), (Opcode.PONG, b"between"))
            frames.send(Opcode.CONT, b"two")
            self.assertEqual(frames.receive(), (Opcode.TEXT, b"one two"))
            frames.send(Opcode.CLOSE, b"\x0f\xa4bye")
            self.assertEqual(frames.receive(), (Opcode.CLOSE, b"\x0f\xa4bye"))
            client.wait(lambda: client.streams[stream].ended)
            client.data(stream, b"", end=True)
        said = self.server.wait("/h2", "headers")
        self.assertEqual((said["protocol"], said["extensions"]), ("chat", "permessage-deflate"))
        for name, value in (("host", HOST), ("x-forwarded-for", "127.0.0.1"), ("sec-websocket-extensions", offer)):
            self.assertEqual(said["headers"][name], value, name)
        self.assertEqual(self.server.wait("/h2", "closed")["closed"], [4004, "bye"])
        line = self.logged("/h2")
        self.assertEqual((line["status"], line["protocol"], line["method"]), (200, "h2", "CONNECT"))
        self.assertEqual(self.upgrades() - before, 1)


if __name__ == "__main__":
    unittest.main()
