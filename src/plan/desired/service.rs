//! One Compose service in the engine's terms.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    image::hosts,
    limits::{gpus, resources},
    mount::{file, mount},
    support,
};
use crate::{
    compose::{self, HealthTest, Problem},
    model::{
        Attachment, Container, Device, Healthcheck, Logging, Mount, Publish, Restart, ServiceSpec,
        Test, Ulimit, labels,
    },
    plan::ImageJob,
};

/// What a service is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Runs as long as its stack stands.
    Main,
    /// Runs only while its color is live.
    Worker,
    /// Runs to its end when its stack comes up: others wait for its success.
    Job,
    /// Runs to its end at a moment of a switch or a cleanup.
    Hook,
    /// Runs to its end when its color is tested.
    Test,
    /// The color's own copy of a durable database, which runs as long as its stack stands.
    Clone,
}

impl Role {
    /// The label's value; none for `Main`.
    pub const fn label(self) -> Option<&'static str> {
        match self {
            Self::Main => None,
            Self::Worker => Some("worker"),
            Self::Job => Some("job"),
            Self::Hook => Some("hook"),
            Self::Test => Some("test"),
            Self::Clone => Some("clone"),
        }
    }
}

/// A service as it shall be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its key in the Compose files.
    pub key: String,
    pub role: Role,
    #[serde(skip)]
    pub image: ImageJob,
    /// One for each container.
    pub replicas: Vec<ServiceSpec>,
    pub depends_on: BTreeMap<String, compose::Condition>,
    /// The file's own health check; the image's counts where this is none.
    pub healthcheck: Option<Healthcheck>,
    /// Host name and port by which the proxy reaches it; none for one that no route leads to.
    pub routed: Option<(String, u16)>,
    /// How long it may take to get ready (or to its end).
    pub limit: Duration,
}

/// Where a service's things are found on the engine.
pub(super) struct Place<'a> {
    pub project: &'a compose::Project,
    pub key: &'a str,
    pub volume: &'a dyn Fn(&str) -> String,
    /// The container of another service of the same stack.
    pub container: &'a dyn Fn(&str) -> String,
}

impl Place<'_> {
    /// A problem at a key of the service.
    pub fn problem(&self, keys: &[&str], message: impl Into<String>) -> Problem {
        let path: Vec<&str> = ["services", self.key].iter().chain(keys).copied().collect();
        self.project.problem(&path, message)
    }
}

/// The specification less names, networks, ports and labels of envctl's own: those are the stack's to give.
pub(super) fn spec(
    service: &compose::Service,
    image: &str,
    place: &Place<'_>,
    problems: &mut Vec<Problem>,
) -> ServiceSpec {
    support::refuse(service, place, problems);
    let healthcheck = service.healthcheck.as_ref().map(healthcheck);
    let deploy = service.deploy.as_ref();
    let mut mounts: Vec<Mount> = service
        .volumes
        .iter()
        .enumerate()
        .filter_map(|(index, own)| mount(index, own, place, problems))
        .collect();
    mounts.extend(service.tmpfs.iter().map(|text| {
        let (target, options) =
            text.split_once(':').map_or((text.as_str(), None), |(t, o)| (t, Some(o.to_owned())));
        Mount::Tmpfs { target: target.to_owned(), size: None, mode: None, options }
    }));
    let mut files = vec![];
    for (key, list, objects, folder) in [
        ("secrets", &service.secrets, &place.project.secrets, "/run/secrets"),
        ("configs", &service.configs, &place.project.configs, ""),
    ] {
        for (index, own) in list.iter().enumerate() {
            let Some(object) = objects.get(&own.source) else { continue };
            let at = [key, &index.to_string()];
            file(own, object, (folder, &at), place, (&mut mounts, &mut files), problems);
        }
    }
    ServiceSpec {
        image: image.to_owned(),
        platform: service.platform.clone(),
        command: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        environment: service
            .environment
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
            .collect(),
        labels: service.labels.clone().into_iter().collect(),
        annotations: service.annotations.clone().into_iter().collect(),
        network_mode: service.network_mode.as_ref().map(|mode| namespace(mode, place)),
        mounts,
        volumes_from: service.volumes_from.iter().map(|from| volumes_from(from, place)).collect(),
        expose: expose(service),
        files,
        healthcheck,
        restart: restart(service),
        stop_signal: service.stop_signal.clone(),
        stop_grace: service.stop_grace_period,
        user: service.user.clone(),
        working_dir: service.working_dir.clone(),
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        init: service.init,
        tty: service.tty,
        stdin_open: service.stdin_open,
        read_only: service.read_only,
        privileged: service.privileged,
        group_add: service.group_add.clone(),
        cap_add: service.cap_add.clone(),
        cap_drop: service.cap_drop.clone(),
        security_opt: service.security_opt.clone(),
        ulimits: service
            .ulimits
            .iter()
            .map(|(name, limit)| (name.clone(), Ulimit { soft: limit.soft, hard: limit.hard }))
            .collect(),
        sysctls: service.sysctls.clone().into_iter().collect(),
        devices: service
            .devices
            .iter()
            .filter(|device| !is_cdi(device))
            .map(|device| Device {
                source: device.source.clone(),
                target: device.target.clone().unwrap_or_else(|| device.source.clone()),
                permissions: device.permissions.clone().unwrap_or_else(|| "rwm".to_owned()),
            })
            .collect(),
        device_cgroup_rules: service.device_cgroup_rules.clone(),
        gpus: gpus(service),
        extra_hosts: hosts(&service.extra_hosts),
        dns: service.dns.clone(),
        dns_search: service.dns_search.clone(),
        dns_opt: service.dns_opt.clone(),
        mac_address: service.mac_address.clone(),
        ipc: service.ipc.as_ref().map(|mode| namespace(mode, place)),
        pid: service.pid.as_ref().map(|mode| namespace(mode, place)),
        uts: service.uts.clone(),
        userns: service.userns_mode.clone(),
        cgroup: service.cgroup.clone(),
        cgroup_parent: service.cgroup_parent.clone(),
        runtime: service.runtime.clone(),
        isolation: service.isolation.clone(),
        shm_size: service.shm_size.map(|size| size.0),
        storage_opt: service.storage_opt.clone().into_iter().collect(),
        logging: service.logging.as_ref().map(|logging| Logging {
            driver: logging.driver.clone(),
            options: logging.options.clone().into_iter().collect(),
        }),
        resources: resources(service, deploy),
        ..ServiceSpec::default()
    }
}

