//! `cleanup`: the idle color goes.

use super::{
    OpsError, Session,
    history::{self, Recorded},
    lock::locked,
    state, switch,
};
use crate::{
    base::clock,
    model::{Color, labels},
    plan::{self, Plan},
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
    let observed = session.observe().await?;
    let names = &session.project.names;
    let (routing, images, proxies) = tokio::try_join!(
        state::routing(session, &observed),
        async { Ok(session.engine.images(labels::PROJECT, Some(&names.project)).await?) },
        async { Ok(session.engine.images(labels::LAYER, Some("proxy")).await?) },
    )?;
    let color = color.unwrap_or_else(|| Session::idle(&routing));
    // A young one may be of a deployment that is about to make its proxy from it, in whatever project.
    let old = clock::seconds() - YOUNG;
    let proxies = proxies.into_iter().filter(|image| image.created < old);
    let images: Vec<_> = images.into_iter().chain(proxies).collect();
    let drain = session.project.file.proxy.drain;
    let hooks = (!force).then_some(session.wait);
    let plan = plan::cleanup(names, color, &observed, &routing, &images, drain, hooks)?;
    Ok(Cleanup { color, plan })
}

/// Removes the idle color: waits for its connections, then removes containers, networks, volumes and images that nothing
/// uses. The live color is refused. With `force` its hooks do not run.
pub async fn cleanup(
    session: &Session<'_>,
    color: Option<Color>,
    force: bool,
) -> Result<Cleanup, OpsError> {
    locked(session, "cleanup", async || {
        let observed = session.observe().await?;
        let routing = state::routing(session, &observed).await?;
        switch::finish(session, &observed, &routing).await?;
        let planned = plan_cleanup(session, color, force).await?;
        if planned.plan.is_empty() {
            return Ok(planned);
        }
        let mut recorded = Recorded::new("cleanup").plan(&planned.plan);
        recorded = recorded.release(planned.color, "").forced(force);
        history::recorded(session, recorded, async || session.execute(&planned.plan, None).await)
            .await?;
        Ok(planned)
    })
    .await
}
