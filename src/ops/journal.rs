//! The journal of the change under way. It is kept with the lock, so that the next command can say after a crash what was
//! being done and how far it got.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::{
    model::Change,
    plan::Action,
    run::{Event, Reporter},
};

/// What tells the proxy something and does no more is over before this, and writes nothing.
const SHORT: Duration = Duration::from_millis(300);
/// Changes are gathered for a while that grows within these: a write costs the engine as much as a third of a start.
const GATHER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// What a process does right now.
#[derive(Debug, Default)]
pub struct Journal {
    entry: Mutex<Option<Entry>>,
    operation: Mutex<String>,
    changed: Notify,
    /// How long what changes now is gathered before it is written.
    gather: Mutex<Duration>,
}

/// A change under way, and its steps by number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub change: Change,
    /// Titles, in the plan's order.
    pub steps: Vec<String>,
    pub done: BTreeSet<usize>,
    pub running: BTreeSet<usize>,
}

impl Entry {
    /// `step 7 of 12: start green/api`: the first that ran, else the first that is not done.
    pub fn at(&self) -> Option<String> {
        let not_done = (1..=self.steps.len()).find(|id| !self.done.contains(id));
        let id = self.running.first().copied().or(not_done)?;
        Some(format!("step {id} of {}: {}", self.steps.len(), self.steps.get(id - 1)?))
    }
}

impl Journal {
    /// The holder of the lock under which all that follows is done.
    pub(super) fn operation(&self, id: &str) {
        id.clone_into(&mut lock(&self.operation));
    }

    pub(super) fn begin(&self, mut change: Change) {
        change.operation.clone_from(&lock(&self.operation));
        *self.entry() =
            Some(Entry { change, steps: vec![], done: BTreeSet::new(), running: BTreeSet::new() });
        *lock(&self.gather) = SHORT;
        self.changed.notify_one();
    }

    /// Adds to what is known of the change under way.
    pub(super) fn note(&self, add: impl FnOnce(&mut Change)) {
        if let Some(entry) = self.entry().as_mut() {
            add(&mut entry.change);
        }
    }

    /// The change as it is known now.
    pub(super) fn current(&self) -> Option<Entry> {
        self.entry().clone()
    }

    /// The change is in the history.
    pub(super) fn end(&self) {
        *self.entry() = None;
        self.changed.notify_one();
    }

    /// Returns once something changed since the last return.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// How long to gather before the next write.
    pub(super) fn gather(&self) -> Duration {
        let mut gather = lock(&self.gather);
        let next = (*gather * 2).clamp(GATHER[0], GATHER[1]);
        std::mem::replace(&mut gather, next)
    }

    /// A reporter that notes how far a plan got.
    pub(super) fn noting<'a>(&'a self, to: &'a dyn Reporter) -> Noting<'a> {
        Noting { journal: self, to }
    }

    fn entry(&self) -> MutexGuard<'_, Option<Entry>> {
        lock(&self.entry)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Noting<'a> {
    journal: &'a Journal,
    to: &'a dyn Reporter,
}

impl Reporter for Noting<'_> {
    fn on(&self, event: Event<'_>) {
        if let Some(entry) = self.journal.entry().as_mut() {
            match &event {
                Event::Planned(plan) => {
                    entry.steps = plan.steps().iter().map(|step| step.title.clone()).collect();
                    entry.done.clear();
                    entry.running.clear();
                    // Written at once: a process may die at its first step.
                    if plan.steps().iter().any(|step| !matches!(step.action, Action::Tell(_))) {
                        *lock(&self.journal.gather) = Duration::ZERO;
                    }
                }
                Event::Started(_, id) => {
                    entry.running.insert(id.0);
                }
                Event::Done(_, id, _) => {
                    entry.running.remove(&id.0);
                    entry.done.insert(id.0);
                }
                _ => {}
            }
        }
        if matches!(event, Event::Planned(_) | Event::Started(..) | Event::Done(..)) {
            self.journal.changed.notify_one();
        }
        self.to.on(event);
    }
}
