"""Zones: answers as in RFC 1034, 2308, 4592, 6672, and files that are edited while they are served."""

import os
import signal
import textwrap
import time
import unittest

import dns.flags

from lab import Case, Postern, Shared, Upstream, data, records, run, wait_until

ZONE = """\
    $TTL 1h
    $ORIGIN home.arpa.
    @        IN SOA ns admin 7 1h 10m 1w 5m
             IN NS  ns
             IN NS  ns2
             IN MX  10 mail
    ns       IN A   192.168.10.2
             IN AAAA fd00:10::2
    ns2      IN A   192.168.10.3
    mail     IN A   192.168.10.25
    nas  30  IN A   192.168.10.20
    files    IN CNAME nas
    deep     IN CNAME files
    dangling IN CNAME nowhere
    abroad   IN CNAME www.example.com.
    mine     IN CNAME llama.vanillax.me.
    other    IN CNAME host.lab.example.
    around   IN CNAME round
    round    IN CNAME around
    a.b.ent  IN A   192.168.10.30
    *.apps   IN A   192.168.10.50
    *.apps   IN TXT "wild"
    here.apps IN A  192.168.10.51
    *.alias  IN CNAME nas
    old      IN DNAME new
    x.new    IN A   192.168.10.60
    s        IN DNAME a-much-longer-name
    cut      IN NS  ns.cut
    cut      IN NS  ns.elsewhere.example.
    ns.cut   IN A   192.168.10.70
    _imap._tcp IN SRV 0 1 993 mail
    svc      IN HTTPS 1 mail alpn="h3,h2"
    $GENERATE 100-103 dhcp-$ IN A 192.168.10.$
    odd      IN TYPE65400 \\# 4 0a0b0c0d
    """

LAB = """\
    $TTL 300
    @    IN SOA ns admin 1 3600 600 86400 60
         IN NS ns
    ns   IN A 192.168.11.2
    host IN A 192.168.11.9
    """

CONFIG = """
    [[dns.zone]]
    name = "home.arpa"
    file = "zones/home.arpa.zone"

    [[dns.zone]]
    name = "lab.example"
    file = "zones/lab.zone"

    [[dns.zone]]
    name = "half.example"
    file = "zones/half.zone"
    fallthrough = true

    [[dns.override]]
    names = ["llama.vanillax.me"]
    address = ["192.168.10.50"]
    """


