"""Every file of tests/data/zones through `postern check`: what is wrong with a bad one is told at its
place and nothing else is, a good one passes without a word, and a judge that is not ours agrees.

The zone of a file is its name without ".zone", under example. A bad one begins with a line for each
message: "; EXPECT LINE:COLUMN TEXT", where TEXT is how the message goes on ("warning: " first when
the zone is served all the same) or a part of it."""

import concurrent.futures
import json
import pathlib
import re
import subprocess
import tempfile
import unittest

from lab import SLOW, run

ZONES = pathlib.Path(__file__).parents[1] / "data" / "zones"
GOOD = sorted((ZONES / "good").glob("*.zone"))
BAD = sorted((ZONES / "bad").glob("*.zone"))
AT_A_TIME = 10  # bad zones in one configuration: only so many messages are shown of one


def check(files):
    """`postern check` on a configuration with all of these: (status, {file: its messages})."""
    with tempfile.TemporaryDirectory() as directory:
        config = pathlib.Path(directory) / "postern.toml"
        zones = "".join(f"[[dns.zone]]\nname = \"{file.stem}.example\"\nfile = {json.dumps(str(file))}\n"
                        for file in files)
        config.write_text(f"[dns]\nlisten = [\"127.0.0.1:5399\"]\n{zones}"
                          "[[dns.forward]]\nname = \".\"\nupstreams = [\"udp://127.0.0.1:9\"]\n")
        status, out, err = run("check", "-c", config, timeout=60)
    said = {file: [] for file in files}
    for line in (out + err).splitlines():
        for file in files:
            if line.startswith(f"{file}:"):
                said[file].append(line.removeprefix(f"{file}:"))
                break
        else:
            assert line.startswith(str(config)), line
    return status, said


def expected(file):
    """[(LINE:COLUMN, text)] of a bad zone."""
    text = file.read_text(encoding="utf-8")
    return [match.groups() for match in re.finditer(r"^; EXPECT (\d+:\d+) (.+)$", text, re.M)]


def fits(message, place, text):
    """Whether a message is at its place and a warning only where one is expected."""
    if not message.startswith(f"{place}: "):
        return False
    message = message.removeprefix(f"{place}: ")
    return text in message and message.startswith("warning: ") == text.startswith("warning: ")


def judged(file):
    """What named-checkzone and nsd-checkzone say when neither takes the zone; None when one does.
    Neither knows a byte order mark: it is taken off."""
    text = file.read_bytes()
    with tempfile.NamedTemporaryFile() as copy:
        copy.write(text.removeprefix(b"\xef\xbb\xbf"))
        copy.flush()
        said = []
        for command in (["named-checkzone", "-i", "local"], ["nsd-checkzone"]):
            done = subprocess.run([*command, f"{file.stem}.example", copy.name], cwd=file.parent,
                                  text=True, capture_output=True, timeout=60 * SLOW, check=False)
            if done.returncode == 0:
                return None
            said.append(done.stdout + done.stderr)
    return "".join(said)


class Corpus(unittest.TestCase):
    maxDiff = None

    def test_there_are_enough_of_them(self):
        self.assertGreaterEqual(len(BAD), 100)
        self.assertGreaterEqual(len(GOOD), 40)

    def test_good_zones_pass_without_a_word(self):
        status, said = check(GOOD)
        self.assertEqual({file.name: lines for file, lines in said.items() if lines}, {})
        self.assertEqual(status, 0)

    def test_a_judge_that_is_not_ours_takes_the_good_zones(self):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for file, said in zip(GOOD, pool.map(judged, GOOD)):
                with self.subTest(zone=file.name):
                    self.assertIsNone(said)

    def test_what_is_wrong_is_told_at_its_place_and_nothing_else_is(self):
        for first in range(0, len(BAD), AT_A_TIME):
            _, said = check(BAD[first:first + AT_A_TIME])
            for file, lines in said.items():
                with self.subTest(zone=file.name):
                    wanted = expected(file)
                    self.assertGreater(len(wanted), 0, "no EXPECT line")
                    self.assertEqual(len(lines), len(wanted), lines)
                    for line, (place, text) in zip(lines, wanted):
                        self.assertTrue(fits(line, place, text), f"{line!r}, not {place}: {text}")

    def test_errors_refuse_and_warnings_do_not(self):
        warned = [file for file in BAD
                  if all(text.startswith("warning: ") for _, text in expected(file))]
        self.assertGreater(len(warned), 20)
        status, _ = check(warned)
        self.assertEqual(status, 0)
        for file in BAD:
            if file in warned:
                continue
            with self.subTest(zone=file.name):
                self.assertEqual(check([file])[0], 1)


if __name__ == "__main__":
    unittest.main()
