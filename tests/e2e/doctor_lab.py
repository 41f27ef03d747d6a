"""What the tests of `postern doctor` stand on, beside gateway_lab.py: a server of HTTPS that says what it is told to, and
ways to ask what the doctor found."""

import contextlib
import json
import pathlib
import re
import socket
import ssl
import subprocess
import threading
import time
import uuid

import h2.config
import h2.connection
import h2.events

from gateway_backends import authority, new_port
from gateway_lab import HOST, Gateway, route
from lab import Case, Upstream, run

OVERRIDE = f"""
    [[dns.override]]
    names = ["{HOST}"]
    address = ["127.0.0.1"]
    """


def pair(name, trusted, more=(), issuer=None):
    """Files of a certificate and its key; `more` is for openssl x509, and `issuer`.crt and .key sign then."""
    signer = (f"{issuer}.crt", f"{issuer}.key") if issuer else (authority().certificate, authority().key)
    stem = authority().directory / uuid.uuid4().hex
    certificate, key = stem.with_suffix(".crt"), stem.with_suffix(".key")
    if more:
        request = stem.with_suffix(".csr")
        subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=x", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", request],
                       check=True, capture_output=True)
        subprocess.run(["openssl", "x509", "-req", "-in", request, "-CA", signer[0], "-CAkey", signer[1],
                        "-copy_extensions", "copy", "-out", certificate, *more],
                       check=True, capture_output=True)
    elif trusted:
        for path, text in zip((certificate, key), authority().leaf(name)):
            path.write_text(text)
    else:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "30", "-subj", "/CN=own", "-addext", f"subjectAltName=DNS:{name}",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def chain(name, whole):
    """Files of a certificate that an authority below the trusted one signed, and its key; `whole`: the certificate
    file has that authority's, too."""
    middle = authority().directory / uuid.uuid4().hex
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "30", "-subj", "/CN=between", "-addext", "basicConstraints=critical,CA:TRUE",
                    "-CA", authority().certificate, "-CAkey", authority().key,
                    "-keyout", f"{middle}.key", "-out", f"{middle}.crt"], check=True, capture_output=True)
    certificate, key = pair(name, True, more=("-days", "30"), issuer=middle)
    if whole:
        certificate.write_text(certificate.read_text() + pathlib.Path(f"{middle}.crt").read_text())
    return certificate, key


class TlsServer:
    """HTTPS that says what it is told to; QUIC on the same port is refused as Postern would. `files` are those of a
    certificate and its key; `accept` gets each connection in place of the handshake."""

    def __init__(self, name=HOST, alpn=("h2", "http/1.1"), fields="Alt-Svc: clear\r\n", trusted=True, status=200,
                 versions=b"\x0a\x0a\x0a\x0a", certificate=(), address=("127.0.0.1", 0), delay=0, lossy=False,
                 files=None, accept=None, interim=b""):
        self.port = address[1] or new_port()
        self.versions, self.delay, self.lossy, self.accept = versions, delay, lossy, accept
        certificate, key = files or pair(name, trusted, certificate)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.set_alpn_protocols(list(alpn))
        self.interim = interim
        self.answer = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n{fields}\r\n".encode()
        self.tcp = socket.create_server((address[0], self.port))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address[0], self.port))
        self.threads = [threading.Thread(target=serve, daemon=True) for serve in (self.serve_tcp, self.serve_udp)]
        for thread in self.threads:
            thread.start()

    def serve_tcp(self):
        while True:
            try:
                plain, _ = self.tcp.accept()
            except OSError:
                return
            if self.accept:
                self.accept(plain)
                continue
            try:
                with self.context.wrap_socket(plain, server_side=True) as connection:
                    if connection.selected_alpn_protocol() == "h2":
                        self.speak_h2(connection)
                    elif connection.recv(4096):
                        time.sleep(self.delay)
                        connection.sendall(self.interim + self.answer)
            except OSError:
                pass

    def speak_h2(self, connection):
        """Answers with the fields of the answer of HTTP/1.1, by python3-h2."""
        peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        peer.initiate_connection()
        connection.sendall(peer.data_to_send())
        while data := connection.recv(4096):
            for event in peer.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    status, *lines = self.answer.decode().strip().split("\r\n")
                    fields = [tuple(line.lower().split(": ", 1)) for line in lines]
                    peer.send_headers(event.stream_id, [(":status", status.split()[1]), *fields], end_stream=True)
            connection.sendall(peer.data_to_send())

    def serve_udp(self):
        seen = set()
        while True:
            try:
                packet, client = self.udp.recvfrom(2000)
            except OSError:
                return
            if not packet:
                return  # it was shut down
            if self.lossy and client not in seen:  # the first packet of each client
                seen.add(client)
                continue
            destination = packet[6:6 + packet[5]]
            source = packet[7 + packet[5]:7 + packet[5] + packet[6 + packet[5]]]
            self.udp.sendto(b"\xc0\0\0\0\0" + bytes([len(source)]) + source + bytes([len(destination)]) + destination
                            + self.versions, client)

    def stop(self):
        for one in (self.tcp, self.udp):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # else a thread that waits keeps the port
        for thread in self.threads:
            thread.join(5)
        for one in (self.tcp, self.udp):
            one.close()


