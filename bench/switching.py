"""Switches: one as a whole process, and many while requests run."""

import time

import machine
from against_compose import our_version
from load import Load
from shell import ENVCTL, Failed, envctl, say, timed
from stack import project
from tools import version

CONNECTIONS = 64
PACE = 25  # milliseconds between the requests of a connection: about 2,500 a second in all


def switch(quick):
    alone, loaded = (4, 6) if quick else (30, 200)
    with project() as (folder, port):
        envctl("up", cwd=folder)
        envctl("deploy", cwd=folder)
        say(f"switch: {alone} without load")
        quiet = [1000 * timed(ENVCTL, "--quiet", "switch", cwd=folder) for _ in range(alone)]
        say(f"switch: {loaded} under load")
        load = Load(port, CONNECTIONS, 240, PACE, colors=True)
        time.sleep(1)
        busy = [1000 * timed(ENVCTL, "--quiet", "switch", cwd=folder) for _ in range(loaded)]
        found = load.end(now=True)
    if found["rate"] < 1000 and not quick:
        raise Failed(f"the load was {found['rate']:.0f} requests a second: too little to say anything")
    a, b = machine.median(quiet), machine.median(busy)
    return f"""\
## A switch

`envctl switch` from the start of its process to its end: lock, look, health of the new color, swap, history.

| median | milliseconds | lowest to highest |
|---|---:|---:|
| of {alone}, no load | {a:.0f} | {machine.spread(quiet, 0)} |
| of {loaded}, under load (×{b / a:.2f}) | {b:.0f} | {machine.spread(busy, 0)} |

The load: {CONNECTIONS} keep-alive connections, {found['rate']:,.0f} requests a second for {found['seconds']:.0f} s.
Of {found['requests']:,} requests, {found['blue']:,} were answered by blue and {found['green']:,} by green.
**Failed: {found['failures']}** (connect {found['connect']}, read {found['read']}, write {found['write']}, timeout
{found['timeout']}, other answers than 200 from a color {max(found['status'], found['other'])}).
Latency while switching: median {found['p50']:.2f} ms, p99 {found['p99']:.2f} ms, longest {found['max']:.1f} ms.

{machine.facts()} · {version('wrk')} · {our_version()} · `scripts/bench switch`
"""
