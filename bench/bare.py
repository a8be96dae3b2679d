"""The containers of a flat stack by bare calls of the engine's API: what no client of this engine can be faster than."""

import http.client
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from shell import LABEL, PROJECT, Failed
from stack import IMAGE

AT_ONCE = 16


class Engine(threading.local):
    """A kept connection for each thread."""

    def __init__(self):
        self.connection = Connection("docker")

    def call(self, method, path, body=None):
        content = None if body is None else json.dumps(body)
        self.connection.request(method, path, content, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.status >= 400:
            raise Failed(f"{method} {path}: {answer.status} {said.decode(errors='replace').strip()}")


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://"))


def bare(count):
    """Seconds for a network, and `count` containers made and started on it; they are removed again."""
    engine, network = Engine(), f"{PROJECT}-bare"
    names = [f"{network}-{number}" for number in range(1, count + 1)]
    container = {
        "Image": IMAGE,
        "Labels": {LABEL: "1"},
        "HostConfig": {"NetworkMode": network},
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        def each(method, path, body=None):
            list(pool.map(lambda name: engine.call(method, path.format(name), body), names))

        started = time.monotonic()
        engine.call("POST", "/networks/create", {"Name": network, "Labels": {LABEL: "1"}})
        each("POST", "/containers/create?name={}", container)
        each("POST", "/containers/{}/start")
        seconds = time.monotonic() - started
        each("DELETE", "/containers/{}?force=true&v=true")
    engine.call("DELETE", f"/networks/{network}")
    return seconds
