//! What of a database is encrypted on the disk, as its server tells it.

use serde::Serialize;

/// A part of what a server writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Encryption {
    /// `tables`, `redo log`, `binary logs`.
    pub part: String,
    pub encrypted: Encrypted,
    /// What of it is not; empty where there is nothing to say.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encrypted {
    Yes,
    Partly,
    No,
}

impl Encryption {
    /// From what the script's `encryption` prints.
    pub fn read(said: &str) -> Vec<Self> {
        let part = |line: &str| {
            let mut words = line.split('\t');
            let part = words.next()?.to_owned();
            let encrypted = match words.next()? {
                "yes" => Encrypted::Yes,
                "partly" => Encrypted::Partly,
                "no" => Encrypted::No,
                _ => return None,
            };
            let detail = words.next().unwrap_or_default().trim().to_owned();
            Some(Self { part, encrypted, detail })
        };
        said.lines().filter_map(part).collect()
    }

    /// One line for all parts: `encrypted on the disk: tables, redo log; in the clear: binary logs`.
    pub fn sum(all: &[Self]) -> String {
        let of = |encrypted: Encrypted| {
            let parts = all.iter().filter(|each| each.encrypted == encrypted);
            let shown = parts.map(|Self { part, detail, .. }| match detail.as_str() {
                "" => part.clone(),
                _ => format!("{part} ({detail})"),
            });
            shown.collect::<Vec<_>>().join(", ")
        };
        let said = [
            ("encrypted on the disk", Encrypted::Yes),
            ("partly", Encrypted::Partly),
            ("in the clear", Encrypted::No),
        ];
        let said = said.map(|(word, encrypted)| (word, of(encrypted)));
        let said = said.iter().filter(|(_, parts)| !parts.is_empty());
        said.map(|(word, parts)| format!("{word}: {parts}")).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_is_told_in_one_line() {
        let said = "tables\tpartly\t2 of 9 in the clear\nredo log\tyes\t\nmysql: [Warning] \n\
                    binary logs\tno\t\nsystem tables\tyes\t\n";
        let all = Encryption::read(said);
        assert_eq!(all.len(), 4);
        assert_eq!(
            Encryption::sum(&all),
            "encrypted on the disk: redo log, system tables; partly: tables (2 of 9 in the clear); \
             in the clear: binary logs"
        );
        assert_eq!(Encryption::sum(&all[1..2]), "encrypted on the disk: redo log");
    }
}
