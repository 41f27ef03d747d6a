"""Edits are taken up without a signal, as one change, all or nothing: as Kubernetes and git-sync
swap them, half written, broken, and many under load."""

import datetime
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time
import unittest

import dns.rcode

from gateway_backends import new_port
from gateway_reload_test import client_context, leaf, make_pair
from lab import SLOW, Case, Postern, run, wait_until

ZONE = """\
$TTL 60
@ IN SOA ns admin {serial} 3600 600 86400 60
  IN NS ns
ns IN A 192.168.10.2
nas IN A {address}
"""


def config(address, zones=("home.arpa",), more=""):
    text = f"""
[[dns.override]]
names = ["llama.vanillax.me"]
address = ["{address}"]
"""
    for zone in zones:
        text += f'\n[[dns.zone]]\nname = "{zone}"\nfile = "{zone}.zone"\n'
    return text + more


class Mounted(Postern):
    """The configuration is in a directory `mount`, in which a tool swaps all files at once."""

    def __init__(self, **parts):
        super().__init__(**parts)
        self.mount = self.directory / "mount"
        self.mount.mkdir()
        self.real_config = self.config_path

    def state(self, name, address, zones=("home.arpa",), more="", zone_text=ZONE):
        """A directory with one state of all files."""
        state = self.mount / name
        state.mkdir()
        self.config_path = state / "postern.toml"
        super().configure(config=config(address, zones, more))
        for zone in zones:
            (state / f"{zone}.zone").write_text(zone_text.format(serial=1, address=address))
        return state


class ConfigMap(Mounted):
    """As Kubernetes mounts it: postern.toml → ..data/postern.toml, ..data → ..STATE."""

    def put(self, *arguments, **options):
        state = self.state("..v" + str(len(list(self.mount.iterdir()))), *arguments, **options)
        os.symlink(state.name, self.mount / "..data_tmp")
        os.rename(self.mount / "..data_tmp", self.mount / "..data")
        for file in state.iterdir():
            link = self.mount / file.name
            if not link.is_symlink():
                os.symlink(f"..data/{file.name}", link)
        self.config_path = self.mount / "postern.toml"

    def configure(self, **parts):
        pass


def make_ending_pair(directory, name, hosts):
    """NAME.crt and NAME.key by the openssl command; the certificate ends in an hour, after a year."""
    directory = pathlib.Path(directory)
    (directory / "ca.cnf").write_text(
        "[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=.\ndatabase=index\nserial=serial\ndefault_md=sha256\npolicy=p\n"
        f"x509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName={hosts}\n")
    (directory / "index").touch()
    (directory / "serial").write_text("01")
    now = datetime.datetime.now(datetime.timezone.utc)
    begin, end = (f"{now + datetime.timedelta(hours=hours):%Y%m%d%H%M%SZ}" for hours in (-24 * 365, 1))
    for words in (["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                   f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=test"],
                  ["ca", "-batch", "-config", "ca.cnf", "-selfsign", "-keyfile", f"{name}.key", "-in", f"{name}.csr",
                   "-out", f"{name}.crt", "-startdate", begin, "-enddate", end, "-notext"]):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)


