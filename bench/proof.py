"""Switches under every kind of traffic, beside nginx and HAProxy: the same two backends, the same load by the same clients."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import machine
from against_compose import our_version
from shell import ENVCTL, PROJECT, Failed, envctl, free_port, run, say, sweep, wait_for_port
from tools import libraries, tool, version

SWITCHES, SECONDS = 1000, 240
RELOADS = 30  # a reload takes as long as new workers need to start, and old ones stay until they have ended
HERE = Path(__file__).parent

PROJECT_FILE = """\
name: %(project)s
app: { compose: [compose.yaml] }
proxy:
  drain: 30s
  routes:
    - { listen: %(plain)d, paths: { /: web:80, /slow: web:8080, /upload: web:8080, /events: web:8080, /ws: web:8080 } }
    - { listen: %(tls)d, tls: true, to: web:80 }
"""

# A reload starts new workers; the old ones end what they have open, up to 30 s.
NGINX = """\
user root;
worker_processes 2;
worker_shutdown_timeout 30s;
pid %(folder)s/nginx.pid;
error_log %(folder)s/error.log crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy; fastcgi_temp_path %(folder)s/fastcgi;
  uwsgi_temp_path %(folder)s/uwsgi; scgi_temp_path %(folder)s/scgi;
  keepalive_requests 1000000000;
  map $http_upgrade $upgrade { default upgrade; '' ''; }
  upstream quick { include %(folder)s/quick; keepalive 128; keepalive_requests 1000000000; }
  upstream long { include %(folder)s/long; keepalive 128; }
  server {
    listen 127.0.0.1:%(plain)d backlog=4096;
    listen 127.0.0.1:%(tls)d ssl http2 backlog=4096;
    ssl_certificate %(folder)s/both.pem;
    ssl_certificate_key %(folder)s/both.pem;
    ssl_session_cache shared:tls:10m;
    client_max_body_size 0;
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_read_timeout 1h;
    proxy_send_timeout 1h;
    location / { proxy_set_header Connection ""; proxy_pass http://quick; }
    location ~ ^/(slow|upload|events|ws)$ {
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $upgrade;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_pass http://long;
    }
  }
}
"""

# The backend is looked up in a map, which the runtime API changes in one step.
HAPROXY = """\
global
  nbthread 2
  maxconn 4096
  stats socket %(folder)s/socket mode 600 level admin
defaults
  mode http
  timeout connect 3s
  timeout client 1h
  timeout server 1h
  http-reuse always
frontend live
  bind 127.0.0.1:%(plain)d backlog 4096
  bind 127.0.0.1:%(tls)d ssl crt %(folder)s/both.pem alpn h2,http/1.1 backlog 4096
  acl long path /slow /upload /events /ws
  use_backend long_%%[str(live),map(%(folder)s/live.map)] if long
  use_backend quick_%%[str(live),map(%(folder)s/live.map)]
backend quick_blue
  server one %(blue)s:80
backend quick_green
  server one %(green)s:80
backend long_blue
  server one %(blue)s:8080
backend long_green
  server one %(green)s:8080
"""


def proof(quick):
    switches, seconds = (20, 5) if quick else (SWITCHES, SECONDS)
    with standing() as (folder, ports, addresses):
        say(f"proof: envctl, {switches} switches in {seconds} s")
        found = {"envctl": measured(folder, ports, switches, seconds)}
        for name, side, count in (("HAProxy", haproxy, switches), ("nginx", nginx, min(switches, RELOADS))):
            say(f"proof: {name}, {count} switches in the same time")
            with side(addresses) as (theirs, command):
                found[name] = measured(folder, theirs, count, seconds, command)
    if found["envctl"]["failed"] and not quick:
        raise Failed(f"envctl: {json.dumps(found['envctl'], indent=1)}")
    return section(found, seconds)


@contextmanager
def standing():
    """Both colors of `bench/mixed`, blue live: the folder, the ports, each color's address on its network."""
    folder = Path(tempfile.mkdtemp(prefix="envctl-bench."))
    try:
        shutil.copytree(HERE / "mixed", folder / "mixed")
        build = {"context": "mixed", "args": {"BASE_IMAGE": os.environ.get("BASE_IMAGE", "debian:trixie-slim")}}
        both = "import socket; [socket.create_connection(('127.0.0.1', port)) for port in (80, 8080)]"
        health = {"test": ["CMD", "python3", "-c", both], "retries": 60}
        service = {"build": build, "healthcheck": health, "stop_grace_period": "2s"}
        (folder / "compose.yaml").write_text(json.dumps({"services": {"web": service}}), encoding="utf-8")
        plain = free_port(apart=(1, 10, 11, 20, 21))
        ports = {"plain": plain, "tls": plain + 1}
        (folder / "envctl.yaml").write_text(PROJECT_FILE % {"project": PROJECT, **ports}, encoding="utf-8")
        envctl("up", cwd=folder, limit=600)
        envctl("deploy", cwd=folder, limit=600)
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        container = f"{PROJECT}-devlocal-%s-web-1"
        addresses = {
            color: run("docker", "inspect", "--format", form, container % color).split()[0]
            for color in ("blue", "green")
        }
        yield folder, ports, addresses
    finally:
        sweep()
        shutil.rmtree(folder)


