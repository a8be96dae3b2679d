//! The steps that bring services up, in the order that `depends_on` asks for: for the durable layer and for a color.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Action, Aws, Id, ImageJob, Plan, Until, Wait,
    aws::uses_outputs,
    certificates::{self, Signed},
    desired::{Role, Service},
};
use crate::{
    compose::Condition,
    model::{Image, Mount, ServiceSpec, labels},
};

/// What the services of a stack wait for, by what it is.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// By the image's name.
    pub images: BTreeMap<String, Id>,
    /// By name.
    pub networks: BTreeMap<String, Id>,
    /// By name.
    pub volumes: BTreeMap<String, Id>,
    /// The removal of what had the container's name, or the stop of what is started anew.
    pub removed: BTreeMap<String, Id>,
    /// The look at the data that a container is made on, by the container's name.
    pub checked: BTreeMap<String, Id>,
    /// The certificate that a container finds when it starts, by the container's name.
    pub certificates: BTreeMap<String, Signed>,
    /// The proxy, for services that it is to reach.
    pub proxy: Option<Id>,
    /// The stack of AWS resources, whose outputs are in variables of services.
    pub aws: Option<Aws>,
}

impl Before {
    /// The networks and volumes that a container is made on.
    fn places<'a>(&'a self, spec: &'a ServiceSpec) -> impl Iterator<Item = &'a Id> {
        let networks = spec.networks.iter().filter_map(|it| self.networks.get(&it.network));
        let volumes = spec.mounts.iter().filter_map(|mount| match mount {
            Mount::Volume { source: Some(name), .. } => self.volumes.get(name),
            _ => None,
        });
        networks.chain(volumes)
    }
}

/// What is done for one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    Wait,
    Start,
    Create,
}

/// Adds a step for each image that is not there.
pub(super) fn images<'a>(
    plan: &mut Plan,
    services: impl Iterator<Item = &'a Service>,
    present: &'a BTreeMap<String, Image>,
) -> BTreeMap<String, Id> {
    let mut images = Images { present, steps: BTreeMap::new(), built: BTreeMap::new() };
    for service in services {
        let reason = if present.contains_key(&service.image.tag) {
            format!("`pull_policy` of {} asks for the newest", service.key)
        } else {
            format!("{} needs it", service.key)
        };
        images.add(plan, &service.image, &reason);
    }
    images.steps
}

struct Images<'a> {
    present: &'a BTreeMap<String, Image>,
    /// By the image's name.
    steps: BTreeMap<String, Id>,
    /// By the hash of what it is built from.
    built: BTreeMap<&'a str, Id>,
}

impl<'a> Images<'a> {
    fn add(&mut self, plan: &mut Plan, job: &'a ImageJob, reason: &str) -> Option<Id> {
        if self.present.contains_key(&job.tag) && !job.refresh {
            return None;
        }
        if let Some(step) = self.steps.get(&job.tag) {
            return Some(*step);
        }
        let reason_of_bases = format!("{} is built on it", job.tag);
        let mut after: Vec<Id> =
            job.bases.iter().filter_map(|base| self.add(plan, base, &reason_of_bases)).collect();
        let hash = job.build.as_ref().and_then(|build| build.labels.get(labels::CONTEXT_HASH));
        // The same build under another name: after the first the builder has all of it.
        after.extend(hash.and_then(|hash| self.built.get(hash.as_str())));
        let verb = match (&job.pull, &job.build) {
            (Some(_), Some(_)) => "pull or build",
            (Some(_), None) => "pull",
            _ => "build",
        };
        let step = plan.push(
            after,
            Action::GetImage(Box::new(job.clone())),
            format!("{verb} image {}", job.tag),
            reason,
        );
        self.steps.insert(job.tag.clone(), step);
        if let Some(hash) = hash {
            self.built.entry(hash).or_insert(step);
        }
        Some(step)
    }
}