class WithCertificates(ConfigMap):
    """Each state has certificates, too: "lan", and "old", of which the first ends soon. "apart" is
    elsewhere, renewed by somebody else."""

    HOSTS = {"lan": "app.lan.example", "old": "app.old.example", "apart": "app.apart.example"}

    def __init__(self):
        super().__init__()
        self.https = new_port()
        make_pair(self.directory / "elsewhere", "apart", "DNS:app.apart.example")
        make_pair(self.directory / "renewed", "old", "DNS:app.old.example")

    def state(self, name, address, more="", **options):
        for one in ("lan", "old", "../elsewhere/apart"):
            more += f'\n[[tls.certificate]]\nname = "{one.split("/")[-1]}"\ncert = "{one}.crt"\nkey = "{one}.key"\n'
        more += f'''
[[gateway.listener]]
name = "internal"
address = ["127.0.0.1"]
http = 0
https = {self.https}
certificates = ["lan", "old", "apart"]

[[gateway.route]]
hostnames = ["app.lan.example"]
respond = {{}}
'''
        state = super().state(name, address, more=more, **options)
        make_pair(state, "lan", "DNS:app.lan.example")
        if self.process is None:
            make_ending_pair(state, "old", "DNS:app.old.example")
        else:
            shutil.copytree(self.directory / "renewed", state, dirs_exist_ok=True)
        return state

    def current(self):
        return (self.mount / "..data").resolve().name

    def served(self, name):
        """Which state's certificate a client gets."""
        with socket.create_connection(("127.0.0.1", self.https), 6 * SLOW) as plain, \
                client_context().wrap_socket(plain, server_hostname=self.HOSTS[name]) as connection:
            got = connection.getpeercert(binary_form=True)
        paths = [*self.mount.glob(f"..v*/{name}.crt"), self.directory / f"elsewhere/{name}.crt"]
        return next((path.parent.name for path in paths if path.exists() and leaf(path) == got), None)

    def renew(self, directory, name):
        """As cert-manager does it, in place."""
        make_pair(self.directory / "new", name, f"DNS:{self.HOSTS[name]}")
        for suffix in ("key", "crt"):
            os.replace(self.directory / f"new/{name}.{suffix}", directory / f"{name}.{suffix}")


class GitSync(Mounted):
    """As git-sync does it: current → .worktrees/COMMIT, the old worktree removed afterwards."""

    def put(self, *arguments, **options):
        current = self.mount / "current"
        old = current.resolve() if current.is_symlink() else None
        state = self.state(f"commit{time.monotonic_ns()}", *arguments, **options)
        os.symlink(state.name, self.mount / "tmp")
        os.rename(self.mount / "tmp", current)
        if old is not None:
            shutil.rmtree(old)
        self.config_path = current / "postern.toml"

    def configure(self, **parts):
        pass


class WithEtc(Postern):
    """It sees the folder `etc` at /etc. There is a forward, but none for all names."""

    def __init__(self, **parts):
        super().__init__(config=config("10.0.0.1", ()) + """
[[dns.forward]]
name = "elsewhere.example"
upstreams = ["udp://127.0.0.1:9"]
""", **parts)
        for name in ("passwd", "group", "nsswitch.conf"):
            self.write(f"etc/{name}", pathlib.Path("/etc", name).read_bytes())
        script = ('#!/bin/sh\nexec unshare --mount --propagation private sh -c '
                  f"""'mount --bind "$0" /etc && exec "$@"' {self.directory}/etc {self.binary} "$@"\n""")
        self.binary = self.write("in-namespace", script)
        self.binary.chmod(0o755)

    def resolvers(self, *addresses):
        """In the place of what was there, as DHCP clients do it."""
        self.write("etc/resolv.conf.new", "".join(f"nameserver {address}\n" for address in addresses))
        os.rename(self.directory / "etc/resolv.conf.new", self.directory / "etc/resolv.conf")

    def rcode(self):
        return dns.rcode.to_text(self.ask("www.vanillax.net").rcode())


class Load:
    """Asks without a pause until it is told to stop; every question gets an answer."""

    def __init__(self, postern, name):
        self.answers = []
        self.lost = []
        self.stop = False
        self.thread = threading.Thread(target=self.ask, args=(postern, name))

    def ask(self, postern, name):
        while not self.stop:
            try:
                self.answers.append(tuple(postern.answer(name)))
            except Exception as error:  # noqa: BLE001 - whatever it is, it was lost
                self.lost.append(repr(error))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.stop = True
        self.thread.join()


