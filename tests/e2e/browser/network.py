"""Three network namespaces, made by the test and removed at its end:

    edge    198.51.100.10 web server with HTTP/1.1, 2 and 3; 198.51.100.53 the public DNS
    lan     192.168.10.50 Postern, nameserver and gateway; 192.168.10.1 the router
    client  198.51.100.200 outside or 192.168.10.100 at home

No namespace has a route out of the lab. Needs root with CAP_NET_ADMIN and CAP_SYS_ADMIN."""

import base64
import contextlib
import ctypes
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import textwrap
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from gateway_backends import authority, is_open, temporary_directory  # noqa: E402
from lab import BINARY, Postern, Upstream, wait_until  # noqa: E402
from pages import Pages  # noqa: E402

ZONE = "vanillax.me"
WEB, DNS, OUTSIDE, WAN = "198.51.100.10", "198.51.100.53", "198.51.100.200", "198.51.100.2"
GATEWAY, ROUTER, HOME = "192.168.10.50", "192.168.10.1", "192.168.10.100"
OUTER_NAME = "cloudflare-ech.com"
CLONE_NEWNET = 0x40000000


def sh(*words, **options):
    """Runs a command; its output. What it said goes with the error."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False,
                          timeout=60, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


def inside(namespace, action):
    """The value of `action()` on a thread in the namespace: sockets it makes stay there, and so do
    threads that it starts."""
    result = []

    def work():
        try:
            with open(f"/run/netns/{namespace}", "rb") as handle:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"setns {namespace}")
            result.append((action(), None))
        except BaseException as error:  # pylint: disable=broad-except
            result.append((None, error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    value, error = result[0]
    if error is not None:
        raise error
    return value


def why_not():
    """Why namespaces cannot be made here; "" when they can."""
    name = f"pt{os.getpid()}-try"
    try:
        sh("ip", "netns", "add", name)
        sh("ip", "netns", "del", name)
    except (AssertionError, OSError) as error:
        return str(error)
    return ""


def ech_config():
    """An ECHConfigList with a key that nobody here has, in base64."""
    key = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    name = OUTER_NAME.encode()
    content = (b"\x07\x00\x20" + struct.pack("!H", len(key)) + key + b"\x00\x04\x00\x01\x00\x01\x00"
               + bytes([len(name)]) + name + b"\x00\x00")
    config = b"\xfe\x0d" + struct.pack("!H", len(content)) + content
    return base64.b64encode(struct.pack("!H", len(config)) + config).decode()


def public_records(names):
    """Zone lines for {name: kind}: "alt" has only A, "record" an HTTPS record with h3, "ech" one with
    ech too; "leak" is "ech" with the gateway's address."""
    lines = []
    for name, kind in names.items():
        lines.append(f"{name}. 5 A {GATEWAY if kind == 'leak' else WEB}")
        if kind == "alt":
            continue
        ech = f" ech={ech_config()}" if kind in ("ech", "leak") else ""
        lines.append(f"{name}. 5 HTTPS 1 . alpn=h3,h2 ipv4hint={WEB}{ech}")
    return "\n".join(lines)


CADDYFILE = """
{
    auto_https off
    admin off
    servers {
        protocols h1 h2 h3
    }
}
https://:443 {
    tls edge.crt edge.key
    @alt not header_regexp Host ^record
    header @alt Alt-Svc `h3=":443"; ma=86400`
    @record header_regexp Host ^record
    header @record -Alt-Svc
    header Cache-Control no-store
    header Content-Type text/html
    respond `<!doctype html><title>EDGE</title><link rel=icon href="data:,">edge`
}
"""

CONFIG = """
[[tls.certificate]]
name = "lan"
cert = "tls/lan.crt"
key = "tls/lan.key"

[[gateway.listener]]
name = "internal"
address = ["{gateway}"]
certificates = ["lan"]
{listener}

[[gateway.route]]
listeners = ["internal"]
hostnames = ["*.vanillax.me"]
backends = [{{ url = "http://127.0.0.1:8000" }}]

[[dns.forward]]
name = "."
upstreams = ["udp://{dns}"]
{more}
"""


