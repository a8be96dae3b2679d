"""The benchmarks' command line: `scripts/bench` says what there is."""

import argparse
import os
import signal
import sys

import against_compose
import against_proxies
import conformance
import outage
import proof
import reading
import report
import slow
import snapshots
import stacks
import switching
from shell import Failed, Shared, say, sweep

LIMIT = 700  # seconds: `all` has to end within 12 minutes, whatever hangs
LONG = {"stacks": 2400, "proxy": 1500, "proof": 3000, "snapshot": 2400}  # Compose alone waits 90 s for a chain with checks each 30 s

SUBJECTS = {
    "deploy": against_compose.deploy,
    "stacks": stacks.stacks,
    "durable": against_compose.durable,
    "status": stacks.status,
    "compose": reading.read,
    "proxy": against_proxies.compare,
    "slow": slow.slow,
    "switch": switching.switch,
    "proof": proof.proof,
    "outage": outage.outage,
    "conformance": conformance.conformance,
    "snapshot": snapshots.snapshot,
}
ALONE = ("stacks", "status", "proxy", "slow", "conformance", "proof", "snapshot")  # no part of `all`, for their time


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("subject", choices=[*SUBJECTS, "all", "clean"])
    parser.add_argument("--quick", action="store_true", help="a few rounds only; writes nothing")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root: the proxies are pinned, and one is put into a folder of its own")
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGALRM, overdue)
    signal.alarm(LONG.get(options.subject, LIMIT))
    sweep()
    if options.subject == "clean":
        return
    shared = Shared()
    every = [name for name in SUBJECTS if name not in ALONE]
    chosen = every if options.subject == "all" else [options.subject]
    try:
        for name in chosen:
            section = SUBJECTS[name](options.quick)
            print(section, flush=True)
            if not options.quick and name in report.ORDER:
                report.write(name, section)
    except Failed as failure:
        sys.exit(f"bench: {failure}")
    finally:
        signal.alarm(0)
        sweep()
        shared.remove()
    if not options.quick:
        say(f"wrote {report.SHOWN}")


def interrupted(*_):
    raise KeyboardInterrupt


def overdue(*_):
    raise Failed("not done in time")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
