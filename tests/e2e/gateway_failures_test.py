"""Backends that die, answer nonsense or are not there, clients that leave, and requests that are sent again."""

import concurrent.futures
import contextlib
import http.server
import pathlib
import re
import signal
import socket
import ssl
import threading
import time
import unittest

from gateway_backends import Backend, new_port, server_context
from gateway_h2_backend import H2Backend
from gateway_h2_client import Http2
from gateway_lab import HOST, EchoCase, Gateway, read_until, route, tls_context
from lab import SLOW, Case, run, wait_until

PROTOCOL_ERROR, INTERNAL_ERROR = 1, 2  # RFC 9113 section 7


def sleep_until(when):
    time.sleep(max(0, when - time.monotonic()))


class LeftOut(Case):
    """Backends that take connections and do not answer, next to one that does."""

    def spread(self, gateway, count):
        """How many requests of this many each backend got, and the statuses."""
        return [gateway.curl(f"http://{HOST}/", http="--http1.1").status for _ in range(count)]

    def left_out(self, silent, **keys):
        """`silent` is a handler of "/". One that got three requests in vain gets no more until it has rested."""
        bad, good = Backend("bad"), Backend("good")
        good.on("/", lambda e: (time.sleep(0.01), e.reply()))
        with bad, good, Gateway(route(bad, good, **keys)) as gateway:
            bad.on("/", silent)
            statuses = self.spread(gateway, 30)
            asked = len(bad.seen("/"))
            self.assertGreaterEqual(asked, 3)
            self.assertLess(asked, 9)  # a new try after each rest
            self.assertEqual(statuses.count(200), 30 - asked)
            gateway.wait_log(f"backend_down: {bad.url}: 3 requests in a row were not answered: ")
            self.assertEqual(gateway.metrics()[f'postern_gateway_backend_healthy{{backend="{bad.url}"}}'], 0)
            bad.on("/", lambda e: e.reply())
            wait_until("its return", lambda: self.spread(gateway, 2) and gateway.metrics()[
                f'postern_gateway_backend_healthy{{backend="{bad.url}"}}'] == 1, seconds=40)
            gateway.wait_log(f"backend_up: {bad.url} answers again")
            self.assertEqual(self.spread(gateway, 10), [200] * 10)
        return statuses

    def test_one_that_closes_every_connection(self):
        self.assertIn(502, self.left_out(lambda e: e.close()))

    def test_one_that_resets_every_connection(self):
        self.assertIn(502, self.left_out(lambda e: e.reset()))

    def test_one_that_speaks_something_else(self):
        self.assertIn(502, self.left_out(lambda e: (e.send("220 ready\r\n\r\n"), e.close())))

    def test_one_that_does_not_answer_in_time(self):
        self.assertIn(504, self.left_out(lambda e: (time.sleep(0.5), e.close()), timeouts={"backend": "200ms"}))

    def test_one_that_is_silent_for_too_long(self):
        self.assertIn(504, self.left_out(lambda e: (time.sleep(1), e.close()), timeouts={"idle": "200ms"}))

    def resets(self, code):
        """Of two backends one resets the streams of a connection that has served: which of 30 requests failed, what was
        said of it."""
        def answer(request):
            if request.fields[":path"] == "/" and request.peer.backend is bad:
                request.peer.protocol.reset_stream(request.number, code)
            else:
                time.sleep(0.01)
                request.reply()
        before = [{"path_exact": "/before"}]
        with H2Backend() as bad, H2Backend() as good, Gateway(
                route(bad, good), route(bad, matches=before)) as gateway:
            bad.done = good.done = answer
            for path in ("/before", "/before"):
                self.assertEqual(gateway.curl(f"http://{HOST}{path}", http="--http1.1").status, 200)
            return self.spread(gateway, 30), [line for line in gateway.log if "backend_down" in line]

    def test_one_that_resets_every_stream(self):
        statuses, told = self.resets(INTERNAL_ERROR)
        self.assertLess(statuses.count(502), 9)
        self.assertRegex("".join(told), "3 requests in a row were not answered: the backend reset the stream")

    def test_a_request_that_a_backend_does_not_want_is_its_own_fault(self):
        statuses, told = self.resets(PROTOCOL_ERROR)
        self.assertGreater(statuses.count(502), 9)
        self.assertEqual(told, [])

    def test_what_another_backend_answered_has_not_failed(self):
        with Backend() as good, Gateway(route({"url": f"http://127.0.0.1:{new_port()}", "weight": 1000},
                                              {"url": good.url, "weight": 1})) as gateway:
            good.on("/", lambda e: e.reply())
            self.assertEqual(self.spread(gateway, 1), [200])
            line = gateway.access("status=200")
            self.assertIn(f" backend={good.url} ", line)
            self.assertNotIn("failure=", line)

    def test_clients_cannot_have_one_left_out(self):
        """Neither by asking for an upgrade of what is a page, nor by uploads that it refuses."""
        with Backend() as plain, Backend() as other, Gateway(route(plain, other)) as gateway:
            for one in (plain, other):
                one.on("/page", lambda e: e.reply(body=b"page"))
                one.on("/up", lambda e: e.reset())
            head = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/page"),
                    (":authority", HOST), ("sec-websocket-version", "13")]
            with Http2(gateway) as client:
                for _ in range(20):
                    stream = client.open(only=head, end=False)
                    client.wait(lambda stream=stream: client.streams[stream].fields)
                    self.assertEqual(client.streams[stream].status, 502)
            for _ in range(20):
                gateway.curl(f"http://{HOST}/up", "-d", "x" * 5000, http="--http1.1", check=False)
            metrics = gateway.metrics()
            for one in (plain, other):
                self.assertEqual(metrics[f'postern_gateway_backend_healthy{{backend="{one.url}"}}'], 1)

    def test_the_only_one_is_asked_all_the_same(self):
        with Backend() as backend, Gateway(route(backend)) as gateway:
            backend.on("/", lambda e: e.close())
            self.assertEqual(self.spread(gateway, 5), [502] * 5)
            self.assertEqual(len(backend.seen("/")), 5)
            backend.on("/", lambda e: e.reply())
            self.assertEqual(self.spread(gateway, 3), [200] * 3)


