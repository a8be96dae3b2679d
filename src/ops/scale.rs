//! `scale`: more or fewer replicas of a service of a color that stands.

use std::{collections::BTreeMap, time::Duration};

use super::{
    OpsError, Session, aws, clone,
    history::{self, Recorded},
    lock::locked,
    ports, sources, state,
};
use crate::{
    model::Color,
    plan::{self, Conflict, Id, Plan, Scale},
};

#[derive(Debug, Clone)]
pub struct ScaleOptions {
    pub service: String,
    pub replicas: u32,
    /// None: the live one.
    pub color: Option<Color>,
}

#[derive(Debug)]
pub struct Scaled {
    pub color: Color,
    /// Empty: it had so many already.
    pub plan: Plan,
    /// How long each step took.
    pub took: BTreeMap<Id, Duration>,
}

/// Brings a service of a standing color to a number of replicas; no request that comes through the proxy is lost.
pub async fn scale(session: &Session<'_>, options: &ScaleOptions) -> Result<Scaled, OpsError> {
    let ScaleOptions { service, replicas, color } = options;
    locked(session, &format!("scale {service}={replicas}"), async || {
        let observed = session.observe().await?;
        let routing = state::routing(session, &observed).await?;
        let color = color.or(routing.live).ok_or(OpsError::NothingLive)?;
        let stack = routing.stacks.get(&color).ok_or(Conflict::NoRelease { color })?;
        let mut numbers = stack.replicas.clone();
        numbers.insert(service.clone(), *replicas);
        let (_, mut app) = sources::app(session, color, &stack.release, &numbers).await?;
        clone::give_standing(session, &observed, &mut app).await?;
        let Some(scaled) = app.services.iter().find(|other| other.key == *service) else {
            return Err(OpsError::NoService {
                name: service.clone(),
                place: format!("{color}, whose replicas could be more or fewer"),
                known: app.services.iter().map(|other| other.key.clone()).collect(),
            });
        };
        let images = sources::images(session, std::iter::once(scaled)).await?;
        let plan = plan::scale(&Scale {
            names: &session.project.names,
            app: &app,
            service: scaled,
            observed: &observed,
            images: &images,
            routing: &routing,
            drain: session.project.file.proxy.drain,
            aws: aws::for_outputs(session, &observed, color)?,
        })?;
        if plan.is_empty() {
            return Ok(Scaled { color, plan, took: BTreeMap::new() });
        }
        ports::check(session, &plan, &observed)?;
        let recorded = Recorded::new("scale")
            .release(color, &stack.release)
            .made_of(stack.revision.as_deref(), stack.images.clone())
            .plan(&plan);
        let took = history::recorded(session, recorded, async || {
            session.execute(&plan, Some(color)).await
        })
        .await?;
        Ok(Scaled { color, plan, took })
    })
    .await
}
