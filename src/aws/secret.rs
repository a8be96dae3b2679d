//! Values of secrets. They are set by themselves once the stack is there: no template and no parameter of a stack holds one.

use std::fmt;

use indexmap::IndexMap;
use serde_json::Value;

/// A secret and what its value is made of.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    pub name: String,
    pub value: Part,
}

/// A part of a secret's value.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    /// So many letters and digits by chance, made once and kept.
    Generated(u16),
    /// A JSON object.
    Object(IndexMap<String, Part>),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.name)
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Part(…)")
    }
}

impl Secret {
    /// The value that it shall have, where it now has `now`; what is made by chance stays.
    pub fn wanted(&self, now: Option<&str>) -> String {
        let now = match &self.value {
            Part::Object(_) => now.and_then(|text| serde_json::from_str(text).ok()),
            _ => now.map(|text| Value::String(text.to_owned())),
        };
        match made(&self.value, now.as_ref()) {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }
}

fn made(part: &Part, now: Option<&Value>) -> Value {
    match part {
        Part::Text(text) => Value::String(text.clone()),
        Part::Generated(length) => match now {
            Some(Value::String(kept)) if !kept.is_empty() => Value::String(kept.clone()),
            _ => Value::String(chance(*length)),
        },
        Part::Object(parts) => {
            let member = |(key, part): (&String, &Part)| {
                (key.clone(), made(part, now.and_then(|now| now.get(key))))
            };
            Value::Object(parts.iter().map(member).collect())
        }
    }
}

/// Letters and digits, each as likely as any other.
fn chance(length: u16) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(length.into());
    let mut bytes = [0; 64];
    while text.len() < length.into() {
        getrandom::fill(&mut bytes).expect("the system's random source answers");
        // 248 is the most that 62 letters divide.
        let letters = bytes.iter().filter(|byte| **byte < 248);
        let letters = letters.map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        text.extend(letters.take(usize::from(length) - text.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_by_chance_is_made_once_and_the_rest_follows_the_file() {
        let secret = |user: &str| Secret {
            name: "database".to_owned(),
            value: Part::Object(IndexMap::from([
                ("username".to_owned(), Part::Text(user.to_owned())),
                ("password".to_owned(), Part::Generated(40)),
            ])),
        };
        let first = secret("app").wanted(None);
        let value: Value = serde_json::from_str(&first).unwrap();
        assert_eq!(value["username"], "app");
        assert_eq!(value["password"].as_str().unwrap().len(), 40);
        assert_eq!(secret("app").wanted(Some(&first)), first);
        assert_ne!(secret("app").wanted(None), first);
        let changed: Value = serde_json::from_str(&secret("other").wanted(Some(&first))).unwrap();
        assert_eq!(changed["username"], "other");
        assert_eq!(changed["password"], value["password"]);
        assert!(!format!("{:?}", secret("app")).contains("app"));
    }
}
