//! `deploy`: a fresh stack on the idle color, beside the one that serves.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Action, Aws, Conflict, Id, ImageJob, Plan, Until, Wait,
    clone::{self, clones_of},
    conflict,
    desired::{App, Proxy, Role, is_of},
    proxy,
    stack::{self, Before, Need},
};
use crate::model::{Container, Image, Names, Observed, Routing, Stack, control::Request, labels};

/// How long a durable service that is up already may take to be reached by the proxy.
const DURABLE_READY: Duration = Duration::from_secs(30);

/// What a deployment is planned from.
#[derive(Debug)]
pub struct Deploy<'a> {
    pub names: &'a Names,
    pub app: &'a App,
    pub proxy: &'a Proxy,
    /// The proxy's image, where its container has to be made, and whether it is there.
    pub proxy_image: Option<(&'a ImageJob, bool)>,
    pub observed: &'a Observed,
    /// The images that are on the engine, by reference.
    pub images: &'a BTreeMap<String, Image>,
    pub routing: &'a Routing,
    pub revision: Option<&'a str>,
    /// RFC 3339, UTC.
    pub created: &'a str,
    pub drain: Duration,
    /// Deploy to the live color all the same.
    pub force: bool,
    pub aws: Option<Aws>,
}

/// Plans a deployment. A color that gets traffic is refused; what is left of the color's last release goes first.
pub fn deploy(input: &Deploy<'_>) -> Result<Plan, Conflict> {
    let Deploy { names, app, observed, .. } = *input;
    let color = app.color;
    let live = input.routing.live == Some(color);
    if live && !input.force {
        return Err(Conflict::Live { color });
    }
    if live && !(app.clones.is_empty() && clones_of(observed, names, color).is_empty()) {
        return Err(Conflict::LiveDatabase { color });
    }
    if let Some(weight) = input.routing.share(color) {
        return Err(Conflict::TakesShare { color, weight });
    }
    conflict::external(observed, names, &app.external)?;
    for spec in app.services.iter().flat_map(|service| &service.replicas) {
        conflict::own_container(observed, names, "app", &spec.name)?;
    }

    let mut plan = Plan::default();
    let up = proxy::proxy(
        &mut plan,
        names,
        input.proxy,
        input.proxy_image.map(|(image, _)| image),
        input.proxy_image.is_some_and(|(_, there)| there),
        observed,
    )?;
    let proxy = up.started;
    // What routes lead to joins the proxy's network.
    let mut before = Before { proxy, aws: input.aws.clone(), ..Before::default() };
    before.networks.extend(up.network.map(|made| (input.proxy.network.name.clone(), made)));
    before.images = stack::images(&mut plan, app.services.iter(), input.images);
    let cleared = clear(&mut plan, input, proxy, &before.images, live);
    before.removed.clone_from(&cleared.containers);

    for network in &app.networks {
        let found = conflict::own_network(observed, names, "app", &network.name)?;
        let hash = found.and_then(|found| found.labels.get(labels::SPEC_HASH));
        if found.is_some() && hash == network.labels.get(labels::SPEC_HASH) {
            continue;
        }
        let mut after: Vec<Id> = vec![];
        let mut reason = "not found";
        if found.is_some() {
            reason = "its definition changed";
            after.push(plan.push(
                cleared.containers.values().copied(),
                Action::RemoveNetwork(network.name.clone()),
                format!("remove network {}", network.name),
                reason,
            ));
        }
        let made = plan.push(
            after,
            Action::CreateNetwork(Box::new(network.clone())),
            format!("create network {}", network.name),
            reason,
        );
        before.networks.insert(network.name.clone(), made);
    }
    for volume in &app.volumes {
        let mut after: Vec<Id> = vec![];
        if conflict::own_volume(observed, names, "app", &volume.name)?.is_some() {
            if live {
                continue;
            }
            after.push(plan.push(
                cleared.containers.values().copied(),
                Action::RemoveVolume(volume.name.clone()),
                format!("remove volume {}", volume.name),
                "of the color's last release",
            ));
        }
        let made = plan.push(
            after,
            Action::CreateVolume(Box::new(volume.clone())),
            format!("create volume {}", volume.name),
            "not found",
        );
        before.volumes.insert(volume.name.clone(), made);
    }

    clone::remove_left(&mut plan, input, &cleared.containers);
    clone::fill_all(&mut plan, app, &mut before);

    let ready =
        stack::services(&mut plan, &app.services, &format!("{color}/"), &before, &|service| {
            let reason = match service.role {
                Role::Worker => format!("starts when {color} goes live"),
                Role::Hook => format!("runs when {color} is switched to or goes"),
                Role::Clone => format!("{color} has its own"),
                _ => "a fresh stack".to_owned(),
            };
            (Need::Create, reason)
        });
    let ready = ready.into_iter().chain(durable(&mut plan, app, proxy)).collect::<Vec<_>>();
    let stack = Stack {
        release: app.release.clone(),
        revision: input.revision.map(str::to_owned),
        created: input.created.to_owned(),
        images: app
            .services
            .iter()
            .map(|service| (service.key.clone(), service.image.tag.clone()))
            .collect(),
        routes: app.routes.clone(),
        replicas: app.replicas.clone(),
        tests: None,
    };
    let mut proxy = proxy;
    if !input.proxy.certificates.is_empty() {
        let files = input.proxy.certificates.iter().map(|files| files.cert.file_name());
        let files: Vec<_> = files.flatten().map(std::ffi::OsStr::to_string_lossy).collect();
        proxy = Some(plan.push(
            proxy,
            Action::Certify(input.proxy.certificates.clone()),
            "give the proxy its certificates",
            files.join(", "),
        ));
    }
    let drain_ms = u64::try_from(input.drain.as_millis()).unwrap_or(u64::MAX);
    plan.push(
        ready.into_iter().chain(proxy).chain(cleared.forgotten),
        Action::Tell(Box::new(Request::Put { color, stack, drain_ms })),
        format!("make {color} known to the proxy"),
        "its preview leads to it from here on",
    );
    Ok(plan)
}

