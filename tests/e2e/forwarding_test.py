"""Forwarding and cache: what is asked upstream, what is believed of the answers, what is kept."""

import socket
import struct
import threading
import time
import unittest
import urllib.request

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from lab import (Case, Postern, Shared, Upstream, data, ede, ede_codes, framed, make_query,
                 receive_framed, records, wait_until)


def lower_case_question(upstream):
    """A handler of a server that forgets the case of the question."""
    def handler(query, _transport):
        query.question[0].name = dns.name.from_text(query.question[0].name.to_text().lower())
        return upstream.reply(query)
    return handler


class Cached(Shared):
    RECORDS = """
        www.example.com.   300 A    203.0.113.1
        age.example.com.   300 A    203.0.113.2
        short.example.com. 1   A    203.0.113.3
        flags.example.com. 300 A    203.0.113.4
        big.example.com.   300 TXT  "here"
        chain.example.com. 300 CNAME one.example.com.
        one.example.com.   200 CNAME two.example.com.
        two.example.com.   100 A    203.0.113.5
        odd.example.com.   300 TYPE65401 \\# 5 0102030405
        dnssec.example.com. 300 A   203.0.113.6
        long.example.com.  999999 A 203.0.113.7
        zero.example.com.  0   A    203.0.113.8
        often.example.com. 300 A    203.0.113.9
        """

    def test_the_second_question_is_answered_from_the_cache(self):
        for _ in range(3):
            self.assertEqual(self.answer("often.example.com"), ["203.0.113.9"])
        self.assertEqual(self.up.count("often.example.com"), 1)

    def test_the_cache_knows_a_name_in_any_case(self):
        self.answer("flags.example.com")
        reply = self.ask("FLAGS.example.COM")
        self.assertEqual(data(reply.answer, "A"), ["203.0.113.4"])
        self.assertEqual(reply.question[0].name.to_text(), "FLAGS.example.COM.")
        self.assertEqual(self.up.count("flags.example.com"), 1)

    def test_a_cached_answer_grows_old(self):
        self.assertEqual(self.ask("age.example.com").answer[0].ttl, 300)
        time.sleep(2.1)
        self.assertIn(self.ask("age.example.com").answer[0].ttl, (297, 298))

    def test_an_answer_whose_ttl_has_run_out_is_fetched_again(self):
        self.answer("short.example.com")
        time.sleep(2.1)
        self.assertEqual(self.answer("short.example.com"), ["203.0.113.3"])
        self.assertGreaterEqual(self.up.count("short.example.com"), 2)

    def test_ttl_0_is_not_kept(self):
        self.answer("zero.example.com")
        time.sleep(1.1)  # whoever asks in the same second shares the answer
        self.answer("zero.example.com")
        self.assertEqual(self.up.count("zero.example.com"), 2)

    def test_max_ttl_is_a_day(self):
        self.assertLessEqual(self.ask("long.example.com").answer[0].ttl, 86400)

    def test_negative_answers_are_kept_for_as_long_as_the_soa_says(self):
        for name, rdtype in (("no.example.com", "A"), ("www.example.com", "MX")):
            for _ in range(2):
                reply = self.ask(name, rdtype)
                self.assert_soa(reply, minimum=60, owner="example.com.")
                self.assertLessEqual(reply.authority[0].ttl, 60)
            self.assertEqual(self.up.count(name, rdtype), 1)
        self.assert_rcode(self.ask("no.example.com"), "NXDOMAIN")

    def test_a_chain_is_handed_on_whole_and_in_order(self):
        reply = self.ask("chain.example.com")
        self.assertEqual([rrset.name.to_text() for rrset in reply.answer],
                         ["chain.example.com.", "one.example.com.", "two.example.com."])
        self.assertEqual([rrset.ttl for rrset in reply.answer], [300, 200, 100])

    def test_a_forwarded_answer_is_not_authoritative(self):
        reply = self.ask("www.example.com")
        self.assertFalse(reply.flags & dns.flags.AA)
        self.assertTrue(reply.flags & dns.flags.RA)
        self.assertTrue(reply.flags & dns.flags.RD)

    def test_unknown_types_pass_unharmed(self):
        self.assertEqual(self.answer("odd.example.com", "TYPE65401"), [r"\# 5 0102030405"])

    def test_do_and_cd_have_answers_of_their_own(self):
        self.ask("dnssec.example.com")
        self.ask("dnssec.example.com", want_dnssec=True)
        self.assertEqual(self.up.count("dnssec.example.com"), 2)
        self.assertTrue(self.up.asked[-1].message.ednsflags & dns.flags.DO)

    def test_rd_0_is_answered_from_what_is_known_here_and_nothing_else(self):
        self.assertEqual(self.answer("www.example.com"), ["203.0.113.1"])
        query = make_query("never.asked.example.com")
        query.flags &= ~dns.flags.RD
        reply = self.postern.exchange(query)
        self.assertEqual(records(reply.answer), [])
        self.assertEqual(self.up.count("never.asked.example.com"), 0)

    def test_upstream_is_asked_in_random_case_from_random_ports_with_random_ids(self):
        names = [f"a-rather-long-name-{i}.example.com" for i in range(12)]
        for name in names:
            self.ask(name)
        asked = [one for one in self.up.asked if one.name.lower().startswith("a-rather-long-name")]
        self.assertTrue(any(one.name != one.name.lower() for one in asked))
        self.assertGreater(len({one.message.id for one in asked}), 8)
        self.assertGreater(len({one.peer[1] for one in asked}), 1)

    def test_clients_subnets_and_cookies_are_not_handed_on(self):
        self.ask("cookie.example.com", options=[dns.edns.ECSOption("192.168.10.0", 24)])
        options = [int(option.otype) for one in self.up.asked
                   if one.name.lower() == "cookie.example.com." for option in one.message.options]
        self.assertNotIn(8, options)


