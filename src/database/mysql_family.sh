# What MariaDB and MySQL have in common; `$client`, `$dumper` and `$reader` are their own names for the same programs,
# `$unchecked` for their option that takes any certificate.
data=/var/lib/mysql
user=mysql

# A file in memory that nobody else may read.
private() {
  umask 077
  mktemp /dev/shm/envctl.XXXXXX
}

# as_root PROGRAM ARGUMENTS…
as_root() {
  program=$1
  shift
  # It stays in the container, and works also when the certificate does not.
  MYSQL_PWD=$(value ROOT_PASSWORD) "$program" --user=root --protocol=socket "$unchecked" "$@"
}

root() {
  as_root "$client" --batch --skip-column-names "$@"
}

version() {
  root --execute='SELECT VERSION()'
}

# serve COMMAND…: the server on restored data. Its users get today's passwords.
serve() {
  file=$(private)
  name=$(value USER)
  database=$(value DATABASE)
  {
    printf '%s\n' "SET SESSION sql_log_bin = 0;"
    printf '%s\n' "SET SESSION sql_mode = '$mode';"
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
  all=$(tables)
  printf '%s\n' "$all" | sed 's/.*/SELECT COUNT(*) FROM (SELECT 1 FROM & LIMIT 1) AS one;/' | root >/dev/null
  printf '%s\n' "$all" | wc -l
}

# Each table is checked whole.
check() {
  all=$(tables)
  said=$(printf '%s\n' "$all" | sed 's/.*/CHECK TABLE & EXTENDED;/' | root)
  bad=$(printf '%s\n' "$said" | awk -F '\t' '$3 == "status" && $4 == "OK" { next } $3 == "note" { next } 1')
  if [ -n "$bad" ]; then
    echo "$bad" >&2
    exit 1
  fi
  printf '%s\n' "$all" | wc -l
}

databases() {
  root --execute="SELECT schema_name FROM information_schema.schemata
    WHERE schema_name NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')"
}

statements() {
  as_root "$dumper" --single-transaction --quick --routines --events --triggers --hex-blob $dumps "$@"
}

# All databases of the application, with the statements that create them.
dump() {
  list=$(databases)
  set -- $list
  statements --databases "$@"
}

# Keeps writers out, but for administrators; what was acknowledged until then is in each copy from now on.
freeze() {
  if [ "$(root --execute='SELECT @@read_only')" != 0 ]; then
    echo 'it is read-only already' >&2
    exit 1
  fi
  root --execute='SET GLOBAL read_only = 1'
}

# Fails where writers are let in: a server that was started anew meanwhile took rows that no copy has.
frozen() {
  if [ "$(root --execute='SELECT @@read_only')" != 1 ]; then
    echo 'it was started anew meanwhile, and has taken writes since; nothing is lost: run the command again' >&2
    exit 1
  fi
}

thaw() {
  root --execute='SET GLOBAL read_only = 0'
}

# export_one DATABASE: one database, for any other.
export_one() {
  statements "${1:-$(value DATABASE)}"
}

# import DATABASE: statements from standard input; the database is made when it is missing.
import() {
  database=${1:-$(value DATABASE)}
  if [ -n "$database" ]; then
    root --execute="CREATE DATABASE IF NOT EXISTS \`$(printf '%s' "$database" | sed 's/`/``/g')\`"
  fi
  as_root "$client" --batch ${database:+"$database"}
}

# changes FILE POSITION END: the statements of the logs from there to the end (UTC), for a server that logs none of them.
changes() {
  root --execute='SHOW BINARY LOGS' | cut -f 1 | grep -qx "$1" || {
    echo "the log $1 is there no more" >&2
    exit 1
  }
  export TZ=UTC
  as_root "$reader" --read-from-remote-server --to-last-log --disable-log-bin --start-position="$2" \
    --stop-datetime="$3" "$1"
}

apply() {
  as_root "$client" --batch --binary-mode
}

# Statements for a copy: its log of changes begins after them.
load() {
  as_root "$client" --init-command='SET SESSION sql_log_bin = 0' --batch --binary-mode
}

# The end of the certificate that the server shows, whose it is, whether the application's user is refused without TLS.
connections() {
  name=$(value USER)
  until=$(root --execute="SHOW STATUS LIKE 'Ssl_server_not_after'" | cut -f 2)
  required=$(root --execute="SET SESSION sql_mode = '$mode';
    SELECT IF(COUNT(*), 'yes', 'no') FROM mysql.user WHERE user = $(literal "$name") AND host = '%' AND ssl_type <> ''")
  printf 'connections\t%s\t%s\t%s\t%s\n' "$until" "$(authority)" "$required" "$name"
}
