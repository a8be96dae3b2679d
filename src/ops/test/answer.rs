//! An answer, and what is wrong with it.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use crate::{
    base::words,
    config::{Expected, RequestCheck},
};

/// How much of a value or a body is shown.
const SHOWN: usize = 200;

pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
    pub took: Duration,
}

impl Answer {
    /// All that is not as expected, with what came instead.
    pub fn failures(&self, check: &RequestCheck) -> Vec<String> {
        let mut failures = vec![];
        if !check.status.contains(&self.status) {
            let wanted: Vec<String> = check.status.iter().map(u16::to_string).collect();
            let wanted = wanted.join(" or ");
            failures.push(format!("status {} instead of {wanted}: {}", self.status, self.begins()));
        }
        for (name, expected) in &check.headers {
            let values: Vec<&str> = self
                .headers
                .get_all(name.0.as_str())
                .iter()
                .map(|value| value.to_str().unwrap_or("(not a text)"))
                .collect();
            failures.extend(header(&name.0, &values, expected));
        }
        let body = || format!("the body begins with `{}`", self.begins());
        for text in check.contains.iter().filter(|text| !self.body.contains(text.as_str())) {
            failures.push(format!("the body does not contain `{text}`; {}", body()));
        }
        for pattern in check.matches.iter().filter(|pattern| !pattern.0.is_match(&self.body)) {
            failures.push(format!("nothing in the body matches `{}`; {}", pattern.0, body()));
        }
        if !check.json.is_empty() {
            match serde_json::from_str::<Value>(&self.body) {
                Err(error) => failures.push(format!("the body is not JSON ({error}); {}", body())),
                Ok(whole) => failures.extend(
                    check.json.iter().filter_map(|(at, expected)| json(&whole, &at.0, expected)),
                ),
            }
        }
        if let Some(most) = check.within.filter(|most| self.took > *most) {
            let (took, most) = (words::duration(self.took), words::duration(most));
            failures.push(format!("took {took}, more than {most}"));
        }
        failures
    }

    fn begins(&self) -> String {
        cut(self.body.trim())
    }
}

fn header(name: &str, values: &[&str], expected: &Expected) -> Option<String> {
    let got = values.join("`, `");
    let holds = |good: &dyn Fn(&&str) -> bool, wanted: String| match values {
        [] => Some(format!("no header `{name}`")),
        all if all.iter().any(good) => None,
        _ => Some(format!("header `{name}` is `{}`, {wanted}", cut(&got))),
    };
    match expected {
        Expected::Exists(true) if values.is_empty() => Some(format!("no header `{name}`")),
        Expected::Exists(false) if !values.is_empty() => {
            Some(format!("header `{name}` is there: `{}`", cut(&got)))
        }
        Expected::Exists(_) => None,
        Expected::Equals(value) => {
            let text = text_of(value);
            holds(&|got| **got == text, format!("not `{text}`"))
        }
        Expected::Matches(pattern) => {
            holds(&|got| pattern.0.is_match(got), format!("which does not match `{}`", pattern.0))
        }
    }
}

fn json(whole: &Value, at: &str, expected: &Expected) -> Option<String> {
    let found = whole.pointer(at);
    let place = if at.is_empty() { "the document".to_owned() } else { format!("`{at}`") };
    let got = found.map(|found| cut(&found.to_string())).unwrap_or_default();
    match (expected, found) {
        (Expected::Exists(false), Some(_)) => Some(format!("{place} is there: {got}")),
        (Expected::Exists(_), Some(_)) | (Expected::Exists(false), None) => None,
        (_, None) => Some(format!("nothing at {place}")),
        (Expected::Equals(value), Some(found)) => {
            (!equal(value, found)).then(|| format!("{place} is {got}, not {value}"))
        }
        (Expected::Matches(pattern), Some(found)) => (!pattern.0.is_match(&text_of(found)))
            .then(|| format!("{place} is {got}, which does not match `{}`", pattern.0)),
    }
}

/// Numbers are equal by value. A text that a variable left is equal to the number or boolean that it is written as.
fn equal(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::String(text), Value::Number(_) | Value::Bool(_)) => *text == text_of(found),
        _ => expected == found,
    }
}

/// A text without its quotes.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
