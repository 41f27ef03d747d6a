"""Roots of Debian with nothing in them but what some packages need, made from the packages of this machine:
what works there works on a machine that has only these. And the building of what goes in there, with
a stand-in for the minutes of the compiler. Needs root; sees no network."""

import ctypes
import functools
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from lab import BINARY, SLOW, tests_or_said

ROOT = pathlib.Path(__file__).parents[2]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NEWNS, NEWNET, RECURSIVE, PRIVATE = 0x20000, 0x40000000, 0x4000, 0x40000
NOT_NEEDED = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/")
MERGED = ("bin", "lib", "lib64", "sbin")  # into /usr


def call(*words, **options):
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=240 * SLOW, **options)
    assert done.returncode == 0, f"{' '.join(map(str, words))}\n{done.stdout}"
    return done.stdout


def enter_namespaces():
    """A mount and a network namespace for this process, with loopback up."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(NEWNS | NEWNET) == 0 and libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None) == 0, \
        os.strerror(ctypes.get_errno())
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


TRY = """\
cd "$1" && mount -t tmpfs tmpfs . && cd "$1" && mkdir up work root &&
mount -t overlay overlay -o lowerdir=/,upperdir=$1/up,workdir=$1/work root && chroot root dpkg --version &&
ip link set lo up && ip link add here type veth peer name there
"""


@functools.lru_cache
def why_not():
    """Why there can be no copy of this system here; "" when there can."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", TRY, "sh", folder],
                              capture_output=True, text=True, check=False, timeout=60 * SLOW)
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit status {done.returncode}"


def where_mounts_work(loader, reason, what, *cases):
    return tests_or_said(loader, reason and f"no copy of the system can be mounted here: {reason}", what, *cases)


# --- building ---------------------------------------------------------------------------------


def build_environment(log):
    """For a build whose program is the one under test; what the compiler was told is in `log`."""
    return dict(os.environ, REQUESTS="200", QUERIES="60", CXX=str(ROOT / "tests/tools/stand_in_compiler.sh"), STAND_IN_LOG=str(log),
                POSTERN=str(pathlib.Path(BINARY).resolve()))


@functools.lru_cache
def debian_package():
    """(name, content, command lines of the compiler, what was said) of the .deb, built once."""
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "log")
        said = call("sh", ROOT / "packaging/deb/build.sh", folder, env=build_environment(log))
        package = next(pathlib.Path(folder).glob("postern_*.deb"))
        return package.name, package.read_bytes(), log.read_text().splitlines(), said


# --- packages ---------------------------------------------------------------------------------


@functools.lru_cache
def installed():
    """{package: (essential, [[alternative, ...], ...])} of this machine, and {virtual: package}."""
    text = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}\t${Package}\t${Essential}\t${Priority}\t"
                           "${Provides}\t${Pre-Depends}\t${Depends}\n"], capture_output=True, text=True, check=True,
                          timeout=60).stdout
    packages, provided = {}, {}
    for line in text.splitlines():
        status, name, essential, priority, provides, *depends = line.split("\t")
        if status != "installed":
            continue
        packages[name] = essential == "yes" or priority == "required", dependencies(", ".join(filter(None, depends)))
        for virtual in filter(None, provides.split(", ")):
            provided.setdefault(virtual.split(" ")[0], name)
    return packages, provided


def dependencies(field):
    """"a (>= 1) | b, c:any" as [["a", "b"], ["c"]]."""
    return [[re.split(r"[ :(]", one.strip())[0] for one in group.split("|")] for group in field.split(",") if group.strip()]


def closure(wanted):
    """Names of all packages that are there when these groups are, on a Debian with nothing else."""
    packages, provided = installed()
    waiting = [[name] for name, (always, _) in packages.items() if always] + list(wanted)
    found = set()
    while waiting:
        group = waiting.pop()
        name = next((name for one in group for name in (one, provided.get(one)) if name in packages), None)
        assert name, f"none of these is installed here: {' | '.join(group)}"
        if name not in found:
            found.add(name)
            waiting += packages[name][1]
    return found


def files_of(packages):
    """The paths that belong to them, each by way of real folders."""
    listed = subprocess.run(["dpkg-query", "-L", *sorted(packages)], capture_output=True, text=True, check=True, timeout=60).stdout
    real = functools.lru_cache(os.path.realpath)
    paths = {os.path.join(real(os.path.dirname(path)), os.path.basename(path))
             for path in set(listed.splitlines()) if path.startswith("/") and path != "/." and not path.startswith(NOT_NEEDED)}
    return sorted(path for path in paths if os.path.lexists(path) and path[1:] not in MERGED)


