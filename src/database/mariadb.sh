# What envctl runs in containers of MariaDB's image: sh -c THIS envctl FUNCTION ARGUMENTS. Passwords come from the
# container's own environment or secrets, and stand in no argument list.
set -eu
data=/var/lib/mysql
user=mysql

# value NAME: MARIADB_NAME, MYSQL_NAME or what their _FILE holds.
value() {
  for prefix in MARIADB MYSQL; do
    eval "text=\${${prefix}_$1:-} file=\${${prefix}_$1_FILE:-}"
    if [ -n "$text" ]; then
      printf '%s' "$text"
      return
    elif [ -r "$file" ]; then
      cat "$file"
      return
    fi
  done
}

# A file in memory that nobody else may read.
private() {
  umask 077
  mktemp /dev/shm/envctl.XXXXXX
}

root() {
  MYSQL_PWD=$(value ROOT_PASSWORD) mariadb --user=root --protocol=socket --batch --skip-column-names "$@"
}

literal() { # with sql_mode = ''
  printf "'%s'" "$(printf '%s' "$1" | sed "s/\\\\/\\\\\\\\/g; s/'/''/g")"
}

version() {
  root --execute='SELECT VERSION()'
}

backup() {
  login=$(private)
  trap 'rm -f "$login"' EXIT
  printf '[client]\nuser=root\nprotocol=socket\npassword="%s"\n' \
    "$(value ROOT_PASSWORD | sed 's/[\\"]/\\&/g')" >"$login"
  mariadb-backup --defaults-extra-file="$login" --backup --stream=mbstream --target-dir=/tmp
}

# Standard input into the data folder.
extract() {
  mbstream -x -C "$data"
}

prepare() {
  mariadb-backup --prepare --target-dir="$data" --use-memory=256M
  chown -R "$user:" "$data"
  sync
}

# serve COMMAND…: the server on restored data. Its users get today's passwords.
serve() {
  file=$(private)
  name=$(value USER)
  database=$(value DATABASE)
  {
    printf '%s\n' "SET SESSION sql_log_bin = 0;"
    printf '%s\n' "SET SESSION sql_mode = '';"
    root=$(value ROOT_PASSWORD)
    if [ -n "$root" ]; then
      printf '%s\n' "ALTER USER IF EXISTS root@localhost IDENTIFIED BY $(literal "$root");"
      host=$(value ROOT_HOST)
      if [ "${host:-%}" != localhost ]; then
        printf '%s\n' "ALTER USER IF EXISTS root@$(literal "${host:-%}") IDENTIFIED BY $(literal "$root");"
      fi
    fi
    if [ -n "$name" ]; then
      password=$(literal "$(value PASSWORD)")
      account="$(literal "$name")@'%'"
      printf '%s\n' "CREATE USER IF NOT EXISTS $account IDENTIFIED BY $password;"
      printf '%s\n' "ALTER USER $account IDENTIFIED BY $password;"
      if [ -n "$database" ]; then
        printf '%s\n' "GRANT ALL ON \`$(printf '%s' "$database" | sed 's/`/``/g; s/_/\\_/g')\`.* TO $account;"
      fi
    fi
  } >"$file"
  chown "$user" "$file"
  exec docker-entrypoint.sh "$@" --init-file="$file"
}

tables() {
  root --execute="SELECT CONCAT('\`', REPLACE(table_schema, '\`', '\`\`'), '\`.\`', REPLACE(table_name, '\`', '\`\`'), '\`')
    FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SEQUENCE')
    AND table_schema NOT IN ('information_schema', 'performance_schema', 'sys')"
}

# A row of each table is read; prints how many tables there are.
read_tables() {
  tables | sed 's/.*/SELECT COUNT(*) FROM (SELECT 1 FROM & LIMIT 1) AS one;/' | root >/dev/null
  tables | wc -l
}

# Which life of the data it is: empty before the first restore.
life() {
  if [ -r "$data/.envctl-life" ]; then cat "$data/.envctl-life"; fi
}

# accept ID: the copy can be read, and begins a life of its own.
accept() {
  read_tables
  printf '%s' "$1" >"$data/.envctl-life"
  chown "$user:" "$data/.envctl-life"
  sync
}

# Each table is checked whole.
check() {
  bad=$(tables | sed 's/.*/CHECK TABLE & EXTENDED;/' | root | awk -F '\t' '$3 == "status" && $4 == "OK" { next } $3 == "note" { next } 1')
  if [ -n "$bad" ]; then
    echo "$bad" >&2
    exit 1
  fi
  tables | wc -l
}

databases() {
  root --execute="SELECT schema_name FROM information_schema.schemata
    WHERE schema_name NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')"
}

# All databases of the application, with the statements that create them.
dump() {
  set -- $(databases)
  MYSQL_PWD=$(value ROOT_PASSWORD) exec mariadb-dump --user=root --protocol=socket --single-transaction --quick \
    --routines --events --triggers --hex-blob --databases "$@"
}

# export_one DATABASE: one database, for any other.
export_one() {
  MYSQL_PWD=$(value ROOT_PASSWORD) exec mariadb-dump --user=root --protocol=socket --single-transaction --quick \
    --routines --events --triggers --hex-blob "${1:-$(value DATABASE)}"
}

# import DATABASE: statements from standard input; the database is made when it is missing.
import() {
  database=${1:-$(value DATABASE)}
  if [ -n "$database" ]; then
    root --execute="CREATE DATABASE IF NOT EXISTS \`$(printf '%s' "$database" | sed 's/`/``/g')\`"
  fi
  MYSQL_PWD=$(value ROOT_PASSWORD) exec mariadb --user=root --protocol=socket --batch ${database:+"$database"}
}

# changes FILE POSITION END: the statements of the logs from there to the end (UTC), for a server that logs none of them.
changes() {
  root --execute='SHOW BINARY LOGS' | cut -f 1 | grep -qx "$1" || {
    echo "the log $1 is there no more" >&2
    exit 1
  }
  MYSQL_PWD=$(value ROOT_PASSWORD) TZ=UTC exec mariadb-binlog --read-from-remote-server --user=root --protocol=socket \
    --to-last-log --disable-log-bin --start-position="$2" --stop-datetime="$3" "$1"
}

load() {
  apply
}

apply() {
  MYSQL_PWD=$(value ROOT_PASSWORD) exec mariadb --user=root --protocol=socket --batch --binary-mode
}

"$@"
