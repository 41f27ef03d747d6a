"""README.md and docs/*.md as a user would follow them: every block of code is fenced, and runs.

toml   `postern check` passes on it. A block whose first line is "# /etc/postern/postern.toml" is also
       what the dig lines after it are asked of. Views, listeners, certificates and files that a
       fragment leaves out are added.
zone   its first line is "; FILE"; it is served under that name from then on.
sh     dig, curl and postern lines are run; other lines have to be known to this test.
       A block that begins with "# on ..." is for another machine: it is parsed; one with "#!" is a hook of Git.
       `postern diff FILE` compares the page's configuration with one that this test changes.
diff   all that the `postern diff` before it prints.
text   what the lines of the sh block before it print, in this order; other lines may stand between.
script a shell script that checks a server by its ports of DNS and admin: one that runs, and one that does not.
yaml, json, dnsmasq, keepalived
       files of other programs (of Prometheus by its first line), parsed by these where they have a way to do so.
       The commands of hooks and of jobs of CI are run on a good and on a bad configuration.
"""

import fcntl
import functools
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest
import unittest.mock as mock

import yaml

from custom_resources import resource_problems
from lab import BINARY, SLOW, Case, Postern, Upstream, run

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
WHOLE = "# /etc/postern/postern.toml"
EXAMPLE_PORT = 5300
LANGUAGES = ("toml", "zone", "sh", "text", "diff", "script", "yaml", "json", "dnsmasq", "keepalived")
FOLLOWED_ELSEWHERE = {"install.md"}  # as root of a machine: package_test.py

# What `postern diff` is shown of: another address, and one more route.
CHANGE = {"192.168.10.50": "192.168.10.51"}
ADDED = """
[[gateway.route]]
hostnames = ["wiki.vanillax.me"]
backends  = [{ url = "http://wiki:80" }]
"""

# What the public DNS says on these pages.
PUBLIC = """
    status.vanillax.me.          300 A     203.0.113.80
    llama.vanillax.me.           300 A     203.0.113.2
    llama.vanillax.me.           300 HTTPS 1 . alpn="h3,h2" ech="AEX+DQBB"
    _acme-challenge.vanillax.me. 300 TXT   "a-token-for-the-certificate"
    www.example.com.             300 HTTPS 1 . alpn="h3,h2"
    """

ZONE_STUB = "$TTL 60\n@ IN SOA ns admin 1 3600 600 86400 60\n  IN NS ns\nns IN A 192.168.10.2\n"


def blocks(page):
    """[(line number, language, text)] of a page's fenced blocks."""
    found, language, start, lines = [], None, 0, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.match(r"^\s*(```+|~~~+)(.*)$", line)
        if not fence:
            lines.append(line)
        elif language is None:
            language, start, lines = fence[2].strip(), number, []
        else:
            found.append((start, language, "\n".join(lines) + "\n"))
            language = None
    assert language is None, f"{page.name}:{start}: the block does not end"
    return found


def indented(text):
    """The numbers of lines that would be code without a fence: they are indented, after an empty line."""
    found, fenced, after = [], False, True
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"^\s*(```+|~~~+)", line):
            fenced, after = not fenced, False
            continue
        is_code = not fenced and after and re.match(r"^( {4}| {0,3}\t)\s*\S", line) is not None
        if is_code:
            found.append(number)
        after = not fenced and (is_code or not line.strip())
    return found


