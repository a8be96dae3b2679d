//! The durable layer as it shall be.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use super::{
    app::{has_own_name, layer_labels, network, volume},
    aws, image,
    proxy::proxy_network,
    service::{self, Place, Role, Service},
    support,
    tls::{self, Certified},
};
use crate::{
    compose::{self, Problem},
    config,
    database::Kind,
    model::{
        Attachment, BuildSpec, Healthcheck, Names, NetworkSpec, Restart, ServiceSpec, Test,
        VolumeSpec, labels,
    },
};

/// The time a durable service gets to stop, where its file says nothing: a database that is killed while it writes its
/// buffers has to recover on the next start.
const STOP_GRACE: Duration = Duration::from_secs(120);

/// The durable layer as it shall be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Durable {
    pub networks: Vec<NetworkSpec>,
    pub volumes: Vec<VolumeSpec>,
    /// Networks and volumes that have to be there already, by name.
    pub external: Vec<(&'static str, String)>,
    /// Sorted by key; one replica each.
    pub services: Vec<Service>,
    /// Those that show a certificate of the local authority.
    pub certified: Vec<Certified>,
    pub warnings: Vec<String>,
}

/// Derives the durable layer from files of its own, or from those services of the app's files that `only` names.
pub fn durable(
    project: &config::Project,
    (files, paths): (&compose::Project, &[PathBuf]),
    only: Option<&[String]>,
    builds: &BTreeMap<String, (BuildSpec, String)>,
    wait: Duration,
) -> Result<Durable, Vec<Problem>> {
    let names = &project.names;
    let mut problems = vec![];
    let mut warnings: Vec<String> = files.warnings.iter().map(ToString::to_string).collect();
    let mut networks = BTreeMap::new();
    let mut volumes = BTreeMap::new();
    let mut external = BTreeSet::new();
    let mut services = vec![];
    let mut certified = vec![];
    let chosen = |key: &str| only.is_none_or(|only| only.iter().any(|name| name == key));
    let volume_name = |key: &str| match files.volumes.get(key) {
        Some(volume) if volume.external || has_own_name(files, key, volume) => {
            volume.name.clone().unwrap_or_else(|| key.to_owned())
        }
        _ => names.durable_volume(key),
    };
    let container = |key: &str| {
        let own = files.services.get(key).and_then(|own| own.container_name.clone());
        own.unwrap_or_else(|| names.durable_container(key))
    };
    for (key, own) in files.services.iter().filter(|(key, _)| chosen(key)) {
        if own.replicas() != 1 {
            problems.push(files.problem(&["services", key], "a durable service has one container"));
        }
        let place = Place { project: files, key, volume: &volume_name, container: &container };
        let mut spec: ServiceSpec = service::spec(own, "", &place, &mut problems);
        warnings.extend(support::without_effect(own, &place).iter().map(ToString::to_string));
        if spec.healthcheck.is_none() {
            spec.healthcheck = healthcheck(own);
        }
        let job = image::job(names, key, files, builds);
        spec.image.clone_from(&job.tag);
        spec.name = container(key);
        spec.ports = own
            .ports
            .iter()
            .map(|port| service::publish(port, project.environment.port_offset))
            .collect();
        spec.stop_grace = spec.stop_grace.or(Some(STOP_GRACE));
        if spec.restart == Restart::No {
            spec.restart = Restart::UnlessStopped;
        }
        spec.labels.extend(layer_labels(names, "durable"));
        spec.labels.insert(labels::SERVICE.to_owned(), key.clone());
        for mount in own.volumes.iter().filter(|mount| mount.kind == compose::MountKind::Volume) {
            let Some(source) = &mount.source else { continue };
            let declared = files.volumes.get(source);
            if declared.is_some_and(|volume| volume.external) {
                external.insert(("volume", volume_name(source)));
            } else {
                let spec = volume(
                    declared,
                    &volume_name(source),
                    layer_labels(names, "durable"),
                    source,
                    || names.compose_project("durable"),
                );
                volumes.insert(source.clone(), spec);
            }
        }
        if only.is_some() {
            apart(key, own, files, &chosen, &mut problems);
        }
        if spec.network_mode.is_none() {
            let mut joined = service::by_priority(own);
            let (default_name, default) =
                ("default".to_owned(), compose::NetworkAttachment::default());
            // Services split out of the app's files meet the app on one network, whatever theirs are called there.
            if joined.is_empty() || only.is_some() {
                joined = vec![(&default_name, &default)];
            }
            for (net, attachment) in joined {
                let declared = files.networks.get(net).filter(|_| only.is_none());
                let name = match declared {
                    Some(declared) if declared.external => {
                        let name = declared.name.clone().unwrap_or_else(|| net.clone());
                        external.insert(("network", name.clone()));
                        name
                    }
                    _ => {
                        let spec = network(
                            declared,
                            names.durable_network(net),
                            layer_labels(names, "durable"),
                            net,
                            names.compose_project("durable"),
                        );
                        let name = spec.name.clone();
                        networks.insert(net.clone(), spec);
                        name
                    }
                };
                let mut aliases = vec![key.clone()];
                if only.is_some() {
                    // What it is called on its networks in the app's files, it is called on this one.
                    let own = own.networks.values().flat_map(|attachment| &attachment.aliases);
                    aliases.extend(own.cloned());
                }
                let attachment: Attachment = service::attachment(name, own, attachment, aliases);
                spec.networks.push(attachment);
            }
        }
        if routed(project, key) {
            if spec.network_mode.is_some() {
                problems.push(files.problem(
                    &["services", key, "network_mode"],
                    "a service that a route leads to has to be on a network that the proxy can join",
                ));
            }
            // The proxy never changes its networks: what it shall reach comes to its own, which may have to be made first.
            networks.insert(names.proxy_network(), proxy_network(names));
            spec.networks.push(Attachment {
                network: names.proxy_network(),
                aliases: vec![Names::durable_alias(key)],
                ..Attachment::default()
            });
        }
        if let Some(one) = tls::certified(project, &place, own, &mut spec, &mut problems) {
            for volume in tls::volumes(names, key) {
                volumes.insert(volume.name.clone(), volume);
            }
            certified.push(one);
        }
        service::compose_labels(&mut spec, &names.compose_project("durable"), key, 1, own);
        let healthcheck = spec.healthcheck.clone().filter(|check| check.test != Test::None);
        let depends_on = own
            .depends_on
            .iter()
            .filter(|(other, _)| chosen(other) && files.services.contains_key(*other))
            .map(|(other, dependency)| (other.clone(), dependency.condition));
        services.push(Service {
            key: key.clone(),
            role: Role::Main,
            image: job,
            depends_on: depends_on.collect(),
            limit: service::limit(healthcheck.as_ref(), wait),
            routed: None,
            healthcheck,
            replicas: vec![service::sealed(spec, paths)],
        });
    }
    for key in project.file.durable.tls.keys() {
        if !services.iter().any(|service| service.key == *key) {
            let message = "there is no such durable service";
            problems.push(project.problem(&["durable", "tls", key], message));
        }
    }
    services.sort_by(|a, b| a.key.cmp(&b.key));
    for service in &services {
        let build = builds.get(&service.key).map(|(build, _)| build);
        aws::only_in_variables(project, files, service, build, &mut problems);
    }
    aws::order(project, files, &mut services, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Durable {
        networks: networks.into_values().collect(),
        volumes: volumes.into_values().collect(),
        external: external.into_iter().collect(),
        services,
        certified,
        warnings,
    })
}

