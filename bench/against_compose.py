"""Bringing a stack up, and finding that it stands, beside Docker Compose on the same stack."""

import machine
import tools
from shell import ENVCTL, PROJECT, envctl, run, say, timed
from stack import project

SIDES = "The same four services (store → api, jobs → web), image at hand, a health check each second."


def deploy(quick):
    rounds = 1 if quick else 5
    compose, version = tools.compose()
    ours, replacing, theirs = [], [], []
    with project() as (folder, _):
        file = (*compose, "-p", f"{PROJECT}-compose", "-f", "compose-app.yml")
        say("deploy: the first one brings the proxy up")
        envctl("up", cwd=folder)
        for number in range(rounds):
            say(f"deploy: round {number + 1} of {rounds}")
            theirs.append(timed(*file, "up", "-d", "--wait", cwd=folder))
            run(*file, "down", "--volumes", cwd=folder)
            envctl("cleanup", cwd=folder)
            ours.append(timed(ENVCTL, "--quiet", "deploy", cwd=folder))
            replacing.append(timed(ENVCTL, "--quiet", "deploy", cwd=folder))
    a, b, c = map(machine.median, (ours, replacing, theirs))
    return f"""\
## A deployment

{SIDES}
Both bring the stack up from nothing and wait until all of it is healthy; `docker compose down` and `envctl cleanup`
before each round are not counted. The last line also stops and removes the color's release before.

| median of {rounds} | seconds | lowest to highest | compared with Compose |
|---|---:|---:|---:|
| `docker compose up -d --wait` | {c:.2f} | {machine.spread(theirs)} | 1 |
| `envctl deploy` | {a:.2f} | {machine.spread(ours)} | **{a / c:.2f}** |
| `envctl deploy` over an older release | {b:.2f} | {machine.spread(replacing)} | {b / c:.2f} |

Why: the engine calls a container healthy one interval after its start at the earliest. envctl runs the container's
own check at once, and again after 100 ms.

{machine.facts()} · Docker Compose {version} · {our_version()} · `scripts/bench deploy`
"""


def durable(quick):
    rounds = 3 if quick else 20
    compose, version = tools.compose()
    ours, theirs = [], []
    with project(durable=True) as (folder, _):
        file = (*compose, "-p", f"{PROJECT}-compose", "-f", "compose-durable.yml")
        run(*file, "up", "-d", "--wait", cwd=folder)
        envctl("durable", "up", cwd=folder)
        for number in range(rounds):
            say(f"durable: round {number + 1} of {rounds}")
            theirs.append(timed(*file, "up", "-d", "--wait", cwd=folder))
            ours.append(timed(ENVCTL, "--quiet", "durable", "up", cwd=folder))
    ours, theirs = ([1000 * one for one in side] for side in (ours, theirs))
    a, c = map(machine.median, (ours, theirs))
    return f"""\
## Nothing to do

{SIDES}
It stands and is healthy; the command is run again, as each pipeline does.

| median of {rounds} | milliseconds | lowest to highest | compared with Compose |
|---|---:|---:|---:|
| `docker compose up -d --wait` | {c:.0f} | {machine.spread(theirs, 0)} | 1 |
| `envctl durable up` | {a:.0f} | {machine.spread(ours, 0)} | **{a / c:.3f}** |

{machine.facts()} · Docker Compose {version} · {our_version()} · `scripts/bench durable`
"""


def our_version():
    return run(ENVCTL, "--version").strip()
