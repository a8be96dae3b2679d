//! What goes wrong, and when.

use std::{collections::BTreeMap, time::Duration};

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is refused and does nothing.
    Fail,
    /// It is done, but the answer is lost.
    LoseAnswer,
    /// It does nothing and never returns, nor does any call after it.
    Stop,
    /// It is done, but never returns, nor does any call after it.
    StopAfter,
    /// It never returns, nor does any call after it, and the engine takes back what it made.
    TakeBack,
}

#[derive(Default)]
pub(super) struct Faults {
    pub calls: Vec<String>,
    /// By number of the call, from 1.
    pub at: BTreeMap<usize, Fault>,
    /// By how the call starts.
    pub on: Vec<(String, Fault)>,
    pub slow: Vec<(String, Duration)>,
    pub stopped: bool,
}

impl Faults {
    /// Notes a call, and tells how it goes wrong and how long it takes.
    pub fn note(&mut self, call: &str) -> (Option<Fault>, Option<Duration>) {
        if self.stopped {
            return (Some(Fault::Stop), None);
        }
        self.calls.push(call.to_owned());
        let begins = |start: &str| {
            call.strip_prefix(start)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ':']))
        };
        let by_name = self.on.iter().find(|(start, _)| begins(start)).map(|(_, fault)| *fault);
        let fault = self.at.remove(&self.calls.len()).or(by_name);
        self.stopped = matches!(fault, Some(Fault::Stop | Fault::StopAfter | Fault::TakeBack));
        let time = self.slow.iter().find(|(start, _)| begins(start)).map(|(_, time)| *time);
        (fault, time)
    }
}
