"""Limits, slow clients, connections without end, the drain over HTTP/1.1, the access log and the metrics."""

import contextlib
import http.client
import json
import re
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

from hyperframe.frame import HeadersFrame

from gateway_backends import Backend, is_open, new_port
from gateway_h2_backend import H2Backend
from gateway_h2_client import Http2
from gateway_lab import HOST, Gateway, read_all, read_until, route, table
from lab import BINARY, SLOW, Case, wait_until

OWN = {"status": 200, "body": "own"}
REFUSED_STREAM = 7
SLOW_HEADS = 'postern_limit_hits_total{limit="gateway.limits.header_timeout"}'


def probe(port, path):
    """What a health check at the admin address sees: (status, body)."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5 * SLOW)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


class Limits(Case):
    @classmethod
    def setUpClass(cls):
        cls.backend = Backend()
        cls.gateway = Gateway(route(cls.backend), limits={"header_bytes": "8KiB", "headers": 50, "header_timeout": "1s",
                                                          "connections": 60, "streams": 7})
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.backend.stop()
        cls.gateway.__exit__(None, None, None)

    def test_heads_that_are_too_large_are_431(self):
        cases = {"one": ["X: " + "y" * 9000], "several": [f"X-{i}: {'y' * 900}" for i in range(10)],
                 "path": None, "many": [f"X-{i}: y" for i in range(60)]}
        for name, fields in cases.items():
            for scheme, how in (("http", "--http1.1"), ("https", "--http1.1"), ("https", "--http2")):
                with self.subTest(name=name, how=how):
                    before, counted = len(self.backend.exchanges), self.gateway.metrics()
                    path = "/" if fields else "/" + "x" * 9000
                    reply = self.gateway.curl(f"{scheme}://{HOST}{path}", *(part for one in fields or ()
                                              for part in ("-H", one)), http=how, check=False)
                    self.assertIn(reply.status, (431,) if fields else (414, 431))
                    self.assertEqual(len(self.backend.exchanges), before)
                    now = self.gateway.metrics()
                    for key in ("header_bytes", "headers"):
                        limit = f'postern_limit_hits_total{{limit="gateway.limits.{key}"}}'
                        self.assertEqual(now[limit] - counted[limit], (key == "headers") == (name == "many"), key)
        within = [part for i in range(40) for part in ("-H", f"X-{i}: {'y' * 120}")]
        self.assertEqual(self.gateway.curl(f"https://{HOST}/", *within).status, 200)

    def test_heads_of_responses_have_the_same_limits(self):
        def answer(fields):
            return lambda e: e.reply(fields=fields)
        self.backend.on("/many", answer([(f"X-{i}", "y") for i in range(60)]))
        self.backend.on("/long", answer([("X", "y" * 9000)]))
        self.backend.on("/within", answer([(f"X-{i}", "y" * 120) for i in range(40)]))
        keys = ("header_bytes", "headers")
        limits = [f'postern_limit_hits_total{{limit="gateway.limits.{key}"}}' for key in keys]
        for path, counts in (("/many", (0, 1)), ("/long", (1, 0)), ("/within", (0, 0))):
            for _ in range(4):  # none of it says that the backend is not well
                before = self.gateway.metrics()
                reply = self.gateway.curl(f"http://{HOST}{path}", check=False)
                self.assertEqual(reply.status, 502 if any(counts) else 200, path)
                now = self.gateway.metrics()
                self.assertEqual(tuple(now[one] - before[one] for one in limits), counts, path)

    def test_limits_can_be_raised(self):
        """Of requests and responses, whose heads then are many CONTINUATION frames in HTTP/2."""
        many = [(f"x-{i}", "y" * 1500) for i in range(180)]
        with Backend() as backend, H2Backend() as other, Gateway(
                route(backend), route(other, hosts=["h2.vanillax.me"]),
                limits={"header_bytes": "1MiB", "headers": 1000}) as gateway:
            backend.on("/many", lambda e: e.reply(fields=many))
            other.done = lambda request: request.reply(fields=many)
            file = gateway.write("fields", "".join(f"{name}: {value}\n" for name, value in many))
            for host, fields in ((HOST, many), ("h2.vanillax.me", [])):  # python3-h2 takes no such head
                with self.subTest(host):
                    reply = gateway.curl(f"http://{host}/many", *(["-H", f"@{file}"] if fields else []), http="--http1.1")
                    self.assertEqual((reply.status, reply.header("x-179")), (200, "y" * 1500))
                    with Http2(gateway, name=host) as client:  # nor has curl one over HTTP/2
                        client.protocol.decoder.max_header_list_size = 1 << 20
                        got = client.request(*fields, path="/many", authority=host)
                        self.assertEqual((got.status, dict(got.fields)["x-179"]), (200, "y" * 1500))
            for scheme, how in (("http", "--http1.1"), ("https", "--http2")):
                self.assertEqual(gateway.curl(f"{scheme}://{HOST}/?{'x' * 50_000}", http=how).status, 200)

    def test_a_reload_changes_them_for_connections_that_are_there(self):
        many = [(f"x-{i}", "y") for i in range(60)]
        with Backend() as backend, H2Backend() as other, Gateway(
                route(backend), route(other, hosts=["h2.vanillax.me"]), limits={"headers": 50}) as gateway:
            backend.on("/", lambda e: e.reply(fields=many))
            other.done = lambda request: request.reply(fields=many)
            urls = [f"http://{HOST}/", "http://h2.vanillax.me/"]
            self.assertEqual([gateway.curl(url, check=False).status for url in urls], [502, 502])
            gateway.limits = {"headers": 70}
            gateway.change()
            wait_until("the new limit", lambda: [gateway.curl(url, check=False).status for url in urls] == [200, 200])

    def test_streams_that_are_refused_are_counted(self):
        limit = 'postern_limit_hits_total{limit="gateway.limits.streams"}'
        before = self.gateway.metrics()[limit]
        hold = threading.Event()
        self.addCleanup(hold.set)
        self.backend.on("/held", lambda e: hold.wait(20 * SLOW))
        with Http2(self.gateway) as client:  # it has not read SETTINGS
            streams = [client.open(path="/held") for _ in range(10)]
            client.wait(lambda: sum(client.streams[one].reset == REFUSED_STREAM for one in streams) == 3)
            wait_until("them to be counted", lambda: self.gateway.metrics()[limit] - before == 3)

    def test_thousands_of_streams_are_answered_at_once(self):
        with Gateway(route(respond=OWN), limits={"streams": 3000}) as gateway, Http2(gateway) as client:
            client.read(lambda: client.protocol.remote_settings.max_concurrent_streams == 3000, 5)
            flush, client.flush = client.flush, lambda: None
            streams = [client.open() for _ in range(3000)]
            client.flush = flush
            client.flush()
            client.wait(lambda: all(client.streams[one].done for one in streams), 20)
            self.assertEqual({client.streams[one].status for one in streams}, {200})

    def test_an_endless_head_is_cut_off(self):
        limit = 'postern_limit_hits_total{limit="gateway.limits.header_bytes"}'
        before = self.gateway.metrics()[limit]
        with self.gateway.dial(tls=False) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX: ".encode())
            end = time.monotonic() + 10 * SLOW
            # 431, a while for the client to read it, the end. TimeoutError would be a gateway that only stops reading.
            with self.assertRaises(ConnectionError):
                while time.monotonic() < end:
                    connection.sendall(b"y" * 10_000)
                    time.sleep(0.001)
            self.assertIn(b"HTTP/1.1 431 ", connection.recv(65536))
        self.assertEqual(self.gateway.metrics()[limit] - before, 1)

    def test_slow_heads_are_closed_whatever_they_send(self):
        def drip(connection, parts):
            began = time.monotonic()
            connection.settimeout(0.1)
            for part in parts:
                try:
                    connection.sendall(part)
                    if not connection.recv(65536) and time.monotonic() - began > 0.5:
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
                if time.monotonic() - began > 8 * SLOW:
                    break
            return time.monotonic() - began
        letters = [bytes([one]) for one in f"GET / HTTP/1.1\r\nHost: {HOST}\r\n".encode() + b"X: y\r\n" * 30]
        for name, tls in (("plain", False), ("tls", True)):
            with self.subTest(name), self.gateway.dial(tls=tls) as connection:
                self.assertTrue(0.5 < drip(connection, letters) < 5 * SLOW)
        with self.subTest("nothing at all"), self.gateway.dial(tls=False) as connection:
            connection.settimeout(8 * SLOW)
            self.assertTrue(read_all(connection)[1])
        with self.subTest("half a handshake"):
            with socket.create_connection(("127.0.0.1", self.gateway.https_port), 8 * SLOW) as connection:
                connection.sendall(b"\x16\x03\x01\x02\x00\x01")
                self.assertTrue(read_all(connection)[1])
        with self.subTest("HTTP/2 head without its end"):
            client = Http2(self.gateway)
            client.tolerant = True
            client.send(HeadersFrame(1, client.protocol.encoder.encode([(":method", "GET")])))
            client.read(lambda: client.closed or client.goaway is not None, 8)
            self.assertTrue(client.closed or client.goaway is not None)
            client.close()

    def test_each_head_on_a_kept_connection_has_its_own_time(self):
        with self.gateway.dial(tls=False) as plain, self.gateway.dial() as tls, Http2(self.gateway) as client:
            whole = f"GET /kept HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
            for one in (plain, tls):
                one.sendall(whole)
                read_until(one, b"}")
            self.assertEqual(client.request(path="/kept").status, 200)
            time.sleep(1.2)  # between two requests nothing is waited for
            for one in (plain, tls):
                one.sendall(whole)
                read_until(one, b"}")
            self.assertEqual(client.request(path="/kept").status, 200)
            before, began = self.gateway.metrics()[SLOW_HEADS], time.monotonic()
            client.send(HeadersFrame(5, client.protocol.encoder.encode([(":method", "GET")])))
            for one in (plain, tls):
                one.sendall(whole[:-2])
            select.select([plain, tls, client.socket], [], [], 6 * SLOW)
            self.assertGreater(time.monotonic() - began, 0.9)
            for one in (plain, tls):
                got, closed = read_all(one)
                self.assertTrue(closed)
                self.assertRegex(got, rb"(?is)^HTTP/1\.1 408 Request Timeout\r\n.*\r\nconnection: close\r\n")
            client.read(lambda: client.closed)
            self.assertTrue(client.closed)
            self.assertLess(time.monotonic() - began, 6 * SLOW)
            self.assertEqual(self.gateway.metrics()[SLOW_HEADS] - before, 3)
            self.assertEqual(len(self.backend.seen("/kept")), 6)

    def test_a_slow_body_is_no_slow_head(self):
        with self.gateway.dial(tls=False) as connection:
            connection.sendall(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\n".encode())
            for _ in range(10):
                connection.sendall(b"x")
                time.sleep(0.2)
            self.assertIn(b'"size": 10', read_until(connection, b"}"))

    def test_streams(self):
        with Http2(self.gateway) as client:
            self.assertEqual(client.remote(3), 7)

    def test_connections(self):
        held = []
        try:
            for _ in range(60):
                held.append(self.gateway.dial(tls=False))
            refused = 0
            for _ in range(20):
                try:
                    one = socket.create_connection(("127.0.0.1", self.gateway.http_port), 2 * SLOW)
                    held.append(one)
                    one.settimeout(0.3)
                    if one.recv(1) == b"":
                        refused += 1
                except TimeoutError:
                    pass
                except OSError:
                    refused += 1
            self.assertGreater(refused, 0)
        finally:
            for one in held:
                one.close()
        wait_until("service again", lambda: self.gateway.curl(
            f"http://{HOST}/", http="--http1.1", check=False).status == 200)


def half_a_hello():
    """The first half of what a client says first in a handshake."""
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST).do_handshake()
    return outgoing.read(outgoing.pending // 2)


class HalfOpen(Case):
    """Connections to the TLS port whose handshake does not go on."""

    FULL = 'postern_limit_hits_total{limit="gateway.limits.connections"}'
    FAILED = 'postern_gateway_tls_handshakes_total{result="failed"}'

    def gateway(self, **limits):
        """A gateway with these limits to which nobody is connected."""
        gateway = Gateway(route(respond=OWN), limits=limits)
        self.addCleanup(gateway.__exit__, None, None, None)
        gateway.start()
        wait_until("nobody to be there", lambda: gateway.metrics()["postern_gateway_connections"] == 0)
        return gateway

    def half_open(self, gateway, said=b""):
        connection = socket.create_connection(("127.0.0.1", gateway.https_port), 20 * SLOW)
        self.addCleanup(connection.close)
        connection.sendall(said)
        return connection

    def test_they_are_closed_in_time_and_counted(self):
        gateway, began = self.gateway(header_timeout="1s"), time.monotonic()
        before = gateway.metrics()
        held = [self.half_open(gateway, said) for said in (b"", b"\x16", half_a_hello()) for _ in range(5)]
        for one in held:
            self.assertEqual(read_all(one), (b"", True))
        took = time.monotonic() - began
        self.assertTrue(1 <= took < 6 * SLOW, took)
        after = gateway.metrics()
        for name in (SLOW_HEADS, self.FAILED):
            self.assertEqual(after[name] - before[name], len(held), name)
        self.assertEqual((after["postern_gateway_connections"], after[self.FULL]), (0, 0))

    def test_nor_is_http2_kept_on_which_no_request_begins(self):
        gateway = self.gateway(header_timeout="2s")
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        before, began = gateway.metrics()[SLOW_HEADS], time.monotonic()
        held = []
        for said in (b"", preface[:10], preface, preface + bytes(9)[:5], preface + b"\0\0\0\4\0\0\0\0\0"):
            held.append(self.enterContext(gateway.dial(alpn=("h2",), timeout=20)))
            held[-1].sendall(said)
        with Http2(gateway) as other:
            self.assertEqual(other.request().status, 200)
            for one in held:
                self.assertTrue(read_all(one)[1])
            took = time.monotonic() - began
            self.assertTrue(2 <= took < 6 * SLOW, took)
            self.assertEqual(gateway.metrics()[SLOW_HEADS] - before, len(held))
            self.assertEqual(other.request().status, 200)

    def test_they_count_as_connections_and_new_clients_are_served_after_them(self):
        gateway = self.gateway(header_timeout=f"{4 * SLOW:g}s", connections=20)
        before = gateway.metrics()[self.FULL]
        held = [self.half_open(gateway, half_a_hello() if i % 2 else b"") for i in range(20)]
        wait_until("all to be counted", lambda: gateway.metrics()["postern_gateway_connections"] == 20)
        for count in range(1, 6):
            self.assertEqual(read_all(self.half_open(gateway, half_a_hello())), (b"", True))
            self.assertEqual(gateway.metrics()[self.FULL] - before, count)
        self.assertEqual(gateway.metrics()["postern_gateway_connections"], 20)
        for one in held:
            self.assertEqual(read_all(one), (b"", True))
        self.assertEqual(gateway.curl(f"https://{HOST}/").body, b"own")
        self.assertEqual(gateway.metrics()[self.FULL] - before, 5)

    @staticmethod
    def announcing(size):
        """The first record of a ClientHello of that many bytes."""
        return b"\x16\x03\x01\x00\x04\x01" + size.to_bytes(3, "big")

    def test_they_need_little_memory(self):
        # At most 96 KiB each, buffers of the first moments aside; sanitizers keep books of their own.
        each = (96 << 10) if SLOW == 1 else (160 << 10) * SLOW
        for hello in (half_a_hello(), self.announcing(36_000)):
            gateway = self.gateway(header_timeout="10m")
            connections = lambda gateway=gateway: gateway.metrics()["postern_gateway_connections"]
            for count in (30, 800):
                before = gateway.rss()
                held = [self.half_open(gateway, hello) for _ in range(count)]
                self.assertEqual(gateway.curl(f"https://{HOST}/").body, b"own")  # it has read what they said before
                wait_until("them alone to be there", lambda count=count: connections() == count)
                taken = (gateway.rss() - before) / count
                for one in held:
                    one.close()
                wait_until("them to be gone", lambda: connections() == 0)
            self.assertLess(taken, each)

    def test_one_that_announces_too_much_is_ended(self):
        gateway = self.gateway(header_timeout="10m")
        for size in (48_000, 131_072):
            with self.half_open(gateway, self.announcing(size)) as one:
                got, _ = read_all(one)
                self.assertEqual(got[:1], b"\x15", got)  # an alert
        gateway.wait_log("handshake_failed: .*a message of the client's handshake is too large")
        self.assertEqual(gateway.curl(f"https://{HOST}/").body, b"own")


class Workers(Case):
    def test_the_limit_of_connections_is_one_for_all_workers(self):
        limit = 'postern_limit_hits_total{limit="gateway.limits.connections"}'
        with Backend() as backend, Gateway(route(backend), limits={"connections": 40}, server="workers = 4") as gateway:
            for _ in range(2):  # those that ended are not counted any more
                before = gateway.metrics()[limit]
                with contextlib.ExitStack() as held:
                    connections = [held.enter_context(gateway.dial(tls=False)) for _ in range(60)]
                    wait_until("the others refused", lambda before=before: gateway.metrics()[limit] >= before + 20)
                    served = 0
                    for one in connections:
                        with contextlib.suppress(OSError):
                            one.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                            served += b" 200 " in one.recv(65536)
                    self.assertEqual(served, 40)
                    self.assertEqual(gateway.metrics()[limit], before + 20)
                wait_until("all to be gone", lambda: gateway.metrics()["postern_gateway_connections"] == 0)


class Relayed(Case):
    def test_clients_of_tcp_listeners_count_as_connections(self):
        refused = 'postern_limit_hits_total{limit="gateway.limits.connections"}'
        tcp = new_port()
        with Backend("relayed") as backend, Gateway(route(respond=OWN), limits={"connections": 8}, config=table(
                "gateway.listener", {"name": "db", "address": ["127.0.0.1"], "tcp": tcp,
                                     "backends": [f"127.0.0.1:{backend.port}"]})) as gateway:
            def now():
                metrics = gateway.metrics()
                return metrics["postern_gateway_connections"], metrics["postern_gateway_tcp_connections"]

            def is_refused(port):
                """Whether a client is sent away at once."""
                with contextlib.suppress(ConnectionError), dial(port) as one:
                    return one.recv(1) == b""
                return True

            def dial(port):
                return socket.create_connection(("127.0.0.1", port), 6 * SLOW)

            def ask(connection):
                connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                return b" 200 " in connection.recv(65536)
            wait_until("nobody to be there", lambda: now() == (0, 0))
            before = gateway.metrics()[refused]
            with contextlib.ExitStack() as held:
                web = held.enter_context(gateway.dial(tls=False))
                clients = [held.enter_context(dial(tcp)) for _ in range(7)]
                wait_until("all to be counted", lambda: now() == (1, 7))
                for count, port in enumerate((tcp, gateway.http_port, gateway.https_port, tcp), 1):
                    self.assertTrue(is_refused(port))
                    self.assertEqual((gateway.metrics()[refused] - before, now()), (count, (1, 7)))
                self.assertEqual([ask(one) for one in (web, *clients)], [True] * 8)
                clients.pop().close()
                wait_until("one to be gone", lambda: now() == (1, 6))
                clients.append(held.enter_context(dial(tcp)))
                self.assertTrue(ask(clients[-1]))
                self.assertTrue(is_refused(gateway.http_port))
                for one in clients:
                    one.close()
            wait_until("all to be gone", lambda: now() == (0, 0))
            self.assertEqual(gateway.curl(f"http://{HOST}/", http="--http1.1").body, b"own")
            self.assertEqual(gateway.metrics()[refused] - before, 5)


class Descriptors(Case):
    """With 160 of them: 100 are for clients, and backends get none of the last 20."""

    def few(self, *routes, **options):
        gateway = Gateway(*routes, binary="/usr/bin/prlimit", **options)
        gateway.arguments = ["--nofile=160", BINARY, "run", "-c", str(gateway.config_path)]
        return gateway

    def hits(self, gateway, limit):
        return gateway.metrics()[f'postern_limit_hits_total{{limit="{limit}"}}']

    def test_clients_do_not_take_those_of_backends_and_the_nameserver(self):
        with Backend() as backend, self.few(route(backend)) as gateway, contextlib.ExitStack() as held:
            gateway.wait_log(r"open_files: 100 connections at most in place of 20000")
            connections = [held.enter_context(gateway.dial(tls=False)) for _ in range(200)]
            wait_until("the others refused", lambda: self.hits(gateway, "gateway.limits.connections") >= 100)
            connections[0].sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            self.assertIn(b" 200 ", read_until(connections[0], b"\r\n"))

    def relayed(self, postgres):
        """Whether a TCP client is served; it is reset or closed when there is no connection for it."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", postgres), 6 * SLOW) as client:
            client.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            return b" 200 " in client.recv(4096)
        return False

    def test_connections_to_backends_leave_some_for_the_rest(self):
        go, other, postgres = threading.Event(), "other.vanillax.me", new_port()
        with Backend("slow") as slow, Backend("other") as backend, Backend("checked") as checked:
            slow.on("/slow", lambda e: (go.wait(60 * SLOW), e.reply()))
            backend.on("/socket", lambda e: (
                e.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"),
                e.connection.recv(1)))
            listener = {"name": "postgres", "address": ["127.0.0.1"], "tcp": postgres,
                        "backends": [f"127.0.0.1:{backend.port}"]}
            health = {"path": "/health", "interval": "300ms"}
            with self.few(route(slow), route(backend, hosts=[other]),
                          route(checked, hosts=["checked.vanillax.me"], health=health),
                          config=table("gateway.listener", listener)) as gateway, \
                    Http2(gateway) as one, Http2(gateway) as two, gateway.dial(tls=False) as upgraded:
                upgraded.sendall(f"GET /socket HTTP/1.1\r\nHost: {other}\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
                                 .encode())
                read_until(upgraded, b"\r\n\r\n")
                begin = time.monotonic()
                streams = [(client, client.open(path="/slow")) for _ in range(100) for client in (one, two)]
                gateway.wait_log(rf"files_short: {slow.url}: no file descriptor was left")
                wait_until("all that are free", lambda: len(slow.exchanges) > 70)
                # Names are answered, the reason can be seen, and the configuration can be changed.
                self.assertEqual(gateway.ask("x.invalid.", tcp=True).rcode(), 3)
                self.assertGreater(self.hits(gateway, "file_descriptors"), 0)
                self.assertRegex(gateway.change(limits={"streams": 250}), r"\breloaded\b")
                # Nobody waits for ever for what is not given back: not those behind these, nor those of another
                # backend, whose only connection is an upgraded one.
                self.assertEqual(gateway.curl(f"http://{other}/late", http="--http1.1").status, 503)
                self.assertGreater(time.monotonic() - begin, 4.5)
                self.assertIn("no file descriptor was left for a connection", gateway.access("/late"))
                begun = len(slow.exchanges)
                self.assertLess(begun, 130)
                self.assertFalse(self.relayed(postgres))
                self.assertRegex(gateway.access("listener=postgres"), "failure=.*Too many open files")
                go.set()
                statuses = [client.finish(stream).status for client, stream in streams]
                self.assertEqual((statuses.count(200), statuses.count(503)), (begun, 200 - begun))
                # Once there are some again all goes on, though the first backend's could be kept.
                self.assertEqual(gateway.curl(f"http://{other}/", http="--http1.1").status, 200)
                wait_until("TCP to be relayed again", lambda: self.relayed(postgres))
            # None of it is a backend's fault.
            self.assertEqual([line for line in gateway.log if re.search("backend_(down|unhealthy)", line)], [])

    def test_requests_wait_for_those_that_are_given_back(self):
        for close in (False, True):
            with self.subTest(close=close), Backend() as backend, self.few(route(backend)) as gateway, \
                    Http2(gateway) as one, Http2(gateway) as two:
                fields = [("Connection", "close")] if close else []
                backend.on("/slow", lambda e, fields=fields: (time.sleep(0.2), e.reply(fields=fields)))
                begin = time.monotonic()
                streams = [(client, client.open(path="/slow")) for _ in range(100) for client in (one, two)]
                self.assertEqual([client.finish(stream).status for client, stream in streams], [200] * 200)
                self.assertLess(time.monotonic() - begin, 4 * SLOW)
                self.assertLess(self.hits(gateway, "file_descriptors"), 201)

    def test_who_waits_for_one_is_not_forgotten_when_the_name_has_to_be_asked_for_again(self):
        with Backend() as backend:
            backend.on("/slow", lambda e: (time.sleep(1.9), e.reply(fields=[("Connection", "close")])))
            zone = "@ 1 SOA ns hostmaster 1 60 60 60 60\n@ 1 NS ns\nns 1 A 192.0.2.1\nsvc 1 A 127.0.0.1\n"
            with self.few(route(f"http://svc.inside.example:{backend.port}"), files={"zone": zone}, limits={"streams": 200},
                          config='[[dns.zone]]\nname = "inside.example"\nfile = "zone"\n') as gateway, \
                    Http2(gateway) as one, Http2(gateway) as two:
                # More than 5 seconds of them, which is the least time that an address holds.
                streams = [(client, client.open(path="/slow")) for _ in range(190) for client in (one, two)]
                for client in (one, two):
                    client.read(lambda client=client: all(one.done for one in client.streams.values()), 20 * SLOW)
                self.assertEqual([client.streams[stream].status for client, stream in streams], [200] * 380)

    def test_idle_connections_go_while_there_are_too_few(self):
        go = threading.Event()
        with Backend() as slow, contextlib.ExitStack() as held:
            slow.on("/slow", lambda e: (go.wait(60 * SLOW), e.reply()))
            others = [held.enter_context(H2Backend() if i % 2 else Backend()) for i in range(60)]
            with self.few(route(slow), *[route(one, hosts=[f"b{i}.vanillax.me"]) for i, one in enumerate(others)]) \
                    as gateway, Http2(gateway) as client:
                for i in range(60):
                    self.assertEqual(client.request(authority=f"b{i}.vanillax.me").status, 200)
                streams = [client.open(path="/slow") for _ in range(75)]
                wait_until("all to be there", lambda: len(slow.exchanges) == 75)
                go.set()
                self.assertEqual([client.finish(one).status for one in streams], [200] * 75)

    def test_a_backend_that_hangs_is_unhealthy_even_when_its_requests_have_them_all(self):
        go = threading.Event()
        with Backend() as backend:
            backend.on("/slow", lambda e: (go.wait(60 * SLOW), e.reply()))
            backend.on("/health", lambda e: go.wait(60 * SLOW))
            with self.few(route(backend, health={"path": "/health", "interval": "1s"})) as gateway, \
                    Http2(gateway) as one, Http2(gateway) as two:
                wait_until("a probe", lambda: backend.seen("/health"))
                for _ in range(100):
                    for client in (one, two):
                        client.open(path="/slow")
                gateway.wait_log("backend_unhealthy: .*: no answer in time")
                go.set()


