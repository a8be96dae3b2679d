//! A color's own copy of a durable database, in the place of the durable one.
//!
//! The durable database stays on its networks, and so do the color's services, which find the rest of the durable layer
//! there. By each name that the database has there they reach the copy: on all of their networks that name is a link to
//! it. A link counts before the names of any network, and leads nowhere while the copy does not run.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    app::{self, App, layer_labels},
    service::{Role, Service},
};
use crate::{
    compose::Condition,
    database::Kind,
    model::{Attachment, Color, Mount, Names, NetworkSpec, ServiceSpec, database_tls, labels},
    plan::{Conflict, ImageJob},
};

/// A durable database that a color gets a copy of.
#[derive(Debug, Clone, Copy)]
pub struct Original<'a> {
    /// As its file has it.
    pub service: &'a Service,
    /// What its container was made from.
    pub image: &'a str,
    pub kind: Kind,
    /// The volume with its data.
    pub volume: &'a str,
}

/// A color's copy of a database, and what it is filled from.
#[derive(Debug, Clone, PartialEq)]
pub struct CloneOf {
    /// The service.
    pub key: String,
    pub kind: Kind,
    /// The durable container.
    pub from: String,
    /// The volume of the copy.
    pub volume: String,
}

/// Gives a stack a copy of a database in the place of the durable one.
pub fn give_clone(app: &mut App, names: &Names, original: &Original<'_>) -> Result<(), Conflict> {
    let (color, key) = (app.color, &original.service.key);
    let durable = &original.service.replicas[0];
    let thing = format!("{key}-clone");
    let (network, volume) = (names.network(color, &thing), names.volume(color, &thing));
    let routed = route(app, key);
    let mut server = server(names, color, original, (&network, &volume));
    server.labels.insert(labels::RELEASE.to_owned(), app.release.clone());
    if let Some((alias, _)) = &routed {
        let aliases = vec![alias.clone()];
        let network = names.proxy_network();
        server.networks.push(Attachment { network, aliases, ..Attachment::default() });
    }

    let mut joined = false;
    let all = app.services.iter_mut().chain(&mut app.tests);
    for service in all.filter(|service| service.role != Role::Clone) {
        let mut joins = false;
        for spec in &mut service.replicas {
            let reason = if service.key == *key {
                Some("has its name".to_owned())
            } else {
                reaches_durable(spec, durable)
            };
            if let Some(reason) = reason {
                let reason = format!("{color}/{} {reason}", service.key);
                return Err(Conflict::NotCloned { color, service: key.clone(), reason });
            }
            move_mounts(spec, original.volume, &volume);
            let on = |at: &Attachment| durable.networks.iter().any(|its| its.network == at.network);
            if spec.networks.iter().any(on) {
                spec.networks
                    .push(Attachment { network: network.clone(), ..Attachment::default() });
                lead(spec, &server.name, &names_of(durable, key));
                joins = true;
            }
            *spec = spec.clone().sealed();
        }
        if joins {
            service.depends_on.insert(key.clone(), Condition::Healthy);
        }
        joined |= joins;
    }
    if !joined {
        let reason = format!("no service of {color} shares a network with it");
        return Err(Conflict::NotCloned { color, service: key.clone(), reason });
    }

    let own = clone_labels(names, color, key);
    let project = names.compose_project(color.as_str());
    let network = app::network(None, network, own.clone(), &thing, project.clone());
    // Without a way out of it: a copy takes up nobody's replication.
    app.networks.push(NetworkSpec { internal: true, ..network }.sealed());
    app.volumes.push(app::volume(None, &volume, own, &thing, || project));
    app.clones.push(CloneOf {
        key: key.clone(),
        kind: original.kind,
        from: durable.name.clone(),
        volume,
    });
    app.services.push(Service {
        role: Role::Clone,
        image: ImageJob { tag: original.image.to_owned(), ..ImageJob::default() },
        replicas: vec![server.sealed()],
        depends_on: [].into(),
        routed,
        ..original.service.clone()
    });
    app.services.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(())
}

fn clone_labels(names: &Names, color: Color, key: &str) -> BTreeMap<String, String> {
    let mut own = layer_labels(names, "app");
    own.insert(labels::COLOR.to_owned(), color.to_string());
    own.insert(labels::SERVICE.to_owned(), key.to_owned());
    own.extend(Role::Clone.label().map(|role| (labels::ROLE.to_owned(), role.to_owned())));
    own
}

