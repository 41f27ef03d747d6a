"""Routes: who gets a request, what is changed on the way, what the gateway answers by itself; and the
names of routes in DNS."""

import collections
import contextlib
import socket
import threading
import time
import unittest

from gateway_backends import Backend, new_port, server_context
from gateway_h2_backend import H2Backend
from gateway_h2_client import Http2
from gateway_lab import HOST, Gateway, read_until, route
from lab import SLOW, Case, data, wait_until


class Routed(Case):
    """`who(host, path)` is the name that the route's own answer says."""

    ROUTES = ()
    LISTENER = {}

    @classmethod
    def setUpClass(cls):
        cls.gateway = Gateway(*cls.ROUTES, listener=cls.LISTENER)
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.gateway.__exit__(None, None, None)

    def reply(self, path="/", host=HOST, *arguments, **options):
        options.setdefault("http", "--http1.1")
        return self.gateway.curl(f"http://{host}{path}", *arguments, **options)

    def who(self, path="/", host=HOST, *arguments):
        reply = self.reply(path, host, "--path-as-is", *arguments)
        return reply.text if reply.status == 200 else reply.status


def says(name, hosts=(HOST,), **keys):
    return route(hosts=hosts, respond={"status": 200, "body": name}, **keys)


def match(**keys):
    return [keys]


class Hosts(Routed):
    ROUTES = (says("any", ["*.vanillax.me"]), says("deep", ["*.deep.vanillax.me"]),
              says("exact", ["exact.vanillax.me", "also.vanillax.me"]),
              says("exact below", ["a.deep.vanillax.me"], matches=match(path_prefix="/only")))

    def test_exact_before_the_longest_wildcard_before_shorter_ones(self):
        for host, name in (("exact.vanillax.me", "exact"), ("also.vanillax.me", "exact"), ("x.vanillax.me", "any"),
                           ("x.deep.vanillax.me", "deep"), ("y.x.deep.vanillax.me", "deep"),
                           ("y.x.vanillax.me", "any"), ("deep.vanillax.me", "any"), ("vanillax.me", 404),
                           ("exact.vanillax.me.evil", 404), ("xvanillax.me", 404)):
            with self.subTest(host):
                self.assertEqual(self.who("/", host), name)

    def test_a_host_in_any_case_with_a_port_or_a_dot_at_the_end(self):
        self.assertEqual(self.who("/", HOST, "-H", "Host: EXACT.Vanillax.ME"), "exact")
        self.assertEqual(self.who("/", HOST, "-H", "Host: exact.vanillax.me:8080"), "exact")
        self.assertEqual(self.who("/", HOST, "-H", "Host: exact.vanillax.me."), "exact")

    def test_where_no_path_of_the_more_specific_host_matches_the_less_specific_one_is_tried(self):
        self.assertEqual(self.who("/only", "a.deep.vanillax.me"), "exact below")
        self.assertEqual(self.who("/", "a.deep.vanillax.me"), "deep")


class Paths(Routed):
    ROUTES = (says("root", matches=match(path_prefix="/")),
              says("foo", matches=match(path_prefix="/foo")),
              says("foo bar", matches=match(path_prefix="/foo/bar/")),
              says("exact foo", matches=match(path_exact="/foo/exact")),
              says("regex", matches=match(path_regex="/v[0-9]+/items")),
              says("two", matches=[{"path_exact": "/one"}, {"path_prefix": "/two"}]))

    def test_exact_then_the_longest_prefix_by_elements(self):
        for path, name in (("/", "root"), ("/foo", "foo"), ("/foo/", "foo"), ("/foo/x", "foo"), ("/foobar", "root"),
                           ("/foo/bar", "foo bar"), ("/foo/bar/", "foo bar"), ("/foo/bar/x", "foo bar"),
                           ("/foo/barx", "foo"), ("/foo/exact", "exact foo"), ("/foo/exact/", "foo"),
                           ("/FOO", "root"), ("/foo?x=/foo/bar", "foo"), ("/v12/items", "regex"), ("/one", "two"),
                           ("/one/x", "root"), ("/two/x", "two")):
            with self.subTest(path):
                self.assertEqual(self.who(path), name)

    def test_dots_and_escapes_do_not_lead_around_a_route(self):
        for path in ("/x/../foo", "/x/%2e%2e/foo", "/./foo", "/%66oo", "/foo/./", "/foo/bar/.."):
            with self.subTest(path):
                self.assertIn(self.who(path), ("foo", 400))
        for path in ("/foo/../x", "/foo/%2E%2e/x"):
            with self.subTest(path):
                self.assertIn(self.who(path), ("root", 400))


