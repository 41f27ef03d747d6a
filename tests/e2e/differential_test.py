"""The same zone and the same 10,000 queries to Postern, NSD and Knot: rcode, flags, answer and
authority are equal, or the difference is in the table of accepted ones, with its reason."""

import contextlib
import os
import pathlib
import random
import select
import shutil
import socket
import subprocess
import tempfile
import textwrap
import unittest

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

from lab import SLOW, Case, Postern, free_port, wait_until

QUERIES = 10000
SEED = 20260101
WINDOW = 64
APEX = "diff.example."
TYPES = ("A A A AAAA AAAA TXT MX NS SOA CNAME DNAME SRV HTTPS SVCB PTR CAA NAPTR TLSA DS DNSKEY "
         "NSEC RRSIG TYPE65400 TYPE1234 ANY").split()


# --- the zone ---------------------------------------------------------------------------------


def make_zone(rng):
    """A zone with every kind of node that RFC 1034, 4592 and 6672 speak of, and more of each."""
    lines = ["$TTL 3600", "@ 7200 IN SOA ns1 hostmaster 2026010101 7200 900 1209600 300",
             "@ IN NS ns1", "@ IN NS ns2", "@ IN MX 10 mail", "@ IN MX 20 mail2", "@ IN A 192.0.2.1",
             '@ IN TXT "v=spf1 -all" "second string"', "@ IN CAA 0 issue \"ca.example.net\"",
             "ns1 IN A 192.0.2.53", "ns1 IN AAAA 2001:db8::53", "ns2 IN A 192.0.2.54",
             "mail IN A 192.0.2.25", "mail2 IN AAAA 2001:db8::25"]
    for i in range(60):
        ttl = rng.choice(["", "60", "86400"])
        lines.append(f"host{i} {ttl} IN A 192.0.2.{i}")
        if i % 5 == 0:
            lines += [f"host{i} {ttl} IN A 198.51.100.{j}" for j in range(i % 7)]
        if i % 2:
            lines.append(f"host{i} IN AAAA 2001:db8::{i:x}")
        if i % 6 == 0:
            lines.append(f'host{i} IN HTTPS 1 . alpn="h2" ipv4hint=192.0.2.{i}')
        if i % 7 == 0:
            lines.append(f"host{i} IN TYPE65400 \\# 3 0a0b{i:02x}")
    for i in range(20):  # empty non-terminals, at several depths
        lines.append(f"leaf.b{i}.a{i % 3}.ent{i % 5} IN A 203.0.113.{i}")
    for i in range(8):  # wildcards, beside names that are there, below ENTs, as CNAME
        lines += [f"*.wild{i} IN A 192.0.2.{100 + i}", f'*.wild{i} IN TXT "wild {i}"',
                  f"there.wild{i} IN AAAA 2001:db8:1::{i:x}", f"deep.er.wild{i} IN A 192.0.2.{120 + i}",
                  f"*.walias{i} IN CNAME host{i}", f"*.sub.ent{i % 5} IN MX {i} mail"]
    lines += ["a.*.star IN A 192.0.2.130", "*.star IN TXT \"asterisk\"", "wloop IN CNAME x.wild0"]
    for i in range(20):  # chains, to what is there and to what is not
        target = f"alias{i + 1}" if i % 4 else f"host{i}"
        lines.append(f"alias{i} {30 + i} IN CNAME {target}")
    lines += ["alias20 IN CNAME nowhere", "nodata IN CNAME mail2", "tocut IN CNAME www.cut1",
              "towild IN CNAME any.wild3", "todname IN CNAME host1.dn1", "toapex IN CNAME @"]
    for i in range(4):  # DNAMEs
        lines += [f"dn{i} IN DNAME {'@' if i == 0 else f'tree{i}'}", f"host1.tree{i} IN A 203.0.113.{50 + i}",
                  f"*.w.tree{i} IN A 203.0.113.{60 + i}", f"dn{i} IN TXT \"beside a DNAME\""]
    lines += ["dnlong IN DNAME a-name-that-is-so-much-longer-than-the-other.tree1", "dnchain IN DNAME dn1"]
    for i in range(6):  # delegations, with glue inside, beside and none
        lines += [f"cut{i} IN NS ns.cut{i}", f"ns.cut{i} IN A 198.51.100.{i}", f"cut{i} IN NS ns1",
                  f"cut{i} IN NS ns.elsewhere.invalid."]
    lines += ["glueless IN NS ns.glueless2", "glueless2 IN NS ns.glueless2",
              "ns.glueless2 IN AAAA 2001:db8:2::1", "secure IN NS ns1",
              "secure IN DS 1234 13 2 " + "ab" * 32, "in.deep.cut IN NS ns1"]
    for i in range(6):
        lines += [f"_sip._tcp{i} IN SRV {i} 1 5060 host{i}", f"svc{i} IN SVCB {i} host{i}" +
                  ("" if i == 0 else ' alpn="h2" port=8443'),
                  f"{i}.rev IN PTR host{i}", f'na{i} IN NAPTR 10 {i} "u" "E2U+sip" "!^.*$!sip:a@b!" .']
    lines += ["MiXed.CaSe IN A 192.0.2.200", r"do\.t IN A 192.0.2.201", r"byte\001 IN A 192.0.2.202",
              "_443._tcp.host1 IN TLSA 3 1 1 " + "cd" * 32, "away IN CNAME www.elsewhere.invalid.",
              "under_score IN A 192.0.2.203"]
    return "\n".join(lines) + "\n"


