"""Programs, ports, and what is left on the engine."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

LABEL = "dev.envctl.bench"
PROJECT = "envctl-bench"
ENVCTL = os.environ.get("ENVCTL", "envctl")


class Failed(Exception):
    """A measurement that cannot be made, and why."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(*command, **options):
    """Runs a program to its good end and returns what it printed."""
    return finished(*command, **options)[0]


def finished(*command, cwd=None, env=None, limit=120):
    """Runs a program to its good end and returns what it wrote to stdout and to stderr."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, **(env or {})}, timeout=limit,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
    except FileNotFoundError:
        raise Failed(f"`{command[0]}` is not there") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"`{' '.join(command)}` did not end within {limit} s") from None
    if done.returncode != 0:
        said = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise Failed(f"`{' '.join(command)}` ended with {done.returncode}\n  {said}")
    return done.stdout, done.stderr


def timed(*command, **options):
    """Seconds that the whole process took."""
    started = time.monotonic()
    run(*command, **options)
    return time.monotonic() - started


@dataclass(frozen=True)
class Run:
    """What a whole process took: seconds, seconds of processor, MiB at its peak; and what it said on stderr."""

    seconds: float
    cpu: float
    memory: float
    said: str


def measured(*command, cwd):
    """Runs a program to its good end and tells what it took, with the processes that it waited for."""
    with tempfile.NamedTemporaryFile("r") as told:
        runner = (sys.executable, "-I", "-S", str(Path(__file__).with_name("runner.py")), told.name)
        _, said = finished(*runner, *command, cwd=cwd, limit=600)
        return Run(**json.load(told), said=said)


def envctl(*arguments, cwd, **options):
    return run(ENVCTL, "--quiet", *arguments, cwd=cwd, **options)


def free_port(apart=()):
    """A port of 127.0.0.1 that is free, and so are those `apart` from it."""
    for _ in range(100):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        if port < 65000 and all(is_free(port + offset) for offset in apart):
            return port
    raise Failed("no free ports")


def is_free(port):
    with socket.socket() as tried:
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_for_port(port, limit=10):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise Failed(f"nothing listens on port {port} after {limit} s")


def sweep():
    """Removes what carries the benchmark's label, or belongs to the project that it deploys."""
    for label in (LABEL, f"dev.envctl.project={PROJECT}"):
        for kind, remove in (
            ("container", ("rm", "--force", "--volumes")),
            ("network", ("rm",)),
            ("volume", ("rm", "--force")),
            ("image", ("rm", "--force")),
        ):
            every = ("--all",) if kind == "container" else ()
            found = run("docker", kind, "ls", *every, "--quiet", "--filter", f"label={label}").split()
            if found:
                removed(kind, "docker", kind, *remove, *dict.fromkeys(found))


def removed(kind, *command):
    try:
        run(*command, limit=600)
    except Failed as failure:
        # Engines lose count of a network's endpoints when many containers go at once, until they are restarted.
        if kind != "network" or "active endpoints" not in str(failure):
            raise
        say(str(failure))


class Shared:
    """What envctl makes for the whole host and so labels with no project: it goes when the run brought it."""

    def __init__(self):
        tag = hashlib.sha256(Path(ENVCTL).read_bytes()).hexdigest()[:12] if os.path.isfile(ENVCTL) else "none"
        self.new = [
            (kind, name)
            for kind, name in (("image", f"*:*-{tag}"), ("image", "envctl-lock:1"), ("volume", "envctl-ca"))
            if not self.found(kind, name)
        ]

    @staticmethod
    def found(kind, name):
        if kind == "volume":
            return [one for one in run("docker", "volume", "ls", "--quiet").split() if one == name]
        form = ("--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={name}")
        return run("docker", "image", "ls", *form).split()

    def remove(self):
        for kind, name in self.new:
            for one in self.found(kind, name):
                try:
                    run("docker", kind, "rm", one)
                except Failed:
                    pass  # something else uses it by now