class Conditions(Routed):
    ROUTES = (says("plain", matches=match(path_prefix="/p")),
              says("method", matches=match(path_prefix="/p", method="PUT")),
              says("header", matches=match(path_prefix="/p", headers={"x-env": "dev"})),
              says("headers", matches=match(path_prefix="/p", headers={"x-env": "dev", "x-b": "1"})),
              says("query", matches=match(path_prefix="/p", query={"v": "1"})),
              says("queries", matches=match(path_prefix="/p", query={"v": "1", "w": "a b"})),
              says("first", ["twins.vanillax.me"]), says("second", ["twins.vanillax.me"]),
              says("method only", ["m.vanillax.me"], matches=match(method="POST")))

    def test_method_before_headers_before_queries_and_more_before_fewer(self):
        for path, arguments, name in (
                ("/p", [], "plain"), ("/p", ["-X", "PUT"], "method"),
                ("/p", ["-X", "PUT", "-H", "X-Env: dev"], "method"),
                ("/p", ["-H", "X-ENV: dev"], "header"), ("/p", ["-H", "X-Env: Dev"], "plain"),
                ("/p", ["-H", "X-Env: dev", "-H", "X-B: 1"], "headers"), ("/p?v=1", ["-H", "X-Env: dev"], "header"),
                ("/p?v=1", [], "query"), ("/p?a=b&v=1&w=a%20b", [], "queries"), ("/p?v=2", [], "plain"),
                ("/p?V=1", [], "plain"), ("/p?v=11", [], "plain")):
            with self.subTest(path=path, arguments=arguments):
                self.assertEqual(self.who(path, HOST, *arguments), name)

    def test_of_equals_the_first_in_the_file(self):
        self.assertEqual(self.who("/", "twins.vanillax.me"), "first")

    def test_no_match_is_404(self):
        self.assertEqual(self.who("/", HOST), 404)
        self.assertEqual(self.who("/", "m.vanillax.me"), 404)
        self.assertEqual(self.who("/", "m.vanillax.me", "-X", "POST"), "method only")


QUERIES = {"a": "1", "b": "2", "c": "3"}
HEADERS = ("-H", "X-A: 1", "-H", "X-B: 2")
PUT = ("-X", "PUT", *HEADERS)


class Precedence(Routed):
    """Two routes for one request, in either order in the file: (conditions of the one that gets it, of the other one,
    the request)."""

    CASES = (({"headers": {"x-a": "1"}}, {"query": QUERIES}, HEADERS),
             ({"headers": {"x-a": "1", "x-b": "2"}}, {"headers": {"x-a": "1"}, "query": QUERIES}, HEADERS),
             ({"headers": {"x-a": "1"}, "query": QUERIES}, {"headers": {"x-b": "2"}, "query": {"a": "1"}}, HEADERS),
             ({"method": "PUT"}, {"headers": {"x-a": "1", "x-b": "2"}}, PUT),
             ({"method": "PUT"}, {"headers": {"x-a": "1", "x-b": "2"}, "query": QUERIES}, PUT),
             ({"path_prefix": "/p/q"}, {"path_prefix": "/p", "method": "PUT", "headers": {"x-a": "1"}}, PUT),
             ({"path_regex": "/p.*"}, {"path_prefix": "/p/q/r", "method": "PUT", "headers": {"x-a": "1"}}, PUT),
             ({"path_exact": "/p/q/r"}, {"path_regex": "/p/q/r", "method": "PUT", "headers": {"x-a": "1"}}, PUT))
    ROUTES = [says(name, hosts, matches=match(**conditions))
              for i, (better, worse, _) in enumerate(CASES) for name, hosts, conditions in (
                  ("better", [f"first{i}.vanillax.me"], better),
                  ("worse", [f"{host}{i}.vanillax.me" for host in ("first", "last", "alone")], worse),
                  ("better", [f"last{i}.vanillax.me"], better))]

    def test_whatever_the_order_in_the_file(self):
        for i, (better, worse, arguments) in enumerate(self.CASES):
            for host, name in (("first", "better"), ("last", "better"), ("alone", "worse")):
                with self.subTest(host, better=better, worse=worse):
                    self.assertEqual(self.who("/p/q/r?a=1&b=2&c=3", f"{host}{i}.vanillax.me", *arguments), name)


