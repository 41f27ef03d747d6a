"""Chromium: what it learned outside does no harm at home."""

import unittest

from cases import CuredCases, UncuredCases
from chromium import Chromium
from scenes import Scene


class Cured(CuredCases, Scene):
    BROWSER = Chromium
    TYPED = [["200"]]  # the HTTPS record says so: nothing is asked on port 80


class Uncured(UncuredCases, Scene):
    BROWSER = Chromium
    LEAK_ERROR = "QUIC|ECH"


if __name__ == "__main__":
    unittest.main()