class BackendConnections(Case):
    def test_requests_at_a_time_have_one_each_and_512_are_kept(self):
        go, often = threading.Event(), 200
        with Backend() as backend, Gateway(route(backend), limits={"streams": often}) as gateway:
            backend.on("/slow", lambda e: (go.wait(60 * SLOW), e.reply()))
            figure = lambda what: gateway.metrics()[f'postern_gateway_backend_{what}{{backend="{backend.url}"}}']
            with contextlib.ExitStack() as held:
                clients = [held.enter_context(Http2(gateway)) for _ in range(3)]
                for opened in (600, 688):  # the second time 512 are there
                    go.clear()
                    begun = len(backend.exchanges)
                    streams = [(client, client.open(path="/slow")) for _ in range(often) for client in clients]
                    wait_until("all at the backend", lambda begun=begun: len(backend.exchanges) - begun == 600, 20)
                    self.assertEqual((len(backend.open), backend.accepted, figure("connections")), (600, opened, 600))
                    go.set()
                    for client, stream in streams:
                        self.assertEqual(client.finish(stream).status, 200)
                    wait_until("88 to be closed", lambda: len(backend.open) == 512)
                    self.assertEqual((figure("connections"), figure("idle_connections")), (512, 512))


    def test_16384_requests_wait_for_one(self):
        silent = socket.create_server(("127.0.0.1", 0), backlog=64)  # no handshake gets an answer
        with silent, Gateway(route(f"https://127.0.0.1:{silent.getsockname()[1]}"),
                             limits={"streams": 10_000}) as gateway:
            load = subprocess.Popen(["h2load", "-n", "17000", "-c", "2", "-m", "8500", "-t", "1",
                                     f"--connect-to=127.0.0.1:{gateway.https_port}",
                                     f"https://{HOST}:{gateway.https_port}/"], stdout=subprocess.PIPE, text=True)
            full = 'postern_limit_hits_total{limit="gateway_backend_waiting"}'
            wait_until("the others to be refused", lambda: gateway.metrics()[full] == 17000 - 16384)
            silent.close()
            self.assertIn("17000 done, 0 succeeded", load.communicate(timeout=60 * SLOW)[0])
            self.assertEqual(gateway.metrics()[full], 17000 - 16384)
        refused = [line for line in gateway.log if "too many requests wait for this backend" in line]
        self.assertEqual((len(refused), sum(" status=503 " in one for one in refused)), (616, 616))


