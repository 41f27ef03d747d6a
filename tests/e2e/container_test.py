"""packaging/container, without the tools that build containers: its steps name what is there, and its
health check says what the server says."""

import contextlib
import http.server
import json
import pathlib
import re
import shlex
import socketserver
import subprocess
import threading
import unittest

from lab import BINARY, Case, Postern

ROOT = pathlib.Path(__file__).parents[2]
FILE = ROOT / "packaging" / "container" / "Containerfile"
INSTRUCTIONS = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT",
                "CMD"}


def stages():
    """[(name of the stage, [(instruction, text)])]"""
    text = re.sub(r"^#.*\n", "", FILE.read_text(encoding="utf-8"), flags=re.M)
    found = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if not line.strip():
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            found.append((name, [("FROM", image)]))
        else:
            found[-1][1].append((word, rest))
    return found


def packages(steps):
    """What apt-get installs in a stage."""
    named = []
    for word, rest in steps:
        for command in rest.split("&&") if word == "RUN" else []:
            words = shlex.split(command)
            if words[:2] == ["apt-get", "install"]:
                named += [one for one in words[2:] if not one.startswith("-")]
    return named


@contextlib.contextmanager
def answering(status):
    """(port, paths asked for) of a server that answers everything so."""
    asked = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with socketserver.TCPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            thread.join()


class Container(Case):
    def setUp(self):
        (self.name, self.build), (_, self.final) = stages()

    def of_final(self, instruction):
        return [rest for word, rest in self.final if word == instruction]

    def test_it_has_two_stages_on_debian_12(self):
        for steps in (self.build, self.final):
            self.assertEqual({word for word, _ in steps} - INSTRUCTIONS, set())
            self.assertRegex(steps[0][1], r"/debian:bookworm(-slim)?$")
        self.assertFalse(packages(self.build), "the packages are those of install-packages.sh")

    def test_the_image_keeps_its_health_check(self):
        """Podman's own format has none: it drops the instruction with a warning."""
        for path in ("docs/kubernetes.md", "packaging/container/Containerfile"):
            for line in re.findall(r"podman build.*", (ROOT / path).read_text(encoding="utf-8")):
                self.assertIn("--format docker", line, path)

    def test_what_is_copied_is_there(self):
        for stage in (self.build, self.final):
            for word, rest in stage:
                if word != "COPY":
                    continue
                *sources, _ = [one for one in rest.split() if not one.startswith("--")]
                if f"--from={self.name}" in rest:
                    self.assertIn(f"DESTDIR={sources[0].rstrip('/')}", str(self.build))
                    continue
                for source in sources:
                    self.assertTrue((ROOT / source).exists(), source)

    def test_the_packages_it_names_exist_and_are_those_the_program_needs(self):
        named = packages(self.final)
        shown = subprocess.run(["apt-cache", "policy", *named], capture_output=True, text=True, check=True,
                               timeout=60).stdout
        have = set(re.findall(r"^(\S+):\n(?:  .*\n)*?  Candidate: (?!\(none\))", shown, re.M))
        self.assertEqual(set(named) - have, set())
        libraries = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True,
                                   timeout=60).stdout
        paths = {str(pathlib.Path(path).resolve()) for path in re.findall(r"=> (/\S+)", libraries)}
        paths |= {path.removeprefix("/usr") for path in paths}  # as packages from before the merge say
        owners = subprocess.run(["dpkg", "-S", *paths], capture_output=True, text=True, check=False,
                                timeout=60).stdout  # half of the paths belong to nobody
        needed = {line.split(":")[0] for line in owners.splitlines()}
        self.assertIn("libuv1", needed)
        always = {"libc6", "libgcc-s1", "libstdc++6", "libasan8", "libubsan1", "libtsan2"}
        self.assertEqual(needed - always - set(named), set())

    def test_it_is_no_root_and_starts_what_is_installed(self):
        user, = self.of_final("USER")
        self.assertRegex(user, r"^[1-9]\d+:[1-9]\d+$")
        entry, = map(json.loads, self.of_final("ENTRYPOINT"))
        arguments, = map(json.loads, self.of_final("CMD"))
        self.assertEqual(entry, ["/usr/bin/postern"])
        self.assertEqual(arguments, ["run", "-c", "/etc/postern/postern.toml"])
        self.assertEqual(self.of_final("VOLUME"), ['["/etc/postern"]'])
        setup = next(rest for word, rest in self.build if word == "RUN" and "meson setup" in rest)
        folder = pathlib.Path(BINARY).resolve().parents[1]
        plan = json.loads(subprocess.run(["meson", "introspect", "--install-plan", folder], timeout=60,
                                         capture_output=True, text=True, check=True).stdout)
        places = {entry["destination"] for part in plan.values() for entry in part.values()}
        self.assertIn("{bindir}/postern", places)
        self.assertIn("--prefix=/usr ", setup)
        for ending in ("man1/postern.1", "man5/postern.toml.5", "completions/postern", "/_postern",
                       "/postern.fish"):
            self.assertTrue(any(place.endswith(ending) for place in places), ending)

    def test_it_is_built_in_the_format_that_has_health_checks(self):
        """Podman's default, OCI, drops HEALTHCHECK with a warning."""
        for page in (FILE, ROOT / "docs" / "kubernetes.md"):
            commands = re.findall(r"^(?:#\s+)?(podman build .*)$", page.read_text(encoding="utf-8"), re.M)
            self.assertEqual(len(commands), 1, page.name)
            words = shlex.split(commands[0])
            self.assertEqual(words[words.index("--format") + 1] if "--format" in words else None, "docker", page.name)
            self.assertEqual(ROOT / words[words.index("-f") + 1], FILE)

    def health(self, port):
        check, = self.of_final("HEALTHCHECK")
        command = json.loads(check[check.index("["):])
        copied = {rest.split()[1]: rest.split()[0] for rest in self.of_final("COPY")}
        command = [str(ROOT / copied[word]) if word in copied else word for word in command]
        self.assertEqual(command[0], "bash")  # is in the image
        return subprocess.run([*command, str(port)], capture_output=True, text=True, check=False, timeout=60)

    def test_the_health_check_says_what_the_server_says(self):
        with Postern() as postern:
            good = self.health(postern.admin_port)
            self.assertEqual((good.returncode, good.stdout), (0, ""), good.stderr)
        self.assertNotEqual(self.health(postern.admin_port).returncode, 0)

    def test_a_server_that_is_not_ready_is_not_healthy(self):
        for status, healthy in ((200, True), (503, False)):
            with answering(status) as (port, asked):
                self.assertEqual(self.health(port).returncode == 0, healthy, status)
            self.assertEqual(asked, ["/readyz"])


if __name__ == "__main__":
    unittest.main()