class Answers(Routed):
    ROUTES = (route(hosts=["old.vanillax.me"], redirect={"scheme": "https", "hostname": "new.vanillax.me", "port": 443,
                                                         "status": 301}),
              route(hosts=["port.vanillax.me"], redirect={"scheme": "https", "port": 8443, "status": 308}),
              route(hosts=["path.vanillax.me"], redirect={"scheme": "http", "port": 80, "path": "/there", "status": 302},
                    filters={"set_response_headers": {"X-Set": "1", "Location": "https://elsewhere.example/"}}),
              route(hosts=["teapot.vanillax.me"], respond={"status": 418, "content_type": "application/x-tea",
                                                           "body": "short and stout"}),
              route(hosts=["empty.vanillax.me"], respond={"status": 204}),
              route(hosts=["filters.vanillax.me"], respond={"status": 200, "body": "x"},
                    filters={"set_response_headers": {"X-Set": "1"}}))

    def test_redirects(self):
        for url, status, location in (("old.vanillax.me/a/b?c=d", 301, "https://new.vanillax.me/a/b?c=d"),
                                      ("port.vanillax.me/a?b", 308, "https://port.vanillax.me:8443/a?b"),
                                      ("path.vanillax.me/a/b", 302, "http://path.vanillax.me/there")):
            with self.subTest(url):
                host, path = url.split("/", 1)
                reply = self.reply("/" + path, host)
                self.assertEqual((reply.status, reply.header("Location")), (status, location))
                self.assertEqual(reply.header("X-Set"), "1" if host.startswith("path.") else None)

    def test_what_the_gateway_answers_by_itself(self):
        reply = self.reply("/", "teapot.vanillax.me")
        self.assertEqual((reply.status, reply.header("Content-Type"), reply.text),
                         (418, "application/x-tea", "short and stout"))
        reply = self.reply("/", "teapot.vanillax.me", "-I")
        self.assertEqual((reply.status, reply.body, reply.header("Content-Length")), (418, b"", "15"))
        self.assertEqual(self.reply("/", "empty.vanillax.me").status, 204)
        self.assertEqual(self.reply("/", "teapot.vanillax.me", "-d", "x" * 100_000).status, 418)
        self.assertEqual(self.reply("/", "filters.vanillax.me").header("X-Set"), "1")


