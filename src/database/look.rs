//! What server an image holds and whose data lies on its volumes: a shell script that runs in a container of the image
//! with the volumes mounted read-only, and what its answer means.

use super::{Kind, Server, Version};

/// The script; folders are its arguments. It only reads, and prints `server`, `data` and version lines.
///
/// The markers are the databases' own. `MariaDB` keeps `aria_log_control` in each data folder, `MySQL` `auto.cnf`,
/// `PostgreSQL` `PG_VERSION` (its data is often a folder below the volume's).
pub const LOOK: &str = r#"
server() {
  mariadbd --version || mysqld --version || postgres --version || redis-server --version || valkey-server --version
}
v=$(server 2>/dev/null)
if [ -z "$v" ]; then
  for p in /usr/lib/postgresql/*/bin/postgres; do v=$("$p" --version 2>/dev/null); done
fi
echo "server $v" | head -n 1
for d in "$@"; do
  if [ -e "$d/aria_log_control" ]; then
    echo "data mariadb"
    for m in mariadb_upgrade_info mysql_upgrade_info; do
      if [ -r "$d/$m" ]; then echo "version $(head -n 1 "$d/$m")"; fi
    done
    # Whoever served last says so at the head of its log of changes.
    for m in "$d"/*bin*.index; do
      case $m in *relay*) continue ;; esac
      log=$(tail -n 1 "$m" 2>/dev/null)
      if [ -n "$log" ]; then echo "version $(dd if="$d/${log##*/}" bs=1 skip=25 count=50 2>/dev/null | tr -d '\000')"; fi
    done
  elif [ -e "$d/auto.cnf" ] || [ -e "$d/mysql.ibd" ]; then
    echo "data mysql"
    if [ -r "$d/mysql_upgrade_history" ]; then
      tr ',{' '\n\n' <"$d/mysql_upgrade_history" | sed -n 's/.*"version" *: *"\([^"]*\)".*/version \1/p'
    elif [ -r "$d/mysql_upgrade_info" ]; then
      echo "version $(head -n 1 "$d/mysql_upgrade_info")"
    fi
  fi
  for m in "$d/PG_VERSION" "$d"/*/PG_VERSION "$d"/*/*/PG_VERSION; do
    # Each database of a cluster has one too; that of the cluster stands beside `global`.
    if [ -r "$m" ] && [ -d "${m%/*}/global" ]; then
      echo "data postgres"
      echo "version $(head -n 1 "$m")"
    fi
  done
done
"#;

/// What the script found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// The image's server; none where it holds none that is known.
    pub server: Option<Server>,
    /// Whose data it is, with the highest version that its marks tell.
    pub data: Option<Server>,
}

impl Seen {
    /// Reads the script's answer.
    pub fn read(answer: &str) -> Self {
        let mut seen = Self::default();
        for line in answer.lines() {
            match line.split_once(' ') {
                Some(("server", text)) => seen.server = server(text),
                Some(("data", kind)) => {
                    let kind = match kind {
                        "mariadb" => Kind::MariaDb,
                        "mysql" => Kind::MySql,
                        _ => Kind::Postgres,
                    };
                    seen.data = Some(Server { kind, version: None });
                }
                Some(("version", text)) => {
                    if let Some(data) = &mut seen.data {
                        data.version = data.version.max(Version::read(text));
                    }
                }
                _ => {}
            }
        }
        seen
    }
}

/// From what a server says to `--version`.
fn server(said: &str) -> Option<Server> {
    let after = |mark: &str| Version::read(said.split_once(mark)?.1.trim_start());
    let kind = if said.contains("MariaDB") {
        Kind::MariaDb
    } else if said.contains("PostgreSQL") {
        Kind::Postgres
    } else if said.contains("Redis server") || said.contains("Valkey server") {
        Kind::Redis
    } else if said.contains("Ver ") {
        Kind::MySql
    } else {
        return None;
    };
    let version = match kind {
        Kind::MariaDb | Kind::MySql => after("Ver "),
        Kind::Postgres => after("(PostgreSQL)"),
        Kind::Redis => after("v="),
    };
    Some(Server { kind, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_known_by_what_they_say_of_themselves() {
        for (said, shown) in [
            (
                "mariadbd  Ver 11.8.3-MariaDB-0+deb13u1 from Debian for debian-linux-gnu on x86_64",
                "MariaDB 11.8.3",
            ),
            (
                "mysqld  Ver 10.4.34-MariaDB-1:10.4.34+maria~ubu2004 for debian-linux-gnu",
                "MariaDB 10.4.34",
            ),
            (
                "/usr/sbin/mysqld  Ver 9.4.0 for Linux on x86_64 (MySQL Community Server - GPL)",
                "MySQL 9.4",
            ),
            ("postgres (PostgreSQL) 17.6 (Debian 17.6-0+deb13u1)", "PostgreSQL 17.6"),
            ("Redis server v=8.0.2 sha=00000000:1 malloc=jemalloc-5.3.0 bits=64", "Redis 8.0.2"),
            ("Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "Redis 8.1.1"),
        ] {
            let seen = Seen::read(&format!("server {said}\n"));
            assert_eq!(seen.server.unwrap().to_string(), shown);
        }
        assert_eq!(Seen::read("server \n"), Seen::default());
        assert_eq!(Seen::read(""), Seen::default());
    }

    #[test]
    fn the_script_finds_each_databases_marks_and_the_highest_version() {
        for (files, shown) in [
            (
                &[("aria_log_control", ""), ("mariadb_upgrade_info", "11.8.3-MariaDB")][..],
                "MariaDB 11.8.3",
            ),
            (
                &[("aria_log_control", ""), ("mysql_upgrade_info", "10.6.5-MariaDB\0")][..],
                "MariaDB 10.6.5",
            ),
            (&[("aria_log_control", "")][..], "MariaDB"),
            (
                &[
                    ("auto.cnf", ""),
                    (
                        "mysql_upgrade_history",
                        r#"{"file_format":"1","upgrade_history":[{"date":"2025-01-01 00:00:00","version":"8.4.6","maturity":"LTS","initialize":true},{"date":"2026-01-01 00:00:00","version":"9.7.0","maturity":"LTS"}]}"#,
                    ),
                ][..],
                "MySQL 9.7",
            ),
            (&[("mysql.ibd", "")][..], "MySQL"),
            (
                &[("PG_VERSION", "17\n"), ("global/x", ""), ("base/1/PG_VERSION", "17\n")][..],
                "PostgreSQL 17",
            ),
            (&[("pgdata/PG_VERSION", "16\n"), ("pgdata/global/x", "")][..], "PostgreSQL 16"),
            (&[("18/docker/PG_VERSION", "18\n"), ("18/docker/global/x", "")][..], "PostgreSQL 18"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = folder.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            let mut shell = std::process::Command::new("sh");
            let said = shell.args(["-c", LOOK, "look"]).arg(folder.path()).output().unwrap();
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            assert_eq!(Seen::read(&said).data.unwrap().to_string(), shown, "{said}");
        }
    }
}