/// Whether a route leads to the service.
fn routed(project: &config::Project, key: &str) -> bool {
    let mut destinations = project.file.proxy.routes.iter().flat_map(|route| route.paths.values());
    destinations.any(|destination| destination.to.service == key)
}

/// What a service cannot keep once it is split out of the app's files.
fn apart(
    key: &str,
    own: &compose::Service,
    files: &compose::Project,
    chosen: &dyn Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) {
    for (net, attachment) in &own.networks {
        if attachment.ipv4_address.is_some() || attachment.ipv6_address.is_some() {
            problems.push(files.problem(
                &["services", key, "networks", net],
                "a durable service has no fixed address: the durable layer has a network of its own, \
                 where it is found by its name",
            ));
        }
    }
    let modes = [("network_mode", &own.network_mode), ("ipc", &own.ipc), ("pid", &own.pid)];
    let shared = modes
        .into_iter()
        .filter_map(|(name, mode)| Some((name, mode.as_deref()?.strip_prefix("service:")?)));
    let mounted = own
        .volumes_from
        .iter()
        .filter(|from| !from.starts_with("container:"))
        .map(|from| ("volumes_from", from.split(':').next().unwrap_or_default()));
    for (name, other) in shared.chain(mounted).filter(|(_, other)| !chosen(other)) {
        problems.push(files.problem(
            &["services", key, name],
            format!("a durable service cannot need `{other}`, which comes and goes with a color"),
        ));
    }
}

/// What is asked of a known database whose file says nothing: whether its real server answers.
fn healthcheck(own: &compose::Service) -> Option<Healthcheck> {
    let kind = own.image.as_deref().and_then(Kind::of_image)?;
    Some(Healthcheck {
        test: Test::Shell(kind.ping().to_owned()),
        interval: Some(Duration::from_secs(10)),
        timeout: Some(Duration::from_secs(5)),
        retries: Some(12),
        start_period: Some(Duration::from_secs(60)),
        start_interval: None,
    })
}
