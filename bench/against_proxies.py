"""CPU, latency and memory of the proxy beside nginx, HAProxy and Caddy: same backend, same load, one processor each."""

import os
import socket
import time
from contextlib import ExitStack, contextmanager

import machine
from against_compose import our_version
from load import Load, Streams
from proxies import Tls, caddy, certificate, folder, haproxy_proxy, nginx, nginx_proxy, ours
from shell import Failed, free_port, say
from tools import version

CONNECTIONS = 64
PACE = 6  # milliseconds between the requests of a connection: about 10,000 a second in all
IDLE = 10000
RESTS = 8  # seconds after which each proxy has given back what an idle connection does not need
SMALL, LARGE = "/1k", "/100k"

# What is asked of all: title → how.
KINDS = {
    "1 KB": lambda side, seconds, cpu: Load(side.port, CONNECTIONS, seconds, cpu=cpu, path=SMALL),
    "1 KB, paced": lambda side, seconds, cpu: Load(side.port, CONNECTIONS, seconds, PACE, cpu=cpu, path=SMALL),
    "100 KB": lambda side, seconds, cpu: Load(side.port, CONNECTIONS, seconds, cpu=cpu, path=LARGE),
    "1 KB, HTTP/2 over TLS": lambda side, seconds, cpu: Streams(side.tls, 16, seconds, cpu=cpu, path=SMALL),
    "100 KB, HTTP/2 over TLS": lambda side, seconds, cpu: Streams(side.tls, 16, seconds, cpu=cpu, path=LARGE),
    "new connections": lambda side, seconds, cpu: Load(side.port, CONNECTIONS, seconds, cpu=cpu, path=SMALL, anew=True),
    "new connections, TLS": lambda side, seconds, cpu: Load(side.tls, CONNECTIONS, seconds, cpu=cpu, path=SMALL, tls=True, anew=True),
}


class Side:
    """A proxy that runs, and what was found of it: by kind, one result a round."""

    def __init__(self, start, stack):
        self.port, self.tls = free_port(), free_port()
        self.pid = stack.enter_context(start(self.port, self.tls))
        time.sleep(1)
        self.idle = machine.memory(self.pid)
        self.found = {kind: [] for kind in KINDS}

    def measure(self, kind, seconds, cpu):
        before = machine.cpu(self.pid)
        result = KINDS[kind](self, seconds, cpu).end()
        used = machine.cpu(self.pid) - before
        if result["failures"]:
            raise Failed(f"{kind}: {result['failures']} of {result['requests']} requests failed")
        self.found[kind].append({**result, "cpu": 1e6 * used / result["requests"]})

    def hold(self, count):
        """How many KiB an idle connection takes."""
        with idle_connections(self.port, count):
            self.held = 1024 * (machine.memory(self.pid) - self.idle) / count

    def middle(self, kind, key="cpu"):
        return machine.median([one[key] for one in self.found[kind]])

    def least(self, kind):
        return min(one["cpu"] for one in self.found[kind])


def compare(quick, rounds=5, seconds=3, idle=IDLE):
    if quick:
        rounds, seconds, idle = 1, 2, 1000
    every = sorted(os.sched_getaffinity(0))
    load_cpu, proxy_cpu, backend_cpu = every[0], every[1 % len(every)], every[2 % len(every)]
    machine.open_files(5 * IDLE)
    backend, sides = free_port(), {}
    with ExitStack() as stack:
        path = stack.enter_context(folder())
        os.chmod(path, 0o755)
        chain, key = certificate(path)
        (path / "100k").write_bytes(bytes(range(256)) * 400)
        stack.enter_context(nginx("backend", backend, 'server { listen 127.0.0.1:%d; location / { return 200 "%s"; } location = %s { root %s; sendfile on; } }' % (
            backend, "envctl " * 146 + "e\n", LARGE, path), backend_cpu))
        starts = {
            "nginx": lambda port, tls: nginx_proxy(port, backend, proxy_cpu, Tls(tls, chain, key), 2 * IDLE),
            "HAProxy": lambda port, tls: haproxy_proxy(port, backend, proxy_cpu, Tls(tls, chain, key), 2 * IDLE),
            "Caddy": lambda port, tls: caddy(port, backend, proxy_cpu, Tls(tls, chain, key)),
            "envctl": lambda port, tls: ours(port, backend, proxy_cpu, Tls(tls, chain, key), everything=True),
            "envctl, nothing counted or logged": lambda port, tls: ours(port, backend, proxy_cpu, Tls(tls, chain, key)),
        }
        for name, start in starts.items():
            sides[name] = Side(start, stack)
            say(f"proxy: {idle} idle connections, {name}")
            sides[name].hold(idle)
        for number in range(rounds):
            for kind in KINDS:
                say(f"proxy: round {number + 1} of {rounds}, {kind}")
                for side in sides.values():
                    side.measure(kind, seconds, load_cpu)
        for side in sides.values():
            side.after = machine.memory(side.pid)
    return section(sides, rounds, seconds, idle)


