//! `graph`: what stands and what talks to what, drawn.

mod mermaid;
mod svg;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::{OpsError, Session, durable::containers, state};
use crate::model::{Color, Container, Names, Observed, Route, Routing, labels};

/// Containers that are looked at closely at one time.
const AT_ONCE: usize = 16;

/// A running environment as boxes in groups, and lines between them.
#[derive(Debug, Serialize)]
pub struct Graph {
    pub title: String,
    /// From the clients down to the data.
    pub groups: Vec<Group>,
    pub lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
pub struct Group {
    pub title: String,
    pub kind: Kind,
    pub boxes: Vec<Box>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Proxy,
    Live,
    Idle,
    Durable,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Box {
    /// `proxy_3000`, `blue_api`, `durable_mariadb`.
    pub id: String,
    pub title: String,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Line {
    pub from: String,
    pub to: String,
    /// The paths of a route.
    pub label: String,
    /// Traffic of clients takes it now; otherwise it is that of a preview.
    pub live: bool,
}

/// Looks at what stands. Nothing of it is read from the files.
pub async fn graph(session: &Session<'_>) -> Result<Graph, OpsError> {
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    let names = &session.project.names;
    let all: Vec<&Container> = observed
        .containers
        .iter()
        .filter(|found| found.belongs_to(names) && found.is_running())
        .collect();
    let environments: BTreeMap<String, Vec<String>> = stream::iter(all)
        .map(|found| async move {
            let seen = session.engine.inspect(&found.name).await?.unwrap_or_default();
            Ok::<_, OpsError>((found.name.clone(), seen.environment))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(drawn(names, &observed, &routing, &environments))
}

/// `environments`: the variables of each running container, by its name. No value of them is shown.
fn drawn(
    names: &Names,
    observed: &Observed,
    routing: &Routing,
    environments: &BTreeMap<String, Vec<String>>,
) -> Graph {
    let durable = Layer::new("durable", &containers(names, observed));
    let mut groups = vec![];
    let mut lines = BTreeSet::new();
    let shown = routing.live.or_else(|| routing.stacks.keys().next().copied());
    let routes = shown.map(|color| routing.stacks[&color].routes.as_slice()).unwrap_or_default();
    if !routes.is_empty() {
        let boxes = ports(routes);
        groups.push(Group { title: "proxy".to_owned(), kind: Kind::Proxy, boxes });
    }
    for color in Color::ALL {
        let of_color: Vec<&Container> = observed
            .containers
            .iter()
            .filter(|found| found.belongs_to(names))
            .filter(|found| found.label(labels::COLOR) == Some(color.as_str()))
            .filter(|found| !matches!(found.label(labels::ROLE), Some("job" | "hook" | "test")))
            .collect();
        let layer = Layer::new(color.as_str(), &of_color);
        if layer.boxes.is_empty() {
            continue;
        }
        let live = routing.live == Some(color);
        for route in routing.stacks.get(&color).into_iter().flat_map(|stack| &stack.routes) {
            lines.extend(layer.routed(route, live));
        }
        for (service, found) in &layer.services {
            let variables = environments.get(&found.name).map(Vec::as_slice).unwrap_or_default();
            let from = layer.id(service);
            let inside = layer.services.keys().filter(|other| *other != service);
            let own = inside.filter(|other| depends_on(found, other) || names_it(variables, other));
            let below = durable.services.keys().filter(|other| names_it(variables, other));
            let own = own.map(|other| layer.id(other));
            for to in own.chain(below.map(|other| durable.id(other))) {
                lines.insert(Line { from: from.clone(), to, label: String::new(), live });
            }
        }
        let kind = if live { Kind::Live } else { Kind::Idle };
        let title = format!("{color}, {}", if live { "live" } else { "idle" });
        groups.push(Group { title, kind, boxes: layer.boxes });
    }
    if !durable.boxes.is_empty() {
        groups.push(Group {
            title: "durable layer".to_owned(),
            kind: Kind::Durable,
            boxes: durable.boxes,
        });
    }
    let title = format!("{} {}", names.project, names.environment);
    Graph { title, groups, lines: lines.into_iter().collect() }
}

/// The containers of a color or of the durable layer, by service.
struct Layer<'a> {
    name: &'a str,
    services: BTreeMap<&'a str, &'a Container>,
    boxes: Vec<Box>,
}

impl<'a> Layer<'a> {
    fn new(name: &'a str, found: &[&'a Container]) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut services = BTreeMap::new();
        for container in found {
            let Some(service) = container.label(labels::SERVICE) else { continue };
            *counts.entry(service).or_default() += 1;
            services.entry(service).or_insert(*container);
        }
        let mut layer = Self { name, services, boxes: vec![] };
        layer.boxes = counts
            .into_iter()
            .map(|(service, count)| {
                let image = &layer.services[service].image;
                let many = if count > 1 { format!(" × {count}") } else { String::new() };
                Box {
                    id: layer.id(service),
                    title: service.to_owned(),
                    detail: image.clone() + &many,
                }
            })
            .collect();
        layer
    }

    fn id(&self, service: &str) -> String {
        id(self.name, service)
    }

    /// The lines from a route's port to the services behind it.
    fn routed(&self, route: &Route, live: bool) -> Vec<Line> {
        let mut by_service: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for rule in &route.paths {
            let service = rule.host.strip_prefix(self.name).and_then(|it| it.strip_prefix('-'));
            if let Some(service) = service.filter(|it| self.services.contains_key(it)) {
                by_service.entry(service).or_default().push(&rule.prefix);
            }
        }
        by_service
            .into_iter()
            .map(|(service, mut prefixes)| {
                prefixes.sort_unstable();
                let label = if live && !route.tcp { prefixes.join(" ") } else { String::new() };
                let from = id("proxy", &route.listen.to_string());
                Line { from, to: self.id(service), label, live }
            })
            .collect()
    }
}

fn ports(routes: &[Route]) -> Vec<Box> {
    let ports: BTreeMap<u16, &Route> = routes.iter().map(|route| (route.listen, route)).collect();
    ports
        .into_iter()
        .map(|(port, route)| {
            let detail = match (route.tcp, route.tls) {
                (true, _) => "TCP",
                (false, true) => "HTTPS",
                (false, false) => "HTTP",
            };
            let id = id("proxy", &port.to_string());
            Box { id, title: port.to_string(), detail: detail.to_owned() }
        })
        .collect()
}

/// Letters, digits and `_`: what Mermaid takes.
fn id(group: &str, name: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("{group}_{}", name.chars().map(word).collect::<String>())
}

fn depends_on(found: &Container, service: &str) -> bool {
    let on = found.label(labels::compose::DEPENDS_ON).unwrap_or_default();
    on.split(',').any(|one| one.split(':').next() == Some(service))
}

/// Whether a variable's value is that host, or has it in an address or a list.
fn names_it(variables: &[String], service: &str) -> bool {
    let mut values = variables.iter().filter_map(|line| line.split_once('=')).map(|(_, it)| it);
    values.any(|value| {
        value.match_indices(service).any(|(start, _)| {
            let (before, after) = (&value[..start], &value[start + service.len()..]);
            let begins = before.is_empty() || before.ends_with("//");
            (begins || before.ends_with(['@', ',', '=']))
                && (after.is_empty() || after.starts_with([':', '/', ',', ';', '?']))
        })
    })
}

#[cfg(test)]
mod tests;
