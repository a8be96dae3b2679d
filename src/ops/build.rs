//! `build`: the images of both layers, ahead of whatever needs them.

use std::{collections::BTreeMap, time::Duration};

use super::{OpsError, Session, sources};
use crate::{
    model::Color,
    plan::{self, Id, Plan},
    run::Event,
};

#[derive(Debug)]
pub struct Built {
    pub plan: Plan,
    /// How long each step took.
    pub took: BTreeMap<Id, Duration>,
}

/// Pulls and builds the images that are not there. Takes no lock: no container, network or volume is touched, and the
/// builder itself makes the same image once.
pub async fn build(session: &Session<'_>) -> Result<Built, OpsError> {
    let mut services = vec![];
    match sources::durable(session).await {
        Ok(durable) => services.extend(durable.services),
        Err(OpsError::NoDurableLayer) => {}
        Err(error) => return Err(error),
    }
    for color in Color::ALL {
        let (_, app) = sources::app(session, color, "", &BTreeMap::new()).await?;
        for warning in app.warnings.iter().filter(|_| color == Color::Blue) {
            session.reporter.on(Event::Warning(warning));
        }
        services.extend(app.services);
    }
    let images = sources::images(session, services.iter()).await?;
    let plan = plan::build(services.iter(), &images);
    let took = session.execute(&plan, None).await?;
    Ok(Built { plan, took })
}
