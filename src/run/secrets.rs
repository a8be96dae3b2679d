//! What must not be shown: it is blotted out of everything that a service or a build says.

use crate::{
    base::files,
    model::Mount,
    plan::{Action, Plan},
};

/// Stands where a secret stood.
const BLOT: &str = "[redacted]";
/// Shorter ones are words: blotting them out would hide the text and tell the secret by its gaps.
const SHORTEST: usize = 4;
/// Where Compose lays secrets.
const FOLDER: &str = "/run/secrets/";

/// Values that must not be shown.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// Each line of a value is one: logs come line by line.
    pub fn new<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> Self {
        let mut lines: Vec<String> = vec![];
        for value in values {
            let long = value.as_ref().lines().map(str::trim).filter(|line| line.len() >= SHORTEST);
            lines.extend(long.map(str::to_owned));
        }
        lines.sort();
        lines.dedup();
        // One that holds another goes first.
        lines.sort_by_key(|line| std::cmp::Reverse(line.len()));
        Self(lines)
    }

    /// These, and the secret files that the plan lays into containers or mounts.
    #[must_use]
    pub(super) fn and_files_of(&self, plan: &Plan) -> Self {
        let mut values = self.0.clone();
        for step in plan.steps() {
            let Action::Create(spec) = &step.action else { continue };
            let laid = spec.files.iter().filter(|file| file.path.starts_with(FOLDER));
            values.extend(laid.map(|file| String::from_utf8_lossy(&file.content).into_owned()));
            values.extend(spec.mounts.iter().filter_map(|mount| match mount {
                // One of another machine, or none of ours to read, is not known here.
                Mount::Bind { source, target, .. } if target.starts_with(FOLDER) => {
                    files::read_text(source).ok()
                }
                _ => None,
            }));
        }
        Self::new(values)
    }

    /// The text without them.
    pub fn redact(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), BLOT) } else { text }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blotted_out_line_by_line_and_the_longest_first() {
        let secrets = Secrets::new(["hunter2", "hunter2-more", "on", "BEGIN KEY\nabcdef\n"]);
        assert_eq!(
            secrets.redact("mysql://u:hunter2-more@db, hunter2 on db: abcdef"),
            "mysql://u:[redacted]@db, [redacted] on db: [redacted]"
        );
        assert_eq!(format!("{secrets:?}"), "Secrets(4)");
    }
}
