"""What the numbers were measured on, and what processes used."""

import os
import platform
import re
import resource
import statistics
from datetime import date

from shell import run

TICK = os.sysconf("SC_CLK_TCK")


def facts():
    """Processor, memory, system and engine, for people."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"^model name\s*:\s*(.+)$", file.read(), re.MULTILINE)
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = int(re.search(r"^MemTotal:\s*(\d+)", file.read()).group(1)) / 2**20
    with open("/etc/os-release", encoding="utf-8") as file:
        system = re.search(r'^PRETTY_NAME="?([^"\n]+)', file.read(), re.MULTILINE).group(1)
    engine = run("docker", "version", "--format", "{{.Server.Version}}").strip()
    processor = model.group(1) if model else platform.machine()
    return (
        f"{date.today()} · {len(os.sched_getaffinity(0))} × {processor} · {memory:.0f} GiB · "
        f"{system}, Linux {platform.release().split('-')[0]} · Docker Engine {engine}"
    )


def busy():
    """How many tasks wanted a processor lately."""
    return f"load {os.getloadavg()[1]:.1f}"


def open_files(count):
    """Lets this process, and those that it starts, open so many files, or as many as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, count), most))


def family(pid):
    """A process and its children."""
    found = [pid]
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(entry))
    return found


def cpu(pid):
    """Seconds of processor time that a process and its children have used."""
    ticks = 0
    for one in family(pid):
        with open(f"/proc/{one}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def memory(pid):
    """MiB that a process and its children keep resident; what they share counts once."""
    total = 0
    for one in family(pid):
        with open(f"/proc/{one}/smaps_rollup", encoding="utf-8") as file:
            total += int(re.search(r"^Pss:\s*(\d+)", file.read(), re.MULTILINE).group(1))
    return total / 1024


def median(values):
    return statistics.median(values)


def spread(values, digits=2):
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"
