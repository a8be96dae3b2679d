"""Load by wrk and h2load."""

import atexit
import json
import os
import re
import signal
import subprocess
from pathlib import Path

from shell import Failed
from tools import libraries, tool

SCRIPT = Path(__file__).parent / "wrk" / "report.lua"
ERRORS = ("connect", "read", "write", "timeout")


class Load:
    """A running wrk; `end` stops it and returns what it found (times in milliseconds).

    Over keep-alive connections, or with `anew` over a new one for each request.
    """

    def __init__(self, port, connections, seconds, pace=0, colors=False, cpu=None, path="/", tls=False, anew=False):
        env = {**os.environ, **libraries(), "PACE": str(pace)}
        if colors:
            env["COLORS"] = "1"
        self.limit = seconds + 30
        headers = ["--header", "Connection: close"] if anew else []
        scheme = "https" if tls else "http"
        self.process = subprocess.Popen(
            [tool("wrk"), "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s",
             "--timeout", "10s", "--script", str(SCRIPT), *headers, f"{scheme}://127.0.0.1:{port}{path}"],
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


class Streams:
    """A running h2load: HTTP/2 over TLS, ten streams at a time on each connection."""

    def __init__(self, port, connections, seconds, cpu=None, path="/"):
        self.limit, self.seconds = seconds + 30, seconds
        self.process = subprocess.Popen(
            [tool("h2load"), "--threads=1", f"--clients={connections}", "--max-concurrent-streams=10",
             f"--duration={seconds}", f"https://localhost:{port}{path}"],
            env={**os.environ, **libraries()}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=pin(cpu),
        )
        atexit.register(self.process.kill)

    def end(self):
        said, _ = self.process.communicate(timeout=self.limit)
        found = re.search(r"^requests: .*, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", said, re.MULTILINE)
        if "Application protocol: h2" not in said or not found or not int(found[2]):
            raise Failed(f"h2load said nothing of use:\n{said}")
        requests, failures = int(found[1]), int(found[3]) + int(found[4])
        data = re.search(r"\((\d+)\) data$", said, re.MULTILINE)
        if not data or int(data[1]) < 1000 * requests:
            raise Failed(f"the answers are too short:\n{said}")
        return {"requests": requests, "failures": failures, "rate": requests / self.seconds}


def pin(cpu):
    """Keeps a process that is about to start on one processor."""
    return None if cpu is None else lambda: os.sched_setaffinity(0, {cpu})
