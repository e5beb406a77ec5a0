"""The example configurations are what systemd and nginx take, and nginx hands on what clients send, byte for byte."""

import contextlib
import gzip
import http.client
import pathlib
import shutil
import socket
import ssl
import subprocess

import pytest
from receiving import PATH, ping, receiving, stored_bytes, until

PIPELINES = pathlib.Path(__file__).parent.parent / "pipelines"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def test_systemd_takes_the_units(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze missing: the unit files are not verified")
    programs = {
        "/usr/local/bin/tel-receive": shutil.which("tel-receive"),
        "/usr/local/share/tel/pipelines": str(PIPELINES),
        "User=telemetry": "User=root",
    }
    units = [path for path in PIPELINES.iterdir() if path.suffix in (".service", ".socket")]
    for path in units:
        text = path.read_text()
        for word, here in programs.items():
            text = text.replace(word, here)
        (tmp_path / path.name.replace("@", "@i")).write_text(text)
    names = [path.name.replace("@", "@i") for path in units]
    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in names)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"}
    )
    assert len(units) == 4 and str(tmp_path) not in done.stderr and done.returncode == 0, done.stderr


@contextlib.contextmanager
def proxied(place):
    """The port of a nginx that is set up by the example, its files and its port being others."""
    if not NGINX or not shutil.which("openssl"):
        pytest.skip("nginx or openssl missing: the example of nginx is not run")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2", "-nodes"]
    pair = ["-keyout", str(place / "key"), "-out", str(place / "certificate")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", *subject, *pair], check=True, capture_output=True)
    text = (PIPELINES / "nginx.conf").read_text()
    for word, here in {
        "/run/tel-receive.sock": f"{place}/socket",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/certs/incoming.example.org.pem": f"{place}/certificate",
        "/etc/ssl/private/incoming.example.org.key": f"{place}/key",
        "/var/log/nginx/tel-receive.log": f"{place}/log",
    }.items():
        assert word in text
        text = text.replace(word, here)
    folders = "".join(
        f"{name}_temp_path {place}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if place.owner() == "root" else ""
    (place / "nginx.conf").write_text(
        f"{user}daemon off;\npid {place}/pid;\nerror_log {place}/log;\nevents {{}}\nhttp {{\n{folders}{text}}}\n"
    )
    process = subprocess.Popen([NGINX, "-p", str(place), "-c", str(place / "nginx.conf")], stderr=subprocess.PIPE)
    try:
        until(lambda: process.poll() is not None or socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        assert process.poll() is None, process.stderr.read()
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_nginx_before_it(tmp_path):
    with proxied(tmp_path) as port:
        trusted = ssl.create_default_context(cafile=str(tmp_path / "certificate"))

        def send(method, path, body=None, **headers):
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            with contextlib.closing(http.client.HTTPSConnection("localhost", port, context=trusted)) as connection:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.read()

        assert send("POST", PATH.format("early"), b"{}")[0] == 502  # a client comes again
        with receiving(tmp_path / "spool", "--unix", tmp_path / "socket", "--keep-ip", listen=()) as receiver:
            pings = {f"p-{n}": ping(n) for n in range(20)}
            for id, (packed, _) in pings.items():
                assert send("POST", PATH.format(id), packed, Content_Encoding="gzip", X_Forwarded_For="192.0.2.1") == (
                    200,
                    b"OK\n",
                )
            assert send("PUT", PATH.format("chunks"), iter([b"{", b"}"]))[0] == 200
            assert send("POST", PATH.format("bad"), b"{")[0] == 400
            assert send("POST", PATH.format("large"), b"x" * (2 << 20))[0] == 413
            assert send("POST", PATH.format("bomb"), gzip.compress(bytes(9 << 20)), Content_Encoding="gzip")[0] == 413
            assert send("GET", "/__lbheartbeat__") == (200, b"OK\n")
            assert [send("GET", path)[0] for path in ("/", "/status", "/metrics")] == [404] * 3
            assert receiver.end()[0] == 0
        found = stored_bytes(tmp_path / "spool")
        assert found == {**{id: [plain] for id, (_, plain) in pings.items()}, "chunks": [b"{}"]}
        kept = b"".join(path.read_bytes() for path in (tmp_path / "spool").glob("2*"))
        assert b"192.0.2.1" not in kept and b"127.0.0.1" not in kept
