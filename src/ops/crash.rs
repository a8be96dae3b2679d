//! What an operation was doing when its process died, told by the journal that it kept with its lock.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{OpsError, Session, journal::Entry, state};
use crate::{
    model::{Change, Color, Holder, Outcome},
    run::Event,
};

/// An operation whose process died.
#[derive(Debug)]
pub(super) struct Crash {
    held: Holder,
    entry: Option<Entry>,
}

/// What the holder of a lock writes as its sign of life.
#[derive(Serialize, Deserialize)]
struct Beat {
    beat: u64,
    entry: Option<Entry>,
}

pub(super) fn beat(count: u64, entry: Option<Entry>) -> Vec<u8> {
    serde_json::to_vec(&Beat { beat: count, entry }).expect("a journal has text keys only")
}

impl Crash {
    /// `beat` is the last one; that of an older envctl has no journal.
    pub fn new(held: Holder, beat: Option<&[u8]>) -> Self {
        let beat = beat.and_then(|bytes| serde_json::from_slice::<Beat>(bytes).ok());
        Self { held, entry: beat.and_then(|beat| beat.entry) }
    }

    fn at(&self) -> Option<String> {
        self.entry.as_ref().and_then(Entry::at)
    }

    /// The change for the history; of one that kept no journal only what its lock says is known.
    fn change(&self) -> Change {
        let outcome = Outcome::Crashed { at: self.at() };
        if let Some(entry) = &self.entry {
            return Change { outcome, ..entry.change.clone() };
        }
        let held = self.held.clone();
        let (command, color) = match held.what.rsplit_once(' ') {
            Some((command, last)) if last.parse::<Color>().is_ok() => {
                (command.to_owned(), last.parse().ok())
            }
            _ => (held.what, None),
        };
        Change {
            command,
            color,
            who: held.who,
            job: held.job,
            time: held.since,
            operation: held.id.clone(),
            ..Change::new(held.id, outcome)
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { what, since, .. } = &self.held;
        let by = self.held.by();
        let at = self.at().map(|at| format!(", at {at}")).unwrap_or_default();
        write!(f, "`{what}` of {by} (since {since}) died under way{at}; going on from what it left")
    }
}

/// Puts the change that was under way into the history, unless its own process still did.
pub(super) async fn record(session: &Session<'_>, crash: Crash) {
    if let Err(error) = try_record(session, &crash).await {
        session.reporter.on(Event::Warning(&format!("the history could not be written: {error}")));
    }
}

async fn try_record(session: &Session<'_>, crash: &Crash) -> Result<(), OpsError> {
    let observed = session.observe().await?;
    let change = crash.change();
    let known = state::changes(session, &observed).await?;
    let written = known.iter().any(|other| match crash.entry {
        Some(_) => other.id == change.id,
        None => other.operation == change.operation,
    });
    if written { Ok(()) } else { state::record(session, &observed, &change).await }
}
