"""What stands in the bytes: RFC 1035, 6891, 8906, 9619, 8482, 3597, 7766."""

import contextlib
import os
import socket
import struct
import subprocess
import time
import unittest

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype

from lab import (Case, Postern, Shared, Upstream, data, ede_codes, framed, free_port, make_query,
                 receive_framed, records, wait_until)

ZONE = """\
    $TTL 300
    @      IN SOA ns admin 1 3600 600 86400 60
           IN NS ns
    ns     IN A 192.168.10.2
    www    IN A 192.168.10.3
    big    IN MX 10 mx
    mx     IN A 192.168.10.4
    $GENERATE 1-200 many IN A 10.0.0.$
    long   IN TXT "{text}" "{text}" "{text}" "{text}" "{text}"
    """.replace("{text}", "x" * 250)

HEADER = struct.Struct("!HHHHHH")


def question(name, rdtype=1, rdclass=1):
    wire = b"".join(bytes([len(label)]) + label for label in name.encode().split(b".") if label)
    return wire + b"\0" + struct.pack("!HH", rdtype, rdclass)


def query(name="www.home.arpa", rdtype=1, rdclass=1, flags=0x0100, qid=0x1234, counts=(1, 0, 0, 0),
          rest=b""):
    return HEADER.pack(qid, flags, *counts) + (question(name, rdtype, rdclass) if counts[0] else b"") + rest


def opt(payload=1232, extended=0, version=0, flags=0, options=b""):
    return (b"\0" + struct.pack("!HHBBHH", 41, payload, extended, version, flags, len(options)) + options)


def rcode_of(reply):
    return reply[3] & 15