@functools.lru_cache
def certificate():
    """(chain, key) of the names on these pages, in PEM."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=pages",
                        "-addext", "subjectAltName=DNS:vanillax.me,DNS:*.vanillax.me",
                        "-keyout", "key", "-out", "cert"],
                       cwd=directory, check=True, capture_output=True, timeout=60)
        return tuple(pathlib.Path(directory, name).read_text(encoding="utf-8")
                     for name in ("cert", "key"))


def named(key, text):
    """All that lists with this key name."""
    lists = re.findall(rf"^{key}\s*=\s*\[(.*?)\]", text, re.M)
    return set(re.findall(r'"([^"]+)"', " ".join(lists)))


def declared(table, text):
    return set(re.findall(rf'\[\[{re.escape(table)}\]\]\s*name\s*=\s*"([^"]+)"', text))


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip()


def with_logs_in(directory, text):
    """What goes to /var/log/postern goes below this directory."""
    (directory / "log").mkdir(exist_ok=True)
    return text.replace('"/var/log/postern/', f'"{directory}/log/')


class Pages(Case):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        home = mock.patch.dict(os.environ, HOME=directory.name, XDG_STATE_HOME="")
        home.start()  # the example keeps its certificate there
        self.addCleanup(home.stop)
        self.zones = {}
        self.whole = None
        self.lock = None
        self.where = ""

    def test_the_pages_are_there(self):
        self.assertGreaterEqual(len(PAGES), 3)
        opening = PAGES[0].read_text(encoding="utf-8").split("## ")[0].strip().splitlines()
        self.assertLessEqual(len(opening), 8, "the README opens with five lines")

    def test_links_lead_to_files(self):
        for page in PAGES:
            for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")

    def test_the_two_commands_are_the_readmes_and_ci_runs_the_second(self):
        commands = [text.strip() for _, language, text in blocks(PAGES[0]) if language == "sh"][:2]
        self.assertEqual(commands, ["sh packaging/quickstart.sh", "sh tests/all.sh"])
        steps = (ROOT / ".ci/run").read_text(encoding="utf-8").strip().splitlines()
        self.assertEqual(steps[-1], f"exec {commands[1]}")
        self.assertTrue(any(re.match("export CI=true( |$)", step) for step in steps), "what cannot run must fail")

    def test_every_block_of_code_has_a_fence(self):
        for page in PAGES:
            self.assertEqual(indented(page.read_text(encoding="utf-8")), [], page.name)

    def test_code_without_a_fence_is_seen(self):
        self.assertEqual(indented("a\n\n    b\n    c\n\n\td\ne\n"), [3, 4, 6])
        self.assertEqual(indented("    a\n"), [1])
        self.assertEqual(indented("```sh\n\n    a\n```\n- b\n    c\n\n  d\n"), [])
        self.assertEqual(indented("~~~\na\n~~~\n\n    b\n"), [5])

    # Pages.

    def follow(self, page):
        for number, language, text in blocks(page):
            self.where = f"{page.name}:{number}"
            step = getattr(self, language, None) if language in LANGUAGES else None
            self.assertIsNotNone(step, f"{self.where}: a block of language {language!r}")
            step(text)
            if language != "text":
                self.printed = self.printed if language == "sh" else None

    def toml(self, text):
        if text.startswith(WHOLE):
            self.whole = text
        self.check(text)

    def complete(self, text):
        """The text with all that it speaks of, and a user that is there."""
        text = re.sub(r'^(user\s*=\s*)"postern"', r'\1""', text, flags=re.M)
        text = with_logs_in(self.directory, text)
        for view in sorted(named("views", text) - declared("dns.view", text)):
            text += f'\n[[dns.view]]\nname = "{view}"\nclients = ["127.0.0.0/8"]\n'
        for listener in sorted(named("listeners", text) - declared("gateway.listener", text)):
            text += (f'\n[[gateway.listener]]\nname = "{listener}"\naddress = ["192.168.10.50"]\n'
                     'certificates = ["lan"]\n')
        for name in sorted(named("certificates", text) - declared("tls.certificate", text)):
            text += f'\n[[tls.certificate]]\nname = "{name}"\ncert = "{name}.crt"\nkey = "{name}.key"\n'
        for key, pem in zip(("cert", "key"), certificate()):
            for file in re.findall(rf'^{key}\s*=\s*"([^"]+)"', text, re.M):
                path = self.directory / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(pem, encoding="utf-8")
        for file in re.findall(r'^admin_token_file\s*=\s*"([^"]+)"', text, re.M):
            (self.directory / file).write_text("0123456789abcdef0123\n", encoding="utf-8")
        for pattern in re.findall(r'^include\s*=\s*\["([^"]+)"\]', text, re.M):
            (self.directory / pattern).parent.mkdir(parents=True, exist_ok=True)
        for file in re.findall(r'^file\s*=\s*"([^"]+)"', text, re.M):
            path = self.directory / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.zones.get(file, ZONE_STUB), encoding="utf-8")
        return text

    def check(self, text):
        path = self.directory / "postern.toml"
        path.write_text(self.complete(text), encoding="utf-8")
        status, out, err = run("check", "-c", path)
        self.assertEqual(status, 0, f"{self.where}\n{out}{err}")

    def zone(self, text):
        first = re.match(r"^; (\S+)\n", text)
        self.assertIsNotNone(first, f"{self.where}: the first line of a zone block is '; FILE'")
        self.zones[first[1]] = text
        self.check(f'[[dns.zone]]\nname = "home.arpa"\nfile = "{first[1]}"\n')

    def sh(self, text):
        lines = [line for line in text.strip().splitlines() if line and not line.startswith("#")]
        self.printed = []
        if text.startswith("# on "):
            return self.passes("shellcheck", "-s", "sh", "block.sh", content=text)
        if text.startswith("#!"):
            return self.hook(text)
        if self.whole and all(line.startswith("postern diff ") for line in lines):
            self.printed = [self.difference(line) for line in lines]
            return
        if self.whole and all(line.startswith("postern ") for line in lines):
            self.check(self.whole)
            self.printed = [self.command(line, None) for line in lines]
            return
        if all(line.startswith("sh ") for line in lines):
            for line in lines:  # the scripts themselves run in CI
                script = ROOT / line.split()[1]
                self.assertTrue(script.exists(), f"{self.where}: {script}")
                subprocess.run(["sh", "-n", str(script)], check=True)
            return
        example = any(f"-p {EXAMPLE_PORT} " in line for line in lines)
        with Upstream(PUBLIC) as up, (self.example() if example else self.own(up)) as postern:
            for line in lines:
                self.printed.append(self.command(line, postern))

    def command(self, line, postern):
        words = shlex.split(line)
        if words[0] in ("dig", "kdig", "drill"):
            words = [word for i, word in enumerate(words)
                     if word != "-p" and words[i - 1] != "-p"]  # the port is the test's
            words = [re.sub(r"^@192\.168\..*", "@127.0.0.1", word) for word in words]
            words[1:1] = ["-p", str(postern.port)]
        elif words[0] == "curl":  # of the example, which has the ports that the page says, or of server.admin
            words = ["sh", "-c", line if postern.whole is None else line.replace(":9153", f":{postern.admin_port}")]
        elif words[0] == "postern":
            config = postern.config_path if postern else self.directory / "postern.toml"
            words = [BINARY] + [str(config) if word == WHOLE[2:] else word for word in words[1:]]
        else:
            self.fail(f"{self.where}: a command that this test does not know: {line}")
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30 * SLOW)
        self.assertEqual(done.returncode, 0, f"{self.where}: {line}\n{done.stdout}{done.stderr}")
        return done.stdout

    def own(self, up):
        """A server with the page's configuration, on a port of the test and with our upstream."""
        self.assertIsNotNone(self.whole, f"{self.where}: no block before it starts with {WHOLE}")
        text = re.sub(r"^listen\s*=.*$", 'listen = ["127.0.0.1:@PORT@"]', self.whole, flags=re.M)
        text = re.sub(r"^upstreams\s*=.*$", f'upstreams = ["{up.url()}"]', text, flags=re.M)
        postern = Postern(files=self.zones)
        text = with_logs_in(postern.directory, text)
        text = f'[server]\nadmin = "127.0.0.1:{postern.admin_port}"\n{text}'.replace("@PORT@", str(postern.port))
        postern.whole = text
        return postern

    def example(self):
        """The built-in example: its port is fixed, so one test at a time."""
        if self.lock is None:  # a second lock of the same test would wait for the first
            self.lock = open("/tmp/postern-example.lock", "w", encoding="utf-8")
            self.addCleanup(self.lock.close)
            fcntl.flock(self.lock, fcntl.LOCK_EX)
        postern = Postern(arguments=["run"])
        postern.port = EXAMPLE_PORT
        return postern

    def difference(self, line):
        """What `postern diff NEW` says, with the page's configuration in the place of the one in /etc."""
        changed = functools.reduce(lambda text, pair: text.replace(*pair), CHANGE.items(), self.whole)
        self.assertNotEqual(changed, self.whole, self.where)
        words = shlex.split(line)
        for name, text in (("old.toml", self.whole), (words[-1], changed + ADDED)):
            (self.directory / name).write_text(self.complete(text), encoding="utf-8")
        status, out, err = run(*words[1:], "--against", "old.toml", cwd=self.directory)
        self.assertEqual(status, 1, f"{self.where}: {line}\n{out}{err}")
        return out

    def diff(self, text):
        self.assertTrue(self.printed, f"{self.where}: a diff block follows an sh block with `postern diff`")
        self.assertEqual(text, "".join(self.printed), self.where)

    def judged(self, command):
        """Runs the command in a repository whose configuration is good, then in one where it is not: what
        it prints and leaves of the bad one, {file: text}, with what it prints as ""."""
        folder = self.directory / "repository"
        tools = self.directory / "bin"
        for path in (folder, tools):
            path.mkdir(exist_ok=True)
        if not (tools / "postern").exists():
            (tools / "postern").symlink_to(BINARY)
        environment = dict(os.environ, PATH=f"{tools}:{os.environ['PATH']}")
        for text, status in (('[dns]\nlisten = ["127.0.0.1:5353"]\n', 0), ("[dns]\nlissten = []\n", 1)):
            (folder / "postern.toml").write_text(text, encoding="utf-8")
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False,
                                  timeout=30 * SLOW)
            self.assertEqual(done.returncode, status, f"{self.where}: {command}\n{done.stdout}{done.stderr}")
        return {"": done.stdout + done.stderr, **{
            path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.name != "postern.toml"}}

    def hook(self, text):
        path = self.directory / "pre-commit"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        self.assertIn("postern.toml:2:1: ", self.judged([path])[""], self.where)

    def pre_commit(self, document):
        """It runs `entry` by its words, and is the hook that the repository offers."""
        hook, = document["repos"][0]["hooks"]
        self.assertIn("postern.toml:2:1: ", self.judged(shlex.split(hook["entry"]))[""], self.where)
        offered, = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
        del offered["description"]
        offered["entry"] = " ".join([offered["entry"], *offered.pop("args")])
        self.assertEqual((document["repos"][0]["repo"], hook), ("local", offered), self.where)

    def steps(self, document):
        """Steps of a workflow of GitHub."""
        for step in document:
            self.assertEqual(set(step), {"run"}, self.where)
            said = self.judged(["bash", "-e", "-c", step["run"]])[""]
            self.assertRegex(said, "^::error file=postern.toml,line=2,col=1::", self.where)

    def gitlab(self, document):
        """A job, with the report that it leaves."""
        for job in document.values():
            self.assertEqual(set(job), {"script", "artifacts"}, self.where)
            self.assertEqual(job["artifacts"]["when"], "always", "of a job that failed, too")
            report = self.judged(["bash", "-e", "-c", job["script"]])[job["artifacts"]["reports"]["codequality"]]
            self.assertEqual([(one["location"]["path"], one["location"]["lines"]["begin"])
                              for one in json.loads(report)], [("postern.toml", 2)], self.where)

    def passes(self, *words, content, status=0, **environment):
        """The command, which reads the last word as a file with this content."""
        path = self.directory / words[-1]
        path.write_text(content, encoding="utf-8")
        done = subprocess.run([*words[:-1], path], capture_output=True, text=True, check=False,
                              timeout=30 * SLOW, env={**os.environ, **environment})
        self.assertEqual(done.returncode, status, f"{self.where}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def script(self, text):
        """A check of a server, with the ports of DNS and admin as arguments."""
        self.passes("shellcheck", "check.sh", content=text)
        with Postern(dns='identity = { id = "ns1" }') as postern:
            command = ["sh", self.directory / "check.sh", str(postern.port), str(postern.admin_port)]
            self.assertEqual(subprocess.run(command, check=False, timeout=30 * SLOW).returncode, 0, self.where)
        gone = subprocess.run(command, check=False, timeout=30 * SLOW)
        self.assertNotEqual(gone.returncode, 0, f"{self.where}: a server that is not there passes")

    def yaml(self, text):
        if text.startswith("# /etc/prometheus/prometheus.yml\n"):
            return self.prometheus(text)
        for document in yaml.safe_load_all(text):
            if isinstance(document, list):
                self.steps(document)
            elif "repos" in document:
                self.pre_commit(document)
            elif "ingress" in document:
                self.tunnel(document)
            elif "apiVersion" not in document:
                self.gitlab(document)
            else:
                self.assertEqual(resource_problems(document), [], self.where)

    def tunnel(self, document):
        """What cloudflared wants of its file: known keys, and a last rule for every host."""
        self.assertLessEqual(set(document), {"tunnel", "credentials-file", "protocol", "ingress"}, self.where)
        *rules, last = document["ingress"]
        self.assertEqual(set(last), {"service"}, self.where)
        for rule in rules:
            self.assertLessEqual(set(rule), {"hostname", "service", "originRequest"}, self.where)
            address = re.match(r"http://([\d.]+):80$", rule["service"])
            self.assertTrue(address and f'"{address[1]}"' in self.whole, f"{self.where}: no such listener")

    def json(self, text):
        """Kea's, as Kea itself reads it; the interface is of another machine."""
        self.assertIn("Dhcp4", json.loads(text), f"{self.where}: of a program that this test does not know")
        text = text.replace('"eth0"', '"lo"')
        for content, complaint in ((text, None), (text.replace('"pools"', '"pool"'), "unexpected keyword"),
                                   (text.replace("-name-servers", "-name-server"), "does not exist")):
            said = self.passes("kea-dhcp4", "-t", "kea.json", content=content, status=1 if complaint else 0,
                               KEA_LOCKFILE_DIR=str(self.directory))
            self.assertIn(complaint or "listening on interface lo", said, self.where)

    def dnsmasq(self, text):
        self.passes("dnsmasq", "--test", "-C", "dnsmasq.conf", content=text)

    def keepalived(self, text):
        """As `keepalived` itself reads it; the script and the interface are of another machine."""
        text = re.sub(r'script "\S+"', 'script "/bin/true"', text)
        text = text.replace("global_defs {", "global_defs {\n    dynamic_interfaces")
        path = self.directory / "keepalived.conf"
        for content, good in ((text, True), (text.replace("priority", "priorty"), False)):
            path.write_text(content, encoding="utf-8")
            # It may end by a SIGTERM of its own; what it thinks of the file is in what it says.
            done = subprocess.run(["keepalived", "--config-test", "--use-file", path], check=False, text=True,
                                  capture_output=True, timeout=30 * SLOW, start_new_session=True)
            complaints = re.findall(r"Line \d+\).*", done.stdout + done.stderr)
            self.assertEqual(not complaints, good, f"{self.where}\n{done.stdout}{done.stderr}")

    def prometheus(self, text):
        """Prometheus' own configuration, with our rules beside it."""
        (self.directory / "prometheus.yml").write_text(text, encoding="utf-8")
        shutil.copy(ROOT / "packaging/prometheus/postern.rules.yml", self.directory)
        done = subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=self.directory,
                              capture_output=True, text=True, check=False, timeout=60 * SLOW)
        self.assertEqual(done.returncode, 0, f"{self.where}\n{done.stdout}{done.stderr}")
        self.assertIn("SUCCESS: 1 rule files found", done.stdout)

    def text(self, text):
        self.assertTrue(self.printed, f"{self.where}: a text block follows an sh block that prints")
        said = [squeeze(line) for output in self.printed for line in output.splitlines()]
        at = 0
        for line in map(squeeze, text.strip().splitlines()):
            found = next((i for i in range(at, len(said)) if line in said[i]), None)
            self.assertIsNotNone(found, f"{self.where}: {line!r} is not printed (from line {at} on):\n"
                                 + "\n".join(said))
            at = found + 1


def add_page_tests():
    for page in PAGES:
        if page.name in FOLLOWED_ELSEWHERE:
            continue
        name = "test_" + re.sub(r"\W+", "_", str(page.relative_to(ROOT))).lower()
        setattr(Pages, name, lambda self, page=page: self.follow(page))


add_page_tests()

if __name__ == "__main__":
    unittest.main()
