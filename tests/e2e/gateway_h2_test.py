"""HTTP/2 towards clients (RFC 9113, 8441): streams, windows, malformed requests, abuse that ends the
connection and is counted, the drain."""

import collections
import contextlib
import re
import signal
import threading
import time
import unittest

import h2.events
import h2.exceptions
import h2.settings
import hpack
from hyperframe.frame import (ContinuationFrame, DataFrame, HeadersFrame, PingFrame, RstStreamFrame,
                              SettingsFrame, WindowUpdateFrame)

from gateway_backends import Backend, new_port
from gateway_h2_client import Http2, Stream
from gateway_lab import HOST, Gateway, route
from lab import SLOW, Case, wait_until

REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 7, 8, 9, 11
LAST = 2**31 - 1  # the highest number of a stream
HEAD = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/")]


class Http2Case(Case):
    LIMITS = {}

    @classmethod
    def setUpClass(cls):
        cls.backend = Backend("echo")
        cls.gateway = Gateway(route(cls.backend), limits=cls.LIMITS)
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.backend.stop()
        cls.gateway.__exit__(None, None, None)

    def client(self, **options):
        client = Http2(self.gateway, **options)
        self.addCleanup(client.close)
        return client


class Stalled(Case):
    """Responses that the client takes nothing of: windows of zero."""

    def setUp(self):
        backend = Backend("echo")
        self.addCleanup(backend.stop)
        backend.on("/large", lambda e: e.reply(body=b"x" * 2_000_000))  # its end is still at the backend
        self.gateway = Gateway(route(backend, timeouts={"idle": "1s"}))
        self.addCleanup(self.gateway.__exit__, None, None, None)
        self.gateway.start()

    def stalled(self, count, path="/n{}"):
        client = Http2(self.gateway)
        self.addCleanup(client.close)
        client.tolerant = True
        client.send(SettingsFrame(settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}))
        streams = [client.open(path=path.format(i)) for i in range(count)]
        return client, streams

    def closed(self):
        return self.gateway.metrics()['postern_gateway_h2_closed_total{reason="stalled"}']

    def test_some_are_reset_and_the_others_go_on(self):
        for path in ("/n{}", "/large"):
            client, streams = self.stalled(8, path)
            client.read(lambda client=client, streams=streams: all(client.streams[one].done for one in streams), 10)
            self.assertEqual([client.streams[one].reset for one in streams], [CANCEL] * 8)
            client.send(SettingsFrame(settings={SettingsFrame.INITIAL_WINDOW_SIZE: 65535}))
            self.assertEqual(client.request(path="/after").reply().json()["target"], "/after")
            self.assertEqual(self.closed(), 0)

    def test_many_end_the_connection(self):
        for i, path in enumerate(("/n{}", "/large")):
            client, _ = self.stalled(12, path)
            client.read(lambda client=client: client.closed, 10)
            self.assertTrue(client.closed)
            self.assertEqual(client.goaway, ENHANCE_YOUR_CALM)
            self.assertEqual(self.closed(), i + 1)
        self.gateway.wait_log("http2_abuse.*stalled")