@contextmanager
def idle_connections(port, count):
    """Connections that have had one answer each and stay open."""
    request = f"GET {SMALL} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall(request)
            got = b""
            while len(got) < 1024:
                more = connection.recv(4096)
                if not more:
                    raise Failed("a connection was closed that should stay")
                got += more
        time.sleep(RESTS)
        yield


def section(sides, rounds, seconds, idle):
    others = [side for name, side in sides.items() if not name.startswith("envctl")]

    def row(title, value, digits):
        best = min(value(side) for side in others)
        cells = " | ".join(f"{value(side):,.{digits}f} (×{value(side) / best:.2f})" for side in sides.values())
        return f"| {title} | {cells} |"

    names = " | ".join(sides)
    line = "|---|" + "---:|" * len(sides)
    medians = "\n".join(row(kind, lambda side, kind=kind: side.middle(kind), 1) for kind in KINDS)
    least = "\n".join(row(kind, lambda side, kind=kind: side.least(kind), 1) for kind in KINDS)
    rates = "\n".join(
        f"| {kind} | " + " | ".join(f"{side.middle(kind, 'rate'):,.0f}" for side in sides.values()) + " |"
        for kind in KINDS
    )
    tails = "\n".join(
        f"| {kind} | " + " | ".join(f"{side.middle(kind, 'p99'):.2f}" for side in sides.values()) + " |"
        for kind in ("1 KB", "1 KB, paced")
    )
    memory = "\n".join((
        row("MiB, just started", lambda side: side.idle, 1),
        row("MiB, after the load", lambda side: side.after, 1),
        row("KiB an idle connection", lambda side: side.held, 2),
    ))
    paced = round(sides["nginx"].middle("1 KB, paced", "rate"), -2)
    return f"""\
## The proxy

One backend (nginx), `X-Forwarded-*` set by all. The proxy has a processor for itself, the load and the backend have
another. nginx and HAProxy run with one worker, Caddy and envctl with as many threads as they find processors: one.
envctl has everything switched on: metrics, an access log in JSON, health checks; the others log nothing, and so does
the last column. 1 KB and 100 KB: HTTP/1.1, {CONNECTIONS} keep-alive connections, as fast as it goes; paced: about {paced:,.0f}
requests a second. HTTP/2: 16 connections with 10 streams at a time each. New connections: one for each request. In
brackets: times the best of nginx, HAProxy and Caddy.

CPU of the process, µs a request, median of {rounds} × {seconds} s in turns:

| | {names} |
{line}
{medians}

The least of the {rounds}, which other work on the machine disturbed least:

| | {names} |
{line}
{least}

Requests a second, medians:

| | {names} |
{line}
{rates}

p99 in milliseconds, medians:

| | {names} |
{line}
{tails}

Memory: resident, shared pages divided (PSS). Idle: {idle:,} connections that have had one answer each, {RESTS} s ago.

| | {names} |
{line}
{memory}

{machine.facts()} · {machine.busy()} · {version('nginx')} · {version('haproxy')} · caddy {version('caddy').split()[1]} · {version('wrk')} · {version('h2load')} · {our_version()} · `scripts/bench proxy`
"""
