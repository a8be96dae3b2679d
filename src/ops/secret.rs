//! What is secret, and how it is kept out of what is printed.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{compose, config::Project};

/// What stands in place of a credential.
pub const REDACTED: &str = "<redacted>";

/// Endings of the names of variables that hold something secret, beside those that `credentials:` names.
const ENDINGS: [&str; 6] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "_KEY", "CREDENTIALS"];

/// Values of variables that are only named like something secret are searched for from this length on: shorter ones may
/// be part of anything.
pub(super) const SHORTEST: usize = 6;

/// Whether a variable is named like something secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ENDINGS.iter().any(|end| name.ends_with(end))
}

/// What nobody shall see: the credentials, the variables that secrets are made of, and those that are named like one.
pub(super) struct Secret {
    names: BTreeSet<String>,
    /// Longest first: one may be part of another.
    values: Vec<String>,
}

impl Secret {
    pub fn of(project: &Project, files: &compose::Project) -> Self {
        let variables = files.secrets.values().filter_map(|secret| secret.environment.clone());
        let names: BTreeSet<String> = project
            .file
            .credentials
            .iter()
            .chain(project.credentials.keys())
            .cloned()
            .chain(variables)
            .collect();
        let known = names.iter().filter_map(|name| project.variables.get(name));
        let kept = files.secrets.values().filter_map(|secret| Some(&secret.value.as_ref()?.0));
        let mut values: Vec<String> = known
            .chain(project.credentials.values())
            .chain(kept)
            // Of a key in several lines, each line is one.
            .flat_map(|value| value.lines().chain([value.as_str()]))
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty() && value != REDACTED)
            .collect();
        Self::longest_first(&mut values);
        let named = project.variables.keys().filter(|name| is_secret(name)).cloned();
        Self { names: names.into_iter().chain(named).collect(), values }
    }

    /// Searches for the values of what is only named like a secret, too.
    pub fn search_all(&mut self, project: &Project) {
        let named = self.names.iter().filter_map(|name| project.variables.get(name));
        self.values.extend(named.filter(|value| value.len() >= SHORTEST).cloned());
        Self::longest_first(&mut self.values);
    }

    fn longest_first(values: &mut Vec<String>) {
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
    }

    /// The project with the hidden ones' values replaced.
    pub fn hidden(&self, project: &Project) -> Project {
        let mut project = project.clone();
        for name in &self.names {
            if project.variables.get(name).is_none_or(|value| !value.is_empty()) {
                project.variables.insert(name.clone(), REDACTED.to_owned());
            }
        }
        project
    }

    pub fn masked(&self, text: &str) -> String {
        // Piece by piece: what was put in is not searched again.
        let Some((value, at)) =
            self.values.iter().find_map(|value| Some((value, text.find(value.as_str())?)))
        else {
            return text.to_owned();
        };
        let (before, after) = (&text[..at], &text[at + value.len()..]);
        format!("{}{REDACTED}{}", self.masked(before), self.masked(after))
    }

    /// The text without secrets and without passwords in addresses.
    pub fn shown(&self, text: &str) -> String {
        without_password(&self.masked(text))
    }

    /// Redacts a document in the shape of a Compose file.
    pub fn mask(&self, document: &mut Value) {
        self.search(document);
        let Some(services) = document.get_mut("services").and_then(Value::as_object_mut) else {
            return;
        };
        for service in services.values_mut() {
            for variables in ["/environment", "/build/args"] {
                let variables = service.pointer_mut(variables).and_then(Value::as_object_mut);
                for (name, value) in variables.into_iter().flatten() {
                    if is_secret(name) && value.as_str().is_some_and(|text| !text.is_empty()) {
                        *value = REDACTED.into();
                    }
                }
            }
        }
    }

    fn search(&self, node: &mut Value) {
        match node {
            Value::String(text) => *text = self.shown(text),
            Value::Number(number) if self.values.contains(&number.to_string()) => {
                *node = REDACTED.into();
            }
            Value::Array(list) => list.iter_mut().for_each(|member| self.search(member)),
            Value::Object(map) => map.values_mut().for_each(|member| self.search(member)),
            _ => {}
        }
    }
}

/// The text without the password of an address: `postgres://shop:…@db/shop`.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(|c: char| "/?#, \n".contains(c)).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    let after = without_password(after);
    let shown = authority.rsplit_once('@').and_then(|(user, host)| {
        let (name, password) = user.split_once(':')?;
        (!password.is_empty()).then(|| format!("{name}:{REDACTED}@{host}"))
    });
    format!("{scheme}://{}{after}", shown.as_deref().unwrap_or(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_of_two_values_is_masked_whole_and_placeholders_are_not_searched() {
        let values = vec!["secret-long".to_owned(), "secret".to_owned(), "red".to_owned()];
        let secret = Secret { names: BTreeSet::new(), values };
        assert_eq!(secret.masked("a secret-long and a secret"), "a <redacted> and a <redacted>");
        assert_eq!(secret.masked("nothing here"), "nothing here");
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (address, shown) in [
            ("postgres://shop:p@ss@db:5432/shop", "postgres://shop:<redacted>@db:5432/shop"),
            ("a://u:1@h,b://u:2@i", "a://u:<redacted>@h,b://u:<redacted>@i"),
            ("redis://:word@cache", "redis://:<redacted>@cache"),
            ("http://web:80/a@b:c", "http://web:80/a@b:c"),
            ("https://user@host/", "https://user@host/"),
            ("mail: a@b.c", "mail: a@b.c"),
        ] {
            assert_eq!(without_password(address), shown);
        }
    }
}
