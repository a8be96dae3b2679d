//! The history of changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use futures_util::future::join_all;

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
    images: BTreeMap<String, String>,
    image_ids: BTreeMap<String, String>,
    digests: BTreeMap<String, String>,
    plan: Vec<String>,
    forced: bool,
    clone: bool,
    replaced: Option<String>,
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

    pub fn made_of(mut self, revision: Option<&str>, images: BTreeMap<String, String>) -> Self {
        self.revision = revision.map(str::to_owned);
        self.images = images;
        self
    }

    /// By service.
    pub fn image_ids(mut self, ids: BTreeMap<String, String>) -> Self {
        self.image_ids = ids;
        self
    }

    /// Those of registries, by service, as far as they are known beforehand: the engine is asked for the rest.
    pub fn digests(mut self, digests: BTreeMap<String, String>) -> Self {
        self.digests = digests;
        self
    }

    /// The release that is live before.
    pub fn replaces(mut self, release: Option<&str>) -> Self {
        self.replaced = release.map(str::to_owned);
        self
    }

    pub const fn forced(mut self, forced: bool) -> Self {
        self.forced = forced;
        self
    }

    /// Whether the color has a copy of the database.
    pub const fn clone(mut self, clone: bool) -> Self {
        self.clone = clone;
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
    let image_ids = recorded.image_ids.clone();
    session.journal.begin(Change {
        command: recorded.command,
        who: session.who(),
        job: session.shell.job(),
        time: clock::now(),
        color: recorded.color,
        release: recorded.release,
        revision: recorded.revision,
        images: recorded.images,
        image_ids: recorded.image_ids,
        digests: recorded.digests,
        plan: recorded.plan,
        forced: recorded.forced,
        clone: recorded.clone,
        replaced: recorded.replaced,
        ..Change::new(clock::id(), Outcome::Done)
    });
    let result = tokio::select! {
        (result, digests) = async { tokio::join!(work(), digests(session, &image_ids)) } => {
            session.journal.note(|change| {
                for (service, digest) in digests {
                    change.digests.entry(service).or_insert(digest);
                }
            });
            result
        }
        () = session.cancel.cancelled() => Err(OpsError::Interrupted),
    };
    let Some(mut change) = session.journal.current().map(|entry| entry.change) else {
        return result;
    };
    change.milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    change.outcome = match &result {
        Ok(_) => Outcome::Done,
        Err(OpsError::Interrupted) => Outcome::Interrupted,
        Err(error) => Outcome::Failed {
            reason: error.to_string().lines().next().unwrap_or_default().to_owned(),
        },
    };
    let written = async {
        let observed = session.observe().await?;
        state::record(session, &observed, &change).await
    };
    if let Err(error) = written.await {
        session.reporter.on(Event::Warning(&format!("the history could not be written: {error}")));
    }
    session.journal.end();
    result
}

/// The digests of images, by service; none of what no registry gave one, or cannot be asked for.
async fn digests(
    session: &Session<'_>,
    image_ids: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let distinct: BTreeSet<&String> = image_ids.values().collect();
    let each = distinct.into_iter().map(|id| async move {
        let image = session.engine.image(id).await.ok()??;
        Some((id, image.digests.into_iter().next()?))
    });
    let found: BTreeMap<&String, String> = join_all(each).await.into_iter().flatten().collect();
    let of = |(service, id): (&String, &String)| Some((service.clone(), found.get(id)?.clone()));
    image_ids.iter().filter_map(of).collect()
}

/// The changes of the environment, oldest first.
pub async fn history(session: &Session<'_>) -> Result<Vec<Change>, OpsError> {
    let observed = session.observe().await?;
    state::changes(session, &observed).await
}
