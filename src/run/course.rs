//! How far a plan has come; told when it is cut short.

use std::{collections::BTreeMap, time::Duration};

use super::{Event, Reporter, failure};
use crate::plan::{Action, Id, Plan};

/// The steps that are done. Dropped before its end, it tells what stands.
pub(super) struct Course<'a> {
    plan: &'a Plan,
    reporter: &'a dyn Reporter,
    took: BTreeMap<Id, Duration>,
    ended: bool,
}

impl<'a> Course<'a> {
    pub const fn new(plan: &'a Plan, reporter: &'a dyn Reporter) -> Self {
        Self { plan, reporter, took: BTreeMap::new(), ended: false }
    }

    pub fn done(&mut self, id: Id, took: Duration) {
        self.took.insert(id, took);
        self.reporter.on(Event::Done(self.plan, id, took));
    }

    pub fn is_done(&self, id: Id) -> bool {
        self.took.contains_key(&id)
    }

    /// It came to an end, and says so itself.
    pub fn end(mut self) -> BTreeMap<Id, Duration> {
        self.ended = true;
        std::mem::take(&mut self.took)
    }
}

impl Drop for Course<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let started: Vec<String> = self
            .plan
            .steps()
            .iter()
            .filter(|step| self.is_done(step.id))
            .filter_map(|step| match &step.action {
                Action::Start(container) => Some(failure::service_of(self.plan, container)),
                _ => None,
            })
            .collect();
        let started = match failure::some(&started) {
            Some(names) => format!("; started: {names}"),
            None => String::new(),
        };
        let (done, all) = (self.took.len(), self.plan.steps().len());
        self.reporter.on(Event::Note(&format!("stopped after {done} of {all} steps{started}")));
    }
}
