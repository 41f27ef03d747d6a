"""The status page in Debian's Chromium, with real traffic: what it shows, in light and dark and on a phone,
names that are hostile, its policy, and accessibility as axe-core sees it. Pictures: build/results/page."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

import dns.message
import dns.name

import npm
import quic_client
from gateway_backends import Backend
from gateway_lab import HOST, Gateway, route
from lab import SLOW, Case, Upstream, wait_until

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "browser"))
from chromium import Chromium  # pylint: disable=wrong-import-position

RESULTS = pathlib.Path(os.environ.get("PAGE_RESULTS", HERE.parents[1] / "build/results/page"))
GUEST = "127.0.0.8"  # who is in the view of that name
HOSTILE = b"<img src=x onerror=window.hacked=1>"
ZONE = "$TTL 60\n@ IN SOA ns admin 1 3600 600 86400 60\n  IN NS ns\nns IN A 192.0.2.53\nnas IN A 192.0.2.20\n"
WATCH = """window.violations = []; window.failures = [];
    document.addEventListener("securitypolicyviolation", e => violations.push(e.violatedDirective + " " + e.blockedURI));
    addEventListener("error", e => failures.push(String(e.message)));
    addEventListener("unhandledrejection", e => failures.push(String(e.reason)));"""


def setUpModule():
    npm.install()


class Here:
    """The browser on this machine's own network."""

    @staticmethod
    def as_client(*command):
        return command

    @staticmethod
    def quic_packets():
        return 0


