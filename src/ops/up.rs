//! `up`: the durable layer, a fresh stack on the idle color, its tests, the switch.

use super::{
    Deployed, OpsError, Session, Switched, Tested, aws, clone,
    deploy::{DeployOptions, deploy_locked},
    durable::{Apply, DurableUp, Layer},
    lock::locked,
    preview::{self, Preview},
    sources, state,
    switch::{SwitchOptions, switch_locked, unfinished},
    test::{Only, test_locked},
    undo::undo,
};
use crate::{
    model::{Color, Container},
    plan,
    run::Event,
};

#[derive(Debug, Clone, Copy, Default)]
pub struct UpOptions {
    /// Remove what stands of the new color when its deployment or its tests fail.
    pub cleanup_on_failure: bool,
}

#[derive(Debug)]
pub struct Up {
    pub durable: Option<DurableUp>,
    /// None: the live color is up to date.
    pub deployed: Option<Deployed>,
    pub tested: Option<Tested>,
    pub switched: Option<Switched>,
    /// Where the live stack is reached.
    pub addresses: Vec<Preview>,
}

/// Brings everything up; when the live color runs exactly what the files say, it only says so.
pub async fn up(session: &Session<'_>, options: UpOptions) -> Result<Up, OpsError> {
    let file = &session.project.file;
    let layer = if file.durable.compose.is_empty() && file.durable.services.is_empty() {
        None
    } else {
        Some(Layer::read(session).await?)
    };
    let durable = match &layer {
        Some(layer) => layer.if_up(session, Apply::No).await?,
        None => None,
    };
    if (layer.is_none() || durable.is_some())
        && let Some(Current { addresses, unfinished: false, .. }) = up_to_date(session).await?
    {
        return Ok(Up { durable, deployed: None, tested: None, switched: None, addresses });
    }
    locked(session, "up", async || {
        // What is wrong with the app's files is said before the durable layer is brought up.
        for color in Color::ALL {
            session.project.load_app(color, "")?;
        }
        let durable = match &layer {
            Some(layer) => {
                session.reporter.on(Event::Phase("durable layer"));
                Some(Box::pin(layer.bring_up(session, Apply::No)).await?)
            }
            None => None,
        };
        // Only the durable layer was down, or another `up` did it meanwhile, or a switch was broken off.
        if let Some(Current { live, addresses, unfinished }) = up_to_date(session).await? {
            let options = SwitchOptions { color: Some(live), ..SwitchOptions::default() };
            let switched = if unfinished {
                Some(Box::pin(switch_locked(session, "switch", options)).await?)
            } else {
                None
            };
            return Ok(Up { durable, deployed: None, tested: None, switched, addresses });
        }
        session.reporter.on(Event::Phase("deploy"));
        let UpOptions { cleanup_on_failure } = options;
        let deploy = DeployOptions { cleanup_on_failure, ..DeployOptions::default() };
        let deployed = Box::pin(deploy_locked(session, deploy)).await?;
        let color = deployed.color;
        session.reporter.on(Event::Phase("test"));
        let tested = test_locked(session, Some(color), &Only::default()).await?;
        if !tested.passed {
            let failed = tested.checks.iter().filter(|check| !check.passed).count();
            let error = OpsError::TestsFailed { color, failed, all: tested.checks.len() };
            return Err(if cleanup_on_failure {
                undo(session, error, color, &deployed.release).await
            } else {
                error
            });
        }
        session.reporter.on(Event::Phase("switch"));
        let options = SwitchOptions { color: Some(color), ..SwitchOptions::default() };
        let switched = Box::pin(switch_locked(session, "switch", options)).await?;
        let files = session.project.load_app(color, &deployed.release)?;
        let addresses = preview::live(session, &files);
        Ok(Up {
            durable,
            deployed: Some(deployed),
            tested: Some(tested),
            switched: Some(switched),
            addresses,
        })
    })
    .await
}

/// A live color that runs exactly what the files say.
struct Current {
    live: Color,
    addresses: Vec<Preview>,
    /// Its switch was broken off: workers are left to stop or to start.
    unfinished: bool,
}

async fn up_to_date(session: &Session<'_>) -> Result<Option<Current>, OpsError> {
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    let Some((live, stack)) =
        routing.live.and_then(|live| Some((live, routing.stacks.get(&live)?)))
    else {
        return Ok(None);
    };
    let (files, mut app) = sources::app(session, live, &stack.release, &stack.replicas).await?;
    clone::give_standing(session, &observed, &mut app).await?;
    let images = sources::images(session, app.services.iter()).await?;
    let proxy = plan::desired::proxy(session.project, &files);
    let proxy_runs = plan::proxy_is_current(&proxy, &observed)
        && observed.container(&proxy.spec.name).is_some_and(Container::is_running);
    let current = proxy_runs
        && stack.routes == app.routes
        && plan::is_up_to_date(&session.project.names, &app, &observed, &images);
    if !current || !aws::is_current(session, &observed, &app).await? {
        return Ok(None);
    }
    if !app.clones.is_empty() {
        let text = format!("{live} is live with a clone of the database, as `status` tells");
        session.reporter.on(Event::Note(&text));
    }
    let rest = unfinished(session, &observed, &routing, live).await?;
    let addresses = preview::live(session, &files);
    Ok(Some(Current { live, addresses, unfinished: !rest.is_empty() }))
}
