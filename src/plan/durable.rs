//! `durable up`: what is missing is made, what is stopped is started, what runs is left alone. No plan of this module
//! removes a volume.

use std::collections::BTreeMap;

use super::{
    Action, Aws, Conflict, DataCheck, Id, Plan, Signing, certificates, conflict,
    desired::{Certified, Durable, Service, is_of},
    stack::{self, Before, Need},
};
use crate::{
    database::{Kind, LOOK},
    model::{
        Container, Health, Healthcheck, Image, Logging, Mount, Names, Observed, ServiceSpec, State,
        labels,
    },
};

/// A durable service whose definition is another than that of its container.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    pub service: String,
    pub container: String,
    /// What differs, as far as the container tells.
    pub changes: Vec<FieldChange>,
}

/// A field of a definition that differs; secrets are redacted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldChange {
    /// `command[1]`, `environment.NAME`.
    pub field: String,
    pub old: Option<String>,
    pub new: Option<String>,
}

impl Difference {
    pub fn new(service: &str, container: &str) -> Self {
        Self { service: service.to_owned(), container: container.to_owned(), changes: vec![] }
    }
}

impl std::fmt::Display for FieldChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        write!(f, "{}: {} → {}", self.field, shown(&self.old), shown(&self.new))
    }
}

