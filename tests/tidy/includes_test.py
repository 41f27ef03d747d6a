"""The include check finds what it is for, and is silent where all is well."""

import pathlib
import tempfile
import unittest

import includes


class Includes(unittest.TestCase):
    def findings(self, **files):
        with tempfile.TemporaryDirectory() as tree:
            for name, text in files.items():
                path = pathlib.Path(tree, "src", name.replace("__", "/").replace("_DOT_", "."))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return [line.split(": ", 1)[1] for line in includes.findings(pathlib.Path(tree))]

    def test_dns_may_not_include_net(self):
        self.assertEqual(self.findings(dns__name_DOT_cpp='#include "net/udp.h"\n'),
                         ['"net/udp.h": dns/ may include base'])

    def test_base_includes_nothing_of_ours(self):
        self.assertEqual(len(self.findings(base__log_DOT_cpp='#include "dns/name.h"\n')), 1)

    def test_the_wings_never_include_each_other(self):
        self.assertEqual(len(self.findings(nameserver__a_DOT_cpp='#include "gateway/b.h"\n')), 1)
        self.assertEqual(len(self.findings(gateway__a_DOT_cpp='#include "nameserver/b.h"\n')), 1)

    def test_libuv_stays_in_net_and_server(self):
        self.assertEqual(len(self.findings(nameserver__a_DOT_cpp="#include <uv.h>\n")), 1)
        self.assertEqual(self.findings(net__a_DOT_cpp="#include <uv.h>\n"), [])

    def test_ldns_is_never_in_a_header(self):
        text = "#pragma once\n#include <ldns/ldns.h>\n"
        self.assertEqual(len(self.findings(dns__a_DOT_h=text)), 1)
        self.assertEqual(self.findings(dns__a_DOT_cpp="#include <ldns/ldns.h>\n"), [])

    def test_a_library_nobody_entered_is_refused(self):
        self.assertEqual(len(self.findings(base__a_DOT_cpp="#include <boost/asio.hpp>\n")), 1)

    def test_own_header_comes_first(self):
        self.assertEqual(len(self.findings(
            base__a_DOT_h="#pragma once\n",
            base__a_DOT_cpp='#include <string>\n#include "base/a.h"\n')), 1)

    def test_an_empty_tree_is_a_finding(self):
        self.assertEqual(len(self.findings()), 1)


if __name__ == "__main__":
    unittest.main()
