//! A color's app stack as it shall be.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    aws,
    clone::CloneOf,
    image,
    proxy::listeners,
    routes::routes,
    service::{self, Place, Role, Service},
    support,
};
use crate::{
    compose::{self, Problem},
    config,
    model::{
        Attachment, BuildSpec, Color, Hook, Names, NetworkSpec, Restart, Route, ServiceSpec,
        Subnet, Test, VolumeSpec, labels,
    },
};

/// A color's app stack as it shall be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct App {
    pub color: Color,
    pub release: String,
    pub networks: Vec<NetworkSpec>,
    pub volumes: Vec<VolumeSpec>,
    /// Networks and volumes that have to be there already, by name.
    #[serde(deserialize_with = "external")]
    pub external: Vec<(&'static str, String)>,
    /// Sorted by key.
    pub services: Vec<Service>,
    /// What checks run in the color: made anew for each test, and no part of the release.
    pub tests: Vec<Service>,
    pub routes: Vec<Route>,
    /// The containers of the durable services that routes lead to, by service.
    #[serde(default)]
    pub durable: BTreeMap<String, String>,
    /// Numbers of replicas in place of the files'.
    #[serde(default)]
    pub replicas: BTreeMap<String, u32>,
    /// The copies of durable databases that it has in their place.
    #[serde(skip)]
    pub clones: Vec<CloneOf>,
    #[serde(skip)]
    pub warnings: Vec<String>,
}

fn external<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(&'static str, String)>, D::Error> {
    let all = Vec::<(String, String)>::deserialize(from)?;
    let kind = |kind: &str| if kind == "network" { "network" } else { "volume" };
    Ok(all.into_iter().map(|(what, name)| (kind(&what), name)).collect())
}

/// What it takes to know a stack.
pub struct Source<'a> {
    pub project: &'a config::Project,
    pub files: &'a compose::Project,
    /// Where `files` was read from.
    pub paths: &'a [PathBuf],
    pub color: Color,
    pub release: &'a str,
    /// The containers of the durable services that routes lead to, by service.
    pub durable: &'a BTreeMap<String, String>,
    /// Numbers of replicas in place of the files'.
    pub replicas: &'a BTreeMap<String, u32>,
    /// What is built, and the hash of what it is built from, by service.
    pub builds: &'a BTreeMap<String, (BuildSpec, String)>,
    /// The longest that a service may take to get ready.
    pub wait: Duration,
}

