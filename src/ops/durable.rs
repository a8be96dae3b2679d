//! The durable layer: up, down, status.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    OpsError, Session, aws, connections,
    database::kind_of,
    definition, down,
    history::{self, Recorded},
    lock::{self, locked},
    ports, recovery, restore, rotate, snapshot,
    snapshots::Stored,
    sources,
};
use crate::{
    database::{Connections, Encryption, Kind},
    model::{Color, Container, Health, Names, Observed, State, labels},
    plan::{self, Action, Difference, Id, Plan, desired::Durable},
    run::Event,
};

/// What becomes of a changed definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// It is told.
    No,
    /// A new container gets the data; a snapshot is taken first where its server is of a higher version.
    AfterSnapshot,
    AtOnce,
}

#[derive(Debug)]
pub struct DurableUp {
    pub plan: Plan,
    /// How long each step took.
    pub took: BTreeMap<Id, Duration>,
    /// Services whose definition changed and was not applied.
    pub differences: Vec<Difference>,
    /// The layer as it is now.
    pub services: Vec<DurableService>,
    /// The snapshots that were taken first.
    pub taken: Vec<Stored>,
}

/// Plans `durable up` without doing it.
pub async fn plan_durable_up(
    session: &Session<'_>,
    apply: bool,
) -> Result<(Plan, Vec<Difference>), OpsError> {
    let layer = Layer { desired: sources::durable(session).await? };
    let Planned { plan, differences, .. } = layer.plan(session, apply).await?;
    Ok((plan::with_snapshots(&plan), differences))
}

/// Brings the durable layer to what its files say; changed definitions only with `apply`.
///
/// When nothing is to be done, nothing is locked or recorded.
pub async fn durable_up(session: &Session<'_>, apply: Apply) -> Result<DurableUp, OpsError> {
    let layer = Layer::read(session).await?;
    if let Some(up) = layer.if_up(session, apply).await? {
        return Ok(up);
    }
    locked(session, "durable up", async || {
        let Some(project) = rotate::finish(session).await? else {
            return layer.bring_up(session, apply).await;
        };
        let session = session.with(&project);
        Layer::read(&session).await?.bring_up(&session, apply).await
    })
    .await
}

/// Deletes the durable layer with its data and makes it anew, seeds and all; the environment's name was typed.
pub async fn durable_reset(session: &Session<'_>, data: Data) -> Result<DurableUp, OpsError> {
    let layer = Layer::read(session).await?;
    locked(session, "durable up --reset", async || {
        let (_, taken) = bring_down(session, data, "durable up --reset").await?;
        let up = layer.bring_up(session, Apply::No).await?;
        Ok(DurableUp { taken, ..up })
    })
    .await
}

/// The durable layer as its files have it.
pub(super) struct Layer {
    desired: Durable,
}

struct Planned {
    observed: Observed,
    plan: Plan,
    differences: Vec<Difference>,
    /// What envctl's own image is built from, for as long as it may be.
    _folder: Option<tempfile::TempDir>,
}

impl Layer {
    pub async fn read(session: &Session<'_>) -> Result<Self, OpsError> {
        let desired = sources::durable(session).await?;
        for warning in &desired.warnings {
            session.reporter.on(Event::Warning(warning));
        }
        Ok(Self { desired })
    }

    async fn plan(&self, session: &Session<'_>, apply: bool) -> Result<Planned, OpsError> {
        let (names, desired) = (&session.project.names, &self.desired);
        let images = sources::images(session, desired.services.iter());
        let (observed, images) = tokio::try_join!(session.observe(), images)?;
        let aws = aws::for_durable(session, &observed, desired, apply).await?;
        let (signing, folder) = connections::signing(session, desired, &observed).await?;
        let (plan, mut differences) =
            plan::durable_up(names, desired, &observed, &images, aws, &signing, apply)?;
        definition::explain(session, desired, &observed, &mut differences).await?;
        Ok(Planned { observed, plan, differences, _folder: folder })
    }

    /// The layer, when nothing is to be done but to wait and nobody else is at work: that takes no lock and leaves no
    /// record.
    pub async fn if_up(
        &self,
        session: &Session<'_>,
        apply: Apply,
    ) -> Result<Option<DurableUp>, OpsError> {
        let Planned { mut observed, plan, differences, .. } =
            self.plan(session, apply != Apply::No).await?;
        let busy = lock::current(session, &observed).is_some();
        if !plan.only_waits() || busy || !restore::is_settled(session, &observed) {
            return Ok(None);
        }
        let mut took = BTreeMap::new();
        if !plan.is_empty() {
            took = match session.execute(&plan, None).await {
                Err(error) if recovery::needed(session, &self.desired, &error).await.is_some() => {
                    return Ok(None);
                }
                done => done?,
            };
            observed = session.observe().await?;
        }
        Ok(Some(DurableUp {
            plan,
            took,
            differences,
            services: services(&session.project.names, &observed),
            taken: vec![],
        }))
    }