class Truth(Shared):
    """Only what answers the question is believed."""

    RECORDS = """
        lower.example.com. 300 A 203.0.113.1
        tc.example.com.    300 A 203.0.113.2
        drop.example.com.  300 A 203.0.113.3
        victim.example.net. 300 A 203.0.113.99
        """
    CONFIG = """
        [[dns.forward]]
        name = "."
        upstreams = ["{up}"]
        timeout = "1500ms"

        [dns.limits]
        rebind_protection = { enabled = true, except = ["friend.example"] }
        """

    def test_a_server_that_forgets_the_case_is_understood_all_the_same(self):
        self.up.on("lower.example.com", lower_case_question(self.up))
        self.assertEqual(self.answer("lower.example.com"), ["203.0.113.1"])

    def test_a_truncated_answer_is_fetched_by_tcp(self):
        def handler(query, transport):
            reply = self.up.reply(query)
            if transport == "udp":
                reply.answer.clear()
                reply.flags |= dns.flags.TC
            return reply
        self.up.on("tc.example.com", handler)
        self.assertEqual(self.answer("tc.example.com"), ["203.0.113.2"])
        self.assertEqual(self.up.count("tc.example.com", transport="tcp"), 1)

    def test_a_reply_with_another_id_is_not_believed(self):
        def handler(query, _transport):
            wrong = self.up.reply(query)
            wrong.id ^= 0x0101
            wrong.answer = [dns.rrset.from_text(query.question[0].name, 300, "IN", "A", "198.51.100.66")]
            right = self.up.reply(query)
            right.answer = [dns.rrset.from_text(query.question[0].name, 300, "IN", "A", "203.0.113.10")]
            return [wrong, right]
        self.up.on("id.example.com", handler)
        self.assertEqual(self.answer("id.example.com"), ["203.0.113.10"])

    def test_a_reply_to_another_question_is_not_believed(self):
        def handler(query, _transport):
            name = dns.name.from_text("other.example.com.")
            wrong = self.up.reply(query)
            wrong.question = [dns.rrset.RRset(name, dns.rdataclass.IN, dns.rdatatype.A)]
            wrong.answer = [dns.rrset.from_text(name, 300, "IN", "A", "198.51.100.66")]
            right = self.up.reply(query)
            right.answer = [dns.rrset.from_text(query.question[0].name, 300, "IN", "A", "203.0.113.11")]
            return [wrong, right]
        self.up.on("question.example.com", handler)
        self.assertEqual(self.answer("question.example.com"), ["203.0.113.11"])

    def test_a_reply_from_another_port_is_not_believed(self):
        def spoof(query, address):
            reply = dns.message.make_response(query)
            reply.answer = [dns.rrset.from_text(query.question[0].name, 300, "IN", "A", address)]
            return reply

        def handler(query, _transport):
            peer = self.up.asked[-1].peer
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind(("127.0.0.1", 0))
                stranger.sendto(spoof(query, "198.51.100.66").to_wire(), peer)
            time.sleep(0.1)
            return spoof(query, "203.0.113.12")
        self.up.on("port.example.com", handler)
        self.assertEqual(self.answer("port.example.com"), ["203.0.113.12"])

    def test_records_that_do_not_belong_to_the_answer_are_dropped(self):
        def handler(query, _transport):
            reply = dns.message.make_response(query)
            name = query.question[0].name
            reply.answer = [dns.rrset.from_text(name, 300, "IN", "A", "203.0.113.13"),
                            dns.rrset.from_text("victim.example.net.", 300, "IN", "A", "198.51.100.66")]
            reply.additional = [dns.rrset.from_text("victim.example.net.", 300, "IN", "A",
                                                    "198.51.100.67")]
            return reply
        self.up.on("bailiwick.example.com", handler)
        reply = self.ask("bailiwick.example.com")
        self.assertEqual(records(reply.answer), ["bailiwick.example.com. 300 A 203.0.113.13"])
        self.assertNotIn("198.51.100.6", str(reply))
        self.assertEqual(self.answer("victim.example.net"), ["203.0.113.99"])

    def test_a_lost_query_is_sent_again(self):
        seen = []

        def handler(query, _transport):
            seen.append(query)
            return self.up.reply(query) if len(seen) > 1 else None
        self.up.on("drop.example.com", handler)
        self.assertEqual(self.answer("drop.example.com"), ["203.0.113.3"])

    def test_nonsense_is_not_an_answer(self):
        for number, junk in enumerate((b"", b"\0", b"x" * 11, b"x" * 600)):
            name = f"junk{number}.example.com"
            self.up.on(name, lambda query, _, junk=junk: junk)
            self.assert_rcode(self.ask(name), "SERVFAIL")

    def test_private_addresses_from_public_names_are_removed(self):
        for i, address in enumerate(("10.0.0.1", "172.16.0.1", "192.168.10.1", "127.0.0.1",
                                     "169.254.1.1", "0.0.0.0", "100.64.0.1")):
            with self.subTest(address=address):
                self.up.add(f"r{i}.example.com. 300 A {address}\nr{i}.example.com. 300 A 203.0.113.50")
                reply = self.ask(f"r{i}.example.com")
                self.assertEqual(data(reply.answer, "A"), ["203.0.113.50"])
        for i, address in enumerate(("fd00::1", "fe80::1", "::1", "::", "::ffff:192.168.1.1")):
            with self.subTest(address=address):
                self.up.add(f"s{i}.example.com. 300 AAAA {address}")
                reply = self.ask(f"s{i}.example.com", "AAAA")
                self.assertEqual(data(reply.answer, "AAAA"), [])
                self.assertTrue(ede_codes(reply))

    def test_rebind_protection_has_exceptions(self):
        self.up.add("nas.friend.example. 300 A 192.168.10.20")
        self.assertEqual(self.answer("nas.friend.example"), ["192.168.10.20"])


