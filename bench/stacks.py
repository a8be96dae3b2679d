"""Whole stacks, chained and flat, from nothing, again and away, beside Docker Compose on the same files."""

import re
from contextlib import contextmanager

import machine
import tools
from against_compose import our_version
from bare import bare
from shell import ENVCTL, PROJECT, Failed, envctl, measured, say, sweep
from stack import SERVICES, compose_file, flat, project

ROUNDS = 5
KEPT = 3  # rounds where one takes long
AGAIN = 5  # runs of a command that has nothing to do
LONGEST_STATUS = 300  # milliseconds

# What is measured: its name for readers, its services, the interval of their health checks, the rounds.
STACKS = (
    ("a → (b, c) → d, checks each second", SERVICES, "1s", ROUNDS),
    ("a → (b, c) → d, each 3 s", SERVICES, "3s", KEPT),
    ("a → (b, c) → d, each 30 s", SERVICES, "30s", 1),
    ("10 services", flat(10), None, ROUNDS),
    ("50 services", flat(50), None, KEPT),
    ("100 services", flat(100), None, KEPT),
)
QUICK = (0, 3)


def stacks(quick):
    compose, version = tools.compose()
    chosen = [STACKS[number] for number in QUICK] if quick else STACKS
    found = []
    for name, services, interval, rounds in chosen:
        with standing(services, interval) as folder:
            flat_of = None if interval else len(services)
            found.append((name, one(folder, compose, name, flat_of, 1 if quick else rounds)))
    return section(found, version)


@contextmanager
def standing(services, interval):
    """A project whose stack is live on blue, so that the proxy is there."""
    with project(lambda port: compose_file(port, services, interval)) as (folder, _):
        try:
            envctl("up", cwd=folder, limit=600)
            yield folder
        finally:
            sweep()


def one(folder, compose, name, flat_of, rounds):
    """The runs of each side and subject; of a flat stack of so many services also the seconds of the bare calls."""
    theirs = (*compose, "-p", f"{PROJECT}-compose", "-f", "compose-app.yml")
    ours = (ENVCTL, "--verbose", "--progress", "plain")
    found = {subject: ([], []) for subject in ("up", "again", "down")}
    found["bare"] = []
    for number in range(rounds):
        say(f"{name}: round {number + 1} of {rounds}")
        again = AGAIN if number == 0 else 1
        found["up"][0].append(measured(*theirs, "up", "-d", "--wait", cwd=folder))
        found["again"][0].extend(measured(*theirs, "up", "-d", "--wait", cwd=folder) for _ in range(again))
        found["down"][0].append(measured(*theirs, "down", "--volumes", cwd=folder))
        found["up"][1].append(measured(*ours, "deploy", cwd=folder))
        found["again"][1].extend(measured(*ours, "up", cwd=folder) for _ in range(again))
        found["down"][1].append(measured(*ours, "cleanup", cwd=folder))
        if flat_of:
            found["bare"].append(bare(flat_of))
    return found


def section(found, version):
    return f"""\
## Whole stacks

Two kinds of stack, of one small image that is at hand: four services that wait for each other to be healthy, and services
that need nothing of each other and have no health check. Each side takes its turn on the same files; envctl's stack
comes up on the idle color beside a live one of the same size.

From nothing until all of it is healthy, or runs:

| seconds, medians | rounds | `docker compose up -d --wait` | lowest to highest | `envctl deploy` | lowest to highest | times as fast |
|---|---:|---:|---:|---:|---:|---:|
{rows(found, "up", True)}

Of the flat stacks, what the engine itself takes: a network, and as many containers created and started on it by bare
calls of its API, 16 at a time, with nothing looked at, waited for or written down. No client is faster than that.

| seconds, medians | bare calls | lowest to highest | `docker compose up -d --wait` | `envctl deploy` |
|---|---:|---:|---:|---:|
{floor(found)}

The same command again, with nothing to do (`envctl up` on what is live):

| milliseconds, medians | `docker compose up -d --wait` | lowest to highest | `envctl up` | lowest to highest | times as fast |
|---|---:|---:|---:|---:|---:|
{rows(found, "again", False, 1000, 0)}

All of it stopped and removed:

| seconds, medians | `docker compose down` | lowest to highest | `envctl cleanup` | lowest to highest | times as fast |
|---|---:|---:|---:|---:|---:|
{rows(found, "down", False)}

What the commands themselves took of the machine while the stack came up (the engine's work is not in it), and how much
of envctl's time at least one call of the engine was under way; the rest is spent between looks at services that are not
ready yet, and on its own work:

| medians | ms of processor, Compose | envctl | MiB at most, Compose | envctl | envctl's calls | s under way | of its time |
|---|---:|---:|---:|---:|---:|---:|---:|
{used(found)}

{machine.facts()} · Docker Compose {version} · {our_version()} · `scripts/bench stacks`
"""