/// Adds the steps of all services; returns those after which everything that shall run is ready, and the rest is made.
///
/// `label` is put before a service's key for people (`green/`), `need` says what a service's containers need and why.
pub(super) fn services(
    plan: &mut Plan,
    all: &[Service],
    label: &str,
    before: &Before,
    need: &dyn Fn(&Service) -> (Need, String),
) -> Vec<Id> {
    let mut ready: BTreeMap<&str, Vec<Id>> = BTreeMap::new();
    let mut started: BTreeMap<&str, Vec<Id>> = BTreeMap::new();
    let mut created: BTreeMap<&str, Id> = BTreeMap::new();
    let outputs_used = all.iter().any(|service| {
        need(service).0 == Need::Create && service.replicas.iter().any(uses_outputs)
    });
    let own_aws = before.aws.as_ref().filter(|aws| aws.service.is_none());
    let mut outputs = own_aws.and_then(|aws| aws.push(plan, [], outputs_used, false));
    for service in in_order(all) {
        let (what, reason) = need(service);
        let shown = format!("{label}{}", service.key);
        let replicas = service.replicas.len();
        let times =
            |number: usize| if replicas > 1 { format!("{shown}-{number}") } else { shown.clone() };
        let runs = matches!(service.role, Role::Main | Role::Job | Role::Clone);
        for (index, spec) in service.replicas.iter().enumerate() {
            let mut last = None;
            if what == Need::Create {
                let after =
                    before
                        .images
                        .get(&spec.image)
                        .into_iter()
                        .chain(before.places(spec))
                        .chain(before.removed.get(&spec.name))
                        .chain(before.checked.get(&spec.name))
                        .chain(outputs.as_ref().filter(|_| uses_outputs(spec)))
                        // The engine looks for these when it makes the container.
                        .chain(spec.volumes_from.iter().filter_map(|from| {
                            created.get(from.split(':').next().unwrap_or_default())
                        }))
                        .copied();
                let step = plan.push(
                    after,
                    Action::Create(Box::new(spec.clone())),
                    format!("create {} ({})", times(index + 1), spec.image),
                    reason.clone(),
                );
                created.insert(&spec.name, step);
                last = Some(step);
            }
            if !runs {
                // It is not started with the stack, but the stack is not whole without it.
                ready.entry(&service.key).or_default().extend(last);
                continue;
            }
            if matches!(what, Need::Create | Need::Start) {
                if what == Need::Start {
                    plan.know(spec.clone());
                }
                let stopped = before.removed.get(&spec.name).filter(|_| what == Need::Start);
                let signed = before.certificates.get(&spec.name).map(|signed| {
                    certificates::sign(plan, last, signed, "the server reads it when it starts")
                });
                let mut after: Vec<Id> =
                    last.into_iter().chain(stopped.copied()).chain(signed).collect();
                let mut why = BTreeSet::new();
                for (other, condition) in &service.depends_on {
                    let steps = match condition {
                        Condition::Started => started.get(other.as_str()),
                        Condition::Healthy | Condition::Completed => ready.get(other.as_str()),
                    };
                    after.extend(steps.into_iter().flatten());
                    why.insert(other.as_str());
                }
                let reason = match (what, why.is_empty()) {
                    (Need::Start, _) => reason.clone(),
                    (_, true) => "depends on nothing".to_owned(),
                    _ => format!("after {}", why.into_iter().collect::<Vec<_>>().join(", ")),
                };
                let step = plan.push(
                    after,
                    Action::Start(spec.name.clone()),
                    format!("start {}", times(index + 1)),
                    reason,
                );
                started.entry(&service.key).or_default().push(step);
                last = Some(step);
            }
            if what != Need::Nothing {
                let (until, verb) = match (&service.role, &service.routed) {
                    (Role::Job, _) => (Until::Completed, "has ended well"),
                    (_, Some((host, ports))) => {
                        (Until::Accepting { host: host.clone(), ports: ports.clone() }, "is ready")
                    }
                    _ => (Until::Healthy, "is healthy"),
                };
                let needs_proxy = matches!(until, Until::Accepting { .. });
                let after = last.into_iter().chain(before.proxy.filter(|_| needs_proxy));
                let wait = Wait {
                    container: spec.name.clone(),
                    service: times(index + 1),
                    until,
                    limit: service.limit,
                };
                let reason = dependents(all, &service.key, service.routed.is_some());
                let step = plan.push(
                    after,
                    Action::Await(Box::new(wait)),
                    format!("wait until {} {verb}", times(index + 1)),
                    reason,
                );
                ready.entry(&service.key).or_default().push(step);
            }
        }
        let stands_for_it =
            |aws: &&Aws| aws.service.as_deref().is_some_and(|own| own == service.key);
        if let Some(aws) = before.aws.as_ref().filter(stands_for_it) {
            let after = ready.get(service.key.as_str()).cloned().unwrap_or_default();
            let starts = matches!(what, Need::Create | Need::Start);
            outputs = aws.push(plan, after, outputs_used, starts);
            // Whoever waits for what stands for AWS waits for what is to be found there.
            ready.entry(&service.key).or_default().extend(outputs);
        }
    }
    ready.into_values().flatten().chain(outputs).collect()
}

fn dependents(all: &[Service], key: &str, routed: bool) -> String {
    let names: Vec<&str> = all
        .iter()
        .filter(|other| other.depends_on.contains_key(key))
        .map(|other| other.key.as_str())
        .collect();
    match names.is_empty() {
        false => format!("{} depends on it", names.join(", ")),
        true if routed => "a route leads to it".to_owned(),
        true => "it is part of the stack".to_owned(),
    }
}

/// Services after those that they depend on; otherwise by name. A circle (which reading the files refuses) is cut.
pub(super) fn in_order(all: &[Service]) -> Vec<&Service> {
    fn visit<'a>(
        service: &'a Service,
        all: &'a [Service],
        seen: &mut BTreeSet<&'a str>,
        order: &mut Vec<&'a Service>,
    ) {
        if !seen.insert(&service.key) {
            return;
        }
        for key in service.depends_on.keys() {
            if let Some(other) = all.iter().find(|other| other.key == *key) {
                visit(other, all, seen, order);
            }
        }
        order.push(service);
    }
    let (mut seen, mut order) = (BTreeSet::new(), vec![]);
    for service in all {
        visit(service, all, &mut seen, &mut order);
    }
    order
}