@contextlib.contextmanager
def silence(address):
    """Whoever connects there hears nothing: the queue is full."""
    with socket.create_server(address, backlog=0), contextlib.ExitStack() as held:
        with contextlib.suppress(TimeoutError):
            for _ in range(10):
                held.enter_context(socket.create_connection(address, 0.3))
            raise AssertionError(f"{address} still answers")
        yield


class Addresses(Case):
    """Of one name, two, of which one does not do."""

    ZONE = "@ 1 SOA ns hostmaster 1 60 60 60 60\n@ 1 NS ns\nns 1 A 192.0.2.1\n"

    @contextlib.contextmanager
    def lab(self, make=Backend, others=(), addresses=(1, 2), **keys):
        """Two backends at one name and the gateway before them, and what that is called in its log."""
        with make() as one, make(port=one.port, host="127.0.0.2") as two:
            name = f"{'h2c' if make is H2Backend else 'http'}://svc.inside.example:{one.port}"
            records = "".join(f"svc 60 A 127.0.0.{number}\n" for number in addresses)
            with Gateway(route(name, *others, **keys), files={"zone": self.ZONE + records},
                         config='[[dns.zone]]\nname = "inside.example"\nfile = "zone"\n') as gateway:
                yield gateway, one, two, name

    def asked(self, gateway, *backends, count=12):
        """To which of these as many requests went, and their statuses."""
        path = f"/{time.monotonic_ns()}"
        statuses = {gateway.curl(f"http://{HOST}{path}", http="--http1.1").status for _ in range(count)}
        target = lambda one: getattr(one, "target", None) or one.fields[":path"]
        return [sum(target(one) == path for one in backend.exchanges) for backend in backends], statuses

    def healthy(self, gateway, name):
        return gateway.metrics()[f'postern_gateway_backend_healthy{{backend="{name}"}}']

    def left_out(self, gateway, name):
        return gateway.metrics()[f'postern_gateway_backend_addresses_left_out{{backend="{name}"}}']

    def told(self, gateway, act, pattern):
        mark = len(gateway.log)
        act()
        gateway.wait_log(pattern, mark)

    def one_after_the_other(self, gateway, one, two, name, fail, mend, why):
        """Each fails its health check for a while: all requests go to the other one, none is lost."""
        for bad, good in ((one, two), (two, one)):
            self.asked(gateway, count=4)  # what is kept may lead to either
            at = rf"{name}/health at {bad.host}:{bad.port}"
            self.told(gateway, lambda bad=bad: fail(bad), f"backend_unhealthy: {at}: {why}")
            self.assertEqual(self.asked(gateway, bad, good), ([0, 12], {200}))
            self.assertEqual((self.healthy(gateway, name), self.left_out(gateway, name)), (1, 1))
            self.told(gateway, lambda bad=bad: mend(bad), f"backend_healthy: {at} answers again")
        self.assertEqual([line for line in gateway.log if " status=5" in line], [])

    def test_the_one_that_fails_its_health_check_is_left_out(self):
        hold = threading.Event()
        self.addCleanup(hold.set)
        for answer, why in ((lambda e: e.reply(500), "status 500"), (lambda e: e.close(), "the backend closed the conn"),
                            (lambda e: hold.wait(20 * SLOW), "no answer in time")):
            with self.subTest(why), self.lab(health={"path": "/health", "interval": "300ms"}) as (gateway, one, two, name):
                self.one_after_the_other(gateway, one, two, name, lambda bad, answer=answer: bad.on("/health", answer),
                                         lambda bad: bad.on("/health", lambda e: e.reply()), why)
                said = run("status", "-c", gateway.config_path)[1]
                self.assertRegex(said, rf"{name} good, \d+ requests")
                one.on("/health", lambda e: e.reply(500))
                wait_until("the first to be left out", lambda: self.left_out(gateway, name) == 1)
                said = run("status", "-c", gateway.config_path)[1]
                self.assertRegex(said, rf"{name} without 1 of its addresses, \d+ requests")
                two.on("/health", lambda e: e.reply(500))
                wait_until("both to be left out", lambda: self.healthy(gateway, name) == 0)
                self.assertEqual(self.asked(gateway, one, two, count=3), ([0, 0], {503}))
                self.assertIn("no backend passes its health check", gateway.access("status=503"))

    def test_the_one_that_fails_its_health_check_in_h2c(self):
        sick = set()
        with self.lab(H2Backend, health={"path": "/health", "interval": "300ms"}) as (gateway, one, two, name):
            one.done = two.done = lambda request: request.reply(
                500 if request.fields[":path"] == "/health" and request.peer.backend in sick else 200)
            self.one_after_the_other(gateway, one, two, name, sick.add, sick.remove, "status 500")

    def test_the_one_that_does_not_answer_is_left_out(self):
        with self.lab() as (gateway, one, two, name):
            one.on("/x", lambda e: e.close())
            tries = 0
            while not any("backend_down" in line for line in gateway.log):
                gateway.curl(f"http://{HOST}/x", http="--http1.1")
                two.drop()  # so that the next request finds no kept connection
                tries += 1
                self.assertLess(tries, 60)
            gateway.wait_log(rf"backend_down: {name} at 127.0.0.1:{one.port}: 3 requests in a row were not answered")
            self.assertEqual(self.asked(gateway, one, two, count=6), ([0, 6], {200}))
            self.assertEqual(self.healthy(gateway, name), 1)

    def test_who_waits_for_one_that_falls_sick_gets_another(self):
        for make in (Backend, H2Backend):
            with self.subTest(make.__name__), make(host="127.0.0.2") as two, silence(("127.0.0.1", two.port)):
                name = f"{two.url.partition(':')[0]}://svc.inside.example:{two.port}"
                with Gateway(route(name, health={"path": "/health", "interval": "600ms"}),
                             files={"zone": self.ZONE + "svc 60 A 127.0.0.1\nsvc 60 A 127.0.0.2\n"},
                             config='[[dns.zone]]\nname = "inside.example"\nfile = "zone"\n') as gateway:
                    replies = [gateway.curl(f"http://{HOST}/", http="--http1.1") for _ in range(3)]
                    self.assertEqual([reply.status for reply in replies], [200] * 3)
                    self.assertLess(sum(reply.seconds for reply in replies), 2.5 * SLOW)  # to connect takes 5
                    gateway.wait_log(f"backend_unhealthy: .* at 127.0.0.1:{two.port}: no answer in time")

    def test_health_checks_alone_tell_that_a_backend_is_back(self):
        with Backend() as backend, Gateway(route(backend, health={"path": "/health", "interval": "300ms"})) as gateway:
            backend.on("/health", lambda e: e.reply())
            wait_until("it to be well", lambda: backend.seen("/health"))
            backend.stop()
            self.assertIn(gateway.curl(f"http://{HOST}/", http="--http1.1").status, (502, 503))
            gateway.wait_log("backend_unhealthy")
            self.assertEqual(self.healthy(gateway, backend.url), 0)
            backend.start()
            wait_until("it to be well again", lambda: self.healthy(gateway, backend.url) == 1)

    def test_a_name_without_an_address_is_not_looked_up_but_for_a_request(self):
        with Backend() as other, self.lab(addresses=(), others=[other.url]) as (gateway, one, _, name):
            self.assertEqual(self.asked(gateway, other), ([12], {200}))
            gateway.wait_log(f"backend_down: {name}: .*our nameserver says NXDOMAIN")
            queries = lambda: sum(value for key, value in gateway.metrics().items() if key.startswith("postern_dns_queries_total"))
            before = queries()
            time.sleep(6)
            self.assertEqual(queries(), before)
            gateway.write("zone", self.ZONE.replace("hostmaster 1", "hostmaster 2") + "svc 60 A 127.0.0.1\n")
            gateway.reload()
            wait_until("it to be used", lambda: self.asked(gateway, one)[0] != [0], 15)
            gateway.wait_log(f"backend_up: {name} has an address again")

    def test_a_name_without_an_address_fails_its_health_check_and_is_asked_for_again(self):
        with Backend() as other, self.lab(addresses=(), others=[other.url],
                                          health={"path": "/health", "interval": "300ms"}) as (gateway, one, _, name):
            wait_until("it to be left out", lambda: self.healthy(gateway, name) == 0)
            self.assertEqual(self.asked(gateway, other), ([12], {200}))
            gateway.write("zone", self.ZONE.replace("hostmaster 1", "hostmaster 2") + "svc 60 A 127.0.0.1\n")
            gateway.reload()
            wait_until("it to be well", lambda: self.healthy(gateway, name) == 1, 15)
            wait_until("it to be used", lambda: self.asked(gateway, one)[0] != [0])


