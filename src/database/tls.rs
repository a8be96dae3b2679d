//! TLS of a database: what makes its server show a certificate and refuse the application without TLS, and what it tells
//! of that.

use jiff::{Timestamp, civil::DateTime, fmt::strtime, tz::TimeZone};
use serde::Serialize;

use super::{Kind, Version};
use crate::model::{
    FileSpec,
    database_tls::{AUTHORITY, FOLDER, SERVER, UNTIL_FORMAT},
};

/// What a server's container has besides for TLS.
#[derive(Debug, Clone, PartialEq)]
pub struct TlsSettings {
    /// Words after its command.
    pub arguments: Vec<String>,
    pub files: Vec<FileSpec>,
}

/// The application's user, and whether it is refused without TLS.
#[derive(Debug, Clone, Copy)]
pub struct AppUser<'a> {
    pub name: &'a str,
    pub required: bool,
}

impl Kind {
    /// The server's user in its image.
    pub const fn user(self) -> &'static str {
        match self {
            Self::MariaDb | Self::MySql => "mysql",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }

    /// The variables that name the application's user; each may end with `_FILE`.
    pub const fn user_variables(self) -> &'static [&'static str] {
        match self {
            Self::MariaDb => &["MARIADB_USER", "MYSQL_USER"],
            Self::MySql => &["MYSQL_USER"],
            Self::Postgres => &["POSTGRES_USER"],
            Self::Redis => &[],
        }
    }

    /// What has the server show its certificate. What it asks of the application's user it asks from each start on, so that
    /// no data that was put back, and no crash, leaves it out. `data` is its data folder.
    pub fn tls(self, user: Option<AppUser<'_>>, data: &str) -> TlsSettings {
        let file = |path: &str, text: String| FileSpec {
            path: path.to_owned(),
            content: text.into_bytes(),
            mode: 0o644,
            uid: 0,
            gid: 0,
        };
        let server = format!("{FOLDER}/{SERVER}");
        let (mut arguments, mut files) = (vec![], vec![]);
        if self == Self::Postgres {
            let mut settings = vec![
                "ssl=on".to_owned(),
                format!("ssl_cert_file={server}"),
                format!("ssl_key_file={server}"),
            ];
            if let Some(AppUser { name, required: true }) = user {
                let path = "/etc/envctl/pg_hba.conf";
                let name = name.replace('"', "\"\"");
                // `all` databases are not those of replication.
                let text = format!(
                    "hostnossl all \"{name}\" all reject\nhostnossl replication \"{name}\" all reject\n\
                     include {data}/pg_hba.conf\n"
                );
                files.push(file(path, text));
                settings.push(format!("hba_file={path}"));
            }
            arguments.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
            return TlsSettings { arguments, files };
        }
        // MySQL takes no certificate whose authority it does not know.
        let root = format!("{FOLDER}/{AUTHORITY}");
        arguments.push(format!("--ssl-ca={root}"));
        arguments.extend([format!("--ssl-cert={server}"), format!("--ssl-key={server}")]);
        if let Some(AppUser { name, required }) = user {
            let path = "/etc/envctl/tls.sql";
            let name = name.replace('\'', "''");
            let what = if required { "SSL" } else { "NONE" };
            let text = format!(
                "SET SESSION sql_log_bin = 0;\nSET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES';\n\
                 ALTER USER IF EXISTS '{name}'@'%' REQUIRE {what};\n"
            );
            files.push(file(path, text));
            arguments.push(format!("--init-file={path}"));
        }
        // Clients inside of the container, health checks too.
        let client =
            if self == Self::MySql { "ssl-mode = REQUIRED" } else { &*format!("ssl-ca = {root}") };
        let text = format!("[client]\n{client}\n");
        files.push(file("/etc/mysql/conf.d/envctl-tls.cnf", text));
        TlsSettings { arguments, files }
    }
}

/// Whether an image says by its tag that its PostgreSQL is from before 16, whose `pg_hba.conf` cannot include another.
pub fn lacks_includes(image: &str) -> bool {
    let name = image.rsplit('/').next().and_then(|name| name.split_once(':'));
    let tag = name.filter(|(name, _)| matches!(*name, "postgres" | "postgis"));
    let version = tag.and_then(|(_, tag)| Version::read(tag));
    version.is_some_and(|version| Some(version) < Version::read("16"))
}

