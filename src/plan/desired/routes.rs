//! Where the proxy's routes lead: as the project file says, else as the app's services publish their ports.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::service::protocol;
use crate::{
    compose::{self, Problem},
    config,
    model::{Color, Names, PathRule, Probe, Protocol, Route, RouteLimits},
};

/// A color's routes: those of the project file, else one for each port that the app's services publish.
///
/// Those to services of the durable layer (`durable`) are the same for both colors.
pub fn routes(
    project: &config::Project,
    files: &compose::Project,
    durable: &BTreeMap<String, String>,
    color: Color,
    problems: &mut Vec<Problem>,
) -> Vec<Route> {
    let offset = project.environment.port_offset;
    let chooser = project.file.proxy.chooser.as_ref().map(|chooser| chooser.0.clone());
    if project.file.proxy.routes.is_empty() {
        let published = published(project, files, problems);
        let ports: BTreeSet<u16> = published.keys().map(|listen| listen.port).collect();
        let preview = project.file.proxy.preview;
        let mut previews = BTreeMap::new();
        for (port, other) in ports.iter().flat_map(|port| Color::ALL.map(|other| (*port, other))) {
            let at = port.checked_add(preview.of(other));
            let taken = match at {
                Some(at) if ports.contains(&at) => format!("{at} is published itself"),
                Some(at) => match previews.insert(at, port) {
                    Some(before) => format!("{at} is one of {before}'s too"),
                    None => continue,
                },
                None => "there is no such port".to_owned(),
            };
            problems.push(files.problem(
                &["services"],
                format!(
                    "no preview of {port} on {other}: {taken}; set `proxy.preview` in envctl.yaml"
                ),
            ));
        }
        return published
            .into_iter()
            .map(|(listen, port)| Route {
                listen: listen.port,
                tcp: port.tcp,
                chooser: chooser.clone().filter(|_| !port.tcp),
                paths: vec![PathRule {
                    prefix: "/".to_owned(),
                    host: Names::alias(color, port.service),
                    port: port.target,
                    strip: false,
                    protocol: port.protocol,
                    durable: false,
                }],
                ..Route::default()
            })
            .collect();
    }
    let mut all = vec![];
    for route in &project.file.proxy.routes {
        let mut paths = vec![];
        for (prefix, destination) in &route.paths {
            let target = &destination.to;
            let key = &target.service;
            let durable = durable.contains_key(key);
            if !durable && !files.services.contains_key(key) {
                let near =
                    crate::base::words::nearest(key, files.services.keys().map(String::as_str));
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                problems.push(files.problem(
                    &["services"],
                    format!(
                        "route {} of envctl.yaml leads to `{target}`, and neither the app nor the \
                         durable layer has such a service{hint}",
                        route.listen.port
                    ),
                ));
            }
            let spoken = destination.protocol.map(|spoken| spoken.0);
            paths.push(PathRule {
                prefix: prefix.clone(),
                host: if durable { Names::durable_alias(key) } else { Names::alias(color, key) },
                port: target.port,
                strip: destination.strip_prefix,
                protocol: spoken.unwrap_or_else(|| spoken_by(files, target)),
                durable,
            });
        }
        paths.sort_by_key(|path| std::cmp::Reverse(path.prefix.len()));
        all.push(Route {
            listen: route.listen.port.saturating_add(offset),
            tls: route.tls.is_on(),
            tcp: route.tcp,
            hosts: route.host.clone(),
            redirect: route.redirect.map(|port| port.saturating_add(offset)),
            proxy_protocol: route.proxy_protocol,
            chooser: chooser.clone().filter(|_| !route.tcp),
            shared_assets: route.shared_assets,
            limits: limits(route),
            health: route.health.as_ref().map(|health| Probe {
                path: health.path.clone(),
                interval_ms: milliseconds(health.interval),
                threshold: health.threshold,
            }),
            paths,
        });
    }
    all
}

fn limits(route: &config::RouteFile) -> RouteLimits {
    let times = &route.timeouts;
    RouteLimits {
        connect_ms: times.connect.map(milliseconds),
        response_ms: times.response.map(milliseconds),
        idle_ms: times.idle.map(milliseconds),
        body: route.max_body,
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What the service's port is said to speak in its Compose file.
fn spoken_by(files: &compose::Project, target: &config::Target) -> Protocol {
    let port = files.services.get(&target.service).and_then(|service| {
        service.ports.iter().find(|port| port.target == target.port && port.app_protocol.is_some())
    });
    port.map_or(Protocol::Http1, spoken)
}

fn spoken(port: &compose::Port) -> Protocol {
    match port.app_protocol.as_deref() {
        Some("h2c" | "grpc") => Protocol::H2c,
        _ => Protocol::Http1,
    }
}

/// A published address, in the order of its port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listen {
    pub port: u16,
    pub host_ip: String,
}

/// A port that a service publishes.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    pub tcp: bool,
    pub service: &'a str,
    pub target: u16,
    pub protocol: Protocol,
}

/// The ports that the app's services publish, by address.
pub fn published<'a>(
    project: &config::Project,
    files: &'a compose::Project,
    problems: &mut Vec<Problem>,
) -> BTreeMap<Listen, Published<'a>> {
    let mut all = BTreeMap::new();
    for (key, service) in &files.services {
        if project.file.durable.services.contains(key) {
            continue;
        }
        for (index, port) in service.ports.iter().enumerate() {
            let index = index.to_string();
            let at = ["services", key.as_str(), "ports", index.as_str()];
            let Some(number) = port.published_port() else {
                problems.push(files.problem(
                    &at,
                    "which port of the host? A route needs a fixed one: `\"8080:80\"`, or `proxy.routes` in envctl.yaml",
                ));
                continue;
            };
            if protocol(port) != "tcp" {
                problems
                    .push(files.problem(&at, format!("the proxy cannot route {}", protocol(port))));
                continue;
            }
            let listen = Listen {
                port: number.saturating_add(project.environment.port_offset),
                host_ip: port.host_ip.clone().unwrap_or_else(|| "127.0.0.1".to_owned()),
            };
            let tcp = port.app_protocol.as_deref() == Some("tcp");
            if all.keys().any(|other: &Listen| other.port == listen.port) {
                problems
                    .push(files.problem(&at, format!("port {} is published twice", listen.port)));
            }
            let (service, target) = (key.as_str(), port.target);
            all.insert(listen, Published { tcp, service, target, protocol: spoken(port) });
        }
    }
    all
}