/// Derives a color's stack. All that is wrong with the files comes at once.
pub fn app(source: &Source<'_>) -> Result<App, Vec<Problem>> {
    let Source { project, files, color, release, .. } = *source;
    let (names, durable) = (&project.names, &project.file.durable.services);
    let mut problems = vec![];
    let mut warnings: Vec<String> = files.warnings.iter().map(ToString::to_string).collect();
    for key in source.replicas.keys().filter(|key| !files.services.contains_key(*key)) {
        let near = crate::base::words::nearest(key, files.services.keys().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let reason = format!("replicas of `{key}`, which the app does not have{hint}");
        problems.push(files.problem(&["services"], reason));
    }
    let routes = routes(project, files, source.durable, color, &mut problems);
    let offset = project.environment.port_offset;
    let http = routes.iter().filter(|route| !route.tcp);
    let http: Vec<_> = http.map(|route| (route.listen.saturating_sub(offset), route.tls)).collect();
    problems.extend(project.check_routes(&http));
    let mut routed = BTreeMap::<&str, BTreeSet<u16>>::new();
    for path in routes.iter().flat_map(|route| &route.paths) {
        let host = path.host.strip_prefix(color.as_str()).and_then(|host| host.strip_prefix('-'));
        if let Some(key) = host {
            routed.entry(key).or_default().insert(path.port);
        }
    }

    let mut networks = BTreeMap::new();
    let mut volumes = BTreeMap::new();
    let mut external = BTreeSet::new();
    let (mut services, mut tests) = (vec![], vec![]);
    for (key, own) in files.services.iter().filter(|(key, _)| !durable.contains(key)) {
        let stack = Stack { source, names, durable };
        let (mut template, healthcheck) = stack.template(key, own, &mut problems, &mut warnings);
        let role = stack.role(key);
        if template.network_mode.is_none() {
            let proxied = routed.contains_key(key.as_str());
            template.networks = stack.attachments(key, own, proxied, &mut networks, &mut external);
            if role == Role::Test {
                stack.show_preview(&mut template);
            }
        } else if routed.contains_key(key.as_str()) {
            problems.push(files.problem(
                &["services", key, "network_mode"],
                "a service that a route leads to has to be on a network that the proxy can join",
            ));
        }
        stack.note_volumes(own, &mut volumes, &mut external, &mut warnings);
        if let Some(name) = &own.container_name {
            warnings.push(format!("`{key}` has `container_name: {name}`: a network alias, as two colors cannot share a name"));
        }
        let image = image::job(names, key, files, source.builds);
        template.image.clone_from(&image.tag);
        let count = source.replicas.get(key).copied().unwrap_or_else(|| own.replicas());
        let replicas = (1..=count).map(|number| {
            let mut spec = template.clone();
            spec.name = names.container(color, key, number);
            service::compose_labels(
                &mut spec,
                &names.compose_project(color.as_str()),
                key,
                number,
                own,
            );
            service::sealed(spec, source.paths)
        });
        let depends_on = own
            .depends_on
            .iter()
            .filter(|(other, _)| !durable.contains(other) && files.services.contains_key(*other))
            .map(|(other, dependency)| (other.clone(), dependency.condition));
        let all = if role == Role::Test { &mut tests } else { &mut services };
        all.push(Service {
            key: key.clone(),
            role,
            image,
            replicas: replicas.collect(),
            depends_on: depends_on.collect(),
            limit: service::limit(healthcheck.as_ref(), source.wait),
            routed: routed
                .get(key.as_str())
                .map(|ports| (Names::alias(color, key), ports.iter().copied().collect())),
            healthcheck,
        });
    }
    services.sort_by(|a, b| a.key.cmp(&b.key));
    for service in services.iter().chain(&tests) {
        let build = source.builds.get(&service.key).map(|(build, _)| build);
        aws::only_in_variables(project, files, service, build, &mut problems);
    }
    aws::order(project, files, &mut services, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(App {
        color,
        release: release.to_owned(),
        networks: networks.into_values().collect(),
        volumes: volumes.into_values().collect(),
        external: external.into_iter().collect(),
        services,
        tests,
        routes,
        durable: source.durable.clone(),
        replicas: source.replicas.clone(),
        clones: vec![],
        warnings,
    })
}

struct Stack<'a> {
    source: &'a Source<'a>,
    names: &'a Names,
    durable: &'a [String],
}

impl Stack<'_> {
    fn role(&self, key: &str) -> Role {
        let file = &self.source.project.file;
        let awaited = |own: &compose::Service| {
            own.depends_on
                .get(key)
                .is_some_and(|other| other.condition == compose::Condition::Completed)
        };
        if file.hooks.all().any(|(_, _, hook)| hook.service == key) {
            Role::Hook
        } else if file.checks.iter().any(|check| check.service() == Some(key)) {
            Role::Test
        } else if file.app.workers.iter().any(|worker| worker == key) {
            Role::Worker
        } else if self.source.files.services.values().any(awaited) {
            Role::Job
        } else {
            Role::Main
        }
    }

    fn template(
        &self,
        key: &str,
        own: &compose::Service,
        problems: &mut Vec<Problem>,
        warnings: &mut Vec<String>,
    ) -> (ServiceSpec, Option<crate::model::Healthcheck>) {
        let Source { files, color, release, .. } = *self.source;
        let place = Place {
            project: files,
            key,
            volume: &|volume| self.volume(volume),
            container: &|other| self.container(other),
        };
        let mut spec = service::spec(own, "", &place, problems);
        warnings.extend(support::without_effect(own, &place).iter().map(ToString::to_string));
        for (name, value) in [
            ("ENVCTL_PROJECT", self.names.project.as_str()),
            ("ENVCTL_ENV", &self.names.environment),
            ("ENVCTL_COLOR", color.as_str()),
            ("ENVCTL_RELEASE", release),
        ] {
            spec.environment.insert(name.to_owned(), value.to_owned());
        }
        spec.labels.extend(own_labels(self.names, color));
        spec.labels.insert(labels::SERVICE.to_owned(), key.to_owned());
        spec.labels.insert(labels::RELEASE.to_owned(), release.to_owned());
        let role = self.role(key);
        if let Some(role) = role.label() {
            spec.labels.insert(labels::ROLE.to_owned(), role.to_owned());
        }
        let mut hooks = self.source.project.file.hooks.all();
        if let Some((when, order, hook)) = hooks.find(|(_, _, hook)| hook.service == key) {
            let seconds = hook.timeout.map(|limit| limit.as_secs().max(1));
            spec.labels.insert(labels::HOOK.to_owned(), Hook { when, order, seconds }.to_label());
        }
        spec.restart = match (role, spec.restart) {
            // What runs to its end is not started by the engine.
            (Role::Hook | Role::Test, _) => Restart::No,
            // With the others a restart of the engine would start the idle color's stopped workers.
            (Role::Worker, Restart::Always | Restart::OnFailure { .. }) => Restart::UnlessStopped,
            (_, restart) => restart,
        };
        let healthcheck = spec.healthcheck.clone().filter(|check| check.test != Test::None);
        (spec, healthcheck)
    }

    /// Lets a test service reach its color's preview, and tells it where that is.
    fn show_preview(&self, spec: &mut ServiceSpec) {
        let Source { project, files, color, .. } = *self.source;
        let network = self.names.proxy_network();
        spec.networks.push(Attachment { network, ..Attachment::default() });
        let preview = listeners(project, files)
            .into_iter()
            .map(|(listener, _)| listener)
            .find(|listener| listener.color == Some(color) && !listener.tcp);
        if let Some(listener) = preview {
            let scheme = if listener.tls { "https" } else { "http" };
            let url = format!("{scheme}://{}:{}", self.names.proxy(), listener.port);
            spec.environment.insert("ENVCTL_PREVIEW_URL".to_owned(), url);
        }
    }

    /// The engine's name of a service's first container.
    fn container(&self, key: &str) -> String {
        if !self.durable.iter().any(|durable| durable == key) {
            return self.names.container(self.source.color, key, 1);
        }
        let own = self.source.files.services.get(key).and_then(|own| own.container_name.clone());
        own.unwrap_or_else(|| self.names.durable_container(key))
    }

    /// The engine's name of a volume.
    fn volume(&self, key: &str) -> String {
        match self.source.files.volumes.get(key) {
            Some(volume) if volume.external => {
                volume.name.clone().unwrap_or_else(|| key.to_owned())
            }
            Some(volume)
                if self.is_durable_volume(key) && has_own_name(self.source.files, key, volume) =>
            {
                volume.name.clone().unwrap_or_default()
            }
            _ if self.is_durable_volume(key) => self.names.durable_volume(key),
            _ => self.names.volume(self.source.color, key),
        }
    }

    /// Whether a durable service of these files mounts the volume.
    fn is_durable_volume(&self, key: &str) -> bool {
        self.durable.iter().filter_map(|name| self.source.files.services.get(name)).any(|own| {
            own.volumes.iter().any(|mount| {
                mount.kind == compose::MountKind::Volume && mount.source.as_deref() == Some(key)
            })
        })
    }

    fn note_volumes(
        &self,
        own: &compose::Service,
        volumes: &mut BTreeMap<String, VolumeSpec>,
        external: &mut BTreeSet<(&'static str, String)>,
        warnings: &mut Vec<String>,
    ) {
        let named = own.volumes.iter().filter(|mount| mount.kind == compose::MountKind::Volume);
        for key in named.filter_map(|mount| mount.source.as_ref()) {
            let declared = self.source.files.volumes.get(key);
            let name = self.volume(key);
            if let Some(volume) = declared.filter(|volume| {
                !volume.external
                    && !self.is_durable_volume(key)
                    && has_own_name(self.source.files, key, volume)
            }) {
                warnings.push(format!(
                    "volume `{key}` has `name: {}`: each color has a volume of its own, `{name}` here",
                    volume.name.as_deref().unwrap_or_default()
                ));
            }
            if declared.is_some_and(|volume| volume.external) || self.is_durable_volume(key) {
                external.insert(("volume", name));
                continue;
            }
            let spec =
                volume(declared, &name, own_labels(self.names, self.source.color), key, || {
                    self.names.compose_project(self.source.color.as_str())
                });
            volumes.insert(key.clone(), spec);
        }
    }

    /// The networks that a service joins; those that are the color's own are put into `networks`.
    fn attachments(
        &self,
        key: &str,
        own: &compose::Service,
        proxied: bool,
        networks: &mut BTreeMap<String, NetworkSpec>,
        external: &mut BTreeSet<(&'static str, String)>,
    ) -> Vec<Attachment> {
        let Source { files, color, .. } = *self.source;
        let aliases = || {
            let mut aliases = vec![key.to_owned()];
            aliases.extend(own.container_name.clone());
            aliases
        };
        let mut all = vec![];
        let default = compose::NetworkAttachment::default();
        let default_name = "default".to_owned();
        let mut joined = service::by_priority(own);
        if joined.is_empty() {
            joined.push((&default_name, &default));
        }
        for (net, attachment) in joined {
            let declared = files.networks.get(net);
            let name = match declared {
                Some(declared) if declared.external => {
                    let name = declared.name.clone().unwrap_or_else(|| net.clone());
                    external.insert(("network", name.clone()));
                    name
                }
                _ => {
                    let spec = network(
                        declared,
                        self.names.network(color, net),
                        own_labels(self.names, color),
                        net,
                        self.names.compose_project(color.as_str()),
                    );
                    let name = spec.name.clone();
                    networks.insert(net.clone(), spec);
                    name
                }
            };
            all.push(service::attachment(name, own, attachment, aliases()));
        }
        let durable = self.names.durable_network("default");
        if self.needs_durable(own) && all.iter().all(|attachment| attachment.network != durable) {
            external.insert(("network", durable.clone()));
            all.push(Attachment {
                network: durable,
                links: service::links(own),
                ..Attachment::default()
            });
        }
        for attachment in &mut all {
            // The durable layer's network is shared by both colors: a name of the app there would reach either.
            if attachment.network == self.names.durable_network("default") {
                attachment.aliases.clear();
            }
        }
        if proxied {
            all.push(Attachment {
                network: self.names.proxy_network(),
                aliases: vec![Names::alias(color, key)],
                ..Attachment::default()
            });
        }
        all
    }

    /// Whether the service depends on, or shares a network with, a service of these files that is durable.
    fn needs_durable(&self, own: &compose::Service) -> bool {
        let nets = |service: &compose::Service| -> BTreeSet<String> {
            if service.networks.is_empty() {
                ["default".to_owned()].into()
            } else {
                service.networks.keys().cloned().collect()
            }
        };
        self.durable.iter().any(|name| {
            own.depends_on.contains_key(name)
                || self
                    .source
                    .files
                    .services
                    .get(name)
                    .is_some_and(|durable| !nets(durable).is_disjoint(&nets(own)))
        })
    }
}

fn own_labels(names: &Names, color: Color) -> BTreeMap<String, String> {
    let mut all = layer_labels(names, "app");
    all.insert(labels::COLOR.to_owned(), color.to_string());
    all
}

/// The labels that all things of a layer carry.
/// The labels of envctl's own for a thing of a layer.
pub fn layer_labels(names: &Names, layer: &str) -> BTreeMap<String, String> {
    [
        (labels::PROJECT, names.project.as_str()),
        (labels::ENVIRONMENT, &names.environment),
        (labels::LAYER, layer),
        (labels::VERSION, env!("CARGO_PKG_VERSION")),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

pub(super) fn network(
    declared: Option<&compose::Network>,
    name: String,
    own: BTreeMap<String, String>,
    key: &str,
    compose_project: String,
) -> NetworkSpec {
    let declared = declared.cloned().unwrap_or_default();
    let mut all: BTreeMap<String, String> = declared.labels.into_iter().collect();
    all.extend(own);
    all.insert(labels::compose::PROJECT.to_owned(), compose_project);
    all.insert(labels::compose::NETWORK.to_owned(), key.to_owned());
    NetworkSpec {
        name,
        driver: declared.driver,
        options: declared.driver_opts.into_iter().collect(),
        labels: all,
        internal: declared.internal,
        attachable: declared.attachable,
        ipv4: declared.enable_ipv4,
        ipv6: declared.enable_ipv6,
        ipam_driver: declared.ipam.driver,
        ipam_options: declared.ipam.options.into_iter().collect(),
        subnets: declared
            .ipam
            .config
            .into_iter()
            .map(|pool| Subnet {
                subnet: pool.subnet,
                gateway: pool.gateway,
                ip_range: pool.ip_range,
                aux_addresses: pool.aux_addresses.into_iter().collect(),
            })
            .collect(),
    }
    .sealed()
}

/// Whether a file gives the volume a name of its own; the reader gives each other one Compose's.
pub(super) fn has_own_name(files: &compose::Project, key: &str, volume: &compose::Volume) -> bool {
    volume.name.as_ref().is_some_and(|name| *name != format!("{}_{key}", files.name))
}

pub(super) fn volume(
    declared: Option<&compose::Volume>,
    name: &str,
    own: BTreeMap<String, String>,
    key: &str,
    compose_project: impl FnOnce() -> String,
) -> VolumeSpec {
    let declared = declared.cloned().unwrap_or_default();
    let mut all: BTreeMap<String, String> = declared.labels.into_iter().collect();
    all.extend(own);
    all.insert(labels::compose::PROJECT.to_owned(), compose_project());
    all.insert(labels::compose::VOLUME.to_owned(), key.to_owned());
    VolumeSpec {
        name: name.to_owned(),
        driver: declared.driver,
        options: declared.driver_opts.into_iter().collect(),
        labels: all,
    }
}
