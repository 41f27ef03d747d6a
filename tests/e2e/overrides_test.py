"""Overrides: what the LAN says in place of the public DNS."""

import unittest

from lab import Case, Postern, Shared, Upstream, data, ede_codes, records

# What the public DNS says of names that are overridden: none of it may come through unless a test
# says so.
PUBLIC = """
    vanillax.me.                 300 A     203.0.113.1
    vanillax.me.                 300 AAAA  2001:db8::1
    vanillax.me.                 300 MX    10 mail.example.net.
    vanillax.me.                 300 TXT   "v=spf1 -all"
    vanillax.me.                 300 CAA   0 issue "letsencrypt.org"
    vanillax.me.                 300 HTTPS 1 . alpn="h3,h2" ipv4hint=203.0.113.1 ech="AEX+DQBB"
    llama.vanillax.me.           300 A     203.0.113.2
    llama.vanillax.me.           300 AAAA  2001:db8::2
    llama.vanillax.me.           300 HTTPS 1 . alpn="h3,h2" ipv4hint=203.0.113.2 ech="AEX+DQBB"
    _443._https.llama.vanillax.me. 300 SVCB 1 . alpn="h3,h2" ipv4hint=203.0.113.2
    _acme-challenge.vanillax.me. 300 TXT   "token"
    status.vanillax.me.          300 A     203.0.113.80
    status.vanillax.me.          300 HTTPS 1 . alpn="h3,h2"
    deep.status.vanillax.me.     300 A     203.0.113.81
    only.example.org.            300 A     203.0.113.9
    only.example.org.            300 TXT   "public"
    sub.only.example.org.        300 A     203.0.113.10
    _8443._https.only.example.org. 300 HTTPS 1 . alpn="h3" port=8443
    _8443._https.only.example.org. 300 TXT "public service"
    www.example.com.             300 CNAME llama.vanillax.me.
    far.example.com.             300 CNAME www.example.com.
    edited.example.net.          300 A     203.0.113.20
    edited.example.net.          300 HTTPS 1 . alpn="h3,h2" ipv4hint=203.0.113.20 ipv6hint=2001:db8::20 ech="AEX+DQBB" key65400="kept"
    mute.example.net.            300 TXT   "public"
    target.example.com.          300 A     203.0.113.30
    target.example.com.          300 AAAA  2001:db8::30
    target.example.com.          300 TXT   "of the target"
    alias.example.org.           300 TXT   "of the alias"
    """

CONFIG = """
    [[dns.override]]
    names   = ["vanillax.me", "*.vanillax.me"]
    address = ["192.168.10.50"]

    [[dns.override]]
    names   = ["status.vanillax.me"]
    forward = true

    [[dns.override]]
    names   = ["db.vanillax.me"]
    address = ["192.168.10.60", "192.168.10.61", "fd00:10::60"]
    ttl     = "30s"

    [[dns.override]]
    names   = ["*.deep.lab.vanillax.me"]
    address = ["192.168.10.71"]

    [[dns.override]]
    names   = ["*.lab.vanillax.me"]
    address = ["192.168.10.70"]

    [[dns.override]]
    names   = ["only.example.org"]
    address = ["192.168.10.80"]

    [[dns.override]]
    names   = ["six.example.org"]
    address = ["fd00:10::6"]

    [[dns.override]]
    names   = ["edited.example.net"]
    address = ["192.168.10.90"]
    https   = "edit"

    [[dns.override]]
    names   = ["mute.example.net"]
    address = ["192.168.10.91"]
    https   = "none"
    other   = "none"

    [[dns.override]]
    names   = ["alias.example.org"]
    cname   = "target.example.com"

    [[dns.override]]
    names   = ["inside.example.org"]
    cname   = "llama.vanillax.me"

    [[dns.override]]
    names   = ["zoned.example.org"]
    cname   = "gw.home.arpa"

    [[dns.zone]]
    name = "home.arpa"
    file = "home.arpa.zone"
    """

