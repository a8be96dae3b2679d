//! What is said of one resource in its short form: keys of envctl's own, and properties of CloudFormation.

use serde_json::{Map, Value};

use super::{properties::Type, resources::Wrong};

/// One resource, read key by key; what nobody asked for is refused at the end.
pub(super) struct Short<'a> {
    path: Vec<String>,
    of: &'a Type,
    /// The keys of envctl's own.
    own: &'static [&'static str],
    rest: Map<String, Value>,
}

impl<'a> Short<'a> {
    /// A mapping, or nothing at all. Another value is that of the key `sole`, where there is one.
    pub fn read(
        path: &[&str],
        value: &Value,
        of: &'a Type,
        own: &'static [&'static str],
        sole: Option<&str>,
        wrong: &mut Vec<Wrong>,
    ) -> Self {
        let mut rest = Map::new();
        match (value, sole) {
            (Value::Null, _) => {}
            (Value::Object(map), _) => rest.clone_from(map),
            (other, Some(sole)) => {
                rest.insert(sole.to_owned(), other.clone());
            }
            (_, None) => {
                let keys: Vec<&str> = own.iter().copied().chain(["a property of"]).collect();
                let message = format!(
                    "expected a mapping with {} {}, such as {{ {}: … }}",
                    keys.join(", "),
                    of.name,
                    own.first().copied().or_else(|| of.properties().next()).unwrap_or_default()
                );
                wrong.push(Wrong::new(path, message));
            }
        }
        for key in rest.keys() {
            let known = || own.iter().copied().chain(of.properties());
            if !known().any(|known| known == key) {
                let path: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
                let message = if key.starts_with(|c: char| c.is_ascii_uppercase()) {
                    format!("{} has no property `{key}`", of.name)
                } else {
                    format!("unknown key `{key}`")
                };
                wrong.push(Wrong::new(&path, message).near(key, known()));
            }
        }
        Self { path: path.iter().map(|&key| key.to_owned()).collect(), of, own, rest }
    }

    /// A key of envctl's own.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        debug_assert!(self.own.contains(&key));
        self.rest.shift_remove(key).filter(|value| !value.is_null())
    }

    pub fn flag(&mut self, key: &str, wrong: &mut Vec<Wrong>) -> bool {
        match self.take(key) {
            None => false,
            Some(Value::Bool(value)) => value,
            Some(Value::String(text)) if text == "true" => true,
            Some(Value::String(text)) if text == "false" => false,
            Some(other) => {
                wrong.push(self.wrong(key, format!("expected true or false, found {other}")));
                false
            }
        }
    }

    pub fn number(&mut self, key: &str, wrong: &mut Vec<Wrong>) -> Option<u64> {
        let value = self.take(key)?;
        let number = match &value {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        };
        if number.is_none_or(|number| number == 0) {
            wrong.push(self.wrong(key, format!("expected a number from 1 on, found {value}")));
        }
        number
    }

    /// A list; one that is no list is its only element.
    pub fn list(&mut self, key: &str) -> Vec<Value> {
        match self.take(key) {
            None => vec![],
            Some(Value::Array(list)) => list,
            Some(other) => vec![other],
        }
    }

    pub fn has(&self, property: &str) -> bool {
        self.rest.contains_key(property)
    }

    pub fn get(&self, property: &str) -> Option<&Value> {
        self.rest.get(property)
    }

    pub fn wrong(&self, key: &str, message: impl Into<String>) -> Wrong {
        let path: Vec<&str> = self.path.iter().map(String::as_str).chain([key]).collect();
        Wrong::new(&path, message)
    }

    /// These properties, and over them those of the file.
    pub fn properties<const N: usize>(self, first: [(&str, Value); N]) -> Map<String, Value> {
        let known: Vec<&str> = self.of.properties().collect();
        let mut all: Map<String, Value> =
            first.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        all.extend(self.rest.into_iter().filter(|(key, _)| known.contains(&key.as_str())));
        all
    }
}
