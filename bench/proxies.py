"""The proxies that are measured, each with the settings that a good site would give it, and the backend behind them."""

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from load import pin
from shell import ENVCTL, Failed, free_port, run, wait_for_port
from tools import libraries, tool

BACKEND = """\
user root;
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {inner}
}}
"""

NGINX = """\
upstream backend {{ server 127.0.0.1:{backend}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    {tls}
    location / {{
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
    }}
  }}"""

HAPROXY = """\
global
  nbthread 1
  no strict-limits
  maxconn {most}
defaults
  mode http
  timeout connect 3s
  timeout client 75s
  timeout server 300s
  option forwardfor
  http-reuse always
frontend live
  bind 127.0.0.1:{port}
  {tls}
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend app
backend app
  server one 127.0.0.1:{backend}
"""

# Sets X-Forwarded-* by itself.
CADDY = """\
{{
  admin off
  default_bind 127.0.0.1
  auto_https off
  servers {{
    protocols h1 h2
  }}
}}
http://:{port} {{
  reverse_proxy 127.0.0.1:{backend}
}}
https://:{tls} {{
  tls {chain} {key}
  reverse_proxy 127.0.0.1:{backend}
}}
"""


@dataclass(frozen=True)
class Tls:
    """A port, and the files that all show on it."""

    port: int
    chain: Path
    key: Path


def certificate(path):
    """A certificate for 127.0.0.1 in this folder: P-256, as all of them make theirs by themselves."""
    chain, key = path / "chain.pem", path / "key.pem"
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-out", str(chain), "-keyout", str(key),
    )
    return chain, key


@contextmanager
def started(command, port, cpu, env=None, **options):
    process = subprocess.Popen(
        command, env={**os.environ, **(env or {})}, preexec_fn=pin(cpu),
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **options},
    )
    try:
        wait_for_port(port)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def folder():
    path = Path(tempfile.mkdtemp(prefix="envctl-bench."))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def nginx(name, port, inner, cpu, connections=4096):
    with folder() as path:
        (path / f"{name}.conf").write_text(BACKEND.format(folder=path, inner=inner, connections=connections), encoding="utf-8")
        command = [tool("nginx"), "-e", "stderr", "-p", str(path), "-c", str(path / f"{name}.conf")]
        with started(command, port, cpu, libraries()) as process:
            yield process.pid


def nginx_proxy(port, backend, cpu, tls=None, connections=4096):
    both = tls and f"listen 127.0.0.1:{tls.port} ssl http2; ssl_certificate {tls.chain}; ssl_certificate_key {tls.key};"
    return nginx("nginx", port, NGINX.format(port=port, backend=backend, tls=both or ""), cpu, connections)


@contextmanager
def haproxy(port, cpu, settings):
    with folder() as path:
        (path / "haproxy.cfg").write_text(settings, encoding="utf-8")
        command = [tool("haproxy"), "-q", "-db", "-f", str(path / "haproxy.cfg")]
        with started(command, port, cpu, libraries()) as process:
            yield process.pid


@contextmanager
def haproxy_proxy(port, backend, cpu, tls=None, connections=4096):
    with folder() as path:
        both = ""
        if tls:
            (path / "both.pem").write_bytes(tls.chain.read_bytes() + tls.key.read_bytes())
            both = f"bind 127.0.0.1:{tls.port} ssl crt {path}/both.pem alpn h2,http/1.1"
        settings = HAPROXY.format(port=port, backend=backend, most=connections, tls=both)
        with haproxy(port, cpu, settings) as pid:
            yield pid


@contextmanager
def caddy(port, backend, cpu, tls):
    with folder() as path:
        settings = CADDY.format(port=port, backend=backend, tls=tls.port, chain=tls.chain, key=tls.key)
        (path / "Caddyfile").write_text(settings, encoding="utf-8")
        command = [tool("caddy"), "run", "--config", str(path / "Caddyfile"), "--adapter", "caddyfile"]
        env = {**libraries(), "HOME": str(path), "XDG_DATA_HOME": str(path), "XDG_CONFIG_HOME": str(path)}
        with started(command, port, cpu, env, stderr=subprocess.DEVNULL) as process:
            yield process.pid


@contextmanager
def ours(port, backend, cpu, tls=None, everything=False):
    """The proxy as it runs in its container: a static binary and two folders, as nobody.

    `everything`: with metrics, an access log and health checks of each route.
    """
    with folder() as path:
        os.chmod(path, 0o755)
        shutil.copy(ENVCTL, path / "envctl")
        for inner in ("state", "ca"):
            (path / inner).mkdir()
            os.chown(path / inner, 65534, 65534)
        listeners = [{"port": port, "route": port}]
        certificates = []
        if tls:
            listeners.append({"port": tls.port, "route": tls.port, "tls": True})
            pem = {"chain": tls.chain.read_text(encoding="utf-8"), "key": tls.key.read_text(encoding="utf-8")}
            certificates.append({"certificates": {"certificates": [{"listen": tls.port, **pem}]}})
        env = {"ENVCTL_LISTENERS": json.dumps(listeners), "MIMALLOC_ALLOW_THP": "0", "MIMALLOC_PURGE_DELAY": "0"}
        if everything:
            env |= {"ENVCTL_METRICS": str(free_port()), "ENVCTL_ACCESS_LOG": '"json"'}
        command = ["chroot", "--userspec=65534:65534", str(path), "/envctl", "proxy", "serve"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with started(command, port, cpu, env, **pipes) as process:
            target = {"prefix": "/", "host": "127.0.0.1", "port": backend}
            health = {"health": {"path": "/1k", "interval_ms": 2000, "threshold": 3}} if everything else {}
            routes = [{"listen": one["port"], "tls": one.get("tls", False), "paths": [target], **health} for one in listeners]
            release = {"release": "1", "created": "2026-01-01T00:00:00Z", "routes": routes}
            for request in (
                *certificates,
                {"put": {"color": "blue", "stack": release, "drain_ms": 1000}},
                {"switch": {"to": "blue", "health": True}},
            ):
                process.stdin.write(json.dumps({"id": "1", "body": request}) + "\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())["body"]
                if answer != "done" and "switched" not in answer:
                    raise Failed(f"the proxy answers {answer}")
            yield process.pid
