"""The Debian package: built, looked at by lintian, and taken through its life on a copy of this system
that is thrown away (overlayfs, a network of its own): install, serve, upgrade, remove, purge. Needs
root, for the mounts."""

import concurrent.futures
import contextlib
import ctypes
import io
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
import unittest.mock as mock

from docs_test import blocks
from lab import BINARY, SLOW, Case, Upstream, wait_until
from small_root import (PATH, call, closure, copy_of_this_system, debian_package, dependencies, enter_namespaces, inside,
                        new_root, source_in, what_is_installed_for, where_mounts_work, why_not)

ROOT = pathlib.Path(__file__).parents[2]
NEWNET = 0x40000000
CONFIG, ZONE = "etc/postern/postern.toml", "etc/postern/zones/home.arpa.zone"
RESOLVER = "192.168.77.53"
UNIT = "lib/systemd/system/postern.service"
PUBLIC = "www.example.com. 60 A 203.0.113.9\nnas.home.arpa. 60 A 203.0.113.10"

# In place of systemd, which does not run here: says whether the service does, notes what it is told.
SYSTEMCTL = """\
#!/bin/sh
echo "$0 $*" >>/root/told
case "$*" in
  *is-active*postern.service) test -e /root/active ;;
  *is-active*) exit 3 ;;
  *show*--property\\ SupplementaryGroups*) cat /root/groups ;;
  *preset*) exec /bin/systemctl "$@" ;;
esac
"""


def load_tests(loader, _tests, _pattern):
    suite = unittest.TestSuite(loader.loadTestsFromTestCase(one) for one in (Package, Build, WithoutMounts))
    suite.addTests(life(loader, why_not()))
    return suite


def life(loader, reason):
    return where_mounts_work(loader, reason, "PACKAGE", Life, Alone)


def resolver_elsewhere():
    """A resolver on port 53 of another machine: in a network of its own, with a cable to ours."""
    def plug_in():
        assert ctypes.CDLL(None).unshare(NEWNET) == 0  # this thread, and those that it starts
        call("ip", "link", "add", "there", "type", "veth", "peer", "name", "here", "netns", os.getpid())
        call("ip", "address", "add", f"{RESOLVER}/24", "dev", "there")
        call("ip", "link", "set", "there", "up")
        return Upstream(PUBLIC, address=RESOLVER, port=53)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        resolver = pool.submit(plug_in).result()
    call("ip", "address", "add", "192.168.77.1/24", "dev", "here")
    call("ip", "link", "set", "here", "up")
    return resolver


class WithoutMounts(Case):
    """A machine that cannot copy its system says so, and is not green in CI."""

    def outcome(self, reason, **environment):
        said = io.StringIO()
        with mock.patch.dict(os.environ, environment), contextlib.redirect_stdout(said):
            suite = life(unittest.TestLoader(), reason)
            result = unittest.TestResult()
            if reason:
                suite.run(result)
        return suite.countTestCases(), len(result.failures), said.getvalue()

    def test_it_fails_in_ci_and_is_said_elsewhere(self):
        loud = "PACKAGE TESTS DID NOT RUN: no copy of the system can be mounted here: no root\n"
        self.assertEqual(self.outcome("no root", CI="true"), (1, 1, loud))
        self.assertEqual(self.outcome("no root", CI=""), (0, 0, loud))
        count, failures, said = self.outcome("", CI="true")
        self.assertGreaterEqual(count, 3)
        self.assertEqual((failures, said), (0, ""))


