"""What postern check says about DNS-01, and what is true: each configuration is checked, and served to a client that looks for its
challenge as cert-manager does before it asks for a certificate."""

import textwrap
import unittest

import dns.name
import dns.rdatatype

from gateway_backends import authority
from lab import Case, Postern, Upstream, free_port, run

TOKEN = "a-token-that-is-new"
PUBLIC = """
    me.                                   300 SOA   a.nic.me. host.nic.me. 1 3600 600 86400 60
    vanillax.me.                          300 SOA   ns.dns.example. host.dns.example. 1 3600 600 86400 60
    vanillax.me.                          300 NS    ns.dns.example.
    _acme-challenge.vanillax.me.           60 TXT   "{token}"
    _acme-challenge.nas.vanillax.me.       60 TXT   "{token}"
    _acme-challenge.kept.vanillax.me.      60 CNAME kept.acme.example.
    kept.acme.example.                     60 TXT   "{token}"
    acme.example.                         300 SOA   ns.acme.example. host.acme.example. 1 3600 600 86400 60
    acme.example.                         300 NS    ns.acme.example.
    """.replace("{token}", TOKEN)
ZONE = """
    $TTL 60
    @ SOA ns hostmaster 1 1h 10m 1d 60
    @ NS ns
    ns A 192.168.10.2
    nas A 192.168.10.20
    """
WILD, APEX, NAS, CHALLENGE = "*.vanillax.me", "vanillax.me", "nas.vanillax.me", "_acme-challenge.vanillax.me"


def override(*names, **keys):
    keys = {"address": '["192.168.10.50"]', **keys}
    text = "".join(f"{key} = {value}\n" for key, value in keys.items() if value)
    return f"[[dns.override]]\nnames = [{', '.join(map(repr, names))}]\n{text}"


def exception(*names):
    return override(*names, address=None, forward="true")


def zone(*more, name=APEX, keys=""):
    return f'[[dns.zone]]\nname = "{name}"\nfile = "local.zone"\n{keys}', textwrap.dedent(ZONE) + "\n".join(more) + "\n"


NONE = {"other": '"none"'}
CNAME = {"address": None, "cname": '"proxy.example"'}


class WithGateway(Postern):
    """With a listener on 127.0.0.1 and a certificate for `names`."""

    def __init__(self, config, names=(WILD,), **options):
        super().__init__(config, **options)
        for suffix, text in zip(("crt", "key"), authority().leaf(*names)):
            self.write(f"lan.{suffix}", text)
        listener = f'name = "lan"\naddress = ["127.0.0.1"]\nhttp = 0\nhttps = {free_port()}\ncertificates = ["lan"]\n'
        self.parts["config"] = ('[[tls.certificate]]\nname = "lan"\ncert = "lan.crt"\nkey = "lan.key"\n'
                                f"[[gateway.listener]]\n{listener}{config}")


class SelfCheck:
    """By the resolver alone; what cert-manager asks (CNAME, then SOA upwards, NS, TXT), and in this order."""

    def __init__(self, postern, source=None):
        self.postern, self.source = postern, source

    def answers(self, name, rdtype):
        reply = self.postern.ask(name, rdtype, source=self.source)
        return [(str(rrset.name), rdata) for rrset in reply.answer for rdata in rrset
                if rrset.rdtype == dns.rdatatype.from_text(rdtype)]

    def zone_of(self, name):
        while name != dns.name.root:
            reply = self.postern.ask(name, "SOA", source=self.source)
            if not any(rrset.rdtype == dns.rdatatype.CNAME for rrset in reply.answer):
                found = [rrset.name for rrset in reply.answer if rrset.rdtype == dns.rdatatype.SOA]
                if found:
                    return found[0]
            name = name.parent()
        return None

    def problem(self, host):
        """None when the challenge of this host is seen."""
        name = dns.name.from_text(f"_acme-challenge.{host.removeprefix('*.')}")
        for _ in range(5):
            aliases = self.answers(name, "CNAME")
            if not aliases:
                break
            name = aliases[0][1].target
        apex = self.zone_of(name)
        if apex is None or len(apex) < 3:
            return f"the zone of {name} is said to be {apex}"
        if not self.answers(apex, "NS"):
            return f"{apex} has no NS"
        seen = [b"".join(rdata.strings).decode() for _, rdata in self.answers(name, "TXT")]
        return None if TOKEN in seen else f"TXT of {name} is {seen}"


