//! The releases that are kept for a way back: which they are, and where.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use super::{
    OpsError, Session,
    release::{KeptImage, Release},
    sources, state,
};
use crate::{
    model::{Change, Color, FileSpec, Observed, Outcome, Routing},
    plan::desired::App,
    run::Event,
};

const FOLDER: &str = "/state/releases";
/// The user that the proxy runs as.
const NOBODY: u64 = 65534;

/// A place for one release, which is used again when its release is let go.
#[derive(Debug)]
pub(super) struct Slot {
    number: usize,
    pub release: Option<Release>,
}

/// Keeps a release that was just deployed: images under names of its own, the stack in the proxy's state. Without it the
/// deployment is as good, but for the way back.
pub(super) async fn keep(
    session: &Session<'_>,
    app: &App,
    revision: Option<&str>,
) -> BTreeMap<String, KeptImage> {
    match Box::pin(try_keep(session, app, revision)).await {
        Ok(images) => images,
        Err(error) => {
            let text = format!("release {} is not kept for a rollback: {error}", app.release);
            session.reporter.on(Event::Warning(&text));
            BTreeMap::new()
        }
    }
}

async fn try_keep(
    session: &Session<'_>,
    app: &App,
    revision: Option<&str>,
) -> Result<BTreeMap<String, KeptImage>, OpsError> {
    let (observed, present) =
        tokio::try_join!(session.observe(), sources::images(session, app.services.iter()))?;
    let release = Release::of(session.project, app, revision, &present, session.wait)?;
    let tags = release.tags(&session.project.names);
    let tagged = async {
        let each = tags.iter().map(|(tag, id)| session.engine.tag(id, tag));
        try_join_all(each).await.map_err(OpsError::from)
    };
    let (_, slots, changes, routing) = tokio::try_join!(
        tagged,
        slots(session, &observed),
        state::changes(session, &observed),
        state::routing(session, &observed),
    )?;
    let retained = retained(session, &changes, &routing);
    let free = slots
        .iter()
        .find(|slot| slot.release.as_ref().is_none_or(|kept| !retained.contains(&kept.id)));
    if let Some(old) = free.and_then(|slot| slot.release.as_ref()) {
        for tag in old.tags(&session.project.names).keys() {
            session.engine.remove_image(tag).await?;
        }
    }
    let number = free.map_or(slots.len(), |slot| slot.number);
    write(session, &observed, number, release.bytes()).await?;
    Ok(release.images)
}

/// All that are kept.
pub(super) async fn slots(
    session: &Session<'_>,
    observed: &Observed,
) -> Result<Vec<Slot>, OpsError> {
    let files = state::folder(session, observed, FOLDER).await?;
    let mut slots: Vec<Slot> = files
        .into_iter()
        .filter_map(|(name, bytes)| {
            let number = name.strip_suffix(".json")?.parse().ok()?;
            Some(Slot { number, release: Release::read(&bytes) })
        })
        .collect();
    slots.sort_by_key(|slot| slot.number);
    Ok(slots)
}

/// Empties the slots whose releases are not retained.
pub(super) async fn let_go(
    session: &Session<'_>,
    observed: &Observed,
    slots: &[Slot],
    retained: &BTreeSet<String>,
) -> Result<(), OpsError> {
    for slot in slots {
        if slot.release.as_ref().is_some_and(|kept| !retained.contains(&kept.id)) {
            write(session, observed, slot.number, b"{}".to_vec()).await?;
        }
    }
    Ok(())
}

/// Only its owner reads it: what a Compose file says in clear is in it in clear.
async fn write(
    session: &Session<'_>,
    observed: &Observed,
    number: usize,
    content: Vec<u8>,
) -> Result<(), OpsError> {
    let path = format!("{FOLDER}/{number}.json");
    let file = FileSpec { path, content, mode: 0o600, uid: NOBODY, gid: NOBODY };
    state::write(session, observed, file).await
}

/// The releases that were live, oldest first, the one that is live last; one that was live twice in a row counts once.
pub(super) fn served(changes: &[Change], routing: &Routing) -> Vec<String> {
    let moves =
        changes.iter().filter(|change| matches!(change.command.as_str(), "switch" | "rollback"));
    let mut all: Vec<String> = vec![];
    for change in moves {
        // What was replaced served, also where the switch that brought it died before it was written down.
        all.extend(change.replaced.clone());
        if change.outcome == Outcome::Done {
            all.extend(change.release.clone());
        }
    }
    all.extend(live(routing).map(str::to_owned));
    all.dedup();
    all
}

/// The release that is live.
pub(super) fn live(routing: &Routing) -> Option<&str> {
    let color: Color = routing.live?;
    routing.stacks.get(&color).map(|stack| stack.release.as_str())
}

/// The last releases that were live, as many as the project file says, and what stands.
pub(super) fn retained(
    session: &Session<'_>,
    changes: &[Change],
    routing: &Routing,
) -> BTreeSet<String> {
    let most = usize::from(session.project.file.app.retain);
    let mut last: Vec<String> = vec![];
    for release in served(changes, routing).into_iter().rev() {
        if last.len() < most && !last.contains(&release) {
            last.push(release);
        }
    }
    last.into_iter().chain(routing.stacks.values().map(|stack| stack.release.clone())).collect()
}