def rows(found, subject, with_rounds, factor=1, digits=2):
    lines = []
    for name, subjects in found:
        sides = [[factor * run.seconds for run in side] for side in subjects[subject]]
        theirs, ours = map(machine.median, sides)
        cells = [name] + ([str(len(sides[0]))] if with_rounds else [])
        for side, middle in zip(sides, (theirs, ours)):
            cells += [f"{middle:.{digits}f}", machine.spread(side, digits)]
        lines.append(f"| {' | '.join(cells)} | **{theirs / ours:.1f}** |")
    return "\n".join(lines)


def floor(found):
    """The bare calls, and how many times as long each side took."""
    lines = []
    for name, subjects in found:
        if subjects["bare"]:
            least = machine.median(subjects["bare"])
            cells = [name, f"{least:.2f}", machine.spread(subjects["bare"], 2)]
            for side in subjects["up"]:
                middle = machine.median([run.seconds for run in side])
                cells.append(f"{middle:.2f} (×{middle / least:.2f})")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def used(found):
    lines = []
    for name, subjects in found:
        theirs, ours = subjects["up"]
        engine = [share(run) for run in ours]
        cells = [name]
        for middle in ("cpu", "memory"):
            for side in (theirs, ours):
                value = machine.median([getattr(run, middle) for run in side])
                cells.append(f"{1000 * value:.0f}" if middle == "cpu" else f"{value:.0f}")
        seconds = machine.median([way for _, way in engine])
        part = machine.median([way / run.seconds for (_, way), run in zip(engine, ours)])
        cells += [f"{machine.median([calls for calls, _ in engine]):.0f}", f"{seconds:.2f}", f"{100 * part:.0f} %"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def share(run):
    """The calls that `--verbose` tells of, and for how many seconds at least one was under way."""
    told = re.search(r"(\d+) calls? of the engine, under way for (\d+) ms", run.said)
    if told is None:
        raise Failed("envctl told nothing of its calls of the engine")
    return int(told.group(1)), int(told.group(2)) / 1000


def status(quick):
    count, rounds = (10, 3) if quick else (100, 30)
    with standing(flat(count), None) as folder:
        say(f"status: {count} services in the second color")
        envctl("deploy", cwd=folder, limit=600)
        theirs, ours = [], []
        for number in range(rounds):
            theirs.append(measured("docker", "ps", "--all", cwd=folder))
            ours.append(measured(ENVCTL, "--verbose", "status", cwd=folder))
    took = machine.median([1000 * run.seconds for run in ours])
    if took > LONGEST_STATUS:
        raise Failed(f"`envctl status` took {took:.0f} ms; {LONGEST_STATUS} ms is the most that it may take")
    engine = machine.median([1000 * way for _, way in map(share, ours)])
    lines = []
    for name, side in (("`docker ps --all`", theirs), ("`envctl status`", ours)):
        took = [1000 * run.seconds for run in side]
        cpu = machine.median([1000 * run.cpu for run in side])
        lines.append(f"| {name} | {machine.median(took):.0f} | {machine.spread(took, 0)} | {cpu:.0f} |")
    table = "\n".join(lines)
    return f"""\
## Status

{2 * count} containers run, {count} services in each color, and the proxy. `envctl status` shows all of them with their memory
and processor time, who is live, routes and previews, the lock and the last operation. Whole processes.

| median of {rounds} | milliseconds | lowest to highest | ms of processor |
|---|---:|---:|---:|
{table}

Calls of the engine were under way for {engine:.0f} ms of it.

{machine.facts()} · {our_version()} · `scripts/bench status`
"""
