"""Firefox: what it learned outside does no harm at home."""

import unittest

from cases import CuredCases, UncuredCases
from firefox import Firefox
from scenes import Scene


class Cured(CuredCases, Scene):
    BROWSER = Firefox


class Uncured(UncuredCases, Scene):
    BROWSER = Firefox
    LEAK_ERROR = "Reached error page|InsecureCertificate|insecure certificate"
    ECH_ERROR = LEAK_ERROR


if __name__ == "__main__":
    unittest.main()