fn healthcheck(own: &compose::Healthcheck) -> Healthcheck {
    let test = match &own.test {
        _ if own.is_disabled() => Test::None,
        None => Test::Inherit,
        Some(HealthTest::Disabled) => Test::None,
        Some(HealthTest::Shell(line)) => Test::Shell(line.clone()),
        Some(HealthTest::Exec(words)) => Test::Command(words.clone()),
    };
    Healthcheck {
        test,
        interval: own.interval,
        timeout: own.timeout,
        retries: own.retries.and_then(|n| u32::try_from(n).ok()),
        start_period: own.start_period,
        start_interval: own.start_interval,
    }
}

/// How long a service may take to get healthy: what its check allows, at least half a minute, at most `most`.
pub(super) fn limit(check: Option<&Healthcheck>, most: Duration) -> Duration {
    let Some(check) = check else { return most };
    let each = check.interval.unwrap_or(Duration::from_secs(30))
        + check.timeout.unwrap_or(Duration::from_secs(30));
    let allowed = check.start_period.unwrap_or_default() + each * check.retries.unwrap_or(3);
    allowed.max(Duration::from_secs(30)).min(most)
}

fn restart(service: &compose::Service) -> Restart {
    if let Some(policy) = service.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref())
    {
        let retries = policy.max_attempts.and_then(|n| u32::try_from(n).ok());
        return match policy.condition.as_deref() {
            Some("none") => Restart::No,
            Some("on-failure") => Restart::OnFailure { retries },
            _ => Restart::UnlessStopped,
        };
    }
    match service.restart.as_deref() {
        Some("always") => Restart::Always,
        Some("unless-stopped") => Restart::UnlessStopped,
        Some(text) if text.starts_with("on-failure") => {
            Restart::OnFailure { retries: text.split_once(':').and_then(|(_, n)| n.parse().ok()) }
        }
        _ => Restart::No,
    }
}

/// Whether a device is named as the Container Device Interface does it, `vendor.com/class=name`.
pub(super) fn is_cdi(device: &compose::Device) -> bool {
    !device.source.starts_with('/') && device.source.contains('/') && device.source.contains('=')
}

fn expose(service: &compose::Service) -> Vec<String> {
    let own = service.expose.iter().flat_map(|entry| {
        let (ports, protocol) = entry.split_once('/').unwrap_or((entry, "tcp"));
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) => {
                (first..=last).map(|port| format!("{port}/{protocol}")).collect()
            }
            // The engine says what is wrong with it.
            _ => vec![format!("{ports}/{protocol}")],
        }
    });
    let published = service.ports.iter().map(|port| format!("{}/{}", port.target, protocol(port)));
    let mut all: Vec<String> = own.chain(published).collect();
    all.sort();
    all.dedup();
    all
}