class Drain(Case):
    def test_sigterm_lets_requests_finish_and_takes_no_new_connections(self):
        go = threading.Event()
        with Backend() as backend:
            backend.on("/slow", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"), go.wait(20 * SLOW),
                                           e.send("def")))
            gateway = Gateway(route(backend))
            with gateway, gateway.dial(tls=False) as connection, gateway.dial() as upload:
                connection.sendall(f"GET /slow HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                upload.sendall(f"POST /up HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 6\r\n\r\nabc".encode())
                got = read_until(connection, b"abc")
                wait_until("the upload at the backend", lambda: backend.seen("/up"))
                gateway.process.send_signal(signal.SIGTERM)
                wait_until("the listener to be closed", lambda: not is_open(gateway.http_port))
                self.assertIsNone(gateway.process.poll())
                upload.sendall(b"def")
                uploaded = read_until(upload, b"}")
                self.assertIn(b'"size": 6', uploaded)
                go.set()
                got += read_all(connection)[0]
                self.assertTrue(got.endswith(b"abcdef"))
                self.assertRegex(uploaded, rb"(?i)\r\nconnection: close\r\n")
                self.assertEqual(gateway.process.wait(10 * SLOW), 0)

    def test_while_requests_end_names_are_answered_and_the_log_says_what_is_waited_for(self):
        go = threading.Event()
        self.addCleanup(go.set)
        with Backend() as backend:
            backend.on("/slow", lambda e: (go.wait(60 * SLOW), e.reply()))
            gateway = Gateway(route(backend), server="workers = 3")
            with gateway, gateway.dial(tls=False, timeout=30) as connection:
                connection.sendall(f"GET /slow HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                wait_until("the request", lambda: backend.seen("/slow"))
                mark = len(gateway.log)
                gateway.process.send_signal(signal.SIGTERM)
                gateway.wait_log("stopping: waiting for 1 HTTP connection, 0 relayed", mark, 12)
                for tcp in (False, True):
                    for _ in range(6):
                        self.assertEqual(gateway.answer(HOST, tcp=tcp), ["127.0.0.1"])
                go.set()
                self.assertIn(b" 200 ", read_all(connection)[0])
                self.assertEqual(gateway.process.wait(10 * SLOW), 0)
                self.assertIn("stopped: all workers have ended", gateway.log[-1])
                self.assertEqual(sum("waiting for" in line for line in gateway.log), 1)

    def test_while_it_stops_it_is_alive_and_not_ready(self):
        go = threading.Event()
        with Backend() as backend:
            backend.on("/slow", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"), go.wait(30 * SLOW),
                                           e.send("def")))
            gateway = Gateway(route(backend))
            probes = lambda: tuple(probe(gateway.admin_port, path) for path in ("/healthz", "/readyz"))
            with gateway, gateway.dial(tls=False) as connection:
                self.assertEqual(probes(), ((200, "ok\n"), (200, "ready\n")))
                connection.sendall(f"GET /slow HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                got = read_until(connection, b"abc")
                gateway.process.send_signal(signal.SIGTERM)
                wait_until("no new requests", lambda: not is_open(gateway.http_port))
                # Until the end, and by connections that began after the signal.
                until = time.monotonic() + 2
                while time.monotonic() < until:
                    self.assertEqual(probes(), ((200, "ok\n"), (503, "stopping\n")))
                go.set()
                got += read_all(connection)[0]
                self.assertTrue(got.endswith(b"abcdef"))
                self.assertEqual(gateway.process.wait(10 * SLOW), 0)


class Log(Case):
    def requests(self, gateway):
        """Several kinds of request, each with a word of its own in the path."""
        gateway.curl(f"https://{HOST}/word-get?q=1")
        gateway.curl(f"http://{HOST}/word-post", "-d", "x" * 10, http="--http1.1")
        gateway.curl("http://nobody.vanillax.me/word-404", http="--http1.1")
        gateway.curl(f"https://{HOST}/word-cut", check=False)

    def gateway(self, backend, form):
        backend.on("/word-cut", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc"), e.close()))
        backend.on("/word-get", lambda e: e.reply(201, body=b"z" * 1234))
        return Gateway(route(backend), server=f'log = {{ level = "info", format = "{form}", requests = true }}')

    def test_json(self):
        with Backend() as backend, self.gateway(backend, "json") as gateway:
            self.requests(gateway)
            get = json.loads(gateway.access("/word-get"))
            text = json.dumps(get)
            values = [str(one) for one in get.values()]
            for part in ("127.0.0.1", HOST, "GET", "h2", "201", "1234", "/word-get"):
                self.assertTrue(any(part.lower() in one.lower() for one in values), f"{part} in {text}")
            self.assertIn(f"127.0.0.1:{backend.port}", text)
            self.assertEqual((get["sni"], get["listener"], get["sent"], get["received"]), (HOST, "internal", 1234, 0))
            self.assertRegex(get["route"], r"postern\.toml:\d+$")
            self.assertRegex(get["request_id"], r"^[0-9a-f]{32}$")
            self.assertTrue(0 < get["first_byte_ms"] <= get["ms"] < 5000 * SLOW, text)
            post = json.loads(gateway.access("/word-post"))
            self.assertEqual((post.get("sni", ""), post["received"], post["protocol"]), ("", 10, "http/1.1"))
            self.assertEqual((get["method"], get["host"], int(get["status"])), ("GET", HOST, 201))
            self.assertRegex(text, r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d")
            self.assertEqual(json.loads(gateway.access("/word-post"))["method"], "POST")
            self.assertEqual(int(json.loads(gateway.access("/word-404"))["status"]), 404)
            cut = json.loads(gateway.access("/word-cut"))
            self.assertGreater(len(json.dumps(cut)), 20)
            self.assertRegex(json.dumps(cut), r"(?i)backend")
            self.assertNotEqual({key for key in cut if cut[key]} - {key for key in get if get[key]}, set(),
                                "no word of the failure")
            for word in ("get", "post", "404", "cut"):
                self.assertEqual(len([one for one in gateway.log if f"/word-{word}" in one]), 1)
            for line in gateway.log:
                json.loads(line)

    def test_text(self):
        with Backend() as backend, self.gateway(backend, "text") as gateway:
            self.requests(gateway)
            start = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info    request: "
            ends = {"route": r".*/postern\.toml:\d+", "backend": re.escape(backend.url), "request_id": "[0-9a-f]{32}"}
            cut = "the backend closed the connection within the response"
            for word, begin, status, sent, received, rest in (
                    ("get", {"sni": HOST, "protocol": "h2", "method": "GET", "host": HOST, "path": r"/word-get\?q=1"},
                     201, 1234, 0, ends),
                    ("post", {"protocol": "http/1.1", "method": "POST", "host": HOST, "path": "/word-post"},
                     200, r"\d+", 10, ends),
                    ("404", {"protocol": "http/1.1", "method": "GET", "host": "nobody.vanillax.me",
                             "path": "/word-404"}, 404, r"\d+", 0, {"failure": '"no route"'}),
                    ("cut", {"sni": HOST, "protocol": "h2", "method": "GET", "host": HOST, "path": "/word-cut"},
                     200, 3, 0, {**ends, "failure": f'"{cut}"'})):
                line = gateway.access(f"/word-{word}")
                wanted = {"client": r"127\.0\.0\.1", "listener": "internal", **begin, "status": status, "sent": sent,
                          "received": received, "ms": r"(\d+\.\d{3})", "first_byte_ms": r"(\d+\.\d{3})", **rest}
                self.assertRegex(line, pattern := f"^{start}{' '.join(f'{k}={v}' for k, v in wanted.items())}$")
                whole, first = map(float, re.match(pattern, line).groups())
                self.assertTrue(0 <= first <= whole < 5000 * SLOW, line)

    def test_what_is_long_is_cut(self):
        with Backend() as backend, self.gateway(backend, "json") as gateway:
            path = "/word-long" + "x" * 3000
            gateway.curl(f"https://{HOST}{path}", "-H", f"X-Request-Id: {'i' * 100}")
            line = json.loads(gateway.access("/word-long"))
            self.assertEqual((line["path"], line["request_id"]), (path[:1024] + "...", "i" * 100))

    def test_nobody_writes_lines_of_their_own_into_it(self):
        with Backend() as backend, self.gateway(backend, "text") as gateway:
            with Http2(gateway) as client:
                client.request(path="/forged%0aline\"\x1b[31m", authority=HOST)
            gateway.curl(f"http://{HOST}/word-get", "-H", "X-Request-Id: a\tb", "-A", "evil\" status=999", http="--http1.1")
            gateway.access("/word-get")
            self.assertFalse(any("\x1b" in one for one in gateway.log))

    def test_off(self):
        gateway = Gateway(route(respond=OWN), server='log = { level = "info", requests = false }')
        with gateway:
            gateway.curl(f"https://{HOST}/word-none")
            gateway.curl(f"https://{HOST}/word-none")
        self.assertFalse(any("/word-none" in one for one in gateway.log))

    def test_metrics_count_requests_and_connections(self):
        with Backend() as backend, Gateway(route(backend)) as gateway:
            before = gateway.metrics()
            for _ in range(7):
                gateway.curl(f"https://{HOST}/")
            grown = {}

            def seven():
                after = gateway.metrics()
                grown.update({name: after[name] - before.get(name, 0) for name in after})
                return any(value == 7 and re.search("request", name) for name, value in grown.items())
            wait_until("seven requests in the metrics", seven)


if __name__ == "__main__":
    unittest.main()
