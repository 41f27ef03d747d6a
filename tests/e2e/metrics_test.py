"""GET /metrics as Prometheus sees it: promtool reads it, and the numbers are what the clients of this
test did. The alert rules and the dashboard speak of these metrics and no others."""

import collections
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.request

import yaml

from gateway_lab import HOST, Backend, Gateway, route
from lab import SLOW, Case, Postern, Upstream, wait_until

ROOT = pathlib.Path(__file__).parents[2]
RULES = ROOT / "packaging/prometheus/postern.rules.yml"
RULES_TEST = ROOT / "packaging/prometheus/postern.rules_test.yml"
DASHBOARD = ROOT / "packaging/grafana/postern.json"

VIEW = """
[[dns.view]]
name = "lan"
clients = ["127.0.0.1/32"]
[[dns.override]]
names = ["nas.vanillax.me"]
address = ["192.168.10.9"]
"""


def table():
    """{name: (kind, labels)} of the program's own table."""
    text = (ROOT / "src/server/metrics_table.h").read_text(encoding="utf-8")
    found = re.findall(r'\{"((?:postern|process)_[a-z0-9_]+)",\s*(kCounter|kGauge|kHistogram),'
                       r'\s*(?:"(?:[^"\\]|\\.)*"\s*)+,\s*"([a-z,]*)"\}', text)
    return {name: (kind[1:].lower(), set(filter(None, labels.split(",")))) for name, kind, labels in found}


def page(server):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.admin_port}/metrics",
                                timeout=6 * SLOW) as answer:
        return answer.read().decode()


def promtool(*arguments, text=None):
    """(exit status, what it said)."""
    done = subprocess.run(["promtool", *map(str, arguments)], input=text, capture_output=True, text=True,
                          timeout=120 * SLOW, check=False)
    return done.returncode, done.stdout + done.stderr


def series(server, name):
    """{label values, as a dictionary's items: value} of one metric."""
    found = {}
    for line in page(server).splitlines():
        match = re.fullmatch(re.escape(name) + r"(?:\{(.*)\})? (\S+)", line)
        if match:
            found[frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[1] or ""))] = float(match[2])
    return found


def total(server, name, /, **labels):
    """The sum of the series that have these labels."""
    wanted = set(labels.items())
    return sum(value for have, value in series(server, name).items() if wanted <= have)


