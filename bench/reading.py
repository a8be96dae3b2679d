"""Reading Compose files: 500 services in 50 files, from the start of the process to the plan's last line."""

import json
import os
import resource
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import machine
import tools
from against_compose import our_version
from shell import ENVCTL, PROJECT, Failed, run, say, timed

FILES, EACH = 50, 10


@contextmanager
def project():
    """50 files that are merged: each has ten services of its own, adds to those of the file before, and extends one."""
    folder = Path(tempfile.mkdtemp(prefix="envctl-bench."))
    try:
        names = []
        for number in range(FILES):
            services = {}
            for inner in range(EACH):
                services[f"s{number}-{inner}"] = {
                    "image": "example/app:${TAG:-1}",
                    "extends": {"file": "common.yaml", "service": "base"},
                    "environment": {"NUMBER": str(number), "ADDRESS": "http://${HOST:-localhost}:80/$$x"},
                    "expose": ["8080"],
                    "labels": [f"com.example.number={number}"],
                    "volumes": ["./data:/data:ro", "cache:/cache"],
                    "depends_on": [f"s{number}-{inner - 1}"] if inner else [],
                }
            if number:
                services[f"s{number - 1}-0"] = {"environment": {"LATER": str(number)}, "mem_limit": "64m"}
            names.append(f"{number}.yaml")
            (folder / names[-1]).write_text(json.dumps({"services": services, "volumes": {"cache": {}}}, indent=1), encoding="utf-8")
        (folder / "common.yaml").write_text(json.dumps({"services": {"base": {
            "restart": "always", "stop_grace_period": "5s",
            "healthcheck": {"test": ["CMD", "true"], "interval": "5s"},
            "logging": {"driver": "json-file", "options": {"max-size": "5m"}},
        }}}), encoding="utf-8")
        (folder / "envctl.yaml").write_text(
            f"name: {PROJECT}\napp:\n  compose: [{', '.join(names)}]\nproxy:\n  routes: [{{ listen: 18080, to: 's0-0:8080' }}]\n",
            encoding="utf-8",
        )
        yield folder, names
    finally:
        shutil.rmtree(folder)


def read(quick):
    rounds = 3 if quick else 7
    compose, version = tools.compose()
    sides = {"plan": [], "config": [], "compose": []}
    with project() as (folder, names):
        files = [word for name in names for word in ("-f", name)]
        found = run(ENVCTL, "config", "--services", cwd=folder).split()
        if len(found) != FILES * EACH:
            raise Failed(f"{len(found)} services are read, and not {FILES * EACH}")
        for number in range(rounds):
            say(f"compose: round {number + 1} of {rounds}")
            for name, command in (
                ("plan", (ENVCTL, "--quiet", "plan", "deploy")),
                ("config", (ENVCTL, "--quiet", "config")),
                ("compose", (*compose, *files, "config", "--quiet")),
            ):
                before = used()
                took = 1000 * timed(*command, cwd=folder)
                sides[name].append((took, 1000 * (used() - before)))
    times, cpu = ({name: [one[part] for one in side] for name, side in sides.items()} for part in (0, 1))
    middle = {name: machine.median(side) for name, side in cpu.items()}
    rows = "\n".join(
        f"| {shown} | {middle[name]:.0f} | {machine.spread(cpu[name], 0)} | {bold(middle[name] / middle['compose'], name)} "
        f"| {machine.median(times[name]):.0f} | {machine.spread(times[name], 0)} |"
        for name, shown in (
            ("compose", "`docker compose config --quiet`"), ("config", "`envctl config`"), ("plan", "`envctl plan deploy`"),
        )
    )
    return f"""\
## Reading Compose files

{FILES * EACH} services in {FILES} files that are merged, each service with `extends`, variables and volumes. Whole processes: `plan` also
asks the engine what stands and writes the plan of all {FILES * EACH} services. Milliseconds to the end are those of a machine
with this load: {os.getloadavg()[0]:.1f} tasks for {len(os.sched_getaffinity(0))} processors.

| median of {rounds} | ms of processor | lowest to highest | compared with Compose | ms to the end | lowest to highest |
|---|---:|---:|---:|---:|---:|
{rows}

{machine.facts()} · Docker Compose {version} · {our_version()} · `scripts/bench compose`
"""


def used():
    """Seconds of processor time of all processes that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def bold(ratio, name):
    return "1" if name == "compose" else f"**{ratio:.3f}**"
