//! `status`: what stands, and who gets the traffic.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    DurableService, OpsError, Session,
    durable::{containers, state as word},
    lock,
    preview::{self, Preview},
    state,
};
use crate::model::{Color, Holder, Stack, control::Draining, labels};

/// An environment as it is.
#[derive(Debug, Serialize)]
pub struct Status {
    pub project: String,
    pub environment: String,
    pub live: Option<Color>,
    /// When the traffic last moved.
    pub switched: Option<String>,
    pub proxy: ProxyStatus,
    pub colors: BTreeMap<Color, ColorStatus>,
    pub durable: Vec<DurableService>,
    /// The operation that runs now.
    pub lock: Option<Holder>,
    /// Where the live stack is reached.
    pub addresses: Vec<Preview>,
}

#[derive(Debug, Serialize)]
pub struct ProxyStatus {
    /// `running`, `stopped`, `absent`.
    pub state: String,
    pub version: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct ColorStatus {
    pub release: Option<String>,
    pub revision: Option<String>,
    pub created: Option<String>,
    /// Whether its tests passed; none when it was not tested.
    pub tested: Option<bool>,
    pub services: Vec<ServiceStatus>,
    pub previews: Vec<Preview>,
    pub draining: Option<Draining>,
}

#[derive(Debug, Serialize)]
pub struct ServiceStatus {
    pub service: String,
    pub container: String,
    pub state: String,
    pub image: String,
}

/// Looks; changes nothing and waits for nobody.
pub async fn status(session: &Session<'_>) -> Result<Status, OpsError> {
    let names = &session.project.names;
    let observed = session.observe().await?;
    let answer = state::proxy_status(session, &observed).await?;
    let routing = match &answer {
        Some(status) => status.routing.clone(),
        None => state::routing(session, &observed).await?,
    };
    // Where the files cannot be read the addresses are left out: what stands can be told without them.
    let files = session.project.load_app(routing.live.unwrap_or(Color::Blue), "").ok();
    let mut colors = BTreeMap::new();
    for color in Color::ALL {
        let services: Vec<ServiceStatus> = observed
            .containers
            .iter()
            .filter(|found| {
                found.belongs_to(names) && found.label(labels::COLOR) == Some(color.as_str())
            })
            .map(|found| ServiceStatus {
                service: found.label(labels::SERVICE).unwrap_or(&found.name).to_owned(),
                container: found.name.clone(),
                state: word(found.state).to_owned(),
                image: found.image.clone(),
            })
            .collect();
        let stack: Option<&Stack> = routing.stacks.get(&color);
        if stack.is_none() && services.is_empty() {
            continue;
        }
        let mut services = services;
        services.sort_by(|a, b| a.container.cmp(&b.container));
        colors.insert(
            color,
            ColorStatus {
                release: stack.map(|stack| stack.release.clone()),
                revision: stack.and_then(|stack| stack.revision.clone()),
                created: stack.map(|stack| stack.created.clone()),
                tested: stack.and_then(|stack| stack.tests.as_ref()?["passed"].as_bool()),
                services,
                previews: files
                    .as_ref()
                    .map(|files| preview::of(session, files, color))
                    .unwrap_or_default(),
                draining: answer.as_ref().and_then(|status| status.draining.get(&color).copied()),
            },
        );
    }
    let proxy = match (&answer, observed.container(&names.proxy())) {
        (Some(status), _) => {
            ProxyStatus { state: "running".to_owned(), version: Some(status.version.clone()) }
        }
        (None, Some(found)) => ProxyStatus { state: word(found.state).to_owned(), version: None },
        (None, None) => ProxyStatus { state: "absent".to_owned(), version: None },
    };
    let durable = containers(names, &observed);
    let durable = super::durable::services_of(&durable);
    Ok(Status {
        project: names.project.clone(),
        environment: names.environment.clone(),
        live: routing.live,
        switched: routing.switched,
        proxy,
        colors,
        durable,
        lock: lock::current(session, &observed),
        addresses: files.map(|files| preview::live(session, &files)).unwrap_or_default(),
    })
}
