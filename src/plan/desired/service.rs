//! One Compose service in the engine's terms.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::image::hosts;
use crate::{
    compose::{self, HealthTest, MountKind, Problem},
    model::{
        Attachment, Blkio, Container, Device, FileSpec, Gpu, Healthcheck, Logging, Mount, Publish,
        Resources, Restart, ServiceSpec, Test, Ulimit, labels,
    },
    plan::ImageJob,
};

/// What a service is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        }
    }
}

/// A service as it shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its key in the Compose files.
    pub key: String,
    pub role: Role,
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
    fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        self.project.problem(&["services", self.key, key], message)
    }
}

/// The specification less names, networks, ports and labels of envctl's own: those are the stack's to give.
pub(super) fn spec(
    service: &compose::Service,
    image: &str,
    place: &Place<'_>,
    problems: &mut Vec<Problem>,
) -> ServiceSpec {
    refuse(service, place, problems);
    let healthcheck = service.healthcheck.as_ref().map(healthcheck);
    let deploy = service.deploy.as_ref();
    let mut mounts: Vec<Mount> =
        service.volumes.iter().filter_map(|own| mount(own, place, problems)).collect();
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
        for own in list {
            file(
                own,
                objects.get(&own.source),
                folder,
                key,
                place,
                (&mut mounts, &mut files),
                problems,
            );
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

/// What envctl does not do yet or on purpose: refused with its place, never skipped.
fn refuse(service: &compose::Service, place: &Place<'_>, problems: &mut Vec<Problem>) {
    let refused = [
        (
            "volumes_from",
            !service.volumes_from.is_empty(),
            "name the volumes under `volumes` instead",
        ),
        (
            "links",
            !service.links.is_empty(),
            "services find each other by name; use `networks.NAME.aliases`",
        ),
        ("external_links", !service.external_links.is_empty(), "use an external network instead"),
        (
            "post_start",
            !service.post_start.is_empty(),
            "use `hooks` of envctl.yaml or the image's entrypoint",
        ),
        (
            "pre_start",
            !service.pre_start.is_empty(),
            "use `hooks` of envctl.yaml or the image's entrypoint",
        ),
        (
            "pre_stop",
            !service.pre_stop.is_empty(),
            "use `stop_signal` and handle it in the service",
        ),
    ];
    for (key, present, instead) in refused {
        if present {
            problems
                .push(place.problem(key, format!("envctl does not support `{key}`: {instead}")));
        }
    }
    if service.image.is_none() && service.build.is_none() {
        problems.push(place.problem("image", "neither `image` nor `build` says what to run"));
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

fn expose(service: &compose::Service) -> Vec<String> {
    let own = service
        .expose
        .iter()
        .map(|port| if port.contains('/') { port.clone() } else { format!("{port}/tcp") });
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

fn mount(own: &compose::Mount, place: &Place<'_>, problems: &mut Vec<Problem>) -> Option<Mount> {
    let target = own.target.clone();
    let read_only = own.read_only;
    match own.kind {
        MountKind::Volume => {
            let options = own.volume.clone().unwrap_or_default();
            Some(Mount::Volume {
                source: own.source.as_deref().map(|key| (place.volume)(key)),
                target,
                read_only,
                nocopy: options.nocopy,
                subpath: options.subpath,
            })
        }
        MountKind::Bind => {
            let options = own.bind.clone().unwrap_or_default();
            Some(Mount::Bind {
                source: own.source.clone().unwrap_or_default().into(),
                target,
                read_only,
                propagation: options.propagation,
                create: own.creates_host_path(),
                selinux: options.selinux,
            })
        }
        MountKind::Tmpfs => {
            let options = own.tmpfs.clone().unwrap_or_default();
            Some(Mount::Tmpfs {
                target,
                size: options.size.map(|size| size.0),
                mode: options.mode,
                options: None,
            })
        }
        MountKind::Cluster | MountKind::Npipe | MountKind::Image => {
            problems.push(place.problem(
                "volumes",
                format!("envctl does not support the mount type of `{target}`: volume, bind and tmpfs it does"),
            ));
            None
        }
    }
}

fn file(
    own: &compose::FileMount,
    object: Option<&compose::FileObject>,
    folder: &str,
    key: &str,
    place: &Place<'_>,
    (mounts, files): (&mut Vec<Mount>, &mut Vec<FileSpec>),
    problems: &mut Vec<Problem>,
) {
    let Some(object) = object else { return };
    let name = own.target.clone().unwrap_or_else(|| {
        if folder.is_empty() { format!("/{}", own.source) } else { own.source.clone() }
    });
    let path = if name.starts_with('/') { name } else { format!("{folder}/{name}") };
    if object.external {
        problems.push(place.problem(
            key,
            format!(
                "`{}` is external, which only Swarm has: give it a `file` or an `environment`",
                own.source
            ),
        ));
        return;
    }
    let content = match (&object.content, &object.value) {
        (Some(content), _) => content.clone(),
        (None, Some(value)) => value.0.clone(),
        (None, None) => {
            match &object.file {
                Some(source) => mounts.push(Mount::Bind {
                    source: source.into(),
                    target: path,
                    read_only: true,
                    propagation: None,
                    create: false,
                    selinux: None,
                }),
                None => problems.push(place.problem(
                    key,
                    format!(
                        "`{}` takes its value from the variable `{}`, which is not set",
                        own.source,
                        object.environment.as_deref().unwrap_or("?")
                    ),
                )),
            }
            return;
        }
    };
    let id = |text: &Option<String>| text.as_deref().and_then(|id| id.parse().ok()).unwrap_or(0);
    files.push(FileSpec {
        path,
        content: content.into_bytes(),
        mode: own.mode.map_or(0o444, |mode| mode.0),
        uid: id(&own.uid),
        gid: id(&own.gid),
    });
}

fn gpus(service: &compose::Service) -> Vec<Gpu> {
    let reserved = service
        .deploy
        .as_ref()
        .and_then(|deploy| deploy.resources.reservations.as_ref())
        .map(|reservations| reservations.devices.as_slice())
        .unwrap_or_default();
    let gpu = |request: &compose::DeviceRequest, implied: &[&str]| Gpu {
        driver: request.driver.clone(),
        count: request
            .count
            .map(|count| count.0)
            .or_else(|| request.device_ids.is_empty().then_some(-1)),
        device_ids: request.device_ids.clone(),
        capabilities: if request.capabilities.is_empty() {
            implied.iter().map(|&word| word.to_owned()).collect()
        } else {
            request.capabilities.clone()
        },
        options: request.options.clone().into_iter().collect(),
    };
    let own = service.gpus.iter().map(|request| gpu(request, &["gpu"]));
    own.chain(reserved.iter().map(|request| gpu(request, &[]))).collect()
}

/// `deploy.resources` and the older keys; the former win, as with Compose.
fn resources(service: &compose::Service, deploy: Option<&compose::Deploy>) -> Resources {
    let limits = deploy.and_then(|deploy| deploy.resources.limits.as_ref());
    let reserved = deploy.and_then(|deploy| deploy.resources.reservations.as_ref());
    #[expect(clippy::cast_possible_truncation, reason = "a number of processors is small")]
    let nano = |cpus: f64| (cpus * 1e9).round() as i64;
    #[expect(clippy::cast_possible_truncation, reason = "a percentage is small")]
    let percent = |share: f64| share.round() as i64;
    Resources {
        memory: limits.and_then(|limits| limits.memory).or(service.mem_limit).map(|size| size.0),
        memory_reservation: reserved
            .and_then(|reserved| reserved.memory)
            .or(service.mem_reservation)
            .map(|size| size.0),
        memory_swap: service.memswap_limit.map(|size| size.0),
        memory_swappiness: service.mem_swappiness.map(|size| size.0),
        kernel_memory: None,
        oom_kill_disable: service.oom_kill_disable.then_some(true),
        oom_score_adj: service.oom_score_adj,
        pids: limits.and_then(|limits| limits.pids).or(service.pids_limit),
        nano_cpus: limits.and_then(|limits| limits.cpus).or(service.cpus).map(nano),
        cpu_shares: service.cpu_shares,
        cpu_quota: service.cpu_quota,
        cpu_period: service.cpu_period,
        cpu_realtime_period: service.cpu_rt_period,
        cpu_realtime_runtime: service.cpu_rt_runtime,
        cpuset: service.cpuset.clone(),
        cpu_count: service.cpu_count,
        cpu_percent: service.cpu_percent.map(percent),
        blkio: service.blkio_config.as_ref().map(blkio).unwrap_or_default(),
    }
}

fn blkio(own: &compose::BlkioConfig) -> Blkio {
    let rates = |list: &[compose::ThrottleDevice]| {
        list.iter().map(|d| (d.path.clone(), d.rate.0)).collect()
    };
    Blkio {
        weight: own.weight,
        weight_device: own
            .weight_device
            .iter()
            .map(|device| (device.path.clone(), device.weight))
            .collect(),
        read_bps: rates(&own.device_read_bps),
        write_bps: rates(&own.device_write_bps),
        read_iops: rates(&own.device_read_iops),
        write_iops: rates(&own.device_write_iops),
    }
}

pub(super) fn attachment(
    network: String,
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