class Challenges(Case):
    @classmethod
    def setUpClass(cls):
        cls.up = Upstream(PUBLIC)

    @classmethod
    def tearDownClass(cls):
        cls.up.stop()

    def agree(self, config, host, wanted, source=None, server=Postern, **options):
        """`wanted`: a part of the one warning, or None when all is well; for both the client has the last word."""
        config, local = config if isinstance(config, tuple) else (config, "")
        with self.subTest(config=config, host=host, source=source), \
                server(config + self.up.forward(), files={"local.zone": local}, **options) as postern:
            said, wrong = self.warned(postern), SelfCheck(postern, source).problem(host)
            if wanted is None:
                self.assertEqual((said, wrong), ([], None))
            else:
                self.assertEqual(len(said), 1, said)
                self.assertIn(wanted, said[0])
                self.assertIsNotNone(wrong)

    def warned(self, postern):
        status, out, err = run("check", "-c", postern.config_path)
        self.assertEqual(status, 0, out + err)
        return [line for line in out.splitlines() if "DNS-01" in line]

    def test_an_override(self):
        self.agree(override(WILD), NAS, None)
        self.agree(override(WILD), WILD, None)
        self.agree(override(APEX, WILD), WILD, None)
        self.agree(override(WILD), "kept.vanillax.me", None)
        self.agree(override(NAS, **NONE), NAS, None)
        self.agree(override(WILD, **NONE), WILD, f'"none" hides TXT of \'{CHALLENGE}\'')
        self.agree(override(WILD, **NONE), WILD, f"or add an override for '{CHALLENGE}' with forward = true")
        self.agree(override(NAS) + override(WILD, **NONE), NAS, "hides TXT of '_acme-challenge.")

    def test_an_override_with_an_exception(self):
        self.agree(override(WILD, **NONE) + exception(CHALLENGE), WILD, None)
        self.agree(override(WILD, **NONE) + exception("_acme-challenge.nas.vanillax.me"), NAS, None)
        self.agree(override(WILD, **NONE) + exception("*.nas.vanillax.me"), WILD, "hides TXT")

    def test_an_override_of_the_zone_itself(self):
        hidden = "\"none\" hides SOA and NS of 'vanillax.me'"
        self.agree(override(APEX, **NONE), APEX, hidden)
        self.agree(override(APEX, WILD, **NONE) + exception(CHALLENGE), WILD, hidden)
        self.agree(override(APEX, WILD, **NONE), WILD, 'write "forward"')

    def test_an_override_with_cname(self):
        self.agree(override(WILD, **CNAME), NAS, None)
        self.agree(override(WILD, **CNAME), "kept.vanillax.me", None)
        self.agree(override(WILD, **CNAME, **NONE), WILD, "hides TXT")

    def test_an_override_in_a_view(self):
        view = '[[dns.view]]\nname = "guests"\nclients = ["127.0.0.2/32"]\n'
        guests = view + override(WILD, views='["guests"]', **NONE)
        self.agree(guests, WILD, "hides TXT", source="127.0.0.2")
        self.agree(guests + exception(CHALLENGE), WILD, None, source="127.0.0.2")
        self.agree(view + override(WILD, views='["guests"]'), WILD, None, source="127.0.0.2")

    def test_a_zone(self):
        absent = f"'vanillax.me' has no TXT of '{CHALLENGE}'"
        self.agree(zone(), APEX, absent)
        self.agree(zone(), NAS, absent)
        self.agree(zone(keys="fallthrough = true"), NAS, None)
        self.agree(zone("_acme-challenge.nas CNAME kept.acme.example."), NAS, None)
        self.agree(zone("_acme-challenge NS ns.acme.example."), APEX, absent)
        self.agree(zone("_acme-challenge NS ns.acme.example.", keys="fallthrough = true"), APEX, None)
        self.agree((zone()[0] + exception(CHALLENGE), zone()[1]), WILD, None)
        self.agree((zone()[0] + exception("_acme-challenge.nas.vanillax.me"), zone()[1]), NAS, None)

    def test_a_gateway(self):
        here, there = '["127.0.0.1"]', '["192.168.10.60"]'
        self.agree(override(WILD, address=here), WILD, None, server=WithGateway)
        self.agree(override(WILD, address=here, **NONE), WILD, "hides TXT", server=WithGateway)
        self.agree(override(WILD, address=here, **NONE) + exception(CHALLENGE), WILD, None, server=WithGateway)
        self.agree(zone(), WILD, "no TXT", server=WithGateway)
        self.agree(zone(keys="fallthrough = true"), WILD, None, server=WithGateway)
        for names in (("box.vanillax.net",), (WILD,)):  # of the certificate: of neither machine, or of that one
            self.agree(override(WILD, address=there, **NONE), WILD, "hides TXT", server=WithGateway, names=names)
            self.agree(override(WILD, address=there), WILD, None, server=WithGateway, names=names)

    def test_what_no_certificate_is_for(self):
        local = zone(name="home.arpa")
        public = zone()[0], ZONE.replace("192.168.10.", "203.0.113.")
        blocked = override("*.ads.vanillax.net", address='["0.0.0.0", "::"]', **NONE)
        delegated = public[0], public[1] + "_acme-challenge NS ns.acme.example.\n"
        example = zone(name="example.org")
        for config, text in ((override("*.home.arpa", **NONE), ""), local, public, delegated, example, (blocked, "")):
            with self.subTest(config=config), Postern(config + self.up.forward(), files={"local.zone": text}) as postern:
                self.assertEqual(self.warned(postern), [])


if __name__ == "__main__":
    unittest.main()
