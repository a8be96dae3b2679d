# MariaDB, where it differs from MySQL.
prefixes='MARIADB MYSQL'
client=mariadb
dumper=mariadb-dump
reader=mariadb-binlog
dumps=
mode=
unchecked=--disable-ssl-verify-server-cert

literal() { # with sql_mode = ''
  printf "'%s'" "$(printf '%s' "$1" | sed "s/\\\\/\\\\\\\\/g; s/'/''/g")"
}

key() {
  file=$(root --execute="SELECT variable_value FROM information_schema.global_variables
    WHERE variable_name = 'file_key_management_filename'")
  if [ -n "$file" ]; then sha256sum <"$file" | cut -c 1-16; fi
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

# All that a server of its own needs to be this one: the databases, then users and what they may do there.
dump_all() {
  dump
  as_root mariadb-dump --insert-ignore --system=users
}

# The logs of changes that hold their events in the clear: those whose second event is no Start_encryption (164).
clear_logs() {
  root --execute='SHOW BINARY LOGS' | cut -f 1 | while read -r log; do
    size=$(od -A n -t u4 -j 13 -N 4 "$data/$log" | tr -d ' ')
    if [ "$(od -A n -t u1 -j $((size + 8)) -N 1 "$data/$log" | tr -d ' ')" != 164 ]; then echo "$log"; fi
  done
}

# What is encrypted on the disk: a part, `yes`, `partly` or `no`, and what of it is not; by tabs.
encryption() {
  root --execute="
    SELECT 'tables', IF(COUNT(e.space) = COUNT(*), 'yes', IF(COUNT(e.space), 'partly', 'no')),
        IF(COUNT(e.space) BETWEEN 1 AND COUNT(*) - 1,
          CONCAT(COUNT(*) - COUNT(e.space), ' of ', COUNT(*), ' in the clear'), '')
      FROM information_schema.innodb_sys_tablespaces t LEFT JOIN information_schema.innodb_tablespaces_encryption e
        ON e.space = t.space AND e.min_key_version > 0 WHERE t.name <> 'innodb_temporary';
    SELECT 'tables that are not InnoDB', 'no', CONCAT('Aria has a log of its own, in the clear: ',
        GROUP_CONCAT(table_schema, '.', table_name ORDER BY 1 SEPARATOR ', '))
      FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND engine <> 'InnoDB'
        AND table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys') HAVING COUNT(*) > 0;
    SELECT 'system tables', IF(@@aria_encrypt_tables, 'yes', 'no'), '';
    SELECT 'redo log', IF(@@innodb_encrypt_log, 'yes', 'no'), '';
    SELECT 'temporary files', IF(@@encrypt_tmp_files AND @@encrypt_tmp_disk_tables
      AND @@innodb_encrypt_temporary_tables, 'yes', 'no'), ''"
  if [ "$(root --execute='SELECT @@log_bin')" = 1 ]; then
    clear=$(clear_logs)
    if [ -z "$clear" ]; then
      printf 'binary logs\tyes\t\n'
    elif [ "$(root --execute="SELECT variable_value FROM information_schema.global_variables
        WHERE variable_name = 'encrypt_binlog'")" = ON ]; then
      printf 'binary logs\tpartly\t%s from before\n' "$(printf '%s' "$clear" | tr '\n' ' ')"
    else
      printf 'binary logs\tno\t\n'
    fi
  fi
}

# Shows a renewed certificate from the next connection on.
reload_certificate() {
  root --execute='FLUSH SSL'
}

"$@"
