//! `cleanup`: the idle color goes.

use std::collections::BTreeSet;

use super::{
    OpsError, Session,
    history::{self, Recorded},
    lock::locked,
    releases, state, switch,
};
use crate::{
    base::clock,
    model::{Color, Image, Names, Observed, labels},
    plan::{self, Plan},
    run::Event,
};

/// Seconds.
const YOUNG: i64 = 3600;

#[derive(Debug)]
pub struct Cleanup {
    pub color: Color,
    pub plan: Plan,
}

/// Plans the removal of the idle color (or of the one named) without doing it.
pub async fn plan_cleanup(
    session: &Session<'_>,
    color: Option<Color>,
    force: bool,
) -> Result<Cleanup, OpsError> {
    Ok(planned(session, color, force).await?.cleanup)
}

/// The images that envctl made of the project, and those of proxies.
pub(super) async fn images(session: &Session<'_>) -> Result<Vec<Image>, OpsError> {
    let project = session.engine.images(labels::PROJECT, Some(&session.project.names.project));
    let proxies = session.engine.images(labels::LAYER, Some("proxy"));
    let (mut images, proxies) = tokio::try_join!(project, proxies)?;
    // A young one may be of a deployment that is about to make its proxy from it, in whatever project.
    let old = clock::seconds() - YOUNG;
    images.extend(proxies.into_iter().filter(|image| image.created < old));
    Ok(images)
}

/// The names that keep images of releases that are not retained.
pub(super) fn let_go(
    names: &Names,
    slots: &[releases::Slot],
    retained: &BTreeSet<String>,
) -> BTreeSet<String> {
    let kept = slots.iter().filter_map(|slot| slot.release.as_ref());
    let old = kept.filter(|kept| !retained.contains(&kept.id));
    old.flat_map(|kept| kept.tags(names).into_keys()).collect()
}

/// Whether all images stay; says why.
pub(super) fn stay(session: &Session<'_>, observed: &Observed) -> bool {
    let busy = plan::busy(&session.project.names, observed);
    if let Some(other) = busy {
        session.reporter.on(Event::Note(&format!(
            "all images stay: something is under way in the environment `{other}`"
        )));
    }
    busy.is_some()
}

struct Planned {
    cleanup: Cleanup,
    retained: BTreeSet<String>,
    slots: Vec<releases::Slot>,
}

async fn planned(
    session: &Session<'_>,
    color: Option<Color>,
    force: bool,
) -> Result<Planned, OpsError> {
    let observed = session.observe().await?;
    let names = &session.project.names;
    let (routing, changes, slots, images) = tokio::try_join!(
        state::routing(session, &observed),
        state::changes(session, &observed),
        releases::slots(session, &observed),
        images(session),
    )?;
    let color = color.unwrap_or_else(|| Session::idle(&routing));
    let mut retained = releases::retained(session, &changes, &routing);
    // What the color still holds goes with it, unless it was live.
    let served = releases::served(&changes, &routing);
    if let Some(stack) = routing.stacks.get(&color)
        && !served.contains(&stack.release)
    {
        retained.remove(&stack.release);
    }
    let let_go = let_go(names, &slots, &retained);
    let plan = plan::cleanup(&plan::Cleanup {
        names,
        color,
        observed: &observed,
        routing: &routing,
        made: plan::Made { images: &images, retained: &retained, let_go: &let_go },
        drain: session.project.file.proxy.drain,
        hooks: (!force).then_some(session.wait),
    })?;
    if stay(session, &observed) {
        // Their stacks stay with them.
        retained.extend(slots.iter().filter_map(|slot| Some(slot.release.as_ref()?.id.clone())));
    }
    Ok(Planned { cleanup: Cleanup { color, plan }, retained, slots })
}

/// Removes the idle color: waits for its connections, then removes containers, networks, volumes and images that nothing
/// uses and no retained release needs. The live color is refused. A failure keeps nothing else from going; all failures
/// come at the end. With `force` its hooks do not run.
pub async fn cleanup(
    session: &Session<'_>,
    color: Option<Color>,
    force: bool,
) -> Result<Cleanup, OpsError> {
    locked(session, "cleanup", async || {
        let observed = session.observe().await?;
        let routing = state::routing(session, &observed).await?;
        switch::finish(session, &observed, &routing).await?;
        let Planned { cleanup, retained, slots } = planned(session, color, force).await?;
        if cleanup.plan.is_empty() {
            return Ok(cleanup);
        }
        let mut recorded = Recorded::new("cleanup").plan(&cleanup.plan);
        recorded = recorded.release(cleanup.color, "").forced(force);
        history::recorded(session, recorded, async || {
            // What could not be removed is still on record, so that the next cleanup finds it.
            session.execute_through(&cleanup.plan).await?;
            let observed = session.observe().await?;
            releases::let_go(session, &observed, &slots, &retained).await
        })
        .await?;
        Ok(cleanup)
    })
    .await
}