class Streams(Http2Case):
    def test_a_request_and_a_body(self):
        client = self.client()
        said = client.request(method="POST", path="/x?y", body=b"a" * 200_000).reply().json()
        self.assertEqual((said["method"], said["target"], said["size"]), ("POST", "/x?y", 200_000))
        fields = {name.lower(): value for name, value in said["fields"]}
        self.assertEqual(fields["host"], HOST)

    def test_a_stream_without_length_has_a_body_at_the_backend(self):
        client = self.client()
        stream = client.open(("content-length", "3"), method="PUT", end=False)
        client.data(stream, b"abc", end=True)
        self.assertEqual(client.finish(stream).reply().json()["size"], 3)
        self.assertEqual(client.request(path="/none").reply().json()["size"], 0)
        seen = self.backend.seen("/none")[0]
        self.assertIsNone(seen.header("Transfer-Encoding"))

    def test_a_hundred_streams_at_once_and_one_that_waits_holds_up_nobody(self):
        go = threading.Event()
        self.backend.on("/wait", lambda e: (go.wait(20 * SLOW), e.reply(body=b"late")))
        client = self.client()
        slow = client.open(path="/wait")
        streams = [client.open(path=f"/n{i}") for i in range(100)]
        for i, stream in enumerate(streams):
            self.assertEqual(client.finish(stream).reply().json()["target"], f"/n{i}")
        self.assertFalse(client.streams[slow].done)
        go.set()
        self.assertEqual(client.finish(slow).body, b"late")

    def held(self, path, count):
        """A client with so many streams there, of which the backend holds those that reach it; their numbers; and
        what lets one go."""
        one = threading.Semaphore(0)
        self.addCleanup(one.release, count)
        self.backend.on(path, lambda e: (one.acquire(timeout=60 * SLOW), e.reply()))
        client = self.client()
        return client, [client.open(path=path) for _ in range(count)], one.release

    def test_as_many_streams_as_the_setting_says_are_served_at_a_time(self):
        self.assertEqual(self.client().remote(h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS), 128)
        client, streams, let_go = self.held("/full", 128)
        ended = lambda: [one for one in streams if client.streams[one].done]
        wait_until("all at the backend", lambda: len(self.backend.seen("/full")) == 128)
        for count in range(1, 4):
            let_go()
            client.wait(lambda count=count: len(ended()) == count)
            streams.append(client.open(path="/full"))  # as soon as there is room, not sooner
            wait_until("the next at the backend", lambda count=count: len(self.backend.seen("/full")) == 128 + count)
        let_go(128)
        client.wait(lambda: len(ended()) == len(streams))
        self.assertEqual({client.streams[one].status for one in streams}, {200})
        self.assertIsNone(client.goaway)

    def test_one_more_is_refused_to_a_client_that_does_not_know_the_setting_yet(self):
        client, streams, let_go = self.held("/more", 129)  # it has read nothing
        client.wait(lambda: client.streams[streams[-1]].done)
        self.assertEqual(client.streams[streams[-1]].reset, REFUSED_STREAM)
        wait_until("the others at the backend", lambda: len(self.backend.seen("/more")) == 128)
        let_go(128)
        self.assertEqual({client.finish(one).status for one in streams[:-1]}, {200})
        self.assertEqual(client.request(path="/after").status, 200)
        self.assertIsNone(client.goaway)
        self.assertEqual(len(self.backend.seen("/more")), 128)

    def test_head_204_304_and_early_hints(self):
        self.backend.on("/204", lambda e: e.send("HTTP/1.1 204 No Content\r\n\r\n"))
        self.backend.on("/304", lambda e: e.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"))
        self.backend.on("/head", lambda e: e.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"))
        self.backend.on("/hints", lambda e: (e.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), e.reply(body=b"p")))
        client = self.client()
        self.assertEqual((client.request(path="/204").status, client.request(path="/304").status), (204, 304))
        head = client.request(path="/head", method="HEAD")
        self.assertEqual((dict(head.fields)["content-length"], head.body, head.ended), ("1234", b"", True))
        hints = client.request(path="/hints")
        self.assertEqual([dict(one) for one in hints.informational], [{":status": "103", "link": "</a>"}])
        self.assertEqual(hints.body, b"p")

    def test_100_continue(self):
        self.backend.on("/continue", lambda e: (e.send("HTTP/1.1 100 Continue\r\n\r\n"), e.echo()))
        client = self.client()
        stream = client.open(("expect", "100-continue"), method="POST", path="/continue", end=False)
        client.wait(lambda: client.streams[stream].informational)
        self.assertEqual(dict(client.streams[stream].informational[0])[":status"], "100")
        client.data(stream, b"abc", end=True)
        self.assertEqual(client.finish(stream).reply().json()["size"], 3)

    def test_trailers_both_ways(self):
        self.backend.on("/trailers", lambda e: (e.body(), e.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
            f"X-Sum: {dict((k.lower(), v) for k, v in e.trailers).get('x-up', 'none')}\r\n\r\n")))
        stream = self.client().request(("te", "trailers"), ("trailer", "x-up"), method="POST", path="/trailers",
                                       body=b"abc", trailers=[("x-up", "42")])
        self.assertEqual((stream.body, dict(stream.trailers or [])), (b"x", {"x-sum": "42"}))

    def test_cookie_crumbs_become_one_field(self):
        client = self.client()
        client.request(("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3"), path="/crumbs")
        self.assertEqual(self.backend.seen("/crumbs")[0].values("Cookie"), ["a=1; b=2; c=3"])

    def test_response_fields_are_lower_case_and_without_the_hop(self):
        self.backend.on("/case", lambda e: e.send(
            "HTTP/1.1 200 OK\r\nX-UPPER: Value\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
        fields = dict(self.client().request(path="/case").fields)
        self.assertEqual(fields["x-upper"], "Value")
        for name in ("connection", "x-hop", "keep-alive", "transfer-encoding"):
            self.assertNotIn(name, fields)

    def test_the_first_byte_of_an_event_stream_leaves_at_once(self):
        go = threading.Event()
        self.backend.on("/events", lambda e: (
            e.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"), go.wait(20 * SLOW),
            e.send("3\r\ntwo\r\n0\r\n\r\n")))
        client = self.client()
        stream = client.open(path="/events")
        client.wait(lambda: client.streams[stream].body == b"one", 5)
        go.set()
        self.assertEqual(client.finish(stream).body, b"onetwo")

    def test_both_directions_at_once(self):
        def duplex(e):
            e.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for part in e.parts():
                e.send(f"{len(part):x}\r\n", part, "\r\n")
            e.send("0\r\n\r\n")
        self.backend.on("/duplex", duplex)
        client = self.client()
        stream = client.open(method="POST", path="/duplex", end=False)
        for i in range(1, 5):
            client.data(stream, b"ping")
            client.wait(lambda i=i: client.streams[stream].body == b"ping" * i, 5)
        client.data(stream, b"", end=True)
        self.assertTrue(client.finish(stream).ended)

    def test_a_stream_that_is_not_read_stops_only_itself(self):
        sent = [0]

        def flood(e):
            e.send("HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
            for _ in range(1024):
                e.send(b"x" * 65536)
                sent[0] += 65536
        self.backend.on("/flood", flood)
        client = self.client(window="default")
        client.reading = False
        flooded = client.open(path="/flood")
        client.wait(lambda: len(client.streams[flooded].body) == 65535)
        previous = -1
        while sent[0] != previous:
            previous = sent[0]
            client.read(seconds=0.3)
        self.assertLess(sent[0], 32 << 20)
        client.protocol.increment_flow_control_window(1 << 20)  # the connection's, not the stream's
        client.flush()
        self.assertEqual(client.request(path="/other").reply().json()["target"], "/other")
        client.protocol.reset_stream(flooded, 8)
        client.flush()
        self.assertEqual(client.request(path="/after").reply().json()["target"], "/after")

    def test_a_reset_stream_frees_the_backend(self):
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
        client = self.client()
        stream = client.open(path="/endless")
        client.wait(lambda: client.streams[stream].body)
        client.protocol.reset_stream(stream, 8)
        client.flush()
        self.assertTrue(gone.wait(6 * SLOW))
        self.assertEqual(client.request().status, 200)

    def test_a_backend_that_dies_in_the_body_resets_the_stream(self):
        self.backend.on("/cut", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc"), e.close()))
        client = self.client()
        stream = client.request(path="/cut")
        self.assertIsNotNone(stream.reset)
        self.assertFalse(stream.ended)
        self.assertEqual(client.request().status, 200)

    def test_connect_is_refused(self):
        client = self.client()
        before = len(self.backend.exchanges)
        stream = client.finish(client.open(only=[(":method", "CONNECT"), (":authority", "10.0.0.1:22")], end=False))
        self.assertTrue(stream.reset is not None or stream.status >= 400, vars(stream))
        self.assertEqual(len(self.backend.exchanges), before)

    def test_extended_connect_is_offered(self):
        self.assertEqual(self.client().remote(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL), 1)


class EarlyTrailers(Case):
    """The whole request comes at once, so its end is there before a connection to the backend is."""

    def request(self, gateway, body):
        with Http2(gateway) as client:
            stream = client.protocol.get_next_available_stream_id()
            client.streams[stream] = Stream()
            client.protocol.send_headers(stream, [*HEAD[1:], (":method", "POST"), ("te", "trailers")])
            if body:
                client.protocol.send_data(stream, body)
            client.protocol.send_headers(stream, [("x-up", "42")], end_stream=True)
            client.flush()
            said = client.finish(stream).reply().json()
        self.assertEqual((said["size"], [[k.lower(), v] for k, v in said["trailers"]]), (len(body), [["x-up", "42"]]))

    def test_a_new_connection_to_the_backend_takes_them(self):
        with Backend("late", handlers={"/": lambda e: (e.close(), e.echo([("Connection", "close")]))}) as backend, \
                Gateway(route(backend)) as gateway:
            for body in (b"", b"abc", b"a" * 16_000):
                with self.subTest(len(body)):
                    self.request(gateway, body)

    def test_a_backend_that_refuses_does_not_cost_them(self):
        with Backend("late") as backend, Gateway(route(f"http://127.0.0.1:{new_port()}", backend)) as gateway:
            for body in (b"", b"abc") * 4:
                self.request(gateway, body)


class EarlyAnswers(Case):
    """The answer is there before the request is: nobody needs the rest, but most clients send it."""

    @classmethod
    def setUpClass(cls):
        cls.gateway = Gateway(route(respond={"status": 200, "body": "early"}))
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.gateway.__exit__(None, None, None)

    def answered(self, client):
        """A stream that has its whole answer and not yet sent its body."""
        stream = client.open(method="POST", end=False)
        client.wait(lambda: client.streams[stream].ended)
        self.assertEqual(client.streams[stream].body, b"early")
        return stream

    def test_a_client_that_sends_its_body_afterwards_is_not_reset(self):
        with Http2(self.gateway) as client:
            for size in (0, 3, 60_000):
                stream = self.answered(client)
                client.data(stream, b"x" * size, end=True)
                self.assertEqual(client.request(path="/next").status, 200)
                self.assertIsNone(client.streams[stream].reset)

    def test_one_that_sends_a_lot_is_told_to_stop(self):
        with Http2(self.gateway) as client:
            stream = self.answered(client)
            with self.assertRaises(h2.exceptions.StreamClosedError):
                for _ in range(100):
                    client.data(stream, b"x" * 16_000)
                    client.read(seconds=0.02)
            self.assertEqual(client.streams[stream].reset, 0)
            self.assertEqual(client.request(path="/next").status, 200)

    def test_one_that_sends_nothing_is_told_after_a_while(self):
        with Http2(self.gateway) as client:
            stream = self.answered(client)
            self.assertFalse(client.read(lambda: client.streams[stream].reset is not None, 1 / SLOW))
            client.wait(lambda: client.streams[stream].reset is not None, 8)
            self.assertEqual(client.streams[stream].reset, 0)

    def test_curl_gets_the_answer_to_what_it_posts(self):
        for _ in range(20):
            self.assertEqual(self.gateway.curl(f"https://{HOST}/", "-d", "a=b").body, b"early")


class Malformed(Http2Case):
    """RFC 9113 sections 8.1 to 8.3: a stream error or a 400, and nothing at the backend."""

    def without(self, name, *more):
        return [one for one in HEAD if one[0] != name] + list(more)

    def test_heads(self):
        for name, head in {
                "no method": self.without(":method"), "no scheme": self.without(":scheme"),
                "no path": self.without(":path"), "no authority and no Host": self.without(":authority"),
                "empty path": self.without(":path", )[:3] + [(":path", "")],
                "path without slash": self.without(":path") + [(":path", "a")],
                "upper case": HEAD + [("X-Upper", "1")], "pseudo later": [HEAD[0], ("x", "y"), *HEAD[1:]],
                "two paths": HEAD + [(":path", "/b")], "two methods": [HEAD[0], *HEAD],
                "unknown pseudo": HEAD + [(":x", "y")], "status": HEAD + [(":status", "200")],
                "connection": HEAD + [("connection", "close")], "keep-alive": HEAD + [("keep-alive", "5")],
                "transfer-encoding": HEAD + [("transfer-encoding", "chunked")], "upgrade": HEAD + [("upgrade", "x")],
                "proxy-connection": HEAD + [("proxy-connection", "x")], "te": HEAD + [("te", "gzip")],
                "LF in value": HEAD + [("x", "a\nb: c")], "CR in value": HEAD + [("x", "a\rb")],
                "NUL in value": HEAD + [("x", "a\0b")], "colon in name": HEAD + [("x:y", "z")],
                "space in name": HEAD + [("x y", "z")], "empty name": HEAD + [("", "z")],
                "LF in path": self.without(":path") + [(":path", "/a HTTP/1.1\r\nX: y")],
                "space in path": self.without(":path") + [(":path", "/a b")],
                "LF in method": [(":method", "GET /x HTTP/1.1\r\nHost: a\r\n\r\nGET"), *HEAD[1:]],
                "space in method": [(":method", "G T"), *HEAD[1:]],
                "bad authority": self.without(":authority") + [(":authority", "a b")],
                "user in authority": self.without(":authority") + [(":authority", f"u@{HOST}")],
                "Host differs": HEAD + [("host", "other.vanillax.me")], "two Hosts": HEAD + [("host", HOST), ("host", HOST)],
                "space before value": HEAD + [("x", " y")], "bad length": HEAD + [("content-length", "x")],
                "lengths differ": HEAD + [("content-length", "0"), ("content-length", "1")]}.items():
            head = sorted(head, key=lambda one: not one[0].startswith(":")) if name in (
                "path without slash", "empty path", "bad authority", "user in authority", "LF in path",
                "space in path", "two paths", "unknown pseudo", "status") else head
            with self.subTest(name):
                self.refused(head)
        self.gateway.wait_log('request: .*protocol=h2 .*failure="the head is malformed"')

    def reached(self):
        """Requests at the backend; those of the other tests here may come there late, and are not meant."""
        return sum(one.target not in ("/wrong", "/t") for one in list(self.backend.exchanges))

    def refused(self, head, body=b""):
        before = self.reached()
        client = self.client()
        stream = client.open(only=head)
        client.read(lambda: client.streams[stream].done or client.goaway is not None, 6)
        got = client.streams[stream]
        self.assertTrue(got.reset is not None or client.goaway or got.status == 400, vars(got))
        self.assertEqual(self.reached(), before, "it reached the backend")
        client.close()

    def test_bodies_that_do_not_have_the_length_they_say(self):
        for length, body in (("5", b"abc"), ("2", b"abc")):
            client = self.client()
            stream = client.open(("content-length", length), method="POST", path="/wrong", end=False)
            client.data(stream, body, end=True)
            client.read(lambda: client.streams[stream].done or client.goaway is not None, 6)
            got = client.streams[stream]
            self.assertTrue(got.reset is not None or client.goaway or got.status == 400, vars(got))
        self.assertFalse(any(one.ended and one.received != 0 and one.received == int(one.header("Content-Length"))
                             for one in self.backend.seen("/wrong")))

    def test_forbidden_trailers(self):
        client = self.client()
        stream = client.open(method="POST", path="/t", end=False)
        client.data(stream, b"abc")
        client.protocol.send_headers(stream, [("x", "y")], end_stream=True)
        client.flush()
        self.assertEqual(client.finish(stream).status, 200)
        encoder = client.protocol.encoder
        stream = client.open(method="POST", path="/t", end=False)
        client.send(HeadersFrame(stream, encoder.encode([(":path", "/b")]), flags=["END_HEADERS", "END_STREAM"]))
        client.read(lambda: client.streams[stream].done or client.goaway is not None, 6)
        self.assertTrue(client.streams[stream].reset is not None or client.goaway or
                        client.streams[stream].status == 400)


class Abuse(Http2Case):
    """Each floods one connection until it is ended; other clients are served meanwhile."""

    def assert_ended(self, name, frames, count, reason, read=True, memory=64 << 20):
        """`frames(client, i)` are sent `count` times; long before that the connection has to be over, counted with
        this reason and no other."""
        counted = self.counters()
        before = self.gateway.rss()
        client = self.client()
        client.tolerant = True
        client.read(seconds=0.1)
        for i in range(count):
            if not client.send(*frames(client, i)):
                break
            if read and i % 50 == 0:
                client.read(seconds=0.0001)
            if client.goaway is not None or client.closed:
                break
        client.read(lambda: client.closed or client.goaway is not None, 5)
        self.assertTrue(client.closed or client.goaway is not None, f"{name}: still open after {count}")
        client.read(lambda: client.closed, 5)
        self.assertTrue(client.closed, f"{name}: not closed")
        self.assertLess(self.gateway.rss() - before, memory * SLOW)
        self.assertEqual(self.client().request().status, 200)
        wait_until(f"{name} to be counted", lambda: self.counters() != counted)
        self.assertEqual(self.counters() - counted, {reason: 1}, name)

    def counters(self):
        """How many connections were ended: {reason: count}."""
        found = ((re.match(r'postern_gateway_h2_closed_total{reason="(.*)"}', name), value)
                 for name, value in self.gateway.metrics().items())
        return collections.Counter({match[1]: int(value) for match, value in found if match and value})

    def test_rapid_reset(self):
        def frames(client, i):
            stream = 2 * i + 1
            return (HeadersFrame(stream, self.head(client), flags=["END_HEADERS", "END_STREAM"]),
                    RstStreamFrame(stream, error_code=8))
        self.assert_ended("rapid reset", frames, 20_000, "rapid_reset")

    def head(self, client):
        return client.protocol.encoder.encode(HEAD)

    def test_resets_made_by_our_own_errors(self):
        def frames(client, i):  # "made you reset": each stream is broken so that the gateway resets it
            if i > 0:  # one at a time: more than the setting of streams would be another mistake
                client.read(lambda: client.streams[2 * i - 1].done)
            return [WindowUpdateFrame(client.open(method="POST", end=False), window_increment=2**31 - 1)]
        self.assert_ended("made you reset", frames, 300, "made_you_reset", read=False)

    def test_a_window_that_grows_by_nothing(self):
        # RFC 9113 section 6.9 has an error of the stream here, section 5.4.1 lets it be one of the connection, which
        # nghttp2 ends at the first.
        self.assert_ended("window of 0", lambda client, i: (
            HeadersFrame(2 * i + 1, self.head(client), flags=["END_HEADERS"]),
            WindowUpdateFrame(2 * i + 1, window_increment=0)), 20_000, "protocol")

    def test_streams_refused_to_a_client_that_does_not_acknowledge_settings(self):
        hold = threading.Event()
        self.addCleanup(hold.set)
        self.backend.on("/held", lambda e: hold.wait(60))
        head = [*HEAD[:3], (":path", "/held")]
        counted = self.counters()
        with self.gateway.dial(alpn=("h2",)) as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize())
            encoder = hpack.Encoder()
            connection.settimeout(10 * SLOW)
            with contextlib.suppress(ConnectionError):
                for batch in range(100):
                    for stream in range(200 * batch + 1, 200 * batch + 201, 2):
                        connection.sendall(HeadersFrame(stream, encoder.encode(head),
                                                        flags=["END_HEADERS", "END_STREAM"]).serialize())
                    # Read what each batch was answered with: many at once would be output that nobody reads.
                    mark = b"%08d" % batch
                    connection.sendall(PingFrame(0, opaque_data=mark).serialize())
                    got = b""
                    while mark not in got:
                        more = connection.recv(65536)
                        if not more:
                            raise ConnectionError("ended")
                        got = got[-len(mark):] + more
            self.assertLess(batch, 20)
        wait_until("it to be counted", lambda: self.counters() != counted)
        self.assertEqual(self.counters() - counted, {"made_you_reset": 1})

    def test_continuation_flood(self):
        def frames(client, i):
            if i == 0:
                return (HeadersFrame(1, self.head(client)),)
            return (ContinuationFrame(1, client.protocol.encoder.encode([(f"x-{i}", "y" * 1000)])),)
        self.assert_ended("continuation", frames, 30_000, "continuation")

    def test_empty_continuation_flood(self):
        self.assert_ended("empty continuation", lambda client, i: (
            HeadersFrame(1, self.head(client)) if i == 0 else ContinuationFrame(1, b""),), 100_000, "continuation")

    def test_settings_flood(self):
        self.assert_ended("settings", lambda client, i: [SettingsFrame(0, settings={3: 100})] * 20, 20_000, "settings",
                          read=False)

    def test_settings_flood_that_reads(self):
        self.assert_ended("settings, read", lambda client, i: [SettingsFrame(0)] * 20, 20_000, "settings")

    def test_ping_flood(self):
        self.assert_ended("ping", lambda client, i: [PingFrame(0, opaque_data=b"12345678")] * 20, 20_000, "ping",
                          read=False)

    def test_ping_flood_that_reads(self):
        self.assert_ended("ping, read", lambda client, i: [PingFrame(0, opaque_data=b"12345678")] * 20, 20_000, "ping")

    def test_empty_data_flood(self):
        self.backend.on("/sink", lambda e: e.echo())

        def frames(client, i):
            if i == 0:
                return (HeadersFrame(1, client.protocol.encoder.encode(
                    [(":method", "POST"), *HEAD[1:3], (":path", "/sink")]), flags=["END_HEADERS"]),)
            return [DataFrame(1, b"")] * 20
        self.assert_ended("empty data", frames, 20_000, "empty_frames")

    def test_hpack_bomb(self):
        encoder = hpack.Encoder()

        def frames(client, i):
            stream = 2 * i + 1
            first = [("x-bomb", "y" * 3900)] if i == 0 else []
            block = encoder.encode(HEAD + first)
            return (HeadersFrame(stream, block + b"\xbe" * (8000 if i else 0), flags=["END_HEADERS", "END_STREAM"]),)
        # 0xbe is the newest entry of the table: 8,000 bytes that mean 31 MB, again and again.
        self.assert_ended("hpack bomb", frames, 2000, "header_bomb")

    def test_table_of_hpack_is_not_made_larger_than_it_may_be(self):
        client, counted = self.client(), self.counters()
        client.tolerant = True
        client.send(HeadersFrame(1, b"\x3f\xe1\xff\xff\x03" + self.head(client), flags=["END_HEADERS", "END_STREAM"]))
        client.read(lambda: client.closed, 6)
        self.assertTrue(client.closed)
        self.assertEqual(client.goaway, COMPRESSION_ERROR)
        wait_until("it to be counted", lambda: self.counters() != counted)
        self.assertEqual(self.counters() - counted, {"protocol": 1})


class Drain(Case):
    def test_sigterm_says_goaway_and_lets_streams_finish(self):
        go = threading.Event()
        with Backend() as backend:
            backend.on("/slow", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"), go.wait(20 * SLOW),
                                           e.send("def")))
            gateway = Gateway(route(backend))
            with gateway:
                client = Http2(gateway)
                stream = client.open(path="/slow")
                client.wait(lambda: client.streams[stream].body == b"abc")
                gateway.process.send_signal(signal.SIGTERM)
                client.wait(lambda: client.goaway is not None, 5)
                self.assertEqual(client.goaway, 0)
                go.set()
                self.assertEqual(client.finish(stream).body, b"abcdef")
                client.read(lambda: client.closed, 8)
                self.assertTrue(client.closed)

    def test_idle_connections_do_not_hold_up_the_end(self):
        gateway = Gateway(route(respond={"status": 200, "body": "x"}))
        with gateway:
            clients = [Http2(gateway) for _ in range(5)] + [gateway.dial() for _ in range(5)]
            clients[0].request()
            began = time.monotonic()
            gateway.stop()
            self.assertLess(time.monotonic() - began, 5 * SLOW)

    def test_a_reload_leaves_streams_alone(self):
        go = threading.Event()
        with Backend() as backend, Gateway(route(backend)) as gateway:
            backend.on("/slow", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"), go.wait(20 * SLOW),
                                           e.send("def")))
            client = Http2(gateway)
            stream = client.open(path="/slow")
            client.wait(lambda: client.streams[stream].body == b"abc")
            gateway.change(routes=(route(respond={"status": 200, "body": "new"}),))
            wait_until("the new route", lambda: gateway.curl(f"https://{HOST}/").text == "new")
            go.set()
            self.assertEqual(client.finish(stream).body, b"abcdef")
            client.close()


class Draining(Http2):
    """A client that has a request under way, answers no PING by itself and goes on after a GOAWAY."""

    def __init__(self, gateway):
        super().__init__(gateway)
        self.pings = []
        self.protocol._frame_dispatch_table[PingFrame] = self.keep_ping
        assert self.request(path="/before").status == 200
        self.slow = self.open(path="/slow")
        self.wait(lambda: self.streams[self.slow].body == b"abc")

    def keep_ping(self, frame):
        self.pings.append(frame.opaque_data)
        return [], []

    def between(self):
        """A request behind the first GOAWAY, with which a PING comes."""
        self.wait(lambda: self.pings)
        self.taken = self.open(path="/between", method="POST", end=False)
        self.data(self.taken, b"abc", end=True)

    def settle(self):
        """What the gateway says at once to all that it was sent has come."""
        for _ in range(2):  # the answer to a PING goes before other frames
            count = len(self.pings)
            self.send(PingFrame(0, opaque_data=b"settling"))
            self.wait(lambda count=count: len(self.pings) > count)

    def late(self):
        stream = self.open(path="/late")
        self.settle()
        return self.streams[stream]

    def steps(self):
        """The GOAWAY frames that came: [(error code, last stream)]."""
        return [(int(one.error_code), one.last_stream_id) for one in self.events
                if isinstance(one, h2.events.ConnectionTerminated)]


class TwoSteps(Case):
    """RFC 9113 section 6.8: a GOAWAY that leaves nothing out, then one with the last stream that was taken."""

    def test_sigterm(self):
        with Backend() as backend:
            gateway = Gateway(route(backend))
            with gateway:
                self.drained(gateway, backend, lambda: gateway.process.send_signal(signal.SIGTERM))
                self.assertEqual(gateway.process.wait(10 * SLOW), 0)

    def test_a_reload_without_the_listener(self):
        with Backend() as backend, Gateway(route(backend)) as gateway:
            other = {"name": "other", "http": new_port(), "https": new_port()}
            self.drained(gateway, backend, lambda: self.assertIn(" reloaded", gateway.change(
                listener=other, routes=[route(backend, listeners=["other"])])))
            gateway.https_port = other["https"]
            self.assertEqual(gateway.curl(f"https://{HOST}/").status, 200)

    def drained(self, gateway, backend, begin):
        """By a client that answers the PING between the steps, and by one that does not."""
        go = threading.Event()
        backend.on("/slow", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"), go.wait(60 * SLOW),
                                       e.send("def")))
        with Draining(gateway) as answering, Draining(gateway) as silent:
            clients = answering, silent
            begin()
            for client in clients:
                client.between()
            for client in clients:
                self.assertEqual(client.finish(client.taken).reply().json()["size"], 3)
                self.assertEqual(client.steps()[0], (0, LAST))
            answering.send(PingFrame(0, opaque_data=answering.pings[0], flags=["ACK"]))
            answering.settle()
            self.assertEqual(len(answering.steps()), 2)  # at once; the other one gets it after a second
            for client in clients:
                client.wait(lambda client=client: len(client.steps()) == 2)
                self.assertEqual(client.steps()[1], (0, client.taken))
                self.assertFalse(client.late().done)
            self.assertFalse(answering.closed or silent.closed)
            go.set()
            for client in clients:
                self.assertEqual(client.finish(client.slow).body, b"abcdef")
                client.read(lambda client=client: client.closed)
                self.assertTrue(client.closed)
                self.assertEqual(len(client.steps()), 2)
            self.assertEqual(backend.seen("/late"), [])

    def test_a_request_in_one_packet_behind_the_answer_to_the_ping_is_not_left_out(self):
        """What a client is told was not taken it would send again."""
        go = threading.Event()
        with Backend() as backend, Gateway(route(backend)) as gateway:
            backend.on("/slow", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"), go.wait(60 * SLOW),
                                           e.send("def")))
            with Draining(gateway) as client:
                gateway.process.send_signal(signal.SIGTERM)
                client.wait(lambda: client.pings)
                client.flush, flush = lambda: None, client.flush
                number = client.open(path="/pay")
                client.flush = flush
                client.send(PingFrame(0, opaque_data=client.pings[0], flags=["ACK"]), client.protocol.data_to_send())
                self.assertEqual(client.finish(number).status, 200)
                client.wait(lambda: len(client.steps()) == 2)
                self.assertEqual(client.steps(), [(0, LAST), (0, number)])
                go.set()
                self.assertEqual(client.finish(client.slow).body, b"abcdef")


if __name__ == "__main__":
    unittest.main()
