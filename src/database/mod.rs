//! What is known of databases: which one an image holds, its client, whose data lies on a volume and who may open it.
//! Imports `base` and `model`.

mod encryption;
mod look;
mod tls;
mod version;

pub use encryption::{Encrypted, Encryption};
pub use look::{LOOK, Seen};
pub use tls::{AppUser, Connections, TlsSettings, lacks_includes};
pub use version::{Server, Unsuited, Version};

mod script;

pub use script::{About, Position};

use crate::model::{Container, labels};

/// A database that envctl knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    MariaDb,
    MySql,
    Postgres,
    Redis,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::MariaDb => "MariaDB",
            Self::MySql => "MySQL",
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Redis",
        })
    }
}

impl Kind {
    /// By the last part of an image's name: `docker.io/library/mariadb:11.8` is MariaDB.
    pub fn of_image(reference: &str) -> Option<Self> {
        let name = reference.rsplit('/').next()?.split(['@', ':']).next()?;
        match name {
            "mariadb" => Some(Self::MariaDb),
            "mysql" | "percona" => Some(Self::MySql),
            "postgres" | "postgis" | "timescaledb" => Some(Self::Postgres),
            "redis" | "valkey" => Some(Self::Redis),
            _ => None,
        }
    }

    /// By the image that a container was made from, also where its tag leads to another one by now.
    pub fn of_container(found: &Container) -> Option<Self> {
        Self::of_image(found.label(labels::IMAGE).unwrap_or(&found.image))
    }

    /// A shell line that ends well when the server answers over TCP, and lets the application in where its credentials are
    /// in the container's environment, as the official images have them. The temporary server of a first start listens
    /// on a socket only, and so does not count.
    pub const fn ping(self) -> &'static str {
        match self {
            // Without credentials no TLS: a client that asks for it takes no answer from a server that does not let it in.
            Self::MariaDb => {
                r#"u="${MARIADB_USER:-$MYSQL_USER}" f="${MARIADB_PASSWORD_FILE:-$MYSQL_PASSWORD_FILE}"
export MYSQL_PWD="${MARIADB_PASSWORD:-$MYSQL_PASSWORD}"
[ -z "$f" ] || MYSQL_PWD=$(cat "$f")
if [ -n "$u" ] && [ -n "$MYSQL_PWD" ]; then
  exec mariadb --protocol=tcp --host=127.0.0.1 --disable-ssl-verify-server-cert --connect-timeout=3 --user="$u" --execute="SELECT 1"
fi
exec mariadb-admin ping --protocol=tcp --host=127.0.0.1 --skip-ssl --silent"#
            }
            Self::MySql => {
                r#"export MYSQL_PWD="$MYSQL_PASSWORD"
[ -z "$MYSQL_PASSWORD_FILE" ] || MYSQL_PWD=$(cat "$MYSQL_PASSWORD_FILE")
if [ -n "$MYSQL_USER" ] && [ -n "$MYSQL_PWD" ]; then
  exec mysql --protocol=tcp --host=127.0.0.1 --connect-timeout=3 --user="$MYSQL_USER" --execute="SELECT 1"
fi
exec mysqladmin ping --protocol=tcp --host=127.0.0.1 --silent"#
            }
            Self::Postgres => {
                r#"u="${POSTGRES_USER:-postgres}"
export PGCONNECT_TIMEOUT=3 PGPASSWORD="$POSTGRES_PASSWORD"
[ -z "$POSTGRES_PASSWORD_FILE" ] || PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
if [ -n "$PGPASSWORD" ]; then
  exec psql --host=127.0.0.1 --username="$u" --no-password --command="SELECT 1" "${POSTGRES_DB:-$u}"
fi
exec pg_isready --host=127.0.0.1 --quiet"#
            }
            Self::Redis => "redis-cli ping",
        }
    }

    /// A shell line that opens the database's own client with the application's credentials, which the official images
    /// keep in the container's environment.
    pub const fn client(self) -> &'static str {
        match self {
            Self::MariaDb => {
                r#"export MYSQL_PWD="${MARIADB_PASSWORD:-$MYSQL_PASSWORD}"; exec mariadb --user="${MARIADB_USER:-$MYSQL_USER}" "$@" "${MARIADB_DATABASE:-$MYSQL_DATABASE}""#
            }
            Self::MySql => {
                r#"export MYSQL_PWD="$MYSQL_PASSWORD"; exec mysql --user="$MYSQL_USER" "$@" "$MYSQL_DATABASE""#
            }
            Self::Postgres => {
                r#"exec psql --username="${POSTGRES_USER:-postgres}" "$@" "${POSTGRES_DB:-postgres}""#
            }
            Self::Redis => r#"exec redis-cli "$@""#,
        }
    }

    /// The client's option before a statement; none where the words are the statement.
    pub const fn statement(self) -> &'static str {
        match self {
            Self::MariaDb | Self::MySql => "--execute",
            Self::Postgres => "--command",
            Self::Redis => "--raw",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_the_last_part_of_its_name() {
        assert_eq!(Kind::of_image("mariadb:11.8-abc"), Some(Kind::MariaDb));
        assert_eq!(Kind::of_image("host:5000/library/mysql@sha256:00"), Some(Kind::MySql));
        assert_eq!(Kind::of_image("postgres"), Some(Kind::Postgres));
        assert_eq!(Kind::of_image("echobase/api"), None);
    }

    #[test]
    fn a_container_is_known_also_when_its_tag_has_moved() {
        let mut found = Container { image: "sha256:0123".to_owned(), ..Container::default() };
        assert_eq!(Kind::of_container(&found), None);
        found.labels.insert(labels::IMAGE.to_owned(), "mariadb:11.8".to_owned());
        assert_eq!(Kind::of_container(&found), Some(Kind::MariaDb));
    }
}
