"""`postern check --format`: the same problems as people see, in the words of forges."""

import json
import os
import pathlib
import re
import tempfile
import unittest

import yaml

from lab import Case, run

ROOT = pathlib.Path(__file__).parents[2]

BAD = """\
include = ["conf.d/*.toml"]

[dns]
listen = ["127.0.0.1:5353"]
udp_paylod = 1232

[[dns.override]]
names = ["100% \\"a\\\\b\\", ä: x.example"]
address = ["10.0.0.1"]
"""
WARNED = """\
[dns]
listen = ["127.0.0.1:5353"]
allow = ["127.0.0.0/8"]

[[dns.view]]
name = "lan"
clients = ["192.0.2.0/24"]
"""


def unescaped(text):
    """As GitHub's runner reads a workflow command."""
    for code, char in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, char)
    return text


class Formats(Case):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name).resolve()
        self.write("postern.toml", BAD)
        self.write("conf.d/50%, ü:.toml", "[dns.cache]\nsize = \"lots\"\n")

    def write(self, name, text):
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def check(self, form, file="postern.toml", status=1):
        got, out, err = run("check", "--format", form, "-c", file, cwd=self.directory)
        self.assertEqual((got, err), (status, ""), out)
        return out

    def people(self, file="postern.toml", status=1):
        """[(file, line, column, text)] of the errors as text."""
        found = [re.match(r"(.*?):(\d+):(\d+): (.*)$", line)
                 for line in self.check("text", file, status).splitlines()[:-1]]
        return [(one[1], int(one[2]), int(one[3]), one[4]) for one in found]

    def test_json(self):
        problems = json.loads(self.check("json"))
        self.assertGreaterEqual(len(problems), 3)
        for problem in problems:
            self.assertEqual(set(problem), {"file", "line", "column", "severity", "message", "hint"})
        said = [(one["file"], one["line"], one["column"],
                 one["message"] + ("; " + one["hint"] if one["hint"] else "")) for one in problems]
        self.assertEqual(said, self.people())
        self.assertEqual({one["severity"] for one in problems}, {"error"})
        self.assertTrue(any('100% "a\\b", ä: x.example' in one["message"] for one in problems))
        self.assertIn(("conf.d/50%, ü:.toml", 2, 8), [one[:3] for one in said])

    def test_paths_below_the_current_directory_are_relative(self):
        files = {one["file"] for one in json.loads(self.check("json", self.directory / "postern.toml"))}
        self.assertEqual(files, {"postern.toml", "conf.d/50%, ü:.toml"})
        outside = self.directory / "elsewhere"
        outside.mkdir()
        status, out, _ = run("check", "--format", "json", "-c", self.directory / "postern.toml",
                             cwd=outside)
        self.assertEqual(status, 1)
        self.assertTrue(all(os.path.isabs(one["file"]) for one in json.loads(out)))

    def test_github(self):
        said = []
        for line in self.check("github").splitlines():
            command = re.fullmatch(r"::error (file=([^:,]+),line=(\d+),col=(\d+))::(.*)", line)
            self.assertIsNotNone(command, line)
            said.append((unescaped(command[2]), int(command[3]), int(command[4]),
                         unescaped(command[5])))
        self.assertEqual(said, self.people())

    def test_gitlab(self):
        report = json.loads(self.check("gitlab"))
        self.assertEqual([(one["location"]["path"], one["location"]["lines"]["begin"],
                           one["description"]) for one in report],
                         [(file, line, text) for file, line, _, text in self.people()])
        self.assertEqual(len({one["fingerprint"] for one in report}), len(report))
        self.write("postern.toml", "\n\n" + BAD)  # all of it two lines further down
        self.assertEqual([one["fingerprint"] for one in json.loads(self.check("gitlab"))],
                         [one["fingerprint"] for one in report])

    def test_warnings_do_not_fail(self):
        self.write("postern.toml", WARNED)
        problems = json.loads(self.check("json", status=0))
        self.assertEqual({one["severity"] for one in problems}, {"warning"})
        self.assertRegex(self.check("github", status=0), r"(?m)^::warning file=postern.toml,line=7,")
        self.assertEqual(json.loads(self.check("gitlab", status=0))[0]["severity"], "minor")

    def test_nothing_wrong_and_no_file(self):
        self.write("postern.toml", '[dns]\nlisten = ["127.0.0.1:5353"]\n')
        self.assertEqual(json.loads(self.check("json", status=0)), [])
        self.assertEqual(self.check("github", status=0), "")
        missing = json.loads(self.check("json", "none.toml"))
        self.assertEqual((missing[0]["file"], missing[0]["line"]), ("none.toml", 0))
        self.assertRegex(self.check("github", "none.toml"), r"^::error file=none.toml::")
        self.assertEqual(run("check", "--format", "xml")[0], 2)

    def test_a_file_name_that_is_no_text(self):
        name = os.fsdecode(b"b\xe4d\n.toml")
        (self.directory / name).write_text("x = 1\n", encoding="utf-8")
        self.assertIn("b\ufffdd\n.toml", {one["file"] for one in json.loads(self.check("json", name))})

    def test_the_hook_of_pre_commit(self):
        hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
        words = hooks[0]["entry"].split() + hooks[0]["args"]
        self.assertEqual(words[0], "postern")
        self.assertEqual(run(*words[1:], cwd=self.directory)[0], 1)
        self.write("postern.toml", '[dns]\nlisten = ["127.0.0.1:5353"]\n')
        self.assertEqual(run(*words[1:], cwd=self.directory)[0], 0)


if __name__ == "__main__":
    unittest.main()
