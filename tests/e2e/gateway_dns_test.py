"""What the nameserver says of names that the gateway serves: addresses of routes, HTTPS records.
Records are read by dnspython."""

import pathlib
import subprocess
import tempfile
import unittest

import dns.rdtypes.svcbbase as svcb

from gateway_lab import HOST, Gateway, route, table
from lab import Case, Postern, Shared, data, free_port, records, run, wait_until

PUBLIC = """
    app.vanillax.me.      300 A     203.0.113.1
    app.vanillax.me.      300 HTTPS 1 . alpn="h3,h2" ipv4hint=203.0.113.1 ech="AEX+DQBB"
    app.vanillax.me.      300 TXT   "public"
    outside.vanillax.me.  300 A     203.0.113.2
    quiet.vanillax.me.    300 A     203.0.113.3
    """


def certificate(*names):
    """{file: PEM} of a certificate that is good for a day."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=test",
                        "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names),
                        "-keyout", "tls.key", "-out", "tls.crt"],
                       cwd=directory, check=True, capture_output=True, timeout=60)
        return {f"tls/{name}": pathlib.Path(directory, name).read_text(encoding="utf-8")
                for name in ("tls.crt", "tls.key")}


FILES = certificate("vanillax.me", "*.vanillax.me", "*.wild.vanillax.me")
PORTS = {name: free_port(host) for name, host in
         (("http", "127.0.0.2"), ("https", "127.0.0.2"), ("h2", "127.0.0.3"), ("plain", "127.0.0.4"))}

CONFIG = f"""
    [[tls.certificate]]
    name = "lan"
    cert = "tls/tls.crt"
    key  = "tls/tls.key"

    [[gateway.listener]]
    name = "internal"
    address = ["127.0.0.2"]
    http = {PORTS["http"]}
    https = {PORTS["https"]}
    certificates = ["lan"]

    [[gateway.listener]]
    name = "h2only"
    address = ["127.0.0.3"]
    http = 0
    https = {PORTS["h2"]}
    certificates = ["lan"]
    alpn = ["h2"]
    publish_dns = false

    [[gateway.listener]]
    name = "plain"
    address = ["127.0.0.4"]
    http = {PORTS["plain"]}
    https = 0

    [[gateway.route]]
    listeners = ["internal"]
    hostnames = ["app.vanillax.me", "*.wild.vanillax.me", "own.vanillax.me"]
    respond = {{ body = "app" }}

    [[gateway.route]]
    listeners = ["h2only"]
    hostnames = ["quiet.vanillax.me", "h2.vanillax.me"]
    respond = {{}}

    [[gateway.route]]
    listeners = ["plain"]
    hostnames = ["plain.vanillax.me"]
    respond = {{}}

    [[dns.override]]
    names = ["own.vanillax.me"]
    address = ["127.0.0.4"]
    ttl = "30s"

    [[dns.override]]
    names = ["h2.vanillax.me"]
    address = ["127.0.0.3"]

    [[dns.override]]
    names = ["half.vanillax.me"]
    address = ["127.0.0.2", "fd00:10::3"]

    [[dns.override]]
    names = ["none.vanillax.me"]
    address = ["127.0.0.2"]
    https = "none"

    [[dns.override]]
    names = ["alias.vanillax.me"]
    cname = "app.vanillax.me"
    """


def params(record):
    """The parameters of an HTTPS record, by key."""
    return dict(record.params)


class Published(Shared):
    RECORDS = PUBLIC
    CONFIG = CONFIG
    FILES = FILES

    def https(self, name):
        """The one HTTPS record at a name."""
        reply = self.ask(name, "HTTPS")
        self.assert_rcode(reply, "NOERROR")
        self.assertEqual(len(reply.answer), 1, reply)
        self.assertEqual(len(reply.answer[0]), 1, reply)
        return reply.answer[0].ttl, reply.answer[0][0]

    def test_a_name_of_a_route_has_the_address_of_its_listener(self):
        reply = self.ask("app.vanillax.me", "A")
        self.assertEqual(data(reply.answer, "A"), ["127.0.0.2"])
        self.assertEqual(reply.answer[0].ttl, 60)
        self.assert_nodata(self.ask("app.vanillax.me", "AAAA"))
        self.assertEqual(data(self.ask("a.b.wild.vanillax.me", "A").answer, "A"), ["127.0.0.2"])
        self.assertEqual(data(self.ask("outside.vanillax.me", "A").answer, "A"), ["203.0.113.2"])

    def test_other_types_come_from_outside(self):
        self.assertEqual(data(self.ask("app.vanillax.me", "TXT").answer, "TXT"), ['"public"'])

    def test_an_override_of_its_own_wins(self):
        reply = self.ask("own.vanillax.me", "A")
        self.assertEqual(data(reply.answer, "A"), ["127.0.0.4"])
        self.assertEqual(reply.answer[0].ttl, 30)

    def test_publish_dns_false_leaves_a_name_to_upstream(self):
        self.assertEqual(data(self.ask("quiet.vanillax.me", "A").answer, "A"), ["203.0.113.3"])

    def test_https_says_what_the_listener_offers(self):
        ttl, record = self.https("app.vanillax.me")
        self.assertEqual((ttl, record.priority, record.target.to_text()), (60, 1, "."))
        self.assertEqual(list(params(record)),
                         [svcb.ParamKey.ALPN, svcb.ParamKey.PORT, svcb.ParamKey.IPV4HINT])
        self.assertEqual(params(record)[svcb.ParamKey.ALPN].ids, (b"h2", b"http/1.1"))
        self.assertEqual(params(record)[svcb.ParamKey.PORT].port, PORTS["https"])
        self.assertEqual(params(record)[svcb.ParamKey.IPV4HINT].addresses, ("127.0.0.2",))

    def test_https_of_a_wildcard_stands_at_the_name(self):
        reply = self.ask("x.wild.vanillax.me", "HTTPS")
        self.assertEqual(reply.answer[0].name.to_text(), "x.wild.vanillax.me.")
        self.assertEqual(self.https("x.wild.vanillax.me")[1].target.to_text(), ".")

    def test_without_http_1_the_default_protocol_is_denied(self):
        record = self.https("h2.vanillax.me")[1]
        self.assertEqual(params(record)[svcb.ParamKey.ALPN].ids, (b"h2",))
        self.assertIn(svcb.ParamKey.NO_DEFAULT_ALPN, params(record))

    def test_not_of_addresses_that_are_served_in_part(self):
        self.assertEqual(data(self.ask("half.vanillax.me", "AAAA").answer, "AAAA"), ["fd00:10::3"])
        self.assert_nodata(self.ask("half.vanillax.me", "HTTPS"))

    def test_not_of_a_name_that_no_certificate_covers(self):
        self.assertEqual(data(self.ask("y.x.wild.vanillax.me", "A").answer, "A"), ["127.0.0.2"])
        self.assert_nodata(self.ask("y.x.wild.vanillax.me", "HTTPS"))

    def test_the_service_name_of_the_port_names_the_host(self):
        ttl, record = self.https(f"_{PORTS['https']}._https.app.vanillax.me")
        self.assertEqual(ttl, 60)
        self.assertEqual(record.target.to_text(), "app.vanillax.me.")
        self.assertEqual(params(record)[svcb.ParamKey.PORT].port, PORTS["https"])

    def test_no_https_where_none_is_served(self):
        for name in ("own.vanillax.me", "plain.vanillax.me", "none.vanillax.me",
                     f"_{PORTS['https'] + 1}._https.app.vanillax.me", "_https.app.vanillax.me"):
            with self.subTest(name=name):
                self.assert_nodata(self.ask(name, "HTTPS"))

    def test_svcb_and_a_cname_stay_without_data(self):
        self.assert_nodata(self.ask("app.vanillax.me", "SVCB"))
        self.assert_nodata(self.ask("alias.vanillax.me", "HTTPS"))
        self.assertEqual(data(self.ask("alias.vanillax.me", "A").answer, "A"), ["127.0.0.2"])

    def test_explain_follows_a_url_to_its_route(self):
        status, out, err = run("explain", f"https://app.vanillax.me:{PORTS['https']}/x", "-c",
                               self.postern.config_path)
        self.assertEqual(status, 0, out + err)
        self.assert_says(out, "publish_dns", "127.0.0.2", "HTTPS 1 app.vanillax.me. alpn=",
                         f"HTTPS on 127.0.0.2:{PORTS['https']}", "tls/tls.crt", "refused at once",
                         "200, text/plain, 3 bytes")


class Views(Shared):
    """What is written for one view takes a published name from nobody else."""
    RECORDS = PUBLIC + """
    zone.vanillax.me.  300 A     203.0.113.4
    zone.vanillax.me.  300 HTTPS 1 . alpn="h3,h2" ech="AEX+DQBB"
    """
    FILES = {**FILES, "guests.zone": """
        $TTL 60
        @ SOA ns.example. admin.zone.vanillax.me. 1 3600 600 86400 60
        @ NS ns.example.
        @ A 192.168.77.1
        """}
    CONFIG = CONFIG.replace('"app.vanillax.me", ', '"app.vanillax.me", "zone.vanillax.me", "led.vanillax.me", ') + """
    [[dns.view]]
    name = "guests"
    clients = ["127.0.0.8/32"]

    [[dns.view]]
    name = "lan"
    clients = ["127.0.0.7/32"]

    [[dns.override]]
    names = ["app.vanillax.me"]
    address = ["192.168.77.2"]
    views = ["guests"]

    [[dns.override]]
    names = ["led.vanillax.me"]
    forward = true
    views = ["guests"]

    [[dns.zone]]
    name = "zone.vanillax.me"
    file = "guests.zone"
    views = ["guests"]
    """

    def test_in_the_view_what_is_written_for_it(self):
        for name, address in (("app", "192.168.77.2"), ("zone", "192.168.77.1")):
            reply = self.ask(f"{name}.vanillax.me", source="127.0.0.8")
            self.assertEqual(data(reply.answer, "A"), [address])
            self.assert_nodata(self.ask(f"{name}.vanillax.me", "HTTPS", source="127.0.0.8"))
        self.assert_rcode(self.ask("led.vanillax.me", source="127.0.0.8"), "NXDOMAIN")

    def test_elsewhere_the_address_of_the_listener_and_no_record_from_outside(self):
        for source in ("127.0.0.1", "127.0.0.7"):
            for name in ("app.vanillax.me", "zone.vanillax.me", "led.vanillax.me"):
                with self.subTest(name, source=source):
                    self.assertEqual(data(self.ask(name, source=source).answer, "A"), ["127.0.0.2"])
                    record = self.ask(name, "HTTPS", source=source).answer[0][0]
                    self.assertEqual(params(record)[svcb.ParamKey.ALPN].ids, (b"h2", b"http/1.1"))
                    self.assertNotIn(svcb.ParamKey.ECH, params(record))


class ExplainCertificate(Case):
    CONFIG = """
    [[tls.certificate]]
    name = "one"
    cert = "one.crt"
    key  = "one.key"
    [[tls.certificate]]
    name = "all"
    cert = "all.crt"
    key  = "all.key"
    [[gateway.listener]]
    name         = "internal"
    address      = ["127.0.0.2"]
    certificates = ["all", "one"]
    [[gateway.route]]
    hostnames = ["app.one.example", "b.example"]
    respond   = { status = 200 }
    [[dns.override]]
    names   = ["quiet.one.example"]
    address = ["127.0.0.2"]
    https   = "none"
    """

    def test_explain_says_which_certificate_is_shown(self):
        files = {"one.crt": "app.one.example", "all.crt": "*.one.example"}
        with tempfile.TemporaryDirectory() as folder:
            for file, name in files.items():
                pair = certificate(name)
                for made, text in pair.items():
                    pathlib.Path(folder, file).with_suffix(pathlib.Path(made).suffix).write_text(text)
            path = pathlib.Path(folder, "postern.toml")
            path.write_text(self.CONFIG)

            def said(url):
                status, out, err = run("explain", url, "-c", path)
                self.assertEqual(status, 0, out + err)
                return out

            self.assertRegex(said("https://app.one.example/"), r"(?m)^ *tls +one \(.*, for app\.one\.example$")
            out = said("https://quiet.one.example/")
            self.assertRegex(out, r"(?m)^ *tls +all \(.*, for \*\.one\.example$")
            self.assertRegex(out, r"(?m)^ *https +a query for HTTPS gets no data")
            self.assertRegex(said("https://b.example/"),
                             r"(?m)^ *tls +none of the certificates all, one has the name: .*unrecognized_name")
            self.assertRegex(said("https://127.0.0.2/"), r"(?m)^ *tls +all \(")


class Reloaded(Case):
    def test_a_reload_publishes_and_withdraws(self):
        with Postern(CONFIG, files=FILES) as postern:
            self.assertEqual(data(postern.ask("app.vanillax.me").answer, "A"), ["127.0.0.2"])
            postern.reload(config=CONFIG.replace("app.vanillax.me", "new.vanillax.me"))
            self.assertEqual(data(postern.ask("new.vanillax.me").answer, "A"), ["127.0.0.2"])
            self.assertEqual(records(postern.ask("app.vanillax.me").answer), [])


class Renewed(Case):
    def test_the_record_goes_with_the_name_of_the_certificate_and_comes_back_with_it(self):
        override = table("dns.override", {"names": ["cam.vanillax.me"], "address": ["127.0.0.1"], "https": "gateway"})
        with Gateway(route(hosts=[HOST, "nas.vanillax.me"], respond={}), config=override) as gateway:
            def published(name):
                reply = gateway.ask(name, "HTTPS")
                if reply.answer:
                    self.assertEqual(dict(reply.answer[0][0].params)[svcb.ParamKey.PORT].port, gateway.https_port)
                else:
                    self.assert_nodata(reply)
                return len(reply.answer) == 1

            def check(lost):
                for name in ("cam.vanillax.me", "nas.vanillax.me"):
                    wait_until(f"HTTPS of {name}", lambda name=name: published(name) != lost)
                    self.assertEqual(gateway.answer(name), ["127.0.0.1"])
                self.assertTrue(published(HOST))
            check(lost=False)
            for _ in range(2):
                mark = len(gateway.log)
                gateway.new_certificate("lan", HOST)
                gateway.wait_log(" certificate_narrowed: lan .* without cam.vanillax.me, nas.vanillax.me, ", mark)
                check(lost=True)
                gateway.new_certificate("lan", "*.vanillax.me")
                check(lost=False)


if __name__ == "__main__":
    unittest.main()
