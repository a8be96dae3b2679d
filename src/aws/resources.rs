//! What `aws:` of the project file describes, and what can be wrong with it.

use indexmap::IndexMap;
use serde_json::Value;

/// Resources of one kind: each name and what is said of it.
pub type Section = IndexMap<String, Value>;

/// Resources in their short forms. Keys that start with a capital are properties of CloudFormation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    /// Before the names of all that has a name of its own on AWS.
    pub prefix: String,
    pub queues: Section,
    pub topics: Section,
    pub buckets: Section,
    pub secrets: Section,
    pub keys: Section,
    pub parameters: Section,
    pub rules: Section,
}

/// What is wrong with a resource, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Keys below `aws`; list elements by their index.
    pub path: Vec<String>,
    pub message: String,
    pub hint: Option<String>,
}

impl Wrong {
    pub(super) fn new(path: &[&str], message: impl Into<String>) -> Self {
        let path = path.iter().map(|&key| key.to_owned()).collect();
        Self { path, message: message.into(), hint: None }
    }

    /// With the near name for a typo.
    pub(super) fn near<'a>(
        mut self,
        wrong: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let near = crate::base::words::nearest(wrong, known);
        self.hint = near.map(|near| format!("did you mean `{near}`?"));
        self
    }
}