def measured(folder, ports, switches, seconds, command=None):
    """What `envctl bench switch` finds, also where requests failed."""
    line = [
        ENVCTL, "--quiet", "bench", "switch", "--json", "--switches", str(switches), "--duration", f"{seconds}s",
        "--rate", "0", "--connections", "32", "--upload-size", "50",
        "--url", f"http://127.0.0.1:{ports['plain']}/", "--url", f"https://127.0.0.1:{ports['tls']}/",
        "--upload", "/upload",
    ]
    for long in ("/slow?ms=30000", "/slow?ms=30000", "/download"):
        line += ["--long", long]
    for stays in ("--websocket", "/ws", "--events", "/events"):
        line += [stays]
    if command:
        line += ["--switch-with", shlex.join(command)]
    done = subprocess.run(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=6 * seconds + 120)
    if done.returncode not in (0, 6) or not done.stdout:
        raise Failed(f"`{shlex.join(line)}` ended with {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


@contextmanager
def place():
    """A folder with a certificate, and two ports."""
    folder = Path(tempfile.mkdtemp(prefix="envctl-bench."))
    try:
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-keyout", str(folder / "key"), "-out", str(folder / "certificate"))
        both = (folder / "certificate").read_text() + (folder / "key").read_text()
        (folder / "both.pem").write_text(both)
        plain = free_port(apart=(1,))
        yield folder, {"plain": plain, "tls": plain + 1}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def started(command, port):
    process = subprocess.Popen(command, env={**os.environ, **libraries()}, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    try:
        wait_for_port(port)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def nginx(addresses):
    with place() as (folder, ports):
        (folder / "nginx.conf").write_text(NGINX % {"folder": folder, **ports})
        point(folder, addresses, "blue")
        program = (tool("nginx"), "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(folder / "nginx.conf"))
        with started([*program, "-g", "daemon off;"], ports["plain"]):
            yield ports, [
                sys.executable, __file__, "nginx", str(folder), str(ports["plain"]), json.dumps(addresses),
            ]


def point(folder, addresses, color):
    for name, port in (("quick", 80), ("long", 8080)):
        (folder / f"{name}.new").write_text(f"server {addresses[color]}:{port};\n")
        os.replace(folder / f"{name}.new", folder / name)


@contextmanager
def haproxy(addresses):
    with place() as (folder, ports):
        (folder / "live.map").write_text("live blue\n")
        (folder / "haproxy.cfg").write_text(HAPROXY % {"folder": folder, **ports, **addresses})
        command = [tool("haproxy"), "-q", "-db", "-f", str(folder / "haproxy.cfg")]
        with started(command, ports["plain"]):
            yield ports, [sys.executable, __file__, "haproxy", str(folder)]


def switch_nginx(folder, port, addresses, color):
    """Reloads, and waits until new connections get to the color: a reload is told to the master and done later."""
    import http.client

    folder = Path(folder)
    point(folder, json.loads(addresses), color)
    os.kill(int((folder / "nginx.pid").read_text()), signal.SIGHUP)
    deadline, right = time.monotonic() + 60, 0
    while right < 3:
        if time.monotonic() > deadline:
            sys.exit(f"{color} does not answer")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)
            connection.request("GET", "/")
            right = right + 1 if connection.getresponse().getheader("X-Color") == color else 0
            connection.close()
        except OSError:
            right = 0


def switch_haproxy(folder, color):
    import socket

    with socket.socket(socket.AF_UNIX) as api:
        api.connect(f"{folder}/socket")
        api.sendall(f"set map {folder}/live.map live {color}\n".encode())
        said = b"".join(iter(lambda: api.recv(4096), b"")).strip()
        if said:
            sys.exit(said.decode())


def section(found, seconds):
    rows = []
    for name, side in found.items():
        during, outside = side["during"] or {}, side["outside"] or {}
        ratio = during["p99"] / outside["p99"] if during and outside else float("nan")
        kinds = ", ".join(f"{count:,} {what}" for what, count in side["failures"].items()) or "none"
        rows.append(
            f"| {name} | {side['switches']['count']:,} | {side['switches']['median_ms']:.0f} ms | {side['requests']:,} | "
            f"**{side['failed']:,}** | {kinds} | {side['gaps']} | {during.get('p99', 0):.1f} ms | "
            f"{outside.get('p99', 0):.1f} ms | {ratio:.2f} |"
        )
    ours = found["envctl"]
    kinds = ", ".join(f"{kind['requests']:,} {kind['kind']}" for kind in ours["kinds"])
    return f"""\
## Switches that nobody notices

The same two backends (`bench/mixed`), the same load by the same clients (`envctl bench switch`, which retries nothing), each
side for {seconds} s: envctl's own proxy, HAProxy by its runtime API (`set map`, one step), nginx by a reload, counted from its
signal until new connections get to the new color.

| | switches | median | requests | failed | of these | event ids left out | p99 during | p99 outside | ratio |
|---|---:|---:|---:|---:|---|---:|---:|---:|---:|
{chr(10).join(rows)}

"During" are requests that began from 50 ms before a switch to 50 ms after it.

Failed: `connect`, `closed` (cut off before the whole answer), `timeout`, `status`, `color` (answered by a color that was not
live between the request's sending and the answer's head), `cut` (a stream ended within 30 s of its switch), `doubled` (an event).
The load on envctl: {kinds}; plain requests over 32 connections kept alive, opened for each request, and HTTP/2 over TLS with four
streams each, as fast as they are answered; answers that take 30 s, 50 MB down and up, WebSocket pings, an event stream with ids.
envctl's requests go through the engine's port forwarding, those of the others do not: times compare within a line only.

{machine.facts()} · {version('nginx')} · {haproxy_version()} · {our_version()} · `scripts/bench proof`
"""


def haproxy_version():
    said = run(tool("haproxy"), "-v", env=libraries())
    return f"haproxy {re.search(r'version ([^ ]+)', said).group(1)}"


if __name__ == "__main__":
    {"nginx": switch_nginx, "haproxy": switch_haproxy}[sys.argv[1]](*sys.argv[2:])
