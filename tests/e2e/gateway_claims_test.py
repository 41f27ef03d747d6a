"""What clients say that is not theirs to say, by routes, trailers, tunnels and redirects; what is switched to."""

import unittest

from gateway_backends import Backend
from gateway_h2_backend import H2Backend
from gateway_h2_client import Http2
from gateway_lab import HOST, Gateway, read_until, route
from lab import Case, run

CF = "CF-Connecting-IP"


def says(text, **keys):
    return route(respond={"body": text}, **keys)


class Matched(Case):
    @classmethod
    def setUpClass(cls):
        cls.backend = Backend()
        header = lambda name, value: [{"headers": {name: value}}]
        cls.gateway = Gateway(
            says("inner", matches=header(CF, "10.0.0.1")), says("secure", matches=header("X-Forwarded-Proto", "https")),
            says("socket", hosts=["ws.vanillax.me"], matches=header("Upgrade", "websocket")),
            says("page", hosts=["ws.vanillax.me"]),
            route(hosts=["path.vanillax.me"], redirect={"path": "/new"}),
            route(hosts=["host.vanillax.me"], redirect={"hostname": "x.example"}),
            route(cls.backend), listener={"trusted_proxies": ["127.0.0.2/32"], "client_ip_header": CF})
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.backend.stop()
        cls.gateway.__exit__(None, None, None)

    def get(self, *arguments, host=HOST, path="/", scheme="http", proxy=False):
        source = ["--interface", "127.0.0.2"] if proxy else []
        return self.gateway.curl(f"{scheme}://{host}{path}", *arguments, *source, http="--http1.1")

    def test_no_route_is_for_what_a_stranger_claims(self):
        for claim, believed in ((f"{CF}: 10.0.0.1", "inner"), ("X-Forwarded-Proto: https", "secure")):
            with self.subTest(claim):
                self.assertNotIn(self.get("-H", claim).text, ("inner", "secure"))
                self.assertEqual(self.get("-H", claim, proxy=True).text, believed)
        self.assertEqual(self.get(scheme="https").text, "secure")  # this one says so itself

    def test_an_upgrade_can_be_matched(self):
        upgrade = ("-H", "Connection: Upgrade", "-H", "Upgrade: WebSocket")
        self.assertEqual(self.get(*upgrade, host="ws.vanillax.me").text, "socket")
        self.assertEqual(self.get(host="ws.vanillax.me").text, "page")
        self.assertEqual(self.get("-H", "Upgrade: WebSocket", host="ws.vanillax.me").text, "page")

    def test_what_frames_a_message_cannot_be_matched(self):
        for name in ("content-length", "transfer-encoding", "connection"):
            gateway = Gateway(says("x", matches=[{"headers": {name: "1"}}]))
            gateway.configure()
            status, out, err = run("check", "-c", gateway.config_path)
            self.assertEqual(status, 1)
            self.assertIn(f"'{name}' belongs to one connection or to the framing of a message", out + err)

    def test_a_redirect_stays_as_the_client_of_a_proxy_came(self):
        https = ("-H", "X-Forwarded-Proto: https")
        for host, arguments, location in (("path", https, "https://path.vanillax.me/new"),
                                          ("path", (), "http://path.vanillax.me/new"),
                                          ("path", (*https, "-H", "Host: path.vanillax.me:8443"),
                                           "https://path.vanillax.me:8443/new"),
                                          ("host", https, "https://x.example/")):
            with self.subTest(host=host, arguments=arguments):
                reply = self.get(*arguments, host=f"{host}.vanillax.me", proxy=True)
                self.assertEqual(reply.header("Location"), location)
        lied = self.get(*https, host="path.vanillax.me").header("Location")
        self.assertEqual(lied, f"http://path.vanillax.me:{self.gateway.http_port}/new")

    def test_nobody_claims_anything_in_trailers(self):
        claims = [(CF.lower(), "6.6.6.6"), ("x-real-ip", "6.6.6.6"), ("x_forwarded_for", "6.6.6.6"),
                  ("x-forwarded-user", "root"), ("x-forwarded-port", "1"), ("x-request-id", "lie")]
        with H2Backend() as h2, Backend() as h1:
            for backend in (h1, h2):
                with Gateway(route(backend), listener={"client_ip_header": CF}) as gateway:
                    with Http2(gateway) as client:
                        stream = client.at_once(("te", "trailers"), method="POST", body=b"abc",
                                                trailers=[*claims, ("x-sum", "1")])
                        self.assertEqual(client.finish(stream).status, 200)
                    text = "".join(f"{name}: {value}\r\n" for name, value in claims)
                    got, _ = gateway.raw(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nTransfer-Encoding: "
                                         f"chunked\r\n\r\n3\r\nabc\r\n0\r\n{text}X-Sum: 1\r\n\r\n")
                    self.assertIn(b" 200 ", got)
                self.assertEqual([[(name.lower(), value) for name, value in one.trailers] for one in backend.exchanges],
                                 [[("x-sum", "1")]] * 2)

    def test_options_go_no_further_than_they_may(self):
        for given, arrives in (("0", None), ("3", "2"), ("x", "x"), ("4294967296", "4294967296")):
            with self.subTest(given):
                path = f"/max-{given}"
                reply = self.get("-X", "OPTIONS", "-H", f"Max-Forwards: {given}", path=path)
                self.assertEqual(reply.status, 200)
                seen = [dict((k.lower(), v) for k, v in one.fields) for one in self.backend.seen(path)]
                self.assertEqual([one["max-forwards"] for one in seen], [arrives] if arrives else [])

    def test_usual_kinds_of_request_ids_pass(self):
        for given in ("{3F2504E0-4F89-11D3-9A0C-0305E82C3301}", "Root=1-67891233-abcdef012345678912345678;Self=1"):
            self.get("-H", f"X-Request-Id: {given}", path="/id")
            fields = dict((k.lower(), v) for k, v in self.backend.seen("/id")[-1].fields)
            self.assertEqual(fields["x-request-id"], given)


