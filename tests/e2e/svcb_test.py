"""HTTPS and SVCB records that come from upstream: what browsers would act on is taken out."""

import unittest

import dns.flags
import dns.message
import dns.rrset

from lab import Case, Postern, Shared, Upstream, data, ede, ede_codes, records, run

RRSIG = "HTTPS 13 2 300 20300101000000 20200101000000 1234 example.com. c2lnbmF0dXJl"



class Edited(Shared):
    RECORDS = r"""
        both.example.com.    300 HTTPS 1 . alpn="h3,h2"
        draft.example.com.   300 HTTPS 1 . alpn="h3-29,h3,h2,http/1.1"
        only.example.com.    300 HTTPS 1 . alpn="h3" ipv4hint=203.0.113.1
        bare.example.com.    300 HTTPS 1 . alpn="h3" no-default-alpn
        must.example.com.    300 HTTPS 1 . mandatory=alpn,port alpn="h3" port=8443
        musth2.example.com.  300 HTTPS 1 . mandatory=alpn alpn="h3,h2"
        plain.example.com.   300 HTTPS 1 . alpn="h2" port=8443 ipv4hint=203.0.113.1,203.0.113.2 key65400="a\000b"
        ech.example.com.     300 HTTPS 1 . alpn="h2" ech="AEX+DQBB"
        many.example.com.    300 HTTPS 1 . alpn="h3,h2"
        many.example.com.    300 HTTPS 2 other.example.com. alpn="h3"  no-default-alpn
        many.example.com.    300 HTTPS 3 third.example.com. alpn="h2"
        aka.example.com.     300 HTTPS 0 real.example.com.
        real.example.com.    300 HTTPS 1 . alpn="h3,h2"
        alias.example.com.   300 CNAME both.example.com.
        svcb.example.com.    300 SVCB 1 svc.example.com. alpn="h3,h2"
        doh.except.example.  300 HTTPS 1 . alpn="h3,h2"
        sub.doh.except.example. 300 HTTPS 1 . alpn="h3"
        """
    CONFIG = """
        [dns.svcb]
        except = ["doh.except.example"]
        """

    def test_h3_is_withdrawn_and_h2_stays(self):
        self.assertEqual(records(self.ask("both.example.com", "HTTPS").answer),
                         ['both.example.com. 300 HTTPS 1 . alpn="h2"'])

    def test_drafts_of_h3_too(self):
        self.assertEqual(self.answer("draft.example.com", "HTTPS"), ['1 . alpn="h2,http/1.1"'])

    def test_alpn_with_h3_alone_goes_and_the_record_stays(self):
        self.assertEqual(self.answer("only.example.com", "HTTPS"), ['1 . ipv4hint="203.0.113.1"'])

    def test_a_record_that_offers_only_h3_is_withheld(self):
        reply = self.ask("bare.example.com", "HTTPS")
        self.assert_nodata(reply)
        self.assertTrue({4, 17} & set(ede_codes(reply)))

    def test_mandatory_alpn_of_h3_alone_withholds_the_record(self):
        self.assert_nodata(self.ask("must.example.com", "HTTPS"))

    def test_mandatory_is_kept_when_alpn_stays(self):
        self.assertEqual(self.answer("musth2.example.com", "HTTPS"),
                         ['1 . mandatory="alpn" alpn="h2"'])

    def test_what_needs_no_edit_stays_as_it_is(self):
        reply = self.ask("plain.example.com", "HTTPS")
        self.assertEqual(data(reply.answer, "HTTPS"), [
            r'1 . alpn="h2" port="8443" ipv4hint="203.0.113.1,203.0.113.2" key65400="a\000b"'])
        self.assertEqual(ede(reply), [])

    def test_ech_of_a_public_name_is_kept_unless_told_otherwise(self):
        self.assertIn("ech=", self.answer("ech.example.com", "HTTPS")[0])

    def test_each_of_several_records_is_edited(self):
        self.assertEqual(self.answer("many.example.com", "HTTPS"),
                         ['1 . alpn="h2"', '3 third.example.com. alpn="h2"'])

    def test_the_target_of_an_alias_is_edited_as_well(self):
        reply = self.ask("aka.example.com", "HTTPS")
        self.assertIn("0 real.example.com.", data(reply.answer, "HTTPS"))
        self.assertNotIn("h3", str(reply))
        self.assertEqual(self.answer("real.example.com", "HTTPS"), ['1 . alpn="h2"'])

    def test_a_record_behind_a_cname_is_edited(self):
        reply = self.ask("alias.example.com", "HTTPS")
        self.assertEqual(data(reply.answer, "HTTPS"), ['1 . alpn="h2"'])

    def test_svcb_is_edited_like_https(self):
        self.assertEqual(self.answer("svcb.example.com", "SVCB"), ['1 svc.example.com. alpn="h2"'])

    def test_the_second_answer_from_the_cache_is_the_same(self):
        first = self.ask("both.example.com", "HTTPS")
        second = self.ask("both.example.com", "HTTPS")
        self.assertEqual(data(first.answer, "HTTPS"), data(second.answer, "HTTPS"))
        self.assertEqual(ede(first), ede(second))
        self.assertEqual(self.up.count("both.example.com", "HTTPS"), 1)

    def test_the_extended_error_says_why(self):
        reply = self.ask("both.example.com", "HTTPS")
        self.assertTrue({4, 17} & set(ede_codes(reply)))
        self.assertIn("h3", ede(reply)[0][1])

    def test_exceptions_are_left_as_they_are(self):
        self.assertEqual(self.answer("doh.except.example", "HTTPS"), ['1 . alpn="h3,h2"'])
        self.assertEqual(self.answer("sub.doh.except.example", "HTTPS"), ['1 . alpn="h3"'])

    def test_the_additional_section_is_edited_too(self):
        def handler(query, _transport):
            reply = self.up.reply(query)
            reply.answer = [dns.rrset.from_text("extra.example.com.", 300, "IN", "HTTPS",
                                                "0 pool.example.com.")]
            reply.authority = []
            reply.set_rcode(0)
            reply.additional = [dns.rrset.from_text("pool.example.com.", 300, "IN", "HTTPS",
                                                    '1 . alpn="h3,h2"')]
            return reply
        self.up.on("extra.example.com", handler)
        self.up.add('pool.example.com. 300 HTTPS 1 . alpn="h3,h2"')
        self.assertNotIn("h3", str(self.ask("extra.example.com", "HTTPS").additional))

    def test_malformed_records_go_and_the_rest_stays(self):
        good = "000100" + "0001" + "0003" + "026832"
        bad = {"keys out of order": "000100" + "00030002" + "01bb" + "00010003" + "026832",
               "a key twice": "000100" + "00030002" + "01bb" + "00030002" + "01bb",
               "a value too short": "000100" + "00030001" + "01",
               "cut off": "000100" + "00010009" + "0268",
               "empty alpn": "000100" + "00010000"}
        for i, (what, rdata) in enumerate(bad.items()):
            with self.subTest(what):
                name = f"bad{i}.example.com"

                def handler(query, _transport, rdata=rdata):
                    return crafted(query, [bytes.fromhex(good), bytes.fromhex(rdata)])
                self.up.on(name, handler)
                reply = self.ask(name, "HTTPS")
                self.assertEqual(data(reply.answer, "HTTPS"), ['1 . alpn="h2"'])

    def test_a_signed_answer_that_was_edited_has_no_signature_and_no_ad(self):
        def handler(query, _transport):
            reply = self.up.reply(query)
            reply.flags |= dns.flags.AD
            reply.answer = [dns.rrset.from_text(query.question[0].name, 300, "IN", "HTTPS",
                                                '1 . alpn="h3,h2"'),
                            dns.rrset.from_text(query.question[0].name, 300, "IN", "RRSIG", RRSIG)]
            reply.authority = []
            reply.set_rcode(0)
            return reply
        self.up.on("signed.example.com", handler)
        reply = self.ask("signed.example.com", "HTTPS", want_dnssec=True)
        self.assertEqual(data(reply.answer, "HTTPS"), ['1 . alpn="h2"'])
        self.assertEqual(data(reply.answer, "RRSIG"), [])
        self.assertFalse(reply.flags & dns.flags.AD)
        self.assertTrue(ede_codes(reply))

    def test_a_signed_answer_that_needs_no_edit_keeps_signature_and_ad(self):
        def handler(query, _transport):
            reply = self.up.reply(query)
            reply.flags |= dns.flags.AD
            reply.answer = [dns.rrset.from_text(query.question[0].name, 300, "IN", "HTTPS",
                                                '1 . alpn="h2"'),
                            dns.rrset.from_text(query.question[0].name, 300, "IN", "RRSIG", RRSIG)]
            reply.authority = []
            reply.set_rcode(0)
            return reply
        self.up.on("sound.example.com", handler)
        reply = self.ask("sound.example.com", "HTTPS", want_dnssec=True)
        self.assertEqual(len(data(reply.answer, "RRSIG")), 1)
        self.assertTrue(reply.flags & dns.flags.AD)

    def test_kdig_shows_it(self):
        self.assertIn("alpn=h2\n", self.postern.dig("both.example.com", "HTTPS", "+short",
                                                    tool="kdig"))