class Reloaded(Gateway):
    """What is changed is served when reload() is back."""

    def reload(self, **parts):
        mark = len(self.log)
        super().reload(**parts)
        return self.wait_log(r"reloaded: .* is served", mark)


class DoctorCase(Case):
    """A gateway that is in order, and `postern doctor` for it."""

    def setUp(self):
        self.gateway = Reloaded(route(respond={"status": 200}), config=OVERRIDE)
        self.gateway.start()
        self.addCleanup(self.gateway.__exit__, None, None, None)

    def doctor(self, *arguments, config=None):
        """(exit status, layers that are red, all of the output)."""
        if "--resolv-conf" not in arguments:  # the nameservers of this machine are not to be asked
            arguments += ("--resolv-conf", self.gateway.write("resolv.conf", "nameserver 127.0.0.1\n"))
        status, out, err = run("doctor", "-c", config or self.gateway.config_path, "--timeout", "1", "--cacert",
                               authority().certificate, *arguments)
        return status, set(re.findall(r"^  RED +(\S+)", out, re.M)), out + err

    def warned(self, out):
        return set(re.findall(r"^  warn +(\S+)", out, re.M))

    def broken(self, *arguments, config=None, resolv_conf="nameserver 127.0.0.1\n"):
        """All that is not in order: {(verdict, layer): [finding]}."""
        if resolv_conf:
            arguments += ("--resolv-conf", self.gateway.write("resolv.conf", resolv_conf))
        status, out, err = run("doctor", "-c", config or self.gateway.config_path, "--timeout", "1", "--json",
                               "--cacert", authority().certificate, *arguments)
        self.assertIn(status, (0, 1), out + err)
        found = {}
        for one in json.loads(out):
            if one["verdict"] != "ok":
                found.setdefault((one["verdict"], one["layer"]), []).append(one)
        self.assertEqual(status, int(any(verdict == "red" for verdict, _ in found)), out + err)
        return found

    def only(self, found, verdict, layer, text, remedy="."):
        """One thing is not in order, and it is this one; the finding."""
        self.assertEqual([(key, len(all)) for key, all in found.items()], [((verdict, layer), 1)], found)
        one = found[verdict, layer][0]
        self.assertRegex(one["text"], text)
        self.assertRegex(one["remedy"], remedy)
        return one

    def resolver(self, text):
        upstream = Upstream(text)
        self.addCleanup(upstream.stop)
        return f"127.0.0.1:{upstream.port}"

    def elsewhere(self, port, alpn=()):
        """The configuration, as if the gateway were a server that is not Postern's."""
        text = self.gateway.config_path.read_text()
        text = re.sub(r"https = \d+", f"https = {port}", text)
        if alpn:
            text = re.sub(r"(?m)^(https = \d+)$", rf"\1\nalpn = {json.dumps(alpn)}", text)
        return self.gateway.write("elsewhere.toml", text)

    def against(self, **how):
        server = TlsServer(**how)
        self.addCleanup(server.stop)
        return self.doctor(config=self.elsewhere(server.port))
