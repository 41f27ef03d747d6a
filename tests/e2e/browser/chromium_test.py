"""Chromium: what it learned outside does no harm at home."""

import unittest

from cases import CuredCases, UncuredCases
from chromium import Chromium
from scenes import Scene


class Cured(CuredCases, Scene):
    BROWSER = Chromium


class Uncured(UncuredCases, Scene):
    BROWSER = Chromium


if __name__ == "__main__":
    unittest.main()
