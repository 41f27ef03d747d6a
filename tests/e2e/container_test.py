"""packaging/container, without the tools that build containers: its steps name what is there, its health
check says what the server says, and what the steps make serves in a root that has nothing else and
can't be written to. The last needs root, for the mounts."""

import contextlib
import http.server
import json
import pathlib
import re
import shlex
import shutil
import socketserver
import subprocess
import tempfile
import threading
import unittest

import docs_test
from lab import BINARY, SLOW, Case, Postern, wait_until
from small_root import (build_environment, call, closure, enter_namespaces, new_root, source_in, what_is_installed_for,
                        where_mounts_work, why_not)

ROOT = pathlib.Path(__file__).parents[2]
FILE = ROOT / "packaging" / "container" / "Containerfile"
INSTRUCTIONS = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT",
                "CMD"}
CONFIG = """\
[server]
user  = ""
admin = "127.0.0.1:9153"

[dns]
listen = ["0.0.0.0:53"]

[[dns.override]]
names   = ["*.vanillax.me"]
address = ["127.0.0.1"]

[[dns.zone]]
name = "home.arpa"
file = "zones/home.arpa.zone"

[[dns.forward]]
name      = "."
upstreams = ["udp://127.0.0.1:9"]

[[tls.certificate]]
name = "lan"
cert = "tls.crt"
key  = "tls.key"

[[gateway.listener]]
name = "internal"
address = ["0.0.0.0"]
http  = 80
https = 443
certificates = ["lan"]
publish_dns = false

[[gateway.route]]
listeners = ["internal"]
hostnames = ["app.vanillax.me"]
respond   = { status = 200, content_type = "text/plain", body = "from the container" }
"""
WRITING = re.compile(r"O_(WRONLY|RDWR|CREAT)|^\d+ +(mk|rename|unlink|link|symlink|ch(own|mod)|truncate)")


def load_tests(loader, _tests, _pattern):
    suite = unittest.TestSuite([loader.loadTestsFromTestCase(Container)])
    suite.addTests(where_mounts_work(loader, why_not(), "CONTAINER", Image))
    return suite


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