class Filters(Case):
    @classmethod
    def setUpClass(cls):
        cls.backend = Backend("a")
        cls.backend.on("/answer", lambda e: e.reply(fields=[("X-Keep", "1"), ("X-Set", "old"), ("X-Set", "older"),
                                                            ("X-Add", "old"), ("X-Gone", "1"), ("Server", "b")]))
        path = {"matches": match(path_prefix="/app")}
        cls.gateway = Gateway(
            route(cls.backend, hosts=["headers.vanillax.me"], filters={
                "set_request_headers": {"X-Set": "new"}, "add_request_headers": {"X-Add": "new"},
                "remove_request_headers": ["X-Gone"], "set_response_headers": {"X-Set": "new"},
                "add_response_headers": {"X-Add": "new"}, "remove_response_headers": ["x-gone"]}),
            route(cls.backend, hosts=["host.vanillax.me"], filters={"rewrite_host": "inside.example"}),
            route(cls.backend, hosts=["prefix.vanillax.me"], filters={"rewrite_prefix": "/new"}, **path),
            route(cls.backend, hosts=["strip.vanillax.me"], filters={"rewrite_prefix": "/"}, **path),
            route(cls.backend, hosts=["whole.vanillax.me"], filters={"rewrite_path": "/one"}, **path))
        cls.gateway.start()

    @classmethod
    def tearDownClass(cls):
        cls.backend.stop()
        cls.gateway.__exit__(None, None, None)

    def said(self, host, path="/", *arguments):
        said = self.gateway.curl(f"http://{host}.vanillax.me{path}", *arguments, http="--http1.1").json()
        fields = collections.defaultdict(list)
        for name, value in said["fields"]:
            fields[name.lower()].append(value)
        return said["target"], {name: ", ".join(values) for name, values in fields.items()}

    def test_request_headers(self):
        _, seen = self.said("headers", "/", "-H", "X-Set: old", "-H", "X-Set: older", "-H", "X-Add: old",
                            "-H", "X-Gone: 1", "-H", "X-Keep: 1")
        self.assertEqual((seen["x-set"], seen["x-add"], seen["x-keep"]), ("new", "old, new", "1"))
        self.assertNotIn("x-gone", seen)

    def test_response_headers(self):
        reply = self.gateway.curl("http://headers.vanillax.me/answer", http="--http1.1")
        self.assertEqual(reply.values("X-Set"), ["new"])
        self.assertEqual(", ".join(reply.values("X-Add")), "old, new")
        self.assertEqual((reply.header("X-Keep"), reply.header("X-Gone"), reply.header("Server")), ("1", None, "b"))

    def test_rewrites(self):
        self.assertEqual(self.said("host")[1]["host"], "inside.example")
        self.assertEqual(self.said("host")[1]["x-forwarded-host"], "host.vanillax.me")
        for host, path, target in (("prefix", "/app/x?y=%20", "/new/x?y=%20"), ("prefix", "/app", "/new"),
                                   ("prefix", "/app/", "/new/"), ("strip", "/app/x", "/x"), ("strip", "/app", "/"),
                                   ("strip", "/app?y", "/?y"), ("whole", "/app/x?y", "/one?y")):
            with self.subTest(host=host, path=path):
                self.assertEqual(self.said(host, path)[0], target)


