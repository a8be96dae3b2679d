//! Interpolation of a whole tree: every text but the keys.

use std::fmt::Write as _;

use indexmap::IndexMap;

use super::{
    node::{Mark, Node, Value},
    problem::{Files, Problem, Problems},
    template::{self, TemplateError},
};
use crate::base::words;

/// Of more undefined variables, the further ones are not told.
const MOST_WARNINGS: usize = 100;

/// Replaces the variables in a tree; what is not set is warned of, once a variable and file.
pub fn interpolate(
    node: &mut Node,
    files: &Files,
    environment: &IndexMap<String, String>,
    warnings: &mut Vec<Problem>,
    problems: &mut Problems,
) {
    let mut walk = Walk { files, environment, warnings, problems, path: String::new() };
    walk.visit(node);
}

struct Walk<'a> {
    files: &'a Files,
    environment: &'a IndexMap<String, String>,
    warnings: &'a mut Vec<Problem>,
    problems: &'a mut Problems,
    path: String,
}

impl Walk<'_> {
    fn visit(&mut self, node: &mut Node) {
        if node.mark == Mark::Reset {
            return;
        }
        let length = self.path.len();
        let at = node.at;
        match &mut node.value {
            Value::Text(text) if text.contains('$') => self.expand(text, at),
            Value::List(list) => {
                for (index, entry) in list.iter_mut().enumerate() {
                    let _ = write!(self.path, "[{index}]");
                    self.visit(entry);
                    self.path.truncate(length);
                }
            }
            Value::Map(map) => {
                for (key, member) in map.iter_mut() {
                    if !self.path.is_empty() {
                        self.path.push('.');
                    }
                    self.path.push_str(key);
                    self.visit(member);
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// The output that was likely meant.
    fn near(&self, output: &str) -> Option<String> {
        let known = self.environment.keys().filter_map(|key| key.strip_prefix(template::OUTPUTS));
        words::nearest(output, known).map(|near| format!("did you mean `{near}`?"))
    }

    fn expand(&mut self, text: &mut String, at: super::problem::Place) {
        let mut undefined = vec![];
        let lookup = |name: &str| self.environment.get(name).cloned();
        match template::expand(text, &lookup, &mut undefined) {
            Ok(value) => *text = value,
            Err(_) if self.problems.is_full() => {}
            Err(error) => {
                let hint = match &error {
                    TemplateError::Invalid(_) => Some("a literal $ is written $$".to_owned()),
                    TemplateError::NoOutput(name) => self.near(name),
                    TemplateError::Required { .. } => None,
                };
                let problem = self.files.problem(at, &self.path, error.to_string());
                self.problems.push(problem.with_hint(hint));
            }
        }
        for name in undefined {
            if self.warnings.len() >= MOST_WARNINGS {
                return;
            }
            let message = format!("the variable `{name}` is not set, an empty text is used");
            let problem = self.files.problem(at, &self.path, message);
            let known =
                |other: &Problem| other.message == problem.message && other.file == problem.file;
            if !self.warnings.iter().any(known) {
                self.warnings.push(problem);
            }
        }
    }
}
