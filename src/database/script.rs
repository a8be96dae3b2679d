//! What envctl runs in containers of a database's image: one shell script a database, whose functions these are.

use serde::{Deserialize, Serialize};

use super::Kind;

/// A place in a server's log of changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The log's file.
    pub file: String,
    /// Where in the file: bytes from its start.
    pub at: u64,
    /// The last change before it, as the server numbers them; empty where it numbers none.
    pub gtid: String,
}

/// What a running server tells of itself and its data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    pub version: String,
    /// Which life of the data it serves: that since the restore with this id, empty before the first one.
    pub life: String,
    /// Which key its data is encrypted by; empty where it is not.
    pub key: String,
}

impl About {
    /// From what the script's `about` prints.
    pub fn read(said: &str) -> Self {
        let of = |word: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
            line.unwrap_or_default().trim().to_owned()
        };
        Self { version: of("version"), life: of("life"), key: of("key") }
    }
}

impl Kind {
    /// The script; none for a database that can only be kept.
    const fn script(self) -> Option<&'static str> {
        match self {
            Self::MariaDb => Some(concat!(
                include_str!("every.sh"),
                include_str!("mysql_family.sh"),
                include_str!("mariadb.sh")
            )),
            Self::MySql => Some(concat!(
                include_str!("every.sh"),
                include_str!("mysql_family.sh"),
                include_str!("mysql.sh")
            )),
            Self::Postgres => Some(concat!(include_str!("every.sh"), include_str!("postgres.sh"))),
            Self::Redis => None,
        }
    }

    /// Whether its data can be copied while it serves, and be put back.
    pub const fn is_copied(self) -> bool {
        self.script().is_some()
    }

    /// The folder with its data, in its image.
    pub const fn data(self) -> &'static str {
        match self {
            Self::MariaDb | Self::MySql => "/var/lib/mysql",
            Self::Postgres => "/var/lib/postgresql/data",
            Self::Redis => "/data",
        }
    }

    /// The words that run a function of the script.
    pub fn call(self, function: &str, arguments: &[&str]) -> Vec<String> {
        let words = ["sh", "-c", self.script().unwrap_or_default(), "envctl", function];
        words.iter().chain(arguments).map(|&word| word.to_owned()).collect()
    }

    /// The server's own command, where a service names none.
    pub const fn server(self) -> &'static str {
        match self {
            Self::MariaDb => "mariadbd",
            Self::MySql => "mysqld",
            Self::Postgres => "postgres",
            Self::Redis => "redis-server",
        }
    }

    /// Whether a server goes through the log of changes as it starts; else they are statements for one that serves.
    pub const fn replays(self) -> bool {
        matches!(self, Self::Postgres)
    }

    /// What a physical snapshot is made of, as its file's name ends.
    pub const fn physical(self) -> &'static str {
        match self {
            Self::MariaDb => "mbstream",
            Self::MySql | Self::Postgres | Self::Redis => "tar",
        }
    }

    /// Where in the log of changes a copy of the data is, from what the copying said.
    pub fn position(self, said: &str) -> Option<Position> {
        // `binlog position: filename 'log.000001', position '330', GTID of the last change '0-1-3'`
        let (_, found) = said.rsplit_once("binlog position: filename '")?;
        let (file, rest) = found.split_once('\'')?;
        let (at, rest) = rest.strip_prefix(", position '")?.split_once('\'')?;
        let gtid =
            rest.strip_prefix(", GTID of the last change '").and_then(|r| r.split('\'').next());
        Some(Position {
            file: file.to_owned(),
            at: at.parse().ok()?,
            gtid: gtid.unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_tells_its_version_and_the_life_and_key_of_its_data() {
        let about = About::read("version 11.8.3-MariaDB-log\nlife \nkey 0123abcd\n");
        assert_eq!(about.version, "11.8.3-MariaDB-log");
        assert_eq!((about.life.as_str(), about.key.as_str()), ("", "0123abcd"));
    }

    /// What `dump` of PostgreSQL's script does with stand-ins for its programs; none where it fails.
    fn dumps(variables: &[(&str, &str)], psql: &str) -> Option<Vec<String>> {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("psql", psql), ("pg_dump", "echo \"$*\"")] {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let words = Kind::Postgres.call("dump", &[]);
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let mut shell = std::process::Command::new(&words[0]);
        shell.args(&words[1..]).env_clear().env("PATH", path).envs(variables.iter().copied());
        let done = shell.output().unwrap();
        let lines = String::from_utf8(done.stdout).unwrap();
        let databases = lines.lines().map(|line| {
            let made = if line.contains("--create") { "created " } else { "" };
            format!("{made}{}", line.rsplit(' ').next().unwrap())
        });
        done.status.success().then(|| databases.collect())
    }

    #[test]
    fn a_dump_has_the_database_postgres_where_it_is_the_applications_own() {
        let list = "printf 'postgres\\nnotes\\n'";
        assert_eq!(dumps(&[], list).unwrap(), ["postgres", "created notes"]);
        let named = [("POSTGRES_DB", "notes"), ("POSTGRES_USER", "ann")];
        assert_eq!(dumps(&named, list).unwrap(), ["created notes"]);
        assert_eq!(dumps(&named, "exit 1"), None, "no list is no empty dump");
        assert_eq!(dumps(&named, "echo postgres"), None, "nor is a list without anything");
    }

    #[test]
    fn the_position_is_what_mariadb_backup_says() {
        let said = "[00] 2026-11-21 15:27:28 MySQL binlog position: filename 'mysqld-bin.000001', position '4298277', GTID of the last change '0-1-3'\n[00] completed OK!\n";
        let position = Kind::MariaDb.position(said).unwrap();
        assert_eq!((position.file.as_str(), position.at), ("mysqld-bin.000001", 4_298_277));
        assert_eq!(position.gtid, "0-1-3");
        assert_eq!(Kind::MariaDb.position("completed OK!"), None);
    }
}