def copy_of_this_system(case):
    """All that is here, with whatever happens to it kept in memory and forgotten when the test ends."""
    base = pathlib.Path(tempfile.mkdtemp(prefix="postern-root-"))
    case.addCleanup(shutil.rmtree, base, ignore_errors=True)
    for name in ("layer", "root"):
        (base / name).mkdir()
    call("mount", "-t", "tmpfs", "tmpfs", base / "layer")
    case.addCleanup(call, "umount", "--lazy", base / "layer")
    for name in ("up", "work"):
        (base / "layer" / name).mkdir()
    call("mount", "-t", "overlay", "overlay", "-o",
         f"lowerdir=/,upperdir={base}/layer/up,workdir={base}/layer/work", base / "root")
    case.addCleanup(call, "umount", "--lazy", base / "root")
    for name in ("proc", "dev"):
        call("mount", "--rbind", f"/{name}", base / "root" / name)
    return base / "root"


def new_root(case, packages):
    """A folder, kept in memory until the test ends, in which these packages are installed and no others."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="postern-root-"))
    case.addCleanup(root.rmdir)
    call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", root)
    case.addCleanup(call, "umount", "--lazy", root)
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    # Folders that everybody writes to (/tmp, /run) change while they are read, which tar takes for a failure.
    shared = [path for path in files_of(packages) if path in ("/tmp", "/var/tmp", "/run")]
    for path in shared:
        (root / path[1:]).mkdir(parents=True, exist_ok=True)
        (root / path[1:]).chmod(0o755 if path == "/run" else 0o1777)
    listed = "\0".join(path[1:] for path in files_of(packages) if path not in shared)
    pack = subprocess.run(["tar", "-C", "/", "--no-recursion", "--null", "-T", "-", "-c"], input=listed.encode(),
                          stdout=subprocess.PIPE, check=True, timeout=120)
    subprocess.run(["tar", "-C", root, "-x"], input=pack.stdout, check=True, timeout=120)
    for name in ("proc", "dev"):
        call("mount", "--rbind", f"/{name}", root / name)
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    (root / "etc/dpkg/origins/default").symlink_to("debian")
    copy_database(root, packages)
    inside(root, "pam-auth-update", "--package", "--force")  # as when libpam-runtime was installed
    return root


def source_in(case, root, place="/source"):
    """The sources in a root, not to be written to."""
    (root / place[1:]).mkdir()
    call("mount", "--bind", "-o", "ro", ROOT, root / place[1:])
    case.addCleanup(call, "umount", root / place[1:])


def what_is_installed_for(case, purpose):
    """The packages that packaging/install-packages.sh installs on a Debian with nothing."""
    root = new_root(case, closure([]))
    source_in(case, root)
    fake = root / "usr/bin/apt-get"
    fake.write_text('#!/bin/sh\necho "$@" >>/told\n', encoding="utf-8")
    fake.chmod(0o755)
    inside(root, "sh", "/source/packaging/install-packages.sh", purpose)
    line, = [line for line in (root / "told").read_text(encoding="utf-8").splitlines() if line.startswith("install ")]
    return [word for word in line.split()[1:] if not word.startswith("-")]


def inside(root, *words):
    return call("chroot", root, *words, env={"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"})


def copy_database(root, packages):
    """So that dpkg there knows of these packages, and of no others."""
    there, here = root / "var/lib/dpkg", pathlib.Path("/var/lib/dpkg")
    for name in ("info", "updates", "triggers"):
        (there / name).mkdir(parents=True, exist_ok=True)
    stanzas = (here / "status").read_text(encoding="utf-8").strip().split("\n\n")
    kept = [one for one in stanzas if re.search("^Package: (.*)$", one, re.M)[1] in packages]
    (there / "status").write_text("\n\n".join(kept) + "\n", encoding="utf-8")
    for path in (here / "info").iterdir():
        if path.name.rpartition(".")[0].partition(":")[0] in packages or path.name == "format":
            shutil.copy2(path, there / "info")
    for path in (here / "triggers").iterdir():
        kept = [line for line in path.read_text(encoding="utf-8").splitlines(True)
                if re.split("[/:]", line.split()[-1])[0] in packages]
        (there / "triggers" / path.name).write_text("".join(kept), encoding="utf-8")