def crafted(query, rdatas):
    """The bytes of an answer with these rdatas of type HTTPS at the name asked for."""
    reply = dns.message.make_response(query)
    reply.use_edns(-1)
    wire = bytearray(reply.to_wire())
    wire[6:8] = len(rdatas).to_bytes(2, "big")
    for rdata in rdatas:
        wire += b"\xc0\x0c" + b"\x00\x41\x00\x01" + (300).to_bytes(4, "big")
        wire += len(rdata).to_bytes(2, "big") + rdata
    return bytes(wire)


class Settings(Shared):
    RECORDS = """
        ech.example.com.  300 HTTPS 1 . alpn="h3,h2" ech="AEX+DQBB"
        must.example.com. 300 HTTPS 1 . mandatory=ech,port port=8443 ech="AEX+DQBB"
        """
    CONFIG = """
        [dns.svcb]
        strip_alpn = []
        drop_keys = ["ech"]
        signed = "preserve"
        """

    def test_drop_keys(self):
        self.assertEqual(self.answer("ech.example.com", "HTTPS"), ['1 . alpn="h3,h2"'])

    def test_a_dropped_key_that_was_mandatory(self):
        reply = self.ask("must.example.com", "HTTPS")
        self.assertNotIn("ech", str(reply.answer))

    def test_signed_preserve_leaves_a_signed_answer_to_those_who_validate(self):
        def handler(query, _transport):
            reply = self.up.reply(query)
            reply.set_rcode(0)
            reply.authority = []
            name = query.question[0].name
            reply.answer = [dns.rrset.from_text(name, 300, "IN", "HTTPS", '1 . ech="AEX+DQBB"')]
            if query.ednsflags & dns.flags.DO:
                reply.answer.append(dns.rrset.from_text(name, 300, "IN", "RRSIG", RRSIG))
            return reply
        self.up.on("signed.example.com", handler)
        signed = self.ask("signed.example.com", "HTTPS", want_dnssec=True)
        self.assertEqual(data(signed.answer, "HTTPS"), ['1 . ech="AEX+DQBB"'])
        self.assertEqual(len(data(signed.answer, "RRSIG")), 1)
        self.assertEqual(self.answer("signed.example.com", "HTTPS"), ["1 ."])


