"""HTTP/1.1 towards clients and backends: what passes, how it streams, what is refused, what is logged."""

import contextlib
import gzip
import hashlib
import http.client
import json
import os
import re
import socket
import threading
import time
import unittest

from gateway_backends import Backend, Nginx, new_port, node, server_context
from gateway_h2_backend import H2Backend
from gateway_h2_client import Http2
from gateway_lab import HOST, EchoCase, Gateway, curl, read_all, read_until, route
from lab import SLOW, Case, wait_until

GET = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n"


class Passing(EchoCase):
    def test_method_path_query_and_body_pass_as_they_are(self):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "M-SEARCH"):
            with self.subTest(method=method):
                said = self.get("/a%2Fb//c;d?x=%20&y=a+b&&z", "-X", method, "--data-binary", "body").json()
                self.assertEqual((said["method"], said["target"], said["size"]),
                                 (method, "/a%2Fb//c;d?x=%20&y=a+b&&z", 4))

    def test_a_large_body_arrives_whole_both_ways(self):
        big = os.urandom(3_000_000)
        path = self.gateway.write("big", big)
        self.backend.on("/big", lambda e: e.reply(body=big))
        for form in ([], ["-H", "Transfer-Encoding: chunked"]):
            said = self.get("/up", "--data-binary", f"@{path}", *form).json()
            self.assertEqual(said["sha256"], hashlib.sha256(big).hexdigest())
        self.assertEqual(self.get("/big").body, big)

    def test_a_chunked_response_and_one_ended_by_close(self):
        def chunked(e):
            e.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n")

        def closing(e):
            e.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end")
            e.close()

        def old(e):
            e.send("HTTP/1.0 200 OK\r\n\r\nold")
            e.close()
        for path, handler, body in (("/chunked", chunked, b"abcdefg"), ("/closing", closing, b"until the end"),
                                    ("/old", old, b"old")):
            self.backend.on(path, handler)
            self.assertEqual(self.get(path).body, body)

    def test_http_1_0_clients_get_no_chunks(self):
        self.backend.on("/c10", lambda e: e.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
        got, closed = self.gateway.raw(f"GET /c10 HTTP/1.0\r\nHost: {HOST}\r\n\r\n")
        head, body = got.split(b"\r\n\r\n", 1)
        self.assertEqual(body, b"abc")
        self.assertNotIn(b"chunked", head.lower())
        self.assertTrue(closed)

    def test_several_requests_on_one_connection_and_pipelined(self):
        sent = b"".join(f"GET /p{i} HTTP/1.1\r\nHost: {HOST}\r\n{'Connection: close' if i == 9 else 'X: y'}"
                        f"\r\n\r\n".encode() for i in range(10))
        got, closed = self.gateway.raw(sent)
        self.assertTrue(closed)
        self.assertEqual(re.findall(rb'"target": "/p(\d)"', got), [b"%d" % i for i in range(10)])

    def test_head_204_and_304_have_no_body_and_keep_the_connection(self):
        self.backend.on("/head", lambda e: e.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX: y\r\n\r\n"))
        self.backend.on("/204", lambda e: e.send("HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"))
        self.backend.on("/304", lambda e: e.send(
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: \"a\"\r\n\r\n"))
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.http_port, timeout=6 * SLOW)
        for method, path, status in (("HEAD", "/head", 200), ("GET", "/204", 204), ("GET", "/304", 304),
                                     ("GET", "/after", 200)):
            connection.request(method, path, headers={"Host": HOST})
            got = connection.getresponse()
            body = got.read()
            self.assertEqual(got.status, status)
            if path == "/head":
                self.assertEqual(got.getheader("Content-Length"), "1234")
            if path == "/304":
                self.assertEqual(got.getheader("ETag"), '"a"')
            if status == 204:
                self.assertIsNone(got.getheader("Content-Length"))
                self.assertIsNone(got.getheader("Transfer-Encoding"))
            if path != "/after":
                self.assertEqual(body, b"")
        connection.close()

    def test_trailers_pass_both_ways(self):
        def answer(e):
            e.body()
            e.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                   f"3\r\nabc\r\n0\r\nX-Sum: {dict((k.lower(), v) for k, v in e.trailers).get('x-up', 'none')}\r\n"
                   'Alt-Svc: h3=":443"\r\n\r\n')
        self.backend.on("/trailers", answer)
        with self.gateway.dial(tls=False) as connection:
            connection.sendall(f"POST /trailers HTTP/1.1\r\nHost: {HOST}\r\nTE: trailers\r\nTrailer: X-Up\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Up: 42\r\n\r\n".encode())
            got = read_until(connection, b"\r\n0\r\n")
            while not got.endswith(b"\r\n\r\n"):
                got += connection.recv(4096)
        self.assertIn(b"x-sum: 42", got.lower())
        self.assertNotIn(b"alt-svc: h3", got.lower())

    def test_100_continue_comes_from_the_backend(self):
        asked = threading.Event()

        def answer(e):
            asked.wait(6 * SLOW)
            e.send("HTTP/1.1 100 Continue\r\n\r\n")
            e.echo()
        self.backend.on("/continue", answer)
        with self.gateway.dial(tls=False) as connection:
            connection.sendall(f"POST /continue HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\n"
                               "Content-Length: 3\r\n\r\n".encode())
            wait_until("the request at the backend", lambda: self.backend.seen("/continue"))
            self.assertEqual(self.backend.seen("/continue")[0].header("Expect"), "100-continue")
            connection.settimeout(0.2)
            with self.assertRaises(TimeoutError):
                connection.recv(1)
            connection.settimeout(6 * SLOW)
            asked.set()
            self.assertIn(b" 100 ", read_until(connection, b"\r\n\r\n"))
            connection.sendall(b"abc")
            self.assertIn(b'"size": 3', read_until(connection, b"}"))

    def test_a_refusal_in_place_of_100_continue(self):
        self.backend.on("/refuse", lambda e: (e.reply(403, reason="No"), e.close()))
        reply = self.get("/refuse", "-H", "Expect: 100-continue", "--data-binary", "x" * 2000)
        self.assertEqual([head[0] for head in reply.heads], [403])

    def test_103_early_hints_pass(self):
        self.backend.on("/hints", lambda e: (e.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"),
                                             e.reply(body=b"page")))
        reply = self.get("/hints")
        self.assertEqual([head[0] for head in reply.heads], [103, 200])
        self.assertIn(("link", "</a.css>"), [(k.lower(), v) for k, v in reply.heads[0][1]])

    def test_repeated_fields_and_cookies_keep_their_order(self):
        self.backend.on("/cookies", lambda e: e.reply(fields=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2, c"),
                                                              ("X-A", "1"), ("X-A", "2")]))
        reply = self.get("/cookies", "-H", "X-B: 1", "-H", "X-B: 2", "-H", "Cookie: a=b; c=d")
        self.assertEqual(reply.values("Set-Cookie"), ["a=1", "b=2, c"])
        self.assertEqual(", ".join(reply.values("X-A")), "1, 2")
        seen = self.backend.seen("/cookies")[0]
        self.assertEqual((seen.header("X-B"), seen.header("Cookie")), ("1, 2", "a=b; c=d"))

    def test_encodings_and_ranges_are_not_touched(self):
        packed = gzip.compress(b"text" * 100)
        self.backend.on("/gzip", lambda e: e.reply(206, [("Content-Encoding", "gzip"),
                                                         ("Content-Range", "bytes 0-9/10")], packed))
        reply = self.get("/gzip", "-H", "Range: bytes=0-9", "-H", "Accept-Encoding: gzip, br")
        self.assertEqual((reply.status, reply.body), (206, packed))
        seen = self.backend.seen("/gzip")[0]
        self.assertEqual((seen.header("Range"), seen.header("Accept-Encoding")), ("bytes=0-9", "gzip, br"))

    def test_an_absolute_target_names_the_host(self):
        got, _ = self.gateway.raw(f"GET http://{HOST}/abs?q HTTP/1.1\r\nHost: {HOST}\r\n"
                                  "Connection: close\r\n\r\n")
        self.assertIn(b'"target": "/abs?q"', got)
        got, _ = self.gateway.raw("GET http://alone.vanillax.me/abs HTTP/1.1\r\nHost: "
                                  f"{HOST}\r\nConnection: close\r\n\r\n")
        self.assertIn(b'"name": "alone"', got)  # RFC 9112 section 3.2.2
        self.assertEqual(self.other.seen("/abs")[0].header("Host"), "alone.vanillax.me")

    def test_connect_and_trace_are_refused(self):
        for request in (f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n",
                        f"TRACE / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"):
            before = len(self.backend.exchanges)
            got, _ = self.gateway.raw(request, timeout=2)
            self.assertRegex(got, rb"^HTTP/1\.1 4\d\d|^HTTP/1\.1 501")
            self.assertEqual(len(self.backend.exchanges), before)

    def test_a_client_that_has_said_all_still_gets_its_answer(self):
        self.backend.on("/later", lambda e: (time.sleep(0.3), e.reply(body=b"later")))
        with self.gateway.dial(tls=False) as connection:
            connection.sendall(f"GET /later HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            connection.shutdown(socket.SHUT_WR)
            got, closed = read_all(connection)
        self.assertTrue(got.endswith(b"later") and closed, got)

    def test_an_upload_that_breaks_off_is_no_whole_one_for_the_backend(self):
        for path, text in (("/cut-a", "Content-Length: 10\r\n\r\nabc"),
                           ("/cut-b", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")):
            self.gateway.raw(f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\n{text}", timeout=0.3)
            wait_until("the start of it", lambda path=path: self.backend.seen(path)[0].received == 3)
            time.sleep(0.2)
            self.assertFalse(self.backend.seen(path)[0].ended)

    def test_an_error_page_is_short_and_plain(self):
        reply = self.gateway.curl("http://nobody.vanillax.me/", http="--http1.1")
        self.assertEqual(reply.status, 404)
        self.assertIn("text/plain", reply.header("Content-Type"))
        self.assertLess(len(reply.body), 300)
        self.assertGreater(len(reply.body), 5)
        self.assertNotIn(b"<", reply.body)


class NotModified(Case):
    def test_early_hints_and_then_304(self):
        def speak(e):
            e.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n')

        def speak2(one):
            one.peer.protocol.send_headers(one.number, [(":status", "103"), ("link", "</a>")])
            one.peer.protocol.send_headers(one.number, [(":status", "304"), ("etag", '"a"')], end_stream=True)
            one.peer.flush()
        for make in (Backend, H2Backend, lambda: H2Backend(tls=True)):
            with make() as backend, Gateway(route(backend)) as gateway, self.subTest(url=backend.url):
                if isinstance(backend, H2Backend):
                    backend.done = speak2
                else:
                    backend.on("/", speak)
                for tls in (False, True):
                    with gateway.dial(tls) as client:
                        for _ in range(2):  # nothing is left behind the first
                            client.sendall(f"{GET}\r\n".encode())
                            got = b""
                            while got.count(b"\r\n\r\n") < 2:
                                got += read_until(client, b"\r\n\r\n")
                            self.assertRegex(got, rb"(?is)^HTTP/1.1 103 .*link: </a>\r\n\r\n"
                                             rb'HTTP/1.1 304 .*etag: "a"\r\n')
                with Http2(gateway) as client:
                    for _ in range(2):
                        got = client.request()
                        early = [dict(one) for one in got.informational]
                        self.assertEqual(early, [{":status": "103", "link": "</a>"}])
                        self.assertEqual((got.status, dict(got.fields)["etag"], got.body), (304, '"a"', b""))


class Streaming(EchoCase):
    def test_the_first_byte_of_an_event_stream_leaves_at_once(self):
        go = threading.Event()

        def events(e):
            e.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            e.send("9\r\ndata: 1\n\n\r\n")
            go.wait(10 * SLOW)
            e.send("9\r\ndata: 2\n\n\r\n0\r\n\r\n")
        self.backend.on("/events", events)
        with self.gateway.dial(tls=False) as connection:
            connection.sendall(f"GET /events HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            self.assertNotIn(b"data: 2", read_until(connection, b"data: 1\n\n"))
            go.set()
            read_until(connection, b"data: 2\n\n")

    def test_the_head_leaves_before_any_body(self):
        go = threading.Event()
        self.backend.on("/early", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"),
                                             go.wait(10 * SLOW), e.send("abc")))
        with self.gateway.dial(tls=False) as connection:
            connection.sendall(f"GET /early HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            read_until(connection, b"\r\n\r\n")
            go.set()
            read_until(connection, b"abc")

    def test_an_upload_streams_while_it_is_sent(self):
        first = threading.Event()

        def take(e):
            parts = e.parts()
            got = next(parts)
            first.set()
            e.reply(body=got + b"".join(parts))
        self.backend.on("/slow-up", take)
        with self.gateway.dial(tls=False) as connection:
            connection.sendall(f"POST /slow-up HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 6\r\n\r\nabc".encode())
            self.assertTrue(first.wait(6 * SLOW), "the first part waits for the rest")
            connection.sendall(b"def")
            read_until(connection, b"abcdef")

    def test_request_and_response_bodies_at_the_same_time(self):
        def duplex(e):
            e.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for part in e.parts():
                e.send(f"{len(part):x}\r\n", part, "\r\n")
            e.send("0\r\n\r\n")
        self.backend.on("/duplex", duplex)
        with self.gateway.dial(tls=False) as connection:
            connection.sendall(f"POST /duplex HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            for word in (b"one", b"two", b"six"):
                connection.sendall(b"3\r\n" + word + b"\r\n")
                read_until(connection, word)
            connection.sendall(b"0\r\n\r\n")
            read_until(connection, b"0\r\n\r\n")

    def test_an_early_answer_to_an_upload_reaches_the_client(self):
        def refuse(e):  # and lingers, as servers do, so that no RST overtakes the answer
            e.reply(413, [("Connection", "close")], b"too much", reason="No")
            e.connection.shutdown(socket.SHUT_WR)
            e.connection.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                e.body()
            e.close()
        self.backend.on("/early-413", refuse)
        path = self.gateway.write("much", b"x" * 5_000_000)
        reply = self.get("/early-413", "-T", str(path), "-H", "Expect:", check=False)
        self.assertEqual((reply.status, reply.body), (413, b"too much"))

    def test_a_slow_reader_holds_the_backend_back(self):
        sent = [0]

        def flood(e):
            e.send("HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
            for _ in range(1024):
                e.send(b"x" * 65536)
                sent[0] += 65536
        self.backend.on("/flood", flood)
        with self.gateway.dial(tls=False) as connection:
            connection.sendall(f"GET /flood HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            previous = -1
            while sent[0] != previous or not sent[0]:
                previous = sent[0]
                time.sleep(0.3 * SLOW)
            self.assertLess(sent[0], 32 << 20)
            left = 67108864 - len(read_until(connection, b"\r\n\r\n").split(b"\r\n\r\n", 1)[1])
            while left > 0:
                left -= len(connection.recv(1 << 20))
        self.assertEqual(left, 0)


class Headers(EchoCase):
    def seen(self, *arguments, scheme="http", source=None, http="--http1.1"):
        extra = ["--interface", source] if source else []
        fields = self.gateway.curl(f"{scheme}://{HOST}/fields", *arguments, *extra, http=http).json()["fields"]
        joined = {}
        for name, value in fields:
            joined[name.lower()] = f"{joined[name.lower()]}, {value}" if name.lower() in joined else value
        return joined

    def test_hop_by_hop_fields_end_here(self):
        seen = self.seen("-H", "Connection: keep-alive, X-Mine", "-H", "X-Mine: 1", "-H", "Keep-Alive: timeout=5",
                         "-H", "Proxy-Connection: keep-alive", "-H", "TE: gzip", "-H", "X-Yours: 1")
        self.assertEqual(seen["x-yours"], "1")
        for name in ("x-mine", "keep-alive", "proxy-connection"):
            self.assertNotIn(name, seen)
        self.assertNotIn("gzip", seen.get("te", ""))
        self.backend.on("/hop", lambda e: e.send("HTTP/1.1 200 OK\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: "
                                                 "timeout=5\r\nX-Yours: 1\r\nContent-Length: 0\r\n\r\n"))
        for scheme, how in (("http", "--http1.1"), ("https", "--http2")):
            reply = self.gateway.curl(f"{scheme}://{HOST}/hop", http=how)
            self.assertEqual(reply.header("X-Yours"), "1")
            self.assertIsNone(reply.header("X-Mine"))
            self.assertIsNone(reply.header("Keep-Alive"))

    def test_who_asked_is_told_and_what_strangers_claim_is_replaced(self):
        claims = ["-H", "X-Forwarded-For: 6.6.6.6", "-H", "X-Forwarded-Proto: gopher", "-H", "X-Forwarded-Host: evil",
                  "-H", "Forwarded: for=6.6.6.6;proto=gopher;host=evil"]
        for scheme in ("http", "https"):
            for how in ("--http1.1", "--http2") if scheme == "https" else ("--http1.1",):
                for arguments in ([], claims):
                    with self.subTest(scheme=scheme, how=how, claims=bool(arguments)):
                        seen = self.seen(*arguments, scheme=scheme, http=how)
                        self.assertEqual(seen["x-forwarded-for"], "127.0.0.1")
                        self.assertEqual(seen["x-forwarded-proto"], scheme)
                        self.assertEqual(seen["x-forwarded-host"], HOST)
                        forwarded = seen["forwarded"].lower().replace('"', "")
                        self.assertIn("for=127.0.0.1", forwarded)
                        self.assertIn(f"proto={scheme}", forwarded)
                        self.assertIn(f"host={HOST}", forwarded)
                        for lie in ("6.6.6.6", "evil", "gopher"):
                            self.assertNotIn(lie, json.dumps(seen))

    def test_an_ipv6_client_is_told_in_brackets_and_quotes(self):
        with Backend() as backend, Gateway(route(backend), listener={"address": ["127.0.0.1", "::1"]}) as gateway:
            for scheme, how in (("http", "--http1.1"), ("https", "--http1.1"), ("https", "--http2")):
                port = gateway.https_port if scheme == "https" else gateway.http_port
                with self.subTest(scheme=scheme, how=how):
                    fields = [(name.lower(), value) for name, value in curl(
                        f"{scheme}://{HOST}/", "--connect-to", f"::[::1]:{port}", how).json()["fields"]]
                    self.assertEqual([value for name, value in fields if name == "forwarded"],
                                     [f'for="[::1]";host={HOST};proto={scheme}'])  # RFC 7239 section 6
                    self.assertEqual([value for name, value in fields if name == "x-forwarded-for"], ["::1"])

    def test_a_trusted_proxy_is_believed(self):
        seen = self.seen("-H", "X-Forwarded-For: 203.0.113.7", "-H", "X-Forwarded-Proto: https", "-H",
                         "Forwarded: for=203.0.113.7;proto=https", source="127.0.0.2")
        self.assertIn("203.0.113.7", seen["x-forwarded-for"])
        self.assertEqual(seen["x-forwarded-proto"], "https")
        self.assertIn("203.0.113.7", seen["forwarded"])
        self.gateway.curl(f"http://{HOST}/who-was-it", "-H", "X-Forwarded-For: 203.0.113.77", "--interface",
                          "127.0.0.2", http="--http1.1")
        self.assertIn("203.0.113.77", self.gateway.access("/who-was-it"))

    def test_a_request_id_is_passed_or_made(self):
        self.assertEqual(self.seen("-H", "X-Request-Id: abc-123")["x-request-id"], "abc-123")
        made = {self.seen()["x-request-id"] for _ in range(5)}
        self.assertEqual(len(made), 5)
        self.assertTrue(all(len(one) >= 8 for one in made))

    def test_via_is_not_added_and_server_is_the_backends(self):
        self.backend.on("/server", lambda e: e.reply(fields=[("Server", "backend/1.0"), ("Date", "today")]))
        reply = self.get("/server")
        self.assertEqual(reply.values("Server"), ["backend/1.0"])
        self.assertIsNone(reply.header("Via"))
        self.assertNotIn("via", self.seen())

    def test_the_host_reaches_the_backend(self):
        self.assertEqual(self.seen()["host"], HOST)
        self.assertEqual(self.seen("-H", f"Host: {HOST}:8443")["host"], f"{HOST}:8443")

    def test_another_header_for_the_clients_address(self):
        with Backend() as backend, Gateway(route(backend), listener={
                "trusted_proxies": ["127.0.0.0/8"], "client_ip_header": "CF-Connecting-IP"}) as gateway:
            seen = dict((k.lower(), v) for k, v in gateway.curl(
                f"http://{HOST}/cf", "-H", "CF-Connecting-IP: 2001:db8::7", "-H", "X-Forwarded-For: 6.6.6.6",
                http="--http1.1").json()["fields"])
            self.assertEqual(seen["cf-connecting-ip"], "2001:db8::7")
            line = gateway.access("/cf")
            self.assertIn("2001:db8::7", line)
            self.assertNotIn("6.6.6.6", line)

    def test_what_is_no_address_in_it_is_counted_and_said_once(self):
        for header in ("CF-Connecting-IP", "X-Forwarded-For"):
            with self.subTest(header), Backend() as backend, Gateway(route(backend), listener={
                    "trusted_proxies": ["127.0.0.0/8"], "client_ip_header": header}) as gateway:
                def counted(gateway=gateway):
                    return gateway.metrics()["postern_gateway_client_ip_invalid_total"]
                for i, (value, claims) in enumerate((("unknown", 1), ("2001:db8::7x", 2), ("\u00e4" * 500, 3), ("", 3),
                                                     ("2001:db8::7", 3))):
                    lines = ["-H", f"{header}: {value}"] if value else []
                    gateway.curl(f"http://{HOST}/claim{i}", *lines, http="--http1.1")
                    said = gateway.access(f"/claim{i}")
                    self.assertIn(" client=2001:db8::7 " if i == 4 else " client=127.0.0.1 ", said)
                    self.assertEqual(counted(), claims)
                said = [line for line in gateway.log if " client_ip_header: " in line]
                self.assertEqual(len(said), 1)
                self.assertIn(f"{header} of the trusted proxy 127.0.0.1 is 'unknown'", said[0])
                twice = ["-H", f"{header}: 192.0.2.1", "-H", f"{header}: 192.0.2.2"]
                gateway.curl(f"http://{HOST}/twice", *twice, http="--http1.1")
                self.assertEqual(counted(), 3 if header == "X-Forwarded-For" else 4)


class Backends(Case):
    """The kinds of backend: real servers."""

    def test_nginx_over_http_https_and_h2c(self):
        for how in ("", "ssl", "http2"):
            with self.subTest(how=how or "plain"), Nginx(how) as nginx, Gateway(route(nginx)) as gateway:
                data = os.urandom(2_000_000)
                (nginx.root / "file").write_bytes(data)
                for scheme, version in (("http", "--http1.1"), ("https", "--http1.1"), ("https", "--http2")):
                    reply = gateway.curl(f"{scheme}://{HOST}/file", http=version)
                    self.assertEqual((reply.status, reply.body == data), (200, True))
                    self.assertRegex(reply.header("Server"), "nginx")
                    tag = reply.header("ETag")
                    self.assertEqual(gateway.curl(f"{scheme}://{HOST}/file", "-H", f"If-None-Match: {tag}",
                                                  http=version).status, 304)
                    reply = gateway.curl(f"{scheme}://{HOST}/file", "-r", "10-19", http=version)
                    self.assertEqual((reply.status, reply.body), (206, data[10:20]))
                    self.assertEqual(gateway.curl(f"{scheme}://{HOST}/none", http=version).status, 404)
                    reply = gateway.curl(f"{scheme}://{HOST}/file", "-I", http=version)
                    self.assertEqual(reply.header("Content-Length"), "2000000")

    def test_a_python_backend_over_tls(self):
        with Backend(context=server_context("127.0.0.1", "localhost")) as backend, \
                Gateway(route(backend)) as gateway:
            said = gateway.curl(f"https://{HOST}/tls", "-d", "abc").json()
            self.assertEqual((said["size"], dict(said["fields"])["X-Forwarded-Proto"]
                              if "X-Forwarded-Proto" in dict(said["fields"]) else
                              dict((k.lower(), v) for k, v in said["fields"])["x-forwarded-proto"]), (3, "https"))

    def test_a_backend_by_name(self):
        with Backend() as backend, Gateway(
                route(f"http://localhost:{backend.port}", hosts=["a.vanillax.me"]),
                route(f"http://inside.example:{backend.port}", hosts=["b.vanillax.me"]),
                route(f"http://nowhere.example:{backend.port}", hosts=["c.vanillax.me"]),
                config='[[dns.override]]\nnames = ["inside.example"]\naddress = ["127.0.0.1"]\n') as gateway:
            for host, status in (("a", 200), ("b", 200), ("c", 503)):
                reply = gateway.curl(f"http://{host}.vanillax.me/", http="--http1.1")
                self.assertEqual(reply.status, status, host)

    def test_node_over_h2c(self):
        port = new_port()
        with node("h2c.js", port), Gateway(route(f"h2c://127.0.0.1:{port}"), files={"body": "a" * 300_000}) as gateway:
            for scheme, version in (("http", "--http1.1"), ("https", "--http2")):
                reply = gateway.curl(f"{scheme}://{HOST}/echo?x=1", "-d", f"@{gateway.directory}/body", "-H", "Cookie: a=b; c=d",
                                     "-H", "Connection: X-Mine", "-H", "X-Mine: 1", http=version)
                said = reply.json()
                self.assertEqual((said["method"], said["path"], said["size"]), ("POST", "/echo?x=1", 300_000))
                self.assertEqual(said["headers"][":authority"], HOST)
                self.assertEqual(said["headers"]["cookie"], "a=b; c=d")
                self.assertEqual(said["headers"]["x-forwarded-proto"], scheme)
                self.assertNotIn("x-mine", said["headers"] if version == "--http1.1" else {})
                reply = gateway.curl(f"{scheme}://{HOST}/reset", http=version, check=False)
                self.assertNotEqual(reply.code, 0)
                self.assertEqual(reply.body, b"half")
                reply = gateway.curl(f"{scheme}://{HOST}/hints", http=version)
                self.assertEqual([head[0] for head in reply.heads], [103, 200])
            got, _ = gateway.raw(f"GET /trailers HTTP/1.1\r\nHost: {HOST}\r\nTE: trailers\r\nConnection: close\r\n\r\n")
            self.assertIn(b"x-sum: 7", got.lower())


if __name__ == "__main__":
    unittest.main()
