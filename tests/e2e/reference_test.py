"""docs/reference, the manuals and the completions are what the program says of itself, and that is what it
does: events are those of the sources, limits those of `postern check`.

`reference_test.py --write` writes docs/reference anew."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import docs_test
from lab import BINARY, Case, Postern, run

ROOT = pathlib.Path(__file__).parents[2]
BINARY = str(pathlib.Path(BINARY).resolve())
FOLDER = ROOT / "docs" / "reference"
PARTS = ("config", "commands", "metrics", "events")


def say(part, text=None):
    done = subprocess.run([BINARY, "reference", part], input=text, capture_output=True, text=True,
                          check=False, timeout=60)
    assert done.returncode == 0, f"{part}: {done.stdout[-200:]}{done.stderr}"
    return done.stdout


def pages():
    return {part: say(part) for part in PARTS}


def rows(page):
    """[[cell, ...]] of all tables of a page, without their heads."""
    text = re.sub(r"\\\|", "\0", page)
    found = [[cell.strip().replace("\0", "|") for cell in line.strip("|").split("|")]
             for line in text.splitlines() if line.startswith("| `")]
    return found


class Reference(Case):
    def test_the_pages_are_what_the_program_says(self):
        for name, text in pages().items():
            written = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
            self.assertEqual(written, text, f"docs/reference/{name}.md: run packaging/reference.sh")
        self.assertEqual({path.stem for path in FOLDER.glob("*.md")}, set(PARTS))

    def test_a_running_server_has_no_other_metrics(self):
        table = {name.strip("`"): kind for name, kind, *_ in rows(say("metrics"))}
        with Postern() as postern:
            page = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{postern.admin_port}/metrics"],
                                  capture_output=True, text=True, check=True, timeout=60).stdout
        served = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M))
        self.assertGreater(len(served), 30)
        self.assertLessEqual(served.items(), table.items())

    def test_every_event_of_the_sources_is_in_the_table_and_the_other_way_round(self):
        table = {name.strip("`"): levels for name, levels, *_ in rows(say("events"))}
        self.assertEqual(list(table), sorted(table), "in the order of their names")
        logged = {}
        for path in (ROOT / "src").rglob("*.cpp"):
            text = path.read_text(encoding="utf-8")
            for level, event in re.findall(r'\blog_(error|warning|info|debug)\(\s*"(\w+)"', text):
                logged.setdefault(event, set()).add(level)
            for choice in re.findall(r"\blog_problems\(([^;]*);", text):
                for event in re.findall(r'"(\w+)"', choice):
                    logged.setdefault(event, set())
            for level, event in re.findall(r'LogLevel::k(\w+),\s*"(\w+)"', text):
                logged.setdefault(event, set()).add(level.lower())
        self.assertGreater(len(logged), 30)
        self.assertEqual(sorted(logged), sorted(table), "src/server/log_events.cpp")
        for event, levels in logged.items():
            self.assertLessEqual(levels, set(re.findall(r"\w+", table[event])), event)

    def test_every_key_of_the_guide_is_in_the_reference(self):
        known = {row[0].strip("`") for row in rows(say("config"))}
        known |= set(re.findall(r"^## \[+(?:.*\.)?(\w+)\]", say("config"), re.M))
        guide = ROOT / "docs" / "configuration.md"
        used = set()
        for _, language, text in docs_test.blocks(guide):
            if language == "toml":
                used |= set(re.findall(r"^(\w+)\s*=", text, re.M))
        self.assertEqual(used - known, set())
        self.assertGreater(len(used), 50)

    def values(self):
        """(table, key, kind, default) of the keys in single tables of the file."""
        for table in re.split(r"^## ", say("config"), flags=re.M)[1:]:
            name = re.match(r"\[([\w.]+)\]$", table.splitlines()[0])
            if not name or name[1].startswith("gateway.route"):
                continue
            for key, kind, default, _ in rows(table):
                yield name[1], key.strip("`"), kind, default

    def check(self, values):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "postern.toml")
            path.write_text("".join(f"{table}.{key} = {value}\n" for table, key, value in values),
                            encoding="utf-8")
            return run("check", "-c", path)

    def test_the_defaults_are_values_that_check_takes(self):
        values = [(table, key, default.strip("`")) for table, key, _, default in self.values()
                  if default.startswith("`") and key != "user"]
        self.assertGreater(len(values), 25)
        values.append(("dns.dnstap", "file", '"queries.fstrm"'))  # it has to have some place
        status, out, err = self.check(values)
        self.assertEqual(status, 0, out + err)

    def test_the_limits_are_those_of_check(self):
        wrong = {"integer": "99999999999", "duration": '"9999w"', "size": '"9999TiB"',
                 "choice": '"no-such-word"'}
        tried = [(table, key, kind.partition(": ")) for table, key, kind, _ in self.values()
                 if kind.partition(": ")[0] in wrong]
        self.assertGreater(len(tried), 15)
        status, out, err = self.check([(table, key, wrong[kind[0]]) for table, key, kind in tried])
        self.assertEqual(status, 1)
        said = (out + err).splitlines()
        for table, key, kind in tried:
            line = next((line for line in said if f" {table}.{key}: " in line), "")
            self.assertIn(f"allowed: {kind[2].strip('`')}", line, f"{table}.{key}\n{out}{err}")


class Manuals(Case):
    def lint(self, *names):
        with tempfile.TemporaryDirectory() as directory:
            paths = [pathlib.Path(directory, name) for name in names]
            for path in paths:
                path.write_text(say(path.name), encoding="utf-8")
            # Other manuals and the date are those of the machine, not of the page.
            done = subprocess.run(["mandoc", "-Tlint", "-Wstyle", *paths], capture_output=True,
                                  text=True, check=False, timeout=60)
            shown = subprocess.run(["mandoc", "-Tutf8", *paths], capture_output=True, text=True,
                                   check=True, timeout=60).stdout
        bad = [line for line in done.stdout.splitlines()
               if "referenced manual not found" not in line and "outdated mandoc.db" not in line]
        return bad, re.sub(r"\s+", " ", re.sub(r".\x08", "", shown))

    def test_they_have_no_mistakes_and_show_what_the_tables_have(self):
        bad, shown = self.lint("postern.1", "postern.toml.5")
        self.assertEqual(bad, [])
        for part in ("[[gateway.route]]", "dns.cache.serve_stale", '"1MiB" to "1TiB"', "backend_down",
                     "--cacert FILE", "postern doctor"):
            self.assertTrue(part in shown, part)

    def test_a_mistake_would_be_seen(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "postern.1")
            path.write_text(say("postern.1").replace(".El\n", "", 1), encoding="utf-8")
            done = subprocess.run(["mandoc", "-Tlint", path], capture_output=True, text=True,
                                  check=False, timeout=60)
            self.assertIn("ERROR", done.stdout + done.stderr)


class Completions(Case):
    def bash(self, *words):
        """What bash would offer for the last word."""
        script = (say("bash") + 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _postern; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        with tempfile.TemporaryDirectory() as directory:
            pathlib.Path(directory, "home.toml").write_text("", encoding="utf-8")
            done = subprocess.run(["bash", "-uc", script, "bash", *words], capture_output=True, text=True,
                                  check=True, timeout=60, cwd=directory)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_bash_completes_commands_options_and_files(self):
        self.assertEqual(self.bash("postern", "ch"), ["check"])
        self.assertLessEqual({"run", "check", "explain", "doctor"}, set(self.bash("postern", "")))
        self.assertNotIn("reference", self.bash("postern", ""))
        self.assertEqual(self.bash("postern", "explain", "--cl"), ["--client"])
        self.assertEqual(self.bash("postern", "check", "-c", "ho"), ["home.toml"])
        self.assertEqual(self.bash("postern", "cache", "fl"), ["flush"])
        self.assertEqual(self.bash("postern", "nosuch", ""), [])

    def test_every_command_and_option_is_in_each_of_them(self):
        shells = {name: say(name) for name in ("bash", "zsh", "fish")}
        page = say("commands")
        commands = re.findall(r"^## postern .*?(\w+)$", page, re.M)
        options = set(re.findall(r"--([a-z-]+)", " ".join(row[0] for row in rows(page))))
        self.assertGreater(len(options), 5)
        for name, text in shells.items():
            for word in (*commands, *options):
                self.assertRegex(text, rf"\b{word}\b", name)

    def parse(self, shell, part):
        self.assertTrue(shutil.which(shell), f"{shell} is not installed")
        with tempfile.NamedTemporaryFile("w", suffix=f".{shell}") as file:
            file.write(say(part))
            file.flush()
            return subprocess.run([shell, "-n", file.name], capture_output=True, text=True, check=False,
                                  timeout=60)

    def test_each_shell_reads_its_own(self):
        for shell in ("bash", "zsh", "fish"):
            done = self.parse(shell, shell)
            self.assertEqual((done.returncode, done.stderr), (0, ""), shell)

    def test_fish_completes_commands(self):
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run(["fish", "-c", say("fish") + "\ncomplete -C 'postern ch'"],
                                  capture_output=True, text=True, check=True, timeout=60,
                                  env={"HOME": home, "PATH": "/usr/bin:/bin"})
        self.assertIn("check", done.stdout)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        FOLDER.mkdir(exist_ok=True)
        for title, content in pages().items():
            (FOLDER / f"{title}.md").write_text(content, encoding="utf-8")
    else:
        unittest.main()
