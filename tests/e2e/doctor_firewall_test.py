"""`postern doctor` on a device, with Postern on another machine and a firewall on the way, each in a network namespace
of its own:

    client  192.168.10.100  fd10::100   asks
    lan     192.168.10.50   fd10::50    Postern: nameserver and gateway, behind the chain "input"

Needs root with CAP_NET_ADMIN and CAP_SYS_ADMIN."""

import contextlib
import io
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import unittest
from unittest import mock

from gateway_backends import authority, temporary_directory
from gateway_lab import HOST
from lab import BINARY, SLOW, Case, Upstream, where_namespaces_work

sys.path.append(str(pathlib.Path(__file__).parent / "browser"))
from network import GATEWAY, HOME, ROUTER, HomePostern, inside, sh  # noqa: E402  pylint: disable=wrong-import-position

os.environ["PATH"] += ":/usr/sbin:/sbin"
GATEWAY6, HOME6 = "fd10::50", "fd10::100"
LAN, CLIENT = (f"pt{os.getpid()}-{name}" for name in ("lan", "client"))
CONFIG = f"""
    [[tls.certificate]]
    name = "lan"
    cert = "tls/lan.crt"
    key = "tls/lan.key"
    [[gateway.listener]]
    name = "internal"
    address = ["{GATEWAY}", "{GATEWAY6}"]
    certificates = ["lan"]
    [[gateway.route]]
    hostnames = ["{HOST}"]
    respond = {{ status = 200 }}
    """
TABLE = """
    table inet filter {{
        chain {hook} {{
            type filter hook {hook} priority 0
        }}
    }}
    """


def within(namespace, *words, **options):
    return sh("ip", "netns", "exec", namespace, *words, **options)