    /// Brings it up, under the lock.
    pub async fn bring_up(
        &self,
        session: &Session<'_>,
        apply: Apply,
    ) -> Result<DurableUp, OpsError> {
        let before_upgrades = apply == Apply::AfterSnapshot;
        let apply = apply != Apply::No;
        let mut planned = self.plan(session, apply).await?;
        if !restore::is_settled(session, &planned.observed) {
            restore::settle(session).await?;
            planned = self.plan(session, apply).await?;
        }
        let Planned { mut observed, mut plan, differences, _folder } = planned;
        ports::check(session, &plan, &observed)?;
        if apply {
            let mut applied = definition::changed(&self.desired, &observed);
            definition::explain(session, &self.desired, &observed, &mut applied).await?;
            for Difference { service, changes, .. } in &applied {
                for change in changes {
                    session.reporter.on(Event::Note(&format!("{service}: {change}")));
                }
            }
        }
        let mut taken = vec![];
        if before_upgrades {
            taken = snapshots_before_upgrades(session, &plan).await?;
        }
        let mut took = BTreeMap::new();
        if !plan.is_empty() {
            let recorded = Recorded::new("durable up").plan(&plan);
            let work = async || self.carry_out(session, plan, apply).await;
            (plan, took) = history::recorded(session, recorded, work).await?;
            observed = session.observe().await?;
        }
        let services = services(&session.project.names, &observed);
        Ok(DurableUp { plan, took, differences, services, taken })
    }

    /// Executes a plan. A database that cannot start by itself is helped, once; the plan of what was left comes back then.
    async fn carry_out(
        &self,
        session: &Session<'_>,
        plan: Plan,
        apply: bool,
    ) -> Result<(Plan, BTreeMap<Id, Duration>), OpsError> {
        let error = match session.execute(&plan, None).await {
            Ok(took) => return Ok((plan, took)),
            Err(error) => error,
        };
        let Some(stuck) = recovery::needed(session, &self.desired, &error).await else {
            return Err(error);
        };
        recovery::recover(session, stuck).await?;
        let left = self.plan(session, apply).await?;
        let took = session.execute(&left.plan, None).await?;
        Ok((left.plan, took))
    }
}

/// Takes a snapshot of each database that is to get a server of a higher version.
async fn snapshots_before_upgrades(
    session: &Session<'_>,
    plan: &Plan,
) -> Result<Vec<Stored>, OpsError> {
    let looks = plan::looks(plan);
    if looks.is_empty() {
        return Ok(vec![]);
    }
    let heard = session.execute_hearing(&looks).await?;
    let mut taken = vec![];
    for (id, heard) in heard {
        let Action::CheckData(check) = &looks.step(id).action else { continue };
        let upgrade = format!("before the upgrade {}", heard.text);
        taken.push(snapshot::before_upgrade(session, &check.service, upgrade).await?);
    }
    Ok(taken)
}

/// The volumes of a plan to remove some that no service of the files has: nothing tells what is in them. Data that gave its
/// place to a copy is not among them.
fn of_no_service(desired: &Durable, observed: &Observed, plan: &Plan) -> Vec<String> {
    let mut all: Vec<String> = vec![];
    for step in plan.steps() {
        let Action::RemoveVolume(name) = &step.action else { continue };
        let is_of_service = desired
            .services
            .iter()
            .any(|service| service.replicas[0].volumes().any(|volume| volume == name));
        let is_kept =
            observed.volume(name).is_some_and(|it| it.labels.contains_key(labels::RESTORE));
        if !is_of_service && !is_kept {
            all.push(name.clone());
        }
    }
    all
}

/// The volumes that go with the data and that no service of the files has.
pub async fn volumes_of_no_service(session: &Session<'_>) -> Result<Vec<String>, OpsError> {
    let (desired, observed) = (sources::durable(session).await?, session.observe().await?);
    let plan = plan::durable_down(&session.project.names, &observed, true)?;
    Ok(of_no_service(&desired, &observed, &plan))
}

/// Services with data on volumes of which no snapshot is taken.
pub async fn without_snapshot(session: &Session<'_>) -> Result<Vec<String>, OpsError> {
    let (desired, observed) = (sources::durable(session).await?, session.observe().await?);
    let lost = desired.services.into_iter().filter(|service| {
        let spec = &service.replicas[0];
        let is_copied = Kind::of_image(&spec.image).is_some_and(Kind::is_copied);
        !is_copied && spec.volumes().any(|volume| observed.volume(volume).is_some())
    });
    Ok(lost.map(|service| service.key).collect())
}