class Answers(Shared):
    RECORDS = """
        www.example.com.     300 A   203.0.113.40
        outside.half.example. 300 A  203.0.113.41
        host.half.example.   300 TXT "from outside"
        """
    CONFIG = CONFIG
    FILES = {"zones/home.arpa.zone": ZONE, "zones/lab.zone": LAB,
             "zones/half.zone": LAB}

    def test_a_record_is_answered_with_authority(self):
        reply = self.ask("nas.home.arpa")
        self.assertEqual(records(reply.answer), ["nas.home.arpa. 30 A 192.168.10.20"])
        self.assertTrue(reply.flags & dns.flags.AA)
        self.assertTrue(reply.flags & dns.flags.RA)

    def test_nodata_and_nxdomain_have_the_soa_with_the_lesser_ttl(self):
        reply = self.ask("nas.home.arpa", "AAAA")
        self.assert_nodata(reply, minimum=300, owner="home.arpa.")
        self.assertEqual(reply.authority[0].ttl, 300)
        self.assert_nxdomain(self.ask("no.home.arpa"), minimum=300, owner="home.arpa.")

    def test_an_empty_non_terminal_is_nodata(self):
        self.assert_nodata(self.ask("ent.home.arpa"))
        self.assert_nodata(self.ask("b.ent.home.arpa"))
        self.assert_nxdomain(self.ask("c.ent.home.arpa"))

    def test_a_wildcard_answers_with_the_name_asked_for(self):
        self.assertEqual(records(self.ask("grafana.apps.home.arpa").answer),
                         ["grafana.apps.home.arpa. 3600 A 192.168.10.50"])
        self.assertEqual(self.answer("a.b.apps.home.arpa"), ["192.168.10.50"])
        self.assertEqual(self.answer("grafana.apps.home.arpa", "TXT"), ['"wild"'])
        self.assert_nodata(self.ask("grafana.apps.home.arpa", "AAAA"))

    def test_a_name_that_is_there_is_not_covered_by_the_wildcard(self):
        self.assertEqual(self.answer("here.apps.home.arpa"), ["192.168.10.51"])
        self.assert_nodata(self.ask("here.apps.home.arpa", "TXT"))
        self.assert_nxdomain(self.ask("x.here.apps.home.arpa"))

    def test_cname_chains_inside_the_zone(self):
        self.assertEqual(records(self.ask("deep.home.arpa").answer),
                         ["deep.home.arpa. 3600 CNAME files.home.arpa.",
                          "files.home.arpa. 3600 CNAME nas.home.arpa.",
                          "nas.home.arpa. 30 A 192.168.10.20"])
        self.assertEqual(data(self.ask("x.alias.home.arpa").answer, "A"), ["192.168.10.20"])

    def test_the_cname_itself_may_be_asked_for(self):
        self.assertEqual(records(self.ask("deep.home.arpa", "CNAME").answer),
                         ["deep.home.arpa. 3600 CNAME files.home.arpa."])

    def test_a_dangling_cname_is_nxdomain_with_the_cname(self):
        reply = self.ask("dangling.home.arpa")
        self.assert_nxdomain(reply, owner="home.arpa.")
        self.assertEqual(data(reply.answer, "CNAME"), ["nowhere.home.arpa."])

    def test_a_chain_goes_on_in_another_zone_in_an_override_and_upstream(self):
        self.assertEqual(data(self.ask("other.home.arpa").answer, "A"), ["192.168.11.9"])
        self.assertEqual(data(self.ask("mine.home.arpa").answer, "A"), ["192.168.10.50"])
        self.assertEqual(records(self.ask("abroad.home.arpa").answer),
                         ["abroad.home.arpa. 3600 CNAME www.example.com.",
                          "www.example.com. 300 A 203.0.113.40"])

    def test_a_chain_in_a_circle_ends(self):
        reply = self.ask("around.home.arpa")
        self.assertEqual(data(reply.answer, "A"), [])

    def test_dname_makes_a_cname(self):
        reply = self.ask("x.old.home.arpa")
        self.assertEqual(records(reply.answer), ["old.home.arpa. 3600 DNAME new.home.arpa.",
                                                 "x.new.home.arpa. 3600 A 192.168.10.60",
                                                 "x.old.home.arpa. 3600 CNAME x.new.home.arpa."])
        self.assert_nodata(self.ask("old.home.arpa", "A"))

    def test_a_dname_that_makes_the_name_too_long_is_yxdomain(self):
        name = ".".join(["a" * 62] * 3 + ["b" * 40]) + ".s.home.arpa."  # 244 bytes
        reply = self.ask(name)
        self.assert_rcode(reply, "YXDOMAIN")
        self.assertEqual(data(reply.answer, "DNAME"), ["a-much-longer-name.home.arpa."])

    def test_a_referral_has_ns_and_glue_and_no_authority(self):
        reply = self.ask("host.cut.home.arpa")
        self.assert_rcode(reply, "NOERROR")
        self.assertEqual(records(reply.answer), [])
        self.assertEqual(data(reply.authority, "NS"), ["ns.cut.home.arpa.", "ns.elsewhere.example."])
        self.assertEqual(data(reply.additional, "A"), ["192.168.10.70"])
        self.assertFalse(reply.flags & dns.flags.AA)

    def test_additional_addresses_for_mx_srv_and_svcb(self):
        for name, rdtype in (("home.arpa", "MX"), ("_imap._tcp.home.arpa", "SRV"),
                             ("svc.home.arpa", "HTTPS")):
            with self.subTest(rdtype=rdtype):
                reply = self.ask(name, rdtype)
                self.assertEqual(len(reply.answer), 1)
                self.assertEqual(data(reply.additional, "A"), ["192.168.10.25"])

    def test_our_own_https_records_are_left_as_written(self):
        self.assertEqual(self.answer("svc.home.arpa", "HTTPS"),
                         ['1 mail.home.arpa. alpn="h3,h2"'])

    def test_generate_and_unknown_types(self):
        self.assertEqual(self.answer("dhcp-102.home.arpa"), ["192.168.10.102"])
        self.assertEqual(self.answer("odd.home.arpa", "TYPE65400"), [r"\# 4 0a0b0c0d"])

    def test_the_apex(self):
        self.assertEqual(self.answer("home.arpa", "NS"), ["ns.home.arpa.", "ns2.home.arpa."])
        self.assertEqual(self.answer("home.arpa", "SOA"),
                         ["ns.home.arpa. admin.home.arpa. 7 3600 600 604800 300"])

    def test_the_case_of_the_question_is_kept_and_does_not_matter(self):
        reply = self.ask("NAS.hOmE.arpa")
        self.assertEqual(reply.question[0].name.to_text(), "NAS.hOmE.arpa.")
        self.assertEqual(data(reply.answer, "A"), ["192.168.10.20"])

    def test_fallthrough_resolves_what_the_file_does_not_have(self):
        self.assertEqual(self.answer("host.half.example"), ["192.168.11.9"])
        self.assertEqual(self.answer("outside.half.example"), ["203.0.113.41"])
        self.assertEqual(self.answer("host.half.example", "TXT"), ['"from outside"'])

    def test_without_fallthrough_upstream_is_never_asked(self):
        self.ask("no.home.arpa")
        self.ask("no.lab.example")
        self.assertEqual([one.name for one in self.up.asked
                          if one.name.lower().endswith(("home.arpa.", "lab.example."))], [])

    def test_ds_at_a_cut_is_answered_by_the_parent(self):
        self.assert_nodata(self.ask("cut.home.arpa", "DS"), owner="home.arpa.")


