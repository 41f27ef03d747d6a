"""What the tests of every browser share: one network, fresh profiles, and the ways to move."""

import os
import pathlib
import statistics
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from network import DNS, GATEWAY, ZONE, Network  # noqa: E402

RESULTS = pathlib.Path(os.environ.get("BROWSER_RESULTS", HERE.parents[2] / "build/results/browser"))
# How HTTP/3 is learned: by Alt-Svc, by the HTTPS record, by both; NEW is never visited outside.
ALT, RECORD, BOTH, NEW, LEAK = (f"{one}.{ZONE}" for one in ("alt", "record", "both", "llama", "leak"))
FORWARDED = "record.third.example"  # not of this house
NAMES = {ALT: "alt", RECORD: "record", BOTH: "record", NEW: "ech", LEAK: "leak", FORWARDED: "record"}
PASS_RECORDS = 'publish_dns = false'
NO_EDITS = f'[dns.svcb]\nexcept = ["{ZONE}"]\n[dns.limits]\nrebind_protection = {{ enabled = false }}\n'
WITHIN_S = 1.0
BASELINE_S = 1.5
BASELINES = {}  # of each browser, measured once


class Scene(unittest.TestCase):
    """A test with a browser that comes from outside."""

    BROWSER = None

    @classmethod
    def setUpClass(cls):
        cls.network = Network(NAMES)
        cls.enterClassContext(cls.network)
        cls.network.serve()
        cls.profiles = 0
        if cls.BROWSER not in BASELINES:
            BASELINES[cls.BROWSER] = cls.measure_baseline()
        cls.baseline = BASELINES[cls.BROWSER]

    @classmethod
    def measure_baseline(cls):
        """Seconds for the first page at home, of a browser that has learned nothing."""
        cls.network.go_home()
        visits = []
        RESULTS.mkdir(parents=True, exist_ok=True)
        for number in range(3):
            fresh = cls.BROWSER(cls.network, cls.new_profile(), [ALT])
            try:
                visits.append(fresh.open(f"https://{ALT}/"))
                fresh.screenshot(RESULTS / f"{cls.BROWSER.NAME}-baseline-{number + 1}.png")
            finally:
                fresh.close()
            got = (visits[-1].error, visits[-1].title, visits[-1].protocol)
            assert got == ("", "HOME", "h2"), visits[-1]
        seconds = statistics.median(visit.seconds for visit in visits)
        print(f"baseline of {cls.BROWSER.NAME}: {seconds:.2f} s", flush=True)
        assert seconds < BASELINE_S, visits
        return seconds

    @classmethod
    def new_profile(cls):
        cls.profiles += 1
        return cls.network.directory / f"{cls.BROWSER.NAME}-{cls.profiles}"

    def setUp(self):
        self.browser = None
        self.pages = 0
        self.addCleanup(self.close)

    def close(self):
        browser, self.browser = self.browser, None
        if browser is not None:
            browser.close()
        return browser

    def start(self, profile=None):
        self.browser = self.BROWSER(self.network, profile or self.new_profile(), list(NAMES))

    def open(self, url, name, typed=False, **limits):
        """Opens a page; the picture of it is kept."""
        if typed:
            visit = self.browser.type(url)
        else:
            visit = self.browser.open(url if "://" in url else f"https://{url}/", **limits)
        test = self.id().rpartition(".")[2]
        self.pages += 1
        self.browser.screenshot(RESULTS / f"{self.BROWSER.NAME}-{test}-{self.pages:02}-{name}.png")
        print(f"{self.BROWSER.NAME} {test} {name}: {visit}", flush=True)
        return visit

    def visit_afresh(self, host):
        """A page in a browser that knows nothing."""
        self.start()
        visit = self.open(host, "fresh")
        self.close()
        return visit

    def learn(self, host, fresh=True):
        """Visits from outside until HTTP/3 is used. When TCP wins a race against QUIC, Firefox leaves QUIC alone
        for a while: a fresh browser has another try."""
        for attempt in range(16 if fresh else 6):
            if fresh and attempt in (4, 8, 12):
                self.close()
                self.start()
            visit = self.open(host, f"outside-{attempt + 1}")
            if visit.protocol == "h3":
                break
            time.sleep(0.3)  # the Alt-Svc that came is tried in the background
            # A connection from before the HTTPS record came would be used again and again.
            self.browser.drop_connections()
        self.assertEqual((visit.title, visit.protocol), ("EDGE", "h3"), visit)
        self.browser.open("about:blank")

    @staticmethod
    def is_kept(host):
        """HTTPS records are not: what they say is asked for anew."""
        return host == ALT

    def move_by_link(self):
        self.network.go_home()
        self.browser.forget_connections()

    def move_by_restart(self):
        closed = self.close()
        self.assertTrue(closed.knows_h3(self.learned) or not self.is_kept(self.learned))
        self.network.go_home()
        self.start(closed.profile)

    def move_by_dns(self):
        """Nothing happens to the link; the names lead elsewhere under the running browser."""
        self.network.resolve_by(GATEWAY)
        self.browser.forget_connections()

    def come_home(self, host, way):
        """From outside, where h3 was learned, home: the two pages there."""
        if way == "dns":
            self.network.go_home(resolver=DNS)
        else:
            self.network.go_outside()
        self.start()
        self.learn(host)
        self.learned = host
        self.moved = time.time()
        getattr(self, f"move_by_{way}")()
        first = self.open(host, "home-1")
        self.second_began = time.time()
        self.browser.forget_connections()
        self.packets_before_second = self.network.quic_packets()
        return first, self.open(host, "home-2")

    def assert_home(self, visit):
        self.assertEqual((visit.error, visit.title, visit.protocol), ("", "HOME", "h2"), visit)
        self.assertLess(visit.seconds, self.baseline + WITHIN_S, visit)

    def assert_quiet(self, visit):
        self.assert_home(visit)
        self.assertEqual(visit.packets, 0, visit)
