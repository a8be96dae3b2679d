"""Snapshot and restore of 2 GB in 20 tables, beside what the same bytes cost otherwise."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import machine
from shell import ENVCTL, PROJECT, Failed, envctl, free_port, measured, run, say

TABLES = 20
ROWS = 300_000  # of about 350 bytes on the disk: 20 tables are 2 GB
ENVIRONMENT = "devlocal"
VOLUME = f"{PROJECT}-{ENVIRONMENT}-durable-mariadb-data"
CONTAINER = f"{PROJECT}-{ENVIRONMENT}-durable-mariadb"
ROOT = Path(__file__).parent.parent

TABLE = """\
SET SESSION sql_log_bin = 0;
CREATE TABLE t{n} (
  id INT PRIMARY KEY, email VARCHAR(80), name VARCHAR(80), city VARCHAR(40), amount DECIMAL(10,2), state VARCHAR(12),
  made DATETIME, note TEXT, token CHAR(64), KEY by_email (email), KEY by_made (made));
INSERT INTO t{n}
SELECT seq, CONCAT(LEFT(MD5(seq * {n}), 9), '@', ELT(1 + seq % 5, 'example.org', 'example.net', 'mail.test', 'shop.test', 'home.test')),
  CONCAT(ELT(1 + seq % 7, 'Anna', 'Ben', 'Chloe', 'David', 'Eva', 'Farid', 'Greta'), ' ', ELT(1 + (seq DIV 7) % 6, 'Meyer', 'Novak', 'Rossi', 'Silva', 'Tanaka', 'Young')),
  ELT(1 + seq % 8, 'Berlin', 'Oslo', 'Lyon', 'Porto', 'Turin', 'Gent', 'Graz', 'Brno'), RAND() * 900, ELT(1 + seq % 4, 'new', 'paid', 'sent', 'returned'),
  '2024-01-01' + INTERVAL seq * 97 SECOND, CONCAT('Order of ', seq, ' pieces, ', REPEAT(ELT(1 + seq % 3, 'leave it at the door; ', 'ring twice; ', 'a gift, no bill; '), 4)),
  SHA2(seq * {n}, 256)
FROM seq_1_to_{rows};
"""


def sql(text, limit=1200):
    shell = 'MYSQL_PWD="$MARIADB_ROOT_PASSWORD" exec mariadb --user=root --batch --skip-column-names "$MARIADB_DATABASE"'
    done = subprocess.run(
        ("docker", "exec", "--interactive", CONTAINER, "sh", "-c", shell),
        input=text, capture_output=True, text=True, timeout=limit,
    )
    if done.returncode:
        raise Failed(done.stderr.strip())
    return done.stdout.strip()


def shell(line):
    """Seconds that a shell line took, with all it wrote on the disk."""
    os.sync()
    started = time.monotonic()
    run("bash", "-euo", "pipefail", "-c", line, limit=1800)
    return time.monotonic() - started


def snapshot(quick):
    rounds = 1 if quick else 3
    rows = 5_000 if quick else ROWS
    data = Path(run("docker", "info", "--format", "{{.DockerRootDir}}").strip(), "volumes", VOLUME, "_data")
    with tempfile.TemporaryDirectory(prefix="envctl-bench-", dir="/var/tmp") as folder:
        made = {name: [] for name in ("snapshot", "tar", "copy", "restore", "dump", "load")}
        peaks = []
        prepared(folder)
        try:
            envctl("durable", "up", cwd=folder)
            for number in range(1, TABLES + 1):
                say(f"snapshot: table {number} of {TABLES}")
                sql(TABLE.format(n=number, rows=rows))
            sql("SET GLOBAL innodb_max_dirty_pages_pct = 0;")
            size = int(run("du", "--summarize", "--block-size=1", str(data)).split()[0])
            packed = 0
            for number in range(rounds):
                say(f"snapshot: round {number + 1} of {rounds}")
                name = f"r{number}"
                made["tar"].append(shell(f"tar -C '{data}' -c . | zstd -1 -q -o '{folder}/tar.zst'; sync"))
                taken = measured(ENVCTL, "--quiet", "durable", "snapshot", name, cwd=folder)
                made["snapshot"].append(taken.seconds)
                packed = json.loads(envctl("durable", "snapshots", "--json", cwd=folder))["snapshots"][-1]["size"]
                made["copy"].append(shell(f"cp -a '{data}' '{folder}/copy'; sync"))
                shutil.rmtree(f"{folder}/copy")
                restored = measured(ENVCTL, "--quiet", "durable", "restore", name, cwd=folder)
                made["restore"].append(restored.seconds)
                if int(sql("SELECT COUNT(*) FROM t20;")) != rows:
                    raise Failed("the restored data is not what was there")
                peaks += [taken.memory, restored.memory]
                envctl("durable", "restore", "--purge", "--confirm", ENVIRONMENT, cwd=folder)
                if number == 0:
                    password = 'MYSQL_PWD="$MARIADB_ROOT_PASSWORD"'
                    dump = f"docker exec {CONTAINER} sh -c '{password} exec mariadb-dump --user=root --single-transaction --quick \"$MARIADB_DATABASE\"'"
                    load = f"docker exec --interactive {CONTAINER} sh -c '{password} exec mariadb --user=root \"$MARIADB_DATABASE\"'"
                    made["dump"].append(shell(f"{dump} | zstd -1 -q -o '{folder}/dump.zst'; sync"))
                    made["load"].append(shell(f"zstd -dcq '{folder}/dump.zst' | {load}; sync"))
                for file in Path(folder).glob("*.zst"):
                    file.unlink()
            version = run(ENVCTL, "--version").strip()
        finally:
            envctl("durable", "down", "--volumes", "--no-snapshot", "--confirm", ENVIRONMENT, cwd=folder)
    m = {name: machine.median(all_) for name, all_ in made.items()}
    mib = size / 2**20
    line = lambda what, name, beside: (
        f"| {what} | {m[name]:.1f} | {machine.spread(made[name], 1)} | {mib / m[name]:.0f} | {m[name] / m[beside]:.2f} |"
    )
    return f"""\
