//! The history of changes.

use std::time::Instant;

use super::{OpsError, Session, state};
use crate::{
    base::clock,
    model::{Change, Color, Outcome},
    plan::Plan,
    run::Event,
};

/// A change about to be made, as far as it is known before.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    command: String,
    color: Option<Color>,
    release: Option<String>,
    revision: Option<String>,
    images: std::collections::BTreeMap<String, String>,
    plan: Vec<String>,
    forced: bool,
}

impl Recorded {
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), ..Self::default() }
    }

    pub fn plan(mut self, plan: &Plan) -> Self {
        self.plan = plan.lines();
        self
    }

    pub fn release(mut self, color: Color, release: &str) -> Self {
        self.color = Some(color);
        self.release = Some(release.to_owned());
        self
    }

    pub fn made_of(
        mut self,
        revision: Option<&str>,
        images: std::collections::BTreeMap<String, String>,
    ) -> Self {
        self.revision = revision.map(str::to_owned);
        self.images = images;
        self
    }

    pub const fn forced(mut self, forced: bool) -> Self {
        self.forced = forced;
        self
    }
}

/// Does `work` and keeps how it ended. A change that is done counts as done also when it could not be written down.
pub(super) async fn recorded<T>(
    session: &Session<'_>,
    recorded: Recorded,
    work: impl AsyncFnOnce() -> Result<T, OpsError>,
) -> Result<T, OpsError> {
    let started = Instant::now();
    let mut change = Change {
        id: clock::id(),
        command: recorded.command,
        who: session.who(),
        job: session.shell.job(),
        time: clock::now(),
        color: recorded.color,
        release: recorded.release,
        revision: recorded.revision,
        images: recorded.images,
        plan: recorded.plan,
        outcome: Outcome::Done,
        milliseconds: 0,
        forced: recorded.forced,
    };
    let result = tokio::select! {
        result = work() => result,
        () = session.cancel.cancelled() => Err(OpsError::Interrupted),
    };
    change.milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    change.outcome = match &result {
        Ok(_) => Outcome::Done,
        Err(OpsError::Interrupted) => Outcome::Interrupted,
        Err(error) => Outcome::Failed {
            reason: error.to_string().lines().next().unwrap_or_default().to_owned(),
        },
    };
    if let Err(error) = state::record(session, &change).await {
        session.reporter.on(Event::Warning(&format!("the history could not be written: {error}")));
    }
    result
}

/// The changes of the environment, oldest first.
pub async fn history(session: &Session<'_>) -> Result<Vec<Change>, OpsError> {
    let observed = session.observe().await?;
    state::changes(session, &observed).await
}