class Backends(Case):
    def test_weights(self):
        with Backend("a") as a, Backend("b") as b, Backend("c") as c, Gateway(route(
                {"url": a.url, "weight": 3}, {"url": b.url, "weight": 1}, {"url": c.url, "weight": 0})) as gateway, \
                Http2(gateway) as client:
            for _ in range(600):
                self.assertEqual(client.request().status, 200)
            self.assertEqual((len(a.exchanges) + len(b.exchanges), len(c.exchanges)), (600, 0))
            # 450, with a standard deviation of 11: never by chance. Of equal weights it would be 300, and 12.
            self.assertLess(abs(len(a.exchanges) - 450), 75)

    def held(self, client, count, backends):
        """Begins so many requests that their backends hold, one after the other; their streams."""
        there = lambda: [len(one.seen("/hold")) for one in backends]
        streams = []
        for _ in range(count):
            before = sum(there())
            streams.append(client.open(path="/hold"))
            wait_until("it at a backend", lambda before=before: sum(there()) > before)
        return streams

    def test_of_equal_weights_the_one_with_the_fewest_requests_gets_the_next(self):
        with Backend("a") as a, Backend("b") as b, Gateway(route(a, b)) as gateway, Http2(gateway) as client:
            let_go = {one: threading.Event() for one in (a, b)}
            for one in (a, b):
                one.on("/hold", lambda e, go=let_go[one]: (go.wait(60 * SLOW), e.reply()))
            count = lambda path: (len(a.seen(path)), len(b.seen(path)))
            self.held(client, 20, (a, b))
            self.assertEqual(count("/hold"), (10, 10))
            let_go[b].set()
            client.wait(lambda: sum(one.done for one in client.streams.values()) == 10)
            for _ in range(40):
                self.assertEqual(client.request(path="/free").status, 200)
            self.assertEqual(count("/free"), (0, 40))
            let_go[b].clear()
            self.held(client, 10, (a, b))
            self.assertEqual(count("/hold"), (10, 20))
            self.held(client, 2, (a, b))
            self.assertEqual(count("/hold"), (11, 21))
            for one in (a, b):
                let_go[one].set()
            client.wait(lambda: all(one.done for one in client.streams.values()))

    def test_requests_that_wait_for_a_connection_count_as_load(self):
        """One of two backends is a machine that is off: its connections hang until they time out."""
        with socket.create_server(("127.0.0.1", 0), backlog=0) as off, contextlib.ExitStack() as queue, Backend() as on:
            address = off.getsockname()
            for _ in range(3):  # what does not fit into its queue is not answered
                one = queue.enter_context(socket.socket())
                one.setblocking(False)
                one.connect_ex(address)
            with Gateway(route(f"http://127.0.0.1:{address[1]}", on)) as gateway, Http2(gateway) as client:
                let_go = threading.Event()
                on.on("/", lambda e: (let_go.wait(60 * SLOW), e.reply()))
                for _ in range(20):
                    client.open(path="/")
                wait_until("half of them", lambda: len(on.seen("/")) == 10, 3)
                let_go.set()
                client.wait(lambda: all(one.done for one in client.streams.values()), 20)
                self.assertEqual({one.status for one in client.streams.values()}, {200})

    def test_of_unequal_weights_each_gets_its_part_whatever_it_holds(self):
        with Backend("a") as a, Backend("b") as b, Gateway(route(
                {"url": a.url, "weight": 3}, {"url": b.url, "weight": 1})) as gateway, Http2(gateway) as client:
            let_go = threading.Event()
            for one in (a, b):
                one.on("/hold", lambda e: (let_go.wait(60 * SLOW), e.reply()))
            self.held(client, 60, (a, b))
            for _ in range(400):
                self.assertEqual(client.request(path="/free").status, 200)
            let_go.set()
            client.wait(lambda: all(one.done for one in client.streams.values()))
            self.assertEqual(len(a.seen("/free")) + len(b.seen("/free")), 400)
            self.assertLess(abs(len(a.seen("/free")) - 300), 61)  # seven standard deviations: never by chance

    def test_a_backend_that_is_not_there_is_passed_over(self):
        with Backend("a") as alive, Gateway(route(f"http://127.0.0.1:{new_port()}", alive)) as gateway:
            for method in ("GET", "POST") * 10:
                reply = gateway.curl(f"http://{HOST}/", "-X", method, "-d", "x", http="--http1.1")
                self.assertEqual(reply.status, 200)

    def test_one_that_comes_back_is_used_again(self):
        with Backend("a") as backend, Gateway(route(backend)) as gateway:
            ask = lambda: gateway.curl(f"http://{HOST}/", http="--http1.1").status
            self.assertEqual(ask(), 200)
            backend.stop()
            self.assertIn(ask(), (502, 503))
            self.assertEqual(ask(), 503)
            backend.start()
            wait_until("it to be used", lambda: ask() == 200, 15)

    def test_health_checks(self):
        good = [True]
        with Backend("a") as a, Backend("b") as b, Gateway(route(
                a, b, health={"path": "/healthz", "interval": "200ms"})) as gateway:
            a.on("/healthz", lambda e: e.reply(200 if good[0] else 500))
            ask = lambda: gateway.curl(f"http://{HOST}/", http="--http1.1").json()["name"]
            wait_until("both in use", lambda: {ask(), ask(), ask(), ask()} == {"a", "b"})
            good[0] = False
            wait_until("a left out", lambda: {ask() for _ in range(6)} == {"b"})
            good[0] = True
            wait_until("a back", lambda: {ask() for _ in range(6)} == {"a", "b"})
            wait_until("b asked again", lambda: len(b.seen("/healthz")) > 1)

    def test_health_checks_over_http_2_and_tls(self):
        over = threading.Event()
        self.addCleanup(over.set)

        def serve(backend, name, checks):
            """Its name, and to a check the last of these statuses, or nothing for 0."""
            def check(e):
                if checks[-1]:
                    e.reply(checks[-1])
                else:
                    over.wait(60 * SLOW)

            def done(one):
                if one.fields[":path"] != "/healthz":
                    one.reply(body=name)
                elif checks[-1]:
                    one.reply(checks[-1])
            if isinstance(backend, Backend):
                backend.on("/", lambda e: e.reply(body=name))
                backend.on("/healthz", check)
            else:
                backend.done = done
        for make in (H2Backend, lambda: H2Backend(tls=True), lambda: Backend(context=server_context("127.0.0.1"))):
            checks = [200]
            with make() as a, make() as b, self.subTest(url=a.url, kind=type(a).__name__):
                serve(a, b"a", checks)
                serve(b, b"b", [200])
                with Gateway(route(a, b, health={"path": "/healthz", "interval": "200ms"})) as gateway:
                    ask = lambda: {gateway.curl(f"http://{HOST}/", http="--http1.1").text for _ in range(10)}
                    wait_until("both in use", lambda: ask() == {"a", "b"})
                    for status, said in ((500, "status 500"), (0, "no answer in time")):
                        mark = len(gateway.log)
                        checks.append(status)
                        gateway.wait_log(f"backend_unhealthy: {a.url}/healthz: {said}", mark)
                        self.assertEqual(ask(), {"b"})
                        checks.append(200)
                        gateway.wait_log(f"backend_healthy: {a.url}/healthz answers again", mark)
                        wait_until("a back", lambda: ask() == {"a", "b"})
                    self.assertEqual([line for line in gateway.log if f"backend_unhealthy: {b.url}" in line], [])

    def test_a_health_check_keeps_no_connection_and_is_no_request(self):
        with Backend() as backend, Gateway(route(backend, health={"path": "/healthz", "interval": "100ms"})) as gateway:
            wait_until("some checks", lambda: len(backend.seen("/healthz")) > 20)
            metrics = gateway.metrics()
            figure = lambda what: metrics[f'postern_gateway_backend_{what}{{backend="{backend.url}"}}']
            self.assertEqual((figure("requests_total"), figure("idle_connections")), (0, 0))
            self.assertLess(len(backend.open), 3)
            self.assertGreater(backend.accepted, 20)  # each sees whether it takes connections

    def test_a_backend_that_is_gone_is_not_checked_although_it_never_answers(self):
        with Backend() as backend, Gateway(route(backend, health={"path": "/healthz", "interval": "200ms"})) as gateway:
            over = threading.Event()
            self.addCleanup(over.set)
            backend.on("/healthz", lambda e: over.wait(60))
            gateway.wait_log("backend_unhealthy")
            gateway.change(routes=[route(respond={"body": "x"})])
            wait_until("its figures to go", lambda: not any(backend.url in key for key in gateway.metrics()))
            checked = len(backend.seen("/healthz"))
            time.sleep(1)
            self.assertEqual(len(backend.seen("/healthz")), checked)

    def test_what_nobody_is_left_for_is_not_sent_again(self):
        url = f"http://127.0.0.1:{new_port()}"
        with Gateway(route(url)) as gateway:
            self.assertEqual(gateway.curl(f"http://{HOST}/", http="--http1.1").status, 503)
            self.assertEqual(gateway.metrics()[f'postern_gateway_backend_retries_total{{backend="{url}"}}'], 0)

    def test_nothing_is_sent_to_backends_that_all_fail_their_health_check(self):
        good = [False]
        with Backend("a") as a, Backend("b") as b, Gateway(
                route(a, b, health={"path": "/healthz", "interval": "200ms"}),
                route(a, hosts=["alone.vanillax.me"], health={"path": "/healthz", "interval": "200ms"})) as gateway:
            for backend in (a, b):
                backend.on("/healthz", lambda e: e.reply(200 if good[0] else 500))
            for host in (HOST, "alone.vanillax.me"):
                ask = lambda: gateway.curl(f"http://{host}/x", http="--http1.1").status
                wait_until("503", lambda: ask() == 503)
                before = len(a.seen("/x")) + len(b.seen("/x"))
                for _ in range(5):
                    self.assertEqual(ask(), 503)
                self.assertEqual(len(a.seen("/x")) + len(b.seen("/x")), before)
                gateway.wait_log('failure="no backend passes its health check"')
            good[0] = True
            for host in (HOST, "alone.vanillax.me"):
                wait_until("one to be well", lambda: gateway.curl(f"http://{host}/x", http="--http1.1").status == 200)