class Explained(Case):
    """What `explain` says is taken out is what a client does not get."""

    OVERRIDE = """
        [[dns.override]]
        names   = ["edit.vanillax.me"]
        address = ["127.0.0.1"]
        https   = "edit"
        """
    RECORD = 'HTTPS 1 . alpn="h3,h2" port="8443" ipv4hint="203.0.113.9" ech="AEX+DQBB" ipv6hint="2001:db8::9"'
    KEYS = {"ech": "ech=", "ipv4hint": "ipv4hint=", "ipv6hint": "ipv6hint=", "port": "port=", "alpn h3": "h3"}

    def check(self, svcb, name, *gone):
        """Both forms of explain, and a client, name just these as gone."""
        with Upstream(f"{name}. 300 {self.RECORD}\n") as up, \
                Postern(f"[dns.svcb]\n{svcb}\n" + self.OVERRIDE + up.forward()) as postern:
            record, = postern.answer(name, "HTTPS")
            self.assertEqual({what for what, text in self.KEYS.items() if text not in record}, set(gone), record)
            said = []
            for question, word in (([name, "HTTPS"], "edits"), ([f"https://{name}/"], "https")):
                status, out, err = run("explain", *question, "-c", postern.config_path)
                self.assertEqual(status, 0, err)
                line, = [one.split(None, 1)[1] for one in out.splitlines() if one.split()[:1] == [word]]
                said.append(line)
        self.assertEqual(said[0], said[1])
        taken = [part for part in said[0].removeprefix("upstream's record ").split("; ")
                 if part.startswith("without ") and "private" not in part]
        words = {word for part in taken for word in part.removeprefix("without ").split(", ")} - {"h3-*"}
        self.assertEqual(words, set(gone), said[0])
        self.assertEqual("as it is" in said[0], not gone, said[0])

    def test_an_override_with_edit(self):
        self.check("", "edit.vanillax.me", "alpn h3", "ech", "ipv4hint", "ipv6hint")

    def test_it_is_edited_whatever_except_says(self):
        self.check('except = ["vanillax.me"]\ndrop_keys = ["port"]', "edit.vanillax.me",
                   "alpn h3", "port", "ech", "ipv4hint", "ipv6hint")

    def test_an_override_with_edit_and_nothing_in_strip_alpn(self):
        self.check("strip_alpn = []", "edit.vanillax.me", "ech", "ipv4hint", "ipv6hint")

    def test_public_names(self):
        self.check("", "www.example.com", "alpn h3")
        self.check('drop_keys = ["ech", "port"]', "www.example.com", "alpn h3", "ech", "port")
        self.check('strip_alpn = []\ndrop_keys = ["ipv4hint"]', "www.example.com", "ipv4hint")
        self.check("strip_alpn = []", "www.example.com")
        self.check('except = ["example.com"]\ndrop_keys = ["port"]', "www.example.com")


if __name__ == "__main__":
    unittest.main()