class Network:
    """The namespaces and everything that runs in them, but no browser."""

    def __init__(self, names):
        self.directory = temporary_directory("postern-browser-")
        self.names = names
        prefix = f"pt{os.getpid()}"
        self.edge, self.lan, self.client = (f"{prefix}-{one}" for one in ("edge", "lan", "client"))
        self.ends = contextlib.ExitStack()
        self.postern = None

    def __enter__(self):
        with contextlib.ExitStack() as ends:
            self.ends = ends
            self._make_namespaces()
            self._make_client()
            self._start_edge()
            pages = inside(self.lan, lambda: Pages(("127.0.0.1", 8000)))
            ends.callback(pages.stop)
            ends.callback(self.stop_postern)
            self.pages = pages
            self.ends = ends.pop_all()
        return self

    def __exit__(self, *error):
        self.ends.close()

    def _make_namespaces(self):
        for name in (self.edge, self.lan, self.client):
            sh("ip", "netns", "add", name)
            self.ends.callback(sh, "ip", "netns", "del", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        for name, bridge, addresses in ((self.edge, "wan", (WEB, DNS)), (self.lan, "lan", (ROUTER, GATEWAY))):
            sh("ip", "-n", name, "link", "add", bridge, "type", "bridge")
            for address in addresses:
                sh("ip", "-n", name, "addr", "add", f"{address}/24", "dev", bridge)
            sh("ip", "-n", name, "link", "set", bridge, "up")
        self._plug(self.lan, "up0", self.edge, "wan")
        sh("ip", "-n", self.lan, "addr", "add", f"{WAN}/24", "dev", "up0")
        sh("ip", "-n", self.lan, "link", "set", "up0", "up")
        sh("ip", "-n", self.edge, "route", "add", "192.168.10.0/24", "via", WAN)
        sh("ip", "netns", "exec", self.lan, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        # No address that comes a second after the link: a browser would take it for another move.
        sh("ip", "netns", "exec", self.client, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
           "net.ipv6.conf.default.disable_ipv6=1")
        self._plug(self.client, "out0", self.edge, "wan")
        self._plug(self.client, "home0", self.lan, "lan")
        counter = "udp dport 443 counter name quic;"
        table = "table inet lab {{ counter quic {{ }}; chain c {{ type filter hook {} priority 0; {} }}; }}"
        sh("ip", "netns", "exec", self.client, "nft", table.format("output", counter))
        sh("ip", "netns", "exec", self.lan, "nft", table.format("input", ""))
        sh("ip", "netns", "exec", self.lan, "nft",
           "add chain inet lab f { type filter hook forward priority 0; }")

    @staticmethod
    def _plug(one, name, other, bridge):
        sh("ip", "link", "add", name, "netns", one, "type", "veth", "peer", "name", f"p-{name}", "netns", other)
        sh("ip", "-n", other, "link", "set", f"p-{name}", "master", bridge, "up")

    def _make_client(self):
        """Browsers watch /etc for a new resolv.conf, and a bind mount of the one file never wakes them:
        the client has an /etc of its own."""
        self.etc, self.home = self.directory / "etc", self.directory / "home"
        unwanted = shutil.ignore_patterns("*shadow*", "ssh", "private", "netns", "resolv.conf")
        shutil.copytree("/etc", self.etc, symlinks=True, ignore=unwanted)
        trust = self.home / ".pki/nssdb"
        trust.mkdir(parents=True)
        sh("certutil", "-N", "-d", f"sql:{trust}", "--empty-password")
        sh("certutil", "-A", "-d", f"sql:{trust}", "-n", "lab", "-t", "C,,", "-i", authority().certificate)
        self.go_outside()

    def _start_edge(self):
        self.upstream = upstream = inside(self.edge, lambda: Upstream(public_records(self.names), DNS, 53, 5))
        self.ends.callback(upstream.stop)
        certificate, key = authority().leaf(f"*.{ZONE}", "*.third.example", OUTER_NAME)
        (self.directory / "edge.crt").write_text(certificate)
        (self.directory / "edge.key").write_text(key)
        (self.directory / "Caddyfile").write_text(CADDYFILE)
        with open(self.directory / "caddy.log", "wb") as log:
            caddy = subprocess.Popen(
                ["ip", "netns", "exec", self.edge, "env", f"HOME={self.directory}", "caddy", "run", "--config",
                 "Caddyfile", "--adapter", "caddyfile"], cwd=self.directory, stdout=log, stderr=log)
        self.ends.callback(end, caddy)
        wait_until("caddy", lambda: inside(self.edge, lambda: is_open(443, WEB)), 20)

    # Postern.

    def serve(self, listener="", more="", dns=""):
        """Postern anew, with these lines in its listener, in [dns], and at the end."""
        self.stop_postern()
        config = textwrap.dedent(CONFIG).format(gateway=GATEWAY, dns=DNS, listener=listener, more=more)
        self.postern = HomePostern(self.lan, config, dns)
        self.postern.start()

    def stop_postern(self):
        if self.postern is not None:
            self.postern.__exit__(None, None, None)
            self.postern = None

    def statuses(self, host, since=0):
        """What the gateway's requests for the host were answered with, in their order, from this line of its
        log on."""
        lines = "\n".join(self.postern.log[since:])
        return re.findall(rf" host={re.escape(host)} .*? status=(\d+) ", lines)

    def drop_quic(self, drop):
        """The firewall of the gateway drops UDP to 443, or lets it through."""
        sh("ip", "netns", "exec", self.lan, "nft", "flush chain inet lab c")
        if drop:
            sh("ip", "netns", "exec", self.lan, "nft", "add rule inet lab c udp dport 443 drop")

    # The client.

    def quic_packets(self):
        """UDP packets to port 443 that the client has sent."""
        said = sh("ip", "netns", "exec", self.client, "nft", "-j", "list", "counter", "inet", "lab", "quic")
        return next(one["counter"]["packets"] for one in json.loads(said)["nftables"] if "counter" in one)

    def go_outside(self):
        self._move("home0", "out0", OUTSIDE, WEB)
        self.resolve_by(DNS)

    def go_home(self, resolver=GATEWAY):
        self._move("out0", "home0", HOME, ROUTER)
        self.resolve_by(resolver)

    def resolve_by(self, address):
        """The client's resolver. At home no other is reached: Firefox goes on asking the old one for HTTPS
        records while it answers."""
        (self.etc / "resolv.conf").write_text(f"nameserver {address}\n")
        sh("ip", "netns", "exec", self.lan, "nft", "flush chain inet lab f")
        if address == GATEWAY:
            sh("ip", "netns", "exec", self.lan, "nft", f"add rule inet lab f ip saddr {HOME} udp dport 53 reject")

    def _move(self, away, here, address, router):
        ip = ("ip", "-n", self.client)
        sh(*ip, "link", "set", away, "down")
        sh(*ip, "addr", "flush", "dev", away)
        sh(*ip, "addr", "replace", f"{address}/24", "dev", here)
        sh(*ip, "link", "set", here, "up")
        sh(*ip, "route", "replace", "default", "via", router)

    def as_client(self, *command):
        """The words that run a command as the client."""
        return ["ip", "netns", "exec", self.client, "sh", "-c", 'mount --bind "$0" /etc && exec "$@"',
                str(self.etc), "env", f"HOME={self.home}", "LC_ALL=C", *map(str, command)]


class HomePostern(Postern):
    """Postern in the namespace of the LAN."""

    def __init__(self, namespace, config, dns):
        super().__init__(config, dns=dns, binary="ip", listen=[f"{GATEWAY}:53"])
        self.namespace = namespace
        self.address, self.port = GATEWAY, 53
        self.arguments = ["netns", "exec", namespace, BINARY, "run", "-c", str(self.config_path)]
        certificate, key = authority().leaf(f"*.{ZONE}", ZONE)
        self.write("tls/lan.crt", certificate)
        self.write("tls/lan.key", key)

    def _answers(self):
        return inside(self.namespace, lambda: super(HomePostern, self)._answers() and is_open(443, GATEWAY))


def end(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
