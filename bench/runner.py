"""Runs one program and tells what it took, as JSON to a file: seconds, seconds of processor, MiB at its peak.

A process of its own, and a small one: what a program's parent keeps resident counts as the program's peak.
"""

import os
import sys
import time

told, *command = sys.argv[1:]
started = time.monotonic()
pid = os.posix_spawnp(command[0], command, os.environ)
_, status, usage = os.wait4(pid, 0)
seconds = time.monotonic() - started
cpu = usage.ru_utime + usage.ru_stime
with open(told, "w", encoding="utf-8") as file:
    file.write('{"seconds": %f, "cpu": %f, "memory": %f}' % (seconds, cpu, usage.ru_maxrss / 1024))
sys.exit(max(os.waitstatus_to_exitcode(status), -1) % 256)