class Watched(Case):
    def answers(self, postern):
        return postern.answer("llama.vanillax.me"), postern.answer("nas.home.arpa")

    def wait_for(self, postern, address):
        wait_until(address, lambda: self.answers(postern) == ([address], [address]))

    def swaps(self, kind):
        postern = kind()
        postern.put("10.0.0.1")
        with postern:
            self.wait_for(postern, "10.0.0.1")
            with Load(postern, "llama.vanillax.me") as load:
                for i in range(2, 5):
                    mark = len(postern.log)
                    postern.put(f"10.0.0.{i}")
                    postern.wait_log("reloaded.*is served", mark)
                    self.assertEqual(self.answers(postern), ([f"10.0.0.{i}"], [f"10.0.0.{i}"]))
                    wait_until("the others to ask", lambda i=i: (f"10.0.0.{i}",) in load.answers)
                    # The zone came with the configuration, not by itself.
                    self.assertFalse([line for line in postern.log[mark:] if "zone_reloaded" in line])
            self.assertEqual(load.lost, [])
            self.assertEqual(set(load.answers), {(f"10.0.0.{i}",) for i in range(1, 5)})

    def test_a_config_map_that_is_swapped_is_one_change(self):
        self.swaps(ConfigMap)

    def test_a_worktree_that_git_sync_swaps_is_one_change(self):
        self.swaps(GitSync)

    def test_a_broken_change_changes_nothing_until_it_is_mended(self):
        postern = ConfigMap()
        postern.put("10.0.0.1")
        with postern:
            mark = len(postern.log)
            postern.put("10.0.0.2", more="\n[dns.cahce]\n")  # the zone in it is good
            postern.wait_log("did you mean 'cache'", mark)
            postern.wait_log("reload_refused", mark)
            time.sleep(1.2)  # whatever comes later has come
            self.assertEqual(self.answers(postern), (["10.0.0.1"], ["10.0.0.1"]))
            refused = [line for line in postern.log[mark:] if "reload_refused" in line]
            self.assertEqual(len(refused), 1, postern.log[mark:])
            metrics = postern.metrics()
            self.assertEqual(metrics["postern_config_last_reload_successful"], 0)
            self.assertEqual(metrics['postern_config_reloads_total{result="refused"}'], 1)
            self.assertEqual([metrics[f'postern_drift{{of="{part}"}}'] for part in ("config", "zone", "certificate")],
                             [1, 1, 0])
            postern.put("10.0.0.3")
            self.wait_for(postern, "10.0.0.3")
            wait_until("no drift", lambda: {value for name, value in postern.metrics().items()
                                            if name.startswith("postern_drift")} == {0})

    def certificate_drift(self, postern):
        metrics = postern.metrics()
        return [metrics['postern_drift{of="certificate"}'],
                *(metrics[f'postern_tls_certificate_rejected{{name="{name}"}}'] for name in postern.HOSTS)]

    def test_certificates_of_a_refused_change_wait_with_it(self):
        postern = WithCertificates()
        postern.put("10.0.0.1")
        first = postern.current()
        with postern:
            mark = len(postern.log)
            postern.put("10.0.0.2", more="[dns.cahce]")
            postern.wait_log("certificate_held: lan: ", mark)
            # When this is said the look at certificates has been. The one it is said of was about to end.
            postern.wait_log(r"certificate_overdue: old .* expires in 0 days", mark)
            wait_until("the one after it", lambda: postern.served("old") != first)
            self.assertEqual(postern.served("lan"), first)
            self.assertEqual(self.answers(postern), (["10.0.0.1"], ["10.0.0.1"]))

            status, out, err = run("reload", "-c", postern.config_path)  # nothing is new
            self.assertEqual(status, 1, out + err)
            self.assertIn("certificates that came with it wait, too: lan; what", out)
            status, out, err = run("status", "-c", postern.config_path)
            self.assertEqual(status, 1, out + err)
            self.assertIn('lan.key are not the certificate "lan" that is served', out)
            self.assertIn("not as in its files: they came with a change that was refused", out)
            self.assertNotIn('the certificate "old"', out)
            self.assertEqual(self.certificate_drift(postern), [1, 1, 0, 0])
            held = [line.split()[3] for line in postern.log[mark:] if "certificate_held" in line]
            self.assertEqual(held, ["lan:", "old:"])

            mark = len(postern.log)
            postern.put("10.0.0.3")
            postern.wait_log("reloaded.*is served", mark)
            self.assertEqual(postern.served("lan"), postern.current())
            self.assertEqual(self.answers(postern), (["10.0.0.3"], ["10.0.0.3"]))
            wait_until("no drift", lambda: self.certificate_drift(postern) == [0, 0, 0, 0])

            # The configuration is the same; it is the zone that is broken.
            mark = len(postern.log)
            before = postern.current()
            postern.put("10.0.0.3", zone_text=ZONE + "bad IN A 10.0.0\n")
            postern.wait_log("reload_refused", mark)
            postern.wait_log("certificate_held: lan: ", mark)
            self.assertEqual(postern.served("lan"), before)
            (postern.mount / "..data/home.arpa.zone").write_text(ZONE.format(serial=2, address="10.0.0.4"))
            postern.wait_log("reloaded.*is served", mark)
            self.assertEqual(postern.served("lan"), postern.current())
            self.assertFalse([line for line in postern.log[mark:] if "certificate_reloaded" in line])

    def test_renewals_are_taken_up_while_a_change_is_refused(self):
        postern = WithCertificates()
        postern.put("10.0.0.1")
        with postern:
            mark = len(postern.log)
            postern.put("10.0.0.2", more="[dns.cahce]")
            postern.wait_log("certificate_held: lan: ", mark)
            self.assertIn("reload_refused", postern.reload())  # SIGHUP, and nothing is new
            # One that was not held, and one that was.
            postern.renew(postern.directory / "elsewhere", "apart")
            postern.renew(postern.mount / "..data", "lan")
            postern.wait_log("certificate_reloaded: lan ", mark)
            postern.wait_log("certificate_reloaded: apart ", mark)
            self.assertEqual((postern.served("apart"), postern.served("lan")), ("elsewhere", postern.current()))
            self.assertEqual(self.answers(postern), (["10.0.0.1"], ["10.0.0.1"]))
            # Another change, refused as well: its certificates wait, what is served by now does not.
            mark = len(postern.log)
            before = postern.current()
            postern.put("10.0.0.3", more="[dns.chace]")
            postern.wait_log("certificate_held: lan: ", mark)
            postern.renew(postern.directory / "elsewhere", "apart")
            postern.wait_log("certificate_reloaded: apart ", mark)
            self.assertEqual((postern.served("apart"), postern.served("lan")), ("elsewhere", before))
            self.assertFalse([line for line in postern.log if "certificate_held: apart" in line])

    def test_a_broken_zone_holds_back_the_configuration_too(self):
        postern = GitSync()
        postern.put("10.0.0.1")
        with postern:
            mark = len(postern.log)
            postern.put("10.0.0.2", zone_text=ZONE + "bad IN A 10.0.0\n")
            postern.wait_log(r"home\.arpa\.zone:6:\d+: ", mark)
            postern.wait_log("reload_refused", mark)
            self.assertEqual(self.answers(postern), (["10.0.0.1"], ["10.0.0.1"]))
            # Mended in place: only the zone, the configuration comes with it.
            path = postern.mount / "current/home.arpa.zone"
            path.write_text(ZONE.format(serial=1, address="10.0.0.2"))
            self.wait_for(postern, "10.0.0.2")

    def test_of_two_zones_in_a_change_one_is_broken(self):
        zones = ("home.arpa", "lan.example")
        postern = ConfigMap()
        postern.put("10.0.0.1", zones)
        with postern:
            mark = len(postern.log)
            directory = (postern.mount / "..data").resolve()
            (directory / "lan.example.zone").write_text("nonsense\n")
            (directory / "home.arpa.zone").write_text(ZONE.format(serial=1, address="10.0.0.2"))
            postern.wait_log("zone_rejected", mark)
            postern.wait_log("zone_held.*home.arpa", mark)
            self.assertEqual(postern.answer("nas.home.arpa"), ["10.0.0.1"])
            (directory / "lan.example.zone").write_text(ZONE.format(serial=1, address="10.0.0.2"))
            wait_until("both", lambda: postern.answer("nas.home.arpa") == ["10.0.0.2"]
                       and postern.answer("nas.lan.example") == ["10.0.0.2"])

    def test_a_file_that_is_written_slowly_is_read_when_it_is_whole(self):
        postern = ConfigMap()
        postern.put("10.0.0.1")
        with postern:
            mark = len(postern.log)
            path = (postern.mount / "..data").resolve() / "postern.toml"
            text = path.read_text().replace("10.0.0.1", "10.0.0.2")
            (path.parent / "home.arpa.zone").write_text(ZONE.format(serial=2, address="10.0.0.2"))
            with open(path, "w", encoding="utf-8") as file:
                for i in range(0, len(text), len(text) // 8):
                    file.write(text[i:i + len(text) // 8])
                    file.flush()
                    time.sleep(0.1)
            self.wait_for(postern, "10.0.0.2")
            self.assertFalse([line for line in postern.log[mark:] if "refused" in line],
                             postern.log[mark:])

    def test_a_log_that_grows_in_the_same_folder_delays_no_edit(self):
        postern = Postern(config=config("10.0.0.1", ()))
        with postern:
            stop = threading.Event()

            def grow():
                with open(postern.directory / "queries.log", "a", encoding="utf-8") as log:
                    while not stop.wait(0.05):
                        log.write("time=2026-01-01T00:00:00Z name=a.example.\n")
                        log.flush()

            writer = threading.Thread(target=grow)
            writer.start()
            try:
                postern.configure(config=config("10.0.0.2", ()))
                wait_until("the edit", lambda: postern.answer("llama.vanillax.me") == ["10.0.0.2"], 2)
            finally:
                stop.set()
                writer.join()

    def test_files_that_come_into_an_included_directory(self):
        postern = Postern(files={"conf.d/10.toml": config("10.0.0.1", ())})
        postern.whole = (f'include = ["conf.d/*.toml"]\n[server]\nadmin = ""\nworkers = 1\n'
                         f'[dns]\nlisten = ["127.0.0.1:{postern.port}"]\n'
                         '[[dns.forward]]\nname = "."\nupstreams = ["udp://127.0.0.1:9"]\n')
        new = config("10.0.0.9", ()).replace("llama", "new")
        with postern:
            mark = len(postern.log)
            postern.write("conf.d/20.toml", "[[dns.overide]]\n")
            postern.wait_log("reload_refused", mark)
            postern.write("conf.d/20.toml", new)  # the name is not new, the directory is as it was
            wait_until("the new name", lambda: postern.answer("new.vanillax.me") == ["10.0.0.9"])
            os.unlink(postern.directory / "conf.d/20.toml")
            wait_until("it to go", lambda: postern.answer("new.vanillax.me") == [])

    def test_rapid_changes_under_load_end_in_the_last_one(self):
        postern = ConfigMap()
        postern.put("10.0.0.1")
        with postern:
            with Load(postern, "nas.home.arpa") as load:
                for i in range(2, 42):
                    postern.put(f"10.0.0.{i}", more="nonsense" if i % 3 == 0 else "")
                    time.sleep(0.03)
                self.wait_for(postern, "10.0.0.41")
            self.assertEqual(load.lost, [])
            self.assertGreater(len(load.answers), 50)
            self.assertNotIn((), load.answers)

    @unittest.skipUnless(os.geteuid() == 0, "mounting takes root")
    def test_resolvers_of_the_system_that_come_after_the_start(self):
        with WithEtc() as postern:
            postern.wait_log("has no server but this one")
            self.assertEqual(postern.rcode(), "REFUSED")
            # One more file in the folder is nothing, however often.
            mark = len(postern.log)
            for i in range(20):
                postern.write("etc/mtab", str(i))
                time.sleep(0.02)
            for addresses in (("127.7.7.1",), ("127.7.7.2", "127.7.7.3")):
                postern.resolvers(*addresses)
                postern.wait_log(r"forward: \. to" + "".join(rf" udp://{one}:53" for one in addresses), mark)
                postern.wait_log("reloaded", mark)
                self.assertNotEqual(postern.rcode(), "REFUSED")
                self.assertEqual(len([line for line in postern.log[mark:] if "reloaded" in line]), 1)
                self.assertEqual(postern.metrics()['postern_drift{of="config"}'], 0)
                mark = len(postern.log)
            os.unlink(postern.directory / "etc/resolv.conf")
            postern.wait_log("has no server but this one", mark)
            wait_until("refusals", lambda: postern.rcode() == "REFUSED")

    def test_with_watch_off_the_configuration_waits_for_the_signal(self):
        postern = Postern(config=config("10.0.0.1", ()), server="watch = false\n")
        with postern:
            postern.configure(config=config("10.0.0.2", ()))
            time.sleep(1.0)
            self.assertEqual(postern.answer("llama.vanillax.me"), ["10.0.0.1"])
            postern.reload()
            wait_until("it", lambda: postern.answer("llama.vanillax.me") == ["10.0.0.2"])


if __name__ == "__main__":
    unittest.main()