/// What becomes of the data when the layer goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    Stays,
    GoesAfterSnapshot,
    Goes,
}

/// The color that serves beside a layer that runs: without it, it is left without its database.
pub async fn leans_on_durable(session: &Session<'_>) -> Result<Option<Color>, OpsError> {
    let observed = session.observe().await?;
    let mut durable = containers(&session.project.names, &observed).into_iter();
    if durable.any(Container::is_running) { down::serving(session).await } else { Ok(None) }
}

/// Stops the durable layer and removes its containers; returns the last snapshots that were taken of its data.
pub async fn durable_down(
    session: &Session<'_>,
    data: Data,
) -> Result<(Plan, Vec<Stored>), OpsError> {
    locked(session, "durable down", async || bring_down(session, data, "durable down").await).await
}

/// Does it, under the lock.
async fn bring_down(
    session: &Session<'_>,
    data: Data,
    command: &str,
) -> Result<(Plan, Vec<Stored>), OpsError> {
    let mut observed = session.observe().await?;
    if !restore::is_settled(session, &observed) {
        restore::settle(session).await?;
        observed = session.observe().await?;
    }
    let plan = plan::durable_down(&session.project.names, &observed, data != Data::Stays)?;
    if plan.is_empty() {
        return Ok((plan, vec![]));
    }
    let taken = match data {
        Data::GoesAfterSnapshot => {
            let desired = sources::durable(session).await?;
            let volumes = of_no_service(&desired, &observed, &plan);
            if !volumes.is_empty() {
                return Err(OpsError::NoLastSnapshot { volumes });
            }
            snapshot::last(session, &observed).await?
        }
        Data::Stays | Data::Goes => vec![],
    };
    let recorded = Recorded::new(command).plan(&plan);
    history::recorded(session, recorded, async || session.execute(&plan, None).await).await?;
    Ok((plan, taken))
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
    /// What of a database that answers is encrypted on the disk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub encryption: Vec<Encryption>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<Connections>,
}

/// How long a database may take to tell what of it is encrypted.
const TELLING: Duration = Duration::from_secs(10);

/// The durable layer as it is, also where it differs from its files.
pub async fn durable_status(
    session: &Session<'_>,
) -> Result<(Vec<DurableService>, Vec<Difference>), OpsError> {
    let desired = sources::durable(session).await?;
    let observed = session.observe().await?;
    let names = &session.project.names;
    let mut all = services(names, &observed);
    for service in &mut all {
        let found = observed.container(&service.container);
        let running = found.filter(|found| found.is_running());
        let kind = running.and_then(|found| kind_of(&desired, found));
        if let Some(kind) = kind.filter(|kind| kind.is_copied()) {
            let ask = kind.call("told", &[]);
            let told = session.engine.exec(&service.container, &ask, TELLING);
            // One that does not answer has its state, which says more.
            if let Ok(told) = told.await {
                service.encryption = Encryption::read(&told.text);
                service.connections = Connections::read(&told.text);
            }
        }
    }
    let mut differences = definition::changed(&desired, &observed);
    definition::explain(session, &desired, &observed, &mut differences).await?;
    for service in &desired.services {
        let spec = &service.replicas[0];
        if observed.container(&spec.name).is_none() {
            all.push(DurableService {
                service: service.key.clone(),
                container: spec.name.clone(),
                state: "absent".to_owned(),
                image: spec.image.clone(),
                ports: vec![],
                volumes: vec![],
                created: 0,
                encryption: vec![],
                connections: None,
            });
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
            encryption: vec![],
            connections: None,
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
    statement: Option<&str>,
) -> Result<(String, Vec<String>), OpsError> {
    let observed = session.observe().await?;
    let all = containers(&session.project.names, &observed);
    let running: Vec<&&Container> = all.iter().filter(|container| container.is_running()).collect();
    let known =
        || running.iter().filter_map(|c| c.label(labels::SERVICE)).map(str::to_owned).collect();
    let chosen = running.iter().find(|container| {
        service.is_none_or(|name| container.label(labels::SERVICE) == Some(name))
            && (service.is_some() || running.len() == 1 || Kind::of_container(container).is_some())
    });
    let Some(container) = chosen else {
        return Err(OpsError::NoService {
            name: service.unwrap_or("(any)").to_owned(),
            place: "the running durable layer".to_owned(),
            known: known(),
        });
    };
    let kind = Kind::of_container(container);
    let client = kind.map_or("exec sh \"$@\"", Kind::client);
    let mut words = ["sh", "-c", client].map(str::to_owned).to_vec();
    if let Some(statement) = statement {
        let flag = kind.map_or("-c", Kind::statement);
        words.extend(
            ["client", flag, statement].map(str::to_owned).into_iter().filter(|w| !w.is_empty()),
        );
    }
    Ok((container.name.clone(), words))
}