SMALL = """\
    $TTL 60
    @    IN SOA ns admin {serial} 3600 600 86400 60
         IN NS ns
    ns   IN A 192.168.10.2
    nas  IN A {address}
    """


def small(address, serial=1):
    return SMALL.format(address=address, serial=serial)


class Edits(Case):
    CONFIG = """
        [[dns.zone]]
        name = "home.arpa"
        file = "zones/home.arpa.zone"
        """

    def wait_for(self, postern, address, name="nas.home.arpa"):
        wait_until(f"{name} to be {address}", lambda: postern.answer(name) == [address])

    def serving(self, files=None, config=None, **more):
        return Postern(config or self.CONFIG,
                       files=files or {"zones/home.arpa.zone": small("10.0.0.1")}, **more)

    def test_a_file_written_in_place_is_picked_up_without_a_signal(self):
        with self.serving() as postern:
            self.assertEqual(postern.answer("nas.home.arpa"), ["10.0.0.1"])
            postern.write("zones/home.arpa.zone", small("10.0.0.2"))
            self.wait_for(postern, "10.0.0.2")

    def test_a_file_renamed_over_is_picked_up_again_and_again(self):
        with self.serving() as postern:
            for i in range(2, 6):
                new = postern.write("zones/home.arpa.zone.new", small(f"10.0.0.{i}"))
                os.rename(new, postern.directory / "zones/home.arpa.zone")
                self.wait_for(postern, f"10.0.0.{i}")

    def test_a_config_map_that_is_swapped_is_picked_up(self):
        # As Kubernetes mounts it: home.arpa.zone → ..data/home.arpa.zone, ..data → ..v1.
        postern = self.serving(files={"zones/..v1/home.arpa.zone": small("10.0.0.1")})
        zones = postern.directory / "zones"
        os.symlink("..v1", zones / "..data")
        os.symlink("..data/home.arpa.zone", zones / "home.arpa.zone")
        with postern:
            self.assertEqual(postern.answer("nas.home.arpa"), ["10.0.0.1"])
            for i in range(2, 5):
                postern.write(f"zones/..v{i}/home.arpa.zone", small(f"10.0.0.{i}"))
                os.symlink(f"..v{i}", zones / "..data_tmp")
                os.rename(zones / "..data_tmp", zones / "..data")
                self.wait_for(postern, f"10.0.0.{i}")

    def test_content_decides_not_the_serial(self):
        with self.serving(files={"zones/home.arpa.zone": small("10.0.0.1", 9)}) as postern:
            postern.write("zones/home.arpa.zone", small("10.0.0.2", 9))
            self.wait_for(postern, "10.0.0.2")
            postern.write("zones/home.arpa.zone", small("10.0.0.3", 1))
            self.wait_for(postern, "10.0.0.3")

    def test_an_included_file_is_watched_too(self):
        files = {"zones/home.arpa.zone": small("10.0.0.1") + "$INCLUDE hosts.inc\n",
                 "zones/hosts.inc": "extra IN A 10.0.1.1\n"}
        with self.serving(files=files) as postern:
            self.assertEqual(postern.answer("extra.home.arpa"), ["10.0.1.1"])
            postern.write("zones/hosts.inc", "extra IN A 10.0.1.2\n")
            self.wait_for(postern, "10.0.1.2", "extra.home.arpa")

    def test_a_broken_edit_is_logged_with_line_and_column_and_the_old_zone_serves(self):
        with self.serving() as postern:
            mark = len(postern.log)
            postern.write("zones/home.arpa.zone",
                          small("10.0.0.2").replace("ns   IN A 192.168.10.2", "ns   IN A 192.168.10.256"))
            line = postern.wait_log(r"home\.arpa\.zone:4:\d+: ", mark)
            self.assertIn("192.168.10.256", line)
            self.assertEqual(postern.answer("nas.home.arpa"), ["10.0.0.1"])
            postern.write("zones/home.arpa.zone", small("10.0.0.3"))
            self.wait_for(postern, "10.0.0.3")

    def test_a_file_that_is_taken_away_and_comes_back(self):
        with self.serving() as postern:
            os.unlink(postern.directory / "zones/home.arpa.zone")
            time.sleep(1)
            self.assertEqual(postern.answer("nas.home.arpa"), ["10.0.0.1"])
            postern.write("zones/home.arpa.zone", small("10.0.0.2"))
            self.wait_for(postern, "10.0.0.2")

    def test_an_edit_is_not_lost_when_a_refused_reload_follows_it(self):
        refused = self.CONFIG + """
            [[dns.zone]]
            name = "long.example"
            file = "zones/long.zone"

            [dns.limits]
            tcp_client = 5
            """
        with self.serving(server="watch = false  # else it waits for what was refused") as postern:
            postern.write("zones/long.zone",
                          small("10.0.0.1") + "$GENERATE 1-900000 h-$ IN A 10.0.0.8\n")
            postern.begin_reload(config=refused)  # takes a good while
            postern.write("zones/home.arpa.zone", small("10.0.0.2"))
            time.sleep(0.35)  # until the edit is seen
            postern.process.send_signal(signal.SIGHUP)
            wait_until("both to be refused",
                       lambda: len([one for one in postern.log if "reload_refused" in one]) == 2, 20)
            self.wait_for(postern, "10.0.0.2")

    def test_all_mistakes_are_listed_by_check(self):
        postern = self.serving(files={"zones/home.arpa.zone": small("10.0.0.1") +
                                      "    two IN A 1.2.3\n    three IN AAAA zzz\n    four IN MX mail\n"})
        postern.configure()
        status, out, err = run("check", "-c", postern.config_path)
        self.assertEqual(status, 1)
        self.assertRegex(out + err, r"home\.arpa\.zone:6:\d+: ")
        self.assertRegex(out + err, r"home\.arpa\.zone:7:\d+: ")
        self.assertRegex(out + err, r"home\.arpa\.zone:8:\d+: ")

    def test_a_zone_with_an_error_is_not_served_at_start(self):
        postern = self.serving(files={"zones/home.arpa.zone": "@ IN A 10.0.0.1\n"})
        postern.ready = False
        postern.start()
        self.assertEqual(postern.process.wait(20), 1)
        wait_until("the reason", lambda: any("home.arpa.zone:" in line for line in postern.log))

    def test_bom_and_crlf_are_accepted(self):
        text = "\ufeff" + textwrap.dedent(small("10.0.0.1")).replace("\n", "\r\n")
        postern = self.serving(files={"zones/home.arpa.zone": text.encode()})
        with postern:
            self.assertEqual(postern.answer("nas.home.arpa"), ["10.0.0.1"])


class ZoneViews(Case):
    def test_a_zone_holds_in_its_views_only(self):
        config = """
            [[dns.view]]
            name    = "lan"
            clients = ["127.0.0.1/32"]

            [[dns.zone]]
            name  = "example.com"
            file  = "example.zone"
            views = ["lan"]
            """
        with Upstream("nas.example.com. 60 A 203.0.113.7") as up, \
                Postern(config + up.forward(), files={"example.zone": small("10.0.0.1")}) as postern:
            self.assertEqual(postern.answer("nas.example.com", source="127.0.0.1"), ["10.0.0.1"])
            self.assertEqual(postern.answer("nas.example.com", source="127.0.0.9"), ["203.0.113.7"])


if __name__ == "__main__":
    unittest.main()