ZONE = """\
    $TTL 600
    @   IN SOA ns admin 1 3600 600 86400 300
        IN NS  ns
    ns  IN A   192.168.10.2
    gw  IN A   192.168.10.50
    to  IN CNAME llama.vanillax.me.
    """


class Overrides(Shared):
    RECORDS = PUBLIC
    CONFIG = CONFIG
    FILES = {"home.arpa.zone": ZONE}

    def assert_never_asked(self, name):
        self.assertEqual(self.up.count(name), 0, f"upstream was asked for {name}")

    # Addresses.

    def test_a_wildcard_answers_with_the_address(self):
        reply = self.ask("llama.vanillax.me", "A")
        self.assertEqual(records(reply.answer), ["llama.vanillax.me. 60 A 192.168.10.50"])

    def test_a_wildcard_covers_every_depth(self):
        self.assertEqual(self.answer("a.b.c.d.vanillax.me"), ["192.168.10.50"])

    def test_the_apex_answers_because_it_is_named_too(self):
        self.assertEqual(self.answer("vanillax.me"), ["192.168.10.50"])

    def test_an_exact_name_does_not_cover_what_is_below(self):
        self.assertEqual(self.answer("only.example.org"), ["192.168.10.80"])
        self.assertEqual(self.answer("sub.only.example.org"), ["203.0.113.10"])

    def test_a_wildcard_does_not_cover_the_name_itself(self):
        # *.lab.vanillax.me is not lab.vanillax.me, which the wildcard above it has.
        self.assertEqual(self.answer("lab.vanillax.me"), ["192.168.10.50"])
        self.assertEqual(self.answer("x.lab.vanillax.me"), ["192.168.10.70"])

    def test_the_most_specific_name_wins_whatever_the_order(self):
        self.assertEqual(self.answer("x.deep.lab.vanillax.me"), ["192.168.10.71"])
        self.assertEqual(self.answer("deep.lab.vanillax.me"), ["192.168.10.70"])
        self.assertEqual(self.answer("db.vanillax.me"), ["192.168.10.60", "192.168.10.61"])

    def test_several_addresses_and_both_families(self):
        self.assertEqual(self.answer("db.vanillax.me", "AAAA"), ["fd00:10::60"])
        reply = self.ask("db.vanillax.me", "A")
        self.assertEqual(reply.answer[0].ttl, 30)

    def test_a_family_that_is_not_given_is_nodata(self):
        self.assert_nodata(self.ask("llama.vanillax.me", "AAAA"), minimum=60, owner="vanillax.me.")
        self.assert_nodata(self.ask("six.example.org", "A"), minimum=60)
        self.assert_never_asked("llama.vanillax.me")
        self.assert_never_asked("six.example.org")

    def test_the_soa_of_nodata_has_the_ttl_of_the_override_as_minimum(self):
        self.assert_nodata(self.ask("db.vanillax.me", "HTTPS"), minimum=30, owner="db.vanillax.me.")

    def test_the_case_of_a_name_does_not_matter(self):
        self.assertEqual(self.answer("LLaMa.VanillaX.mE"), ["192.168.10.50"])

    # HTTPS and SVCB.

    def test_https_and_svcb_are_nodata(self):
        for name in ("vanillax.me", "llama.vanillax.me", "db.vanillax.me", "only.example.org"):
            for rdtype in ("HTTPS", "SVCB"):
                with self.subTest(name=name, rdtype=rdtype):
                    self.assert_nodata(self.ask(name, rdtype))
        self.assertEqual(self.up.count(rdtype="SVCB"), 0)

    def test_service_names_belong_to_the_override_of_the_name_behind_them(self):
        for name in ("_443._https.llama.vanillax.me", "_8443._https.only.example.org"):
            for rdtype in ("HTTPS", "SVCB"):
                with self.subTest(name=name, rdtype=rdtype):
                    self.assert_nodata(self.ask(name, rdtype))
        self.assertEqual(self.up.count("_8443._https.only.example.org", "HTTPS"), 0)

    def test_other_types_at_a_service_name_are_forwarded(self):
        self.assertEqual(self.answer("_8443._https.only.example.org", "TXT"), ['"public service"'])

    def test_https_edit_takes_h3_ech_and_hints_out_of_the_public_record(self):
        reply = self.ask("edited.example.net", "HTTPS")
        self.assertEqual(data(reply.answer, "HTTPS"), ['1 . alpn="h2" key65400="kept"'])
        self.assertTrue({4, 17} & set(ede_codes(reply)), ede_codes(reply))
        self.assertEqual(self.answer("edited.example.net"), ["192.168.10.90"])

    # Other types.

    def test_acme_challenges_are_forwarded(self):
        self.assertEqual(self.answer("_acme-challenge.vanillax.me", "TXT"), ['"token"'])

    def test_mx_and_caa_and_txt_are_forwarded(self):
        self.assertEqual(self.answer("vanillax.me", "MX"), ["10 mail.example.net."])
        self.assertEqual(self.answer("vanillax.me", "CAA"), ['0 issue "letsencrypt.org"'])
        self.assertEqual(self.answer("vanillax.me", "TXT"), ['"v=spf1 -all"'])

    def test_other_none_is_nodata(self):
        self.assert_nodata(self.ask("mute.example.net", "TXT"), minimum=60)
        self.assert_nodata(self.ask("mute.example.net", "HTTPS"), minimum=60)
        self.assert_never_asked("mute.example.net")

    # Exceptions.

    def test_a_forward_is_an_exception_inside_a_wildcard(self):
        self.assertEqual(self.answer("status.vanillax.me"), ["203.0.113.80"])

    def test_the_exception_is_for_that_name_alone(self):
        self.assertEqual(self.answer("deep.status.vanillax.me"), ["192.168.10.50"])

    def test_the_https_record_of_an_exception_is_edited_as_any_other(self):
        self.assertEqual(self.answer("status.vanillax.me", "HTTPS"), ['1 . alpn="h2"'])

    # CNAME.

    def test_a_cname_target_is_resolved_by_upstream(self):
        reply = self.ask("alias.example.org", "A")
        self.assertEqual(records(reply.answer)[0], "alias.example.org. 60 CNAME target.example.com.")
        self.assertEqual(data(reply.answer, "A"), ["203.0.113.30"])
        self.assertEqual(self.answer("alias.example.org", "AAAA"), ["2001:db8::30"])

    def test_a_cname_target_may_be_an_override(self):
        reply = self.ask("inside.example.org", "A")
        self.assertEqual(records(reply.answer), ["inside.example.org. 60 CNAME llama.vanillax.me.",
                                                 "llama.vanillax.me. 60 A 192.168.10.50"])

    def test_a_cname_target_may_be_in_a_zone(self):
        reply = self.ask("zoned.example.org", "A")
        self.assertEqual(records(reply.answer), ["gw.home.arpa. 600 A 192.168.10.50",
                                                 "zoned.example.org. 60 CNAME gw.home.arpa."])

    def test_a_chain_from_upstream_that_arrives_at_an_override_ends_in_it(self):
        for name in ("www.example.com", "far.example.com"):
            reply = self.ask(name, "A")
            self.assertEqual(data(reply.answer, "A"), ["192.168.10.50"])
            self.assertIn("www.example.com. ", " ".join(records(reply.answer)))

    def test_a_chain_from_upstream_leaks_no_https_record(self):
        reply = self.ask("www.example.com", "HTTPS")
        self.assertEqual(data(reply.answer, "HTTPS"), [])
        self.assertEqual(data(reply.answer, "CNAME"), ["llama.vanillax.me."])
        self.assert_soa(reply, minimum=60)

    def test_a_chain_from_upstream_leaks_no_ipv6_address(self):
        self.assertEqual(data(self.ask("www.example.com", "AAAA").answer, "AAAA"), [])

    def test_a_cname_in_a_zone_may_lead_to_an_override(self):
        self.assertEqual(self.answer("to.home.arpa"), ["192.168.10.50"])

    # Header and errors.

    def test_an_override_says_in_an_extended_error_that_it_is_one(self):
        self.assertTrue(ede_codes(self.ask("llama.vanillax.me", "A")))
        self.assertTrue(ede_codes(self.ask("llama.vanillax.me", "HTTPS")))

    def test_without_edns_there_is_no_opt(self):
        reply = self.ask("llama.vanillax.me", "A", use_edns=-1)
        self.assertEqual(reply.edns, -1)

    def test_any_is_minimal_and_from_here(self):
        reply = self.ask("llama.vanillax.me", "ANY")
        self.assert_rcode(reply, "NOERROR")
        self.assertNotIn("203.0.113", str(reply))
        self.assertLessEqual(len(reply.answer), 1)

    # As a person sees it.

    def test_dig_kdig_and_drill_agree(self):
        self.assertEqual(self.postern.dig("llama.vanillax.me", "A", "+short"), "192.168.10.50\n")
        self.assertIn("192.168.10.50", self.postern.dig("llama.vanillax.me", "A", tool="kdig"))
        self.assertIn("192.168.10.50", self.postern.dig("llama.vanillax.me", "A", tool="drill"))
        self.assert_says(self.postern.dig("llama.vanillax.me", "TYPE65"),
                         "status: NOERROR", "ANSWER: 0, AUTHORITY: 1", "SOA")