class Limits(Case):
    def test_time_outs(self):
        with Backend() as backend:
            hold = threading.Event()
            backend.on("/wait", lambda e: (hold.wait(20 * SLOW), e.close()))
            backend.on("/stall", lambda e: (e.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
                                            hold.wait(20 * SLOW), e.close()))
            backend.on("/drip", self.drip)
            with Gateway(route(backend, hosts=["request.vanillax.me"], timeouts={"request": "500ms"}),
                         route(backend, hosts=["backend.vanillax.me"], timeouts={"backend": "500ms"}),
                         route(backend, hosts=["both.vanillax.me"], timeouts={"request": "500ms", "backend": "400ms"}),
                         route(backend, hosts=["idle.vanillax.me"], timeouts={"idle": "600ms"})) as gateway:
                for host in ("request", "backend"):
                    for scheme, how in (("http", "--http1.1"), ("https", "--http2")):
                        reply = gateway.curl(f"{scheme}://{host}.vanillax.me/wait", http=how)
                        self.assertEqual(reply.status, 504, host)
                        self.assertLess(len(reply.body), 300)
                        self.assertTrue(0.4 < reply.seconds < 4 * SLOW, reply.seconds)
                with gateway.dial(tls=False) as slow:  # a client that does not say all of its request
                    slow.sendall(b"POST / HTTP/1.1\r\nHost: both.vanillax.me\r\nContent-Length: 9\r\n\r\n")
                    self.assertIn(b" 504 ", read_until(slow, b"\r\n"))
                self.assertIn("failure=timeouts.request", gateway.access("both.vanillax.me"))
                reply = gateway.curl("http://request.vanillax.me/stall", http="--http1.1", check=False)
                self.assertNotEqual(reply.code, 0)
                self.assertIn("504", gateway.access("request.vanillax.me"))
                reply = gateway.curl("http://idle.vanillax.me/stall", http="--http1.1", check=False)
                self.assertNotEqual(reply.code, 0)
                self.assertLess(reply.seconds, 5 * SLOW)
                reply = gateway.curl("http://idle.vanillax.me/drip", http="--http1.1")  # never idle for so long
                self.assertEqual(reply.body, b"abc" * 5)
                hold.set()

    @staticmethod
    def drip(e):
        e.send("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n")
        for _ in range(5):
            e.send("abc")
            time.sleep(0.25)

    def test_a_body_over_the_limit_is_413(self):
        with Backend() as backend, Gateway(route(backend, limits={"body": "10KiB"})) as gateway:
            for scheme, how in (("http", "--http1.1"), ("https", "--http1.1")):
                for form in ([], ["-H", "Transfer-Encoding: chunked"]):
                    ask = lambda size: gateway.curl(f"{scheme}://{HOST}/", "-H", "Expect:", "-d", "x" * size, *form,
                                                    http=how, check=False).status
                    self.assertEqual(ask(10240), 200)
                    self.assertEqual(ask(10241), 413)
            with Http2(gateway) as client:  # curl 7.88 takes the RST_STREAM behind an early answer for an error
                for fields in ((), (("content-length", "10241"),)):
                    stream = client.open(*fields, method="POST", end=False)
                    client.data(stream, b"x" * 10241)
                    self.assertEqual(client.finish(stream).status, 413)
                self.assertEqual(client.request(method="POST", body=b"x" * 10240).status, 200)
            before = len(backend.exchanges)
            gateway.curl(f"http://{HOST}/", "-d", "x" * 20000, http="--http1.1", check=False)
            self.assertEqual(len(backend.exchanges), before)  # a length that is too large is known beforehand


