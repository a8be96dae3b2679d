//! Serde over a tree with places: each error says where, what was expected and what was likely meant; one run finds
//! several.

mod error;
mod fields;

use std::{cell::RefCell, collections::HashMap, fmt::Write as _};

use serde::{
    Deserializer,
    de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer as _},
    forward_to_deserialize_any,
};

pub use self::error::one_of;
use self::error::{Error, wanted};
pub use self::fields::{oom_score, pull_policy, size};
use super::{
    node::{Node, Value},
    problem::{Files, Place, Problems},
};

/// How many problems of one tree are collected before it is given up.
const ENOUGH: usize = 20;

/// How a tree is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// A key without a value is an error, as in Compose.
    Refused,
    /// A key without a value counts as absent.
    Absent,
}

/// Reads a tree into a type; all problems that can be told apart are collected.
///
/// After a problem the node that has it is left out and the rest is read again, so that one typo does not hide the next.
/// Keys that start with `x-` are skipped in structs.
pub fn from_node<T: DeserializeOwned>(
    node: &Node,
    files: &Files,
    nulls: Nulls,
) -> Result<T, Problems> {
    let state = State { nulls, path: RefCell::default(), skipped: RefCell::default() };
    let mut problems = Problems::default();
    loop {
        state.path.borrow_mut().clear();
        let reader = Reader { node, parent: node, state: &state, field: false };
        let error = match T::deserialize(reader) {
            Ok(value) => return problems.or_ok().map(|()| value),
            Err(error) => *error.0,
        };
        let bad = error.node.unwrap_or(address(node));
        // A key that was left out as wrong is not missing.
        let follows = error.missing && state.skipped.borrow().values().any(|over| *over == bad);
        if !follows {
            let problem = files
                .problem(error.place.unwrap_or(node.at), &error.path, error.message)
                .with_hint(error.hint);
            problems.push(problem);
        }
        let known = state.skipped.borrow_mut().insert(bad, error.parent).is_some();
        if known || bad == address(node) || problems.0.len() >= ENOUGH {
            return Err(problems);
        }
    }
}

impl Error {
    /// Puts the place on an error that has none yet.
    fn at(mut self, place: Place, node: &Node, parent: &Node, state: &State) -> Self {
        if self.0.place.is_none() {
            self.0.place = Some(place);
            self.0.node = Some(address(node));
            self.0.parent = address(parent);
            self.0.path = state.shown();
        }
        self
    }
}

struct State<'n> {
    nulls: Nulls,
    path: RefCell<Vec<Step<'n>>>,
    /// The nodes that are left out, with what holds them.
    skipped: RefCell<HashMap<usize, usize>>,
}

#[derive(Clone, Copy)]
enum Step<'n> {
    Key(&'n str),
    Index(usize),
}

impl State<'_> {
    fn shown(&self) -> String {
        let mut shown = String::new();
        for step in self.path.borrow().iter() {
            match step {
                Step::Key(key) if shown.is_empty() => shown.push_str(key),
                Step::Key(key) => {
                    shown.push('.');
                    shown.push_str(key);
                }
                Step::Index(index) => {
                    let _ = write!(shown, "[{index}]");
                }
            }
        }
        shown
    }
}

/// A node's identity while the tree is borrowed.
fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

/// The deserializer of one node.
#[derive(Clone, Copy)]
struct Reader<'s, 'n> {
    node: &'n Node,
    parent: &'n Node,
    state: &'s State<'n>,
    /// Whether it is the value of a struct's field.
    field: bool,
}