pub(super) fn protocol(port: &compose::Port) -> &str {
    if port.protocol.is_empty() { "tcp" } else { &port.protocol }
}

/// `service:NAME` becomes the container of that service.
fn namespace(mode: &str, place: &Place<'_>) -> String {
    match mode.strip_prefix("service:") {
        Some(other) => format!("container:{}", (place.container)(other)),
        None => mode.to_owned(),
    }
}

/// `SERVICE[:ro]` becomes the container of that service, `container:NAME[:ro]` stands for itself.
fn volumes_from(from: &str, place: &Place<'_>) -> String {
    if let Some(name) = from.strip_prefix("container:") {
        return name.to_owned();
    }
    match from.split_once(':') {
        Some((service, mode)) => format!("{}:{mode}", (place.container)(service)),
        None => (place.container)(from),
    }
}

/// The further names that a service gives to others, for itself alone.
pub(super) fn links(service: &compose::Service) -> Vec<String> {
    let all = service.links.iter().chain(&service.external_links);
    all.filter(|link| link.contains(':')).cloned().collect()
}

pub(super) fn attachment(
    network: String,
    service: &compose::Service,
    own: &compose::NetworkAttachment,
    aliases: Vec<String>,
) -> Attachment {
    let mut all = aliases;
    all.extend(own.aliases.iter().cloned());
    Attachment {
        network,
        aliases: all,
        ipv4: own.ipv4_address.clone(),
        ipv6: own.ipv6_address.clone(),
        link_local_ips: own.link_local_ips.clone(),
        mac_address: own.mac_address.clone(),
        driver_opts: own.driver_opts.clone().into_iter().collect(),
        gw_priority: own.gw_priority,
        links: links(service),
        interface_name: own.interface_name.clone(),
    }
}

/// The order in which a service joins its networks: by priority, the highest first, then by name.
pub(super) fn by_priority(
    service: &compose::Service,
) -> Vec<(&String, &compose::NetworkAttachment)> {
    let mut networks: Vec<_> = service.networks.iter().collect();
    networks.sort_by_key(|(name, own)| (-own.priority.unwrap_or(0), (*name).clone()));
    networks
}

/// A published port of the durable layer.
pub(super) fn publish(port: &compose::Port, offset: u16) -> Publish {
    Publish {
        host_ip: port.host_ip.clone().unwrap_or_else(|| "127.0.0.1".to_owned()),
        host_port: port.published_port().map(|port| port.saturating_add(offset)),
        container_port: port.target,
        protocol: protocol(port).to_owned(),
    }
}

/// Compose's own labels, for the tools that show stacks by them.
pub(super) fn compose_labels(
    spec: &mut ServiceSpec,
    compose_project: &str,
    key: &str,
    number: u32,
    service: &compose::Service,
) {
    let depends: Vec<String> = service
        .depends_on
        .iter()
        .map(|(other, dependency)| {
            let condition = match dependency.condition {
                compose::Condition::Started => "service_started",
                compose::Condition::Healthy => "service_healthy",
                compose::Condition::Completed => "service_completed_successfully",
            };
            format!("{other}:{condition}:{}", dependency.restart)
        })
        .collect();
    for (label, value) in [
        (labels::compose::PROJECT, compose_project.to_owned()),
        (labels::compose::SERVICE, key.to_owned()),
        (labels::compose::ONEOFF, "False".to_owned()),
        (labels::compose::NUMBER, number.to_string()),
        (labels::compose::DEPENDS_ON, depends.join(",")),
    ] {
        spec.labels.insert(label.to_owned(), value);
    }
}

/// Notes the checkout that a specification was made from and seals it: from another checkout the same files make the same
/// container.
pub(super) fn sealed(mut spec: ServiceSpec, files: &[PathBuf]) -> ServiceSpec {
    let folder = files.first().and_then(|file| file.parent()).unwrap_or(Path::new(""));
    let list: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    for (label, value) in [
        (labels::compose::CONFIG_FILES, list.join(",")),
        (labels::compose::WORKING_DIR, folder.display().to_string()),
    ] {
        spec.labels.insert(label.to_owned(), value);
    }
    spec.sealed()
}

/// Whether the container was made from this specification.
pub fn is_of(container: &Container, spec: &ServiceSpec) -> bool {
    container.label(labels::SPEC_HASH) == spec.labels.get(labels::SPEC_HASH).map(String::as_str)
}
