"""dns.query_log: every query is a line, in files that rotate; a full disk and logrotate do no harm."""

import json
import os
import pathlib
import pwd
import re
import signal
import socket
import subprocess
import tempfile
import unittest

import dns.message

from lab import SLOW, Case, Postern, free_port, run, wait_until

OVERRIDE = """
    [[dns.override]]
    names   = ["*.vanillax.me"]
    address = ["192.168.10.50"]
    https   = "none"
    """
VIEW = '[[dns.view]]\nname = "lan side"\nclients = ["127.0.0.2/32"]\n'
COUNTED = "postern_query_log_lines_total"
LOST = 'postern_query_log_dropped_total{{reason="{}"}}'


def fields(line):
    return dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', line))


def text_of(path):
    """For a moment of each rotation there is no such file."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


class Logged(Case):
    def server(self, log="", config="", **options):
        return Postern(OVERRIDE + config, dns='query_log = { file = "queries.log"' + log + " }\n", **options)

    def lines(self, postern, count, marker="vanillax.me"):
        """The lines with this marker, of all files from the oldest on, when there are so many."""
        def look():
            files = sorted(postern.directory.glob("queries.log*"), reverse=True)
            text = "".join(text_of(path) for path in files)
            found = [line for line in text.splitlines() if marker in line]
            return found if len(found) >= count else None
        return wait_until(f"{count} lines", look)


class Lines(Logged):
    def test_200_names_asked_with_dig_are_200_lines(self):
        with self.server() as postern:
            names = [f"n{i}.vanillax.me" for i in range(200)]
            batch = postern.write("names", "".join(f"{name} A\n" for name in names))
            postern.dig("+short", "-f", str(batch))
            lines = self.lines(postern, 200)
            found = [fields(line).get("name") for line in lines]
            for name in names:
                self.assertEqual(found.count(name + "."), 1, name)
            self.assertEqual(postern.metrics()[LOST.format("ring")], 0)
            self.assertFalse([line for line in postern.log if " query: " in line])

    def test_what_a_line_says(self):
        with self.server(config=VIEW, server="workers = 2\n") as postern:
            size = len(postern.ask("Llama.vanillax.me", "AAAA", source="127.0.0.2", tcp=True).to_wire())
            line = next(line for line in self.lines(postern, 1) if "llama" in line.lower())
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z client=")
            got = fields(line)
            self.assertRegex(got.pop("ms"), r"^\d+\.\d{3}$")
            self.assertEqual(got, {"client": "127.0.0.2", "proto": "tcp", "view": '"lan side"', "name": "Llama.vanillax.me.",
                                   "type": "AAAA", "class": "IN", "flags": "rd", "rcode": "NOERROR", "source": "override",
                                   "bytes": str(size)})

    def test_JSON_with_names_that_want_to_break_it(self):
        with self.server(', format = "json"') as postern:
            names = ["a\\032b", "\\010new", "\\\"quote", "\\255\\000"]
            for name in names:
                postern.ask(f"{name}.vanillax.me", "TXT")
            said = [json.loads(line) for line in self.lines(postern, len(names))]
            said = [one for one in said if one["type"] == "TXT"]
            self.assertEqual(len(said), len(names))
            self.assertEqual({type(one["ms"]) for one in said}, {float})
            self.assertEqual({one["client"] for one in said}, {"127.0.0.1"})

    def test_what_is_no_query_says_so(self):
        with self.server() as postern:
            postern.raw_udp(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07cut")
            lines = self.lines(postern, 1, "name=-")
            self.assertTrue(any("name=-" in line and "rcode=FORMERR" in line for line in lines), lines)

    def test_several_workers_and_many_queries_lose_nothing(self):
        with self.server(server="workers = 3\n") as postern:
            sent = 0
            for burst in range(40):
                channels = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
                for i, channel in enumerate(channels):
                    channel.settimeout(5 * SLOW)
                    channel.connect((postern.address, postern.port))
                    for k in range(20):
                        channel.send(dns.message.make_query(f"b{burst}-{i}-{k}.vanillax.me", "A").to_wire())
                        sent += 1
                    for _ in range(20):
                        channel.recv(2000)
                    channel.close()
            names = [fields(line)["name"] for line in self.lines(postern, sent, "name=b")]
            self.assertEqual((len(names), len(set(names))), (sent, sent))

    def test_nothing_is_written_when_it_is_off_and_a_reload_turns_it_on(self):
        with Postern(OVERRIDE) as postern:
            postern.ask("before.vanillax.me")
            self.assertFalse((postern.directory / "queries.log").exists())
            postern.reload(dns='query_log = { file = "queries.log" }\n')
            wait_until("the reload", lambda: (postern.directory / "queries.log").exists())
            wait_until("a line", lambda: postern.ask("after.vanillax.me") and postern.metrics()[COUNTED] > 0)
            text = (postern.directory / "queries.log").read_text()
            self.assertNotIn("before", text)
            self.assertIn("after", text)
            self.assertEqual((postern.directory / "queries.log").stat().st_mode & 0o777, 0o640 & ~os.umask(os.umask(0)))


class Rotation(Logged):
    def test_so_many_files_are_kept_and_no_line_is_lost(self):
        with self.server(', rotate = "64KiB", keep = 3') as postern, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.settimeout(5 * SLOW)
            channel.connect((postern.address, postern.port))
            count = 3000  # about 130 bytes each: six files
            for i in range(count):
                channel.send(dns.message.make_query(f"r{i:05}.vanillax.me", "A").to_wire())
                channel.recv(2000)
            wait_until("the last line", lambda: f"name=r{count - 1:05}." in text_of(postern.directory / "queries.log"))
            files = sorted(path.name for path in postern.directory.glob("queries.log*"))
            self.assertEqual(files, ["queries.log", "queries.log.1", "queries.log.2", "queries.log.3"])
            numbers = []
            for name in reversed(files):
                path = postern.directory / name
                self.assertLessEqual(path.stat().st_size, 64 << 10)
                for line in path.read_text().splitlines():
                    self.assertRegex(line, r"^\d{4}-.* bytes=\d+$")  # whole
                    numbers += [int(found[1]) for found in [re.search(r"name=r(\d+)\.", line)] if found]
            self.assertEqual(numbers, list(range(numbers[0], count)))  # the oldest went, the others are all there
            self.assertGreater(postern.metrics()["postern_query_log_rotations_total"], 3)

    def test_logrotate_moves_the_file_and_SIGHUP_begins_a_new_one(self):
        with self.server() as postern:
            postern.ask("one.vanillax.me")
            self.lines(postern, 1)
            path = postern.directory / "queries.log"
            path.rename(postern.directory / "moved.log")
            postern.ask("two.vanillax.me")
            postern.process.send_signal(signal.SIGHUP)
            wait_until("the new file", path.exists)
            postern.ask("three.vanillax.me")
            wait_until("its line", lambda: "three.vanillax.me" in text_of(path))
            moved = (postern.directory / "moved.log").read_text()
            self.assert_says(moved, "one.vanillax.me", "two.vanillax.me")
            self.assertNotIn("three", moved)

    def test_so_it_does_when_the_configuration_is_broken(self):
        with self.server() as postern:
            postern.ask("one.vanillax.me")
            self.lines(postern, 1)
            path = postern.directory / "queries.log"
            path.rename(postern.directory / "moved.log")
            mark = len(postern.log)
            postern.config_path.write_text(postern.config_path.read_text() + "\n[dns.cahce]\n")
            postern.process.send_signal(signal.SIGHUP)
            postern.wait_log("reload_refused", mark)
            wait_until("the new file", path.exists)
            postern.ask("two.vanillax.me")
            wait_until("its line", lambda: "two.vanillax.me" in text_of(path))


class FullDisk(Logged):
    def test_a_full_device_is_told_and_serving_goes_on(self):
        with Postern(OVERRIDE, dns='query_log = { file = "/dev/full" }\n') as postern:
            for i in range(20):
                self.assertEqual(postern.answer(f"n{i}.vanillax.me"), ["192.168.10.50"])
            wait_until("the loss", lambda: postern.metrics()[LOST.format("write")] >= 20)
            line = postern.wait_log("query_log_failed: /dev/full: No space left")
            self.assertIn("lines are lost", line)
            self.assertEqual(len([one for one in postern.log if "query_log_failed" in one]), 1)

    @unittest.skipUnless(os.geteuid() == 0, "mounting takes root")
    def test_a_full_file_system_has_whole_lines_and_goes_on_when_there_is_room(self):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="postern-tmpfs-"))
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", directory], check=False).returncode:
            directory.rmdir()
            self.skipTest("this machine mounts no tmpfs")
        try:
            with Postern(OVERRIDE, dns=f'query_log = {{ file = "{directory}/q.log" }}\n') as postern:
                for i in range(1200):
                    postern.ask(f"n{i}.vanillax.me")
                wait_until("the loss", lambda: postern.metrics()[LOST.format("write")] > 0)
                path = directory / "q.log"
                self.assertTrue(path.read_text().endswith("\n"))
                path.rename(directory / "old")
                (directory / "old").unlink()
                postern.process.send_signal(signal.SIGHUP)
                wait_until("the new file", path.exists)
                postern.ask("again.vanillax.me")
                wait_until("a line again", lambda: "again.vanillax.me" in text_of(path))
        finally:
            subprocess.run(["umount", directory], check=True)
            directory.rmdir()


class Checked(Case):
    def test_mistakes_are_found_by_check(self):
        cases = [('query_log = { file = "nowhere/q.log" }', "there is no directory"),
                 ('query_log = { file = "/tmp" }', "is a directory"),
                 ('query_log = { file = "q", rotate = "1KiB" }', "rotate"),
                 ('query_log = { file = "q", keep = 5000 }', "keep"),
                 ('query_log = { file = "q", format = "xml" }', "no such choice 'xml'"),
                 ('query_log = { fille = "q" }', "file"),
                 ("dnstap = { identity = \"x\" }", "neither socket nor file"),
                 ('dnstap = { socket = "/' + "x" * 120 + '" }', "bytes long"),
                 ('dnstap = { socket = "/run/x", messages = ["resolver"] }', "no such choice 'resolver'")]
        with tempfile.TemporaryDirectory(prefix="postern-check-") as directory:
            path = pathlib.Path(directory) / "postern.toml"
            for text, said in cases:
                path.write_text(f'[dns]\nlisten = ["127.0.0.1:5353"]\n{text}\n')
                status, out, err = run("check", "-c", path)
                self.assertEqual(status, 1, out + err)
                self.assert_says(out + err, f"{path}:3:", said)

    def check(self, folder, file, server=""):
        """What `check` says of a query log and a dnstap file at this path; both have to be good."""
        path = folder / "postern.toml"
        path.write_text(f'[server]\n{server}\n[dns]\nlisten = ["127.0.0.1:5353"]\n'
                        f'query_log = {{ file = "{file}" }}\ndnstap = {{ file = "{file}.fstrm" }}\n')
        status, out, err = run("check", "-c", path)
        self.assertEqual(status, 0, out + err)
        return [line for line in out.splitlines() if "dns.query_log" in line or "dns.dnstap" in line]

    def test_a_log_in_the_folder_of_the_configuration_is_warned_of(self):
        with tempfile.TemporaryDirectory(prefix="postern-check-") as directory:
            folder = pathlib.Path(directory)
            (folder / "log").mkdir()
            for file in ("queries.log", folder / "queries.log", "log/../queries.log"):
                found = self.check(folder, file, server='user = ""')
                self.assertEqual(len(found), 2, found)
                self.assert_says(found[0], "postern.toml:5:", "dns.query_log.file", "own folder",
                                 '"/var/log/postern/queries.log"')
                self.assert_says(found[1], "postern.toml:6:", "dns.dnstap.file",
                                 '"/var/log/postern/queries.log.fstrm"')
            self.assertEqual(self.check(folder, "log/queries.log", server='user = ""'), [])

    @unittest.skipUnless(os.geteuid() == 0, "another user takes root")
    def test_a_folder_that_the_user_may_not_write_to_is_warned_of(self):
        with tempfile.TemporaryDirectory(prefix="postern-check-") as directory:
            folder = pathlib.Path(directory)
            (folder / "log").mkdir()
            user = pwd.getpwnam("nobody")
            for owner, group, mode, good in ((0, 0, 0o755, False), (0, 0, 0o777, True), (0, user.pw_gid, 0o775, True),
                                             (0, user.pw_gid, 0o705, False), (user.pw_uid, 0, 0o700, True),
                                             (user.pw_uid, 0, 0o577, False)):
                os.chown(folder / "log", owner, group)
                os.chmod(folder / "log", mode)
                found = self.check(folder, "log/q", server='user = "nobody"')
                self.assertEqual(len(found), 0 if good else 2, (owner, group, oct(mode), found))
                for line in found:
                    self.assert_says(line, "user 'nobody' may not write into", f"chown nobody {folder}/log")
                # What the system says itself. The folder above is this test's alone.
                os.chmod(folder, 0o711)
                done = subprocess.run(["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
                                       "test", "-w", folder / "log", "-a", "-x", folder / "log"], check=False)
                self.assertEqual(done.returncode == 0, good, (owner, group, oct(mode)))

    def test_a_file_that_cannot_be_written_is_no_start_and_no_reload(self):
        with Postern(OVERRIDE) as postern:
            (postern.directory / "q").mkdir()
            target = postern.directory / "link"
            target.symlink_to("missing/deeper")
            line = postern.reload(dns='query_log = { file = "link" }\n')
            line = postern.wait_log("reload_refused")
            self.assert_says(line, "dns.query_log.file", "No such file")
            self.assertEqual(postern.answer("llama.vanillax.me"), ["192.168.10.50"])
            # What is refused as the last of all has not moved anything before.
            mark, was = len(postern.log), postern.admin_port
            postern.admin_port = free_port()
            postern.reload(dns='query_log = { file = "link" }\n')
            postern.wait_log("reload_refused", mark)
            postern.admin_port = was
            self.assertIn("postern_workers", postern.metrics())


if __name__ == "__main__":
    unittest.main()
