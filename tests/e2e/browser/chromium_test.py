"""Chromium: what it learned outside does no harm at home."""

import unittest

from cases import CuredCases, UncuredCases
from chromium import Chromium
from scenes import Scene


class Cured(CuredCases, Scene):
    BROWSER = Chromium


class Uncured(UncuredCases, Scene):
    BROWSER = Chromium
    LEAK_ERROR = "QUIC|ECH"
    ECH_ERROR = "ERR_ECH|ERR_SSL_UNRECOGNIZED_NAME_ALERT"  # no certificate here has the outer name


if __name__ == "__main__":
    unittest.main()
