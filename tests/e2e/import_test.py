"""`postern import`: the files of other nameservers, and the same answers as theirs."""

import contextlib
import pathlib
import random
import re
import subprocess
import tempfile
import unittest

import dns.exception
import dns.message
import dns.query
import dns.rcode

from lab import SLOW, Case, Postern, Upstream, data, free_port, run, wait_until

ROOT = pathlib.Path(__file__).parents[2]
DATA = ROOT / "tests/data/import"

PUBLIC = """
    example.com.               300 A     203.0.113.1
    vanillax.me.               300 A     203.0.113.2
    public.apps.vanillax.me.   300 A     203.0.113.3
    x.public.apps.vanillax.me. 300 A     203.0.113.4
    ads.example.               300 A     203.0.113.5
    blocked.example.           300 A     203.0.113.6
    example.com.               300 TXT   "outside"
    vanillax.me.               300 TXT   "outside"
    """
TUNNEL = """
    corp.example.              300 A     203.0.113.100
    git.corp.example.          300 A     203.0.113.101
    www.branch.example.        300 A     203.0.113.102
    """


class Imports(Case):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def imported(self, kind, file, *more):
        """(TOML, notes) of an import that succeeds, and that `postern check` accepts."""
        status, out, err = run("import", kind, file, *more, cwd=ROOT)
        self.assertEqual(status, 0, err)
        path = self.directory / "imported.toml"
        path.write_text(out, encoding="utf-8")
        status, said, _ = run("check", "-c", path)
        self.assertEqual(status, 0, said)
        self.assertIn("0 warnings", said)
        return out, err

    def serve(self, text, up, tunnel):
        """Postern with the imported file: only the ports are of the test."""
        text = re.sub(r"^listen = .*$", "", text, flags=re.M)
        text = re.sub(r'^(\[server\])$', r'\1\nworkers = 1\nuser = ""', text, flags=re.M)
        if "[dns]\n" not in text:
            text += "\n[dns]\n"
        postern = Postern()
        postern.whole = text.replace(
            "[dns]\n", f'[dns]\nlisten = ["127.0.0.1:{postern.port}"]\n').replace(
            "[server]\n", f'[server]\nadmin = "127.0.0.1:{postern.admin_port}"\n').replace(
            ":15353", f":{up.port}").replace(":15354", f":{tunnel.port}")
        return postern

    def source(self, name, up, tunnel):
        """A copy of the file with the upstreams of the test."""
        text = (DATA / name).read_text(encoding="utf-8")
        path = self.directory / name
        path.write_text(text.replace("#15353", f"#{up.port}").replace("#15354", f"#{tunnel.port}")
                        .replace("tests/data/import", str(DATA)), encoding="utf-8")
        return path


