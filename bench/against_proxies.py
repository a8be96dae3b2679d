"""CPU, latency and memory of the proxy beside nginx and HAProxy: same backend, same load, one processor each."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import machine
from against_compose import our_version
from load import Load, pin
from shell import ENVCTL, Failed, free_port, say, wait_for_port
from tools import libraries, tool, version

CONNECTIONS = 64
PACE = 6  # milliseconds between the requests of a connection: about 10,000 a second in all

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
upstream backend { server 127.0.0.1:%(backend)d; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:%(port)d;
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
    }
  }"""

HAPROXY = """\
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 3s
  timeout client 75s
  timeout server 300s
  option forwardfor
  http-reuse always
frontend live
  bind 127.0.0.1:%(port)d
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %%[req.hdr(host)]
  default_backend app
backend app
  server one 127.0.0.1:%(backend)d
"""


def compare(quick):
    rounds, seconds = (1, 2) if quick else (3, 6)
    every = sorted(os.sched_getaffinity(0))
    load_cpu, proxy_cpu, backend_cpu = every[0], every[1 % len(every)], every[2 % len(every)]
    backend = free_port()
    found = {}
    with ExitStack() as stack:
        stack.enter_context(nginx("backend", backend, 'server { listen 127.0.0.1:%d; return 200 "%s"; }' % (
            backend, "envctl " * 28 + "end\n"), backend_cpu))
        sides = {
            "nginx": lambda port: nginx("nginx", port, NGINX % {"port": port, "backend": backend}, proxy_cpu),
            "HAProxy": lambda port: haproxy(port, backend, proxy_cpu),
            "envctl": lambda port: ours(port, backend, proxy_cpu),
        }
        for name, start in sides.items():
            port = free_port()
            pid = stack.enter_context(start(port))
            time.sleep(1)
            found[name] = {"pid": pid, "port": port, "idle": machine.memory(pid), "full": [], "paced": []}
        direct = Load(backend, CONNECTIONS, seconds, PACE, cpu=load_cpu).end()
        for number in range(rounds):
            for name, side in found.items():
                say(f"proxy: round {number + 1} of {rounds}, {name}")
                Load(side["port"], CONNECTIONS, 1, cpu=load_cpu).end()
                for kind, pace in (("full", 0), ("paced", PACE)):
                    before = machine.cpu(side["pid"])
                    result = Load(side["port"], CONNECTIONS, seconds, pace, cpu=load_cpu).end()
                    used = machine.cpu(side["pid"]) - before
                    if result["failures"]:
                        raise Failed(f"{name} failed {result['failures']} of {result['requests']} requests")
                    side[kind].append({**result, "cpu": 1e6 * used / result["requests"]})
        for side in found.values():
            side["after"] = machine.memory(side["pid"])
    return section(found, direct, rounds, seconds)


def section(found, direct, rounds, seconds):
    def middle(side, kind, key):
        return machine.median([one[key] for one in side[kind]])

    base = found["nginx"]
    rows = []
    for name, side in found.items():
        cells = [name]
        for kind, key, digits in (
            ("full", "cpu", 1), ("paced", "cpu", 1), ("full", "p99", 2), ("paced", "p99", 2), ("full", "rate", 0),
        ):
            value = middle(side, kind, key)
            cells.append(f"{value:,.{digits}f} (×{value / middle(base, kind, key):.2f})")
        cells += [f"{side['idle']:.1f}", f"{side['after']:.1f}"]
        rows.append("| " + " | ".join(cells) + " |")
    table = "\n".join(rows)
    spreads = ", ".join(
        f"{name} {machine.spread([one['cpu'] for one in side['full']], 1)}" for name, side in found.items()
    )
    paced = round(middle(base, "paced", "rate"), -2)
    return f"""\
## The proxy

One backend (nginx, a 200-byte answer), {CONNECTIONS} keep-alive connections, `X-Forwarded-*` set by all, no access
logs. The proxy has a processor for itself, wrk and the backend have another. nginx and HAProxy run with one worker,
envctl with its usual two threads. Full: as fast as it goes. Paced: about {paced:,.0f} requests a second. In brackets:
times nginx.

| median of {rounds} × {seconds} s | CPU µs a request, full | paced | p99 ms, full | paced | requests/s, full | MiB idle | MiB after |
|---|---:|---:|---:|---:|---:|---:|---:|
{table}

CPU a request under full load, lowest to highest: {spreads}.
The backend by itself, paced: p99 {direct['p99']:.2f} ms. Memory is resident memory, shared pages divided (PSS).

{machine.facts()} · {version('nginx')} · {version('haproxy')} · {version('wrk')} · {our_version()} · `scripts/bench proxy`
"""


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


@contextmanager
def haproxy(port, backend, cpu, settings=None):
    with folder() as path:
        settings = settings or HAPROXY % {"port": port, "backend": backend}
        (path / "haproxy.cfg").write_text(settings, encoding="utf-8")
        command = [tool("haproxy"), "-q", "-db", "-f", str(path / "haproxy.cfg")]
        with started(command, port, cpu, libraries()) as process:
            yield process.pid


@contextmanager
def ours(port, backend, cpu, tls=None):
    """The proxy as it runs in its container: a static binary and two folders, as nobody."""
    with folder() as path:
        os.chmod(path, 0o755)
        shutil.copy(ENVCTL, path / "envctl")
        for inner in ("state", "ca"):
            (path / inner).mkdir()
            os.chown(path / inner, 65534, 65534)
        listeners = [{"port": port, "route": port}] + ([{"port": tls, "route": tls, "tls": True}] if tls else [])
        env = {"ENVCTL_LISTENERS": json.dumps(listeners), "MALLOC_ARENA_MAX": "1"}
        command = ["chroot", "--userspec=65534:65534", str(path), "/envctl", "proxy", "serve"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with started(command, port, cpu, env, **pipes) as process:
            target = {"prefix": "/", "host": "127.0.0.1", "port": backend}
            routes = [{"listen": one["port"], "tls": one.get("tls", False), "paths": [target]} for one in listeners]
            release = {"release": "1", "created": "2026-01-01T00:00:00Z", "routes": routes}
            for request in (
                {"put": {"color": "blue", "stack": release, "drain_ms": 1000}},
                {"switch": {"to": "blue", "health": True}},
            ):
                process.stdin.write(json.dumps({"id": "1", "body": request}) + "\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())["body"]
                if answer != "done" and "switched" not in answer:
                    raise Failed(f"the proxy answers {answer}")
            yield process.pid
