#!/usr/bin/python3
"""Who may include whom, and which library belongs to which folder.

Usage: includes.py [TREE]. Prints FILE:LINE: what is wrong; exit status 1 when anything is.
The rules are the two tables below; a new folder or library has to be entered here first.
"""

import fnmatch
import pathlib
import re
import sys

# A folder of src/ may include itself and these.
FOLDERS = {
    "base": set(),
    "net": {"base"},
    "dns": {"base"},
    "http": {"base"},
    "nameserver": {"base", "net", "dns"},
    "gateway": {"base", "net", "http"},
    "server": {"base", "net", "dns", "http", "nameserver", "gateway"},
    "cli": {"base", "net", "dns", "http", "nameserver", "gateway", "server"},
    ".": {"base", "net", "dns", "http", "nameserver", "gateway", "server", "cli"},
}

# A library's headers, and the files of src/ that may include them.
LIBRARIES = {
    "uv.h": ["net/*", "server/*"],
    "openssl/*": ["net/*", "dns/tsig.cpp"],
    "ldns/*": ["dns/*.cpp"],
    "toml++/*": ["server/config*.cpp"],
    "toml.hpp": ["server/config*.cpp"],
    "tl/*": ["base/result.h"],
    "fmt/*": ["*"],
    "CLI/*": ["main.cpp", "cli/*"],
    "prometheus/*": ["server/metrics*"],
    "dnstap.pb-c.h": ["server/dnstap.cpp"],
    "fstrm.h": ["server/frame_control.cpp"],
    "re2/*": ["http/route.cpp"],
    "nghttp2/*": ["http/h2_*.cpp"],
    "nlohmann/*": ["server/*", "cli/*"],
}

# Headers of the C library, the kernel and the compiler, by folder; the C++ library's have no dot and no slash.
SYSTEM = re.compile(
    r"^(arpa|linux|net|netinet|sanitizer|sys)/[a-z0-9_]+\.h$|^(errno|fcntl|ifaddrs|netdb|poll|pthread|sched|"
    r"signal|fnmatch|stdlib|string|time|unistd|malloc|glob|grp|pwd|resolv|syslog|getopt|limits|stdio|"
    r"emmintrin)\.h$")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def problem(source, bracket, target):
    """What is wrong with `source` (path below src/) including `target`; None when nothing is."""
    if bracket == '"':
        folder = source.parts[0] if len(source.parts) > 1 else "."
        if folder not in FOLDERS:
            return f"folder {folder}/ is not in the table of tests/tidy/includes.py"
        if "/" not in target:
            return f'"{target}": write the path from src/, as in "dns/name.h"'
        wanted = target.split("/")[0]
        if wanted != folder and wanted not in FOLDERS[folder]:
            allowed = ", ".join(sorted(FOLDERS[folder])) or "nothing else"
            return f'"{target}": {folder}/ may include {allowed}'
        return None
    for header, places in LIBRARIES.items():
        if fnmatch.fnmatch(target, header):
            if any(fnmatch.fnmatch(str(source), place) for place in places):
                return None
            return f"<{target}> belongs to {', '.join(places)}"
    if SYSTEM.match(target) or re.match(r"^[a-z0-9_]+$", target):
        return None
    return f"<{target}>: a library that is not in the table of tests/tidy/includes.py"


def findings(tree):
    src = tree / "src"
    files = sorted(p for p in src.rglob("*") if p.suffix in (".h", ".cpp"))
    if not files:
        yield f"{src}: no sources here"
    for path in files:
        source = path.relative_to(src)
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".h" and "#pragma once" not in text:
            yield f"{path}:1: a header begins with #pragma once"
        own = str(source.with_suffix(".h"))
        first = True
        for number, line in enumerate(text.splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            wrong = problem(source, *match.groups())
            if wrong:
                yield f"{path}:{number}: {wrong}"
            if first and path.suffix == ".cpp" and (src / own).exists() and match[2] != own:
                yield f'{path}:{number}: a .cpp includes its own header first: "{own}"'
            first = False


def main():
    tree = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    found = list(findings(tree))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
