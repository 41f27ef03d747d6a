"""The API at the admin address: every answer against docs/openapi.json, who may ask, the live log, and the
commands that speak to it."""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import pty
import re
import socket
import subprocess
import time
import unittest
import urllib.parse

import jsonschema

import quic_client
from gateway_backends import Backend, new_port
from gateway_lab import HOST, Gateway, route
from lab import BINARY, SLOW, Case, Postern, Upstream, free_port, run, wait_until

ROOT = pathlib.Path(__file__).parents[2]
OPENAPI = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
TOKEN = "correct-horse-battery-staple"
ZONE = "$TTL 60\n@ IN SOA ns admin 1 3600 600 86400 60\n  IN NS ns\nns IN A 192.0.2.53\nnas IN A 192.0.2.20\n"


def schema_of(path, method, status):
    """The schema of a response, with what it refers to."""
    response = OPENAPI["paths"][path][method]["responses"][str(status)]
    return {**response["content"]["application/json"]["schema"], "components": OPENAPI["components"]}


class Answer:
    def __init__(self, response):
        self.status, self.body = response.status, response.read()
        self.fields = {name.lower(): value for name, value in response.getheaders()}

    def json(self):
        return json.loads(self.body)


def ask(port, target, method="GET", host="127.0.0.1", **fields):
    """One request; fields are named as in Python."""
    connection = http.client.HTTPConnection(host, port, timeout=10 * SLOW)
    with contextlib.closing(connection):
        connection.request(method, target, headers={name.replace("_", "-"): value
                                                    for name, value in fields.items()})
        return Answer(connection.getresponse())