/// Plans `durable up`. Changed definitions come back as differences, and are applied with `apply` only: by a new
/// container on the same volumes, its image at hand before the old one is stopped.
pub fn durable_up(
    names: &Names,
    desired: &Durable,
    observed: &Observed,
    images: &BTreeMap<String, Image>,
    aws: Option<Aws>,
    signing: &Signing,
    apply: bool,
) -> Result<(Plan, Vec<Difference>), Conflict> {
    let mut plan = Plan::default();
    let mut differences = vec![];
    let mut before = Before { aws, ..Before::default() };
    conflict::external(observed, names, &desired.external)?;

    let mut missing = vec![];
    for network in &desired.networks {
        let layer = network.labels.get(labels::LAYER).map_or("durable", String::as_str);
        if conflict::own_network(observed, names, layer, &network.name)?.is_none() {
            missing.push(network);
        }
    }
    let mut needs: BTreeMap<&str, (Need, String)> = BTreeMap::new();
    for service in &desired.services {
        let spec = &service.replicas[0];
        let found = conflict::own_container(observed, names, "durable", &spec.name)?;
        let need = match found {
            None => (Need::Create, "not found".to_owned()),
            Some(found) if changed(service, found) && apply => {
                (Need::Create, "its definition changed".to_owned())
            }
            Some(found)
                if spec.networks.iter().any(|a| missing.iter().any(|m| m.name == a.network)) =>
            {
                if changed(service, found) {
                    return Err(Conflict::NeedsApply { service: service.key.clone() });
                }
                (Need::Create, "its network was gone".to_owned())
            }
            Some(found) if matches!(found.state, State::Dead | State::Removing) => {
                (Need::Create, "its removal was broken off".to_owned())
            }
            Some(found) => {
                differences.extend(difference(service, found, apply));
                as_found(service, found)
            }
        };
        // Also where it runs: it is not stopped for a definition that cannot hold.
        if matches!(need.0, Need::Create | Need::Start) {
            conflict::volumes(observed, names, &desired.services, spec)?;
            conflict::ports(observed, &spec.name, &spec.ports)?;
        }
        needs.insert(&service.key, need);
    }

    let made =
        desired.services.iter().filter(|service| needs[service.key.as_str()].0 == Need::Create);
    before.images = stack::images(&mut plan, made.clone(), images);
    for service in made {
        let spec = &service.replicas[0];
        let found = observed.container(&spec.name);
        // The image is at hand, and known to suit the data, before the old container stops.
        let mut after = before.images.get(&spec.image).copied();
        if let Some(check) = data_check(names, service, found, observed) {
            let step = plan.push(
                after,
                Action::CheckData(Box::new(check)),
                format!("check that {} may open the data of {}", spec.image, service.key),
                "the data is there already",
            );
            before.checked.insert(spec.name.clone(), step);
            after = Some(step);
        }
        let Some(found) = found else { continue };
        let reason = needs[service.key.as_str()].1.clone();
        // Another server takes over only what the old one has written out.
        let stop = if changed_image(service, Some(found)) {
            Action::StopCleanly(spec.name.clone())
        } else {
            Action::Stop(spec.name.clone())
        };
        let stop = plan.push(after, stop, format!("stop {}", service.key), reason.clone());
        let remove = plan.push(
            [stop],
            Action::RemoveDurable(spec.name.clone()),
            format!("remove the container of {} (its volumes stay)", service.key),
            reason,
        );
        before.removed.insert(spec.name.clone(), remove);
    }
    for service in desired.services.iter().filter(|s| needs[s.key.as_str()].0 == Need::Start) {
        let spec = &service.replicas[0];
        if observed.container(&spec.name).is_some_and(|found| found.state == State::Paused) {
            let stop = plan.push(
                [],
                Action::Stop(spec.name.clone()),
                format!("stop {}", service.key),
                "it is paused",
            );
            before.removed.insert(spec.name.clone(), stop);
        }
    }
    // After the removals: a container that was made on the old network would never start on a new one of the same name.
    for network in missing {
        let removed: Vec<Id> = before.removed.values().copied().collect();
        let made = plan.push(
            removed,
            Action::CreateNetwork(Box::new(network.clone())),
            format!("create network {}", network.name),
            "not found",
        );
        before.networks.insert(network.name.clone(), made);
    }
    for volume in &desired.volumes {
        let layer = volume.labels.get(labels::LAYER).map_or("durable", String::as_str);
        if conflict::own_volume(observed, names, layer, &volume.name)?.is_none() {
            let made = plan.push(
                [],
                Action::CreateVolume(Box::new(volume.clone())),
                format!("create volume {}", volume.name),
                "not found",
            );
            before.volumes.insert(volume.name.clone(), made);
        }
    }
    // Before each start: the server reads it then.
    let starts =
        |one: &Certified| matches!(needs[one.service.as_str()].0, Need::Create | Need::Start);
    let is_due = |one: &Certified| !starts(one) && signing.due.contains(&one.service);
    let wanted: Vec<_> =
        desired.certified.iter().filter(|one| starts(one) || is_due(one)).collect();
    before.certificates =
        certificates::prepare(&mut plan, names, &wanted, signing, observed, &before.volumes);
    stack::services(&mut plan, &desired.services, "", &before, &|service| {
        needs[service.key.as_str()].clone()
    });
    for one in wanted.into_iter().filter(|one| is_due(one)) {
        if let Some(signed) = before.certificates.get(&one.container) {
            certificates::renew(&mut plan, one, signed);
        }
    }
    Ok((plan, differences))
}

/// Of a plan what looks at data before another image gets it, and the images for that: nothing is stopped or changed.
pub fn looks(plan: &Plan) -> Plan {
    let mut looks = Plan::default();
    let mut ids: BTreeMap<Id, Id> = BTreeMap::new();
    for step in plan.steps() {
        let looks_at = match &step.action {
            Action::GetImage(_) => true,
            Action::CheckData(check) => check.last.is_some(),
            _ => false,
        };
        if looks_at {
            let after: Vec<Id> = step.after.iter().filter_map(|id| ids.get(id).copied()).collect();
            let (title, reason) = (step.title.clone(), step.reason.clone());
            ids.insert(step.id, looks.push(after, step.action.clone(), title, reason));
        }
    }
    if looks.steps().iter().any(|step| matches!(step.action, Action::CheckData(_))) {
        looks
    } else {
        Plan::default()
    }
}

