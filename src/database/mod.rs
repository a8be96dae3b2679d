//! What is known of databases: which one an image holds, and its client. Imports `base` and `model`.

/// A database that envctl knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    MariaDb,
    MySql,
    Postgres,
    Redis,
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

    /// A shell line that ends well when the server answers over TCP. The temporary server of a first start, which the
    /// official images run, listens on a socket only, and so does not count.
    pub const fn ping(self) -> &'static str {
        match self {
            // Without TLS: a client that asks for it takes no answer from a server that does not let it in for one.
            Self::MariaDb => {
                "mariadb-admin ping --protocol=tcp --host=127.0.0.1 --skip-ssl --silent"
            }
            Self::MySql => "mysqladmin ping --protocol=tcp --host=127.0.0.1 --silent",
            Self::Postgres => "pg_isready --host=127.0.0.1 --quiet",
            Self::Redis => "redis-cli ping",
        }
    }

    /// A shell line that opens the database's own client with the application's credentials, which the official images
    /// keep in the container's environment.
    pub const fn client(self) -> &'static str {
        match self {
            Self::MariaDb => {
                r#"export MYSQL_PWD="${MARIADB_PASSWORD:-$MYSQL_PASSWORD}"; exec mariadb --user="${MARIADB_USER:-$MYSQL_USER}" "${MARIADB_DATABASE:-$MYSQL_DATABASE}""#
            }
            Self::MySql => {
                r#"export MYSQL_PWD="$MYSQL_PASSWORD"; exec mysql --user="$MYSQL_USER" "$MYSQL_DATABASE""#
            }
            Self::Postgres => {
                r#"exec psql --username="${POSTGRES_USER:-postgres}" "${POSTGRES_DB:-postgres}""#
            }
            Self::Redis => "exec redis-cli",
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
}
