//! Where each key of a loaded project was set.

use std::{fmt::Write as _, sync::Arc};

use super::{
    node::{Node, Value},
    problem::{Files, Place, Problem},
};

/// The merged tree with its places.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    pub(super) files: Files,
    pub(super) tree: Arc<Node>,
}

impl Origin {
    /// A problem at the place of a key, or of the nearest key above it that a file sets.
    pub fn problem(&self, key_path: &[&str], message: impl Into<String>) -> Problem {
        problem_in(&self.files, &self.tree, key_path, message)
    }
}

/// A problem at a key of a tree; list elements are named by their index.
pub(super) fn problem_in(
    files: &Files,
    tree: &Node,
    key_path: &[&str],
    message: impl Into<String>,
) -> Problem {
    let mut place: Place = tree.at;
    let mut node = Some(tree);
    let mut shown = String::new();
    for step in key_path {
        let list = node.is_some_and(|node| matches!(node.value, Value::List(_)));
        node = node.and_then(|node| match &node.value {
            Value::Map(map) => map.get(*step),
            Value::List(list) => list.get(step.parse::<usize>().ok()?),
            _ => None,
        });
        if let Some(node) = node.filter(|node| node.at.line > 0) {
            place = if list { node.at } else { node.key };
        }
        if list {
            let _ = write!(shown, "[{step}]");
        } else {
            if !shown.is_empty() {
                shown.push('.');
            }
            shown.push_str(step);
        }
    }
    files.problem(place, &shown, message)
}
