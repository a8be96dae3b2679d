//! One-shot services: their log is told as it comes, and one that runs too long is stopped.

use std::{pin::pin, time::Duration};

use futures_util::StreamExt as _;

use super::{Executor, RunError};
use crate::{
    engine::{self, LogOptions, LogStream},
    model::State,
    plan::{Plan, Wait},
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

    /// Tells the lines of its log since its last start, until it ends; a log that cannot be read is not told.
    async fn tell_log(&self, name: &str, progress: Progress<'_>) {
        let seen = self.engine.inspect(name).await.ok().flatten();
        let started = seen.and_then(|seen| seen.started).unwrap_or_default();
        // The engine knows whole seconds only.
        let since = Some(started / 1000);
        let options = LogOptions { follow: true, since, timestamps: true, ..LogOptions::default() };
        if let Ok(log) = self.engine.logs(name, &options).await {
            let tell = |line: String| {
                let stamped = line.split_once(' ').unwrap_or((&line, ""));
                match stamped.0.parse::<jiff::Timestamp>() {
                    Ok(time) if time.as_millisecond() < started => {}
                    Ok(_) => progress(engine::Step::Line(stamped.1.to_owned())),
                    Err(_) => progress(engine::Step::Line(line)),
                }
            };
            lines(log, tell).await;
        }
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