class Failing(EchoCase):
    def test_a_backend_that_dies_in_the_body_is_an_error_not_a_short_success(self):
        cases = {"/cut-length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
                 "/cut-chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nabc",
                 "/cut-chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"}
        for path, text in cases.items():
            self.backend.on(path, lambda e, text=text: (e.send(text), time.sleep(0.05), e.close()))
            self.backend.on(path + "-reset", lambda e, text=text: (e.send(text), time.sleep(0.05), e.reset()))
            for one in (path, path + "-reset"):
                for scheme, how in (("http", "--http1.1"), ("https", "--http1.1"), ("https", "--http2")):
                    with self.subTest(path=one, scheme=scheme, how=how):
                        reply = self.gateway.curl(f"{scheme}://{HOST}{one}", http=how, check=False)
                        self.assertNotEqual(reply.code, 0)
                        self.assertEqual((reply.status, reply.body), (200, b"abc"))

    def test_so_it_is_for_clients_of_http_1_0(self):
        chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        self.backend.on("/whole-1.0", lambda e: e.send(chunked, "0\r\n\r\n"))
        self.backend.on("/cut-1.0", lambda e: (e.send(chunked), time.sleep(0.05), e.close()))
        self.backend.on("/reset-1.0", lambda e: (e.send(chunked), time.sleep(0.05), e.reset()))
        self.backend.on("/short-1.0", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"),
                                                 time.sleep(0.05), e.close()))
        for path, whole in (("/whole-1.0", True), ("/cut-1.0", False), ("/reset-1.0", False), ("/short-1.0", False)):
            for port, context in ((self.gateway.http_port, None), (self.gateway.https_port, tls_context())):
                with self.subTest(path, tls=context is not None):
                    got, error = self.ask_1_0(path, port, context)
                    self.assertRegex(got, rb"^HTTP/1\.[01] 200 [^\0]*\r\n\r\nabc$")
                    if whole:
                        self.assertIsNone(error)
                    else:
                        self.assertIsInstance(error, (ConnectionResetError, ssl.SSLEOFError))

    @staticmethod
    def ask_1_0(path, port, context):
        """What came, and with which error it ended. Without one, over TLS, it ended with close_notify."""
        client = socket.create_connection(("127.0.0.1", port), 6 * SLOW)
        if context:
            client = context.wrap_socket(client, server_hostname=HOST, suppress_ragged_eofs=False)
        got = b""
        with client:
            client.sendall(f"GET {path} HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
            try:
                while part := client.recv(65536):
                    got += part
            except OSError as error:
                return got, error
        return got, None

    def test_over_tls_only_close_notify_ends_an_answer_without_a_length(self):
        def answer(end):
            return lambda e: (e.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"), end(e))
        with Backend(context=server_context("127.0.0.1")) as backend, Gateway(route(backend)) as gateway:
            backend.on("/whole", answer(lambda e: e.connection.unwrap()))
            backend.on("/cut", answer(lambda e: e.connection.shutdown(socket.SHUT_WR)))
            backend.on("/length", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
                                             e.connection.shutdown(socket.SHUT_WR)))
            for path, whole in (("/whole", True), ("/cut", False), ("/length", True)):
                for how in ("--http1.1", "--http2"):
                    with self.subTest(path=path, how=how):
                        reply = gateway.curl(f"https://{HOST}{path}", http=how, check=False)
                        self.assertEqual((reply.status, reply.body, reply.code == 0), (200, b"abc", whole))
            gateway.wait_log('path=/cut .* failure=".*without close_notify"')

    def test_an_answer_that_is_no_http_is_a_502(self):
        for i, text in enumerate(("", "nonsense\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nX Y: z\r\n\r\n",
                                  "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
                                  "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabcd",
                                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabcd",
                                  "HTTP/1.1 200 OK\r\nX: " + "y" * 300_000 + "\r\n\r\n",
                                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")):
            self.backend.on(f"/bad{i}", lambda e, text=text: (e.body(), e.send(text), e.close()))
            with self.subTest(text=text[:60]):
                reply = self.get(f"/bad{i}", "-X", "POST", "-d", "x")
                self.assertIn(reply.status, (502, 503))
                self.assertLess(len(reply.body), 300)

    def test_a_backend_of_http_1_1_behind_h2c_says_what_to_write(self):
        port = new_port()
        with http.server.ThreadingHTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler) as plain:
            threading.Thread(target=plain.serve_forever, daemon=True).start()
            with Gateway(route(f"h2c://127.0.0.1:{port}")) as gateway:
                reply = gateway.curl(f"https://{HOST}/")
                self.assertEqual(reply.status, 502)
                gateway.wait_log("failure=.*does not speak HTTP/2; for HTTP/1.1 write http:// in place of h2c://")
            plain.shutdown()

    def test_a_backend_of_another_protocol_behind_http_says_what_to_write(self):
        def alert(exchange):
            exchange.connection.sendall(b"\x15\x03\x03\x00\x02\x02\x46")
            exchange.close()
        with Backend() as tls, H2Backend() as h2, Gateway(
                route(tls, hosts=["tls.vanillax.me"]),
                route(h2.url.replace("h2c", "http"), hosts=["h2.vanillax.me"])) as gateway:
            tls.on("/", alert)
            for host, write in (("tls", "TLS: write https://"), ("h2", "HTTP/2 alone: write h2c://")):
                self.assertEqual(gateway.curl(f"http://{host}.vanillax.me/", http="--http1.1").status, 502)
                self.assertRegex(gateway.access(f"host={host}.vanillax.me"), f"failure=.*speaks {write} in place of http://")

    def test_a_busy_h2c_backend_that_answers_no_ping_is_waited_for(self):
        def frame(kind, flags, stream, payload=b""):
            return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

        def serve(connection, busy_s):
            connection.sendall(frame(4, 0, 0) + frame(4, 1, 0))  # SETTINGS, and theirs acknowledged
            got = b""
            while b"\x01\x05" not in got:  # HEADERS with END_STREAM and END_HEADERS
                got += connection.recv(65536)
            time.sleep(busy_s)
            connection.sendall(frame(1, 5, 1, b"\x88"))  # :status 200
            with contextlib.suppress(OSError):
                while connection.recv(65536):
                    pass
        with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as held:
            def accept():
                for busy_s in (27, 0):  # longer than 15 s until the PING and 10 s for its answer
                    connection = held.enter_context(listening.accept()[0])
                    threading.Thread(target=serve, args=(connection, busy_s), daemon=True).start()
            threading.Thread(target=accept, daemon=True).start()
            with Gateway(route(f"h2c://127.0.0.1:{listening.getsockname()[1]}")) as gateway:
                waiting = threading.Thread(target=lambda: replies.append(gateway.curl(f"https://{HOST}/slow", "-m", "60")))
                replies = []
                waiting.start()
                time.sleep(26)
                self.assertEqual(gateway.curl(f"https://{HOST}/", "-m", "10").status, 200)  # on another connection
                self.assertEqual(replies, [])
                waiting.join(20 * SLOW)
                self.assertEqual([one.status for one in replies], [200])

    def test_a_client_that_goes_away_frees_the_backend(self):
        gone = threading.Event()

        def endless(e):
            e.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            try:
                for _ in range(500):
                    e.send("3\r\nabc\r\n")
                    time.sleep(0.02)
            except OSError:
                gone.set()
                raise
        self.backend.on("/endless", endless)
        with self.gateway.dial(tls=False) as connection:
            connection.sendall(f"GET /endless HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            read_until(connection, b"abc")
        self.assertTrue(gone.wait(6 * SLOW))

    def test_nothing_listens_503(self):
        with Gateway(route(f"http://127.0.0.1:{new_port()}")) as gateway:
            reply = gateway.curl(f"http://{HOST}/none-there", http="--http1.1")
            self.assertEqual(reply.status, 503)
            self.assertLess(len(reply.body), 300)
            self.assertIn("503", gateway.access("/none-there"))


class Moved(Case):
    """A backend's name gets another address, and nothing answers at the old one any more, not even to say so."""

    ZONE = "@ 1 SOA ns hostmaster {} 60 60 60 60\n@ 1 NS ns\nns 1 A 192.0.2.1\nsvc 1 A {}\n"
    OLD = "127.0.0.3"

    def test_requests_go_to_the_new_address_and_do_not_wait_for_the_old_one(self):
        for make in (Backend, H2Backend):
            with self.subTest(make.__name__), make() as new, Gateway(
                    route(f"{new.url.partition(':')[0]}://svc.inside.example:{new.port}"),
                    files={"zone": self.ZONE.format(1, self.OLD)},
                    config='[[dns.zone]]\nname = "inside.example"\nfile = "zone"\n') as gateway:
                ask = lambda: gateway.curl(f"http://{HOST}/", http="--http1.1")
                with make(host=self.OLD, port=new.port) as old:
                    self.assertEqual(ask().status, 200)
                    asked = time.monotonic()
                    self.assertEqual((len(old.exchanges), len(new.exchanges)), (1, 0))
                with silence((self.OLD, new.port)), concurrent.futures.ThreadPoolExecutor() as pool:
                    gateway.write("zone", self.ZONE.format(2, "127.0.0.1"))
                    gateway.reload()
                    sleep_until(asked + 2.5)
                    early = pool.submit(ask)
                    sleep_until(asked + 4)
                    self.assertFalse(early.done())  # it waits for the old one
                    sleep_until(asked + 5.3)  # a time to live is 5 seconds at least
                    late = ask()
                    self.assertEqual(late.status, 200)
                    self.assertLess(late.seconds, 1.5 * SLOW)
                    self.assertEqual(early.result().status, 200)
                self.assertEqual(len(new.exchanges), 2)


class Loops(Case):
    def test_a_backend_that_leads_back_to_the_gateway(self):
        for name in ("127.0.0.1", "localhost"):
            for scheme, how in (("http", "--http1.1"), ("https", "--http2")):
                with self.subTest(name=name, how=how), Gateway() as gateway:
                    gateway.change(routes=[route(f"http://{name}:{gateway.http_port}")])
                    reply = gateway.curl(f"{scheme}://{HOST}/round", http=how)
                    self.assertEqual(reply.status, 508)
                    self.assertIn(b"leads back to this gateway", reply.body)
                    gateway.wait_log("backend_loop")
                    self.assertLess(len([line for line in gateway.log if "path=/round" in line]), 8)

    def test_one_listener_may_have_another_one_behind_it(self):
        with Gateway() as gateway:
            here = f"http://127.0.0.1:{gateway.http_port}"
            gateway.change(routes=[
                route(here, hosts=["one.vanillax.me"], filters={"rewrite_host": "two.vanillax.me"}),
                route(here, hosts=["two.vanillax.me"], filters={"rewrite_host": "three.vanillax.me"}),
                route(respond={"status": 200, "body": "three"}, hosts=["three.vanillax.me"])])
            for _ in range(3):
                self.assertEqual(gateway.curl("http://one.vanillax.me/", http="--http1.1").body, b"three")

    def test_other_backends_get_no_mark(self):
        with Backend("plain") as backend, Gateway(route(backend)) as gateway:
            gateway.curl(f"http://{HOST}/x", "-H", "CDN-Loop: cloudflare", http="--http1.1")
            self.assertEqual(backend.seen("/x")[0].header("CDN-Loop"), "cloudflare")


class Told(Case):
    """What the client, the log and the metrics say of each way in which a backend fails."""

    def test_page_log_and_counter(self):
        def answer_in_clear():
            with contextlib.suppress(OSError):
                while True:
                    connection = clear.accept()[0]
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        with Backend() as plain, socket.create_server(("127.0.0.1", new_port())) as clear, socket.create_server(("127.0.0.1", new_port())) as silent, \
                Backend(context=server_context("other.example")) as wrong_name:
            refused = f"http://127.0.0.1:{new_port()}"
            plain.on("/closes", lambda e: e.close())
            threading.Thread(target=answer_in_clear, daemon=True).start()
            cases = {  # host: (backend, path, status, text, why)
                "down": (refused, "/", 503, "No backend can be reached.", "Connection refused"),
                "nameless": ("http://nowhere.example", "/", 503, "No backend can be reached.", "nowhere.example"),
                "plain": (f"https://127.0.0.1:{clear.getsockname()[1]}", "/", 502,
                          "The backend can be reached, but not spoken with.", "is not TLS (wrong version number); for one without TLS write http://"),
                "untrusted": (wrong_name.url, "/", 502, "The backend can be reached, but not spoken with.",
                              "127.0.0.1"),
                "silent": (f"https://127.0.0.1:{silent.getsockname()[1]}", "/", 504,
                           "The backend did not answer in time.", "timed out"),
                "closes": (plain.url, "/closes", 502, "The backend gave no valid answer.",
                           "the backend closed the connection without a response"),
                "upgrade": (f"h2c://127.0.0.1:{new_port()}", "/", 501,
                            "The backend can't be spoken to in this protocol.", "an upgrade to an h2c:// backend"),
            }
            routes = [route(one[0], hosts=[f"{name}.vanillax.me"]) for name, one in cases.items()]
            with Gateway(*routes) as gateway:
                for name, (url, path, status, text, why) in cases.items():
                    with self.subTest(name):
                        upgrade = ["-H", "Connection: upgrade", "-H", "Upgrade: websocket"] if name == "upgrade" else []
                        reply = gateway.curl(f"http://{name}.vanillax.me{path}", *upgrade, http="--http1.1")
                        self.assertEqual(reply.status, status)
                        self.assertRegex(reply.text, rf"^{status} [A-Z][A-Za-z ]+\n\n{re.escape(text)}\n$")
                        line = gateway.access(f"host={name}.vanillax.me")
                        self.assertRegex(line, rf' status={status} .* backend={re.escape(url)}.* failure=".*{re.escape(why)}')
                        backend = re.search(r" backend=(\S+)", line)[1]
                        metrics = gateway.metrics()
                        self.assertEqual(metrics[f'postern_gateway_backend_failures_total{{backend="{backend}"}}'],
                                         0 if name == "upgrade" else 1)  # that one was not asked
                        self.assertEqual(sum(value for key, value in metrics.items() if 'code="5xx"' in key and
                                             key.startswith("postern_gateway_requests_total") and backend in key), 1)


class Surplus(EchoCase):
    """Backends that say more than was asked for: nobody else gets to see it."""

    def assert_not_poisoned(self, answer, status=200, body=None, method="GET"):
        self.other.on("/surplus", lambda e: (e.body(), e.send(answer)))
        for scheme, how in (("http", "--http1.1"), ("https", "--http2")):
            url = f"{scheme}://alone.vanillax.me"
            first = self.gateway.curl(f"{url}/surplus", *(["-I"] if method == "HEAD" else []), http=how, check=False)
            if body is not None:
                self.assertEqual((first.status, first.body), (status, body))
            for i in range(3):
                reply = self.gateway.curl(f"{url}/after{i}", http=how)
                self.assertEqual((reply.status, reply.json()["target"]), (200, f"/after{i}"))

    EVIL = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    def test_a_second_answer_behind_the_first(self):
        self.assert_not_poisoned("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc" + self.EVIL, body=b"abc")
        self.assert_not_poisoned("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + self.EVIL,
                                 body=b"abc")

    def test_a_body_of_204_304_and_head(self):
        self.assert_not_poisoned("HTTP/1.1 204 No Content\r\n\r\n" + self.EVIL)
        self.assert_not_poisoned("HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil")
        self.assert_not_poisoned(self.EVIL, method="HEAD")

    def test_an_answer_before_it_was_asked_for(self):
        self.other.on("/early", lambda e: (e.reply(body=b"abc"), time.sleep(0.1), e.send(self.EVIL)))
        self.gateway.curl("http://alone.vanillax.me/early", http="--http1.1")
        time.sleep(0.2 * SLOW)
        reply = self.gateway.curl("http://alone.vanillax.me/late", http="--http1.1")
        self.assertEqual((reply.status, reply.json()["target"]), (200, "/late"))

    def test_interim_answers_without_end(self):
        def chatter(e):
            for _ in range(100_000):
                e.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        self.other.on("/chatter", chatter)
        for scheme, how in (("http", "--http1.1"), ("https", "--http2")):
            reply = self.gateway.curl(f"{scheme}://alone.vanillax.me/chatter", http=how, check=False)
            self.assertTrue(reply.code != 0 or reply.status >= 500, reply.status)
        self.assertEqual(self.gateway.curl(f"https://{HOST}/").status, 200)


class Again(EchoCase):
    """When a request is sent a second time."""

    def one_use(self, path, finish=lambda e: e.close()):
        """The first request on each connection is answered, the second sees it end without a byte."""
        def handler(e):
            count = getattr(e.connection, "fileno")()
            if getattr(e.reader, "uses", 0):
                finish(e)
            else:
                e.body()
                e.reply(body=f"done {count}".encode())
            e.reader.uses = getattr(e.reader, "uses", 0) + 1
        self.other.on(path, handler)

    def ask(self, path, method="GET", *arguments):
        return self.gateway.curl(f"http://alone.vanillax.me{path}", "-X", method, *arguments, http="--http1.1")

    def test_an_idempotent_request_on_a_kept_connection_that_ends_is_sent_again(self):
        for finish in (lambda e: e.close(), lambda e: e.reset()):
            self.one_use("/again", finish)
            for _ in range(6):
                self.assertEqual(self.ask("/again").status, 200)

    def test_a_post_that_may_have_been_seen_is_not_sent_again(self):
        self.one_use("/post")
        self.other.drop()
        statuses = [self.ask("/post", "POST", "-d", "x").status for _ in range(6)]
        self.assertEqual(set(statuses) - {200, 502, 503}, set())
        self.assertEqual(len(self.other.seen("/post")), 6)

    def test_nothing_is_sent_again_once_something_was_answered(self):
        self.other.on("/half", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Len"), time.sleep(0.05), e.close()))
        self.assertIn(self.ask("/half").status, (502, 503))
        self.assertEqual(len(self.other.seen("/half")), 1)

    def test_kept_connections_that_the_backend_closed_do_not_show(self):
        self.other.on("/idle", lambda e: (e.body(), e.reply(body=b"ok")))
        for method in ("GET", "POST", "GET", "POST", "PUT"):
            self.assertEqual(self.ask("/idle", method, "-d", "x").status, 200)
            self.other.drop()  # while idle in the pool
            time.sleep(0.1 * SLOW)

    def test_a_backend_that_ends_while_a_request_waits_for_its_turn_never_gets_it(self):
        """Both are there when the gateway looks: the request is read first, then the end of the kept connection."""
        for method in ("GET", "POST"):
            with self.subTest(method):
                self.kept_and_ended(method)

    def kept_and_ended(self, method):
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(6 * SLOW)
            with Gateway(route(f"http://127.0.0.1:{server.getsockname()[1]}")) as gateway, gateway.dial(tls=False) as client:
                client.sendall(f"GET /first HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                first = server.accept()[0]
                with first:
                    read_until(first, b"\r\n\r\n")
                    first.sendall(answer)
                    self.assertTrue(read_until(client, b"ok"))
                    gateway.process.send_signal(signal.SIGSTOP)
                    tasks = pathlib.Path(f"/proc/{gateway.process.pid}/task")
                    wait_until("it to stand still", lambda: all(
                        one.read_text().rpartition(")")[2].split()[0] == "T" for one in tasks.glob("*/stat")))
                    client.sendall(f"{method} /second HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n".encode())
                    time.sleep(0.05)
                    first.shutdown(socket.SHUT_WR)
                    time.sleep(0.05)
                    gateway.process.send_signal(signal.SIGCONT)
                    second = server.accept()[0]
                    with second:
                        self.assertIn(method.encode(), read_until(second, b"\r\n\r\n"))
                        second.sendall(answer)
                        self.assertTrue(read_until(client, b"ok"))
                    first.settimeout(6 * SLOW)
                    self.assertEqual(first.recv(1000), b"")

    def test_connections_are_kept(self):
        self.other.on("/kept", lambda e: e.reply(body=b"ok"))
        before = self.other.accepted
        for _ in range(10):
            self.ask("/kept")
        self.assertLessEqual(self.other.accepted - before, 2)


if __name__ == "__main__":
    unittest.main()