class Wire(Shared):
    CONFIG = """
        [[dns.zone]]
        name = "home.arpa"
        file = "home.arpa.zone"

        [[dns.override]]
        names = ["llama.vanillax.me"]
        address = ["192.168.10.50"]
        """
    FILES = {"home.arpa.zone": ZONE}
    RECORDS = """
        www.example.com. 300 A 203.0.113.1
        slow.example.com. 300 A 203.0.113.2
        """

    def send(self, message, **options):
        return self.postern.raw_udp(message, **options)

    def assert_silent(self, message):
        self.assertIsNone(self.postern.raw_udp(message, timeout=0.4))
        self.assertEqual(rcode_of(self.send(query())), 0)  # and goes on

    # RFC 1035, the header.

    def test_the_reply_has_the_id_the_question_and_the_flags(self):
        reply = self.send(query(qid=0xbeef))
        self.assertEqual(HEADER.unpack(reply[:12])[0], 0xbeef)
        self.assertEqual(HEADER.unpack(reply[:12])[1], 0x8580)  # QR AA RD RA
        self.assertEqual(reply[12:12 + 19], question("www.home.arpa"))

    def test_rd_is_copied(self):
        self.assertFalse(HEADER.unpack(self.send(query(flags=0))[:12])[1] & 0x0100)

    def test_the_case_of_the_question_comes_back_byte_for_byte(self):
        for name in ("wWw.HoMe.ArPa", "LLAMA.vaniLLax.ME", "WwW.eXaMpLe.cOm", "Ab.inVALID"):
            with self.subTest(name=name):
                reply = self.send(query(name))
                self.assertEqual(reply[12:12 + len(question(name))], question(name))

    def test_a_message_shorter_than_a_header_is_not_answered(self):
        for size in (0, 1, 2, 11):
            self.assert_silent(query()[:size])

    def test_a_response_is_not_answered(self):
        self.assert_silent(query(flags=0x8100))

    def test_a_question_that_is_cut_off_is_formerr_or_silence(self):
        whole = query()
        for size in range(12, len(whole)):
            reply = self.send(whole[:size], timeout=0.4)
            if reply is not None:
                self.assertEqual(rcode_of(reply), 1)

    def test_bytes_behind_the_message_do_no_harm(self):
        self.assertIn(rcode_of(self.send(query() + b"trailing")), (0, 1))

    def test_a_compression_pointer_in_the_question_is_formerr(self):
        for name in (b"\xc0\x0c", b"\x03www\xc0\x0c", b"\xc0\xff", b"\x40" + b"a" * 64 + b"\0",
                     b"\x80\0"):
            message = HEADER.pack(1, 0x0100, 1, 0, 0, 0) + name + b"\0\1\0\1"
            reply = self.send(message, timeout=0.5)
            if reply is not None:
                self.assertEqual(rcode_of(reply), 1)

    # RFC 9619.

    def test_no_question_and_two_questions_are_formerr(self):
        self.assertEqual(rcode_of(self.send(query(counts=(0, 0, 0, 0)))), 1)
        two = HEADER.pack(1, 0x0100, 2, 0, 0, 0) + question("a.home.arpa") + question("b.home.arpa")
        self.assertEqual(rcode_of(self.send(two)), 1)

    # RFC 8906, section 8, in its order.

    def test_unknown_opcodes_are_notimp(self):
        for opcode in (1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15):
            with self.subTest(opcode=opcode):
                reply = self.send(query(flags=opcode << 11))
                self.assertEqual(rcode_of(reply), 4)
                self.assertEqual((reply[2] >> 3) & 15, opcode)

    def test_unknown_types_are_answered(self):
        for rdtype in (1000, 65280, 65535 - 1, 62, 99):
            with self.subTest(rdtype=rdtype):
                reply = dns.message.from_wire(self.send(query(rdtype=rdtype)))
                self.assert_nodata(reply)

    def test_the_z_bit_is_ignored_and_not_sent_back(self):
        reply = self.send(query(flags=0x0140))
        self.assertEqual(rcode_of(reply), 0)
        self.assertFalse(HEADER.unpack(reply[:12])[1] & 0x0040)

    def test_ad_and_cd_are_understood(self):
        for flags in (0x0120, 0x0110):
            self.assertEqual(rcode_of(self.send(query(flags=flags))), 0)

    def test_aa_tc_and_ra_in_a_query_are_ignored(self):
        for flags in (0x0500, 0x0300, 0x0180):
            self.assertEqual(rcode_of(self.send(query(flags=flags))), 0)

    def test_tcp_answers_the_same(self):
        self.assertEqual(records(self.ask("www.home.arpa").answer),
                         records(self.ask("www.home.arpa", tcp=True).answer))

    def test_other_classes_are_refused_or_not_implemented(self):
        for rdclass in (2, 4, 254, 1000):
            with self.subTest(rdclass=rdclass):
                self.assertIn(rcode_of(self.send(query(rdclass=rdclass))), (4, 5))

    # RFC 6891.

    def test_an_opt_record_is_answered_by_one(self):
        reply = dns.message.from_wire(self.send(query(counts=(1, 0, 0, 1), rest=opt())))
        self.assertEqual((reply.edns, reply.payload), (0, 1232))
        plain = dns.message.from_wire(self.send(query()))
        self.assertEqual(plain.edns, -1)

    def test_a_later_version_is_badvers_with_version_0(self):
        for version in (1, 100, 255):
            reply = dns.message.from_wire(
                self.send(query(counts=(1, 0, 0, 1), rest=opt(version=version))))
            self.assertEqual((reply.rcode(), reply.edns), (16, 0))
            self.assertEqual(records(reply.answer), [])

    def test_unknown_options_are_ignored_and_not_sent_back(self):
        options = struct.pack("!HH", 65001, 3) + b"abc" + struct.pack("!HH", 100, 0)
        reply = dns.message.from_wire(
            self.send(query(counts=(1, 0, 0, 1), rest=opt(options=options))))
        self.assert_rcode(reply, "NOERROR")
        self.assertNotIn(65001, [int(option.otype) for option in reply.options])

    def test_unknown_edns_flags_are_ignored_and_do_comes_back(self):
        reply = dns.message.from_wire(
            self.send(query(counts=(1, 0, 0, 1), rest=opt(flags=0x7fff))))
        self.assertEqual(reply.ednsflags & 0xffff, 0)
        reply = dns.message.from_wire(
            self.send(query(counts=(1, 0, 0, 1), rest=opt(flags=0x8000))))
        self.assertEqual(reply.ednsflags & 0x8000, 0x8000)

    def test_a_version_and_an_unknown_option_together_are_badvers(self):
        options = struct.pack("!HH", 65001, 0)
        reply = dns.message.from_wire(
            self.send(query(counts=(1, 0, 0, 1), rest=opt(version=1, options=options))))
        self.assertEqual(reply.rcode(), 16)

    def test_two_opt_records_are_formerr(self):
        self.assertEqual(rcode_of(self.send(query(counts=(1, 0, 0, 2), rest=opt() + opt()))), 1)

    def test_an_opt_record_whose_options_overrun_is_formerr(self):
        bad = opt(options=struct.pack("!HH", 10, 200) + b"short")
        self.assertEqual(rcode_of(self.send(query(counts=(1, 0, 0, 1), rest=bad))), 1)

    def test_an_opt_record_with_a_name_is_formerr(self):
        bad = b"\1a" + opt()
        self.assertEqual(rcode_of(self.send(query(counts=(1, 0, 0, 1), rest=bad))), 1)

    # Size.

    def test_without_edns_a_reply_has_512_bytes_at_most_and_tc(self):
        reply = self.send(query("many.home.arpa"))
        self.assertLessEqual(len(reply), 512)
        self.assertTrue(dns.message.from_wire(reply).flags & dns.flags.TC)

    def test_the_lesser_payload_of_both_sides_holds(self):
        for payload, limit in ((512, 512), (800, 800), (1232, 1232), (4096, 1232), (65535, 1232),
                               (0, 512), (100, 512)):
            with self.subTest(payload=payload):
                reply = self.send(query("many.home.arpa", counts=(1, 0, 0, 1), rest=opt(payload)))
                self.assertLessEqual(len(reply), limit)
                self.assertTrue(dns.message.from_wire(reply).flags & dns.flags.TC)

    def test_truncation_keeps_whole_rrsets(self):
        reply = dns.message.from_wire(self.send(query("many.home.arpa")))
        self.assertIn(len(data(reply.answer, "A")), (0, 200))
        fits = self.send(query("long.home.arpa", 16, counts=(1, 0, 0, 1), rest=opt(1232)))
        self.assertEqual(data(dns.message.from_wire(fits).answer, "TXT"), [])

    def test_a_truncated_reply_still_has_its_opt(self):
        reply = dns.message.from_wire(
            self.send(query("many.home.arpa", counts=(1, 0, 0, 1), rest=opt(512))))
        self.assertEqual(reply.edns, 0)

    def test_additional_records_that_do_not_fit_are_left_out_without_tc(self):
        reply = self.ask("big.home.arpa", "MX", payload=512)
        self.assertFalse(reply.flags & dns.flags.TC)

    def test_by_tcp_it_is_whole(self):
        self.assertEqual(len(data(self.ask("many.home.arpa", tcp=True).answer, "A")), 200)

    def test_dig_falls_back_to_tcp(self):
        self.assertEqual(len(self.postern.dig("many.home.arpa", "+short").splitlines()), 200)

    def test_names_are_compressed(self):
        reply = self.ask("many.home.arpa", tcp=True)
        wire = self.tcp_exchange(query("many.home.arpa"))
        self.assertEqual(len(wire), 12 + len(question("many.home.arpa")) + 200 * 16)
        self.assertEqual(len(reply.answer[0]), 200)

    def tcp_exchange(self, message):
        with self.postern.connect() as connection:
            connection.sendall(framed(message))
            return receive_framed(connection)

    # Requests that are not for us.

    def test_any_is_minimal(self):
        reply = self.ask("home.arpa", "ANY")
        self.assert_rcode(reply, "NOERROR")
        self.assertEqual(len(reply.answer), 1)

    def test_any_is_not_forwarded(self):
        self.ask("any.example.com", "ANY")
        self.assertEqual(self.up.count("any.example.com"), 0)

    def test_transfers_are_refused(self):
        for rdtype in (251, 252):
            self.assertIn(rcode_of(self.send(query("home.arpa", rdtype))), (4, 5))
            self.assertIn(rcode_of(self.tcp_exchange(query("home.arpa", rdtype))), (4, 5))

    def test_notify_and_update_are_answered_cleanly(self):
        notify = query("home.arpa", 6, flags=0x2400)
        update = query("home.arpa", 6, flags=0x2800)
        for message, opcode in ((notify, 4), (update, 5)):
            reply = self.send(message)
            self.assertEqual((reply[2] >> 3) & 15, opcode)
            self.assertIn(rcode_of(reply), (4, 5, 9))

    def test_meta_types_are_not_forwarded(self):
        for rdtype in (41, 249, 250, 253, 254):
            reply = self.send(query("meta.example.com", rdtype))
            self.assertIn(rcode_of(reply), (0, 1, 4, 5))
        self.assertEqual(self.up.count("meta.example.com"), 0)

    def test_version_bind_is_not_told_by_default(self):
        reply = self.ask("version.bind", "TXT", "CH")
        self.assertNotIn("postern/", str(reply).lower())
        self.assertIn(dns.rcode.to_text(reply.rcode()), ("NOERROR", "REFUSED"))

    # TCP, RFC 7766.

    def test_several_queries_in_one_segment(self):
        with self.postern.connect() as connection:
            connection.sendall(b"".join(framed(query(qid=i)) for i in range(50)))
            ids = sorted(HEADER.unpack(receive_framed(connection)[:12])[0] for _ in range(50))
            self.assertEqual(ids, list(range(50)))

    def test_a_query_byte_by_byte(self):
        with self.postern.connect() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in framed(query(qid=77)):
                connection.sendall(bytes([byte]))
                time.sleep(0.002)
            self.assertEqual(HEADER.unpack(receive_framed(connection)[:12])[0], 77)

    def test_an_answer_at_hand_does_not_wait_for_one_that_is_not(self):
        def slow(message, _transport):
            time.sleep(1)
            return self.up.reply(message)
        self.up.on("slow.example.com", slow)
        with self.postern.connect() as connection:
            connection.sendall(framed(query("slow.example.com", qid=1)) + framed(query(qid=2)))
            ids = [HEADER.unpack(receive_framed(connection)[:12])[0] for _ in range(2)]
            self.assertEqual(ids, [2, 1])

    def test_a_client_that_goes_away_while_its_query_waits_does_no_harm(self):
        def slow(message, _transport):
            time.sleep(0.5)
            return self.up.reply(message)
        self.up.on("gone.example.com", slow)
        for _ in range(5):
            with self.postern.connect() as connection:
                connection.sendall(framed(query("gone.example.com")))
        time.sleep(0.8)
        self.assertEqual(self.answer("www.home.arpa"), ["192.168.10.3"])

    def test_a_client_that_has_sent_all_still_gets_its_answers(self):
        def slow(message, _transport):
            time.sleep(0.3)
            return self.up.reply(message)
        self.up.on("half.example.com", slow)
        with self.postern.connect() as connection:
            connection.sendall(framed(query("half.example.com", qid=5)))
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(HEADER.unpack(receive_framed(connection)[:12])[0], 5)

    def test_a_slow_reader_is_bounded_and_the_others_are_served(self):
        with self.postern.connect() as stuck:
            stuck.setblocking(False)
            message = framed(query("many.home.arpa")) * 100
            sent = 0
            end = time.monotonic() + 3
            while time.monotonic() < end and sent < 4_000_000:
                try:
                    sent += stuck.send(message)
                except BlockingIOError:
                    time.sleep(0.05)
                    if sent > 100_000 and time.monotonic() > end - 1:
                        break
                except (BrokenPipeError, ConnectionResetError):
                    break
            self.assertEqual(self.answer("www.home.arpa"), ["192.168.10.3"])
            with open(f"/proc/{self.postern.process.pid}/statm", encoding="ascii") as statm:
                resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            self.assertLess(resident, 600 << 20)

    def test_nonsense_by_tcp_closes_or_answers_and_never_hangs(self):
        for message in (b"\0\0", b"\0\1x", b"\0\x0b" + b"y" * 11, framed(query(flags=0x8100))):
            with self.postern.connect(timeout=4) as connection:
                connection.sendall(message)
                connection.shutdown(socket.SHUT_WR)
                self.assertEqual(receive_framed(connection), b"")


