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

SERVICES = {"store": (), "api": ("store",), "jobs": ("store",), "web": ("api", "jobs")}


def compose_file(port):
    """store → (api, jobs) → web. A check each second, the shortest that is usual: Docker's "healthy" waits for one."""
    services = {}
    for name, needs in SERVICES.items():
        services[name] = {
            "image": IMAGE,
            "labels": {LABEL: "1"},
            "healthcheck": {
                "test": ["CMD", "/busybox", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"],
                "interval": "1s", "timeout": "3s", "retries": 10,
            },
            "depends_on": {need: {"condition": "service_healthy"} for need in needs},
        }
    services["web"]["ports"] = [f"127.0.0.1:{port}:8080"]
    services["store"]["volumes"] = ["data:/data"]
    labelled = {"labels": {LABEL: "1"}}
    # JSON is YAML.
    return json.dumps({"services": services, "networks": {"default": labelled}, "volumes": {"data": labelled}}, indent=1)


@contextmanager
def project():
    """A folder with envctl.yaml, app.yml and durable.yml, and the image that they name."""
    folder = Path(tempfile.mkdtemp(prefix="envctl-bench."))
    try:
        build_image(folder / "image")
        port = free_port(apart=(10, 20))
        (folder / "app.yml").write_text(compose_file(port), encoding="utf-8")
        (folder / "durable.yml").write_text(compose_file(free_port()), encoding="utf-8")
        (folder / "compose-app.yml").write_text(compose_file(free_port()), encoding="utf-8")
        (folder / "compose-durable.yml").write_text(compose_file(free_port()), encoding="utf-8")
        (folder / "envctl.yaml").write_text(
            f"name: {PROJECT}\ndurable:\n  compose: [durable.yml]\napp:\n  compose: [app.yml]\n"
            "proxy:\n  drain: 5s\n", encoding="utf-8",
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
