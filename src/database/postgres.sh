# What envctl runs in containers of PostgreSQL's image: sh -c THIS envctl FUNCTION ARGUMENTS. Inside of the container the
# socket asks for no password, as initdb and the official image have it.
set -eu
data=${PGDATA:-/var/lib/postgresql/data}

# value NAME: POSTGRES_NAME or what its _FILE holds.
value() {
  eval "text=\${POSTGRES_$1:-} file=\${POSTGRES_$1_FILE:-}"
  if [ -n "$text" ]; then
    printf '%s' "$text"
  elif [ -r "$file" ]; then
    cat "$file"
  fi
}

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

backup() {
  exec pg_basebackup --pgdata=- --format=tar --wal-method=fetch --checkpoint=fast --no-password \
    --host=/var/run/postgresql --username="$name"
}

# Standard input into the data folder.
extract() {
  mkdir -p "$data"
  tar -x -C "$data" -f -
}

prepare() {
  rm -f "$data/.envctl-kept" "$data/.envctl-life"
  chown -R postgres:postgres "$data"
  chmod 700 "$data"
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
  exec docker-entrypoint.sh "$@"
}

databases() {
  ask postgres 'SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate'
}

tables() {
  ask "$1" "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg_temp%' AND n.nspname NOT IN ('pg_toast', 'information_schema')"
}

# A row of each table is read; prints how many tables there are.
read_tables() {
  count=0
  for each in $(databases); do
    tables "$each" | sed 's/.*/SELECT COUNT(*) FROM (SELECT 1 FROM & LIMIT 1) AS one;/' | sql --dbname="$each" >/dev/null
    count=$((count + $(tables "$each" | wc -l)))
  done
  echo "$count"
}

# Each table and each index is read whole.
check() {
  for each in $(databases); do
    tables "$each" | sed 's/.*/SELECT COUNT(*) FROM (SELECT t::text FROM & AS t OFFSET 0) AS rows;/' |
      sql --dbname="$each" >/dev/null
  done
  pg_amcheck --all --no-password --host=/var/run/postgresql --username="$name" --install-missing --heapallindexed >&2
  read_tables
}

# Which life of the data it is: empty before the first restore.
life() {
  if [ -r "$data/.envctl-life" ]; then cat "$data/.envctl-life"; fi
}

# accept ID: the copy can be read, and begins a life of its own.
accept() {
  read_tables
  printf '%s' "$1" >"$data/.envctl-life"
  chown postgres:postgres "$data/.envctl-life"
  sync
}

# All databases of the application, with the statements that create them. Roles beside the application's own are not in it.
dump() {
  for each in $(databases | grep -vFx postgres); do
    pg_dump --no-password --host=/var/run/postgresql --username="$name" --create --clean --if-exists "$each"
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

"$@"
