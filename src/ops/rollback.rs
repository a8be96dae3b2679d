//! `rollback`: the traffic goes back to a release that was live before, which is deployed again where it stands no more.

use std::collections::BTreeMap;

use super::{
    OpsError, Session, Switched,
    deploy::{self, Ready},
    history::{self, Recorded},
    lock::locked,
    ports,
    release::{KeptImage, Release},
    releases, state,
    switch::{SwitchOptions, plan_switch, switch_locked},
};
use crate::{
    model::{Change, Color, Observed, Routing, Stack},
    plan::{
        Plan,
        desired::{self, Proxy},
    },
    run::Event,
};

#[derive(Debug, Clone, Default)]
pub struct RollbackOptions {
    /// A release, or the number of a change in the history; none: the one that was live before.
    pub to: Option<String>,
}

/// What a rollback would do.
#[derive(Debug)]
pub struct Rollback {
    pub color: Color,
    pub release: String,
    /// The switch where the release stands, else its deployment, after which the traffic moves.
    pub plan: Plan,
    pub redeployed: bool,
}

/// Where the way back leads.
struct Way {
    release: String,
    color: Color,
    /// What is to be deployed first; none where it stands.
    ready: Option<Ready>,
    /// Of what is deployed first, by service.
    images: BTreeMap<String, KeptImage>,
}

impl Way {
    /// To what stands.
    const fn standing(release: String, color: Color) -> Self {
        Self { release, color, ready: None, images: BTreeMap::new() }
    }
}

/// Plans a rollback without doing it.
pub async fn plan_rollback(
    session: &Session<'_>,
    options: &RollbackOptions,
) -> Result<Rollback, OpsError> {
    let way = find(session, options).await?;
    let Way { release, color, ready, .. } = way;
    let redeployed = ready.is_some();
    let plan = match ready {
        Some(ready) => ready.plan,
        None => plan_switch(session, back_to(color)).await?,
    };
    Ok(Rollback { color, release, plan, redeployed })
}

/// Moves the traffic back. What a release needs that is gone is said before anything is touched.
pub async fn rollback(
    session: &Session<'_>,
    options: &RollbackOptions,
) -> Result<Switched, OpsError> {
    locked(session, "rollback", async || {
        let Way { color, ready, images, .. } = find(session, options).await?;
        if let Some(ready) = ready {
            let observed = session.observe().await?;
            ports::check(session, &ready.plan, &observed)?;
            let recorded = Recorded::new("deploy")
                .release(color, &ready.release)
                .made_of(ready.revision.as_deref(), ready.images.clone())
                .image_ids(of_images(&images, |image| Some(image.id.clone())))
                .digests(of_images(&images, |image| image.digest.clone()))
                .plan(&ready.plan);
            history::recorded(session, recorded, async || {
                session.execute(&ready.plan, Some(color)).await
            })
            .await?;
        }
        // It served before: that is its test.
        Box::pin(switch_locked(session, "rollback", back_to(color))).await
    })
    .await
}

const fn back_to(color: Color) -> SwitchOptions {
    SwitchOptions { color: Some(color), force: true, bake: None, keep_clone: false }
}

async fn find(session: &Session<'_>, options: &RollbackOptions) -> Result<Way, OpsError> {
    let observed = session.observe().await?;
    let (routing, changes) =
        tokio::try_join!(state::routing(session, &observed), state::changes(session, &observed))?;
    let live = routing.live.ok_or(OpsError::NothingLive)?;
    if let (None, Some(_)) = (&options.to, &routing.canary) {
        // What is new has a share only: the way back is to all that was there before.
        let release = releases::live(&routing).unwrap_or_default().to_owned();
        return Ok(Way::standing(release, live));
    }
    let release = target(options, &changes, &routing)?;
    let stands = |(color, stack): (&Color, &Stack)| {
        (*color != live && stack.release == release).then_some(*color)
    };
    if let Some(color) = routing.stacks.iter().find_map(stands) {
        return Ok(Way::standing(release, color));
    }
    let color = live.other();
    let revision = || {
        let of = |change: &&Change| change.release.as_ref() == Some(&release);
        changes.iter().rev().filter(of).find_map(|change| change.revision.clone())
    };
    let slots = releases::slots(session, &observed).await?;
    let kept = slots.into_iter().filter_map(|slot| slot.release);
    let Some(kept) = kept.into_iter().find(|kept| kept.id == release) else {
        return Err(OpsError::NotKept { revision: revision(), release });
    };
    if changes.iter().any(|change| change.clone && change.release.as_ref() == Some(&release)) {
        let text =
            format!("release {release} had a clone of the database: it gets the durable one");
        session.reporter.on(Event::Warning(&text));
    }
    let ready = Box::pin(again(session, &kept, color, &observed, &routing)).await?;
    Ok(Way { release, color, ready: Some(ready), images: kept.images })
}

