//! What is wrong with a node, in words for people.

use std::fmt;

use serde::de::{self, Unexpected};

use super::super::problem::Place;
use crate::base::words;

#[derive(Debug)]
pub struct Error(pub Box<Details>);

#[derive(Debug, Default)]
pub struct Details {
    pub message: String,
    pub hint: Option<String>,
    pub missing: bool,
    pub place: Option<Place>,
    pub path: String,
    pub node: Option<usize>,
    pub parent: usize,
}

impl Error {
    pub fn new(message: String) -> Self {
        Self(Box::new(Details { message, ..Details::default() }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {}, found {}", wanted(expected), found_words(found)))
    }

    fn invalid_value(found: Unexpected, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        let found = if length == 0 { "nothing".to_owned() } else { words::count(length, "entry") };
        Self::new(format!("expected {}, found {found}", wanted(expected)))
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        let mut error = Self::new(format!("expected {}, found `{found}`", one_of(expected)));
        error.0.hint = near(found, expected);
        error
    }

    fn unknown_field(found: &str, expected: &'static [&'static str]) -> Self {
        let mut error = Self::new(format!("unknown key `{found}`"));
        error.0.hint = near(found, expected).or_else(|| {
            (expected.len() <= 12 && !expected.is_empty())
                .then(|| format!("known here: {}", expected.join(", ")))
        });
        error
    }

    fn missing_field(field: &'static str) -> Self {
        let mut error = Self::new(format!("the key `{field}` is missing"));
        error.0.missing = true;
        error
    }
}

fn near(found: &str, expected: &[&'static str]) -> Option<String> {
    let found = found.to_lowercase();
    let part = || expected.iter().copied().find(|word| found.len() > 2 && word.contains(&found));
    words::nearest(&found, expected.iter().copied())
        .or_else(part)
        .map(|near| format!("did you mean `{near}`?"))
}

/// The words, each quoted: `` `a`, `b` or `c` ``.
pub fn one_of(expected: &[&str]) -> String {
    let quoted: Vec<String> = expected.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// Serde's names of types, as people say them.
pub fn wanted(expected: &dyn de::Expected) -> String {
    let name = expected.to_string();
    match name.as_str() {
        "a boolean" => "true or false".to_owned(),
        "a string" => "a text".to_owned(),
        "a map" => "a mapping".to_owned(),
        "a sequence" => "a list".to_owned(),
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number from 0".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        name if name.starts_with("struct ") => "a mapping".to_owned(),
        name if name.starts_with("enum ") => "one word".to_owned(),
        _ => name,
    }
}

fn found_words(found: Unexpected) -> String {
    match found {
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Str(text) => {
            format!("the text `{}`", text.chars().take(60).collect::<String>())
        }
        Unexpected::Signed(number) => format!("the number {number}"),
        Unexpected::Unsigned(number) => format!("the number {number}"),
        Unexpected::Float(number) => format!("the number {number}"),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}
