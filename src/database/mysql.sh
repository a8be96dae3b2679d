# What envctl runs in containers of MySQL's image: sh -c THIS envctl FUNCTION ARGUMENTS. Passwords come from the
# container's own environment or secrets, and stand in no argument list.
set -eu
data=/var/lib/mysql
user=mysql

# value NAME: MYSQL_NAME or what its _FILE holds.
value() {
  eval "text=\${MYSQL_$1:-} file=\${MYSQL_$1_FILE:-}"
  if [ -n "$text" ]; then
    printf '%s' "$text"
  elif [ -r "$file" ]; then
    cat "$file"
  fi
}

private() {
  umask 077
  mktemp /dev/shm/envctl.XXXXXX
}

root() {
  MYSQL_PWD=$(value ROOT_PASSWORD) mysql --user=root --protocol=socket --batch --skip-column-names "$@"
}

literal() { # with sql_mode = 'NO_BACKSLASH_ESCAPES'
  printf "'%s'" "$(printf '%s' "$1" | sed "s/'/''/g")"
}

version() {
  root --execute='SELECT VERSION()'
}

# The server clones itself into a folder, and that is streamed. There is no other tool that copies it while it serves: what
# Percona has for it knows its own versions only, and is in no image of MySQL.
backup() {
  folder=$(mktemp -d /tmp/envctl.XXXXXX)
  trap 'rm -rf "$folder"' EXIT
  chown "$user:" "$folder"
  root --execute="SELECT COUNT(*) FROM information_schema.plugins WHERE plugin_name = 'clone'" | grep -q 1 ||
    root --execute="INSTALL PLUGIN clone SONAME 'mysql_clone.so'"
  # A clone does not tell its place in the log of changes. With GTIDs there is no need to: what is in the clone already is
  # passed over when the log is made once more from before it on.
  if [ "$(root --execute='SELECT @@log_bin AND @@gtid_mode = "ON"')" = 1 ]; then
    file=$(root --execute='SHOW BINARY LOG STATUS' | cut -f 1)
    echo "binlog position: filename '$file', position '4', GTID of the last change ''" >&2
  fi
  root --execute="CLONE LOCAL DATA DIRECTORY = '$folder/data'"
  tar -c -C "$folder/data" -f - .
}

# Standard input into the data folder.
extract() {
  tar -x -C "$data" -f -
}

prepare() {
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
    printf '%s\n' "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES';"
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
    FROM information_schema.tables WHERE table_type = 'BASE TABLE'
    AND table_schema NOT IN ('information_schema', 'performance_schema', 'sys')"
}

# A row of each table is read; prints how many tables there are.
read_tables() {
  tables | sed 's/.*/SELECT COUNT(*) FROM (SELECT 1 FROM & LIMIT 1) AS one;/' | root >/dev/null
  tables | wc -l
}

# Each table is checked whole.
check() {
  bad=$(tables | sed 's/.*/CHECK TABLE & EXTENDED;/' | root |
    awk -F '\t' '$3 == "status" && $4 == "OK" { next } $3 == "note" { next } 1')
  if [ -n "$bad" ]; then
    echo "$bad" >&2
    exit 1
  fi
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

databases() {
  root --execute="SELECT schema_name FROM information_schema.schemata
    WHERE schema_name NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')"
}

# All databases of the application, with the statements that create them.
dump() {
  set -- $(databases)
  MYSQL_PWD=$(value ROOT_PASSWORD) exec mysqldump --user=root --protocol=socket --single-transaction --quick \
    --routines --events --triggers --hex-blob --set-gtid-purged=OFF --databases "$@"
}

# export_one DATABASE: one database, for any other.
export_one() {
  MYSQL_PWD=$(value ROOT_PASSWORD) exec mysqldump --user=root --protocol=socket --single-transaction --quick \
    --routines --events --triggers --hex-blob --set-gtid-purged=OFF "${1:-$(value DATABASE)}"
}

# import DATABASE: statements from standard input; the database is made when it is missing.
import() {
  database=${1:-$(value DATABASE)}
  if [ -n "$database" ]; then
    root --execute="CREATE DATABASE IF NOT EXISTS \`$(printf '%s' "$database" | sed 's/`/``/g')\`"
  fi
  MYSQL_PWD=$(value ROOT_PASSWORD) exec mysql --user=root --protocol=socket --batch ${database:+"$database"}
}

# changes FILE POSITION END: the statements of the logs from there to the end (UTC), with their GTIDs.
changes() {
  root --execute='SHOW BINARY LOGS' | cut -f 1 | grep -qx "$1" || {
    echo "the log $1 is there no more" >&2
    exit 1
  }
  MYSQL_PWD=$(value ROOT_PASSWORD) TZ=UTC exec mysqlbinlog --read-from-remote-server --user=root --protocol=socket \
    --to-last-log --disable-log-bin --start-position="$2" --stop-datetime="$3" "$1"
}

load() {
  apply
}

apply() {
  MYSQL_PWD=$(value ROOT_PASSWORD) exec mysql --user=root --protocol=socket --batch --binary-mode
}

"$@"