class DnsmasqImport(Imports):
    @contextlib.contextmanager
    def dnsmasq(self, file):
        port = free_port()
        process = subprocess.Popen(
            ["/usr/sbin/dnsmasq", "--keep-in-foreground", "--log-facility=-", f"--port={port}",
             "--listen-address=127.0.0.1", "--bind-interfaces", "--user=", "--group=",
             "--pid-file=", f"--conf-file={file}"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            def answers():
                if process.poll() is not None:
                    raise AssertionError(process.stdout.read())
                with contextlib.suppress(OSError, dns.exception.Timeout):
                    query = dns.message.make_query("nas.lan.", "A")
                    return dns.query.udp(query, "127.0.0.1", port=port, timeout=0.2)
                return None
            wait_until("dnsmasq", answers)
            yield port
        finally:
            process.terminate()
            process.communicate(timeout=10)

    def test_the_same_answers_as_dnsmasq_with_the_same_file(self):
        questions = [(name, "A") for name in (
            "example.com", "vanillax.me", "apps.vanillax.me", "a.apps.vanillax.me",
            "deep.a.apps.vanillax.me", "public.apps.vanillax.me", "x.public.apps.vanillax.me",
            "dual.vanillax.me", "www.dual.vanillax.me", "ads.example", "x.ads.example",
            "tracker.example", "blocked.example", "www.blocked.example", "null.example",
            "a.null.example", "nas.lan", "nas", "printer.lan", "files.lan", "storage.lan",
            "nobody.lan", "git.vanillax.me", "www.git.vanillax.me", "tv", "tv.lan", "pi.lan",
            "corp.example", "git.corp.example", "nobody.corp.example", "www.branch.example",
            "nobody.example.com", "router.lan")]
        questions += [(name, "AAAA") for name in (
            "dual.vanillax.me", "null.example", "nas.lan", "pi.lan", "apps.vanillax.me",
            "blocked.example", "nobody.lan")]
        questions += [("example.com", "TXT"), ("vanillax.me", "TXT")]
        with Upstream(PUBLIC) as up, Upstream(TUNNEL) as tunnel:
            file = self.source("dnsmasq.conf", up, tunnel)
            text, notes = self.imported("dnsmasq", file, "--zones", self.directory / "zones")
            self.assertEqual(len(notes.splitlines()), 3, notes)
            self.assertIn(f"{file}:8: domain-needed", notes)
            self.assertIn("cache-size=1000", notes)
            with self.dnsmasq(file) as port, self.serve(text, up, tunnel) as postern:
                for name, rdtype in questions:
                    with self.subTest(name=name, rdtype=rdtype):
                        theirs = dns.query.udp(dns.message.make_query(name, rdtype), "127.0.0.1",
                                               port=port, timeout=5 * SLOW)
                        ours = postern.ask(name, rdtype)
                        self.assertEqual(data(ours.answer, rdtype), data(theirs.answer, rdtype))
                        if name != "blocked.example":  # the apex of a zone exists here
                            self.assertEqual(dns.rcode.to_text(ours.rcode()),
                                             dns.rcode.to_text(theirs.rcode()))

    def test_what_cannot_be_carried_over_is_named_with_its_line(self):
        file = "tests/data/import/dnsmasq-router.conf"
        text, notes = self.imported("dnsmasq", file)
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            if line.startswith("#"):
                continue
            self.assertIn(f"{file}:{number}: ", notes, line)
            self.assertIn(f"# {file}:{number}: ", text, line)
        self.assertIn("no DHCP", notes)
        self.assertIn("zone file", notes)

    def notes_of(self, text):
        """{line: note}; 0: of the file."""
        file = self.directory / "n.conf"
        file.write_text(text, encoding="utf-8")
        _, notes = self.imported("dnsmasq", file)
        found = {}
        for line in notes.splitlines()[1:]:
            place = re.fullmatch(rf"{re.escape(str(file))}(?::(\d+))?: (.*)", line)
            self.assertTrue(place, line)
            self.assertNotIn(int(place[1] or 0), found)
            found[int(place[1] or 0)] = place[2]
        return found

    def test_what_dnsmasq_refuses_and_postern_asks_is_named(self):
        found = self.notes_of("no-hosts\nno-resolv\ndomain-needed\nserver=/lan/192.0.2.1\n")
        self.assertEqual(set(found), {2, 3})
        self.assertIn("no-resolv without a server for all names", found[2])
        self.assertIn("names of one label", found[3])
        self.assertEqual(self.notes_of("no-hosts\nno-resolv\nserver=192.0.2.1\n"), {})
        # a server that is none here leaves "." without one
        self.assertEqual(set(self.notes_of("no-hosts\nno-resolv\nserver=192.0.2.1@eth0\n")), {2, 3})

    def test_the_hosts_file_of_the_system_is_named_unless_it_is_not_read(self):
        self.assertIn("postern import hosts /etc/hosts", self.notes_of("port=53\n")[0])
        self.assertEqual(self.notes_of("no-hosts\n"), {})
        self.assertNotIn(0, self.notes_of("addn-hosts=/etc/hosts\n"))

    def test_the_time_to_live_is_of_all_names_wherever_its_line_stands(self):
        names = "address=/a.example/192.0.2.1\n", "host-record=b.example,192.0.2.2\n", \
            "cname=c.example,b.example\n"
        for at in range(len(names) + 1):
            lines = [*names[:at], "local-ttl=77\n", *names[at:], "no-hosts\n"]
            with self.subTest(at=at):
                file = self.directory / "t.conf"
                file.write_text("".join(lines), encoding="utf-8")
                text, notes = self.imported("dnsmasq", file)
                self.assertEqual(notes, "")
                self.assertEqual(text.count("[[dns.override]]"), 3)
                self.assertEqual(text.count('ttl = "77s"'), 3)
        file.write_text("local-ttl=0\nno-hosts\naddress=/a.example/192.0.2.1\n", encoding="utf-8")
        text, notes = self.imported("dnsmasq", file)
        self.assertEqual(notes, "")
        self.assertIn('ttl = "0s"', text)

    def test_the_longest_answer_by_udp(self):
        file = self.directory / "e.conf"
        file.write_text("edns-packet-max=1400\nport=53\nno-hosts\n", encoding="utf-8")
        text, notes = self.imported("dnsmasq", file)
        self.assertEqual(notes, "")
        self.assertRegex(text, r"\[dns\]\nlisten = .*\nudp_payload = 1400\n")
        self.assertIn("from 512 to 4096", self.notes_of("edns-packet-max=9000\nno-hosts\n")[1])

    def test_domains_without_names_need_a_directory_for_the_zone(self):
        file = self.directory / "d.conf"
        file.write_text("address=/blocked.example/\nlocal=/lan/\nno-hosts\n", encoding="utf-8")
        text, notes = self.imported("dnsmasq", file)
        self.assertIn(f"{file}:1: 'blocked.example'", notes)
        self.assertIn("--zones", notes)
        self.assertNotIn("[[dns.zone]]", text)
        text, notes = self.imported("dnsmasq", file, "--zones", self.directory / "z")
        self.assertEqual(notes, "")
        self.assertEqual(text.count("[[dns.zone]]"), 2)
        (self.directory / "z/empty.zone").write_text("of somebody else", encoding="utf-8")
        status, _, err = run("import", "dnsmasq", file, "--zones", self.directory / "z")
        self.assertEqual(status, 1)
        self.assertIn("File exists", err)

    def test_quotes_blanks_and_comments(self):
        file = self.directory / "q.conf"
        file.write_text('address = /a.example/192.0.2.1  # why\n'
                        'address=/b.example/192.0.2.2\t\t#\n'
                        '  host-record = "c.example",192.0.2.3\n'
                        '\n#address=/d.example/192.0.2.4\n'
                        'server="127.0.0.1#5353"\r\n'
                        'address=/.e.example/F.EXAMPLE./2001:db8::1\n'
                        'server=2001:db8::2\nno-hosts\n', encoding="utf-8")
        text, notes = self.imported("dnsmasq", file)
        self.assertEqual(notes, "")
        for part in ('names = ["a.example", "*.a.example"]\naddress = ["192.0.2.1"]',
                     'names = ["c.example"]\naddress = ["192.0.2.3"]', '"udp://127.0.0.1:5353"',
                     'names = ["e.example", "*.e.example", "f.example", "*.f.example"]',
                     '"udp://[2001:db8::2]:53"'):
            self.assertIn(part, text)
        self.assertNotIn("d.example", text)

    def test_bad_lines(self):
        for line, said in (('address=/a.example/192.0.2', "'192.0.2' is not an IP address"),
                           ('address=192.0.2.1', "/DOMAIN/ADDRESS"),
                           ('address=/a.example', "no '/' behind the domain"),
                           ('host-record="a.example', "missing '\"'"),
                           ('server=/a.example/192.0.2.1#99999', "port"),
                           ('cname=a.example', "cname=ALIAS,TARGET"),
                           ('conf-file=/does/not/exist', "No such file"),
                           ('conf-dir=/does/not/exist', "No such file"),
                           ('port=dns', "a number"), ('listen-address=eth0', "not an IP address"),
                           ('local-ttl=-1', "seconds"), ('<html>', "not a line of dnsmasq"),
                           ('rev-server=10.0.0.0/33,192.0.2.1', "rev-server")):
            with self.subTest(line=line):
                file = self.directory / "bad.conf"
                file.write_text(f"# first\n{line}\n", encoding="utf-8")
                status, out, err = run("import", "dnsmasq", file)
                self.assertEqual((status, out), (1, ""))
                self.assertIn(f"{file}:2: " if "exist" not in line else f"{file}:2", err)
                self.assertIn(said, err)

    def test_files_that_name_themselves_end(self):
        file = self.directory / "loop.conf"
        file.write_text(f"conf-file={file}\n", encoding="utf-8")
        status, _, err = run("import", "dnsmasq", file)
        self.assertEqual(status, 1)
        self.assertIn("files name each other", err)


class CorefileImport(Imports):
    def test_the_answers_that_the_pages_of_its_plugins_promise(self):
        with Upstream(PUBLIC + "deep.example.com. 300 A 203.0.113.9\n") as up, \
                Upstream(TUNNEL) as tunnel:
            text, notes = self.imported("corefile", "tests/data/import/Corefile", "--zones",
                                        self.directory / "zones")
            for part in ("Corefile:26: template", "Corefile:30: rewrite", "tls://9.9.9.9",
                         "plugin kubernetes"):
                self.assertIn(part, notes)
            self.assertIn('listen = ["0.0.0.0:1053", "[::]:1053"]', text)
            with self.serve(text, up, tunnel) as postern:
                for name, address in (
                        ("pi.lan", ["192.168.10.31"]),               # hosts, the file
                        ("wiki.vanillax.me", ["192.168.10.40"]),     # hosts, inline
                        ("wiki", ["192.168.10.40"]),
                        ("deep.example.com", ["203.0.113.9"]),       # hosts, fallthrough; forward
                        ("apps.vanillax.me", ["192.168.10.50"]),     # template
                        ("a.b.apps.vanillax.me", ["192.168.10.50"]),
                        ("www.example.org", ["127.0.0.1"]),          # file
                        ("git.corp.example", ["203.0.113.101"]),     # a server block of its own
                        ("www.branch.example", ["203.0.113.102"]),
                        ("home.vanillax.me", ["192.168.10.20"])):    # rewrite, to a zone of ours
                    with self.subTest(name=name):
                        self.assertEqual(postern.answer(name), address)
                self.assertEqual(postern.answer("pi.lan", "AAAA"), ["fd00::31"])
                reply = postern.ask("wiki.vanillax.me")
                self.assertEqual(reply.answer[0].ttl, 120)  # hosts: ttl 120
                self.assertEqual(postern.ask("x.ads.example").rcode(), dns.rcode.NXDOMAIN)
                self.assertEqual(postern.ask("nobody.example.org").rcode(), dns.rcode.NXDOMAIN)
                self.assertEqual(tunnel.count(name="www.example.com."), 0)

    def corefile(self, text, *more):
        """(TOML, {line: notes}) of a Corefile."""
        file = self.directory / "Corefile"
        file.write_text(text, encoding="utf-8")
        toml, notes = self.imported("corefile", file, *more)
        found = {}
        for line in notes.splitlines()[1:]:
            name, number, said = re.fullmatch(r"(.*?)(?::(\d+))?: (.*)", line).groups()
            at = int(number) if name == str(file) else pathlib.Path(name).name
            found[at] = found.get(at, "") + said + "\n"
        return toml, found

    def test_a_zone_of_the_systems_resolvers_does_not_vanish_below_another(self):
        inner = "{} {{\n forward . /etc/resolv.conf\n}}\n"
        outer = "{} {{\n forward . 198.51.100.1\n}}\n"
        for zone, above, named in (("corp.example", ".", "."), ("a.corp.example", "corp.example", "corp.example"),
                                   ("10.1.0.0/16", "10.0.0.0/8", "10.0.0.0/8"), (".:54", ".", ".")):
            with self.subTest(zone=zone, above=above):
                _, notes = self.corefile(inner.format(zone) + outer.format(above))
                zone = zone.split(":")[0]
                self.assertIn(f"forward {zone} to /etc/resolv.conf: here the upstreams of {named} are",
                              notes[2])
        _, notes = self.corefile(inner.format("a.b.example") + outer.format(".")
                                 + outer.format("b.example"))
        self.assertIn("the upstreams of b.example are", notes[2])
        for others in ("", outer.format("example.org"), inner.format(".")):
            with self.subTest(others=others):
                self.assertEqual(self.corefile(inner.format("corp.example") + others)[1], {})

    def test_all_ports_of_a_server_block_are_listened_on(self):
        text, notes = self.corefile(".:53 .:1053, dns://.:2053 {\n}\n")
        self.assertEqual(notes, {})
        listen = re.search(r"^listen = \[(.*?)\]$", text, flags=re.M | re.S)[1]
        self.assertEqual(re.findall(r'"(.*?)"', listen),
                         [f"{ip}:{port}" for port in (53, 1053, 2053) for ip in ("0.0.0.0", "[::]")])
        text, notes = self.corefile(".:53 .:1053 {\n bind 127.0.0.1 ::1\n bind 127.0.0.2\n}\n")
        self.assertEqual(notes, {})
        listen = re.search(r"^listen = \[(.*?)\]$", text, flags=re.M | re.S)[1]
        self.assertEqual(set(re.findall(r'"(.*?)"', listen)),
                         {f"{ip}:{port}" for port in (53, 1053)
                          for ip in ("127.0.0.1", "[::1]", "127.0.0.2")})
        _, notes = self.corefile(".:53 .:1053 {\n}\n.:54 {\n}\n")
        self.assertIn("on the ports 53 and 54", notes[3])
        self.assertIn("on the ports 1053 and 54", notes[3])

    def test_patterns_of_import(self):
        custom = self.directory / "custom"
        text = f".:53 {{\n import {custom}/*.override\n}}\nimport {custom}/*.server\n"
        self.assertEqual(self.corefile(text)[1], {})  # no such directory
        custom.mkdir()
        self.assertEqual(self.corefile(text)[1], {})  # no such file
        for name, inside in (("b.override", "forward . 198.51.100.2"), ("a.override", "forward . 198.51.100.1"),
                             (".c.override", "forward . 198.51.100.3"), ("d.old", "forward . 198.51.100.4"),
                             ("x.server", "corp.example:53 {\n forward . 198.51.100.9\n}")):
            (custom / name).write_text(inside + "\n", encoding="utf-8")
        (custom / "e.override").mkdir()
        toml, notes = self.corefile(text)
        self.assertEqual(notes, {})
        self.assertEqual(re.findall(r"198\.51\.100\.\d", toml),
                         ["198.51.100.3", "198.51.100.1", "198.51.100.2", "198.51.100.9"])
        toml, _ = self.corefile(".:53 {\n import custom/[ab].overrid?\n}\n")  # from its directory
        self.assertEqual(re.findall(r"198\.51\.100\.\d", toml), ["198.51.100.1", "198.51.100.2"])

    def test_a_template_keeps_its_time_to_live(self):
        for words, ttl in (("7 IN A", "7s"), ("IN 600 A", "600s"), ("0 IN A", "0s"), ("IN A", "3600s")):
            with self.subTest(words=words):
                toml, notes = self.corefile(
                    'apps.example {\n template IN A {\n  answer "{{ .Name }} ' + words
                    + ' 192.0.2.1"\n }\n hosts {\n  192.0.2.2 x.apps.example\n  fallthrough\n }\n}\n')
                self.assertEqual(notes, {})
                template, hosts = toml.split("[[dns.override]]")[1:]
                self.assertIn(f'ttl = "{ttl}"', template)
                self.assertNotIn("ttl", hosts)
        for words in ("999999 IN A 192.0.2.1", "IN A 192.0.2.1\"\n  answer \"{{ .Name }} 5 IN A 192.0.2.2"):
            with self.subTest(words=words):
                _, notes = self.corefile('apps.example {\n template IN A {\n  answer "{{ .Name }} '
                                         + words + '"\n }\n}\n')
                self.assertIn(2, notes)

    def test_the_cache_of_some_zones_is_not_the_cache_of_all(self):
        options = "  success 100 60\n  serve_stale 5m\n  prefetch 10\n"
        everything = "[dns.cache]\nmax_ttl = \"60s\"\nnegative_ttl = \"30s\"\nserve_stale = \"300s\"\n"
        toml, notes = self.corefile(f". {{\n cache 30 {{\n{options} }}\n}}\n")
        self.assertIn(everything, toml)
        self.assertEqual(set(notes), {3})
        for zones, words in (("corp.example", "cache 30"), (".", "cache 30 corp.example"),
                             ("corp.example", "cache"), (".", "cache corp.example"),
                             ("corp.example", "cache 30 .")):
            with self.subTest(zones=zones, words=words):
                toml, notes = self.corefile(f"{zones} {{\n {words} {{\n{options} }}\n}}\n")
                self.assertNotIn("[dns.cache]", toml)
                self.assertEqual(set(notes), {3, 4} if words == "cache" else {2, 3, 4})
                self.assertIn("one cache for all zones", notes[3])
                if words != "cache":
                    self.assertIn("corp.example", notes[2])
        self.assertIn("[dns.cache]", self.corefile(". {\n cache 30 .\n}\n")[0])
        self.assertEqual(self.corefile("corp.example {\n cache\n}\n")[1], {})
        _, notes = self.corefile(". {\n cache 0 {\n  success 1 999999\n  denial 1 60 5\n }\n}\n")
        self.assertIn("not a time", notes[2])
        self.assertIn("999999 is not a time", notes[3])
        self.assertIn("dns.cache.min_ttl", notes[4])

    def test_plugins_that_change_what_is_served_are_named(self):
        plugins = ("nsid home", "nsid", "prometheus :9154", "trace 192.0.2.1:9411", "pprof",
                   "bufsize 100", "bind eth0")
        _, notes = self.corefile(". {\n" + "".join(f" {one}\n" for one in plugins) + "}\n")
        for number, plugin in enumerate(plugins, 2):
            self.assertIn(plugin, notes[number])
        self.assertIn("server.admin", notes[4])
        self.assertIn("from 512 to 4096", notes[7])
        toml, notes = self.corefile(". {\n bufsize 1400\n prometheus\n errors\n}\n")
        self.assertEqual(notes, {})
        self.assertRegex(toml, r"\[dns\]\nlisten = .*\nudp_payload = 1400\n")
        toml, notes = self.corefile("corp.example {\n bufsize 1400\n}\n")
        self.assertIn("bufsize 1400", notes[2])
        self.assertNotIn("\nudp_payload", toml)

    def test_hosts_holds_in_its_zones_only(self):
        (self.directory / "names").write_text(
            "192.0.2.1 a.lan\n192.0.2.2 b.example c.lan\n192.0.2.3 alan\n127.0.0.1 localhost\n",
            encoding="utf-8")
        rest = "  192.0.2.4 d.lan d.example\n  fallthrough\n }\n}\n"
        for head in (". {\n hosts names lan {\n", "lan {\n hosts names {\n",
                     "lan {\n hosts names . {\n"):
            with self.subTest(head=head):
                toml, notes = self.corefile(head + rest)
                self.assertEqual(set(re.findall(r'"([a-z.]+)"', toml.split("[[dns.override]]", 1)[1])
                                     ) - {"192.0.2.1"}, {"a.lan", "c.lan", "d.lan"})
                self.assertEqual(set(notes), {"names", 3})
                self.assertIn("'b.example' is not in the zones of these hosts: lan", notes["names"])
                self.assertIn("'alan'", notes["names"])
                self.assertNotIn("localhost", notes["names"])
                self.assertIn("'d.example'", notes[3])
        toml, notes = self.corefile(". {\n hosts names {\n" + rest)
        self.assertEqual(notes, {})
        self.assertIn("alan", toml)
        _, notes = self.corefile("lan {\n hosts names example {\n" + rest)
        self.assertIn("hosts example: is not in the zones of its server block", notes[2])

    def test_bad_files(self):
        for text, place, said in ((".:53 {\n  errors\n", 1, "does not end"),
                                  (".:53 {\n}\n}\n", 3, "unexpected '}'"),
                                  ('.:53 {\n  template IN A "a\n}\n', 2, "does not end"),
                                  (".:99999 {\n}\n", 1, "port"),
                                  ("a..b {\n}\n", 1, "not a zone"),
                                  (".:53 {\n  import nothing\n}\n", 2, "No such file"),
                                  (".:53 {\n  import */x\n}\n", 2, "name of the file only"),
                                  ("import Core*\n", 1, "each other"),
                                  ("(a) {\n import a\n}\n. {\n import a\n}\n", 2, "each other"),
                                  ("{ {\n", 1, "unexpected '{"),
                                  ("a {\n" * 30, 9, "too deep")):
            with self.subTest(text=text):
                file = self.directory / "Corefile"
                file.write_text(text, encoding="utf-8")
                status, out, err = run("import", "corefile", file)
                self.assertEqual((status, out), (1, ""), err)
                self.assertIn(said, err)
                self.assertRegex(err, rf"{re.escape(str(file))}:{place}\b")


class DamagedFiles(Imports):
    def test_they_are_an_error_or_read_and_never_a_crash(self):
        chance = random.Random(5)
        words = [b"/", b"#", b"{", b"}", b'"', b"\\", b"=", b",", b"\n", b"\xff", b"*", b".", b"import ",
                 b"999999999999", b"::1", b"a" * 300]
        for kind, name in (("corefile", "Corefile"), ("dnsmasq", "dnsmasq.conf"),
                           ("hosts", "hosts.lan")):
            good = (DATA / name).read_bytes()
            for i in range(40):
                data = bytearray(good)
                for _ in range(1 + i % 5):
                    at = chance.randrange(len(data))
                    data[at:at + chance.choice((0, 0, 1, 5, 60))] = chance.choice(words)
                file = self.directory / name
                file.write_bytes(data)
                status, out, err = run("import", kind, file, cwd=ROOT)
                with self.subTest(kind=kind, i=i):
                    self.assertIn(status, (0, 1), err)
                    self.assertNotIn("the configuration made from it has an error", err)
                    self.assertEqual(out == "", status == 1)


class HostsImport(Imports):
    def test_names_get_their_addresses(self):
        with Upstream() as up:
            text, notes = self.imported("hosts", "tests/data/import/hosts.lan")
            self.assertEqual(notes, "")
            with self.serve("[server]\n" + text, up, up) as postern:
                self.assertEqual(postern.answer("pi.lan"), ["192.168.10.31"])
                self.assertEqual(postern.answer("pi.lan", "AAAA"), ["fd00::31"])
                self.assertEqual(postern.answer("router"), ["127.0.1.1"])

    def test_a_block_list_of_many_names(self):
        file = self.directory / "hosts"
        file.write_text("".join(f"0.0.0.0 ad{i}.example\n" for i in range(20000)),
                        encoding="utf-8")
        text, notes = self.imported("hosts", file)
        self.assertEqual(notes, "")
        self.assertEqual(text.count("[[dns.override]]"), 40)
        self.assertEqual(len(re.findall(r'"ad\d+\.example"', text)), 20000)

    def test_bad_lines_are_named_and_the_rest_is_taken(self):
        file = self.directory / "hosts"
        file.write_bytes(b"192.0.2.1 good.example\nnonsense here\n192.0.2.1\n192.0.2.1 b\xe4d!\x1b[1m\n")
        text, notes = self.imported("hosts", file)
        for number in (2, 3, 4):
            self.assertIn(f"{file}:{number}: ", notes)
        self.assertNotIn("\x1b", notes + text)
        self.assertIn("good.example", text)

    def test_files_that_are_none(self):
        binary = self.directory / "binary"
        binary.write_bytes(b"192.0.2.1 a\n\0")
        for file, said in ((binary, f"{binary}:2: is not a text file"),
                           (self.directory, "is not a regular file"),
                           (self.directory / "none", "No such file"), ("/dev/zero", "not a regular")):
            with self.subTest(file=file):
                status, out, err = run("import", "hosts", file)
                self.assertEqual((status, out), (1, ""))
                self.assertIn(said, err)

    def test_wrong_use(self):
        self.assertEqual(run("import", "bind", "x")[0], 2)
        self.assertEqual(run("import", "hosts")[0], 2)


if __name__ == "__main__":
    unittest.main()
