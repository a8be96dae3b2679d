//! `down`: the app goes, and the durable layer stays.

use std::collections::BTreeSet;

use super::{
    OpsError, Session, cleanup,
    history::{self, Recorded},
    lock::locked,
    releases, state,
};
use crate::{
    model::{Color, Routing},
    plan::{self, Plan},
};

#[derive(Debug, Clone, Copy, Default)]
pub struct DownOptions {
    /// Without the hooks of `before_cleanup`.
    pub force: bool,
    /// The environment's name was typed: what is live goes too.
    pub confirmed: bool,
}

/// The color that serves, if one does.
pub async fn serving(session: &Session<'_>) -> Result<Option<Color>, OpsError> {
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    Ok(plan::serving(&session.project.names, &observed, &routing))
}

/// Plans the removal of the app without doing it.
pub async fn plan_down(session: &Session<'_>, options: DownOptions) -> Result<Plan, OpsError> {
    Ok(planned(session, options).await?.plan)
}

struct Planned {
    plan: Plan,
    routing: Routing,
    slots: Vec<releases::Slot>,
    images_stay: bool,
}

async fn planned(session: &Session<'_>, options: DownOptions) -> Result<Planned, OpsError> {
    let observed = session.observe().await?;
    let names = &session.project.names;
    let (routing, slots, images) = tokio::try_join!(
        state::routing(session, &observed),
        releases::slots(session, &observed),
        cleanup::images(session),
    )?;
    let retained = BTreeSet::new();
    let let_go = cleanup::let_go(names, &slots, &retained);
    let plan = plan::down(&plan::Down {
        names,
        observed: &observed,
        routing: &routing,
        made: plan::Made { images: &images, retained: &retained, let_go: &let_go },
        hooks: (!options.force).then_some(session.wait),
        confirmed: options.confirmed,
    })?;
    let images_stay = cleanup::stay(session, &observed);
    Ok(Planned { plan, routing, slots, images_stay })
}

/// Removes both colors, the proxy and the images that envctl made for them. The history stays.
pub async fn down(session: &Session<'_>, options: DownOptions) -> Result<Plan, OpsError> {
    locked(session, "down", async || {
        let Planned { plan, routing, slots, images_stay } = planned(session, options).await?;
        let known = routing.live.is_some() || !routing.stacks.is_empty();
        if plan.is_empty() && !known {
            return Ok(plan);
        }
        let recorded = Recorded::new("down").plan(&plan).forced(options.force);
        history::recorded(session, recorded, async || {
            session.execute_through(&plan).await?;
            let observed = session.observe().await?;
            state::empty(session, &observed).await?;
            if images_stay {
                return Ok(());
            }
            releases::let_go(session, &observed, &slots, &BTreeSet::new()).await
        })
        .await?;
        Ok(plan)
    })
    .await
}