class Views(Case):
    def test_an_override_holds_in_its_views_only(self):
        config = """
            [[dns.view]]
            name    = "lan"
            clients = ["127.0.0.1/32"]

            [[dns.view]]
            name    = "guests"
            clients = ["127.0.0.0/24"]

            [[dns.override]]
            names   = ["nas.example.com"]
            address = ["192.168.10.20"]
            views   = ["lan"]

            [[dns.override]]
            names   = ["nas.example.com"]
            address = ["192.168.20.20"]
            views   = ["guests"]

            [[dns.override]]
            names   = ["all.example.com"]
            address = ["192.168.10.21"]
            """
        with Upstream("nas.example.com. 60 A 203.0.113.5") as up, \
                Postern(config + up.forward()) as postern:
            self.assertEqual(postern.answer("nas.example.com", source="127.0.0.1"), ["192.168.10.20"])
            self.assertEqual(postern.answer("nas.example.com", source="127.0.0.2"), ["192.168.20.20"])
            self.assertEqual(postern.answer("nas.example.com", source="127.0.1.1"), ["203.0.113.5"])
            for source in ("127.0.0.1", "127.0.0.2", "127.0.1.1"):
                self.assertEqual(postern.answer("all.example.com", source=source), ["192.168.10.21"])

    def test_no_view_is_given_another_views_cached_answer(self):
        config = """
            [[dns.view]]
            name    = "lan"
            clients = ["127.0.0.1/32"]

            [[dns.override]]
            names   = ["llama.vanillax.me"]
            address = ["192.168.10.50"]
            views   = ["lan"]
            """
        public = """
            www.example.com.   300 CNAME llama.vanillax.me.
            llama.vanillax.me. 300 A     203.0.113.2
            """
        with Upstream(public) as up, Postern(config + up.forward()) as postern:
            for _ in range(2):
                self.assertEqual(postern.answer("www.example.com", source="127.0.0.1"),
                                 ["192.168.10.50"])
                self.assertEqual(postern.answer("www.example.com", source="127.0.0.2"),
                                 ["203.0.113.2"])


class ManyOverrides(Case):
    def test_ten_thousand_overrides_all_answer(self):
        blocks = "".join(f'[[dns.override]]\nnames = ["h{i}.example.com"]\n'
                         f'address = ["10.1.{i // 256}.{i % 256}"]\n' for i in range(10000))
        with Upstream() as up, Postern(blocks + up.forward()) as postern:
            for i in (0, 1, 4999, 9999):
                self.assertEqual(postern.answer(f"h{i}.example.com"), [f"10.1.{i // 256}.{i % 256}"])


if __name__ == "__main__":
    unittest.main()
