"""`postern diff`: what would be served otherwise."""

import json
import pathlib
import subprocess
import tempfile
import unittest

from lab import Case, run

ZONE = """\
$TTL 60
@ IN SOA ns admin 1 3600 600 86400 60
  IN NS ns
ns IN A 192.168.10.2
nas IN A 192.168.10.20
mail IN MX 10 ns
_imap._tcp IN SRV 0 1 993 ns
"""

OLD = """\
[dns]
listen = ["127.0.0.1:5353"]

[[dns.view]]
name = "lan"
clients = ["192.168.10.0/24"]

[[dns.override]]
names = ["a.example", "*.a.example"]
address = ["192.168.10.50"]
views = ["lan"]

[[dns.forward]]
name = "."
upstreams = ["udp://127.0.0.1"]

[[dns.zone]]
name = "home.arpa"
file = "home.arpa.zone"

[[tls.certificate]]
name = "lan"
cert = "cert"
key = "key"

[[gateway.listener]]
name = "internal"
address = ["127.0.0.1"]
http = 8080
https = 8443
certificates = ["lan"]

[[gateway.route]]
hostnames = ["a.example"]
backends = [{ url = "http://10.0.0.1:80" }]
"""


class Diff(Case):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        for name in ("old", "new"):
            self.write(name, OLD)
        self.certificate("old")
        for file in ("cert", "key"):
            (self.directory / "new" / file).write_bytes((self.directory / "old" / file).read_bytes())

    def certificate(self, where):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=a",
                        "-addext", "subjectAltName=DNS:a.example", "-keyout", "key", "-out", "cert"],
                       cwd=self.directory / where, check=True, capture_output=True)

    def write(self, where, text, zone=ZONE):
        (self.directory / where).mkdir(exist_ok=True)
        (self.directory / where / "postern.toml").write_text(text, encoding="utf-8")
        (self.directory / where / "home.arpa.zone").write_text(zone, encoding="utf-8")

    def diff(self, *more, status=1):
        got, out, err = run("diff", self.directory / "new/postern.toml", "--against",
                            self.directory / "old/postern.toml", *more)
        self.assertEqual(got, status, out + err)
        return out.splitlines()

    def changed(self, before, after, status=1):
        self.assertIn(before, OLD)
        self.write("new", OLD.replace(before, after))
        return self.diff(status=status)

    def test_the_same_and_only_written_otherwise(self):
        self.assertEqual(self.diff(status=0), [])
        self.assertEqual(self.diff("--json", status=0), ["[]"])
        self.assertEqual(self.changed('["a.example", "*.a.example"]', '["*.a.example", "A.example"]',
                                      0), [])
        self.write("new", "# a comment\n\n" + OLD, ZONE.replace("$TTL 60", "$TTL 1m"))
        self.assertEqual(self.diff(status=0), [])

    def test_an_override(self):
        self.assertEqual(self.changed("192.168.10.50", "192.168.10.51"), [
            f"{sign} override {name} address 192.168.10.5{last} ttl 60s https gateway other forward "
            "in views lan" for name in ("*.a.example.", "a.example.")
            for sign, last in (("-", 0), ("+", 1))])

    def test_each_kind_of_thing_shows(self):
        for before, after, lines in (
                ("udp://127.0.0.1", "udp://127.0.0.2",
                 ["- forward . to udp://127.0.0.1 policy fastest timeout 2s",
                  "+ forward . to udp://127.0.0.2 policy fastest timeout 2s"]),
                ("192.168.10.0/24", "192.168.11.0/24",
                 ["- view 1 lan clients 192.168.10.0/24", "+ view 1 lan clients 192.168.11.0/24"]),
                ('"127.0.0.1:5353"', '"127.0.0.1:5353", "127.0.0.1:5354"',
                 ["+ listen 127.0.0.1:5354 dns"])):
            with self.subTest(after=after):
                self.assertEqual(self.changed(before, after), lines)
        for before, after, minus, plus in (
                ("10.0.0.1:80", "10.0.0.2:80", "- route a.example", "+ route a.example"),
                ("http = 8080", "http = 8081", "- listener internal", "+ listener internal"),
                ("[dns]\n", "[dns]\nudp_payload = 1400\n", "- setting dns.udp_payload 1232",
                 "+ setting dns.udp_payload 1400")):
            with self.subTest(after=after):
                lines = self.changed(before, after)
                self.assertEqual(len(lines), 2, lines)
                self.assertTrue(lines[0].startswith(minus) and lines[1].startswith(plus), lines)

    def routes(self, *texts):
        return OLD[:OLD.index("[[gateway.route]]")] + "".join(
            f"[[gateway.route]]\n{text}\nrespond = {{ status = 200, body = \"{i}\" }}\n"
            for i, text in sorted(texts, key=texts.index))

    def swapped(self, one, two, status):
        self.write("old", self.routes((1, one), (2, two)))
        self.write("new", self.routes((2, two), (1, one)))
        return [line.split(" on all ")[0] for line in self.diff(status=status)]

    def test_the_order_of_routes_where_it_decides(self):
        """Whose request is /ab? Both fit, and the first in the file takes it."""
        begins, ends = ('hostnames = ["a.example"]\nmatches = [{ path_regex = "%s" }]' % path
                        for path in ("/a.*", "/.*b"))
        self.assertEqual(self.swapped(begins, ends, 1), [
            "- route a.example [path_regex /.*b rank 2 on a.example]",
            "- route a.example [path_regex /a.*]", "+ route a.example [path_regex /.*b]",
            "+ route a.example [path_regex /a.* rank 2 on a.example]"])
        for one, two in (
                ("", ""), ('hostnames = ["a.example", "b.example"]', 'hostnames = ["B.example"]'),
                ('matches = [{ path_prefix = "/a/" }]', 'matches = [{ path_prefix = "/a" }]'),
                ('matches = [{ headers = { a = "1" } }]', 'matches = [{ headers = { b = "1" } }]'),
                ('matches = [{ path_exact = "/a" }]',
                 'matches = [{ path_prefix = "/" }, { path_exact = "/%61" }]')):
            with self.subTest(one=one, two=two):
                lines = self.swapped(one, two, 1)
                self.assertEqual(len(lines), 4, lines)
                self.assertEqual(sum(" rank 2 on " in line for line in lines), 2, lines)

    def test_the_order_of_routes_that_never_meet(self):
        for one, two in (
                ('hostnames = ["a.example"]', 'hostnames = ["*.example"]'), ('hostnames = ["a.example"]', ""),
                ('matches = [{ path_prefix = "/a" }]', 'matches = [{ path_prefix = "/b" }]'),
                ('matches = [{ path_prefix = "/a" }]', 'matches = [{ path_prefix = "/a/b" }]'),
                ('matches = [{ path_exact = "/a" }]', 'matches = [{ path_regex = "/a" }]'),
                ('matches = [{ path_regex = "/a/.*" }]', 'matches = [{ path_regex = "/b/.*" }]'),
                ('matches = [{ method = "GET" }]', 'matches = [{ method = "PUT" }]'),
                ('matches = [{ headers = { a = "1" } }]', 'matches = [{ headers = { a = "2" } }]'),
                ('matches = [{ headers = { a = "1" } }]', 'matches = [{ query = { a = "1" } }]')):
            with self.subTest(one=one, two=two):
                self.assertEqual(self.swapped(one, two, 0), [])

    def test_who_may_read_along_shows(self):
        """What would log every query, or open the admin address, is a change."""
        for more in ('[dns.query_log]\nfile = "q.log"\n', '[dns.dnstap]\nfile = "q.tap"\n'):
            with self.subTest(more):
                self.write("new", OLD + more)
                lines = self.diff()
                self.assertEqual([line.split()[0] for line in lines], ["-", "+"], lines)
                self.assertRegex(lines[1], r" file q\.(log|tap) ")
                self.write("old", OLD + more)  # in another folder, and the same
                self.assertEqual(self.diff(status=0), [])
                self.write("old", OLD)

    def test_records_of_a_zone(self):
        self.write("new", OLD, ZONE.replace("192.168.10.20", "192.168.10.21").replace(
            "993", "143").replace("admin 1 ", "admin 2 "))
        self.assertEqual(self.diff(), [
            "- record _imap._tcp.home.arpa. 60 IN SRV 0 1 993 ns.home.arpa.",
            "+ record _imap._tcp.home.arpa. 60 IN SRV 0 1 143 ns.home.arpa.",
            "- record home.arpa. 60 IN SOA ns.home.arpa. admin.home.arpa. 1 3600 600 86400 60",
            "+ record home.arpa. 60 IN SOA ns.home.arpa. admin.home.arpa. 2 3600 600 86400 60",
            "- record nas.home.arpa. 60 IN A 192.168.10.20",
            "+ record nas.home.arpa. 60 IN A 192.168.10.21"])

    def test_a_certificate_that_was_renewed(self):
        self.certificate("new")
        lines = self.diff()
        self.assertEqual([line[:37] for line in lines], ["- certificate lan for a.example sha25",
                                                         "+ certificate lan for a.example sha25"])

    def test_json(self):
        self.write("new", OLD, ZONE.replace("192.168.10.20", "192.168.10.21"))
        changes = json.loads("\n".join(self.diff("--json")))
        self.assertEqual([(one["op"], one["kind"], one["text"]) for one in changes], [
            ("-", "record", "nas.home.arpa. 60 IN A 192.168.10.20"),
            ("+", "record", "nas.home.arpa. 60 IN A 192.168.10.21")])

    def test_errors_are_trouble(self):
        self.write("new", OLD.replace("[dns.view]", "[dns.vew]"))
        got, out, err = run("diff", self.directory / "new/postern.toml", "--against",
                            self.directory / "old/postern.toml")
        self.assertEqual((got, out), (2, ""))
        self.assertIn("did you mean", err)
        self.assertEqual(run("diff")[0], 2)


if __name__ == "__main__":
    unittest.main()
