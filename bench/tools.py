"""The programs that envctl is compared with: those of the machine, else unpacked from Debian's packages into a cache."""

import os
import shutil
import subprocess
from pathlib import Path

from shell import Failed, run, say

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "envctl-bench"
ROOT = CACHE / "root"
APT = ("-qq", "-o", "APT::Sandbox::User=root")

PACKAGE = {
    "busybox": "busybox-static", "nginx": "nginx", "haproxy": "haproxy", "caddy": "caddy", "wrk": "wrk",
    "h2load": "nghttp2-client",
}


def tool(name):
    """The path of a program."""
    # A busybox that is not static cannot be put into an image by itself.
    there = None if name == "busybox" else shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    return there or unpacked(name) or fetch(name)


def libraries():
    """What an unpacked program needs in its environment."""
    return {"LD_LIBRARY_PATH": ":".join(str(ROOT / folder / "x86_64-linux-gnu") for folder in ("lib", "usr/lib"))}


def unpacked(name):
    folders = (ROOT / folder / name for folder in ("usr/sbin", "usr/bin", "sbin", "bin"))
    return next((str(path) for path in folders if path.is_file()), None)


def fetch(name):
    """Unpacks the program's package, with the packages it needs that the machine has not got."""
    say(f"unpacking {PACKAGE[name]}")
    debs = CACHE / "debs" / name
    (debs / "partial").mkdir(parents=True, exist_ok=True)
    command = (
        "apt-get", *APT, "-o", f"Dir::Cache::archives={debs}", "install", "--yes", "--download-only",
        "--no-install-recommends", "--reinstall", PACKAGE[name],
    )
    try:
        run(*command)
    except Failed:
        run("apt-get", *APT, "update", limit=300)
        run(*command, limit=300)
    for deb in sorted(debs.glob("*.deb")):
        run("dpkg", "-x", str(deb), str(ROOT))
    path = unpacked(name)
    if path is None:
        raise Failed(f"the package {PACKAGE[name]} holds no `{name}`")
    return path


def compose():
    """The command line of Docker Compose v2, and its version."""
    script = Path(__file__).parent.parent / "scripts" / "docker-compose"
    path = run(str(script), limit=300).strip()
    return (path,), run(path, "version", "--short").strip()


def version(name):
    """`nginx 1.22.1`, as the program itself says it."""
    asked = {"caddy": "version", "h2load": "--version"}.get(name, "-v")
    done = subprocess.run(  # its answer may be on either stream
        [tool(name), asked], env={**os.environ, **libraries()}, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    words = done.stdout.replace("/", " ").split()
    return f"{name} {next((word for word in words if word[0].isdigit()), '?')}"
