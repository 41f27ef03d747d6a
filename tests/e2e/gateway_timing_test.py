"""What must not depend on who is fast: backends that are not there yet, clients that read late or say first that they have
said all, connections that end in the very moment of their next use."""

import contextlib
import hashlib
import os
import re
import signal
import socket
import struct
import threading
import time
import unittest

from gateway_backends import Backend, new_port, server_context
from gateway_h2_backend import H2Backend
from gateway_h2_client import Http2
from gateway_lab import HOST, Gateway, read_all, read_until, route, table
from lab import SLOW, Case, wait_until

LATE = 0.3  # seconds until a backend shakes hands


class LateBackend(Backend):
    """Its TLS handshake begins late."""

    def __init__(self, name="", late=LATE):
        self.late = late
        super().__init__(name, context=server_context("127.0.0.1"))

    def _session(self, connection, peer):
        time.sleep(self.late)
        super()._session(connection, peer)


def post(path, body, *fields, method="POST"):
    head = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(head).encode() + body


def to_dead_first(other):
    """A route whose first request goes to a backend that is not there, then to this one."""
    return route({"url": f"http://127.0.0.1:{new_port()}", "weight": 1_000_000}, {"url": other.url, "weight": 1})


class SentToAnother(Case):
    def test_a_body_that_came_before_the_refusal_has_its_end_at_the_next_backend(self):
        for make in (H2Backend, Backend):
            for http2 in (False, True):
                with self.subTest(backend=make.__name__, http2=http2), make() as backend, \
                        Gateway(to_dead_first(backend)) as gateway:
                    if http2:
                        with Http2(gateway) as client:
                            stream = client.at_once(("content-length", "3"), method="POST", body=b"abc")
                            self.assertEqual(client.finish(stream).status, 200)
                    else:
                        with gateway.dial(tls=False) as client:
                            client.sendall(post("/", b"abc"))
                            self.assertIn(b" 200 ", read_until(client, b"\r\n"))
                    gateway.curl(f"http://{HOST}/", http="--http1.1")
                    if make is Backend:
                        self.assertEqual(backend.accepted, 1)  # complete, so it was kept

def read_answer(client):
    """One answer with Content-Length: (its head, its body)."""
    got = read_until(client, b"\r\n\r\n")
    head, body = got.split(b"\r\n\r\n", 1)
    size = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", head)[1])
    while len(body) < size:
        part = client.recv(65536)
        if not part:
            raise AssertionError(f"closed {size - len(body)} bytes before the end")
        body += part
    return head, body


def queues(local, remote):
    """Bytes that the system has received and has not sent yet, of the TCP connection between these two of IPv4; by
    sock_diag(7), since to read /proc/net/tcp can take milliseconds."""
    addresses = b"".join(struct.pack(">H", port) for _, port in (local, remote))
    addresses += b"".join(socket.inet_aton(host).ljust(16, b"\0") for host, _ in (local, remote))
    request = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xffffffff) + addresses
    request += struct.pack("=I", 0) + b"\xff" * 8  # any interface, no cookie
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 4) as diag:
        diag.send(struct.pack("=IHHII", 16 + len(request), 20, 1, 1, 0) + request)
        reply = diag.recv(8192)
    if struct.unpack_from("=H", reply, 4)[0] != 20:
        return 0, 0
    return struct.unpack_from("=II", reply, 16 + 4 + 48 + 4)


def queued(client):
    """Bytes on their way to this client in the queues of the system."""
    ours, theirs = client.getsockname(), client.getpeername()
    return queues(ours, theirs)[0] + queues(theirs, ours)[1]


class Unread:
    """An answer whose end the backend has said while some of it, for want of room, is still in the gateway: its client
    has not read a byte. `backend` gives it at /unread."""

    CHUNK = b"1000\r\n" + b"x" * 4096 + b"\r\n"

    def __init__(self, gateway, backend, tls=False, *options, protocol="HTTP/1.1"):
        self.sent, self.done, self.gateway = 0, threading.Event(), gateway
        backend.on("/unread", self.answer)
        self.client = gateway.dial(tls)
        self.client.sendall("\r\n".join([f"GET /unread {protocol}", f"Host: {HOST}", *options, "", ""]).encode())
        assert self.done.wait(20 * SLOW)
        wait_until("the end of the exchange", self.is_over)

    def is_over(self):
        return self.gateway.metrics()["postern_gateway_requests_in_flight"] == 0

    def answer(self, e):
        e.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        before, full = -1, False
        while not full:  # 8 KiB more than the system takes, which is less than what the gateway stops at
            e.send(self.CHUNK * 2)
            self.sent += 2 * 4096
            time.sleep(0.002)
            full = queued(self.client) == before and not time.sleep(0.05 * SLOW) and queued(self.client) == before
            before = queued(self.client)
        e.send(self.CHUNK * 4 + b"0\r\n\r\n")
        self.sent += 4 * 4096
        self.done.set()