class Page(Case):
    @classmethod
    def setUpClass(cls):
        RESULTS.mkdir(parents=True, exist_ok=True)
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.up = cls.stack.enter_context(Upstream("www.example.com. 300 A 203.0.113.9"))
        cls.backend = Backend("page")
        cls.stack.callback(cls.backend.stop)
        cls.gateway = Gateway(
            route(cls.backend), route("http://127.0.0.1:9", hosts=["down.vanillax.me"]),
            route(hosts=["old.vanillax.me"], redirect={"hostname": HOST, "status": 302}),
            config=cls.up.forward() + '\n[[dns.zone]]\nname = "home.arpa"\nfile = "home.zone"\n'
            '[[dns.view]]\nname = "guests"\nclients = ["127.0.0.8/32"]\n'
            '[[dns.override]]\nnames = ["*.lab.example"]\ncname = "nas.home.arpa"\n'
            '[[dns.override]]\nnames = ["llama.vanillax.me"]\nforward = true\n'
            '[[dns.override]]\nnames = ["printer.example"]\naddress = ["192.0.2.77"]\nviews = ["guests"]\n',
            files={"home.zone": ZONE}, server="workers = 2\n")
        cls.stack.enter_context(cls.gateway)
        profiles = cls.stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        cls.browser = Chromium(Here, pathlib.Path(profiles) / "profile", [])
        cls.stack.callback(cls.browser.close)
        cls.browser.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        cls.url = f"http://127.0.0.1:{cls.gateway.admin_port}/"
        cls.traffic()
        cls.open()

    @classmethod
    def traffic(cls):
        """Something for every part of the page."""
        for i in range(12):
            cls.gateway.ask("www.example.com")
            cls.gateway.ask("nas.home.arpa", source=f"127.0.0.{2 + i % 3}")
        cls.gateway.ask("missing.example.com")
        cls.gateway.ask("www.example.com", source=GUEST)
        for path in ("/", "/x?y=1"):
            cls.gateway.curl(f"http://{HOST}{path}")
        cls.gateway.curl("http://down.vanillax.me/")
        hello = quic_client.initial(quic_client.crypto(0, quic_client.client_hello(HOST)))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.sendto(hello, ("127.0.0.1", cls.gateway.https_port))
        cls.hostile()

    @classmethod
    def hostile(cls):
        """Markup as a label of a query, and in the path of a request."""
        query = dns.message.make_query(dns.name.Name([HOSTILE, b"example", b""]), "A")
        cls.gateway.exchange(query)
        with cls.gateway.dial(tls=False) as connection:
            connection.sendall(b"GET /%3Cscript%3E?q=<script>alert(1)</script> HTTP/1.1\r\nHost: " + HOST.encode()
                               + b"\r\nConnection: close\r\n\r\n")
            connection.recv(4096)

    @classmethod
    def open(cls):
        cls.browser.open(cls.url)
        wait_until("the page to be filled", lambda: cls.browser.run(
            "document.querySelectorAll('main section table').length >= 9 && "
            "document.querySelector('#dns-minutes svg') !== null"), 15)

    def text(self, selector):
        return self.browser.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def wait_text(self, selector, word):
        return wait_until(f"{word!r} in {selector}", lambda: word in self.text(selector), 15)

    def as_seen(self, scheme, width, height=900):
        self.browser.call("Emulation.setEmulatedMedia",
                          features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                          deviceScaleFactor=1, mobile=width < 500)

    def picture(self, name):
        height = self.browser.run("document.documentElement.scrollHeight")
        width = self.browser.run("innerWidth")
        self.browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                          deviceScaleFactor=1, mobile=width < 500)
        time.sleep(0.1)  # one frame in the new size
        self.browser.screenshot(RESULTS / f"{name}.png")

    def axe(self):
        """What axe-core finds wrong in the page as it is now."""
        if not self.browser.run("'axe' in window"):
            self.browser.run((npm.WHERE / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8") + ";1")
        found = json.loads(self.browser.run(
            "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
            ".then(r => JSON.stringify({passes: r.passes.length, violations: r.violations.map(v => "
            "[v.id, v.help, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))])}))", 60))
        self.assertGreater(found["passes"], 20)
        return found["violations"]

    def test_every_part_shows_what_is_served(self):
        for selector, word in (("#summary", "2 workers"), ("#state", "as in the files"),
                               ("#configuration-body", str(self.gateway.config_path)),
                               ("#names", "nas.home.arpa"), ("#clients", "127.0.0.3"), ("#stray", "QUIC"), ("#stray", HOST),
                               ("#upstreams", self.up.url()), ("#overrides", "nas.home.arpa"),
                               ("#overrides", f"127.0.0.1 → internal"), ("#overrides", "upstream (exception)"),
                               ("#zones", "as in the file"), ("#zones", "guests"),
                               ("#routes", self.backend.url), ("#routes", f"302 to {HOST}"),
                               ("#certificates", "*.vanillax.me"),
                               ("#listeners", f"https {self.gateway.https_port}"), ("#cache", "answers")):
            self.wait_text(selector, word)
        self.assertRegex(self.text("#dns-legend"), r"cache \d+[\s\S]*from here \d+[\s\S]*upstream \d+")
        bars = self.browser.run("document.querySelector('#dns-minutes .k2').getAttribute('d').length")
        self.assertGreater(bars, 10)

    def test_hostile_names_are_text(self):
        with self.subTest("in the lists"):
            self.wait_text("#names", "<img")
        wait_until("the log to follow", lambda: self.text("#log-state").startswith("following"), 15)
        self.hostile()
        self.wait_text("#log", "<img\\032src=x\\032onerror=window\\.hacked=1>.example")
        self.wait_text("#log", "<script>alert(1)</script>")
        said = self.browser.run("JSON.stringify([typeof window.hacked, document.querySelectorAll('img').length, "
                                "document.querySelectorAll('script').length, violations, failures])")
        self.assertEqual(json.loads(said), ["undefined", 0, 1, [], []])

    def test_its_policy_lets_nothing_else_run(self):
        self.browser.run("document.body.append(Object.assign(document.createElement('script'), "
                         "{textContent: 'window.hacked = 2'}))")
        self.browser.run("(() => { const b = document.createElement('b'); b.setAttribute('onclick', 'window.hacked = 3');"
                         "document.body.append(b); b.click(); })()")
        self.assertEqual(self.browser.run("typeof window.hacked"), "undefined")
        self.assertGreaterEqual(self.browser.run("violations.length"), 2)
        self.open()
        self.assertEqual(self.browser.run("JSON.stringify([violations, failures])"), "[[],[]]")

    def test_the_log_filters_and_pauses(self):
        wait_until("the log to follow", lambda: self.text("#log-state").startswith("following"), 15)
        self.gateway.ask("before.home.arpa")
        self.wait_text("#log", "before.home.arpa")
        self.browser.run("(() => { const f = document.getElementById('log-text'); f.value = 'filtered'; "
                         "f.dispatchEvent(new Event('input', {bubbles: true})); })()")

        wait_until("the log to begin anew", lambda: "home.arpa" not in self.text("#log"))

        def asked():
            self.gateway.ask("filtered.home.arpa")
            self.gateway.ask("another.home.arpa")
            return "filtered.home.arpa" in self.text("#log")
        wait_until("the filtered name", asked)
        self.assertNotIn("another.home.arpa", self.text("#log"))
        self.browser.run("document.getElementById('log-pause').click()")
        followers = "fetch('/api/v1/status').then(r => r.json()).then(s => s.live_log.followers)"
        wait_until("the page to stop following", lambda: self.browser.run(followers) == 0)
        self.assertEqual(self.text("#log-state"), "paused")
        self.browser.run("document.getElementById('log-client').value = 'nobody'; "
                         "document.getElementById('log-pause').click()")
        self.wait_text("#log-state", "not understood")
        self.open()

    def test_explain(self):
        self.browser.run(f"document.getElementById('explain-name').value = 'https://{HOST}:{self.gateway.https_port}/'; "
                         "document.querySelector('#explain button').click()")
        self.wait_text("#explanation", "backend")
        self.assertIn(self.backend.url, self.text("#explanation"))
        self.browser.run("document.getElementById('explain-name').value = 'a..b'; "
                         "document.querySelector('#explain button').click()")
        wait_until("what is wrong", lambda: self.browser.run("document.querySelector('#explanation .bad') !== null"))

    def choose(self, field, value):
        """As a person who picks from a list, or leaves the field."""
        self.browser.run(f"{{ const field = document.getElementById({json.dumps(field)}); field.value = {json.dumps(value)}; "
                         "field.dispatchEvent(new Event('change', {bubbles: true})); 1 }")

    def test_explain_for_another_client(self):
        self.open()
        offered = "[...document.querySelectorAll('#known-clients option')].map(one => one.value).join(' ')"
        wait_until("the guest to be offered", lambda: GUEST in self.browser.run(offered).split(), 15)
        self.choose("explain-name", "printer.example")
        self.assertEqual(self.text("#explanation"), "")  # nobody has asked yet
        self.browser.run("document.querySelector('#explain button').click()")
        self.wait_text("#explanation", self.up.url())
        self.assertNotIn("192.0.2.77", self.text("#explanation"))
        self.choose("explain-client", GUEST)
        self.wait_text("#explanation", "192.0.2.77")
        self.assertNotIn(self.up.url(), self.text("#explanation"))
        self.assertIn("guests", self.text("#explanation"))
        # And so it is.
        self.assertEqual(self.gateway.answer("printer.example", source=GUEST), ["192.0.2.77"])
        self.assertEqual(self.gateway.answer("printer.example"), [])
        self.choose("explain-client", "127.0.0.3")
        self.wait_text("#explanation", self.up.url())
        self.choose("explain-type", "AAAA")
        self.wait_text("#explanation", "AAAA")
        self.choose("explain-client", "who?")
        wait_until("what is wrong", lambda: self.browser.run("document.querySelector('#explanation .bad') !== null"))

    def test_a_refresh_leaves_a_person_where_they_are(self):
        """On a phone: the place scrolled to, the focus of the keyboard, and the selected text."""
        self.as_seen("light", 390)
        self.addCleanup(self.as_seen, "light", 1280)
        self.wait_text("#upstreams", self.up.url())
        where = ("(() => { const box = document.querySelector('#upstreams .scroll'); return JSON.stringify(["
                 "box.scrollLeft, document.activeElement === box, String(getSelection())]); })()")
        self.browser.run("""(() => { const box = document.querySelector('#upstreams .scroll');
            box.scrollLeft = 60; box.focus({preventScroll: true});
            getSelection().selectAllChildren(box.querySelector('.mono')); })()""")
        before = self.browser.run(where)
        self.assertEqual(json.loads(before), [60, True, self.up.url()])
        for i in range(2):
            shown = self.text("#upstreams")
            self.gateway.ask(f"refresh-{i}.example.com")
            wait_until("the page to count the query", lambda: self.text("#upstreams") != shown, 15)
            self.assertEqual(self.browser.run(where), before)

    def test_it_says_that_it_is_stale_until_all_of_it_is_not(self):
        asked = ("performance.getEntriesByType('resource').filter(one => one.responseStatus === 200 && "
                 "one.name.endsWith('/api/v1/%s')).length")

        def answered(path, times=1):
            before = self.browser.run(asked % path)
            wait_until(f"answers of {path}", lambda: self.browser.run(asked % path) >= before + times, 20)
        hidden = "document.getElementById('lost').hidden"
        self.browser.run("performance.setResourceTimingBufferSize(100000)")
        self.assertTrue(self.browser.run(hidden))
        self.addCleanup(self.browser.call, "Network.setBlockedURLs", urls=[])
        self.browser.call("Network.setBlockedURLs", urls=["*/api/v1/dns", "*/api/v1/traffic"])
        self.wait_text("#lost", "dns")
        self.wait_text("#lost", "traffic")
        answered("status", 2)
        answered("gateway")  # goes on, whatever the others do
        self.assertIn("dns", self.text("#lost"))
        self.browser.call("Network.setBlockedURLs", urls=["*/api/v1/dns"])
        answered("traffic")
        wait_until("only one to be lost", lambda: "traffic" not in self.text("#lost"))
        self.assertIn("dns", self.text("#lost"))
        self.assertEqual(self.axe(), [])
        self.browser.call("Network.setBlockedURLs", urls=[])
        wait_until("all of it", lambda: self.browser.run(hidden), 20)

    def test_an_answer_that_never_comes_is_said(self):
        """The server is stopped, as by a machine that hangs: connections stay, and nothing comes."""
        self.gateway.process.send_signal(signal.SIGSTOP)
        try:
            wait_until("the page to say so", lambda: "status" in self.text("#lost"), 30)
        finally:
            self.gateway.process.send_signal(signal.SIGCONT)
        wait_until("all of it", lambda: self.browser.run("document.getElementById('lost').hidden"), 20)

    def test_accessible_and_readable_in_light_and_dark_and_on_a_phone(self):
        for name, scheme, width in (("light", "light", 1280), ("dark", "dark", 1280),
                                    ("phone-light", "light", 390), ("phone-dark", "dark", 390)):
            with self.subTest(name):
                self.as_seen(scheme, width)
                background = self.browser.run("getComputedStyle(document.body).backgroundColor")
                dark = sum(int(one) for one in background[4:-1].split(",")) < 200
                self.assertEqual(dark, scheme == "dark", background)
                self.assertLessEqual(self.browser.run("document.documentElement.scrollWidth"), width)
                self.assertEqual(self.axe(), [])
                self.traffic()
                self.wait_text("#log", "onerror")
                self.picture(name)
        self.as_seen("light", 1280)

    def test_a_refused_reload_is_shown_with_its_errors(self):
        good = self.gateway.config_path.read_text(encoding="utf-8")
        self.gateway.config_path.write_text(good + "\n[dns.cache]\nsise = 1\n", encoding="utf-8")
        try:
            subprocess.run(["curl", "-s", "-X", "POST", self.url + "api/v1/reload"], check=True, capture_output=True,
                           timeout=30 * SLOW)
            self.wait_text("#configuration-body", "sise")
            self.wait_text("#state", "not as in the files")
            self.assertEqual(self.axe(), [])
            self.picture("refused")
        finally:
            self.gateway.config_path.write_text(good, encoding="utf-8")
        subprocess.run(["curl", "-s", "-X", "POST", self.url + "api/v1/reload"], check=True, capture_output=True,
                       timeout=30 * SLOW)
        self.wait_text("#state", "● as in the files")
