//! `up`: the durable layer, a fresh stack on the idle color, its tests, the switch.

use super::{
    Deployed, OpsError, Session, Switched, Tested,
    deploy::{DeployOptions, deploy},
    durable::{DurableUp, durable_up},
    preview::{self, Preview},
    sources, state,
    switch::{SwitchOptions, switch},
    test::test,
};
use crate::{
    model::{Color, Observed, Routing},
    plan::{self, Switch},
    run::Event,
};

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
pub async fn up(session: &Session<'_>) -> Result<Up, OpsError> {
    let file = &session.project.file;
    let durable = if file.durable.compose.is_empty() && file.durable.services.is_empty() {
        None
    } else {
        session.reporter.on(Event::Phase("durable layer"));
        Some(Box::pin(durable_up(session, false)).await?)
    };
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    if let Some(live) = routing.live
        && let Some(stack) = routing.stacks.get(&live)
    {
        let (files, app) = sources::app(session, live, &stack.release).await?;
        let images = sources::images(session, app.services.iter()).await?;
        let proxy = plan::desired::proxy(session.project, &files);
        let proxy_runs = plan::proxy_is_current(&proxy, &observed)
            && observed
                .container(&proxy.spec.name)
                .is_some_and(crate::model::Container::is_running);
        let same_routes = stack.routes == app.routes;
        if proxy_runs
            && same_routes
            && plan::is_up_to_date(&session.project.names, &app, &observed, &images)
        {
            let addresses = preview::live(session, &files);
            let switched = finish_switch(session, live, &observed, &routing).await?;
            return Ok(Up { durable, deployed: None, tested: None, switched, addresses });
        }
    }
    session.reporter.on(Event::Phase("deploy"));
    let deployed = Box::pin(deploy(session, DeployOptions::default())).await?;
    let color = deployed.color;
    session.reporter.on(Event::Phase("test"));
    let tested = test(session, Some(color)).await?;
    if !tested.passed {
        let failed = tested.checks.iter().filter(|check| !check.passed).count();
        return Err(OpsError::TestsFailed { color, failed, all: tested.checks.len() });
    }
    session.reporter.on(Event::Phase("switch"));
    let options = SwitchOptions { color: Some(color), force: false };
    let switched = Box::pin(switch(session, options)).await?;
    let files = session.project.load_app(color, &deployed.release)?;
    let addresses = preview::live(session, &files);
    Ok(Up {
        durable,
        deployed: Some(deployed),
        tested: Some(tested),
        switched: Some(switched),
        addresses,
    })
}

/// Moves the workers that an earlier switch, which was broken off, did not get to.
async fn finish_switch(
    session: &Session<'_>,
    live: Color,
    observed: &Observed,
    routing: &Routing,
) -> Result<Option<Switched>, OpsError> {
    let rest = plan::switch(&Switch {
        names: &session.project.names,
        to: live,
        observed,
        routing,
        tested: false,
        force: false,
        wait: session.wait,
    })?;
    if rest.is_empty() {
        return Ok(None);
    }
    let options = SwitchOptions { color: Some(live), force: false };
    Box::pin(switch(session, options)).await.map(Some)
}