def make_queries(zone, rng):
    """Names of the zone, names near them, and names that are nowhere, with types and flags."""
    owners = sorted({line.split()[0] for line in zone.splitlines() if not line.startswith("$")})
    made = []
    while len(made) < QUERIES:
        owner = rng.choice(owners)
        name = dns.name.from_text(APEX if owner == "@" else f"{owner}.{APEX}")
        kind = rng.random()
        if kind < 0.2:
            labels = [rng.choice([b"x", b"host1", b"a", b"*", b"www", b"no", b"there", b"w"])]
            labels += [b"y"] if rng.random() < 0.3 else []
            name = dns.name.Name(labels + list(name.labels))
        elif kind < 0.3 and len(name) > 4:
            name = name.parent()
        elif kind < 0.36:
            name = dns.name.from_text(f"no{rng.randrange(1000)}.{APEX}")
        elif kind < 0.38:
            name = dns.name.from_text(".".join(["l" * rng.choice([58, 63])] * 3 + ["dnlong"]) + "." + APEX)
        if rng.random() < 0.1:
            name = dns.name.from_text(name.to_text().swapcase())
        query = dns.message.make_query(name, rng.choice(TYPES))
        query.id = len(made)
        query.flags = rng.choice([0, dns.flags.RD])
        if rng.random() < 0.6:
            query.use_edns(0, payload=rng.choice([512, 1232, 4096]))
        made.append(query)
    return made


# --- the servers ------------------------------------------------------------------------------


