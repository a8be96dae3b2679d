//! A YAML tree of which every node knows its place.

use indexmap::IndexMap;

use super::problem::Place;

/// A mapping in the order of the file.
pub type Map = IndexMap<String, Node>;

/// A value of a file, with its place and that of the key before it.
#[derive(Debug, Clone, Default)]
pub struct Node {
    pub value: Value,
    pub at: Place,
    /// The place of the key; that of the value itself where there is none.
    pub key: Place,
    pub mark: Mark,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Map),
}

/// What a tag says of how a node is merged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mark {
    #[default]
    Plain,
    /// `!reset`: takes the key away from the files before.
    Reset,
    /// `!override`: replaces what the files before say.
    Override,
}

/// Nodes are equal when their values are; places do not count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    /// A node that stands where `place` stands.
    pub fn new(value: Value, place: &Self) -> Self {
        Self { value, at: place.at, key: place.key, mark: Mark::Plain }
    }

    pub fn text(text: impl Into<String>, place: &Self) -> Self {
        Self::new(Value::Text(text.into()), place)
    }

    pub fn as_map(&self) -> Option<&Map> {
        if let Value::Map(map) = &self.value { Some(map) } else { None }
    }

    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        if let Value::Map(map) = &mut self.value { Some(map) } else { None }
    }

    pub fn as_list(&self) -> Option<&[Self]> {
        if let Value::List(list) = &self.value { Some(list) } else { None }
    }

    pub fn as_list_mut(&mut self) -> Option<&mut Vec<Self>> {
        if let Value::List(list) = &mut self.value { Some(list) } else { None }
    }

    pub fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The member of a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        self.as_map_mut()?.get_mut(key)
    }

    /// A scalar as Compose turns it into text where it takes any; `None` for lists and mappings.
    pub fn scalar_text(&self) -> Option<String> {
        Some(match &self.value {
            Value::Null => String::new(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => float_text(*value),
            Value::Text(text) => text.clone(),
            Value::List(_) | Value::Map(_) => return None,
        })
    }

    /// What it is, for an error: "a list", "the number 5".
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Int(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {}", float_text(*value)),
            Value::Text(text) => {
                format!("the text `{}`", text.chars().take(60).collect::<String>())
            }
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// The members of the mapping under a key; none where there is no such.
pub fn members<'n>(node: &'n mut Node, key: &str) -> impl Iterator<Item = &'n mut Node> {
    node.get_mut(key).and_then(Node::as_map_mut).into_iter().flat_map(IndexMap::values_mut)
}

/// The elements of the list under a key; none where there is no such.
pub fn elements<'n>(node: &'n mut Node, key: &str) -> impl Iterator<Item = &'n mut Node> {
    node.get_mut(key).and_then(Node::as_list_mut).into_iter().flatten()
}

/// A float in the fewest digits; an exponent from 1e21 and below 1e-4 on.
fn float_text(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else if size != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{value:e}");
        match text.split_once('e') {
            Some((digits, exponent)) => {
                let (sign, exponent) =
                    exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
                format!("{digits}e{sign}{exponent:0>2}")
            }
            None => text,
        }
    } else {
        format!("{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::float_text;

    #[test]
    fn floats_read_as_compose_prints_them() {
        for (value, text) in
            [(1.0, "1"), (1.5, "1.5"), (1e21, "1e+21"), (0.00001, "1e-05"), (-0.25, "-0.25")]
        {
            assert_eq!(float_text(value), text);
        }
    }
}