class Failover(Case):
    def two(self, first, second, policy="sequential", timeout="2s", more=""):
        return Postern(f"""
            [[dns.forward]]
            name = "."
            upstreams = ["{first.url()}", "{second.url()}"]
            policy = "{policy}"
            timeout = "{timeout}"
            """ + more)

    def test_when_the_first_upstream_is_unplugged_the_second_answers_within_the_timeout(self):
        text = "".join(f"n{i}.example.com. 300 A 203.0.113.{i}\n" for i in range(20))
        with Upstream(text) as first, Upstream(text) as second, self.two(first, second) as postern:
            self.assertEqual(postern.answer("n0.example.com"), ["203.0.113.0"])
            self.assertEqual((first.count("n0.example.com"), second.count("n0.example.com")), (1, 0))
            first.silent = True
            began = time.monotonic()
            self.assertEqual(postern.answer("n1.example.com"), ["203.0.113.1"])
            self.assertLess(time.monotonic() - began, 2.0)
            for i in range(2, 8):
                postern.answer(f"n{i}.example.com")
            began = time.monotonic()  # by now the first one is left to rest
            self.assertEqual(postern.answer("n9.example.com"), ["203.0.113.9"])
            self.assertLess(time.monotonic() - began, 0.3)

    def test_a_slow_first_upstream_is_not_overtaken_by_one_that_does_not_know_the_name(self):
        with Upstream("nas.corp.example. 300 A 203.0.113.1") as inside, Upstream() as public, \
                self.two(inside, public) as postern:
            inside.delay = 0.7
            for _ in range(2):
                self.assertEqual(postern.answer("nas.corp.example"), ["203.0.113.1"])
            self.assertEqual(public.count("nas.corp.example"), 0)

    def test_an_upstream_that_comes_back_is_used_again(self):
        text = "".join(f"n{i}.example.com. 300 A 203.0.113.{i % 250}\n" for i in range(2000))
        with Upstream(text) as first, Upstream(text) as second, self.two(first, second) as postern:
            first.silent = True
            for i in range(6):
                postern.answer(f"n{i}.example.com")
            first.silent = False
            mark = first.count()
            numbers = iter(range(100, 2000))

            def used_again():
                name = f"n{next(numbers)}.example.com"
                postern.answer(name)
                time.sleep(0.1)
                return first.count(name) and not second.count(name)
            wait_until("the first upstream to be used again", used_again, 40)
            self.assertGreater(first.count(), mark)

    def test_a_closed_port_is_noticed_at_once(self):
        text = "a.example.com. 300 A 203.0.113.1"
        with Upstream(text) as first, Upstream(text) as second, self.two(first, second) as postern:
            first.stop()
            began = time.monotonic()
            self.assertEqual(postern.answer("a.example.com"), ["203.0.113.1"])
            self.assertLess(time.monotonic() - began, 1.0)

    def test_servfail_from_one_upstream_is_no_answer_while_there_is_another(self):
        text = "a.example.com. 300 A 203.0.113.1"
        for rcode in (dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP):
            with Upstream(text) as first, Upstream(text) as second, \
                    self.two(first, second) as postern:
                first.on("a.example.com", Upstream.failing(rcode))
                self.assertEqual(postern.answer("a.example.com"), ["203.0.113.1"])

    def test_round_robin_asks_both(self):
        text = "".join(f"n{i}.example.com. 300 A 203.0.113.{i}\n" for i in range(20))
        with Upstream(text) as first, Upstream(text) as second, \
                self.two(first, second, "round_robin") as postern:
            for i in range(20):
                postern.answer(f"n{i}.example.com")
            self.assertGreaterEqual(min(first.count(), second.count()), 8)

    def test_fastest_prefers_the_fastest(self):
        text = "".join(f"n{i}.example.com. 300 A 203.0.113.{i}\n" for i in range(60))
        with Upstream(text) as first, Upstream(text) as second, \
                self.two(first, second, "fastest") as postern:
            first.delay = 0.08
            for i in range(60):
                postern.answer(f"n{i}.example.com")
            mark = second.count()
            self.assertGreater(mark, 40)

    def test_when_all_are_gone_it_is_servfail_with_the_reason(self):
        with Upstream() as first, Upstream() as second, \
                self.two(first, second, timeout="800ms") as postern:
            first.silent = second.silent = True
            began = time.monotonic()
            reply = postern.ask("gone.example.com")
            self.assertLess(time.monotonic() - began, 3.0)
            self.assert_rcode(reply, "SERVFAIL")
            self.assertTrue({22, 23} & set(ede_codes(reply)), ede(reply))
            self.assertIn("127.0.0.1", " ".join(text for _, text in ede(reply)))

    def test_a_failure_is_kept_for_a_short_time(self):
        with Upstream() as up, Postern(up.forward(timeout="500ms")) as postern:
            up.on("broken.example.com", Upstream.failing(dns.rcode.SERVFAIL))
            self.assert_rcode(postern.ask("broken.example.com"), "SERVFAIL")
            asked = up.count("broken.example.com")
            for _ in range(5):
                self.assert_rcode(postern.ask("broken.example.com"), "SERVFAIL")
            self.assertEqual(up.count("broken.example.com"), asked)

    def test_an_upstream_by_tcp(self):
        with Upstream("a.example.com. 300 A 203.0.113.1\nb.example.com. 300 A 203.0.113.2") as up, \
                Postern(f'[[dns.forward]]\nname = "."\nupstreams = ["{up.url("tcp")}"]\n') as postern:
            self.assertEqual(postern.answer("a.example.com"), ["203.0.113.1"])
            self.assertEqual(postern.answer("b.example.com"), ["203.0.113.2"])
            self.assertEqual(up.count(transport="udp"), 0)
            self.assertEqual(len({one.peer for one in up.asked}), 1, "one connection is kept")

    def test_a_kept_connection_that_upstream_closed_is_made_anew(self):
        with Upstream("a.example.com. 300 A 203.0.113.1\nb.example.com. 300 A 203.0.113.2") as up, \
                Postern(f'[[dns.forward]]\nname = "."\nupstreams = ["{up.url("tcp")}"]\n') as postern:
            self.assertEqual(postern.answer("a.example.com"), ["203.0.113.1"])
            for connection in list(up.connections):
                connection.shutdown(socket.SHUT_RDWR)
            self.assertEqual(postern.answer("b.example.com"), ["203.0.113.2"])