class Listeners(Case):
    ZONE = """
        [[dns.override]]
        names = ["llama.vanillax.me"]
        address = ["192.168.10.50"]
        """

    def test_a_wildcard_listener_replies_from_the_address_that_was_asked(self):
        port = free_port()
        postern = Postern(self.ZONE, listen=[f"0.0.0.0:{port}"])
        postern.port = port
        with postern:
            for address in ("127.0.0.1", "127.0.0.7", "127.1.2.3"):
                # A connected socket takes replies from the address it asked only.
                reply = postern.raw_udp(query("llama.vanillax.me"), address=address)
                self.assertIsNotNone(reply, address)
                self.assertEqual(rcode_of(reply), 0)

    def test_ipv6(self):
        port = free_port("::1")
        postern = Postern(self.ZONE, listen=[f"[::]:{port}", f"127.0.0.1:{port}"])
        postern.port = port
        with postern:
            self.assertEqual(rcode_of(postern.raw_udp(query("llama.vanillax.me"), address="::1")), 0)
            out = subprocess.run(["dig", "@::1", "-p", str(port), "+tcp", "+short", "llama.vanillax.me"],
                                 capture_output=True, text=True, timeout=20, check=True).stdout
            self.assertEqual(out, "192.168.10.50\n")

    def test_workers_share_a_port(self):
        with Postern(self.ZONE, server="workers = 2") as postern:
            for i in range(40):
                self.assertEqual(postern.answer("llama.vanillax.me", tcp=bool(i % 2)),
                                 ["192.168.10.50"])

    def test_a_client_that_is_not_allowed_is_refused_with_18(self):
        with Upstream() as up, Postern(self.ZONE + up.forward(),
                                       dns='allow = ["127.0.0.1/32"]') as postern:
            for tcp in (False, True):
                reply = postern.ask("llama.vanillax.me", source="127.0.0.2", tcp=tcp)
                self.assert_rcode(reply, "REFUSED")
                self.assertEqual(ede_codes(reply), [18])
                self.assertEqual(records(reply.answer), [])
            self.assertEqual(postern.answer("llama.vanillax.me"), ["192.168.10.50"])

    def test_idle_connections_are_closed_and_the_limit_of_clients_holds(self):
        limits = '[dns.limits]\ntcp_clients = 5\ntcp_idle = "1s"\n'
        with Postern(self.ZONE + limits) as postern:
            idle = [postern.connect() for _ in range(12)]
            time.sleep(0.3)
            self.assertEqual(postern.answer("llama.vanillax.me"), ["192.168.10.50"])  # UDP goes on
            for connection in idle:
                connection.settimeout(5)
                try:
                    self.assertEqual(connection.recv(1), b"")
                except ConnectionResetError:
                    pass
                connection.close()
            wait_until("room for a new client",
                       lambda: postern.answer("llama.vanillax.me", tcp=True) == ["192.168.10.50"])

    def test_over_the_rate_every_second_reply_is_truncated_and_the_others_dropped(self):
        with Postern(self.ZONE + "[dns.limits]\nqps_per_client = 20\n") as postern:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
                channel.bind(("127.0.0.9", 0))
                channel.connect((postern.address, postern.port))
                channel.settimeout(0.5)
                for i in range(200):
                    channel.send(query("llama.vanillax.me", qid=i))
                whole = truncated = 0
                try:
                    while True:
                        reply = dns.message.from_wire(channel.recv(4096))
                        truncated += bool(reply.flags & dns.flags.TC)
                        whole += not reply.flags & dns.flags.TC
                except TimeoutError:
                    pass
            self.assertTrue(15 <= whole <= 60, whole)
            self.assertTrue(60 <= truncated <= 100, truncated)
            self.assertEqual(postern.answer("llama.vanillax.me", source="127.0.0.1"), ["192.168.10.50"])

    def test_a_client_with_one_source_port_gets_the_whole_rate_whatever_the_number_of_workers(self):
        limits = "[dns.limits]\nqps_per_client = 100\n"
        with Postern(self.ZONE + limits, server="workers = 4") as postern, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.bind(("127.0.0.9", 0))
            channel.connect((postern.address, postern.port))
            channel.settimeout(1)
            whole = 0
            for i in range(270):  # at 90 per second at most
                channel.send(query("llama.vanillax.me", qid=i))
                with contextlib.suppress(TimeoutError):
                    whole += not dns.message.from_wire(channel.recv(4096)).flags & dns.flags.TC
                time.sleep(1 / 90)
            self.assertEqual(whole, 270)


if __name__ == "__main__":
    unittest.main()