class Page(Case):
    def test_promtool_finds_nothing_to_say_after_traffic(self):
        with Backend() as backend, Upstream("a.example.com. 300 A 203.0.113.1") as up, \
                Gateway(route(backend), config=up.forward() + VIEW) as gateway:
            gateway.ask("a.example.com")
            gateway.ask("nas.vanillax.me", tcp=True)
            gateway.curl(f"https://{HOST}/")
            wait_until("the request", lambda: total(gateway, "postern_gateway_requests_total") == 1)
            text = page(gateway)
        status, said = promtool("check", "metrics", text=text)
        self.assertEqual((status, said.strip()), (0, ""))
        metrics = table()
        self.assertGreater(len(metrics), 60)
        types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
        for name, kind in types.items():
            self.assertEqual(metrics.get(name, ("not in the table",))[0], kind, name)
        self.assertGreater(len(types), 60)

    def test_promtool_would_find_something(self):
        status, said = promtool("check", "metrics", text="# TYPE postern_queries counter\npostern_queries 1\n")
        self.assertNotEqual(status, 0)
        self.assertIn("postern_queries", said)

    def test_the_answer_names_the_format(self):
        with Postern(VIEW) as postern, \
                urllib.request.urlopen(f"http://127.0.0.1:{postern.admin_port}/metrics") as answer:
            self.assertEqual(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")

    def test_nobody_outside_makes_series(self):
        with Backend() as backend, Gateway(route(backend, hosts=["*.vanillax.me"]), config=VIEW) as gateway:
            def look():
                lines = [line for line in page(gateway).splitlines() if not line.startswith("#")]
                return {line.rsplit(" ", 1)[0] for line in lines}

            def ask(number):
                gateway.ask(f"n{number}.vanillax.me.test", rdtype=f"TYPE{60000 + number}")
                status, _ = self.request(gateway, f"METHOD{number}", f"n{number}.vanillax.me", f"/{number}")
                self.assertIn(status, (200, 405, 501))
            ask(0)
            wait_until("the first", lambda: total(gateway, "postern_gateway_requests_total") == 1)
            before = look()
            for number in range(1, 40):
                ask(number)
            wait_until("all", lambda: total(gateway, "postern_gateway_requests_total") == 40)
            self.assertEqual(look() - before, set())

    def request(self, gateway, method, host, path):
        got, _ = gateway.raw(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        return int(got.split(b" ")[1]), got


class Dns(Case):
    def test_each_query_is_counted_as_what_it_was(self):
        asked = collections.Counter()
        with Upstream("""
                a.example.com. 300 A 203.0.113.1
                a.example.com. 300 TXT "x"
                """) as up, Postern(up.forward() + VIEW) as postern:
            before = series(postern, "postern_dns_queries_total")

            def ask(name, rdtype, tcp, rcode, source, view="lan", times=1, type_label=None):
                for _ in range(times):
                    self.assert_rcode(postern.ask(name, rdtype, tcp=tcp), rcode)
                labels = {"proto": "tcp" if tcp else "udp", "view": view, "rcode": rcode, "source": source,
                          "type": type_label or rdtype}
                asked[frozenset(labels.items())] += times
            ask("a.example.com", "A", False, "NOERROR", "upstream")
            ask("a.example.com", "A", False, "NOERROR", "cache", times=5)
            ask("a.example.com", "A", True, "NOERROR", "cache", times=2)
            ask("a.example.com", "TXT", True, "NOERROR", "upstream")
            ask("b.example.com", "AAAA", False, "NXDOMAIN", "upstream")
            ask("b.example.com", "AAAA", False, "NXDOMAIN", "cache")
            ask("nas.vanillax.me", "A", False, "NOERROR", "override", times=3)
            ask("nas.vanillax.me", "HTTPS", False, "NOERROR", "override")
            ask("localhost", "A", False, "NOERROR", "special")
            ask("a.example.com", "IXFR", False, "REFUSED", "refused", view="none", type_label="other")
            ask("c.example.com", "TYPE65280", False, "NXDOMAIN", "upstream", type_label="other")
            up.silent = True
            ask("d.example.com", "A", False, "SERVFAIL", "error")
            after = series(postern, "postern_dns_queries_total")
            grown = {labels: value - before.get(labels, 0) for labels, value in after.items()}
            self.assertEqual({labels: value for labels, value in grown.items() if value}, dict(asked))

    def test_a_query_that_gets_no_reply_and_one_that_is_refused(self):
        with Postern(VIEW, dns='allow = ["127.0.0.1/32"]') as postern:
            postern.raw_udp(b"\0" * 12, timeout=3)  # no question: FORMERR
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"\0\1\x80\0" + b"\0" * 8, (postern.address, postern.port))  # a response
            self.assert_rcode(postern.ask("nas.vanillax.me", source="127.0.0.2"), "REFUSED")
            name = "postern_dns_queries_total"
            wait_until("the silence", lambda: total(postern, name, rcode="none", view="none") == 1)
            self.assertEqual(total(postern, name, rcode="FORMERR", view="none", type="other"), 1)
            self.assertEqual(total(postern, name, rcode="REFUSED", view="none", type="A", source="refused"), 1)

    def test_times_are_by_source_and_by_upstream(self):
        with Upstream("a.example.com. 300 A 203.0.113.1") as up, Postern(up.forward() + VIEW) as postern:
            up.delay = 0.12
            began = time.monotonic()
            postern.ask("a.example.com")
            took = time.monotonic() - began
            for _ in range(70):
                postern.ask("nas.vanillax.me")
            for name, labels in (("postern_dns_answer_duration_seconds", {"source": "upstream"}),
                                 ("postern_dns_upstream_rtt_seconds", {"upstream": up.url()})):
                self.assertEqual(total(postern, f"{name}_count", **labels), 1)
                self.assertGreaterEqual(total(postern, f"{name}_sum", **labels), 0.119)
                self.assertLessEqual(total(postern, f"{name}_sum", **labels), took)
                self.assertEqual(total(postern, f"{name}_bucket", le="0.1", **labels), 0)
                self.assertEqual(total(postern, f"{name}_bucket", le="+Inf", **labels), 1)
            # One in 64 is measured and stands for all of them.
            count = total(postern, "postern_dns_answer_duration_seconds_count", source="override")
            self.assertEqual(count % 64, 0)
            self.assertIn(count, (64, 128))

    def test_limits_have_one_name(self):
        with Postern(VIEW, dns="limits = { qps_per_client = 1 }") as postern:
            for _ in range(20):
                postern.raw_udp(b"\0\1\1\0\0\1\0\0\0\0\0\0\3nas\x08vanillax\2me\0\0\1\0\1", timeout=0.02)
            name = "postern_limit_hits_total"
            hits = wait_until("the limit", lambda: total(postern, name, limit="dns.limits.qps_per_client"))
            self.assertEqual(hits, total(postern, "postern_dns_rate_limited_total"))
            self.assertEqual(total(postern, name), hits)

    def test_workers_are_one(self):
        with Postern(VIEW, server="workers = 2") as postern:
            before = total(postern, "postern_dns_queries_total", source="override")
            for _ in range(30):  # each from a port of its own, so that both get some
                postern.ask("nas.vanillax.me")
            self.assertEqual(total(postern, "postern_dns_queries_total", source="override") - before, 30)
            self.assertEqual(total(postern, "postern_workers"), 2)


class Web(Case):
    def test_requests_by_listener_route_backend_and_code(self):
        with Backend() as backend, Backend("other") as other:
            gone = Backend("gone")
            gone.stop()
            with Gateway(route(backend), route(other, hosts=["other.vanillax.me"]),
                         route(gone, hosts=["gone.vanillax.me"]),
                         route(hosts=["own.vanillax.me"], respond={"status": 204})) as gateway:
                for _ in range(3):
                    gateway.curl(f"https://{HOST}/")
                gateway.curl("http://other.vanillax.me/x", "-d", "12345", http="--http1.1")
                gateway.curl("http://gone.vanillax.me/", http="--http1.1")
                gateway.curl("https://own.vanillax.me/")
                gateway.curl("http://unknown.vanillax.me/", http="--http1.1")
                name = "postern_gateway_requests_total"
                wait_until("all seven", lambda: total(gateway, name) == 7)
                expected = {(f"{HOST}/", backend.url, "2xx"): 3,
                            ("other.vanillax.me/", other.url, "2xx"): 1,
                            ("gone.vanillax.me/", gone.url, "5xx"): 1,
                            ("own.vanillax.me/", "none", "2xx"): 1,
                            ("none", "none", "4xx"): 1}
                self.assertEqual(series(gateway, name), {
                    frozenset({"listener": "internal", "route": one, "backend": to, "code": code}.items()): value
                    for (one, to, code), value in expected.items()})
                self.assertEqual(total(gateway, "postern_gateway_request_body_bytes_total"), 5)
                self.assertEqual(total(gateway, "postern_gateway_requests_in_flight"), 0)
                for metric in ("request_duration_seconds", "first_byte_seconds"):
                    self.assertEqual(total(gateway, f"postern_gateway_{metric}_count", route=f"{HOST}/"), 3)
                self.assertGreater(total(gateway, "postern_gateway_backend_failures_total", backend=gone.url), 0)
                sources = {dict(labels)["source"] for labels in series(gateway, "postern_gateway_route_info")}
                lines = gateway.config_path.read_text(encoding="utf-8").splitlines()
                self.assertEqual([lines[int(one.rsplit(":", 1)[1]) - 1].strip() for one in sorted(sources)],
                                 ["[[gateway.route]]"] * 4)

    def test_a_request_under_way_and_one_that_was_given_up(self):
        with Backend() as backend, Gateway(route(backend)) as gateway:
            name = "postern_gateway_requests_in_flight"
            with gateway.dial(tls=False) as client:
                client.sendall(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\n12".encode())
                wait_until("the request", lambda: total(gateway, name) == 1)
            wait_until("its end", lambda: total(gateway, name) == 0)
            self.assertEqual(total(gateway, "postern_gateway_requests_total", code="none", route=f"{HOST}/"), 1)
            self.assertEqual(total(gateway, "postern_gateway_aborted_total", by="client"), 1)

    def test_the_route_keeps_its_name_and_numbers_over_a_reload(self):
        with Backend() as backend, Gateway(route(backend)) as gateway:
            gateway.curl(f"https://{HOST}/")
            mark = len(gateway.log)
            gateway.change(routes=[route(hosts=["new.vanillax.me"], respond={"status": 200}), route(backend)])
            gateway.wait_log("reloaded: ", mark)
            gateway.curl(f"https://{HOST}/")
            wait_until("both", lambda: total(gateway, "postern_gateway_requests_total", route=f"{HOST}/") == 2)

    def test_a_backend_that_is_down_stays_so_until_it_takes_a_connection(self):
        with Backend("a") as backend, Gateway(route(backend), route("http://nowhere.invalid:80", hosts=["no.vanillax.me"])) \
                as gateway:
            def healthy(url=backend.url):
                return gateway.metrics()[f'postern_gateway_backend_healthy{{backend="{url}"}}']
            self.assertEqual(healthy(), 1)
            backend.stop()
            self.assertEqual(gateway.curl(f"http://{HOST}/").status, 503)
            self.assertEqual(healthy(), 0)
            time.sleep(1.5)  # longer than it is not tried
            self.assertEqual(healthy(), 0)
            backend.start()
            self.assertEqual(gateway.curl(f"http://{HOST}/").status, 200)
            self.assertEqual(healthy(), 1)
            gateway.wait_log("backend_down: .*" + backend.url)
            gateway.wait_log("backend_up: .*" + backend.url)
            self.assertEqual(gateway.curl("http://no.vanillax.me/").status, 503)
            self.assertEqual(healthy("http://nowhere.invalid:80"), 0)

    def test_when_the_certificate_ends(self):
        with Gateway(route(respond={"status": 200})) as gateway:
            said = subprocess.run(["openssl", "x509", "-in", gateway.directory / "tls/lan.crt", "-noout",
                                   "-enddate"], capture_output=True, text=True, check=True).stdout
            self.assertEqual(total(gateway, "postern_tls_certificate_not_after_seconds", name="lan"),
                             ssl.cert_time_to_seconds(said.strip().split("=")[1]))


class Process(Case):
    def test_a_refused_reload_is_shown_and_its_end_as_well(self):
        success, when = ("postern_config_last_reload_successful",
                         "postern_config_last_reload_success_timestamp_seconds")
        with Postern(VIEW) as postern:
            first = total(postern, when)
            self.assertEqual(total(postern, success), 1)
            self.assertLessEqual(abs(first - time.time()), 10 * SLOW)
            self.assertEqual(first, total(postern, "process_start_time_seconds"))
            mark = len(postern.log)
            postern.reload(config=VIEW + "\n[nothing]\n")
            postern.wait_log("reload_refused", mark)
            self.assertEqual(total(postern, success), 0)
            self.assertEqual(total(postern, when), first)
            self.assertEqual(total(postern, "postern_config_reloads_total", result="refused"), 1)
            wait_until("another second", lambda: time.time() >= first + 1.1)  # time() is some milliseconds late
            mark = len(postern.log)
            postern.reload(config=VIEW)
            postern.wait_log("reloaded: ", mark)
            self.assertEqual(total(postern, success), 1)
            self.assertGreater(total(postern, when), first)
            self.assertEqual(total(postern, "postern_config_reloads_total", result="taken"), 1)

    def test_what_the_system_says(self):
        with Postern(VIEW) as postern:
            pid = postern.process.pid
            fds = len(os.listdir(f"/proc/{pid}/fd"))
            rss = int(re.search(r"^VmRSS:\s*(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1])
            self.assertLessEqual(abs(total(postern, "process_open_fds") - fds), 2)  # this connection
            self.assertLess(abs(total(postern, "process_resident_memory_bytes") / 1024 - rss), 0.2 * rss)
            self.assertGreater(total(postern, "process_cpu_seconds_total"), 0)


class Packaged(Case):
    """What stands in packaging/."""

    def test_the_alert_rules_pass_their_tests(self):
        status, said = promtool("check", "rules", RULES)
        self.assertEqual(status, 0, said)
        status, said = promtool("test", "rules", RULES_TEST)
        self.assertEqual(status, 0, said)

    def test_every_alert_is_tested(self):
        rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
        tests = yaml.safe_load(RULES_TEST.read_text(encoding="utf-8"))["tests"]
        fired = {check["alertname"] for test in tests for check in test["alert_rule_test"] if "exp_alerts" in check}
        self.assertEqual(fired, {rule["alert"] for rule in rules})
        self.check_names([rule["expr"] for rule in rules])

    def test_the_dashboard_has_expressions_that_parse(self):
        board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
        expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
        expressions += [one["expr"] for one in board["annotations"]["list"]]
        self.assertGreater(len(expressions), 40)
        ids = [panel["id"] for panel in board["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        rules = [{"record": f"panel:{number}", "expr": one.replace("$__rate_interval", "5m")}
                 for number, one in enumerate(expressions)]
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "rules.yml")
            path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
            status, said = promtool("check", "rules", path)
        self.assertEqual(status, 0, said)
        self.assertIn(f"{len(rules)} rules found", said)
        self.check_names(expressions + [one["query"]["query"] for one in board["templating"]["list"]
                                        if one["type"] == "query"])

    def test_the_pages_speak_of_metrics_that_exist(self):
        for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
            spans = re.findall(r"`((?:postern|process)_[a-z0-9_]+(?:\{[^`]*\})?)`", path.read_text(encoding="utf-8"))
            self.check_names(spans, whole=True)
            if path.name == "metrics.md":
                self.assertGreater(len(spans), 20)

    def check_names(self, expressions, whole=False):
        """Every metric is in the table, with these labels, and used as what it is; `whole`: a histogram
        may be named as such."""
        metrics = table()
        for expression in expressions:
            for name in re.findall(r"\b(?:postern|process)_[a-z0-9_]+\b", expression):
                base = re.sub(r"_(bucket|sum|count)$", "", name) if name not in metrics else name
                self.assertIn(base, metrics, expression)
                if not whole:
                    self.assertEqual(base != name, metrics[base][0] == "histogram", expression)
            for name, matchers in re.findall(r"\b((?:postern|process)_[a-z0-9_]+)\{([^}]*)\}", expression):
                known = metrics.get(name) or metrics[re.sub(r"_(bucket|sum|count)$", "", name)]
                self.assertLessEqual(set(re.findall(r"(\w+)\s*[=!]", matchers)),
                                     known[1] | {"instance", "job"}, expression)
            for grouped in re.findall(r"by \(([^)]*)\)", expression):
                labels = set.union(*(metrics[re.sub(r"_bucket$", "", name)][1] for name in
                                     re.findall(r"\b(?:postern|process)_[a-z0-9_]+\b", expression)))
                self.assertLessEqual(set(re.split(r",\s*", grouped)), labels | {"instance", "job", "le"}, expression)


if __name__ == "__main__":
    unittest.main()