impl<'n> Reader<'_, 'n> {
    fn placed<T>(self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|error| error.at(self.node.at, self.node, self.parent, self.state))
    }

    fn wrong<T>(self, expected: &dyn de::Expected) -> Result<T, Error> {
        let found = self.node.describe();
        self.placed(Err(Error::new(format!("expected {}, found {found}", wanted(expected)))))
    }

    /// Reads a child under a step of the key path.
    fn child<S: DeserializeSeed<'n>>(
        self,
        seed: S,
        node: &'n Node,
        step: Step<'n>,
        field: bool,
    ) -> Result<S::Value, Error> {
        self.state.path.borrow_mut().push(step);
        let reader = Reader { node, parent: self.node, state: self.state, field };
        let result = reader.placed(seed.deserialize(reader));
        self.state.path.borrow_mut().pop();
        result
    }

    fn is_skipped(self, node: &Node) -> bool {
        let skipped = self.state.skipped.borrow();
        !skipped.is_empty() && skipped.contains_key(&address(node))
    }

    fn whole(self) -> Option<i64> {
        match &self.node.value {
            Value::Int(number) => Some(*number),
            #[expect(clippy::cast_possible_truncation, reason = "checked")]
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                Some(*number as i64)
            }
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

macro_rules! whole_numbers {
    ($($method:ident)*) => {
        $(
            fn $method<V: de::Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
                match self.whole() {
                    Some(number) => self.placed(visitor.visit_i64(number)),
                    None => self.wrong(&visitor),
                }
            }
        )*
    };
}

macro_rules! numbers {
    ($($method:ident)*) => {
        $(
            fn $method<V: de::Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
                #[expect(clippy::cast_precision_loss, reason = "a fraction is asked for")]
                let number = match &self.node.value {
                    Value::Int(number) => Some(*number as f64),
                    Value::Float(number) => Some(*number),
                    Value::Text(text) => text.parse().ok(),
                    _ => None,
                };
                match number {
                    Some(number) => self.placed(visitor.visit_f64(number)),
                    None => self.wrong(&visitor),
                }
            }
        )*
    };
}

impl<'n> Deserializer<'n> for Reader<'_, 'n> {
    type Error = Error;

    fn deserialize_any<V: de::Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(list) => {
                visitor.visit_seq(Elements { reader: self, rest: list.iter().enumerate() })
            }
            Value::Map(map) => visitor.visit_map(Members {
                reader: self,
                rest: map.iter(),
                next: None,
                fields: None,
            }),
        };
        self.placed(result)
    }

    fn deserialize_bool<V: de::Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match &self.node.value {
            Value::Bool(value) => Some(*value),
            Value::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "y" | "yes" | "on" => Some(true),
                "false" | "n" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        };
        match value {
            Some(value) => self.placed(visitor.visit_bool(value)),
            None => self.wrong(&visitor),
        }
    }

    whole_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    numbers! { deserialize_f32 deserialize_f64 }

    fn deserialize_str<V: de::Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Text(text) => self.placed(visitor.visit_borrowed_str(text)),
            _ => self.wrong(&visitor),
        }
    }

    fn deserialize_string<V: de::Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: de::Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        let absent = !(self.field && self.state.nulls == Nulls::Refused);
        if self.node.is_null() && absent {
            return self.placed(visitor.visit_none());
        }
        self.placed(visitor.visit_some(self))
    }

    fn deserialize_newtype_struct<V: de::Visitor<'n>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.placed(visitor.visit_newtype_struct(self))
    }

    fn deserialize_seq<V: de::Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::List(_) => self.deserialize_any(visitor),
            _ => self.wrong(&visitor),
        }
    }

    fn deserialize_map<V: de::Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Map(_) => self.deserialize_any(visitor),
            _ => self.wrong(&visitor),
        }
    }

    fn deserialize_struct<V: de::Visitor<'n>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Map(map) => self.placed(visitor.visit_map(Members {
                reader: self,
                rest: map.iter(),
                next: None,
                fields: Some(fields),
            })),
            _ => self.wrong(&visitor),
        }
    }

    fn deserialize_enum<V: de::Visitor<'n>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Text(text) => self.placed(visitor.visit_enum(text.as_str().into_deserializer())),
            Value::Map(map) if map.len() == 1 => self.placed(visitor.visit_enum(Variant(self))),
            _ => self.wrong(&visitor),
        }
    }

    fn deserialize_ignored_any<V: de::Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        <W: Visitor<'n>>
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

