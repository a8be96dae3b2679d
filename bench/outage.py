"""The proxy killed with -9 under load: how long until it answers again by itself, and who is live then."""

import http.client
import os
import signal
import time

import machine
from against_compose import our_version
from load import Load
from shell import PROJECT, Failed, envctl, run, say
from stack import project
from tools import version

ROUNDS = 5
APART = 11  # seconds: after ten of them the engine starts a container again without a longer and longer delay
PROXY = f"{PROJECT}-devlocal-proxy"


def outage(quick):
    with project() as (folder, port):
        envctl("up", cwd=folder)
        envctl("deploy", cwd=folder)
        envctl("switch", "green", cwd=folder)
        load = Load(port, 16, 600, pace=10)
        found = []
        for number in range(1 if quick else ROUNDS):
            time.sleep(APART)
            say(f"outage: round {number + 1}")
            os.kill(int(run("docker", "inspect", "--format", "{{.State.Pid}}", PROXY)), signal.SIGKILL)
            found.append(back(port, time.monotonic()))
        load.end(now=True)
        restarts = run("docker", "inspect", "--format", "{{.RestartCount}}", PROXY).strip()
    if int(restarts) != len(found):
        raise Failed(f"{restarts} restarts after {len(found)} kills")
    return f"""\
## The proxy killed

`kill -9` of the proxy's process under load; the engine starts it again, and it goes on with the color that was live
(green, in each of {len(found)} rounds). Until its first answer: median **{machine.median(found):.0f} ms**, {machine.spread(found, 0)}
(goal: under 2,000 ms).

{machine.facts()} · {version('wrk')} · {our_version()} · `scripts/bench outage`
"""


def back(port, killed):
    """Milliseconds from the kill to the first answer, which has to come from green."""
    while time.monotonic() < killed + 60:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            took = 1000 * (time.monotonic() - killed)
            color = answer.getheader("X-Envctl-Color")
            if answer.status == 200:
                if color != "green":
                    raise Failed(f"{color} is live after the kill")
                return took
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.005)
    raise Failed("the proxy did not come back within 60 s")
