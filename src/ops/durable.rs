//! The durable layer: up, down, status.

use serde::Serialize;

use super::{
    OpsError, Session,
    history::{self, Recorded},
    lock::{self, locked},
    ports, sources,
};
use crate::{
    model::{Container, Health, Names, Observed, State, labels},
    plan::{self, Difference, Plan, desired::Durable},
    run::Event,
};

#[derive(Debug)]
pub struct DurableUp {
    pub plan: Plan,
    /// Services whose definition changed and was not applied.
    pub differences: Vec<Difference>,
    /// The layer as it is now.
    pub services: Vec<DurableService>,
}

/// Plans `durable up` without doing it.
pub async fn plan_durable_up(
    session: &Session<'_>,
    apply: bool,
) -> Result<(Plan, Vec<Difference>), OpsError> {
    let desired = sources::durable(session).await?;
    let (observed, images) =
        tokio::try_join!(session.observe(), sources::images(session, desired.services.iter()))?;
    Ok(plan::durable_up(&session.project.names, &desired, &observed, &images, apply)?)
}

/// Brings the durable layer to what its files say; changed definitions only with `apply`.
///
/// When nothing is to be done, nothing is locked or recorded.
pub async fn durable_up(session: &Session<'_>, apply: bool) -> Result<DurableUp, OpsError> {
    let layer = Layer::read(session).await?;
    if let Some(up) = layer.if_up(session, apply).await? {
        return Ok(up);
    }
    locked(session, "durable up", async || layer.bring_up(session, apply).await).await
}

/// The durable layer as its files have it.
pub(super) struct Layer {
    desired: Durable,
}

impl Layer {
    pub async fn read(session: &Session<'_>) -> Result<Self, OpsError> {
        let desired = sources::durable(session).await?;
        for warning in &desired.warnings {
            session.reporter.on(Event::Warning(warning));
        }
        Ok(Self { desired })
    }

    async fn plan(
        &self,
        session: &Session<'_>,
        apply: bool,
    ) -> Result<(Observed, Plan, Vec<Difference>), OpsError> {
        let images = sources::images(session, self.desired.services.iter());
        let (observed, images) = tokio::try_join!(session.observe(), images)?;
        let names = &session.project.names;
        let (plan, differences) =
            plan::durable_up(names, &self.desired, &observed, &images, apply)?;
        Ok((observed, plan, differences))
    }

    /// The layer, when nothing is to be done but to wait and nobody else is at work: that takes no lock and leaves no
    /// record.
    pub async fn if_up(
        &self,
        session: &Session<'_>,
        apply: bool,
    ) -> Result<Option<DurableUp>, OpsError> {
        let (mut observed, plan, differences) = self.plan(session, apply).await?;
        if !plan.only_waits() || lock::current(session, &observed).is_some() {
            return Ok(None);
        }
        if !plan.is_empty() {
            session.execute(&plan, None).await?;
            observed = session.observe().await?;
        }
        Ok(Some(DurableUp {
            plan,
            differences,
            services: services(&session.project.names, &observed),
        }))
    }

    /// Brings it up, under the lock.
    pub async fn bring_up(
        &self,
        session: &Session<'_>,
        apply: bool,
    ) -> Result<DurableUp, OpsError> {
        let (mut observed, plan, differences) = self.plan(session, apply).await?;
        ports::check(session, &plan, &observed)?;
        if !plan.is_empty() {
            let recorded = Recorded::new("durable up").plan(&plan);
            history::recorded(session, recorded, async || session.execute(&plan, None).await)
                .await?;
            observed = session.observe().await?;
        }
        Ok(DurableUp { plan, differences, services: services(&session.project.names, &observed) })
    }
}

/// Stops the durable layer and removes its containers; its data only with `volumes`.
pub async fn durable_down(session: &Session<'_>, volumes: bool) -> Result<Plan, OpsError> {
    locked(session, "durable down", async || {
        let observed = session.observe().await?;
        let plan = plan::durable_down(&session.project.names, &observed, volumes);
        let recorded = Recorded::new("durable down").plan(&plan);
        if plan.is_empty() {
            return Ok(plan);
        }
        history::recorded(session, recorded, async || session.execute(&plan, None).await).await?;
        Ok(plan)
    })
    .await
}