/// What a running database tells of its connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connections {
    /// When the certificate that it shows ends; none where it shows none, or does not tell.
    #[serde(serialize_with = "shown")]
    pub until: Option<Timestamp>,
    /// Whether the certificate is of the local authority.
    pub local: bool,
    /// The application's user, and whether it is refused without TLS.
    pub user: String,
    pub required: bool,
}

impl Connections {
    /// From what the script's `connections` prints: `connections`, the end as OpenSSL has it, `local` or nothing, `yes`
    /// or `no`, the user; by tabs.
    pub fn read(said: &str) -> Option<Self> {
        let line = said.lines().find_map(|line| line.strip_prefix("connections\t"))?;
        let mut words = line.split('\t');
        let until = words.next()?;
        let (local, required) = (words.next()? == "local", words.next()? == "yes");
        let user = words.next()?.to_owned();
        Some(Self { until: time(until), local, user, required })
    }
}

impl std::fmt::Display for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { until, local, user, required } = self;
        let whose = if *local { "the local authority" } else { "its own" };
        match until {
            Some(until) => {
                let date = until.to_zoned(TimeZone::UTC).date();
                write!(f, "TLS by a certificate of {whose} until {date}")?;
            }
            None if *local => write!(f, "TLS by a certificate of {whose}, not shown yet")?,
            None => return f.write_str("connections in the clear"),
        }
        if user.is_empty() {
            return Ok(());
        }
        let may = if *required { "is refused" } else { "may do" };
        write!(f, "; `{user}` {may} without")
    }
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
fn shown<S: serde::Serializer>(until: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    until.map(|until| until.to_string()).serialize(to)
}

fn time(text: &str) -> Option<Timestamp> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let time: DateTime = strtime::parse(UNTIL_FORMAT, text).ok()?.to_datetime().ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_told_in_one_line() {
        for (said, told) in [
            (
                "connections\tNov  9 00:00:00 2028 GMT\tlocal\tyes\tshop\n",
                "TLS by a certificate of the local authority until 2028-11-09; `shop` is refused without",
            ),
            (
                "tables\tyes\t\nconnections\tNov 19 23:59:59 2028 GMT\t\tno\tshop\n",
                "TLS by a certificate of its own until 2028-11-19; `shop` may do without",
            ),
            ("connections\t\t\tno\t\n", "connections in the clear"),
        ] {
            assert_eq!(Connections::read(said).unwrap().to_string(), told);
        }
        assert_eq!(Connections::read("tables\tyes\t\n"), None);
    }

    #[test]
    fn an_old_postgres_is_known_by_its_tag() {
        for (image, old) in [
            ("postgres:15", true),
            ("docker.io/library/postgres:9.6-alpine", true),
            ("postgis/postgis:14-3.4", true),
            ("postgres:16.1@sha256:0", false),
            ("postgres:17", false),
            ("postgres", false),
            ("postgres:bookworm", false),
            ("timescale/timescaledb:2.14-pg16", false),
            ("mysql:9", false),
        ] {
            assert_eq!(lacks_includes(image), old, "{image}");
        }
    }

    #[test]
    fn what_a_server_is_told_has_any_name_as_it_is() {
        let user = |required| Some(AppUser { name: "o'hara\"", required });
        let text = |settings: TlsSettings| {
            String::from_utf8(settings.files.first().unwrap().content.clone()).unwrap()
        };
        let required = Kind::MariaDb.tls(user(true), "/var/lib/mysql");
        assert_eq!(required.arguments[3], "--init-file=/etc/envctl/tls.sql");
        assert!(text(required).contains("'o''hara\"'@'%' REQUIRE SSL;"));
        assert!(text(Kind::MySql.tls(user(false), "")).contains("REQUIRE NONE;"));
        let required = Kind::Postgres.tls(user(true), "/data");
        assert!(required.arguments.contains(&"hba_file=/etc/envctl/pg_hba.conf".to_owned()));
        let text = text(required);
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "hostnossl all \"o'hara\"\"\" all reject",
                "hostnossl replication \"o'hara\"\"\" all reject",
                "include /data/pg_hba.conf",
            ]
        );
        assert!(Kind::Postgres.tls(user(false), "/data").files.is_empty());
    }
}
