"""Load by wrk."""

import atexit
import json
import os
import signal
import subprocess
from pathlib import Path

from shell import Failed
from tools import libraries, tool

SCRIPT = Path(__file__).parent / "wrk" / "report.lua"
ERRORS = ("connect", "read", "write", "timeout")


class Load:
    """A running wrk over keep-alive connections; `end` stops it and returns what it found (times in milliseconds)."""

    def __init__(self, port, connections, seconds, pace=0, colors=False, cpu=None):
        env = {**os.environ, **libraries(), "PACE": str(pace)}
        if colors:
            env["COLORS"] = "1"
        self.limit = seconds + 30
        self.process = subprocess.Popen(
            [tool("wrk"), "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s",
             "--timeout", "10s", "--script", str(SCRIPT), f"http://127.0.0.1:{port}/"],
            env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=pin(cpu),
        )
        atexit.register(self.process.kill)

    def end(self, now=False):
        if now:
            self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=self.limit)
        for line in said.splitlines():
            if line.startswith("JSON "):
                found = json.loads(line[5:])
                # With COLORS on, `other` holds what `status` holds, and more.
                found["failures"] = sum(found[kind] for kind in ERRORS) + max(found["status"], found["other"])
                found["rate"] = found["requests"] / found["seconds"]
                return found
        raise Failed(f"wrk said nothing of use:\n{said}")


def pin(cpu):
    """Keeps a process that is about to start on one processor."""
    return None if cpu is None else lambda: os.sched_setaffinity(0, {cpu})