def make_network(ends):
    """The namespaces, with a cable between them; `ends` takes them away again."""
    for name in (LAN, CLIENT):
        sh("ip", "netns", "add", name)
        ends.callback(sh, "ip", "netns", "del", name)
        sh("ip", "-n", name, "link", "set", "lo", "up")
    sh("ip", "link", "add", "cable", "netns", LAN, "type", "veth", "peer", "name", "cable", "netns", CLIENT)
    for name, addresses, hook in ((LAN, (GATEWAY, GATEWAY6), "input"), (CLIENT, (HOME, HOME6), "output")):
        sh("ip", "-n", name, "addr", "add", f"{addresses[0]}/24", "dev", "cable")
        sh("ip", "-n", name, "addr", "add", f"{addresses[1]}/64", "dev", "cable", "nodad")
        sh("ip", "-n", name, "link", "set", "cable", "up")
        within(name, "nft", TABLE.format(hook=hook))
    within(LAN, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")


def why_not():
    """Why there can be no such network here; "" when there can."""
    try:
        with contextlib.ExitStack() as ends:
            make_network(ends)
    except (AssertionError, OSError) as error:
        return str(error)
    return ""


def load_tests(loader, _tests, _pattern):
    suite = loader.loadTestsFromTestCase(WithoutNamespaces)
    suite.addTests(firewall_tests(loader, why_not()))
    return suite


def firewall_tests(loader, reason):
    return where_namespaces_work(loader, reason, "FIREWALL", FirewallTest)


class WithoutNamespaces(Case):
    def outcome(self, reason, **environment):
        said = io.StringIO()
        with mock.patch.dict(os.environ, environment), contextlib.redirect_stdout(said):
            suite = firewall_tests(unittest.TestLoader(), reason)
            result = unittest.TestResult()
            if reason:
                suite.run(result)
        return suite.countTestCases(), len(result.failures), said.getvalue()

    def test_it_fails_in_ci_and_is_said_elsewhere(self):
        loud = "FIREWALL TESTS DID NOT RUN: no network namespaces here: no root\n"
        self.assertEqual(self.outcome("no root", CI="true"), (1, 1, loud))
        self.assertEqual(self.outcome("no root", CI=""), (0, 0, loud))
        count, failures, said = self.outcome("", CI="true")
        self.assertGreaterEqual(count, 5)
        self.assertEqual((failures, said), (0, ""))


class FirewallTest(Case):
    @classmethod
    def setUpClass(cls):
        ends = contextlib.ExitStack()
        cls.addClassCleanup(ends.close)
        make_network(ends)
        cls.postern = HomePostern(LAN, CONFIG, "")
        cls.postern.start()
        ends.callback(cls.postern.__exit__, None, None, None)
        cls.directory = temporary_directory("postern-doctor-")
        cls.resolv_conf = cls.directory / "resolv.conf"
        cls.resolv_conf.write_text(f"nameserver {GATEWAY}\n")
        cls.with_config = ["-c", cls.postern.config_path]
        cls.without = ["-c", cls.directory / "nowhere.toml", "--server", GATEWAY, HOST]

    def setUp(self):
        for name, hook in ((LAN, "input"), (CLIENT, "output")):
            within(name, "nft", "flush", "chain", "inet", "filter", hook)

    def rule(self, text, name=LAN, hook="input"):
        """This alone."""
        within(name, "nft", f"flush chain inet filter {hook}; add rule inet filter {hook} {text}")

    def broken(self, *arguments, name=CLIENT, resolv_conf=None, before="true"):
        """All that is not in order, as (verdict, layer, text, effect, remedy)."""
        words = [BINARY, "doctor", "--timeout", "1", "--json", "--cacert", authority().certificate, "--resolv-conf",
                 resolv_conf or self.resolv_conf, *arguments]
        done = subprocess.run(["ip", "netns", "exec", name, "sh", "-c", f"{before} && exec \"$@\"", "sh", *map(str, words)],
                              capture_output=True, text=True, check=False, timeout=30 * SLOW)
        self.assertIn(done.returncode, (0, 1), done.stdout + done.stderr)
        keys = "verdict", "layer", "text", "effect", "remedy"
        found = [tuple(one[key] for key in keys) for one in json.loads(done.stdout) if one["verdict"] != "ok"]
        self.assertEqual(done.returncode, int(any(one[0] == "red" for one in found)), found)
        return found

    def only(self, verdict, layer, text, effect, arguments):
        """One thing is not in order, and it is this one; the remedy."""
        found = self.broken(*arguments)
        self.assertEqual([one[:2] for one in found], [(verdict, layer)], found)
        self.assertRegex(found[0][2], text)
        self.assertRegex(found[0][3], effect)
        return found[0][4]

    def cured(self, remedy):
        """The line for the firewall, done as it stands there, is the remedy."""
        within(LAN, *shlex.split(re.search(r"nft insert rule .* accept", remedy)[0]))
        self.assertEqual(self.broken(*self.with_config), [])

    def test_without_rules_all_is_in_order(self):
        for arguments in (self.with_config, self.without):
            self.assertEqual(self.broken(*arguments), [])

    def test_udp_is_dropped(self):
        for family, address in (("ipv4", GATEWAY), ("ipv6", f"[{GATEWAY6}]")):
            for arguments in (self.with_config, self.without):
                with self.subTest(family, arguments=arguments):
                    self.rule(f"meta nfproto {family} udp dport 443 drop")
                    self.cured(self.only("red", "quic", rf"^UDP {re.escape(address)}:443 is silent: a firewall drops it",
                                         "ERR_QUIC_PROTOCOL_ERROR.*Firefox waits up to 60 s", arguments))

    def test_udp_is_dropped_on_the_device(self):
        self.rule("ip daddr 192.168.10.50 udp dport 443 drop", CLIENT, "output")
        self.only("red", "quic", "is silent: a firewall", "Firefox", self.without)

    def test_on_the_gateway_itself_no_firewall_is_seen(self):
        self.rule('iifname "cable" udp dport 443 drop')
        self.assertEqual(self.broken(*self.with_config, name=LAN), [])
        self.assertEqual([one[:2] for one in self.broken(*self.with_config)], [("red", "quic")] * 2)

    def test_udp_is_rejected(self):
        for family, address in (("ipv4", GATEWAY), ("ipv6", f"[{GATEWAY6}]")):
            for why in ("port-unreachable", "host-unreachable", "admin-prohibited"):
                with self.subTest(family, why=why):
                    self.rule(f"meta nfproto {family} udp dport 443 reject with icmpx type {why}")
                    self.cured(self.only("red", "quic", rf"^UDP {re.escape(address)}:443 is .*rejected \(ICMP\)",
                                         "Firefox does not look at ICMP", self.with_config))

    def test_a_second_nameserver(self):
        """It is worth a look, and red when it says something else, to this name or to all."""
        sh("ip", "-n", LAN, "addr", "add", f"{ROUTER}/24", "dev", "cable")
        self.addCleanup(sh, "ip", "-n", LAN, "addr", "del", f"{ROUTER}/24", "dev", "cable")
        both = self.directory / "both.conf"
        both.write_text(f"nameserver {GATEWAY}\nnameserver {ROUTER}\n")
        for records, verdict, said in ((f"{HOST}. 60 A {GATEWAY}", "warning", f"also asks {ROUTER}$"),
                                       (f"{HOST}. 60 A 203.0.113.9", "red", f"{ROUTER}, which leads {HOST} to 203.0.113.9$"),
                                       ("x.example. 60 A 203.0.113.9", "red", f"{ROUTER}, which leads {HOST} to NXDOMAIN$"),
                                       (None, "warning", f"also asks {ROUTER}$")):
            with self.subTest(said):
                upstream = records and inside(LAN, lambda records=records: Upstream(records, ROUTER, 53))
                try:
                    found = self.broken(*self.with_config, resolv_conf=both)
                finally:
                    if upstream:
                        upstream.stop()
                self.assertEqual([one[:2] for one in found], [(verdict, "bypass")], found)
                self.assertRegex(found[0][2], said)

    def test_tcp_is_dropped(self):
        for family, address in (("ipv4", GATEWAY), ("ipv6", f"[{GATEWAY6}]")):
            for arguments in (self.with_config, self.without):
                with self.subTest(family, arguments=arguments):
                    self.rule(f"meta nfproto {family} tcp dport 443 drop")
                    self.cured(self.only("red", "tcp", rf"^{re.escape(address)}:443: no answer in time, 1 s: a firewall",
                                         "can't be reached", arguments))

    def test_tcp_is_rejected(self):
        for how, said in (("reject with tcp reset", "Connection refused"),
                          ("reject with icmp type host-unreachable", "No route to host")):
            self.rule(f"ip daddr {GATEWAY} tcp dport 443 {how}")
            self.cured(self.only("red", "tcp", f"^{GATEWAY}:443: {said}$", "can't be reached", self.with_config))

    def test_queries_are_dropped(self):
        self.rule("udp dport 53 drop")
        self.only("red", "dns", f"^no answer from Postern at {GATEWAY}:53", "no page", self.without)

    def test_a_device_with_systemd_resolved(self):
        """The file that has its servers, where systemd puts it."""
        stub = self.directory / "stub"
        stub.write_text("nameserver 127.0.0.53\n")
        servers = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/resolve && " \
                  "printf 'nameserver %s\\n' {} >/run/systemd/resolve/resolv.conf"
        for also in ("", "192.168.10.1"):
            found = self.broken(*self.with_config, resolv_conf=stub, before=servers.format(f"{GATEWAY} {also}"))
            said = [("warning", "bypass", f"this machine also asks {also}")] if also else []
            self.assertEqual([one[:3] for one in found], said)


if __name__ == "__main__":
    unittest.main()
