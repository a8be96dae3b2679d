//! `scale`: replicas of one service come to a color that stands, or go.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Action, Aws, Conflict, Id, Plan, Until, Wait,
    aws::uses_outputs,
    conflict,
    deploy::{drained_within, of_color},
    desired::{App, Role, Service, is_of},
};
use crate::model::{
    Container, Image, Names, Observed, Routing, ServiceSpec, control::Request, labels,
};

/// What a change of a number of replicas is planned from.
#[derive(Debug)]
pub struct Scale<'a> {
    pub names: &'a Names,
    /// The color's stack with the numbers that it shall have.
    pub app: &'a App,
    pub service: &'a Service,
    pub observed: &'a Observed,
    /// The images that are on the engine, by reference.
    pub images: &'a BTreeMap<String, Image>,
    pub routing: &'a Routing,
    pub drain: Duration,
    pub aws: Option<Aws>,
}

/// Plans it. A new replica is known to the proxy when it is healthy; one that goes gets nothing new first, and is stopped when
/// its requests have ended.
pub fn scale(input: &Scale<'_>) -> Result<Plan, Conflict> {
    let Scale { names, app, service, observed, .. } = *input;
    let (color, key) = (app.color, &service.key);
    let stack = input.routing.stacks.get(&color).ok_or(Conflict::NoRelease { color })?;
    if matches!(service.role, Role::Job | Role::Hook | Role::Clone) {
        return Err(Conflict::RunsOnce { color, service: key.clone() });
    }
    let mut standing: Vec<&Container> = of_color(observed, names, color.as_str());
    standing.retain(|container| container.label(labels::SERVICE) == Some(key));
    let wanted = service.replicas.len();
    // What stands tells whether the files are still those that it was made of.
    let like = |container: &&Container| {
        let spec = service.replicas.iter().find(|spec| spec.name == container.name)?;
        let image = input.images.get(&spec.image);
        Some(is_of(container, spec) && image.is_some_and(|it| it.id == container.image_id))
    };
    if service.replicas.iter().any(|spec| observed.container(&spec.name).is_none())
        && standing.iter().find_map(like) == Some(false)
    {
        return Err(Conflict::Changed { color, service: key.clone() });
    }

    let mut plan = Plan::default();
    let mut done: Vec<Id> = vec![];
    let proxy = conflict::own_container(observed, names, "proxy", &names.proxy())?;
    if proxy.is_some_and(|proxy| !proxy.is_running()) {
        let start = Action::Start(names.proxy());
        done.push(plan.push([], start, "start the proxy", "it is stopped"));
    }
    let proxy = done.clone();
    let is_new = |spec: &&ServiceSpec| observed.container(&spec.name).is_none();
    let outputs_used = service.replicas.iter().filter(is_new).any(uses_outputs);
    let outputs = input.aws.as_ref().and_then(|aws| aws.push(&mut plan, [], outputs_used, false));
    for (spec, number) in service.replicas.iter().zip(1..) {
        let found = conflict::own_container(observed, names, "app", &spec.name)?;
        let shown = format!("{color}/{key}-{number}");
        done.extend(bring_up(&mut plan, input, spec, found, &shown, (&proxy, outputs)));
    }
    let reason = format!("{wanted} of {} stay", standing.len());
    for container in standing {
        if service.replicas.iter().any(|spec| spec.name == container.name) {
            continue;
        }
        let mut after = vec![];
        if let (Some((host, _)), true) = (&service.routed, container.is_running()) {
            let retire = Request::Retire {
                host: host.clone(),
                replica: container.name.clone(),
                wait_ms: drained_within(input.drain),
            };
            after.push(plan.push(
                proxy.clone(),
                Action::Tell(Box::new(retire)),
                format!("wait until nothing is open on {}", container.name),
                &reason,
            ));
        }
        if container.is_running() {
            let stop = Action::Stop(container.name.clone());
            after = vec![plan.push(after, stop, format!("stop {}", container.name), &reason)];
        }
        let remove = Action::Remove(container.name.clone());
        let title = format!("remove container {}", container.name);
        done.push(plan.push(after, remove, title, &reason));
    }
    if plan.is_empty() && stack.replicas == app.replicas {
        return Ok(plan);
    }
    let stack = crate::model::Stack { replicas: app.replicas.clone(), ..stack.clone() };
    let drain_ms = u64::try_from(input.drain.as_millis()).unwrap_or(u64::MAX);
    plan.push(
        done,
        Action::Tell(Box::new(Request::Put { color, stack, drain_ms })),
        format!("keep {color}/{key} ×{wanted} with the release"),
        "`up` leaves it so",
    );
    Ok(plan)
}

/// The steps that one replica still needs; returns those that end them.
fn bring_up(
    plan: &mut Plan,
    input: &Scale<'_>,
    spec: &ServiceSpec,
    found: Option<&Container>,
    shown: &str,
    (proxy, outputs): (&[Id], Option<Id>),
) -> Option<Id> {
    let Scale { names, app, service, .. } = *input;
    let reason = format!("{} replicas are asked for", service.replicas.len());
    let on_proxy = names.proxy_network();
    let mut last = None;
    if found.is_none() {
        // The proxy finds it by name as soon as it starts, so its network comes when it is healthy.
        let mut apart = spec.clone();
        apart.networks.retain(|attachment| attachment.network != on_proxy);
        let create = Action::Create(Box::new(apart));
        last =
            Some(plan.push(outputs, create, format!("create {shown} ({})", spec.image), &reason));
    }
    let runs = service.role == Role::Main || input.routing.live == Some(app.color);
    if !runs {
        return last;
    }
    if !found.is_some_and(Container::is_running) {
        if found.is_some() {
            plan.know(spec.clone());
        }
        let start = Action::Start(spec.name.clone());
        last = Some(plan.push(last, start, format!("start {shown}"), &reason));
    }
    let joins = spec.networks.iter().find(|attachment| {
        attachment.network == on_proxy
            && !found.is_some_and(|found| found.networks.contains(&on_proxy))
    });
    if last.is_none() && joins.is_none() {
        return None;
    }
    let wait = |plan: &mut Plan, after: Vec<Id>, until: Until, verb: &str, why: &str| {
        let wait = Wait {
            container: spec.name.clone(),
            service: shown.to_owned(),
            until,
            limit: service.limit,
        };
        plan.push(after, Action::Await(Box::new(wait)), format!("wait until {shown} {verb}"), why)
    };
    let why = if joins.is_some() { "only then the proxy knows it" } else { "it is asked for" };
    let mut end = wait(plan, last.into_iter().collect(), Until::Healthy, "is healthy", why);
    if let Some(attachment) = joins {
        let connect = Action::Connect(spec.name.clone(), Box::new(attachment.clone()));
        let title = format!("make {shown} known to the proxy");
        end = plan.push([end], connect, title, "it takes its share of the requests");
    }
    if let Some((_, ports)) = &service.routed {
        let until = Until::Accepting { host: spec.name.clone(), ports: ports.clone() };
        let after = proxy.iter().copied().chain([end]).collect();
        end = wait(plan, after, until, "is ready", "a route leads to it");
    }
    Some(end)
}