class Built(Case):
    """The package and a newer one."""

    @classmethod
    def setUpClass(cls):
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="postern-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.work, ignore_errors=True)
        name, content, cls.compiled, cls.said = debian_package()
        cls.first = cls.work / name
        cls.first.write_bytes(content)
        cls.second = cls.newer(cls.first, "9.9", {CONFIG: "\n# a key that is new in 9.9\n"})

    @classmethod
    def newer(cls, package, version, changes):
        """The same package with a higher version and lines added to files."""
        tree = cls.work / version
        call("dpkg-deb", "--raw-extract", package, tree)
        control = tree / "DEBIAN/control"
        control.write_text(re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.M))
        for name, text in changes.items():
            with (tree / name).open("a") as file:
                file.write(text)
        target = cls.work / f"postern-{version}.deb"
        call("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, target)
        return target

    def unpacked(self):
        tree = pathlib.Path(tempfile.mkdtemp(dir=self.work))
        call("dpkg-deb", "--extract", self.first, tree)
        return tree


class Build(Built):
    """What `dh` makes of the sources; only the compiler has a stand-in."""

    def test_every_source_is_compiled_as_debian_compiles(self):
        # Once to be trained, and once with what the training has shown.
        end = 1 + next(i for i, line in enumerate(self.compiled) if not line.endswith(".cpp"))
        self.assertIn("Trained: obj-", self.said)
        self.compiled_with(self.compiled[:end], {"-fprofile-generate"})
        self.compiled_with(self.compiled[end:], {"-fprofile-use", "-fprofile-partial-training"})

    def compiled_with(self, compiled, profile):
        lines = [line for line in compiled if line.endswith(".cpp")]
        sources = {found[1] for line in lines if (found := re.search(r" \.\./(src/\S+\.cpp)$", line))}  # not what is generated
        self.assertEqual(sources, {str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*.cpp")})
        for line in lines:
            words = line.split()
            for flag in ("-O3", "-g", "-flto=auto", "-DNDEBUG", "-std=c++20", "-D_FORTIFY_SOURCE=2", "-D_GLIBCXX_ASSERTIONS",
                         "-fstack-protector-strong", "-fstack-clash-protection", "-Wformat", "-Werror=format-security"):
                self.assertIn(flag, words, line)
            self.assertFalse([word for word in words if word.startswith("-fsanitize") or word == "-Werror"], line)
            self.assertEqual({word for word in words if re.match("-fprofile-(generate|use|partial)", word)}, profile, line)
        link, = [line.split() for line in compiled if not line.endswith(".cpp")]
        for flag in ("-Wl,-z,relro", "-Wl,-z,now", "-flto"):
            self.assertIn(flag, link)

    def test_every_library_it_is_linked_with_is_in_depends(self):
        tree = self.unpacked()
        needed = set(re.findall(r"^  NEEDED +(\S+)$", call("objdump", "-p", tree / "usr/bin/postern"), re.M))
        self.assertGreater(len(needed), 8)
        loaded = re.findall(r"(/\S+) \(0x", call("ldd", tree / "usr/bin/postern"))
        found = {os.path.basename(path): path for path in loaded}
        depends = {name for group in dependencies(call("dpkg-deb", "--field", self.first, "Depends")) for name in group}
        for library in needed:
            path = os.path.realpath(found[library])
            owners = subprocess.run(["dpkg", "-S", path, path.removeprefix("/usr")], capture_output=True, text=True, check=False,
                                    timeout=60).stdout
            self.assertIn(owners.split(":")[0], depends, library)


class Package(Built):
    def test_it_has_the_version_of_the_program(self):
        version = call("dpkg-deb", "--field", self.first, "Version").strip()
        self.assertEqual(call(BINARY, "--version").strip(), f"postern {version}")

    def test_lintian_finds_nothing(self):
        said = call("lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", self.first)
        self.assertEqual([line for line in said.splitlines() if re.match("[EWX]:", line)], [])

    def test_links_of_the_installed_pages_lead_to_files(self):
        doc = self.unpacked() / "usr/share/doc/postern"
        pages = {path.relative_to(doc) for path in doc.rglob("*.md")}
        sources = {path.relative_to(ROOT) for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))}
        self.assertEqual(pages, sources)
        followed = 0
        for page in sorted(pages):
            text = (doc / page).read_text()
            self.assertEqual(text, (ROOT / page).read_text(), page)
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
                self.assertTrue((doc / page.parent / target).is_file(), f"{page}: {target}")
                followed += 1
        self.assertGreater(followed, 50)

    def test_pages_that_installed_files_name_are_there(self):
        tree = self.unpacked()
        call("dpkg-deb", "--control", self.first, tree / "DEBIAN")
        named = {}
        for path in (one for one in tree.rglob("*") if one.is_file() and not one.is_symlink()):
            for name in re.findall(rb"/(usr/share/doc/postern/[\w./-]*\w)", path.read_bytes()):
                named.setdefault(path.name, set()).add(name.decode())
        for file in ("postern.toml", "postern.service", "postern-dns.socket", "postinst"):
            self.assertIn(file, named)
        for file, names in named.items():
            for name in names:
                self.assertTrue((tree / name).is_file(), f"{file}: {name}")

    def test_every_example_of_the_configuration_is_one(self):
        text = (ROOT / "packaging/deb/postern.toml").read_text()
        whole = re.sub(r"^#(?=[\w\[])", "", text, flags=re.M)
        self.assertGreater(whole.count("\n[["), 5)
        folder = self.work / "whole"
        shutil.copytree(ROOT / "zones", folder / "zones")
        (folder / "tls").mkdir()
        call("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "30", "-subj", "/CN=x", "-addext", "subjectAltName=DNS:*.home.example",
             "-keyout", folder / "tls/tls.key", "-out", folder / "tls/tls.crt")
        (folder / "postern.toml").write_text(whole)
        said = call(BINARY, "check", "-c", folder / "postern.toml")
        self.assertIn("1 override, 1 zone, 1 forward, 1 listener, 1 route", said)


class Machine(Built):
    """What is done on a system below `root`."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        enter_namespaces()

    def use_the_resolver(self):
        resolv = self.root / "etc/resolv.conf"
        resolv.unlink(missing_ok=True)
        resolv.write_text(f"nameserver {RESOLVER}\n")

    def inside(self, *words):
        return inside(self.root, *words)

    def dpkg(self, *words):
        return self.inside("dpkg", "--force-confold", "--force-unsafe-io", *words)

    def install(self, package):
        shutil.copy(package, self.root / "root/postern.deb")
        return self.dpkg("--install", "/root/postern.deb")

    def file(self, name):
        return (self.root / name).read_text()

    def serve(self):
        """The service as its unit starts it: this command, as this user, with this capability."""
        unit = self.file(UNIT)
        value = lambda key: re.search(rf"^{key}=(.*)$", unit, re.M)[1]
        cap = value("AmbientCapabilities").removeprefix("CAP_").lower()
        server = subprocess.Popen(
            ["chroot", self.root, "setpriv", f"--reuid={value('User')}", f"--regid={value('Group')}", "--init-groups",
             f"--inh-caps=-all,+{cap}", f"--ambient-caps=-all,+{cap}", f"--bounding-set=-all,+{cap}", "--no-new-privs",
             *value("ExecStart").split()], stderr=subprocess.PIPE, text=True)
        self.addCleanup(server.stderr.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        return server

    def dig(self, name, *words):
        return call("dig", "@127.0.0.1", "+tries=1", "+time=5", name, *words).strip()

    def answers(self, server):
        assert server.poll() is None, server.stderr.read()
        done = subprocess.run(["dig", "@127.0.0.1", "+tries=1", "+time=1", "+short", "www.example.com"],
                              capture_output=True, text=True, check=False)
        return done.stdout.strip() == "203.0.113.9"

    def stop(self, server):
        server.terminate()
        self.assertEqual(server.wait(20 * SLOW), 0, server.stderr.read())


class Life(Machine):
    def new_system(self):
        """This system, with whatever happens to it kept in memory and forgotten at the end."""
        self.root = copy_of_this_system(self)
        call("mount", "-t", "tmpfs", "tmpfs", self.root / "run")
        for name in ("usr/sbin/policy-rc.d", CONFIG, "etc/dpkg/dpkg.cfg.d/docker"):
            (self.root / name).unlink(missing_ok=True)
        (self.root / "var/lib/man-db/auto-update").unlink(missing_ok=True)  # takes long
        self.use_the_resolver()

    def with_systemd(self):
        """As if it ran: units are found by deb-systemd-invoke, and systemctl is ours."""
        (self.root / "run/systemd/system").mkdir(parents=True)
        for name in ("told", "groups"):
            (self.root / "root" / name).touch()
        for name in ("usr/local/bin/systemctl", "usr/local/bin/deb-systemd-invoke"):
            path = self.root / name
            path.write_text(SYSTEMCTL)
            path.chmod(0o755)

    def told(self):
        """What the service manager was told since the last time."""
        path = self.root / "root/told"
        lines = [line.split("/")[-1] for line in path.read_text().splitlines()]
        path.write_text("")
        return lines

    def test_a_life_from_install_to_purge(self):
        self.new_system()
        with resolver_elsewhere():
            self.install(self.first)
            self.assert_installed()
            server = self.serve()
            wait_until("an answer", lambda: self.answers(server))
            for protocol in ("+notcp", "+tcp"):
                self.assertEqual(self.dig("www.example.com", "+short", protocol), "203.0.113.9")
            self.stop(server)
            self.edit()
            self.install(self.second)
            self.assert_edits_are_kept()
            self.assertEqual(self.file(CONFIG + ".dpkg-dist").splitlines()[-1], "# a key that is new in 9.9")
            server = self.serve()
            wait_until("an answer", lambda: self.answers(server))
            self.assertEqual(self.dig("nas.home.arpa", "+short"), "192.168.77.20")
            self.stop(server)
        self.dpkg("--remove", "postern")
        self.assert_edits_are_kept()
        self.assertFalse((self.root / "usr/bin/postern").exists())
        self.dpkg("--purge", "postern")
        for name in ("etc/postern", "var/lib/postern", "usr/share/doc/postern", UNIT):
            self.assertFalse((self.root / name).exists(), name)

    def assert_installed(self):
        for name in (CONFIG, ZONE, UNIT, "usr/share/doc/postern/docs/install.md", "usr/share/man/man1/postern.1.gz"):
            self.assertTrue((self.root / name).exists(), name)
        self.assertRegex(self.inside("getent", "passwd", "postern"), r"postern:x:\d+:\d+:[^:]*:/var/lib/postern:/usr/sbin/nologin")
        self.assertEqual(self.inside("stat", "-c", "%U:%G %a", "/var/lib/postern", "/etc/postern/tls", "/" + CONFIG),
                         "postern:postern 750\nroot:postern 750\nroot:root 644\n")
        self.assertIn("0 warnings", self.inside("postern", "check"))

    def edit(self):
        """What a user does: a zone of his own, and a key beside it."""
        config = self.root / CONFIG
        text = re.sub(r'^#(?=\[\[dns.zone|name = "home.arpa|file = "zones)', "", config.read_text(), flags=re.M)
        config.write_text(text)
        zone = self.root / ZONE
        zone.write_text(zone.read_text().replace("192.168.10.20", "192.168.77.20"))
        (self.root / "etc/postern/tls/tls.key").write_text("secret")
        self.edited = {name: self.file(name) for name in (CONFIG, ZONE, "etc/postern/tls/tls.key")}
        self.assertIn("\n[[dns.zone]]", text)

    def assert_edits_are_kept(self):
        self.assertEqual({name: self.file(name) for name in self.edited}, self.edited)

    def test_what_the_service_manager_is_told(self):
        self.new_system()
        self.with_systemd()
        said = self.install(self.first)
        # As when port 53 is another's: that is said, and the package is installed all the same.
        self.assert_says(said, "it does not serve yet", "journalctl -u postern")
        self.assertIn("deb-systemd-invoke start postern-dns.socket postern.service", self.told())
        wants = "etc/systemd/system/{}.wants/{}"
        for target, unit, there in (("multi-user.target", "postern.service", True),
                                    ("sockets.target", "postern-dns.socket", True),
                                    ("sockets.target", "postern-gateway.socket", False)):
            self.assertEqual((self.root / wants.format(target, unit)).is_symlink(), there, unit)
        (self.root / "root/active").touch()
        self.install(self.second)
        told = self.told()
        self.assertIn("deb-systemd-invoke restart postern.service", told)
        self.assertEqual([line for line in told if " stop " in line or ".socket" in line and "restart" in line], [])
        self.upgrade_with_a_group_of_the_unit()
        self.upgrade_with_a_mistake()
        self.dpkg("--purge", "postern")
        told = self.told()
        self.assertTrue(told[0].startswith("deb-systemd-invoke stop postern-gateway.socket"), told)
        self.assertTrue(any("stop" in line and "postern.service" in line for line in told), told)

    def upgrade_with_a_group_of_the_unit(self):
        """What only a group may read that the unit adds, by name or number, and one that it has anyway."""
        self.edit()
        for name in ("of-unit", "of-user"):
            self.inside("groupadd", name)
        self.inside("usermod", "--append", "--groups", "of-user", "postern")
        number = self.inside("getent", "group", "of-unit").split(":")[2]
        zone = self.root / ZONE
        for version, group, groups in (("9.9.1", "of-unit", "of-unit adm"), ("9.9.2", "of-unit", number),
                                       ("9.9.3", "of-user", "of-unit"), ("9.9.4", "of-user", "")):
            self.inside("chgrp", group, "/" + ZONE)
            zone.chmod(0o640)
            (self.root / "root/groups").write_text(groups + "\n")
            said = self.install(self.newer(self.first, version, {}))
            self.assertNotIn("has mistakes", said)
            self.assertIn("deb-systemd-invoke restart postern.service", self.told(), said)
        self.inside("chgrp", "of-unit", "/" + ZONE)
        for version, groups, why in (("9.9.5", "", "Permission denied"), ("9.9.6", "gone", "group gone does not exist")):
            (self.root / "root/groups").write_text(groups + "\n")
            self.assert_says(self.install(self.newer(self.first, version, {})), "has mistakes", why)
            self.assertEqual([line for line in self.told() if "restart" in line], [])
        (self.root / "root/groups").write_text("")
        zone.chmod(0o644)

    def upgrade_with_a_mistake(self):
        """The service is left alone, and the mistake is named."""
        with (self.root / CONFIG).open("a") as file:
            file.write("\n[dns.cachee]\n")
        said = self.install(self.newer(self.first, "9.10", {}))
        self.assert_says(said, "did you mean", "The old version goes on serving", "systemctl restart postern")
        self.assertEqual([line for line in self.told() if "restart" in line], [])

    # The page.

    def test_the_page_is_followed(self):
        self.new_system()
        self.with_systemd()
        resolved = self.root / "run/systemd/resolve/resolv.conf"
        resolved.parent.mkdir()
        resolved.write_text(f"nameserver {RESOLVER}\n")
        self.server = None
        self.commands = []
        with resolver_elsewhere():
            for number, language, text in blocks(ROOT / "docs/install.md"):
                self.commands.append(f"line {number}")
                {"sh": self.follow, "ini": self.add_to_unit}[language](text)
        self.assertIsNone(self.server)
        self.assertGreater(len(self.commands), 15)

    def follow(self, text):
        for line in text.strip().splitlines():
            self.commands.append(line)
            if line == "sh packaging/deb/build.sh":
                (self.root / "root/build-deb").mkdir()
                shutil.copy(self.first, self.root / "root/build-deb")
                continue
            if line.startswith("apt-get"):
                line = line.replace("apt-get", f"apt-get -o Dpkg::Options::=--force-confold -o DPkg::Path={PATH}")
            printed = self.inside("sh", "-c", f"cd /root && {line}")
            if line.startswith("dig"):
                self.assertEqual(printed, "203.0.113.9\n")
            for told in self.told():
                self.obey(told.split())

    def obey(self, words):
        """What systemd would do with the service."""
        verb, units = words[1], [word for word in words[2:] if not word.startswith("-")]
        if verb not in ("start", "stop", "restart", "reload", "enable"):
            return
        for unit in units:
            unit = unit if "." in unit else f"{unit}.service"
            if words[0] == "systemctl" and unit != "systemd-resolved.service":
                self.assertTrue((self.root / "lib/systemd/system" / unit).exists(), unit)
            if unit != "postern.service" or verb == "enable":
                continue
            if verb == "reload":
                self.server.send_signal(signal.SIGHUP)
                self.assertIn("is served", next(line for line in self.server.stderr if "reload" in line and "reading" not in line))
            if verb in ("stop", "restart") and self.server:
                self.stop(self.server)
                self.server = None
                (self.root / "root/active").unlink()
            if verb in ("start", "restart") and not self.server:
                self.server = self.serve()
                wait_until("an answer", lambda: self.answers(self.server))
                (self.root / "root/active").touch()

    def add_to_unit(self, text):
        folder = self.root / "etc/systemd/system/postern-dns.socket.d"
        folder.mkdir()
        (folder / "override.conf").write_text(text)
        said = self.inside("/usr/bin/systemd-analyze", "verify", "--man=no", "/lib/systemd/system/postern-dns.socket")
        self.assertEqual(said, "")


class Alone(Machine):
    """On a Debian that has what the package depends on, and nothing else."""

    def new_system(self, without=()):
        depends = dependencies(call("dpkg-deb", "--field", self.first, "Depends"))
        self.root = new_root(self, closure(depends) - set(without))
        self.use_the_resolver()

    def test_it_is_installed_and_serves(self):
        self.new_system()
        for name in ("usr/bin/g++", "usr/bin/dig", "usr/bin/systemctl", "usr/bin/openssl"):
            self.assertFalse((self.root / name).exists(), name)
        self.install(self.first)
        self.assertEqual(self.inside("dpkg", "--audit"), "")
        self.assertIn("0 warnings", self.inside("postern", "check"))
        with resolver_elsewhere():
            server = self.serve()
            wait_until("an answer", lambda: self.answers(server))
            self.stop(server)
        self.dpkg("--purge", "postern")
        self.assertFalse((self.root / "etc/postern").exists())

    def test_a_dependency_that_is_not_named_would_be_seen(self):
        self.new_system(without=["libuv1"])
        with self.assertRaisesRegex(AssertionError, r"postern depends on libuv1 \(>= .*; however:\n  Package libuv1 is not installed"):
            self.install(self.first)
        with self.assertRaisesRegex(AssertionError, r"libuv\.so\.1: cannot open shared object file"):
            self.inside("postern", "--version")

    def test_what_is_installed_to_build_it_suffices(self):
        """As build.sh asks for, and as dpkg-buildpackage, which refuses without."""
        installed = what_is_installed_for(self, "package")
        control = (ROOT / "packaging/deb/debian/control").read_text()
        asked_for = set(re.findall(r"^ (\S+-dev)(?: \(>= \S+\))?,$", control, re.M))
        self.assertEqual({name for name in installed if name.endswith("-dev")}, asked_for | {"dpkg-dev"})
        root = new_root(self, closure([one] for one in installed))
        source_in(self, root)
        self.assertEqual(inside(root, "dpkg-checkbuilddeps", "/source/packaging/deb/debian/control"), "")


if __name__ == "__main__":
    unittest.main()