class Follower:
    """The live log, read line by line by curl."""

    def __init__(self, port, query=""):
        self.process = subprocess.Popen(["curl", "-sN", "-m", str(60 * SLOW), f"http://127.0.0.1:{port}/api/v1/log?{query}"],
                                        stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        assert self.process.stdout.readline().startswith("retry:")
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def event(self):
        """The next line of the log."""
        for line in self.process.stdout:
            if line.startswith("data: {"):
                return json.loads(line[6:])
        raise AssertionError("the log has ended")


@contextlib.contextmanager
def ended(process):
    """A test that fails waits for nobody."""
    try:
        yield
    except BaseException:
        process.kill()
        raise


BLOCKED = [f"ads{i}.example" for i in range(30)]


class ApiCase(Case):
    """A server with something of everything."""

    @classmethod
    def setUpClass(cls):
        cls.up = Upstream("www.example.com. 300 A 203.0.113.9")
        cls.backend = Backend("api")
        cls.gateway = Gateway(route(cls.backend), route(hosts=["old.vanillax.me"],
                                                       redirect={"hostname": HOST, "status": 302}),
                              config=cls.up.forward() + '\n[[dns.zone]]\nname = "home.arpa"\nfile = "home.zone"\n'
                              '[[dns.view]]\nname = "guests"\nclients = ["127.0.0.8/32"]\n'
                              '[[dns.override]]\nnames = ["*.lab.example"]\ncname = "nas.home.arpa"\n'
                              f'[[dns.override]]\nnames = {BLOCKED}\naddress = ["0.0.0.0"]\n',
                              files={"home.zone": ZONE}, server="workers = 2\nwatch = false\n")  # drift stays
        cls.gateway.start()
        cls.port = cls.gateway.admin_port

    @classmethod
    def tearDownClass(cls):
        cls.gateway.__exit__(None, None, None)
        cls.backend.stop()
        cls.up.stop()

    def followed(self):
        """Somebody follows, and the workers know."""
        wait_until("a follower", lambda: self.call("/api/v1/status")["live_log"]["followers"] == 1)
        ask(self.port, "/metrics")  # asks each of them, behind what it was told before

    def call(self, path, method="get", status=200, **parameters):
        """The answer, after a look whether it is what the document says."""
        target = path + ("?" + urllib.parse.urlencode(parameters) if parameters else "")
        answer = ask(self.port, target, method.upper())
        self.assertEqual(answer.status, status, answer.body)
        jsonschema.Draft202012Validator(schema_of(path, method, status)).validate(answer.json())
        return answer.json()


class ApiTest(ApiCase):
    def test_the_document_is_served_and_names_every_path(self):
        served = ask(self.port, "/api/v1/openapi.json")
        self.assertEqual(served.json(), OPENAPI)
        source = (ROOT / "src/server/admin_site.cpp").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r'"(/api/v1/[a-z/]+)"', source)), set(OPENAPI["paths"]))
        for schema in OPENAPI["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)

    def test_status(self):
        said = self.call("/api/v1/status")
        self.assertEqual(said["workers"], 2)
        self.assertEqual(said["config"]["file"], str(self.gateway.config_path))
        kinds = {one["kind"] for one in said["listening"]}
        self.assertEqual(kinds, {"dns", "gateway", "quic"})

    def test_the_nameserver(self):
        self.gateway.ask("www.example.com")
        said = self.call("/api/v1/dns")
        blocked = next(one for one in said["overrides"] if one["address"] == ["0.0.0.0"])
        self.assertEqual((blocked["names"], blocked["names_total"]), (BLOCKED[:20], 30))
        by_name = {tuple(one["names"]): one for one in said["overrides"]}
        self.assertEqual(by_name[(HOST,)]["listeners"], ["internal"])
        self.assertEqual(by_name[("*.lab.example",)]["cname"], "nas.home.arpa")
        self.assertEqual([(one["name"], one["serial"], one["records"]) for one in said["zones"]],
                         [("home.arpa", 1, 4)])
        self.assertEqual(said["views"], [{"name": "guests", "clients": ["127.0.0.8/32"]}])
        upstream = said["forwards"][0]["upstreams"][0]
        self.assertEqual(upstream["upstream"], self.up.url())
        self.assertTrue(upstream["healthy"] and upstream["rtt_ms"] > 0 and upstream["answers"] > 0)
        self.assertGreater(said["cache"]["entries"], 0)

    def test_the_gateway(self):
        self.assertEqual(self.gateway.curl(f"http://{HOST}/").status, 200)
        said = self.call("/api/v1/gateway")
        self.assertEqual(said["listeners"][0]["https"], self.gateway.https_port)
        backend = said["routes"][0]["backends"][0]
        self.assertEqual((backend["backend"], backend["healthy"]), (self.backend.url, True))
        self.assertGreater(backend["requests"], 0)
        self.assertEqual(said["routes"][1]["action"], f"302 to {HOST}")
        certificate = said["certificates"][0]
        self.assertIn("*.vanillax.me", certificate["names"])
        self.assertGreaterEqual(certificate["days_left"], 0)

    def test_top_names_and_clients_are_counted_exactly_when_it_is_quiet(self):
        for i in range(5):
            self.gateway.ask("Counted.Home.Arpa" if i % 2 else "counted.home.arpa", source="127.0.0.7")
        said = self.call("/api/v1/clients")
        self.assertIn({"name": "counted.home.arpa", "count": 5, "excess": 0}, said["names"])
        self.assertIn({"client": "127.0.0.7", "count": 5, "excess": 0}, said["clients"])

    def test_who_tries_quic_is_there_with_the_host_that_it_wanted(self):
        hello = quic_client.crypto(0, quic_client.client_hello(HOST))
        unreadable = quic_client.initial(hello)[:-1] + b"x"
        for packets, client, host in (([quic_client.initial(hello), unreadable], "127.0.0.40", HOST),
                                      ([unreadable], "127.0.0.41", "")):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
                channel.bind((client, 0))
                channel.settimeout(10 * SLOW)
                for packet in packets:
                    channel.sendto(packet, ("127.0.0.1", self.gateway.https_port))
                    self.assertTrue(channel.recv(2000))
            wanted = {"client": client, "host": host, "count": len(packets), "excess": 0}
            wait_until(f"{wanted}", lambda: wanted in self.call("/api/v1/clients")["quic"])

    def test_traffic_of_the_last_seconds(self):
        before = self.call("/api/v1/traffic")
        for asked in range(1, 21):  # each counts at once, also in the minute under way
            self.gateway.ask("nas.home.arpa")
            said = self.call("/api/v1/traffic")
            self.assertGreaterEqual(sum(said["minutes"]["local"]), sum(before["minutes"]["local"]) + asked)
        wait_until("the second to be over", lambda: sum(self.call("/api/v1/traffic")["seconds"]["local"])
                   >= sum(before["seconds"]["local"]) + 20)
        self.assertEqual([len(said["seconds"]["queries"]), len(said["minutes"]["queries"])], [180, 60])

    def test_explain_says_what_the_command_says(self):
        for question, words in (({"name": "a.lab.example", "type": "A"}, ["a.lab.example", "A"]),
                                ({"url": f"https://{HOST}/x"}, [f"https://{HOST}/x"])):
            status, printed, _ = run("explain", *words, "-c", self.gateway.config_path)
            self.assertEqual(status, 0)
            said = self.call("/api/v1/explain", **question)
            lines = [f"  {one['what']:10} {one['text']}" for one in said["lines"]]
            self.assertEqual(printed.splitlines(), [said["title"], *lines])
        self.call("/api/v1/explain", status=400, name="a..b")
        self.call("/api/v1/explain", status=400)
        self.assertIn("guests", json.dumps(self.call("/api/v1/explain", name="x.example", client="127.0.0.8")))

    def test_the_cache_is_shown_and_flushed(self):
        self.up.add("kept.example. 300 A 203.0.113.7")
        self.gateway.ask("kept.example")
        answers = self.call("/api/v1/cache", name="KEPT.example")["answers"]
        self.assertEqual([(one["type"], one["status"], one["views"]) for one in answers],
                         [("A", "NOERROR", ["guests", ""])])
        self.assertRegex(answers[0]["records"][0], r"^kept\.example\. \d+ IN A 203\.0\.113\.7$")
        self.assertEqual(self.call("/api/v1/cache/flush", "post", name="kept.example")["flushed"], 1)
        self.assertEqual(self.call("/api/v1/cache", name="kept.example")["answers"], [])
        self.gateway.ask("kept.example")
        self.assertGreater(self.call("/api/v1/cache/flush", "post")["flushed"], 0)
        self.assertEqual(self.call("/api/v1/dns")["cache"]["entries"], 0)
        self.call("/api/v1/cache", status=400, name="..")
        self.call("/api/v1/cache/flush", "post", status=400, name="")

    def test_reload_waits_for_the_outcome_and_edits_are_seen_as_drift(self):
        good = self.gateway.config_path.read_text(encoding="utf-8")
        self.addCleanup(self.gateway.config_path.write_text, good, encoding="utf-8")
        self.assertTrue(self.call("/api/v1/reload", "post")["good"])
        self.gateway.config_path.write_text(good + "\n[dns.cache]\nsise = 1\n", encoding="utf-8")
        refused = self.call("/api/v1/reload", "post", status=422)
        self.assertIn("sise", refused["problems"][0]["text"])
        said = self.call("/api/v1/status")
        self.assertFalse(said["in_sync"])
        self.assertIn("has errors", said["drift"][0])
        self.assertEqual(said["last_reload"], refused)
        self.gateway.config_path.write_text(good, encoding="utf-8")
        self.assertTrue(self.call("/api/v1/reload", "post")["good"])
        self.assertTrue(self.call("/api/v1/status")["in_sync"])

    def test_methods_and_paths_that_are_not_there(self):
        self.assertEqual(ask(self.port, "/api/v1/reload").status, 405)
        self.assertEqual(ask(self.port, "/api/v1/status", "POST").status, 405)
        self.assertEqual(ask(self.port, "/", "DELETE").status, 405)
        self.assertEqual(ask(self.port, "/api/v2/status").status, 404)
        self.assertEqual(ask(self.port, "/api/v1/status", "HEAD").body, b"")


class LiveLogTest(ApiCase):
    def validate(self, event, name):
        schema = {"$ref": f"#/components/schemas/{name}", "components": OPENAPI["components"]}
        jsonschema.Draft202012Validator(schema).validate(event)

    def test_queries_and_requests_as_they_come(self):
        with Follower(self.port, "text=follow") as log:
            self.followed()
            self.gateway.ask("not.this.one.home.arpa")
            self.gateway.ask("Follow.home.arpa", "TXT")
            event = log.event()
            self.validate(event, "QueryLine")
            self.assertEqual((event["name"], event["type"], event["status"], event["source"]),
                             ("Follow.home.arpa", "TXT", "NXDOMAIN", "zone"))
            self.gateway.curl(f"http://{HOST}/follow?x=%3Cimg%3E")
            event = log.event()
            self.validate(event, "RequestLine")
            self.assertEqual((event["host"], event["path"], event["status"], event["backend"]),
                             (HOST, "/follow?x=%3Cimg%3E", "200", self.backend.url))
        wait_until("nobody to follow", lambda: self.call("/api/v1/status")["live_log"]["followers"] == 0)

    def test_filters(self):
        asked = [("a.home.arpa", "A", "127.0.0.1"), ("nas.home.arpa", "A", "127.0.0.1"),
                 ("nas.home.arpa", "AAAA", "127.0.0.9"), ("b.home.arpa", "AAAA", "127.0.0.9")]
        for query, wanted in (("kind=query&status=nxdomain", [0, 3]), ("type=aaaa", [2, 3]),
                              ("client=127.0.0.8/30", [2, 3]), ("text=NAS", [1, 2]),
                              ("text=nas&client=127.0.0.9", [2])):
            with Follower(self.port, query) as log:
                self.followed()
                for name, rdtype, source in asked:
                    self.gateway.ask(name, rdtype, source=source)
                got = [log.event() for _ in wanted]
                # Those of different workers may come in another order.
                self.assertEqual(sorted((one["name"], one["type"], one["client"]) for one in got),
                                 sorted(asked[i] for i in wanted), query)
            wait_until("nobody", lambda: self.call("/api/v1/status")["live_log"]["followers"] == 0)
        for wrong in ("kind=both", "client=nobody", "text=" + "x" * 300):
            self.assertEqual(ask(self.port, "/api/v1/log?" + wrong).status, 400)

    def test_eight_follow_at_most(self):
        with contextlib.ExitStack() as stack:
            for _ in range(8):
                stack.enter_context(Follower(self.port, "text=nobody-asks-this"))
            self.assertEqual(ask(self.port, "/api/v1/log").status, 503)
        wait_until("room again", lambda: self.call("/api/v1/status")["live_log"]["followers"] == 0)

    def test_one_who_does_not_read_holds_nobody_up_and_what_is_left_out_is_counted(self):
        with Follower(self.port, "kind=query"):
            self.followed()
            began = time.monotonic()
            with self.gateway.connect() as connection:  # many in a second, one after the other
                query = b"\x00\x1d\x01\x02\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03nas\x04home\x04arpa" \
                        b"\x00\x00\x01\x00\x01"
                query = len(query[2:]).to_bytes(2, "big") + query[2:]
                got = 0
                for _ in range(30):
                    connection.sendall(query * 100)
                    want = 100 * (len(query) + 16)
                    while want > 0:
                        part = len(connection.recv(min(want, 65536)))
                        want, got = want - part, got + part
                        assert part
            self.assertLess(time.monotonic() - began, 10 * SLOW)
            wait_until("lines left out", lambda: self.call("/api/v1/status")["live_log"]["dropped"] > 0)
        metrics = self.gateway.metrics()
        self.assertGreater(metrics["postern_live_log_dropped_total"], 0)


class AccessTest(Case):
    """Who may ask."""

    def outside(self):
        """An address of this machine that is not loopback."""
        said = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
        found = [one for one in said if ":" not in one]
        self.assertTrue(found, "this machine has no address besides loopback")
        return found[0]

    def test_names_that_anybody_could_point_here_and_posts_of_other_sites(self):
        with Postern() as postern:
            port = postern.admin_port
            for host, status in (("localhost:1", 200), ("[::1]:9153", 200), ("evil.example", 403),
                                 ("127.0.0.1.evil.example", 403), ("", 403)):
                self.assertEqual(ask(port, "/api/v1/status", Host=host).status, status, host)
                self.assertEqual(ask(port, "/metrics", Host=host).status, 200)
            own = f"127.0.0.1:{port}"
            for fields, status in (({}, 200), ({"Origin": f"http://{own}"}, 200),
                                   ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
                                   ({"Sec_Fetch_Site": "cross-site"}, 403),
                                   ({"Sec_Fetch_Site": "same-site"}, 403),
                                   ({"Sec_Fetch_Site": "same-origin", "Origin": f"http://{own}"}, 200)):
                self.assertEqual(ask(port, "/api/v1/cache/flush", "POST", **fields).status, status, fields)
            self.assertGreater(postern.metrics()["postern_admin_denied_total"], 4)
            postern.wait_log("admin_denied")

    def test_other_machines_without_a_token_get_metrics_and_health_only(self):
        port, outside = free_port(), self.outside()
        with Postern(server=f'admin = "0.0.0.0:{port}"') as postern:
            postern.wait_log("admin_token_file")
            for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/", 403),
                                 ("/api/v1/status", 403), ("/api/v1/log", 403)):
                self.assertEqual(ask(port, path, host=outside).status, status, path)
            self.assertEqual(ask(port, "/api/v1/status").status, 200)

    def test_the_token_as_bearer_and_as_password(self):
        port = free_port()
        with Postern(server=f'admin = "0.0.0.0:{port}"\nadmin_token_file = "admin.token"',
                     files={"admin.token": TOKEN + "\n"}) as postern:
            basic = "Basic " + base64.b64encode(f"me:{TOKEN}".encode()).decode()
            for host in ("127.0.0.1", self.outside()):
                denied = ask(port, "/", host=host)
                self.assertEqual(denied.status, 401)
                self.assertTrue(denied.fields["www-authenticate"].startswith("Basic "))
                for value, status in ((f"Bearer {TOKEN}", 200), (basic, 200), (f"Bearer {TOKEN}x", 401),
                                      (f"Bearer {TOKEN[:-1]}", 401), ("Basic !", 401), ("Bearer ", 401)):
                    answer = ask(port, "/api/v1/status", host=host, Authorization=value)
                    self.assertEqual(answer.status, status, value)
                self.assertEqual(ask(port, "/healthz", host=host).status, 200)
            self.assertNotIn(TOKEN, "\n".join(postern.log))
            self.assertEqual(run("status", "-c", postern.config_path)[0], 0)
            self.assertEqual(run("status", "--url", f"http://127.0.0.1:{port}")[0], 1)

    def test_a_token_that_is_written_anew_takes_the_place_of_the_old_one(self):
        port = free_port()
        with Postern(server=f'admin = "127.0.0.1:{port}"\nadmin_token_file = "admin.token"',
                     files={"admin.token": TOKEN + "\n"}) as postern:
            def status_of(token):
                return ask(port, "/api/v1/status", Authorization=f"Bearer {token}").status

            self.assertEqual((status_of(TOKEN), status_of("a-new-token-for-all")), (200, 401))
            postern.write("admin.token", "a-new-token-for-all\n")
            wait_until("the new token", lambda: (status_of(TOKEN), status_of("a-new-token-for-all")) == (401, 200))
            status, out, err = run("reload", "-c", postern.config_path)  # which reads the file, too
            self.assertEqual(status, 0, out + err)
            # One that is no token is refused, and the one before goes on.
            mark = len(postern.log)
            postern.write("admin.token", "short\n")
            postern.wait_log("reload_refused", mark)
            self.assertEqual(status_of("a-new-token-for-all"), 200)

    def test_a_token_file_that_is_none_is_an_error(self):
        for content, word in ((None, "cannot read"), ("short\n", "no token"), ("two words are no token\n", "no token")):
            postern = Postern(server='admin_token_file = "t"', files={"t": content} if content else {})
            postern.configure()
            status, said, _ = run("check", "-c", postern.config_path)
            self.assertEqual(status, 1)
            self.assertIn(f"server.admin_token_file: ", said)
            self.assertIn(word, said)

    def test_requests_that_are_none(self):
        with Postern() as postern:
            for head, status in ((b"GET /\r\n\r\n", b"400"), (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
                                 (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", b"431"),
                                 (b"GET /api/v1/explain?name=%zz%0 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200")):
                with socket.create_connection(("127.0.0.1", postern.admin_port), 5 * SLOW) as connection:
                    connection.sendall(head)
                    self.assertEqual(connection.recv(4096)[9:12], status, head[:40])


class CommandTest(ApiCase):
    def command(self, *words, status=0):
        got, out, err = run(*words, "-c", self.gateway.config_path)
        self.assertEqual(got, status, out + err)
        return out

    def test_status_says_the_same_in_a_terminal(self):
        self.gateway.ask("www.example.com")
        self.gateway.curl(f"http://{HOST}/")
        said = self.command("status")
        for pattern in (r"^postern +0\.\d+\.\d+, up \d+ s, 2 workers", r"^config .* is what runs",
                        r"^cache +\d+ answers?, ", r"^zones +home\.arpa serial 1, 4 records$",
                        rf"^upstreams +\. {re.escape(self.up.url())} good, [\d.]+ ms",
                        r"^overrides +\*\.lab\.example to nas\.home\.arpa$",
                        r"^ +ads0\.example .* and 10 more to 0\.0\.0\.0",
                        rf"^listeners +internal 127\.0\.0\.1 http {self.gateway.http_port} https \d+",
                        rf"^routes +old\.vanillax\.me 302 to {HOST}$",
                        rf"^backends +{HOST} to {re.escape(self.backend.url)} good",
                        r"^certificates +lan .* days left$", r"^clients +\d+ 127\.0\.0\.1$"):
            self.assertRegex(said, re.compile(pattern, re.M))
        self.assertNotIn("\x1b", said)
        whole = json.loads(self.command("status", "--json"))
        for path in ("status", "dns", "gateway", "clients", "traffic"):
            jsonschema.Draft202012Validator(schema_of(f"/api/v1/{path}", "get", 200)).validate(whole[path])

    def test_colors_are_for_terminals(self):
        def said(**environment):
            reader, writer = pty.openpty()
            with subprocess.Popen([BINARY, "status", "-c", self.gateway.config_path], stdout=writer,
                                  env=dict(os.environ, **environment)) as process:
                os.close(writer)
                text = b""
                with contextlib.suppress(OSError):  # EIO: the end
                    while part := os.read(reader, 65536):
                        text += part
            os.close(reader)
            self.assertEqual(process.returncode, 0, text)
            return text.decode()

        colored = said()
        self.assertIn("\x1b[32mgood\x1b[0m", colored)
        self.assertEqual(re.sub(r"\x1b\[[\d;]*m", "", colored).count("good"), said(NO_COLOR="1").count("good"))
        self.assertNotIn("\x1b", said(NO_COLOR="1"))

    def test_status_shows_drift_and_fails(self):
        good = self.gateway.config_path.read_text(encoding="utf-8")
        self.assertEqual(self.command("reload"), "reloaded\n")
        self.gateway.config_path.write_text(good + "\n# edited\n", encoding="utf-8")
        self.addCleanup(self.gateway.config_path.write_text, good, encoding="utf-8")
        wait_until("the edit to be seen", lambda: run("status", "-c", self.gateway.config_path)[0] == 1)
        self.assertIn("it was edited; a reload would take it over", self.command("status", status=1))
        self.assertEqual(self.command("reload"), "reloaded\n")
        self.assertIn("is what runs", self.command("status"))
        self.gateway.config_path.write_text(good + "\nnonsense = 1\n", encoding="utf-8")
        said = self.command("reload", status=1)
        self.assertRegex(said, r"postern\.toml:\d+:\d+: .*nonsense[\s\S]*refused, 1 error")
        self.assertIn("refused: 1 error", self.command("status", status=1))
        self.gateway.config_path.write_text(good, encoding="utf-8")
        self.assertEqual(self.command("reload"), "reloaded\n")

    def test_log_follows_with_filters(self):
        words = ["log", "--follow", "--text", "logged", "--lines", "2", "-c", str(self.gateway.config_path)]
        with subprocess.Popen([BINARY, *words], stdout=subprocess.PIPE, text=True) as process, ended(process):
            self.followed()
            self.gateway.ask("logged.home.arpa")
            self.gateway.ask("other.home.arpa")
            self.gateway.curl(f"http://{HOST}/logged")
            lines = process.communicate(timeout=20 * SLOW)[0].splitlines()
        self.assertEqual(process.returncode, 0)
        self.assertRegex(lines[0], r"^\d\d:\d\d:\d\d\.\d{3} query   127\.0\.0\.1 logged\.home\.arpa A udp zone NXDOMAIN")
        self.assertRegex(lines[1], rf"request 127\.0\.0\.1 GET {HOST}/logged 200 .* {re.escape(self.backend.url)}$")
        self.assertEqual(run("log", "--client", "x", "-c", self.gateway.config_path)[0], 1)

    def test_log_goes_on_after_a_restart(self):
        def followers():
            return self.call("/api/v1/status")["live_log"]["followers"]

        def restart(process):
            """Once it is asked in vain, by one who only hangs up."""
            self.assertEqual(self.gateway.stop(), 0)
            if "--lines" not in words:
                with socket.create_server(("127.0.0.1", self.port)) as server:
                    server.settimeout(20 * SLOW)
                    server.accept()[0].close()
                self.assertIsNone(process.poll())
            self.gateway.start()
        words = ["log", "--follow", "--kind", "query", "-c", str(self.gateway.config_path)]
        with subprocess.Popen([BINARY, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            self.addCleanup(process.kill)
            for name in ("before", "after", "later"):
                wait_until("a follower", lambda: followers() == 1)
                ask(self.port, "/metrics")  # asks each worker, behind what it was told before
                self.gateway.ask(f"{name}.home.arpa")
                line = process.stdout.readline()
                while f" {name}.home.arpa " not in line:
                    self.assertNotEqual(line, "")
                    line = process.stdout.readline()
                if name != "later":
                    restart(process)
            process.terminate()
            said = process.stderr.read().splitlines()
        self.assertEqual(said, ["postern log: the server ended the log; trying again each second",
                                "postern log: the server is here again"] * 2)
        words += ["--lines", "1", "--text", "nothing-like-this"]
        with subprocess.Popen([BINARY, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            self.addCleanup(process.kill)
            wait_until("a follower", lambda: followers() == 1)
            restart(process)
            self.assertEqual(process.communicate(), ("", "postern log: the server ended the log\n"))
        self.assertEqual(process.returncode, 1)

    def test_the_cache_by_command(self):
        self.gateway.ask("www.example.com")
        self.assertRegex(self.command("cache", "show", "www.example.com"),
                         r"^www\.example\.com\.: 1 answer\n  A NOERROR, \d+ s left, \d+ s old, guests \(no view\)\n"
                         r"    www\.example\.com\. \d+ IN A 203\.0\.113\.9\n$")
        self.assertEqual(self.command("cache", "flush", "www.example.com"), "1 answer forgotten\n")
        self.assertEqual(self.command("cache", "show", "www.example.com"), "www.example.com.: 0 answers\n")
        self.assertRegex(self.command("cache", "flush"), r"^\d+ answers? forgotten$")
        self.assertEqual(run("cache")[0], 2)

    def test_nobody_there_is_said(self):
        status, _, err = run("status", "--url", f"http://127.0.0.1:{new_port()}")
        self.assertEqual(status, 1)
        self.assertIn("does postern run", err)


if __name__ == "__main__":
    unittest.main()