class Image(Case):
    """The steps, done by hand."""

    @classmethod
    def setUpClass(cls):
        enter_namespaces()

    def build_stage(self, steps):
        """The root after its commands, which are run as they stand there; only the compiler has a stand-in, and what is
        installed comes from this machine. For what the stand-in leaves out, the headers are looked for."""
        root = new_root(self, closure([one] for one in what_is_installed_for(self, "build")))
        place = next(rest for word, rest in steps if word == "WORKDIR")
        self.assertIn(("COPY", ". ."), steps)
        source_in(self, root, place)
        shutil.copy(BINARY, root / "root/postern")
        environment = dict(build_environment("/root/log"), POSTERN="/root/postern", HOME="/root",
                           CXX=f"{place}/tests/tools/stand_in_compiler.sh")
        for word, rest in steps:
            if word == "RUN":
                call("chroot", root, "sh", "-c", f"cd {place} && {rest}", env=environment)
        used = set(re.findall(r"^#include <.*>$", "\n".join(
            path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.[ch]*")), re.M))
        # What protoc-c makes includes this, and this alone.
        used = {"#include <protobuf-c/protobuf-c.h>" if ".pb-c.h" in one else one for one in used}
        self.assertGreater(len([one for one in used if "/" in one]), 8)
        (root / "root/all.cpp").write_text("\n".join(sorted(used)) + "\n", encoding="utf-8")
        call("chroot", root, "g++", "-std=c++20", "-E", "-o", "/dev/null", "/root/all.cpp", env=environment)
        return root

    def final_stage(self, name, steps, build):
        """On a Debian with nothing but the packages that it names."""
        root = new_root(self, closure([one] for one in packages(steps)))
        for word, rest in steps:
            if word != "COPY":
                continue
            source, target = rest.removeprefix(f"--from={name} ").split()
            if rest.startswith("--from="):
                call("cp", "-a", f"{build}{source}.", f"{root}{target}")
            else:
                (root / target[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, root / target[1:])
        return root

    def mount_configuration(self, root):
        """As podman's -v DIRECTORY:/etc/postern:ro."""
        folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        folder.chmod(0o755)
        (folder / "zones").mkdir()
        shutil.copy(ROOT / "zones/home.arpa.zone", folder / "zones")
        for name, text in (("postern.toml", CONFIG), *zip(("tls.crt", "tls.key"), docs_test.certificate())):
            (folder / name).write_text(text, encoding="utf-8")
        volume, = json.loads(next(rest for word, rest in self.steps if word == "VOLUME"))
        (root / volume[1:]).mkdir(parents=True, exist_ok=True)
        call("mount", "--bind", "-o", "ro", folder, root / volume[1:])
        self.addCleanup(call, "umount", root / volume[1:])
        return folder

    def of_final(self, instruction):
        return next(rest for word, rest in self.steps if word == instruction)

    def command(self, root, *words, capabilities="-all"):
        """As the user of the image, without rights but these."""
        uid, gid = self.of_final("USER").split(":")
        return ["chroot", str(root), "setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs",
                f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}", f"--bounding-set={capabilities}", *words]

    def test_it_serves_from_a_root_that_cannot_be_written_to(self):
        (name, build), (_, self.steps) = stages()
        built = self.build_stage(build)
        root = self.final_stage(name, self.steps, built)
        folder = self.mount_configuration(root)
        call("mount", "-o", "remount,ro", root)
        for port, capabilities in (("0", "-all"), ("1024", "-all,+net_bind_service")):
            pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text(port, encoding="ascii")
            with self.subTest(capabilities):
                self.serve(root, folder, capabilities)

    def serve(self, root, folder, capabilities):
        words = [*json.loads(self.of_final("ENTRYPOINT")), *json.loads(self.of_final("CMD"))]
        with contextlib.ExitStack() as stack:
            trace = stack.enter_context(tempfile.NamedTemporaryFile("r", encoding="utf-8"))
            server = subprocess.Popen(["strace", "-D", "-f", "-q", "-e", "trace=%file", "-o", trace.name,
                                       *self.command(root, *words, capabilities=capabilities)], stderr=subprocess.PIPE, text=True)
            for end in (server.stderr.close, server.wait, server.kill):
                stack.callback(end)
            wait_until("health", lambda: self.healthy(root) or self.fail_if_ended(server), 20)
            rights = pathlib.Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
            self.assertIn("\t".join(["Uid:"] + [self.of_final("USER").split(":")[0]] * 4), rights)
            self.assertIn(f"CapEff:\t{0x400 if 'net_bind' in capabilities else 0:016x}", rights)
            self.ask(folder)
            server.terminate()
            self.assertEqual(server.wait(20 * SLOW), 0)
            self.assertFalse(self.healthy(root))
            whole = []
            wait_until("the end of the trace", lambda: whole.append(trace.read()) or
                       re.search(rf"(?m)^{server.pid} +\+\+\+ exited with 0 \+\+\+$", "".join(whole)))
        calls = "".join(whole).splitlines()
        begin = next(i for i, line in enumerate(calls) if f'execve("{words[0]}"' in line)
        self.assertTrue(any("home.arpa.zone" in line for line in calls[begin:]))
        self.assertEqual([line for line in calls[begin:] if WRITING.search(line)], [])

    def fail_if_ended(self, server):
        if server.poll() is not None:
            raise AssertionError(server.stderr.read())

    def healthy(self, root):
        check = self.of_final("HEALTHCHECK")
        done = subprocess.run(self.command(root, *json.loads(check[check.index("["):])), capture_output=True, check=False,
                              timeout=30 * SLOW)
        return done.returncode == 0

    def ask(self, folder):
        for way in ("+notcp", "+tcp"):
            dig = lambda *words: call("dig", "@127.0.0.1", "+tries=1", "+time=5", "+short", way, *words)
            self.assertEqual(dig("app.vanillax.me"), "127.0.0.1\n")
            self.assertEqual(dig("nas.home.arpa"), "192.168.10.20\n")
        curl = lambda *words: call("curl", "-sS", "--cacert", folder / "tls.crt", "--resolve", "app.vanillax.me:443:127.0.0.1",
                                   "--resolve", "app.vanillax.me:80:127.0.0.1", *words)
        self.assertEqual(curl("https://app.vanillax.me/"), "from the container")
        self.assertEqual(curl("-o", "/dev/null", "-w", "%{http_code}", "http://app.vanillax.me/"), "301")


if __name__ == "__main__":
    unittest.main()
