"""Completion as a person has it: bash, zsh and fish on a terminal, keys are typed, and what the line became is
seen by what is run. `postern` is a function of the shell that says what it was called with."""

import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest

from lab import BINARY, SLOW, Case

# How each starts without the files of whoever runs the test, and loads the completion as it is installed.
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "postern",
             "bind 'set enable-bracketed-paste off'; bind 'set completion-query-items 0'; bind 'set page-completions off'; "
             "bind 'set show-all-if-ambiguous on'; postern() { echo \"ran: $*.\"; }; . ./completions/postern; PS1='@ '"),
    "zsh": (["zsh", "-f", "-i"], "_postern",
            "unsetopt prompt_sp; fpath=($PWD/completions $fpath); autoload -Uz compinit; compinit -u -D; LISTMAX=0; "
            "postern() { echo \"ran: $*.\"; }; PS1='@ '"),
    "fish": (["fish", "--no-config", "--private", "-i"], "postern.fish",
             "set -g fish_autosuggestion_enabled 0; function postern; echo \"ran: $argv.\"; end; "
             "source completions/postern.fish; function fish_prompt; echo '@ '; end"),
}
ESCAPES = re.compile(rb"\x1b(\[[0-9;?>=]*[A-Za-z]|[()][A-Z0-9]|\][^\x07\x1b]*(\x07|\x1b\\)|[=>])")


class Terminal:
    """A shell on a terminal of 200 columns."""

    def __init__(self, shell):
        self.place = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.place.name)
        command, name, setup = SHELLS[shell]
        (folder / "completions").mkdir()
        (folder / "completions" / name).write_text(
            subprocess.run([BINARY, "reference", shell], capture_output=True, text=True, check=True, timeout=60).stdout,
            encoding="utf-8")
        (folder / "mine.toml").touch()
        environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "TERM": "xterm", "LC_ALL": "C.UTF-8", "HISTFILE": ""}
        self.pid, self.keyboard = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, environment)
        fcntl.ioctl(self.keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self.seen = b""
        self.type(setup + "\r")
        self.type("echo rea''dy\r")
        self.until(r"^ready")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.keyboard)
        self.place.cleanup()

    def type(self, keys):
        os.write(self.keyboard, keys.encode())

    def text(self):
        return ESCAPES.sub(b"", self.seen).decode(errors="replace").replace("\r", "")

    def until(self, pattern):
        """What the terminal shows has this in a line; the match. What came before is forgotten."""
        end = time.monotonic() + 20 * SLOW
        while not (found := re.search(pattern, self.text(), re.M)):
            ready, _, _ = select.select([self.keyboard], [], [], max(end - time.monotonic(), 0))
            if not ready:
                raise AssertionError(f"waited for {pattern!r}, and there was:\n{self.text()}")
            self.seen += os.read(self.keyboard, 65536)
        self.seen = b""
        return found

    def ran(self, keys):
        """What `postern` was called with when these keys and Return had been typed."""
        self.type(keys + "\r")
        return self.until(r"^ran: (.*)\.$")[1].strip()

    def offers(self, keys, word):
        """With these keys the word is offered, among others; the line is thrown away."""
        self.type(keys)
        self.until(rf"(^|\s){re.escape(word)}(\s|$)")
        self.type("\x15")  # an interrupt would take what is typed next as well


class Completion(Case):
    def life(self, shell):
        with Terminal(shell) as terminal:
            self.assertEqual(terminal.ran("postern ch\t"), "check")
            self.assertEqual(terminal.ran("postern expl\t--cl\t10.0.0.1"), "explain --client 10.0.0.1")
            self.assertEqual(terminal.ran("postern check -c mi\t"), "check -c mine.toml")
            self.assertEqual(terminal.ran("postern check --config mi\t"), "check --config mine.toml")
            self.assertEqual(terminal.ran("postern check --format gitl\t"), "check --format gitlab")
            self.assertEqual(terminal.ran("postern cache fl\t"), "cache flush")
            self.assertEqual(terminal.ran("postern import core\tmi\t"), "import corefile mine.toml")
            self.assertEqual(terminal.ran("postern diff mi\t--ag\tmi\t"), "diff mine.toml --against mine.toml")
            self.assertEqual(terminal.ran("postern log --fo\t"), "log --follow")
            self.assertEqual(terminal.ran("postern nosuch x\t"), "nosuch x")
            terminal.offers("postern \t", "doctor")
            terminal.offers("postern status --\t\t", "--token-file")

    def test_bash(self):
        self.life("bash")

    def test_zsh(self):
        self.life("zsh")

    def test_fish(self):
        self.life("fish")


if __name__ == "__main__":
    unittest.main()