/// Something of each image that has it, by service.
fn of_images(
    images: &BTreeMap<String, KeptImage>,
    what: impl Fn(&KeptImage) -> Option<String>,
) -> BTreeMap<String, String> {
    let all = images.iter();
    all.filter_map(|(service, image)| Some((service.clone(), what(image)?))).collect()
}

/// The release to go back to.
fn target(
    options: &RollbackOptions,
    changes: &[Change],
    routing: &Routing,
) -> Result<String, OpsError> {
    let served = releases::served(changes, routing);
    let live = releases::live(routing).unwrap_or_default();
    let Some(to) = &options.to else {
        let before = served.into_iter().rev().find(|release| release != live);
        return before.ok_or_else(|| OpsError::NothingToRollBack { release: live.to_owned() });
    };
    let numbered = || {
        let change = changes.get(to.parse::<usize>().ok()?.checked_sub(1)?)?;
        change.release.clone()
    };
    let release = if served.contains(to) { to.clone() } else { numbered().unwrap_or_default() };
    if release == live {
        return Err(OpsError::LiveAlready { release });
    }
    if served.contains(&release) {
        Ok(release)
    } else {
        Err(OpsError::NeverServed { release: to.clone() })
    }
}

/// The deployment of a release from what was kept of it.
async fn again(
    session: &Session<'_>,
    kept: &Release,
    color: Color,
    observed: &Observed,
    routing: &Routing,
) -> Result<Ready, OpsError> {
    let names = &session.project.names;
    // By its own name where that still stands for it, else by the one that it is kept under.
    let mut found = BTreeMap::new();
    let mut gone = vec![];
    for (service, image) in &kept.images {
        let is_it = async |name: &str| -> Result<bool, OpsError> {
            Ok(session.engine.image(name).await?.is_some_and(|found| found.id == image.id))
        };
        let mut there = None;
        for name in [&image.name, &names.kept_image(&kept.id, &image.id), &image.id] {
            if there.is_none() && is_it(name).await? {
                there = Some(name.clone());
            }
        }
        match there {
            Some(name) => {
                found.insert(service.clone(), name);
            }
            None => gone.push(format!("{service} ({}, {})", image.name, image.id)),
        }
    }
    if !gone.is_empty() {
        return Err(OpsError::ImagesGone {
            release: kept.id.clone(),
            revision: kept.revision.clone(),
            services: gone,
        });
    }
    let app = kept.app(session.project, color, &found)?;
    let listens = |stack: &Stack| -> Vec<(u16, bool, bool)> {
        stack.routes.iter().map(|route| (route.listen, route.tls, route.tcp)).collect()
    };
    let now: Vec<_> = routing.stacks.values().flat_map(listens).collect();
    let unheard: Vec<u16> = app
        .routes
        .iter()
        .filter(|route| !now.contains(&(route.listen, route.tls, route.tcp)))
        .map(|route| route.listen)
        .collect();
    if !unheard.is_empty() {
        return Err(OpsError::OtherPorts {
            release: kept.id.clone(),
            revision: kept.revision.clone(),
            ports: unheard,
        });
    }
    let proxy = match observed.container(&names.proxy()) {
        Some(found) => Proxy::standing(names, found),
        None => desired::proxy(session.project, &session.project.load_app(color, &kept.id)?),
    };
    let revision = kept.revision.clone();
    deploy::ready(session, app, &proxy, (observed, routing), revision, false).await
}
