//! One-shot services: their log is told as it comes, and one that runs too long is stopped.

use std::{pin::pin, time::Duration};

use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::{Executor, RunError, execute::spec_of};
use crate::{
    engine::{self, LogOptions, LogStream},
    model::State,
    plan::{Action, Plan, Wait},
};

/// How long the rest of the log is read after the end.
const REST: Duration = Duration::from_secs(2);

type Progress<'a> = &'a (dyn Fn(engine::Step) + Send + Sync);

impl Executor<'_, '_> {
    /// Waits for the end of a container and tells the lines of its log.
    pub(super) async fn follow(
        &self,
        plan: &Plan,
        wait: &Wait,
        progress: Progress<'_>,
    ) -> Result<(), RunError> {
        let name = &wait.container;
        let mut ending = pin!(self.wait(plan, wait));
        let mut telling = pin!(self.tell_log(name, progress));
        let ended = tokio::select! {
            biased;
            ended = &mut ending => {
                // What it said is for people: a log that does not end holds nobody up.
                let _ = tokio::time::timeout(REST, telling).await;
                ended
            }
            () = &mut telling => ending.await,
        };
        let runs = async || {
            let seen = self.engine.inspect(name).await.ok().flatten();
            seen.is_some_and(|seen| matches!(seen.state, State::Running { .. } | State::Restarting))
        };
        if ended.is_err() && runs().await {
            // Its limit is over; why it is stopped is the error that counts.
            let _ = self.engine.stop(name, None).await;
        }
        ended
    }

    /// Notes where the log of a container that is to be followed ends now. The time of its start is of no use for that:
    /// the engine takes it when the start is done, by when the first lines may be there.
    pub(super) async fn before_start(&self, plan: &Plan, name: &str) {
        let is_followed = plan
            .steps()
            .iter()
            .any(|step| matches!(&step.action, Action::Follow(wait) if wait.container == name));
        if !is_followed || spec_of(plan, name).is_some() {
            return;
        }
        let options = LogOptions { tail: Some(1), timestamps: true, ..LogOptions::default() };
        if let Ok(log) = self.engine.logs(name, &options).await {
            let note = |line: String| {
                if let (Some(time), _) = stamped(&line) {
                    self.said.borrow_mut().insert(name.to_owned(), time);
                }
            };
            lines(log, note).await;
        }
    }

    /// Tells the lines of its log since its start, until it ends; a log that cannot be read is not told.
    async fn tell_log(&self, name: &str, progress: Progress<'_>) {
        let before = self.said.borrow().get(name).copied();
        // The engine knows whole seconds only.
        let since = before.map(Timestamp::as_second);
        let options = LogOptions { follow: true, since, timestamps: true, ..LogOptions::default() };
        if let Ok(log) = self.engine.logs(name, &options).await {
            let tell = |line: String| {
                let (time, text) = stamped(&line);
                if before.is_none_or(|before| time.is_none_or(|time| time > before)) {
                    progress(engine::Step::Line(text.to_owned()));
                }
            };
            lines(log, tell).await;
        }
    }
}

/// The time that the engine put before a line, and the line.
fn stamped(line: &str) -> (Option<Timestamp>, &str) {
    let (time, text) = line.split_once(' ').unwrap_or((line, ""));
    match time.parse() {
        Ok(time) => (Some(time), text),
        Err(_) => (None, line),
    }
}

/// Calls `tell` with each line; a chunk may end within one.
async fn lines(mut log: LogStream, tell: impl Fn(String)) {
    let text = |line: &[u8]| String::from_utf8_lossy(line).trim_end().to_owned();
    let mut rest: Vec<u8> = vec![];
    while let Some(Ok(chunk)) = log.next().await {
        rest.extend_from_slice(&chunk.bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            tell(text(&line));
        }
    }
    if !rest.is_empty() {
        tell(text(&rest));
    }
}