/// A durable service as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DurableService {
    pub service: String,
    pub container: String,
    /// `running`, `healthy`, `starting`, `unhealthy`, `stopped`, `absent`.
    pub state: String,
    pub image: String,
    /// `127.0.0.1:3306 → 3306/tcp`.
    pub ports: Vec<String>,
    pub volumes: Vec<String>,
    pub created: i64,
}

/// The durable layer as it is, also where it differs from its files.
pub async fn durable_status(
    session: &Session<'_>,
) -> Result<(Vec<DurableService>, Vec<Difference>), OpsError> {
    let desired = sources::durable(session).await?;
    let observed = session.observe().await?;
    let names = &session.project.names;
    let mut all = services(names, &observed);
    let mut differences = vec![];
    for service in &desired.services {
        let spec = &service.replicas[0];
        match observed.container(&spec.name) {
            None => all.push(DurableService {
                service: service.key.clone(),
                container: spec.name.clone(),
                state: "absent".to_owned(),
                image: spec.image.clone(),
                ports: vec![],
                volumes: vec![],
                created: 0,
            }),
            Some(found) if !plan::desired::is_of(found, spec) => {
                differences.push(Difference {
                    service: service.key.clone(),
                    container: spec.name.clone(),
                });
            }
            Some(_) => {}
        }
    }
    all.sort_by(|a, b| a.service.cmp(&b.service));
    Ok((all, differences))
}

/// The containers of the durable layer.
pub(super) fn containers<'a>(names: &Names, observed: &'a Observed) -> Vec<&'a Container> {
    let mut all: Vec<&Container> = observed
        .containers
        .iter()
        .filter(|container| {
            container.belongs_to(names) && container.label(labels::LAYER) == Some("durable")
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn services(names: &Names, observed: &Observed) -> Vec<DurableService> {
    services_of(&containers(names, observed))
}

pub(super) fn services_of(containers: &[&Container]) -> Vec<DurableService> {
    containers
        .iter()
        .map(|container| DurableService {
            service: container.label(labels::SERVICE).unwrap_or(&container.name).to_owned(),
            container: container.name.clone(),
            state: state(container.state).to_owned(),
            image: container.image.clone(),
            ports: container
                .ports
                .iter()
                .filter_map(|port| {
                    Some(format!(
                        "{}:{} → {}/{}",
                        port.host_ip, port.host_port?, port.container_port, port.protocol
                    ))
                })
                .collect(),
            volumes: container.volumes.clone(),
            created: container.created,
        })
        .collect()
}

/// A container's state in one word.
pub(super) const fn state(state: State) -> &'static str {
    match state {
        State::Running { health: None } => "running",
        State::Running { health: Some(Health::Healthy) } => "healthy",
        State::Running { health: Some(Health::Starting) } => "starting",
        State::Running { health: Some(Health::Unhealthy) } => "unhealthy",
        State::Restarting => "restarting",
        State::Created => "not started",
        State::Paused => "paused",
        State::Exited { .. } | State::Dead => "stopped",
        State::Removing => "being removed",
    }
}

/// The container of a durable service and the database client's command to run in it.
pub async fn shell_command(
    session: &Session<'_>,
    service: Option<&str>,
) -> Result<(String, Vec<String>), OpsError> {
    let observed = session.observe().await?;
    let all = containers(&session.project.names, &observed);
    let running: Vec<&&Container> = all.iter().filter(|container| container.is_running()).collect();
    let known =
        || running.iter().filter_map(|c| c.label(labels::SERVICE)).map(str::to_owned).collect();
    let chosen = running.iter().find(|container| {
        service.is_none_or(|name| container.label(labels::SERVICE) == Some(name))
            && (service.is_some()
                || running.len() == 1
                || crate::database::Kind::of_image(&container.image).is_some())
    });
    let Some(container) = chosen else {
        return Err(OpsError::NoService {
            name: service.unwrap_or("(any)").to_owned(),
            place: "the running durable layer".to_owned(),
            known: known(),
        });
    };
    let client = crate::database::Kind::of_image(&container.image)
        .map_or("exec sh", crate::database::Kind::client);
    Ok((container.name.clone(), vec!["sh".to_owned(), "-c".to_owned(), client.to_owned()]))
}
