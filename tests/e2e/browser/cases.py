"""The cases, the same for every browser. Their numbers are those of the issue that asks for them:
1 is in `learn`, which fails unless HTTP/3 is used outside."""

import re
import time

from network import OUTER_NAME
from scenes import ALT, BOTH, FORWARDED, LEAK, NEW, NO_EDITS, PASS_RECORDS, RECORD

STALL_S = 2.5
IDLE_S = 1
EVENTS_S = 10  # the stream itself ends after 20
TTL_S = 60 + 15  # of what publish_dns says, and a visit under way

WEBSOCKET = """new Promise((done, failed) => {
    const socket = new WebSocket(`wss://${location.host}/socket`);
    socket.onopen = () => socket.send('over the socket');
    socket.onmessage = event => { done(event.data); socket.close(); };
    socket.onerror = () => failed(new Error('socket'));
})"""
EVENTS = """new Promise((done, failed) => {
    const seen = [], source = new EventSource('/events');
    source.onmessage = event => {
        seen.push(event.data);
        if (seen.length === 5) { source.close(); done(seen.join()); }
    };
    source.onerror = () => failed(new Error('events after ' + seen));
})"""
UPLOAD = """fetch('/upload', { method: 'POST', body: document.querySelector('input').files[0] })
    .then(response => response.text())"""
UPLOAD_BYTES = 1 << 30


class CuredCases:
    """With the defences that are on by default."""

    def check_move(self, host, way):
        first, second = self.come_home(host, way)
        # What it has learned by Alt-Svc it tries: Chromium each time, Firefox when it cares to.
        for _ in range(12 if self.BROWSER.TRIES_QUIC_BY_CHANCE and (host, way) == (ALT, "dns") else 0):
            if first.packets > 0:
                break
            self.assert_home(first)
            self.assert_quiet(second)
            self.close()
            first, second = self.come_home(host, way)
        if host == ALT and (way == "dns" or not self.BROWSER.TRIES_QUIC_BY_CHANCE):
            self.assertGreater(first.packets, 0, first)
        self.assert_home(first)
        self.assert_quiet(second)
        for number in (3, 4):
            self.assert_quiet(self.open(host, f"home-{number}"))
        time.sleep(IDLE_S)  # what is tried in the background
        browser = self.close()
        self.assertEqual(self.network.quic_packets(), self.packets_before_second)
        self.assertEqual(browser.failed_requests(self.moved), [])
        self.assertEqual(browser.logged_errors(self.second_began), [])

    def test_2_alt_svc_dns_flips(self):
        self.check_move(ALT, "dns")

    def test_2_alt_svc_restart(self):
        self.check_move(ALT, "restart")

    def test_2_alt_svc_link(self):
        self.check_move(ALT, "link")

    def test_2_record_dns_flips(self):
        self.check_move(RECORD, "dns")

    def test_2_record_restart(self):
        self.check_move(RECORD, "restart")

    def test_2_record_link(self):
        self.check_move(RECORD, "link")

    def test_6_typed_without_scheme(self):
        self.network.go_home()
        self.start()
        mark = len(self.network.postern.log)
        visit = self.open(NEW, "home", typed=True)
        self.assertEqual(visit.url, f"https://{NEW}/")
        self.assert_quiet(visit)
        self.assertEqual(self.network.statuses(NEW, mark), ["200"])  # nothing on port 80

    def test_3_and_7_first_visit_and_streams(self):
        self.network.go_home()
        self.start()
        packets = self.network.quic_packets()
        self.assert_quiet(self.open(NEW, "home"))
        self.assertEqual(self.browser.run(WEBSOCKET), "over the socket")
        self.assertEqual(self.browser.run(EVENTS, EVENTS_S), "0,1,2,3,4")
        file = self.network.directory / "film"
        with file.open("wb") as film:
            film.truncate(UPLOAD_BYTES)
        self.browser.choose_file(file)
        self.assertEqual(self.browser.run(UPLOAD, 120), str(UPLOAD_BYTES))
        self.assertEqual(self.close().logged_errors(), [])
        self.assertEqual(self.network.quic_packets(), packets)

    def test_8_out_again_by_age(self):
        """Link and resolver stay, its answer is another: only the age of the address brings the browser out."""
        self.addCleanup(self.network.serve)
        self.network.go_home()
        self.start()
        self.assert_quiet(self.open(BOTH, "home"))
        began = time.monotonic()
        self.network.serve("publish_dns = false")
        titles = ["HOME"]
        while titles[-1] != "EDGE":
            self.assertLess(time.monotonic(), began + TTL_S, "the address from home is still used")
            time.sleep(1)
            self.browser.forget_connections(names=False)
            titles.append(self.open(BOTH, "outside", seconds=5).title)
        self.assertEqual(titles[1], "HOME")  # else this says nothing about the age
        self.learn(BOTH, fresh=False)

    def test_8_out_again(self):
        self.network.go_home()
        self.start()
        self.assert_quiet(self.open(BOTH, "home"))
        self.network.go_outside()
        end = time.monotonic() + TTL_S
        attempt = 0
        while self.open(BOTH, f"outside-{attempt}", seconds=3).title != "EDGE":
            self.assertLess(time.monotonic(), end, "the address from home is still used")
            self.browser.drop_connections()
            attempt += 1
        self.learn(BOTH, fresh=False)


