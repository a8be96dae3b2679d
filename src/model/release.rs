//! Releases and the history of changes.

use serde::{Deserialize, Serialize};

use super::Color;

/// Who changes an environment: the lock's holder and the history's author.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Unique for each process: random hex digits.
    pub id: String,
    /// `user@host`.
    pub who: String,
    /// What runs: `deploy green`.
    pub what: String,
    /// RFC 3339, UTC.
    pub since: String,
    /// Address of the CI job, where there is one.
    pub job: Option<String>,
    /// The machine's boot and the process's namespace: on an equal one, a dead holder is known at once.
    pub machine: String,
    /// `pid:start time`, unique on the machine.
    pub process: String,
}

/// One change of an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Sortable: `20261121T081500.123Z-1f2e`.
    pub id: String,
    /// `deploy`, `switch`, `rollback`, `cleanup`, `durable up`, `durable down`.
    pub command: String,
    pub who: String,
    pub job: Option<String>,
    /// RFC 3339, UTC.
    pub time: String,
    pub color: Option<Color>,
    pub release: Option<String>,
    /// Git revision of the checkout.
    pub revision: Option<String>,
    /// Service to image id.
    pub images: std::collections::BTreeMap<String, String>,
    /// The plan as printed.
    pub plan: Vec<String>,
    pub outcome: Outcome,
    pub milliseconds: u64,
    /// Whether `--force` was given.
    #[serde(default)]
    pub forced: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Done,
    Failed { reason: String },
    Interrupted,
}