struct Elements<'s, 'n> {
    reader: Reader<'s, 'n>,
    rest: std::iter::Enumerate<std::slice::Iter<'n, Node>>,
}

impl<'n> de::SeqAccess<'n> for Elements<'_, 'n> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'n>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let reader = self.reader;
        match self.rest.find(|(_, node)| !reader.is_skipped(node)) {
            Some((index, node)) => reader.child(seed, node, Step::Index(index), false).map(Some),
            None => Ok(None),
        }
    }
}

struct Members<'s, 'n> {
    reader: Reader<'s, 'n>,
    rest: indexmap::map::Iter<'n, String, Node>,
    next: Option<(&'n str, &'n Node)>,
    /// The keys of a struct; `None` in a mapping of any keys.
    fields: Option<&'static [&'static str]>,
}

impl Members<'_, '_> {
    fn is_left_out(&self, key: &str, node: &Node) -> bool {
        self.reader.is_skipped(node)
            || self.fields.is_some_and(|fields| {
                let absent = self.reader.state.nulls == Nulls::Absent && node.is_null();
                key.starts_with("x-") || absent && fields.contains(&key)
            })
    }
}

impl<'n> de::MapAccess<'n> for Members<'_, 'n> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'n>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let reader = self.reader;
        let (key, node) = loop {
            match self.rest.next() {
                None => return Ok(None),
                Some((key, node)) if self.is_left_out(key, node) => {}
                Some(next) => break next,
            }
        };
        self.next = Some((key, node));
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some).map_err(
            |error: Error| {
                reader.state.path.borrow_mut().push(Step::Key(key));
                let error = error.at(node.key, node, reader.node, reader.state);
                reader.state.path.borrow_mut().pop();
                error
            },
        )
    }

    fn next_value_seed<S: DeserializeSeed<'n>>(&mut self, seed: S) -> Result<S::Value, Error> {
        match self.next.take() {
            Some((key, node)) => {
                self.reader.child(seed, node, Step::Key(key), self.fields.is_some())
            }
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}

/// An enum written as `variant: value`.
struct Variant<'s, 'n>(Reader<'s, 'n>);

impl<'s, 'n> de::EnumAccess<'n> for Variant<'s, 'n> {
    type Error = Error;
    type Variant = VariantValue<'s, 'n>;

    fn variant_seed<S: DeserializeSeed<'n>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), Error> {
        let Some((key, node)) = self.0.node.as_map().and_then(indexmap::IndexMap::first) else {
            return Err(de::Error::custom("expected one key"));
        };
        let name = seed
            .deserialize(de::value::BorrowedStrDeserializer::new(key))
            .map_err(|error: Error| error.at(node.key, node, self.0.node, self.0.state))?;
        Ok((name, VariantValue { over: self.0, key, node }))
    }
}

struct VariantValue<'s, 'n> {
    over: Reader<'s, 'n>,
    key: &'n str,
    node: &'n Node,
}

impl<'n> de::VariantAccess<'n> for VariantValue<'_, 'n> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        self.newtype_variant_seed(std::marker::PhantomData::<()>)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'n>>(self, seed: S) -> Result<S::Value, Error> {
        self.over.child(seed, self.node, Step::Key(self.key), false)
    }

    fn tuple_variant<V: de::Visitor<'n>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.over.state.path.borrow_mut().push(Step::Key(self.key));
        let reader = Reader { node: self.node, parent: self.over.node, ..self.over };
        let result = reader.deserialize_seq(visitor);
        self.over.state.path.borrow_mut().pop();
        result
    }

    fn struct_variant<V: de::Visitor<'n>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.over.state.path.borrow_mut().push(Step::Key(self.key));
        let reader = Reader { node: self.node, parent: self.over.node, ..self.over };
        let result = reader.deserialize_struct("", fields, visitor);
        self.over.state.path.borrow_mut().pop();
        result
    }
}
