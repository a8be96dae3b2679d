//! Releases and the history of changes.

use std::collections::BTreeMap;

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

impl Holder {
    /// `ann@ci (https://gitlab.example/shop/-/jobs/7)`.
    pub fn by(&self) -> String {
        match &self.job {
            Some(job) => format!("{} ({job})", self.who),
            None => self.who.clone(),
        }
    }
}

/// One change of an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Sortable: `20261121T081500.123Z-1f2e`.
    pub id: String,
    /// `deploy`, `switch`, `rollback`, `cleanup`, `down`, `durable up`, `durable down`.
    pub command: String,
    pub who: String,
    pub job: Option<String>,
    /// RFC 3339, UTC.
    pub time: String,
    pub color: Option<Color>,
    pub release: Option<String>,
    /// Git revision of the checkout.
    pub revision: Option<String>,
    /// Service to image, as it is called.
    pub images: BTreeMap<String, String>,
    /// Service to the image's id, `sha256:…`: what its name stood for at that time.
    #[serde(default)]
    pub image_ids: BTreeMap<String, String>,
    /// Service to the registry's digest, `name@sha256:…`, of what was pulled.
    #[serde(default)]
    pub digests: BTreeMap<String, String>,
    /// The plan as printed.
    pub plan: Vec<String>,
    pub outcome: Outcome,
    pub milliseconds: u64,
    /// Whether `--force` was given.
    #[serde(default)]
    pub forced: bool,
    /// Whether the color that was deployed or switched to has a clone of the database.
    #[serde(default)]
    pub clone: bool,
    /// The release that was live before a switch or rollback.
    #[serde(default)]
    pub replaced: Option<String>,
    /// The holder of the lock under which it was made: [`Holder::id`].
    #[serde(default)]
    pub operation: String,
}

impl Change {
    /// One of which nothing else is known.
    pub fn new(id: String, outcome: Outcome) -> Self {
        Self {
            id,
            command: String::new(),
            who: String::new(),
            job: None,
            time: String::new(),
            color: None,
            release: None,
            revision: None,
            images: BTreeMap::new(),
            image_ids: BTreeMap::new(),
            digests: BTreeMap::new(),
            plan: vec![],
            outcome,
            milliseconds: 0,
            forced: false,
            clone: false,
            replaced: None,
            operation: String::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Done,
    Failed {
        reason: String,
    },
    Interrupted,
    /// Its process died; noted by the one that came after it.
    Crashed {
        /// `step 7 of 12: start green/api`, as far as it is known.
        at: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_an_older_envctl_reads() {
        let old = r#"{"id":"20261121T081500.123Z-1f2e","command":"deploy","who":"ann@ci","job":null,
            "time":"2026-11-21T08:15:00Z","color":"green","release":"r1","revision":null,
            "images":{"web":"nginx"},"plan":["[1] start"],"outcome":{"failed":{"reason":"no"}},
            "milliseconds":12}"#;
        let change: Change = serde_json::from_str(old).unwrap();
        assert_eq!(change.outcome, Outcome::Failed { reason: "no".into() });
        assert!(change.image_ids.is_empty() && !change.forced);
        let crashed = serde_json::to_value(Outcome::Crashed { at: None }).unwrap();
        assert_eq!(crashed, serde_json::json!({ "crashed": { "at": null } }));
    }
}