/// The plan as people see it beforehand: with the snapshots that the use case takes where a look finds a higher version.
pub fn with_snapshots(plan: &Plan) -> Plan {
    let mut shown = Plan::default();
    let mut ids: BTreeMap<Id, Id> = BTreeMap::new();
    for step in plan.steps() {
        let after: Vec<Id> = step.after.iter().filter_map(|id| ids.get(id).copied()).collect();
        let mut id =
            shown.push(after, step.action.clone(), step.title.clone(), step.reason.clone());
        if let Action::CheckData(check) = &step.action
            && check.last.is_some()
            && Kind::of_image(&check.look.image).is_some_and(Kind::is_copied)
        {
            let service = check.service.clone();
            let title = format!("take a snapshot of {service}");
            let reason = format!("if {} is of a higher version than its data", check.look.image);
            id = shown.push([id], Action::Snapshot(service), title, reason);
        }
        ids.insert(step.id, id);
    }
    shown
}

/// What looks at the data of a service's volumes with the eyes of its new image; none where none of them is there yet.
fn data_check(
    names: &Names,
    service: &Service,
    found: Option<&Container>,
    observed: &Observed,
) -> Option<DataCheck> {
    let spec = &service.replicas[0];
    // What has worked on these volumes goes on.
    let is_same = |found: &Container| {
        found.image == spec.image
            && spec.volumes().all(|volume| found.volumes.iter().any(|mounted| mounted == volume))
    };
    if !spec.volumes().any(|volume| observed.volume(volume).is_some()) || found.is_some_and(is_same)
    {
        return None;
    }
    let mut mounts = vec![];
    let mut command = vec!["-c".to_owned(), LOOK.to_owned(), "look".to_owned()];
    for mount in &spec.mounts {
        let Mount::Volume { source: Some(name), target, subpath, .. } = mount else { continue };
        if observed.volume(name).is_some() {
            mounts.push(Mount::Volume {
                source: Some(name.clone()),
                target: target.clone(),
                read_only: true,
                nocopy: true,
                subpath: subpath.clone(),
            });
            command.push(target.clone());
        }
    }
    let of = [
        (labels::PROJECT, names.project.as_str()),
        (labels::ENVIRONMENT, names.environment.as_str()),
        (labels::LAYER, "check"),
    ];
    let look = ServiceSpec {
        name: names.data_check(&service.key),
        image: spec.image.clone(),
        platform: spec.platform.clone(),
        entrypoint: Some(vec!["sh".to_owned()]),
        command: Some(command),
        labels: of.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        network_mode: Some("none".to_owned()),
        // Data folders are their server's alone.
        user: Some("0".to_owned()),
        mounts,
        healthcheck: Some(Healthcheck::none()),
        // What it says is read, whatever the engine's own choice is.
        logging: Some(Logging { driver: Some("json-file".to_owned()), options: BTreeMap::new() }),
        ..ServiceSpec::default()
    };
    let last = found.map(|found| found.image_id.clone()).filter(|_| changed_image(service, found));
    Some(DataCheck { service: service.key.clone(), look, last })
}

fn changed_image(service: &Service, found: Option<&Container>) -> bool {
    found.is_some_and(|found| found.image != service.replicas[0].image)
}

fn changed(service: &Service, found: &Container) -> bool {
    !is_of(found, &service.replicas[0])
}

fn difference(service: &Service, found: &Container, apply: bool) -> Option<Difference> {
    (changed(service, found) && !apply).then(|| Difference::new(&service.key, &found.name))
}

fn as_found(service: &Service, found: &Container) -> (Need, String) {
    match found.state {
        State::Running { health: Some(Health::Starting | Health::Unhealthy) }
        | State::Restarting => (Need::Wait, String::new()),
        State::Running { .. } => (Need::Nothing, String::new()),
        State::Created => (Need::Start, "never started".to_owned()),
        State::Paused => (Need::Start, "it is paused".to_owned()),
        State::Exited { .. } | State::Dead | State::Removing => {
            (Need::Start, format!("{} is stopped", service.key))
        }
    }
}
