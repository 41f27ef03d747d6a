"""Chromium: what it learned outside does no harm at home."""

import unittest

from cases import CuredCases, UncuredCases
from chromium import Chromium
from scenes import ALT, Scene


class Cured(CuredCases, Scene):
    BROWSER = Chromium
    TYPED = [["200"]]  # the HTTPS record says so: nothing is asked on port 80


class Uncured(UncuredCases, Scene):
    BROWSER = Chromium
    LEAK_ERROR = "QUIC|ECH"

    def test_4_alt_svc_kept(self):
        """Its memory stays: the profile still has h3 for the host, which "clear" takes away."""
        self.network.serve('alt_svc = "strip"')
        self.come_home(ALT, "dns")
        self.assertTrue(self.close().knows_h3(ALT))
        self.network.serve()
        self.come_home(ALT, "dns")
        self.assertFalse(self.close().knows_h3(ALT))


if __name__ == "__main__":
    unittest.main()