def idle_timeouts(gateway):
    return gateway.metrics()["postern_gateway_idle_timeouts_total"]


def cut_unread(gateway, backend, *how, seconds=8, **options):
    """(one that the gateway has cut, the seconds until then). On a busy machine the system may take all of the answer
    after all: then nothing is there to be cut, and it is made anew."""
    for _ in range(4):
        before = idle_timeouts(gateway)
        unread, begin = Unread(gateway, backend, *how, **options), time.monotonic()
        try:
            wait_until("the cut", lambda before=before: idle_timeouts(gateway) == before + 1, seconds)
            return unread, time.monotonic() - begin
        except AssertionError:
            unread.client.close()
    raise AssertionError("it was never cut")


class Late(Case):
    """The backend's handshake begins when the whole request may have come already."""

    def arrived(self, test):
        """What each kind of backend saw of each kind of client's request."""
        seen = []
        for make in (LateBackend, lambda: H2Backend(tls=True, late=LATE)):
            for http2 in (False, True):
                with make() as backend, Gateway(route(backend)) as gateway, \
                        self.subTest(backend=type(backend).__name__, http2=http2):
                    test(gateway, http2)
                    seen.append(backend.exchanges[0])
        self.assertEqual(len(seen), 4)
        return seen

    def test_body_and_trailers_wait(self):
        def test(gateway, http2):
            if http2:
                with Http2(gateway) as client:
                    stream = client.at_once(("te", "trailers"), method="POST", body=b"abc", trailers=[("x-up", "42")])
                    self.assertEqual(client.finish(stream).status, 200)
            else:
                with gateway.dial() as client:
                    client.sendall(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: "
                                   "chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Up: 42\r\n\r\n".encode())
                    self.assertIn(b" 200 ", read_answer(client)[0])
        for one in self.arrived(test):
            self.assertEqual([(name.lower(), value) for name, value in one.trailers], [("x-up", "42")])

    def test_a_large_upload_goes_on_where_it_had_to_stop(self):
        body = os.urandom(3_000_000)

        def test(gateway, http2):
            if http2:
                with Http2(gateway) as client:
                    self.assertEqual(client.request(method="POST", body=body).status, 200)
            else:
                with gateway.dial() as client:
                    client.sendall(post("/", body))
                    self.assertIn(b" 200 ", read_answer(client)[0])
        for one in self.arrived(test):
            self.assertEqual(one.digest.digest(), hashlib.sha256(body).digest())

    def test_100_continue_comes_when_the_backend_is_there(self):
        def answer(e):
            e.send("HTTP/1.1 100 Continue\r\n\r\n")
            e.echo()
        with LateBackend() as backend, Gateway(route(backend)) as gateway, gateway.dial() as client:
            backend.on("/", answer)
            client.sendall(post("/", b"abc", "Expect: 100-continue")[:-3])
            self.assertEqual(read_until(client, b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n")
            client.sendall(b"abc")
            self.assertIn(b'"size": 3', read_answer(client)[1])

    def test_100_continue_that_is_refused_or_has_nobody_to_say_it(self):
        with Backend() as backend, Gateway(
                route(backend), route(f"http://127.0.0.1:{new_port()}", hosts=["none.vanillax.me"])) as gateway:
            backend.on("/", lambda e: (e.reply(417, [("Connection", "close")], b"no", reason="No"), e.close()))
            for host, status in ((HOST, 417), ("none.vanillax.me", 503)):
                for tls in (False, True):
                    with self.subTest(host=host, tls=tls), gateway.dial(tls, name=host) as client:
                        client.sendall(f"POST / HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: "
                                       "1000000\r\n\r\n".encode())
                        head = read_answer(client)[0]
                        self.assertTrue(head.startswith(f"HTTP/1.1 {status} ".encode()), head)
                        # What it sends all the same is no request: the connection ends behind the answer.
                        self.assertIn(b"\r\nconnection: close", head.lower())
                        client.sendall(b"x" * 100)
                        self.assertEqual(read_all(client), (b"", True))
                with Http2(gateway, name=host) as client:
                    stream = client.open(("expect", "100-continue"), method="POST", authority=host, end=False)
                    client.wait(lambda client=client, stream=stream: client.streams[stream].ended)
                    self.assertEqual(client.streams[stream].status, status)
                    self.assertEqual(client.streams[stream].informational, [])


class LateTunnels(Case):
    """Extended CONNECT (RFC 8441) whose backend comes late, or not at all."""

    def connect(self, client, body=b"", end=False):
        """The stream of an opening that data follows in the same write."""
        flush, client.flush = client.flush, lambda: None
        stream = client.open(only=[(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
                                   (":path", "/chat"), (":authority", HOST), ("sec-websocket-version", "13")], end=False)
        if body or end:
            client.protocol.send_data(stream, body, end_stream=end)
        client.flush = flush
        client.flush()
        return stream

    def echo(self, e):
        e.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
        self.got = b""
        with contextlib.suppress(ConnectionError):
            while True:
                part = e.reader.some(65536)
                self.got += part
                if not part:
                    break
                e.send(part)
        e.send(b"bye")
        e.close()

    def test_what_comes_early_is_kept_and_no_more_than_a_window(self):
        body = os.urandom(1_000_000)
        with LateBackend(late=1.0) as backend, Gateway(route(backend)) as gateway, Http2(gateway) as client:
            backend.on("/chat", self.echo)
            stream = self.connect(client, b"early")
            sent = 0
            while (room := min(client.protocol.local_flow_control_window(stream), 16384, len(body) - sent)) > 0:
                client.protocol.send_data(stream, body[sent:sent + room])
                client.flush()
                sent += room
                client.read(seconds=0.01)
            self.assertLess(sent, 300_000)
            self.assertIsNone(client.streams[stream].fields)
            client.data(stream, body[sent:], end=True)
            client.wait(lambda: client.streams[stream].ended)
            self.assertEqual(client.streams[stream].status, 200)
            self.assertEqual(client.streams[stream].body, b"early" + body + b"bye")

    def test_an_end_that_came_before_the_first_backend_refused(self):
        with Backend() as backend, Gateway(to_dead_first(backend)) as gateway, Http2(gateway) as client:
            backend.on("/chat", self.echo)
            stream = self.connect(client, b"early", end=True)
            client.wait(lambda: client.streams[stream].ended)
            self.assertEqual((client.streams[stream].status, client.streams[stream].body), (200, b"earlybye"))

    def test_one_that_fails_says_so(self):
        with Gateway(route(f"http://127.0.0.1:{new_port()}")) as gateway, Http2(gateway) as client:
            stream = self.connect(client, b"early")
            client.wait(lambda: client.streams[stream].ended)
            self.assertEqual(client.streams[stream].status, 503)
            self.assertEqual(client.request().status, 503)  # the connection goes on

    def test_one_that_is_given_up_before_the_backend_is_there(self):
        with LateBackend() as backend, Gateway(route(backend)) as gateway, Http2(gateway) as client:
            stream = self.connect(client, b"early")
            client.protocol.reset_stream(stream, 8)
            client.flush()
            self.assertEqual(client.request().status, 200)
            self.assertEqual(backend.seen("/chat"), [])


class HalfClosed(Case):
    """Clients that say early that they have said all, and read late."""

    def test_an_answer_whose_end_has_not_left_yet_arrives_whole(self):
        with Backend() as backend, Gateway(route(backend)) as gateway:
            for tls in (False, True):
                for option in ("X: y", "Connection: close"):
                    with self.subTest(tls=tls, option=option):
                        unread = Unread(gateway, backend, tls, option)
                        # The socket's own: what TLS says does not matter for this.
                        with socket.socket(fileno=os.dup(unread.client.fileno())) as plain:
                            plain.shutdown(socket.SHUT_WR)
                        time.sleep(0.2 * SLOW)
                        got, closed = read_all(unread.client)
                        self.assertTrue(closed)
                        self.assertEqual((got.count(b"x"), got[-5:]), (unread.sent, b"0\r\n\r\n"))
                        unread.client.close()


class SlowReaders(Case):
    """timeouts.idle, and clients that take their time."""

    def test_an_answer_that_is_not_read_is_cut_after_the_routes_idle_and_does_not_look_whole(self):
        for protocol, tls, options in (("HTTP/1.1", True, ()), ("HTTP/1.1", False, ("Connection: close",)),
                                       ("HTTP/1.0", False, ())):
            with self.subTest(protocol=protocol, options=options), Backend() as backend, \
                    Gateway(route(backend, timeouts={"idle": "2s"})) as gateway:
                unread = cut_unread(gateway, backend, tls, *options, protocol=protocol)[0]
                with socket.socket(fileno=os.dup(unread.client.fileno())) as plain:
                    with self.assertRaises(ConnectionResetError):
                        while plain.recv(65536):
                            pass
                unread.client.close()

    def test_it_is_waited_for_until_then(self):
        with Backend() as backend, Gateway(route(backend, timeouts={"idle": "5s"})) as gateway:
            for options in ((), ("Connection: close",)):
                with self.subTest(options=options):
                    unread = Unread(gateway, backend, False, *options)
                    time.sleep(2.5)
                    got = read_until(unread.client, b"0\r\n\r\n")
                    self.assertEqual(got.count(b"x"), unread.sent)
                    unread.client.close()
            self.assertEqual(idle_timeouts(gateway), 0)

    def test_one_that_reads_slowly_all_the_time_gets_all(self):
        body = os.urandom(250_000)
        with Backend() as backend, Gateway(route(backend, timeouts={"idle": "1s"})) as gateway:
            backend.on("/big", lambda e: e.reply(body=body))
            with Http2(gateway) as client:
                client.reading = False
                number = client.open(path="/big")
                stream = client.streams[number]
                while not stream.done:
                    client.protocol.increment_flow_control_window(4000, number)
                    client.flush()
                    time.sleep(0.2)  # the gateway holds back what takes longer than the limit to read
                    client.wait(lambda before=len(stream.body): stream.done or len(stream.body) > before)
                self.assertEqual((stream.reset, stream.body == body), (None, True))
            self.assertEqual(idle_timeouts(gateway), 0)


class EarlyAnswer(Case):
    """A backend that refuses an upload before it has come."""

    def refuse(self, reset, say):
        """Reads the head alone, waits for say(), answers and closes with what came unread: RST."""
        def handler(e):
            say()
            e.reply(413, [("Connection", "close")], b"too much", reason="No")
            if not reset:
                e.connection.shutdown(socket.SHUT_WR)
                e.connection.settimeout(1)
                with contextlib.suppress(OSError):
                    while e.connection.recv(65536):
                        pass
            e.close()
        return handler

    def test_it_arrives_though_the_backend_resets_the_connection(self):
        for context in (None, server_context("127.0.0.1")):
            for tls in (False, True):
                for _ in range(3):
                    answered, go = threading.Event(), threading.Event()
                    with self.subTest(backend=bool(context), tls=tls), Backend(context=context) as backend, \
                            Gateway(route(backend)) as gateway:
                        backend.on("/no", self.refuse(True, lambda go=go: go.wait(6 * SLOW)))
                        with gateway.dial(tls) as client:
                            client.sendall(f"POST /no HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 9000000\r\n\r\n".encode()
                                           + b"x" * 1000)
                            wait_until("the request", lambda: backend.seen("/no"))
                            gateway.process.send_signal(signal.SIGSTOP)
                            time.sleep(0.05)
                            client.sendall(b"x" * 60_000)
                            time.sleep(0.05)
                            go.set()
                            wait_until("the end", lambda: not backend.open)
                            gateway.process.send_signal(signal.SIGCONT)
                            got, closed = read_all(client)
                            self.assertIn(b" 413 ", got.split(b"\r\n")[0])
                            self.assertTrue(got.endswith(b"too much"))

    def test_over_http_2_it_ends_the_stream_and_leaves_the_connection(self):
        def early(one):  # RFC 9113 section 8.1
            one.reply(413, b"too much", fields=[("content-length", "8")])
            one.peer.protocol.reset_stream(one.number, 0)
            one.peer.flush()
        for make in (Backend, H2Backend, lambda: H2Backend(tls=True)):
            with make() as backend, Gateway(route(backend)) as gateway, Http2(gateway) as client, \
                    self.subTest(url=backend.url):
                if isinstance(backend, H2Backend):
                    backend.begun = lambda one: early(one) if one.fields[":path"] == "/no" else None
                else:
                    backend.on("/no", self.refuse(True, lambda: None))
                stream = client.open(("content-length", "9000000"), method="POST", path="/no", end=False)
                client.protocol.send_data(stream, b"x" * 16384)
                client.flush()
                client.wait(lambda stream=stream: client.streams[stream].reset is not None)
                got = client.streams[stream]
                self.assertEqual((got.status, got.body, got.ended, got.reset), (413, b"too much", True, 0))
                self.assertEqual(client.request().status, 200)

    def test_a_backend_of_http_2_that_refuses_early_to_a_client_of_http_1(self):
        with H2Backend() as backend, Gateway(route(backend)) as gateway:
            backend.begun = lambda one: one.reply(413, b"too much", fields=[("content-length", "8")])
            for tls in (False, True):
                with self.subTest(tls=tls), gateway.dial(tls) as client:
                    client.sendall(f"POST /no HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 9000000\r\n\r\n".encode())
                    with contextlib.suppress(OSError):
                        for _ in range(40):
                            client.sendall(b"x" * 65536)
                    head, body = read_answer(client)
                    self.assertEqual((head.split(b" ")[1], body), (b"413", b"too much"))

    def test_a_client_that_reads_only_behind_its_upload(self):
        """It goes on for longer than anybody would wait who did not hear from it."""
        with Backend() as backend, Gateway(route(backend)) as gateway:
            backend.on("/no", self.refuse(False, lambda: None))
            for tls in (False, True):
                with self.subTest(tls=tls), gateway.dial(tls) as client:
                    client.sendall(f"POST /no HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5000\r\n\r\n".encode())
                    for _ in range(50):  # 5 s
                        client.sendall(b"x" * 100)
                        time.sleep(0.1)
                    got, closed = read_all(client)
                    self.assertTrue(got.startswith(b"HTTP/1.1 413 ") and got.endswith(b"too much"), got)
                    self.assertTrue(closed)


class Pipelined(Case):
    def test_an_upload_that_waited_behind_an_unread_answer_goes_on(self):
        body = os.urandom(2_000_000)
        with Backend() as backend, Gateway(route(backend)) as gateway:
            unread = Unread(gateway, backend)
            threading.Thread(target=unread.client.sendall, args=(post("/up", body),), daemon=True).start()
            time.sleep(0.2 * SLOW)
            got = b""
            while b'"sha256"' not in got[-1000:]:
                got += unread.client.recv(65536)
            self.assertIn(hashlib.sha256(body).hexdigest().encode(), got[-1000:])
            unread.client.close()

    def test_all_that_was_asked_before_the_end_is_answered(self):
        """The client says at once that it has said all: answers of backends, of the gateway, with bodies, then half a request."""
        def get(path, host=HOST):
            return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        cases = {"one": [b"/1"], "three": [b"/1", b"/2", b"/3"], "none of ours": [b"/1", None, b"/2", None, b"/3"],
                 "none of ours last": [b"/1", None], "half": [b"/1", b"/2", get("/4")[:-3]],
                 "half a body": [b"/1", b"/2", post("/5", b"abcdef")[:-3]]}
        with Backend() as backend, Gateway(route(backend)) as gateway:
            for name, parts in cases.items():
                whole = [one for one in parts if one is None or len(one) < 10]
                asked = b"".join(get("/", "no.example") if one is None else one if len(one) > 10
                                 else post(one.decode(), b"abc") for one in parts)
                for tls in (False, True):
                    with self.subTest(name, tls=tls), gateway.dial(tls) as client:
                        client.sendall(asked)
                        with socket.socket(fileno=os.dup(client.fileno())) as plain:
                            plain.shutdown(socket.SHUT_WR)
                        got, closed = read_all(client)
                        self.assertTrue(closed)
                        self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", got), [b"404" if one is None else b"200" for one in whole])
                        self.assertEqual(re.findall(rb'"target": "([^"]*)"', got), [one for one in whole if one])
            many = 3000  # more than is kept at a time
            with gateway.dial(tls=False) as client:
                threading.Thread(target=lambda: (client.sendall(get("/x" + "y" * 50) * many), client.shutdown(socket.SHUT_WR)),
                                 daemon=True).start()
                got, closed = read_all(client)
                self.assertEqual((got.count(b"HTTP/1.1 200 "), closed), (many, True))
            wait_until("the end of all", lambda: gateway.metrics()["postern_gateway_requests_in_flight"] == 0)


class Answers(Case):
    """1xx, body and trailers between all kinds of backend and client."""

    def test_all_parts_arrive(self):
        def speak(e):
            e.body()
            e.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            time.sleep(0.05)
            e.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n")
            time.sleep(0.05)
            e.send("0\r\nX-Su")
            time.sleep(0.05)
            e.send("m: 7\r\n\r\n")

        def speak2(one):
            one.peer.protocol.send_headers(one.number, [(":status", "103"), ("link", "</a>")])
            one.reply(200, b"abc", trailers=[("x-sum", "7")])
        for make in (Backend, lambda: LateBackend(late=0), H2Backend, lambda: H2Backend(tls=True)):
            with make() as backend, Gateway(route(backend)) as gateway, self.subTest(url=backend.url):
                if isinstance(backend, H2Backend):
                    backend.done = speak2
                else:
                    backend.on("/", speak)
                for tls in (False, True):
                    with gateway.dial(tls) as client:
                        client.sendall(post("/", b"abc", "TE: trailers", "Connection: TE"))
                        got = read_until(client, b"x-sum: 7\r\n\r\n" if isinstance(backend, H2Backend) else b"7\r\n\r\n")
                        self.assertRegex(got, rb"(?is)^HTTP/1.1 103 .*link: </a>.*HTTP/1.1 200 .*abc\r\n0\r\nx-sum: 7\r\n\r\n$")
                with Http2(gateway) as client:
                    got = client.request(("te", "trailers"), method="POST", body=b"abc")
                    self.assertEqual((got.status, got.body, got.trailers), (200, b"abc", [("x-sum", "7")]))
                    self.assertEqual([dict(one)[":status"] for one in got.informational], ["103"])

    def test_progress_may_be_reported_for_as_long_as_it_takes(self):
        """Each of four requests gets 180 responses 102, 90 at a time."""
        waiting = []

        def speak(e):
            for pause in (0, 1.1):
                time.sleep(pause)
                e.send("HTTP/1.1 102 Processing\r\n\r\n" * 90)
            e.reply(body=b"done")

        def speak2(one):
            waiting.append(one)
            if len(waiting) == 2:
                for pause in (0, 1.1):
                    time.sleep(pause)
                    for each in waiting:
                        for _ in range(90):
                            each.peer.protocol.send_headers(each.number, [(":status", "102")])
                        each.peer.flush()
                for each in waiting:
                    each.reply(body=b"done")
        with Backend(handlers={"/": speak}) as one, H2Backend() as two, \
                Gateway(route(one), route(two, hosts=["two.vanillax.me"])) as gateway, \
                Http2(gateway) as client, gateway.dial() as first, gateway.dial() as second:
            two.done = speak2
            streams = [client.open(authority=host) for host in (HOST, "two.vanillax.me")]
            for host, plain in ((HOST, first), ("two.vanillax.me", second)):
                plain.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            for stream in streams:
                got = client.finish(stream)
                self.assertEqual((got.status, got.body, len(got.informational)), (200, b"done", 180))
            for plain in (first, second):
                got, _ = read_all(plain)
                self.assertEqual((got.count(b"HTTP/1.1 102 "), got.count(b"HTTP/1.1 200 ")), (180, 1))


class KeptConnections(Case):
    def stop_and_race(self, gateway, send, end):
        """The gateway hears of the request first, then of the end of the connection that it would use."""
        gateway.process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        send()
        time.sleep(0.05)
        end()
        time.sleep(0.05)
        gateway.process.send_signal(signal.SIGCONT)

    def test_a_post_on_a_connection_that_just_ended_goes_to_a_new_one(self):
        for make in (Backend, H2Backend, lambda: H2Backend(tls=True)):
            with make() as backend, Gateway(route(backend)) as gateway:
                with self.subTest(backend=type(backend).__name__, url=backend.url):
                    with gateway.dial(tls=False) as client:
                        client.sendall(post("/first", b"abc"))
                        self.assertIn(b" 200 ", read_answer(client)[0])
                        self.stop_and_race(gateway, lambda: client.sendall(post("/second", b"abc")),
                                           lambda: [one.close() for one in backend.peers]
                                           if isinstance(backend, H2Backend) else backend.drop())
                        self.assertIn(b" 200 ", read_until(client, b"\r\n"))

    def test_a_get_is_not_sent_again_once_something_was_answered(self):
        with Backend() as backend, Gateway(route(backend)) as gateway:
            backend.on("/half", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Len"), time.sleep(0.05), e.close()))
            self.assertEqual(gateway.curl(f"http://{HOST}/", http="--http1.1").status, 200)
            self.assertEqual(gateway.curl(f"http://{HOST}/half", http="--http1.1").status, 502)
            self.assertEqual((len(backend.seen("/half")), backend.accepted), (1, 1))

    def test_a_get_with_a_body_is_not_sent_again(self):
        with Backend() as backend, Gateway(route(backend)) as gateway:
            backend.on("/gone", lambda e: (e.body(), e.close()))
            for method in ("GET", "DELETE"):
                self.assertEqual(gateway.curl(f"http://{HOST}/", http="--http1.1").status, 200)
                reply = gateway.curl(f"http://{HOST}/gone", "-X", method, "-d", "abc", http="--http1.1")
                self.assertEqual(reply.status, 502)
            self.assertEqual(len(backend.seen("/gone")), 2)

    def test_a_408_on_a_kept_connection_is_no_answer(self):
        """RFC 9110 section 15.5.9: the backend did not get the request, and it may be sent again."""
        late = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        with Backend() as backend, Gateway(route(backend)) as gateway, gateway.dial(tls=False) as client:
            for request in (post("/on-its-way", b"", method="GET"), post("/on-its-way", b"abc", method="GET")):
                client.sendall(post("/first", b"abc"))
                self.assertIn(b" 200 ", read_answer(client)[0])
                self.stop_and_race(gateway, lambda request=request: client.sendall(request),
                                   lambda: (list(backend.open)[-1].sendall(late.encode()), backend.drop()))
                self.assertIn(b" 200 ", read_answer(client)[0])
            # The second time it is the answer; so it is to what can't be sent again.
            backend.on("/always", lambda e: (e.body(), e.send(late), e.close()))
            for method, body, times in (("GET", b"", 2), ("PUT", b"abc", 1), ("POST", b"", 1), ("POST", b"abc", 1)):
                client.sendall(post("/first", b"abc"))
                self.assertIn(b" 200 ", read_answer(client)[0])
                before = len(backend.seen("/always"))
                client.sendall(post("/always", body, method=method))
                self.assertIn(b" 408 ", read_answer(client)[0])
                self.assertEqual(len(backend.seen("/always")) - before, times, method)


class Unprocessed(Case):
    """What a backend of HTTP/2 did not get is sent again, whatever its method (RFC 9113 section 8.7)."""

    BODIES = {"none": (b"", []), "small": (b"abc" * 1000, [("x-sum", "7")])}

    def ask(self, client, body, trailers, length=True):
        """A POST whose head and body leave at once; its stream."""
        fields = [("te", "trailers"), *([("content-length", str(len(body)))] if length else [])]
        if not body:
            return client.open(*fields, method="POST", path="/it")
        return client.at_once(*fields, method="POST", path="/it", body=body, trailers=trailers)

    def check(self, backend, client, stream, body, trailers, times):
        got = client.finish(stream)
        self.assertEqual((got.status, got.body), (200, b"ok"))
        seen = [one for one in backend.exchanges if one.fields[":path"] == "/it"]
        self.assertEqual(len(seen), times)
        self.assertEqual((seen[-1].digest.digest(), seen[-1].trailers), (hashlib.sha256(body).digest(), trailers if body else []))

    def test_refused_or_left_out_by_goaway(self):
        def refuse(one):
            one.refused = True
            one.peer.protocol.reset_stream(one.number, 7)

        def go_away(one):
            one.refused = True
            one.peer.protocol.close_connection(last_stream_id=one.number - 2)
        for tls in (False, True):
            with H2Backend(tls) as backend, Gateway(route(backend)) as gateway, Http2(gateway) as client:
                reply = backend.done
                backend.done = lambda one, reply=reply: None if hasattr(one, "refused") else reply(one)
                for how in (refuse, go_away):
                    for name, (body, trailers) in self.BODIES.items():
                        for length in (True, False):
                            with self.subTest(how.__name__, tls=tls, body=name, length=length):
                                backend.begun = lambda one: None
                                self.assertEqual(client.request().status, 200)
                                backend.exchanges.clear()
                                backend.begun = lambda one, how=how: how(one) if len(backend.exchanges) == 1 else None
                                self.check(backend, client, self.ask(client, body, trailers, length), body, trailers, 2)
                # Not for ever, and not what is answered in part or too large to be kept.
                backend.begun = refuse
                backend.exchanges.clear()
                self.assertEqual((client.request(method="POST").status, len(backend.exchanges)), (502, 3))
                backend.begun = lambda one: (one.peer.protocol.send_headers(one.number, [(":status", "103")]), refuse(one))
                backend.exchanges.clear()
                self.assertEqual((client.request(method="POST").status, len(backend.exchanges)), (502, 1))
                backend.begun = lambda one: threading.Timer(0.1, lambda: (refuse(one), one.peer.flush())).start()
                backend.exchanges.clear()
                stream = client.open(method="POST", end=False)
                client.protocol.send_data(stream, b"x" * 16384)
                client.protocol.send_data(stream, b"x" * 16384)
                client.flush()
                client.wait(lambda client=client, stream=stream: client.streams[stream].fields)
                self.assertEqual((client.streams[stream].status, len(backend.exchanges)), (502, 1))

    def test_not_sent_yet_when_the_connection_ends(self):
        for tls in (False, True):
            for name, (body, trailers) in self.BODIES.items():
                with H2Backend(tls) as backend, Gateway(route(backend)) as gateway, Http2(gateway) as client, \
                        self.subTest(tls=tls, body=name):
                    self.assertEqual(client.request().status, 200)
                    done, backend.done = backend.done, lambda one: None
                    other = client.open(path="/under-way")
                    wait_until("the second request", lambda backend=backend: len(backend.exchanges) == 2)
                    backend.done, streams = done, []
                    KeptConnections.stop_and_race(
                        self, gateway, lambda: streams.append(self.ask(client, body, trailers)), backend.peers[0].close)
                    self.check(backend, client, streams[0], body, trailers, 1)
                    self.assertEqual((client.finish(other).status, len(backend.peers)), (200, 2))


class Names(Case):
    def test_a_backend_that_moves_is_followed_also_by_kept_connections(self):
        for make, scheme in ((Backend, "http"), (H2Backend, "h2c")):
            with make() as backend:
                seen = (lambda b=backend: b.accepted) if make is Backend else (lambda b=backend: len(b.peers))
                zone = ("@ 1 SOA ns hostmaster 1 60 60 60 60\n@ 1 NS ns\nns 1 A 192.0.2.1\n"
                        "svc 1 A 127.0.0.{}\n")
                with Gateway(route(f"{scheme}://svc.inside.example:{backend.port}"),
                             files={"zone": zone.format(1)},
                             config='[[dns.zone]]\nname = "inside.example"\nfile = "zone"\n') as gateway:
                    self.assertEqual(gateway.curl(f"http://{HOST}/", http="--http1.1").status, 200)
                    self.assertEqual(seen(), 1)
                    gateway.write("zone", zone.format(3).replace("hostmaster 1", "hostmaster 2"))
                    gateway.reload()
                    time.sleep(5.2)  # a time to live is 5 seconds at least
                    # Nothing listens at 127.0.0.3: who goes there is refused.
                    self.assertEqual(gateway.curl(f"http://{HOST}/", http="--http1.1").status, 503)

    def test_a_name_that_is_gone_is_not_asked_any_more(self):
        zone = "@ 1 SOA ns hostmaster {} 60 60 60 60\n@ 1 NS ns\nns 1 A 192.0.2.1\n"
        relay = new_port()
        with Backend() as backend:
            listener = {"name": "tcp", "address": ["127.0.0.1"], "tcp": relay,
                        "backends": [f"svc.inside.example:{backend.port}"]}
            with Gateway(route(f"http://svc.inside.example:{backend.port}"),
                         files={"zone": zone.format(1) + "svc 1 A 127.0.0.1\n"},
                         config='[[dns.zone]]\nname = "inside.example"\nfile = "zone"\n'
                                + table("gateway.listener", listener)) as gateway:
                def relayed():
                    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", relay), 6 * SLOW) as client:
                        client.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                        return b" 200 " in client.recv(4096)
                    return False
                self.assertEqual(gateway.curl(f"http://{HOST}/", http="--http1.1").status, 200)
                self.assertTrue(relayed())
                gateway.write("zone", zone.format(2))
                gateway.reload()
                time.sleep(5.2)
                for _ in range(2):
                    self.assertEqual(gateway.curl(f"http://{HOST}/gone", http="--http1.1").status, 503)
                self.assertIn("our nameserver says NXDOMAIN", gateway.access("/gone"))
                self.assertFalse(relayed())
                gateway.write("zone", zone.format(3) + "svc 1 A 127.0.0.1\n")
                gateway.reload()
                self.assertEqual(gateway.curl(f"http://{HOST}/", http="--http1.1").status, 200)
                wait_until("it to be relayed", relayed)


if __name__ == "__main__":
    unittest.main()