class Names(Case):
    """publish_dns"""

    def https(self, gateway, name):
        return data(gateway.ask(name, "HTTPS").answer, "HTTPS")

    def test_route_hostnames_answer_with_the_listeners_address(self):
        with Gateway(says("a", ["app.vanillax.me", "*.wild.vanillax.me"])) as gateway:
            for name in ("app.vanillax.me", "x.wild.vanillax.me", "y.x.wild.vanillax.me"):
                with self.subTest(name):
                    self.assertEqual(gateway.answer(name), ["127.0.0.1"])
                    self.assert_nodata(gateway.ask(name, "AAAA"))
                    # No certificate covers what is deeper: a browser would refuse it.
                    offer = f'1 . alpn="h2,http/1.1" port="{gateway.https_port}" ipv4hint="127.0.0.1"'
                    self.assertEqual(self.https(gateway, name), [offer] if name == "app.vanillax.me" else [])
            self.assertEqual(gateway.answer("wild.vanillax.me"), [])
            self.assertEqual(gateway.answer("other.vanillax.me"), [])

    def test_not_when_it_is_off(self):
        with Gateway(says("a"), listener={"publish_dns": False}) as gateway:
            self.assertEqual(gateway.answer(HOST), [])

    def test_two_addresses(self):
        with Gateway(says("a"), listener={"address": ["127.0.0.1", "::1"]}) as gateway:
            self.assertEqual((gateway.answer(HOST), gateway.answer(HOST, "AAAA")), (["127.0.0.1"], ["::1"]))
            self.assertEqual(self.https(gateway, HOST), [
                f'1 . alpn="h2,http/1.1" port="{gateway.https_port}" ipv4hint="127.0.0.1" ipv6hint="::1"'])

    def test_the_alpn_of_the_listener(self):
        with Gateway(says("a"), listener={"alpn": ["http/1.1"]}) as gateway:
            answer = self.https(gateway, HOST)
            self.assertEqual(len(answer), 1)
            self.assertIn('alpn="http/1.1"', answer[0])
            self.assertEqual(gateway.curl(f"https://{HOST}/").version, "1.1")

    def test_overrides_of_ones_own_to_the_gateways_address(self):
        config = '''
            [[dns.override]]
            names = ["mine.vanillax.me", "mine.example"]
            address = ["127.0.0.1"]
            https = "gateway"

            [[dns.override]]
            names = ["elsewhere.example"]
            address = ["127.0.0.9"]
            https = "gateway"
            '''
        with Gateway(says("a"), config=config) as gateway:
            self.assertEqual(self.https(gateway, "mine.vanillax.me"), [
                f'1 . alpn="h2,http/1.1" port="{gateway.https_port}" ipv4hint="127.0.0.1"'])
            self.assert_nodata(gateway.ask("mine.example", "HTTPS"))
            self.assert_nodata(gateway.ask("elsewhere.example", "HTTPS"))

    def test_plain_http_only_has_no_https_record(self):
        with Gateway(says("a"), listener={"https": 0}) as gateway:
            self.assertEqual(gateway.answer(HOST), ["127.0.0.1"])
            self.assert_nodata(gateway.ask(HOST, "HTTPS"))

    def test_names_follow_the_routes_on_reload(self):
        with Gateway(says("a")) as gateway:
            gateway.change(routes=(says("b", ["new.vanillax.me"]),))
            wait_until("the new name", lambda: gateway.answer("new.vanillax.me") == ["127.0.0.1"])
            self.assertEqual(gateway.answer(HOST), [])
            self.assertEqual(gateway.curl("http://new.vanillax.me/", http="--http1.1").text, "b")
            self.assertEqual(gateway.curl(f"http://{HOST}/", http="--http1.1").status, 404)


if __name__ == "__main__":
    unittest.main()