class Joined(Case):
    def test_equal_questions_under_way_are_asked_once(self):
        with Upstream("slow.example.com. 300 A 203.0.113.1") as up, \
                Postern(up.forward()) as postern:
            up.delay = 0.1  # well below the time after which it would be asked again
            answers = []

            def client():
                answers.append(postern.answer("slow.example.com"))
            threads = [threading.Thread(target=client) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(answers, [["203.0.113.1"]] * 20)
            self.assertEqual(up.count("slow.example.com"), 1)

    def test_a_cached_name_is_answered_while_another_one_waits(self):
        with Upstream("fast.example.com. 300 A 203.0.113.1") as up, \
                Postern(up.forward(timeout="3s")) as postern:
            postern.answer("fast.example.com")
            up.silent = True
            waiting = threading.Thread(target=lambda: postern.ask("stuck.example.com", timeout=10))
            waiting.start()
            began = time.monotonic()
            self.assertEqual(postern.answer("fast.example.com"), ["203.0.113.1"])
            self.assertLess(time.monotonic() - began, 0.5)
            waiting.join()

    def test_no_more_queries_than_allowed_wait_for_upstream(self):
        with Upstream() as up, \
                Postern(up.forward(timeout="3s") + "[dns.limits]\noutstanding = 5\n") as postern:
            up.silent = True
            replies = []

            def client(i):
                began = time.monotonic()
                reply = postern.ask(f"wait{i}.example.com", timeout=10)
                replies.append((dns.rcode.to_text(reply.rcode()), time.monotonic() - began))
            threads = [threading.Thread(target=client, args=(i,)) for i in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual({rcode for rcode, _ in replies}, {"SERVFAIL"})
            self.assertGreaterEqual(len([1 for _, seconds in replies if seconds < 1.5]), 7)
            self.assertLessEqual(len({one.name.lower() for one in up.asked}), 5)


class Limits(Case):
    def test_a_query_too_long_to_wait_is_told_so_and_counted(self):
        with Upstream("a.example.com. 300 A 203.0.113.1") as up, Postern(up.forward()) as postern:
            option = struct.pack("!HH", 65001, 4200) + b"x" * 4200
            whole = make_query("a.example.com").to_wire()
            with postern.connect() as connection:
                connection.sendall(framed(whole[:-2] + struct.pack("!H", len(option)) + option))
                reply = dns.message.from_wire(receive_framed(connection))
            self.assert_rcode(reply, "SERVFAIL")
            self.assertIn("4096 bytes", " ".join(text for _, text in ede(reply)))
            self.assertEqual(postern.answer("a.example.com", tcp=True), ["203.0.113.1"])
            metrics = urllib.request.urlopen(f"http://127.0.0.1:{postern.admin_port}/metrics")
            text = metrics.read().decode()
            self.assertIn('postern_limit_hits_total{limit="dns_waiting_query_bytes"} 1', text)
            for name in ("upstream_queries", "upstream_connections", "fetch_joins", "fetch_attempts",
                         "fetches_lingering"):
                self.assertIn(f'postern_limit_hits_total{{limit="dns_{name}"}} 0', text)
            for name in ("socket_errors", "send_dropped"):
                self.assertIn(f"postern_dns_upstream_{name}_total 0", text)


class Stale(Case):
    def test_an_old_answer_is_served_when_upstream_fails(self):
        with Upstream("old.example.com. 1 A 203.0.113.1") as up, \
                Postern(up.forward(timeout="1s")) as postern:
            postern.answer("old.example.com")
            time.sleep(2.1)
            up.silent = True
            reply = postern.ask("old.example.com")
            self.assertEqual(records(reply.answer), ["old.example.com. 30 A 203.0.113.1"])
            self.assertIn(3, ede_codes(reply))
            up.silent = False
            up.replace("old.example.com. 1 A 203.0.113.2")
            wait_until("the new answer", lambda: postern.answer("old.example.com") == ["203.0.113.2"],
                       40)

    def test_an_old_answer_is_served_when_upstream_is_slow_and_refreshed_behind(self):
        with Upstream("old.example.com. 1 A 203.0.113.1") as up, \
                Postern(up.forward(timeout="5s")) as postern:
            postern.answer("old.example.com")
            time.sleep(2.1)
            up.delay = 2.8
            up.replace("old.example.com. 300 A 203.0.113.2")
            began = time.monotonic()
            reply = postern.ask("old.example.com", timeout=8)
            self.assertLess(time.monotonic() - began, 2.6)
            self.assertEqual(data(reply.answer, "A"), ["203.0.113.1"])
            time.sleep(2.0)
            self.assertEqual(postern.answer("old.example.com"), ["203.0.113.2"])

    def test_fresh_comes_before_stale(self):
        with Upstream("old.example.com. 1 A 203.0.113.1") as up, Postern(up.forward()) as postern:
            postern.answer("old.example.com")
            time.sleep(2.1)
            up.replace("old.example.com. 1 A 203.0.113.2")
            self.assertEqual(postern.answer("old.example.com"), ["203.0.113.2"])

    def test_an_old_negative_answer_says_19(self):
        with Upstream("x.example.com. 1 A 203.0.113.1", negative_ttl=1) as up, \
                Postern(up.forward(timeout="1s")) as postern:
            self.assert_rcode(postern.ask("none.example.com"), "NXDOMAIN")
            time.sleep(2.1)
            up.silent = True
            reply = postern.ask("none.example.com")
            self.assert_rcode(reply, "NXDOMAIN")
            self.assertIn(19, ede_codes(reply))

    def test_serve_stale_0_is_off(self):
        with Upstream("old.example.com. 1 A 203.0.113.1") as up, \
                Postern(up.forward(timeout="1s") + '[dns.cache]\nserve_stale = "0s"\n') as postern:
            postern.answer("old.example.com")
            time.sleep(2.1)
            up.silent = True
            self.assert_rcode(postern.ask("old.example.com"), "SERVFAIL")

    def test_a_name_asked_for_often_is_fetched_before_it_ends(self):
        with Upstream("hot.example.com. 10 A 203.0.113.1") as up, Postern(up.forward()) as postern:
            end = time.monotonic() + 12
            while time.monotonic() < end and up.count("hot.example.com") < 2:
                ttl = postern.ask("hot.example.com").answer[0].ttl
                time.sleep(0.1)
            self.assertEqual(up.count("hot.example.com"), 2)
            self.assertGreater(ttl, 0)


class CacheSettings(Case):
    def test_min_and_max_and_negative_ttl(self):
        cache = '[dns.cache]\nmin_ttl = "60s"\nmax_ttl = "100s"\nnegative_ttl = "20s"\n'
        text = "short.example.com. 5 A 203.0.113.1\nlong.example.com. 900 A 203.0.113.2"
        with Upstream(text) as up, Postern(up.forward() + cache) as postern:
            self.assertEqual(postern.ask("short.example.com").answer[0].ttl, 60)
            self.assertEqual(postern.ask("long.example.com").answer[0].ttl, 100)
            self.assertLessEqual(postern.ask("no.example.com").authority[0].ttl, 20)

    def test_a_small_cache_forgets_but_goes_on(self):
        with Upstream("\n".join(f"n{i}.example.com. 300 A 203.0.113.{i % 250}" for i in range(3000))) \
                as up, Postern(up.forward() + '[dns.cache]\nsize = "1MiB"\n') as postern:
            for i in range(0, 3000):
                if i % 10 == 0:
                    self.assertEqual(postern.answer(f"n{i}.example.com"), [f"203.0.113.{i % 250}"])


class Reload(Case):
    def test_what_the_old_upstream_said_goes_with_it(self):
        with Upstream("a.example.com. 300 A 203.0.113.1") as old, \
                Upstream("a.example.com. 300 A 203.0.113.2") as new, \
                Postern(old.forward()) as postern:
            self.assertEqual(postern.answer("a.example.com"), ["203.0.113.1"])
            postern.reload(config=new.forward())
            wait_until("the new upstream's answer",
                       lambda: postern.answer("a.example.com") == ["203.0.113.2"])


class Domains(Case):
    def test_the_longest_matching_name_wins(self):
        with Upstream("a.example.com. 300 A 203.0.113.1") as everything, \
                Upstream("a.corp.example. 300 A 203.0.113.2") as corp, \
                Upstream("a.lab.corp.example. 300 A 203.0.113.3") as lab:
            config = everything.forward() + lab.forward("lab.corp.example") + corp.forward("corp.example")
            with Postern(config) as postern:
                self.assertEqual(postern.answer("a.example.com"), ["203.0.113.1"])
                self.assertEqual(postern.answer("a.corp.example"), ["203.0.113.2"])
                self.assertEqual(postern.answer("a.lab.corp.example"), ["203.0.113.3"])
                self.assertEqual((everything.count("a.corp.example"), corp.count("a.lab.corp.example")),
                                 (0, 0))

    def test_a_reverse_zone_may_be_written_as_a_network(self):
        with Upstream() as everything, Upstream("""
                7.1.168.192.in-addr.arpa. 300 PTR nas.example.com.
                9.130.16.172.in-addr.arpa. 300 PTR pc.example.com.
                """) as home:
            config = everything.forward() + home.forward("192.168.1.0/24") + home.forward("172.16.128.0/18")
            with Postern(config) as postern:
                self.assertEqual(postern.answer("7.1.168.192.in-addr.arpa", "PTR"), ["nas.example.com."])
                self.assertEqual(postern.answer("9.130.16.172.in-addr.arpa", "PTR"), ["pc.example.com."])
                self.assert_rcode(postern.ask("7.2.168.192.in-addr.arpa", "PTR"), "NXDOMAIN")
                self.assertEqual(everything.count(rdtype="PTR"), 0)

    def test_special_names_are_never_sent_to_a_public_upstream(self):
        names = {"A": ["x.test", "x.invalid", "x.onion", "x.alt", "printer.local", "nas.home.arpa",
                       "x.localhost"],
                 "PTR": ["1.10.168.192.in-addr.arpa", "1.0.0.10.in-addr.arpa", "1.0.31.172.in-addr.arpa",
                         "1.0.0.127.in-addr.arpa", "1.1.254.169.in-addr.arpa", "1.0.64.100.in-addr.arpa",
                         "1." + "0." * 31 + "ip6.arpa", "1.0.d.f.ip6.arpa", "1.0.8.e.f.ip6.arpa"]}
        with Upstream() as up, Postern(up.forward()) as postern:
            for rdtype, each in names.items():
                for name in each:
                    with self.subTest(name=name):
                        reply = postern.ask(name, rdtype)
                        self.assertIn(dns.rcode.to_text(reply.rcode()), ("NXDOMAIN", "NOERROR"))
            self.assertEqual([one.name for one in up.asked], [])

    def test_localhost_is_this_machine(self):
        with Upstream() as up, Postern(up.forward()) as postern:
            self.assertEqual(postern.answer("localhost"), ["127.0.0.1"])
            self.assertEqual(postern.answer("x.localhost", "AAAA"), ["::1"])
            self.assert_nodata(postern.ask("localhost", "MX"))

    def test_a_forward_may_say_otherwise(self):
        with Upstream() as up, Upstream("nas.home.arpa. 300 A 192.168.1.20") as router, \
                Postern(up.forward() + router.forward("home.arpa")) as postern:
            self.assertEqual(postern.answer("nas.home.arpa"), ["192.168.1.20"])

    def test_canaries(self):
        with Upstream("use-application-dns.net. 60 A 203.0.113.1\nmask.icloud.com. 60 A 203.0.113.2") \
                as up, Postern(up.forward()) as postern:
            self.assert_rcode(postern.ask("use-application-dns.net"), "NXDOMAIN")
            self.assertEqual(postern.answer("mask.icloud.com"), ["203.0.113.2"])
            canary = "[dns.canary]\nfirefox_doh = false\nprivate_relay = true\n"
            postern.reload(config=up.forward() + canary)
            wait_until("the reload", lambda: postern.answer("mask.icloud.com") == [])
            self.assert_nodata(postern.ask("mask.icloud.com"))
            self.assert_nodata(postern.ask("mask-h2.icloud.com"))
            self.assertEqual(postern.answer("use-application-dns.net"), ["203.0.113.1"])


if __name__ == "__main__":
    unittest.main()
