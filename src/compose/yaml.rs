//! YAML text to trees with places: anchors and aliases, `<<`, `!reset` and `!override`, several documents.
//!
//! Refused: duplicate keys, keys that are no text, aliases that grow a file beyond reason, nesting without end.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::{
    node::{Map, Mark, Node, Value},
    problem::{Files, Place, Problem, Problems},
    scalar,
};

/// Larger files are no Compose files.
pub const MAX_BYTES: usize = 4 << 20;
/// How deep lists and mappings may nest.
const MAX_DEPTH: usize = 100;
/// How many nodes aliases may add to one file.
const MAX_ALIASED: usize = 100_000;
/// How many nodes a file may have.
const MAX_NODES: usize = 300_000;

/// The documents of a file that is already in `files`; empty documents are left out.
pub fn parse(files: &Files, file: u32, text: &str) -> Result<Vec<Node>, Problems> {
    if text.len() > MAX_BYTES {
        let message = format!("is larger than {} MiB", MAX_BYTES >> 20);
        return Err(Problem::of_file(files.path(file), message).into());
    }
    let mut builder = Builder { file, ..Builder::default() };
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let marker = error.marker();
            let place = place(file, marker.line(), marker.col());
            let message = format!("not YAML: {}", error.info());
            files.problem(place, "", message).with_hint(likely(error.info()))
        })?;
        builder.event(event, span).map_err(|error| files.problem(error.0, "", error.1))?;
    }
    Ok(builder.documents)
}

/// What people mostly did where a parser stumbles.
fn likely(info: &str) -> Option<String> {
    let known = [
        ("tabs", "YAML indents with spaces, never with tabs"),
        (
            "mapping values are not allowed",
            "does the line above lack its `:`, or a text with `: ` in it its quotes?",
        ),
        ("quoted scalar", "is a quote not closed?"),
        ("did not find expected key", "is the line indented as its neighbours are?"),
        ("or ']'", "is a `[` not closed?"),
        ("or '}'", "is a `{` not closed?"),
    ];
    known.iter().find(|(part, _)| info.contains(part)).map(|(_, hint)| (*hint).to_owned())
}

/// What is wrong, and where.
struct Wrong(Place, String);

fn place(file: u32, line: usize, column: usize) -> Place {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place { file, line: small(line), column: small(column).saturating_add(1) }
}

/// A list or mapping that is not closed yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<(String, Place)>,
    /// The values of `<<`.
    merges: Vec<Node>,
    has_merge: bool,
    size: usize,
}

#[derive(Default)]
struct Builder {
    file: u32,
    documents: Vec<Node>,
    stack: Vec<Open>,
    /// Finished anchors with their number of nodes.
    anchors: HashMap<usize, (Node, usize)>,
    aliased: usize,
    nodes: usize,
}

impl Builder {
    fn event(&mut self, event: Event, span: Span) -> Result<(), Wrong> {
        let at = place(self.file, span.start.line(), span.start.col());
        match event {
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                let mut node = Node { at, key: at, ..Node::default() };
                node.mark = mark(tag.as_deref());
                node.value = scalar_value(&text, style, tag.as_deref());
                let merges = style == ScalarStyle::Plain && text == "<<";
                self.add(node, anchor, 1, merges)?;
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(Wrong(at, "the alias is inside of what it stands for".to_owned()));
                };
                self.aliased += size;
                if self.aliased > MAX_ALIASED {
                    return Err(Wrong(at, "aliases make the file too large".to_owned()));
                }
                let (mut node, size) = (node.clone(), *size);
                if node.as_map().is_none() && node.as_list().is_none() {
                    (node.at, node.key) = (at, at);
                }
                self.add(node, 0, size, false)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(Value::List(vec![]), at, anchor, tag.as_deref())?;
            }
            Event::MappingStart(anchor, tag) => {
                self.open(Value::Map(Map::new()), at, anchor, tag.as_deref())?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(mut open) = self.stack.pop() {
                    for merged in std::mem::take(&mut open.merges) {
                        merge_in(&mut open.node, merged)?;
                    }
                    self.add(open.node, open.anchor, open.size, false)?;
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(
        &mut self,
        value: Value,
        at: Place,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), Wrong> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Wrong(at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let node = Node { value, at, key: at, mark: mark(tag) };
        let (key, merges) = (None, vec![]);
        self.stack.push(Open { node, anchor, key, merges, has_merge: false, size: 1 });
        Ok(())
    }

    /// Puts a finished node where it belongs: document, list element, key or value.
    fn add(
        &mut self,
        mut node: Node,
        anchor: usize,
        size: usize,
        is_merge_key: bool,
    ) -> Result<(), Wrong> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Wrong(node.at, format!("there are more than {MAX_NODES} values")));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.stack.last_mut() else {
            if !node.is_null() {
                self.documents.push(node);
            }
            return Ok(());
        };
        open.size += size;
        let map = match &mut open.node.value {
            Value::List(list) => {
                if node.mark != Mark::Reset {
                    list.push(node);
                }
                return Ok(());
            }
            Value::Map(map) => map,
            _ => return Ok(()),
        };
        let Some((key, key_at)) = open.key.take() else {
            let Value::Text(key) = node.value else {
                let found = node.describe();
                return Err(Wrong(node.at, format!("a key must be a text, not {found}")));
            };
            if map.contains_key(&key) || (is_merge_key && open.has_merge) {
                return Err(Wrong(node.at, format!("the key `{key}` is here twice")));
            }
            // A merge key is told from the quoted text by a character that YAML does not allow in a file.
            let key = if is_merge_key { MERGE.to_owned() } else { key };
            open.key = Some((key, node.at));
            return Ok(());
        };
        if key == MERGE {
            open.has_merge = true;
            open.merges.push(node);
            return Ok(());
        }
        node.key = key_at;
        if node.is_null() || node.mark == Mark::Reset {
            node.at = key_at;
        }
        map.insert(key, node);
        Ok(())
    }
}

const MERGE: &str = "\u{0}<<";

fn mark(tag: Option<&Tag>) -> Mark {
    match tag {
        Some(tag) if tag.handle == "!" && tag.suffix == "reset" => Mark::Reset,
        Some(tag) if tag.handle == "!" && tag.suffix == "override" => Mark::Override,
        _ => Mark::Plain,
    }
}

fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    match core {
        Some("str" | "binary" | "timestamp") => Value::Text(text.to_owned()),
        Some("null") => Value::Null,
        Some("float") => match scalar::plain(text) {
            #[expect(clippy::cast_precision_loss, reason = "the file asks for a float")]
            Value::Int(number) => Value::Float(number as f64),
            other => other,
        },
        Some("int" | "bool") => scalar::plain(text),
        _ if style == ScalarStyle::Plain => scalar::plain(text),
        _ => Value::Text(text.to_owned()),
    }
}

/// Adds the keys of a `<<` value that the mapping does not have itself.
fn merge_in(node: &mut Node, merged: Node) -> Result<(), Wrong> {
    let at = merged.at;
    match merged.value {
        Value::Map(members) => {
            if let Some(map) = node.as_map_mut() {
                for (key, member) in members {
                    map.entry(key).or_insert(member);
                }
            }
            Ok(())
        }
        Value::List(list) if list.iter().all(|entry| entry.as_map().is_some()) => {
            list.into_iter().try_for_each(|entry| merge_in(node, entry))
        }
        _ => Err(Wrong(at, "`<<` takes a mapping or a list of mappings".to_owned())),
    }
}