class Tunnels(Case):
    """Behind a tunnel that speaks HTTP no request could be looked at."""

    @classmethod
    def setUpClass(cls):
        cls.backend = Backend()
        cls.gateway = Gateway(route(cls.backend), says("own", hosts=["own.vanillax.me"]),
                              route(hosts=["moved.vanillax.me"], redirect={"path": "/new"}))
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.backend.stop()
        cls.gateway.__exit__(None, None, None)

    def connect(self, protocol, host=HOST, path="/"):
        head = [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"), (":path", path),
                (":authority", host), ("sec-websocket-version", "13")]
        with Http2(self.gateway) as client:
            stream = client.open(only=head, end=False)
            client.wait(lambda: client.streams[stream].fields or client.streams[stream].reset is not None)
            return client.streams[stream].status

    def switch(self, text):
        return lambda e: e.send(f"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: {text}\r\n\r\n")

    def test_extended_connect_is_not_for_http(self):
        for protocol in ("h2c", "H2", "http/1.1", "HTTP/2.0", "TLS/1.0", "websocket, h2c", "foo bar", "a/b/c"):
            with self.subTest(protocol):
                self.backend.on("/", self.switch(protocol))
                asked = len(self.backend.exchanges)
                self.assertEqual(self.connect(protocol), 501)
                self.assertEqual(len(self.backend.exchanges), asked)
        self.backend.on("/", self.switch("SPDY/3.1"))
        self.assertEqual(self.connect("SPDY/3.1"), 200)

    def test_an_upgrade_to_http_or_tls_is_ignored(self):
        for protocol in ("h2c", "HTTP/2.0", "TLS/1.0", "websocket, h2c"):
            with self.subTest(protocol), self.gateway.dial() as client:
                path = f"/{protocol[:3].lower()}"
                self.backend.on(path, lambda e: e.reply(body=b"plain"))
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: upgrade\r\n"
                               f"Upgrade: {protocol}\r\n\r\n".encode())
                self.assertIn(b"HTTP/1.1 200 ", read_until(client, b"plain"))
                self.assertNotIn("upgrade", [name.lower() for name, _ in self.backend.seen(path)[-1].fields])

    def test_what_opens_no_tunnel_is_no_success(self):
        self.assertEqual(self.connect("websocket", "own.vanillax.me"), 501)
        self.assertEqual(self.connect("websocket", "moved.vanillax.me"), 301)

    def test_a_backend_may_not_switch_to_something_else(self):
        self.backend.on("/else", self.switch("h2c"))
        with self.gateway.dial() as client:
            client.sendall(f"GET /else HTTP/1.1\r\nHost: {HOST}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".encode())
            self.assertIn(b" 502 ", read_until(client, b"\r\n"))
        self.assertIn('failure="another protocol than was asked for"', self.gateway.access("/else"))
        self.assertEqual(self.connect("websocket", path="/else"), 502)

    def test_upgrade_required_says_to_what(self):
        text = "HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nok"
        self.backend.on("/426", lambda e: e.send(text))
        for close in ("", "Connection: close\r\n"):
            with self.gateway.dial() as client:
                client.sendall(f"GET /426 HTTP/1.1\r\nHost: {HOST}\r\n{close}\r\n".encode())
                got = read_until(client, b"\r\n\r\nok").lower()
                self.assertIn(b"\r\nupgrade: websocket\r\n", got)
                self.assertIn(b"\r\nconnection: upgrade, close\r\n" if close else b"\r\nconnection: upgrade\r\n", got)
        self.assertEqual(self.gateway.curl(f"https://{HOST}/426").status, 426)


class Malformed(Case):
    def test_malformed_responses_of_http2_are_the_backends_fault(self):
        def answer(request):
            if request.peer.backend is not bad:
                return request.reply()
            fields = [("content-length", "x")] if wrong == "length" else [("x-big", "x" * 50_000)] * 2
            return request.reply(fields=fields)
        for wrong, said in (("length", "malformed response"), ("size", "the head of the response is too large")):
            settings = {"checked": False}
            with self.subTest(wrong), H2Backend(**settings) as bad, H2Backend() as good, \
                    Gateway(route(bad, good)) as gateway:
                bad.done = good.done = answer
                statuses = [gateway.curl(f"http://{HOST}/", http="--http1.1").status for _ in range(30)]
                self.assertGreater(statuses.count(502), 2)
                if wrong == "length":
                    self.assertLess(statuses.count(502), 9)
                    gateway.wait_log(f"backend_down: {bad.url}: 3 requests in a row were not answered: {said}")
                else:  # a limit of ours, which says nothing of the backend
                    self.assertGreater(statuses.count(502), 9)
                    gateway.wait_log(f'request: .*status=502 .*failure="{said}"')
                    self.assertFalse([line for line in gateway.log if "backend_down" in line])


if __name__ == "__main__":
    unittest.main()
