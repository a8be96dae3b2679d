"""Slow clients beside quick ones: what thousands of connections that send a byte a second cost the others."""

import os
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import machine
from against_compose import our_version
from against_proxies import PACE
from load import Load
from proxies import haproxy_proxy, nginx, nginx_proxy, ours
from shell import Failed, free_port, say
from tools import version

CONNECTIONS = 64
SLOW = 5000
HEAD = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"


def slow(quick):
    rounds, seconds = (1, 4) if quick else (3, 5)
    count = 500 if quick else SLOW
    machine.open_files(40000)
    every = sorted(os.sched_getaffinity(0))
    load_cpu, proxy_cpu = every[0], every[1 % len(every)]
    backend, found = free_port(), {}
    with ExitStack() as stack:
        stack.enter_context(nginx("backend", backend, 'server { listen 127.0.0.1:%d; client_max_body_size 0; return 200 "%s"; }' % (
            backend, "envctl " * 28 + "end\n"), load_cpu, connections=20000))
        sides = {
            "nginx": lambda port: nginx_proxy(port, backend, proxy_cpu, connections=20000),
            "HAProxy": lambda port: haproxy_proxy(port, backend, proxy_cpu, connections=7000),
            "envctl": lambda port: ours(port, backend, proxy_cpu, everything=True),
        }
        for name, start in sides.items():
            port = free_port()
            found[name] = {"port": port, "pid": stack.enter_context(start(port)), "alone": [], "elsewhere": [], "beside": [], "full": []}
        for number in range(rounds):
            for name, side in found.items():
                say(f"slow: round {number + 1} of {rounds}, {name}")
                Load(side["port"], CONNECTIONS, 1, PACE, cpu=load_cpu).end()
                side["alone"].append(measured(side, seconds, load_cpu))
                with trickle(backend, count):
                    side["elsewhere"].append(measured(side, seconds, load_cpu))
                before = machine.memory(side["pid"])
                with trickle(side["port"], count) as held:
                    side["beside"].append(measured(side, seconds, load_cpu))
                    side["full"].append(machine.memory(side["pid"]) - before)
                    side["held"] = held()
    return section(found, count, rounds, seconds)


def measured(side, seconds, cpu):
    result = Load(side["port"], CONNECTIONS, seconds, PACE, cpu=cpu).end()
    if result["failures"]:
        raise Failed(f"{result['failures']} of {result['requests']} requests failed")
    return result["p99"]


@contextmanager
def trickle(port, count):
    """Keeps `count` connections open, each of which sends a byte a second: half of them of a head, half of a body."""
    ending, connections = threading.Event(), []

    def open_one(number):
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        connection.setblocking(False)
        connection.send(HEAD if number % 2 else HEAD[:10])
        return connection

    def send():
        # Evenly over the second, as clients that know nothing of each other do.
        turns = 50
        due = time.monotonic()
        while True:
            for turn in range(turns):
                for number in range(turn, len(connections), turns):
                    try:
                        connections[number].send(b"x")
                    except BlockingIOError:
                        pass
                    except OSError:
                        # It was cut off: the next one comes at once.
                        connections[number].close()
                        try:
                            connections[number] = open_one(number)
                        except OSError:
                            pass
                due = max(due + 1 / turns, time.monotonic())
                if ending.wait(due - time.monotonic()):
                    return

    try:
        for number in range(count):
            connections.append(open_one(number))
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        time.sleep(2)
        yield lambda: len(connections)
        ending.set()
        sender.join(10)
    finally:
        ending.set()
        for connection in connections:
            connection.close()


def section(found, count, rounds, seconds):
    rows = []
    for name, side in found.items():
        alone, elsewhere, beside, full = (machine.median(side[key]) for key in ("alone", "elsewhere", "beside", "full"))
        rows.append(
            f"| {name} | {alone:.2f} | {elsewhere:.2f} | {beside:.2f} (×{beside / elsewhere:.2f}) | {full:.1f} | {1024 * full / count:.1f} |"
        )
    table = "\n".join(rows)
    return f"""\
## Slow clients

{count:,} connections that send a byte a second, half of them of a request's head and half of its body, beside
{CONNECTIONS} quick ones with about 8,000 requests a second. Who is cut off connects again at once. The load, the slow clients and the
backend have one processor, the proxy another: what slow clients take of the load's processor shows where they send to the
backend itself, past the proxy, and the ratio is to that.

| median of {rounds} × {seconds} s | p99 ms, alone | the slow past the proxy | the slow at the proxy | MiB more | KiB a slow connection |
|---|---:|---:|---:|---:|---:|
{table}

{machine.facts()} · {machine.busy()} · {version('nginx')} · {version('haproxy')} · {version('wrk')} · {our_version()} · `scripts/bench slow`
"""