## Snapshot and restore

MariaDB with {TABLES} tables of {rows:,} rows, {size / 2**30:.1f} GiB on the disk; packed {packed / 2**30:.2f} GiB. The restore's time is that of
the whole command: the copy, a server of its own on it, a row of every table read, the change of places, the first answer.

| median of {rounds}; dump and load once | seconds | lowest to highest | MiB a second | compared |
|---|---:|---:|---:|---:|
{line("`tar | zstd -1` of the same files", "tar", "tar")}
{line("`envctl durable snapshot`", "snapshot", "tar")}
{line("`mariadb-dump | zstd -1`", "dump", "tar")}
{line("`cp -a` of the same files", "copy", "copy")}
{line("`envctl durable restore`", "restore", "copy")}
{line("`zstd -d | mariadb` of the dump", "load", "copy")}

Peak memory of envctl: {max(peaks):.0f} MiB. Goals: a snapshot within twice the time of `tar | zstd -1`, a restore within three times that of
the copy, memory under 64 MB.

{machine.facts()} · load {os.getloadavg()[0]:.1f} · {version} · `scripts/bench snapshot`
"""


def prepared(folder):
    shutil.copytree(ROOT / "durable" / "mariadb", Path(folder, "mariadb"))
    Path(folder, "compose.yaml").write_text("services:\n  web:\n    image: debian:trixie-slim\n", encoding="utf-8")
    Path(folder, "durable.yaml").write_text(
        f"""\
services:
  mariadb:
    image: mariadb:11.8
    build: {{ context: mariadb, args: {{ BASE_IMAGE: "{os.environ.get('BASE_IMAGE', 'debian:trixie-slim')}" }} }}
    command: [mariadbd, --skip-name-resolve, --server-id=1, --log-bin=binlog, --innodb-buffer-pool-size=512M, --innodb-flush-log-at-trx-commit=2]
    environment: {{ MARIADB_ROOT_PASSWORD: bench, MARIADB_DATABASE: bench, MARIADB_USER: bench, MARIADB_PASSWORD: bench }}
    volumes: [mariadb-data:/var/lib/mysql]
    ports: ["127.0.0.1:{free_port()}:3306"]
volumes: {{ mariadb-data: }}
""",
        encoding="utf-8",
    )
    Path(folder, "envctl.yaml").write_text(
        f"name: {PROJECT}\ndurable: {{ compose: [durable.yaml], snapshots: {{ path: snapshots }} }}\napp: {{ compose: [compose.yaml] }}\n",
        encoding="utf-8",
    )
