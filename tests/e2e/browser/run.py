#!/usr/bin/python3
"""Runs the tests in browsers against one binary: run.py BINARY [FILE...], files without ".py".

Needs root that may make network namespaces. Where it may not, this says so, and fails when CI=true. Pictures
of the pages go to BROWSER_RESULTS, build/results/browser by default. The last line is "N passed, N failed"."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

TOOLS = ("chromium", "firefox-esr", "caddy", "nft", "certutil", "ip")
LIMIT_S = int(os.environ.get("BROWSER_LIMIT_S", "600"))
AT_A_TIME = 2  # each has a network of its own


def sweep(pid):
    """Removes what the tests of this process left when they were cut short."""
    for name in sorted(path.name for path in pathlib.Path("/run/netns").glob(f"pt{pid}-*")):
        inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
        for one in inside.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(one), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", name], check=False)


def run_file(path, environment):
    """(passed, failed) of one file, in a process of its own; shows what it says."""
    child = subprocess.Popen([sys.executable, "-m", "unittest", "-v", path.stem], cwd=HERE, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
    try:
        said, _ = child.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        sweep(child.pid)
        said = f"{child.communicate()[0]}\nnot done after {LIMIT_S} s"
    finally:
        sweep(child.pid)
    print(said, flush=True)
    ran = int((re.findall(r"^Ran (\d+) test", said, re.M) or ["0"])[-1])
    outcome = (re.findall(r"^(?:FAILED|OK).*$", said, re.M) or [""])[-1]
    bad = sum(int(count) for count in re.findall(r"(?:failures|errors|skipped)=(\d+)", outcome))
    if child.returncode != 0 or ran == 0:
        bad = max(bad, 1)
    return max(ran - bad, 0), bad


def impossible():
    """Why the tests cannot run here; "" when they can."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    from network import why_not  # pylint: disable=import-outside-toplevel
    return why_not()


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    os.environ.update(POSTERN=str(binary), PYTHONDONTWRITEBYTECODE="1")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    reason = impossible()
    if reason:
        print(f"BROWSER TESTS DID NOT RUN, nothing is proven: no network namespaces here: {reason}")
        if os.environ.get("CI") == "true":
            print("0 passed, 1 failed")
            return 1
        print("0 passed, 0 failed")
        return 0
    files = [HERE / f"{name}.py" for name in sys.argv[2:]] or sorted(HERE.glob("*_test.py"))
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        results = list(pool.map(lambda path: run_file(path, os.environ), files))
    passed, failed = (sum(column) for column in zip(*results))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
