#!/usr/bin/python3
"""Runs the end-to-end tests against one binary: run.py BINARY [FILE...], files without ".py".

Each file is a process of its own, a few at a time. A skipped test counts as failed. The last line is
"N passed, N failed"."""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
PORT_FIRST, EPHEMERAL_FIRST = 10000, 32768  # what the kernel draws from may be taken by anybody
AT_A_TIME = 6
LONGEST = ("forwarding_test", "gateway_timing_test", "page_test", "package_test", "doctor_test", "container_test",
           "gateway_tls_test", "gateway_upload_test", "gateway_limits_test", "watch_test")  # begun first, so that none is waited for at the end
PLAIN_ONLY = {"container_test", "package_test", "systemd_units_test"}  # a sanitizer needs more than the sandbox allows
TOOLS_ONLY = {"h1_differential_test", "h2_peer_test"}  # with the programs of tests/tools, which are built with the unit tests


def is_sanitized(binary):
    with open(binary, "rb") as file:
        return re.search(rb"__asan_init|__tsan_init", file.read()) is not None


def run_file(path, environment, port_first):
    environment = dict(environment, POSTERN_PORT_FIRST=str(port_first))
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "unittest", "-v", path.stem], cwd=HERE, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
                          check=False, timeout=1200)
    text = done.stdout
    ran = int((re.findall(r"^Ran (\d+) test", text, re.M) or ["0"])[-1])
    bad = sum(int(n) for n in re.findall(r"(?:failures|errors|skipped)=(\d+)",
                                         (re.findall(r"^(?:FAILED|OK).*$", text, re.M) or [""])[-1]))
    if done.returncode != 0 or ran == 0:
        bad = max(bad, 1)
    return path.stem, max(ran - bad, 0), bad, time.monotonic() - began, text


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    names = sys.argv[2:]
    files = [HERE / f"{name}.py" for name in names] or sorted(HERE.glob("*_test.py"))
    missing = [str(path) for path in [binary, *files] if not path.exists()]
    if missing:
        print(f"not there: {', '.join(missing)}")
        return 2
    environment = dict(os.environ, POSTERN=str(binary), PYTHONDONTWRITEBYTECODE="1")
    if is_sanitized(binary):
        environment["POSTERN_SLOW"] = "3"
        files = [path for path in files if path.stem not in PLAIN_ONLY]
        print(f"of a build without sanitizers only: {', '.join(sorted(PLAIN_ONLY))}")
    if not names and not (binary.parents[1] / "tests/tools").exists():
        files = [path for path in files if path.stem not in TOOLS_ONLY]
        print(f"of a build with tests only: {', '.join(sorted(TOOLS_ONLY))}")
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        ports = (EPHEMERAL_FIRST - PORT_FIRST) // len(files)
        environment["POSTERN_PORTS"] = str(ports)
        files.sort(key=lambda path: path.stem not in LONGEST)
        jobs = [pool.submit(run_file, path, environment, PORT_FIRST + ports * i)
                for i, path in enumerate(files)]
        for job in concurrent.futures.as_completed(jobs):
            name, good, bad, seconds, text = job.result()
            passed += good
            failed += bad
            print(f"{name:24} {good:4} passed {bad:4} failed {seconds:6.1f} s", flush=True)
            if bad:
                print(text, flush=True)
            for line in re.findall(r"^.* DID NOT RUN.*$", text, re.M):
                print(line, flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