@contextlib.contextmanager
def server(arguments, port, directory):
    """A name server as a process in the foreground, until it has answered and then for the block."""
    with open(directory / "said", "wb") as said:
        process = subprocess.Popen(arguments, stdout=said, stderr=said, cwd=directory)
    try:
        def answers():
            if process.poll() is not None:
                raise AssertionError((directory / "said").read_text(encoding="utf-8"))
            with contextlib.suppress(OSError, dns.exception.DNSException):
                reply = dns.query.udp(dns.message.make_query(APEX, "SOA"), "127.0.0.1", port=port,
                                      timeout=0.2)
                return reply.rcode() == dns.rcode.NOERROR
            return False
        wait_until(f"{arguments[0]} to serve", answers, 20)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def tool(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    assert found, f"{name} is not installed"
    return found


def nsd(directory, zone):
    directory = directory / "nsd"
    directory.mkdir()
    port = free_port()
    (directory / "zone").write_text(zone)
    (directory / "nsd.conf").write_text(textwrap.dedent(f"""\
        server:
          ip-address: 127.0.0.1@{port}
          server-count: 1
          username: ""
          database: ""
          zonesdir: "{directory}"
          zonelistfile: "{directory}/zone.list"
          xfrdfile: "{directory}/xfrd.state"
          xfrdir: "{directory}"
          pidfile: "{directory}/pid"
          minimal-responses: yes
          rrl-ratelimit: 0
        remote-control:
          control-enable: no
        zone:
          name: "{APEX}"
          zonefile: "zone"
        """))
    return server([tool("nsd"), "-d", "-c", str(directory / "nsd.conf")], port, directory)


def knot(directory, zone):
    directory = directory / "knot"
    directory.mkdir()
    port = free_port()
    (directory / "zone").write_text(zone)
    (directory / "knot.conf").write_text(textwrap.dedent(f"""\
        server:
          rundir: "{directory}"
          listen: 127.0.0.1@{port}
          udp-workers: 1
          tcp-workers: 1
          background-workers: 1
        database:
          storage: "{directory}"
        control:
          listen: "{directory}/sock"
        log:
          - target: stderr
            any: warning
        zone:
          - domain: {APEX}
            file: "{directory}/zone"
            storage: "{directory}"
            zonefile-sync: -1
            journal-content: none
        """))
    return server([tool("knotd"), "-c", str(directory / "knot.conf")], port, directory)


def ask_all(port, queries):
    """The replies by id. A window of queries is under way at any time; lost ones are sent again."""
    replies = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.connect(("127.0.0.1", port))
        channel.setblocking(False)
        for _ in range(4):
            waiting = [query for query in queries if query.id not in replies]
            for start in range(0, len(waiting), WINDOW):
                batch = waiting[start:start + WINDOW]
                for query in batch:
                    channel.send(query.to_wire())
                missing = {query.id for query in batch}
                while missing and select.select([channel], [], [], 1.0 * SLOW)[0]:
                    wire = channel.recv(65535)
                    number = int.from_bytes(wire[:2], "big")
                    replies[number] = wire
                    missing.discard(number)
    return replies


# --- what is compared, and what may differ ----------------------------------------------------


class Said:
    """What of a reply has to be equal."""

    def __init__(self, wire):
        reply = dns.message.from_wire(wire)
        self.flags = reply.flags & (dns.flags.AA | dns.flags.TC | dns.flags.RD | dns.flags.AD)
        self.rcode = dns.rcode.to_text(reply.rcode())
        self.answer = self.section(reply.answer)
        self.authority = self.section(reply.authority)
        self.question = wire[12:12 + len(reply.question[0].name.to_wire()) + 4]

    @staticmethod
    def section(section):
        return sorted((rrset.name.to_text().lower(), rrset.ttl, dns.rdatatype.to_text(rrset.rdtype),
                       rdata.to_text().lower()) for rrset in section for rdata in rrset)

    def key(self):
        return (self.flags, self.rcode, self.answer, self.authority, self.question)

    def __str__(self):
        return (f"{self.rcode} {dns.flags.to_text(self.flags)}\n    answer {self.answer}\n"
                f"    authority {self.authority}")


def is_any(query, _ours, _theirs):
    return query.question[0].rdtype == dns.rdatatype.ANY


def leaves_the_zone(_query, ours, theirs):
    return any("elsewhere.invalid." in row[3] for row in theirs.answer) \
        and set(theirs.answer) <= set(ours.answer)


def is_truncated(_query, ours, theirs):
    return ours.flags & theirs.flags & dns.flags.TC


def is_dnssec_type_at_a_cname(query, _ours, theirs):
    return query.question[0].rdtype in (dns.rdatatype.RRSIG, dns.rdatatype.NSEC) \
        and not any(row[2] == "CNAME" for row in theirs.answer)


def is_too_long(_query, ours, theirs):
    return ours.rcode == "YXDOMAIN" and theirs.rcode == "NXDOMAIN" and ours.answer == theirs.answer


# Name, reason, and the condition under which a difference from one of the others is accepted. RA is
# not compared at all: Postern resolves for its clients and says so, the others only serve zones.
ACCEPTED = [
    ("any", "RFC 8482 leaves the answer to ANY to the server: Postern gives one RRset, as Knot does; "
            "NSD gives all of them", is_any),
    ("leaves", "where a CNAME leaves the zone Postern resolves on, as its clients expect of a "
               "resolver; the others end there", leaves_the_zone),
    ("truncated", "with TC the client asks again by TCP, and each server leaves out something else; "
                  "NSD and Knot differ among themselves, in the rcode too", is_truncated),
    ("dnssec-cname", "RRSIG and NSEC may stand beside a CNAME (RFC 4034), so Knot does not follow it "
                     "for them, even where none are there; Postern and NSD do",
     is_dnssec_type_at_a_cname),
    ("yxdomain", "a name that gets too long through a DNAME is YXDOMAIN (RFC 6672 section 2.2), as NSD "
                 "says; Knot says NXDOMAIN", is_too_long),
]


class Differential(Case):
    def test_the_same_answers_as_nsd_and_knot(self):
        rng = random.Random(SEED)
        zone = make_zone(rng)
        queries = make_queries(zone, rng)
        config = f'[[dns.zone]]\nname = "{APEX[:-1]}"\nfile = "zone"\n'
        with tempfile.TemporaryDirectory() as directory:
            directory = pathlib.Path(directory)
            with nsd(directory, zone) as nsd_port, knot(directory, zone) as knot_port, \
                    Postern(config, dns="udp_payload = 1232", files={"zone": zone}) as postern:
                replies = {name: ask_all(port, queries) for name, port in
                           (("postern", postern.port), ("nsd", nsd_port), ("knot", knot_port))}
        for name, each in replies.items():
            self.assertEqual(len(each), QUERIES, f"{name} left queries unanswered")
        accepted, wrong = self.compare(queries, replies)
        print("accepted differences:", accepted)
        self.assertEqual(len(wrong), 0, f"{len(wrong)} differences; the first ones:\n"
                         + "\n".join(wrong[:12]))

    def compare(self, queries, replies):
        accepted, wrong = {}, []
        for query in queries:
            ours = Said(replies["postern"][query.id])
            for peer in ("nsd", "knot"):
                theirs = Said(replies[peer][query.id])
                if ours.key() == theirs.key():
                    continue
                reason = next((name for name, _, holds in ACCEPTED if holds(query, ours, theirs)), None)
                if reason:
                    accepted[f"{reason} ({peer})"] = accepted.get(f"{reason} ({peer})", 0) + 1
                else:
                    wrong.append(f"{query.question[0].to_text()} edns {query.edns} {query.payload}\n"
                                 f"  postern {ours}\n  {peer} {theirs}")
        return accepted, wrong


if __name__ == "__main__":
    unittest.main()