/// The proxy has to reach the durable services too: a switch does not ask them again.
fn durable(plan: &mut Plan, app: &App, proxy: Option<Id>) -> Vec<Id> {
    let places: BTreeSet<(&str, u16)> = app
        .routes
        .iter()
        .flat_map(|route| &route.paths)
        .filter(|path| path.durable)
        .map(|path| (path.host.as_str(), path.port))
        .collect();
    let mut steps = vec![];
    for (key, container) in &app.durable {
        let host = Names::durable_alias(key);
        for (_, port) in places.iter().filter(|(at, _)| *at == host) {
            let wait = Wait {
                container: container.clone(),
                service: key.clone(),
                until: Until::Accepting { host: host.clone(), port: *port },
                limit: DURABLE_READY,
            };
            steps.push(plan.push(
                proxy,
                Action::Await(Box::new(wait)),
                format!("wait until {key} is ready"),
                "a route leads to it",
            ));
        }
    }
    steps
}

struct Cleared {
    /// The proxy forgets the last release: it has to, before it is told of the new one.
    forgotten: Option<Id>,
    /// The removal of each container, by name.
    containers: BTreeMap<String, Id>,
}

/// Removes what is left of the color's last release, once nothing is open on it any more.
fn clear(
    plan: &mut Plan,
    input: &Deploy<'_>,
    proxy: Option<Id>,
    images: &BTreeMap<String, Id>,
    live: bool,
) -> Cleared {
    let color = input.app.color;
    let old: Vec<&Container> = of_color(input.observed, input.names, color.as_str());
    // Not before the images are there: a failed build leaves the last release standing.
    let mut after: Vec<Id> = proxy.into_iter().chain(images.values().copied()).collect();
    let mut forgotten = None;
    if !live && input.routing.stacks.contains_key(&color) {
        let wait_ms = drained_within(input.drain);
        let drained = plan.push(
            after,
            Action::Tell(Box::new(Request::Drained { color, wait_ms })),
            format!("wait until nothing is open on {color}"),
            "it is replaced",
        );
        forgotten = Some(plan.push(
            [drained],
            Action::Tell(Box::new(Request::Forget { color })),
            format!("take {color} off the proxy"),
            "it is replaced",
        ));
        after = forgotten.into_iter().collect();
    }
    let mut containers = BTreeMap::new();
    for container in old {
        let stop = container.is_running().then(|| {
            plan.push(
                after.clone(),
                Action::Stop(container.name.clone()),
                format!("stop {}", container.name),
                "of the color's last release",
            )
        });
        let before = stop.map_or_else(|| after.clone(), |stop| vec![stop]);
        let id = plan.push(
            before,
            Action::Remove(container.name.clone()),
            format!("remove container {}", container.name),
            "of the color's last release",
        );
        containers.insert(container.name.clone(), id);
    }
    Cleared { forgotten, containers }
}

/// The longest wait for a color's connections, in milliseconds: what may stay does so up to `drain` and is then closed over
/// some seconds, and requests get a minute to finish.
pub(super) fn drained_within(drain: Duration) -> u64 {
    u64::try_from((drain + Duration::from_secs(60)).as_millis()).unwrap_or(u64::MAX)
}

/// The containers of a color, by name.
pub fn of_color<'a>(observed: &'a Observed, names: &Names, color: &str) -> Vec<&'a Container> {
    let mut all: Vec<&Container> = observed
        .containers
        .iter()
        .filter(|container| {
            container.belongs_to(names)
                && container.label(labels::LAYER) == Some("app")
                && container.label(labels::COLOR) == Some(color)
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Whether a color runs exactly this stack: nothing to deploy then. Its workers are a switch's to start.
pub fn is_up_to_date(
    names: &Names,
    app: &App,
    observed: &Observed,
    images: &BTreeMap<String, Image>,
) -> bool {
    let mut found = of_color(observed, names, app.color.as_str());
    found.retain(|container| container.label(labels::ROLE) != Role::Test.label());
    let wanted: Vec<_> =
        app.services.iter().flat_map(|s| s.replicas.iter().map(move |spec| (s, spec))).collect();
    found.len() == wanted.len()
        && app.networks.iter().all(|network| observed.network(&network.name).is_some())
        && wanted.iter().all(|(service, spec)| {
            let same = |container: &&&Container| {
                container.name == spec.name
                    && is_of(container, spec)
                    && images.get(&spec.image).is_none_or(|image| image.id == container.image_id)
            };
            found.iter().find(same).is_some_and(|container| match service.role {
                Role::Main | Role::Clone => container.is_running(),
                _ => true,
            })
        })
}
