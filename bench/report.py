"""Writes docs/benchmarks.md: each subject replaces its own part."""

import os
import re
from pathlib import Path

SHOWN = "docs/benchmarks.md"
FILE = Path(__file__).parent.parent / SHOWN
ORDER = ("deploy", "stacks", "durable", "status", "compose", "proxy", "slow", "switch", "proof", "outage", "snapshot")
HEAD = """\
# Benchmarks

Written by `scripts/bench`; each part ends with its date, machine, versions and command. All sides of a part are
measured in one run, in turns. Absolute numbers are of that machine: the ratios are what carries over.
"""


def write(name, section):
    parts = {}
    if FILE.is_file():
        pattern = r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->"
        parts = dict(re.findall(pattern, FILE.read_text(encoding="utf-8"), re.DOTALL))
    parts[name] = section
    text = HEAD + "".join(f"\n<!-- {key} -->\n{parts[key]}<!-- /{key} -->\n" for key in ORDER if key in parts)
    new = FILE.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, FILE)
