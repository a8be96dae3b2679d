# MySQL, where it differs from MariaDB.
prefixes=MYSQL
client=mysql
dumper=mysqldump
reader=mysqlbinlog
dumps=--set-gtid-purged=OFF
mode=NO_BACKSLASH_ESCAPES
unchecked=--ssl-mode=PREFERRED

literal() { # with sql_mode = 'NO_BACKSLASH_ESCAPES'
  printf "'%s'" "$(printf '%s' "$1" | sed "s/'/''/g")"
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

# What is encrypted on the disk: a part, `yes`, `partly` or `no`, and what of it is not; by tabs.
encryption() {
  root --execute="
    SELECT 'tables', IF(SUM(encryption = 'Y') = COUNT(*), 'yes', IF(SUM(encryption = 'Y'), 'partly', 'no')),
        IF(SUM(encryption = 'Y') BETWEEN 1 AND COUNT(*) - 1,
          CONCAT(SUM(encryption <> 'Y'), ' of ', COUNT(*), ' in the clear'), '')
      FROM information_schema.innodb_tablespaces
      WHERE space_type <> 'Undo' AND name <> 'innodb_temporary' AND name NOT LIKE 'sys/%';
    SELECT 'tables that are not InnoDB', 'no', GROUP_CONCAT(table_schema, '.', table_name SEPARATOR ', ')
      FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND engine <> 'InnoDB'
        AND table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys') HAVING COUNT(*) > 0;
    SELECT 'redo log', IF(@@innodb_redo_log_encrypt, 'yes', 'no'), '';
    SELECT 'undo log', IF(@@innodb_undo_log_encrypt, 'yes', 'no'), ''"
  if [ "$(root --execute='SELECT @@log_bin')" = 1 ]; then
    root --execute="SELECT 'binary logs', IF(@@binlog_encryption, 'yes', 'no'), ''"
  fi
}

# Shows a renewed certificate from the next connection on.
reload_certificate() {
  root --execute='ALTER INSTANCE RELOAD TLS'
}

"$@"
