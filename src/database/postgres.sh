# PostgreSQL. Inside of the container the socket asks for no password, as initdb and the official image have it.
data=${PGDATA:-/var/lib/postgresql/data}
user=postgres
prefixes=POSTGRES
# The log of changes for a copy that goes on from its snapshot, until the copy was read.
replayed=$data/.envctl-changes

name=$(value USER)
name=${name:-postgres}
database=$(value DB)
database=${database:-$name}

sql() {
  psql --no-psqlrc --no-password --quiet --set=ON_ERROR_STOP=1 --host=/var/run/postgresql --username="$name" "$@"
}

ask() {
  sql --tuples-only --no-align --dbname="$1" --command="$2"
}

version() {
  ask postgres 'SHOW server_version'
}

# Where finished files of the log of changes go, as `archive_command` has it: the folder before its last `/%f`. Empty where
# it does not keep them.
kept_changes() {
  if [ "$(ask postgres 'SHOW archive_mode')" != off ]; then
    ask postgres 'SHOW archive_command' | sed -n "s|.*[ =\"']\\([^ =\"']*\\)/%f.*|\\1|p"
  fi
}

backup() {
  if [ -n "$(kept_changes)" ]; then
    ask postgres "SELECT 'binlog position: filename ''' || pg_walfile_name(pg_current_wal_lsn()) || ''', position ''0'', '
      'GTID of the last change ''' || pg_current_wal_lsn() || ''''" >&2
  fi
  exec pg_basebackup --pgdata=- --format=tar --wal-method=fetch --checkpoint=fast --no-password \
    --host=/var/run/postgresql --username="$name"
}

# Standard input into the data folder.
extract() {
  mkdir -p "$data"
  tar -x -C "$data" -f -
}

prepare() {
  rm -rf "$data/.envctl-kept" "$data/.envctl-life" "$replayed"
  chown -R postgres:postgres "$data"
  chmod 700 "$data"
  # Where the data is a folder below the volume's, the log of changes is kept beside it.
  case $data in /var/lib/postgresql/*/*) chown postgres:postgres "$data/.." ;; esac
  sync
}

# changes FILE POSITION END: the log of changes from that file on, as a tar.
changes() {
  cd "$data"
  folder=$(kept_changes)
  # A change to end with: where none came after END, a server could not tell that it has all from before.
  ask postgres 'SELECT pg_current_xact_id()' >/dev/null
  last=$(ask postgres 'SELECT pg_walfile_name(pg_switch_wal())')
  tries=0
  until [ -e "$folder/$last" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 600 ]; then
      echo "$folder/$last does not come; $(ask postgres \
        "SELECT 'last kept: ' || coalesce(last_archived_wal, 'none') || ', last failure: ' ||
         coalesce(last_failed_wal || ' at ' || last_failed_time, 'none') FROM pg_stat_archiver")" >&2
      exit 1
    fi
    sleep 0.1
  done
  if ! [ -e "$folder/$1" ]; then
    echo "the log $1 is there no more" >&2
    exit 1
  fi
  ls "$folder" | awk -v first="$1" '$0 >= first || /\.history$/' | tar -c -C "$folder" -T - -f -
}

# replay END: standard input is the log of changes; the server goes through it until END (UTC) as it starts.
replay() {
  mkdir -p "$replayed"
  tar -x -C "$replayed" -f -
  printf '%s' "$1" >"$replayed/until"
  : >"$data/recovery.signal"
  chown -R postgres:postgres "$replayed" "$data/recovery.signal"
  sync
}

# serve COMMAND…: the server on restored data. Its user gets today's password.
serve() {
  password=$(value PASSWORD)
  if [ -n "$password" ]; then
    (
      until ask postgres 'SELECT 1' >/dev/null 2>&1; do sleep 0.2; done
      printf '%s\n' 'ALTER ROLE :"name" PASSWORD :'\''password'\'';' |
        ENVCTL_PASSWORD=$password sql --dbname=postgres --set=name="$name" \
          --command='\getenv password ENVCTL_PASSWORD' --file=- || true
    ) &
  fi
  if [ -r "$replayed/until" ]; then
    # It answers when it is there, and not on the way.
    set -- "$@" -c hot_standby=off -c restore_command="cp '$replayed/%f' '%p'" -c recovery_target_inclusive=off \
      -c recovery_target_time="$(cat "$replayed/until") UTC" -c recovery_target_action=promote
  fi
  exec docker-entrypoint.sh "$@"
}

databases() {
  ask postgres 'SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate'
}

tables() {
  ask "$1" "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg_temp%' AND n.nspname NOT IN ('pg_toast', 'information_schema')"
}

# for_each_table STATEMENT: with `&` for the table; prints how many there are.
for_each_table() {
  count=0
  list=$(databases)
  for each in $list; do
    all=$(tables "$each")
    printf '%s\n' "$all" | sed "s/.*/$1/" | sql --dbname="$each" >/dev/null
    count=$((count + $(printf '%s\n' "$all" | wc -l)))
  done
  echo "$count"
}

# A row of each table is read; prints how many tables there are.
read_tables() {
  for_each_table 'SELECT COUNT(*) FROM (SELECT 1 FROM & LIMIT 1) AS one;'
}

# Each table and each index is read whole.
check() {
  pg_amcheck --all --no-password --host=/var/run/postgresql --username="$name" --install-missing --heapallindexed >&2
  for_each_table 'SELECT COUNT(*) FROM (SELECT t::text FROM & AS t OFFSET 0) AS rows;'
}

# All databases of the application, with the statements that create them. Roles beside the application's own are not in it.
# `postgres` is on each server, and a server cannot drop it for one who is in it: where it is the application's own, what
# is in it comes first, before the statements go over to another database.
dump() {
  list=$(databases)
  if [ "$database" != postgres ]; then
    list=$(printf '%s\n' "$list" | sed '/^postgres$/d')
  fi
  if [ -z "$list" ]; then
    echo 'the server has no database of the application' >&2
    exit 1
  fi
  if [ "$database" = postgres ]; then
    pg_dump --no-password --host=/var/run/postgresql --username="$name" --clean --if-exists postgres
  fi
  for each in $list; do
    if [ "$each" != postgres ]; then
      pg_dump --no-password --host=/var/run/postgresql --username="$name" --create --clean --if-exists "$each"
    fi
  done
}

load() {
  sql --dbname=postgres --file=- >/dev/null
}

# export_one DATABASE: one database, for any other.
export_one() {
  exec pg_dump --no-password --host=/var/run/postgresql --username="$name" --no-owner --clean --if-exists "${1:-$database}"
}

# import DATABASE: statements from standard input; the database is made when it is missing.
import() {
  into=${1:-$database}
  if [ -z "$(databases | grep -Fx "$into")" ]; then
    createdb --no-password --host=/var/run/postgresql --username="$name" "$into"
  fi
  sql --dbname="$into" --file=- >/dev/null
}

# What is encrypted on the disk: nothing by the server itself.
encryption() {
  printf 'data\tno\tPostgreSQL itself encrypts nothing: the disk below has to\n'
}

# The end of the certificate that the server shows, whose it is, whether the application's user is refused without TLS. It
# does not tell the end itself; none is told of a certificate that is newer than the server's settings.
connections() {
  until=
  if [ -n "$(authority)" ]; then
    shown=$(ask postgres "SELECT current_setting('ssl')::bool AND
      pg_conf_load_time() >= (pg_stat_file('/run/envctl/tls/server.pem')).modification")
    if [ "$shown" = t ]; then until=$(cat /run/envctl/tls/until); fi
  fi
  required=$(printf '%s\n' "SELECT CASE WHEN count(*) > 0 THEN 'yes' ELSE 'no' END FROM pg_hba_file_rules
    WHERE rule_number = 1 AND type = 'hostnossl' AND auth_method = 'reject' AND :'name' = ANY (user_name);" |
    sql --tuples-only --no-align --dbname=postgres --set=name="$name" --file=-)
  printf 'connections\t%s\t%s\t%s\t%s\n' "$until" "$(authority)" "$required" "$name"
}

# Shows a renewed certificate from the next connection on.
reload_certificate() {
  ask postgres 'SELECT pg_reload_conf()' >/dev/null
}

"$@"
