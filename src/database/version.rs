//! Versions of database servers, and which of them opens whose data.

use std::fmt;

use super::Kind;

/// A server's version: `11.8.3`. What is missing counts as 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// Reads the numbers that a text begins with: `11.8.3-MariaDB-0+deb13u1`, `17`.
    pub fn read(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut parts = text[..end].split('.').map(|part| part.parse().ok());
        let major = parts.next()??;
        let mut rest = || parts.next().flatten().unwrap_or(0);
        Some(Self { major, minor: rest(), patch: rest() })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 { write!(f, ".{}", self.patch) } else { Ok(()) }
    }
}

/// A server, or whose data it is; the version where it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    pub kind: Kind,
    pub version: Option<Version>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            // PostgreSQL's data is that of a major version.
            Some(version) if self.kind == Kind::Postgres && version.minor == 0 => {
                write!(f, "{} {}", self.kind, version.major)
            }
            Some(version) => write!(f, "{} {version}", self.kind),
            None => write!(f, "{}", self.kind),
        }
    }
}

/// Why a server does not get to open data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsuited {
    #[error("the data is of {data}, which {server} does not read")]
    OtherKind { data: Server, server: Server },
    #[error("the data is of {data}, and {server} is lower: it could spoil what it opens")]
    Lower { data: Server, server: Server },
    #[error("the data is of {data}, and {server} does not open data of another major version")]
    OtherMajor { data: Server, server: Server },
}

impl Server {
    /// Whether it may open this data.
    ///
    /// What each project promises: `MariaDB` opens data of its own series (`11.8`) and of lower ones; `MySQL` that and, in
    /// 8.0, only of lower patches; `PostgreSQL` data of its own major version alone.
    pub fn may_open(self, data: Self) -> Result<(), Unsuited> {
        let server = self;
        if server.kind != data.kind {
            return Err(Unsuited::OtherKind { data, server });
        }
        let (Some(mine), Some(its)) = (server.version, data.version) else { return Ok(()) };
        let lower = match server.kind {
            Kind::Postgres if mine.major > its.major => {
                return Err(Unsuited::OtherMajor { data, server });
            }
            Kind::Postgres => mine.major < its.major,
            Kind::MySql if (its.major, its.minor) == (8, 0) => mine < its,
            Kind::MariaDb | Kind::MySql => (mine.major, mine.minor) < (its.major, its.minor),
            Kind::Redis => false,
        };
        if lower { Err(Unsuited::Lower { data, server }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(kind: Kind, version: &str) -> Server {
        Server { kind, version: Version::read(version) }
    }

    #[test]
    fn a_version_is_the_numbers_at_the_beginning() {
        for (text, shown) in [
            ("11.8.3-MariaDB-0+deb13u1 from Debian", "11.8.3"),
            ("9.7.0 for Linux", "9.7"),
            ("17", "17.0"),
            ("10.11.6", "10.11.6"),
        ] {
            assert_eq!(Version::read(text).unwrap().to_string(), shown);
        }
        assert_eq!(Version::read("x11"), None);
        assert_eq!(Version::read(""), None);
    }

    #[test]
    fn a_lower_version_and_another_kind_may_not_open_data() {
        use Kind::{MariaDb, MySql, Postgres};
        for (kind, data, lower, equal_or_higher) in [
            (MariaDb, "11.8.3", &["11.4.5", "10.11.6"][..], &["11.8.1", "11.8.9", "12.0.1"][..]),
            (MySql, "9.7.0", &["9.6.0", "8.4.6", "8.0.40"][..], &["9.7.0", "9.7.1", "10.0.0"][..]),
            (MySql, "8.0.36", &["8.0.35", "5.7.44"][..], &["8.0.36", "8.4.0"][..]),
            (Postgres, "17", &["16.9", "9.6"][..], &["17.0", "17.6"][..]),
        ] {
            let data = server(kind, data);
            for version in lower {
                let refused = server(kind, version).may_open(data);
                assert!(matches!(refused, Err(Unsuited::Lower { .. })), "{kind} {version}");
            }
            for version in equal_or_higher {
                assert_eq!(server(kind, version).may_open(data), Ok(()), "{kind} {version}");
            }
        }
        let refused = server(Postgres, "18.1").may_open(server(Postgres, "17")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the data is of PostgreSQL 17, and PostgreSQL 18.1 does not open data of another major version"
        );
        let refused = server(MySql, "9.7.0").may_open(server(MariaDb, "11.8.3")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the data is of MariaDB 11.8.3, which MySQL 9.7 does not read"
        );
    }

    #[test]
    fn what_has_no_known_version_is_judged_by_its_kind_alone() {
        let unknown = Server { kind: Kind::MariaDb, version: None };
        assert_eq!(server(Kind::MariaDb, "10.11").may_open(unknown), Ok(()));
        assert!(server(Kind::MySql, "9.7").may_open(unknown).is_err());
    }
}