class UncuredCases:
    """Each defence off in turn: what it is there for comes back. So the tests above can fail."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.network.drop_quic, False)

    def is_named(self, visits, name):
        """Whether the line about QUIC in the log names the host, which takes the whole ClientHello. Some take two
        datagrams or three, and Firefox does not send the rest of one after a refusal."""
        if not any(visit.packets for visit in visits):
            return False
        return f" for {name}; refused" in self.network.postern.wait_log("still tries QUIC on ")

    def test_4_records_passed(self):
        self.network.serve(PASS_RECORDS, NO_EDITS)
        self.network.drop_quic(True)
        self.network.go_home()
        # A browser that has the address before the HTTPS record may connect without it.
        visits = []
        for _ in range(8):
            self.start()
            visits.append(self.open(LEAK, "home"))
            browser = self.close()
            if visits[-1].packets > 0 and re.search(self.LEAK_ERROR, visits[-1].error):
                return self.assertNotEqual(browser.failed_requests(), [])
        return self.fail(f"no visit failed: {visits}")

    def test_4_ech_passed(self):
        """QUIC is refused as ever: ECH alone breaks the page."""
        self.network.go_home()
        visits = []
        while not visits or not re.search(self.ECH_ERROR, visits[-1].error) or \
                not self.is_named(visits[-1:], OUTER_NAME):
            self.assertLess(len(visits), 8, visits)
            self.network.serve(PASS_RECORDS, NO_EDITS)
            visits.append(self.visit_afresh(LEAK))
        self.network.postern.wait_log(f"ech_seen: .*SNI {OUTER_NAME}")

    def test_4_quic_ignored(self):
        self.network.serve('quic = "ignore"')
        self.network.drop_quic(True)
        # Firefox does not try QUIC each time it knows of it.
        visits = []
        for _ in range(8):
            visits.append(self.come_home(ALT, "dns")[0])
            self.close()
            if visits[-1].packets > 0 and visits[-1].seconds > self.baseline + STALL_S:
                return
        self.fail(f"no visit stalled: {visits}")

    def test_4_alt_svc_kept(self):
        """Its memory stays: the profile still has h3 for the host, which "clear" takes away."""
        visits, pages = [], []
        while not self.is_named(pages, ALT):
            self.assertLess(len(visits), 24, visits)
            self.network.serve('alt_svc = "strip"')
            pages = self.come_home(ALT, "dns")
            browser = self.close()
            # Firefox may forget what was refused.
            if not self.BROWSER.TRIES_QUIC_BY_CHANCE or not any(page.packets for page in pages):
                self.assertTrue(browser.knows_h3(ALT))
            visits += pages
        self.assertNotEqual(browser.logged_errors(self.moved), [])
        self.network.serve()
        self.assertEqual(self.come_home(ALT, "dns")[1].packets, 0)
        self.assertFalse(self.close().knows_h3(ALT))

    def test_5_forwarded_name(self):
        """With h3 in the records of others some fresh browser tries it, and TCP may win; without it none does."""
        self.network.serve(more="[dns.svcb]\nstrip_alpn = []\n")
        self.network.go_home()
        visits = []
        while not visits or visits[-1].packets == 0:
            self.assertLess(len(visits), 8, visits)
            visits.append(self.visit_afresh(FORWARDED))
            self.assertEqual(visits[-1].title, "EDGE", visits)
        self.network.serve()
        packets = self.network.quic_packets()
        for _ in visits:
            visit = self.visit_afresh(FORWARDED)
            self.assertEqual((visit.title, visit.protocol, visit.packets), ("EDGE", "h2", 0), visit)
        self.assertEqual(self.network.quic_packets(), packets)