/// The server on the copy: the durable one's definition on data and networks of its own. Folders of the host are shared
/// with that one, so they are for reading only.
fn server(
    names: &Names,
    color: Color,
    original: &Original<'_>,
    (network, volume): (&str, &str),
) -> ServiceSpec {
    let durable = &original.service.replicas[0];
    let mut spec = ServiceSpec {
        name: names.container(color, &original.service.key, 1),
        image: original.image.to_owned(),
        mounts: mounts_on_copy(durable, original.volume, volume, true),
        networks: vec![Attachment { network: network.to_owned(), ..Attachment::default() }],
        network_mode: None,
        mac_address: None,
        volumes_from: vec![],
        ports: vec![],
        ..durable.clone()
    };
    for mount in &mut spec.mounts {
        if let Mount::Bind { read_only, .. } = mount {
            *read_only = true;
        }
    }
    spec.labels.retain(|label, _| !label.starts_with("dev.envctl."));
    spec.labels.extend(clone_labels(names, color, &original.service.key));
    for (label, value) in [
        (labels::compose::PROJECT, names.compose_project(color.as_str())),
        (labels::compose::DEPENDS_ON, String::new()),
    ] {
        spec.labels.insert(label.to_owned(), value);
    }
    spec
}

/// A database's mounts with the volume of a copy in the place of its data's; `empty`, the volume is not given what the
/// image has in its folder.
pub fn mounts_on_copy(spec: &ServiceSpec, volume: &str, copy: &str, empty: bool) -> Vec<Mount> {
    let mut mounts = vec![];
    for mount in &spec.mounts {
        match mount {
            Mount::Volume { source: Some(source), target, read_only, nocopy, subpath } => {
                // Others' volumes stay theirs; its own certificate is only read.
                let certificate = target == database_tls::FOLDER;
                if source == volume || certificate {
                    mounts.push(Mount::Volume {
                        source: Some(if certificate { source } else { copy }.to_owned()),
                        target: target.clone(),
                        read_only: *read_only,
                        nocopy: empty || *nocopy,
                        subpath: subpath.clone(),
                    });
                }
            }
            // What a first start would do was done to the original.
            Mount::Bind { target, .. } if target.starts_with("/docker-entrypoint-initdb.d") => {}
            other => mounts.push(other.clone()),
        }
    }
    mounts
}

/// Has the routes to the database lead to the copy; returns how the proxy reaches it then.
fn route(app: &mut App, key: &str) -> Option<(String, Vec<u16>)> {
    let (durable, own) = (Names::durable_alias(key), Names::alias(app.color, key));
    let mut ports = BTreeSet::new();
    for path in app.routes.iter_mut().flat_map(|route| &mut route.paths) {
        if path.durable && path.host == durable {
            path.host.clone_from(&own);
            path.durable = false;
            ports.insert(path.port);
        }
    }
    (!ports.is_empty()).then(|| (own, ports.into_iter().collect()))
}

/// How a service would reach the durable database all the same.
fn reaches_durable(spec: &ServiceSpec, durable: &ServiceSpec) -> Option<String> {
    let of_durable = |name: &str| name.split(':').next() == Some(&durable.name);
    if let Some(mode) = &spec.network_mode {
        let joined = mode.strip_prefix("container:").is_some_and(of_durable);
        return (mode == "host" || joined).then(|| format!("has `network_mode: {mode}`"));
    }
    spec.volumes_from.iter().any(|from| of_durable(from)).then(|| "mounts its data".to_owned())
}

fn move_mounts(spec: &mut ServiceSpec, from: &str, to: &str) {
    for mount in &mut spec.mounts {
        if let Mount::Volume { source: Some(source), .. } = mount
            && source == from
        {
            to.clone_into(source);
        }
    }
}

/// The names by which the durable database is found on its networks.
fn names_of(durable: &ServiceSpec, key: &str) -> BTreeSet<String> {
    let aliases = durable.networks.iter().flat_map(|attachment| &attachment.aliases);
    let own = [key, &durable.name].map(str::to_owned);
    aliases.chain(&durable.hostname).cloned().chain(own).collect()
}

/// Has all of these names lead to the copy, on each network of the service.
fn lead(spec: &mut ServiceSpec, server: &str, names: &BTreeSet<String>) {
    let mut spelled = names.clone();
    // The engine's names are the same in capitals, its links are not: as the service spells them, they are links too.
    let text = serde_json::to_string(spec).expect("specifications have string keys only");
    let lower = text.to_ascii_lowercase();
    for name in names {
        let name = name.to_ascii_lowercase();
        let found = lower.match_indices(&name);
        spelled.extend(found.map(|(at, name)| text[at..at + name.len()].to_owned()));
    }
    for attachment in &mut spec.networks {
        for link in &mut attachment.links {
            if let Some((to, alias)) = link.split_once(':')
                && spelled.contains(to)
            {
                *link = format!("{server}:{alias}");
            }
        }
        attachment.links.extend(spelled.iter().map(|name| format!("{server}:{name}")));
    }
}
