"""The stack that is deployed: four services of one small image, as Compose files and as a project of envctl."""

import json
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from shell import LABEL, PROJECT, free_port, run
from tools import libraries, tool

IMAGE = f"{PROJECT}/box:1"

NGINX = """\
daemon off;
pid /tmp/nginx.pid;
error_log stderr crit;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  server { listen 8080; return 200 "%s"; }
}
""" % ("envctl " * 28 + "end\n")

# store → (api, jobs) → web
SERVICES = {"store": (), "api": ("store",), "jobs": ("store",), "web": ("api", "jobs")}


def flat(count):
    """Services that need nothing of each other."""
    return {f"s{number:03}": () for number in range(1, count + 1)}


def compose_file(port, services=SERVICES, interval="1s"):
    """The services as a Compose file; the last one is reached from outside, the first has a volume.

    A check each second is the shortest that is usual: Docker's "healthy" waits for one. Without an interval: no checks.
    """
    described = {name: {"image": IMAGE, "labels": {LABEL: "1"}} for name in services}
    if interval:
        for name, needs in services.items():
            described[name]["healthcheck"] = {
                "test": ["CMD", "/busybox", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"],
                "interval": interval, "timeout": "3s", "retries": 10,
            }
            described[name]["depends_on"] = {need: {"condition": "service_healthy"} for need in needs}
    first, *_, last = described.values()
    last["ports"] = [f"127.0.0.1:{port}:8080"]
    first["volumes"] = ["data:/data"]
    labelled = {"labels": {LABEL: "1"}}
    # JSON is YAML.
    return json.dumps({"services": described, "networks": {"default": labelled}, "volumes": {"data": labelled}}, indent=1)


@contextmanager
def project(file=compose_file, durable=False):
    """A folder with envctl.yaml, app.yml and durable.yml, and the image that they name; `file` writes a stack's file."""
    folder = Path(tempfile.mkdtemp(prefix="envctl-bench."))
    try:
        build_image(folder / "image")
        port = free_port(apart=(10, 20))
        (folder / "app.yml").write_text(file(port), encoding="utf-8")
        (folder / "compose-app.yml").write_text(file(free_port()), encoding="utf-8")
        layer = ""
        if durable:
            (folder / "durable.yml").write_text(file(free_port()), encoding="utf-8")
            (folder / "compose-durable.yml").write_text(file(free_port()), encoding="utf-8")
            layer = "durable:\n  compose: [durable.yml]\n"
        (folder / "envctl.yaml").write_text(
            f"name: {PROJECT}\n{layer}app:\n  compose: [app.yml]\nproxy:\n  drain: 5s\n", encoding="utf-8",
        )
        yield folder, port
    finally:
        shutil.rmtree(folder)


def build_image(folder):
    """nginx with the libraries it needs, and a static busybox for the checks: no base image."""
    for inner in ("tmp", "etc", "data", "var/log/nginx"):
        (folder / inner).mkdir(parents=True)
    nginx = tool("nginx")
    shutil.copy(tool("busybox"), folder / "busybox")
    shutil.copy(nginx, folder / "nginx")
    linked = run("ldd", nginx, env=libraries())
    for path in re.findall(r"(?:=> )?(/\S+) \(0x", linked):
        # The loader is looked for where the binary names it, the others in /lib.
        target = folder / path.lstrip("/") if "ld-linux" in path else folder / "lib" / os.path.basename(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (folder / "etc/passwd").write_text("root:x:0:0::/:/\nnobody:x:65534:65534::/:/\n", encoding="utf-8")
    (folder / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n", encoding="utf-8")
    (folder / "nginx.conf").write_text("user nobody nogroup;\n" + NGINX, encoding="utf-8")
    (folder / "Dockerfile").write_text(
        "FROM scratch\nCOPY . /\nENV LD_LIBRARY_PATH=/lib\n"
        'CMD ["/nginx", "-e", "stderr", "-c", "/nginx.conf"]\n', encoding="utf-8",
    )
    run("docker", "build", "--quiet", "--label", f"{LABEL}=1", "--tag", IMAGE, str(folder))
