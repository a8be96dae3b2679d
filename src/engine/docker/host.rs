//! The host's side of a container: mounts, ports, limits, devices.

use std::{collections::HashMap, path::Path};

use bollard::models::{
    DeviceMapping, DeviceRequest, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig,
    MountBindOptions, MountBindOptionsPropagationEnum as Propagation, MountTmpfsOptions, MountType,
    MountVolumeOptions, PortBinding, ResourcesBlkioWeightDevice, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum, ThrottleDevice,
};

use super::{
    body::{map, some, unsupported},
    files,
    version::Version,
};
use crate::{
    engine::Result,
    model::{Mount, Restart, ServiceSpec},
};

pub(super) fn config(spec: &ServiceSpec, version: Version) -> Result<HostConfig> {
    if !spec.annotations.is_empty() && version < Version::ANNOTATIONS {
        return Err(unsupported("annotate containers", "it needs Docker Engine 24"));
    }
    let mut config = HostConfig {
        network_mode: spec
            .network_mode
            .clone()
            .or_else(|| spec.networks.first().map(|network| network.network.clone())),
        port_bindings: ports(spec),
        restart_policy: Some(restart(spec.restart)),
        init: spec.init,
        readonly_rootfs: Some(spec.read_only),
        privileged: Some(spec.privileged),
        group_add: some(&spec.group_add),
        cap_add: some(&spec.cap_add),
        cap_drop: some(&spec.cap_drop),
        security_opt: some(&spec.security_opt),
        volumes_from: some(&spec.volumes_from),
        sysctls: (!spec.sysctls.is_empty()).then(|| map(&spec.sysctls)),
        extra_hosts: some(&spec.extra_hosts),
        dns: some(&spec.dns),
        dns_search: some(&spec.dns_search),
        dns_options: some(&spec.dns_opt),
        ipc_mode: spec.ipc.clone(),
        pid_mode: spec.pid.clone(),
        uts_mode: spec.uts.clone(),
        userns_mode: spec.userns.clone(),
        cgroup_parent: spec.cgroup_parent.clone(),
        runtime: spec.runtime.clone(),
        shm_size: spec.shm_size,
        storage_opt: (!spec.storage_opt.is_empty()).then(|| map(&spec.storage_opt)),
        annotations: (!spec.annotations.is_empty()).then(|| map(&spec.annotations)),
        log_config: spec.logging.as_ref().map(|logging| HostConfigLogConfig {
            typ: logging.driver.clone(),
            config: Some(map(&logging.options)),
        }),
        cgroupns_mode: match spec.cgroup.as_deref() {
            None => None,
            Some("host") => Some(HostConfigCgroupnsModeEnum::HOST),
            Some("private") => Some(HostConfigCgroupnsModeEnum::PRIVATE),
            Some(other) => {
                return Err(unsupported(
                    &format!("use the cgroup namespace `{other}`"),
                    "it is `host` or `private`",
                ));
            }
        },
        ..HostConfig::default()
    };
    limit(spec, &mut config);
    devices(spec, &mut config);
    mounts(spec, version, &mut config)?;
    Ok(config)
}

fn ports(spec: &ServiceSpec) -> Option<HashMap<String, Option<Vec<PortBinding>>>> {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &spec.ports {
        bindings
            .entry(format!("{}/{}", port.container_port, port.protocol))
            .or_default()
            .get_or_insert_default()
            .push(PortBinding {
                host_ip: Some(port.host_ip.clone()),
                host_port: Some(port.host_port.map(|port| port.to_string()).unwrap_or_default()),
            });
    }
    (!bindings.is_empty()).then_some(bindings)
}

fn restart(policy: Restart) -> RestartPolicy {
    let (name, retries) = match policy {
        Restart::No => (RestartPolicyNameEnum::NO, None),
        Restart::Always => (RestartPolicyNameEnum::ALWAYS, None),
        Restart::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        Restart::OnFailure { retries } => (RestartPolicyNameEnum::ON_FAILURE, retries),
    };
    RestartPolicy { name: Some(name), maximum_retry_count: retries.map(i64::from) }
}

fn limit(spec: &ServiceSpec, config: &mut HostConfig) {
    let limits = &spec.resources;
    config.memory = limits.memory;
    config.memory_reservation = limits.memory_reservation;
    config.memory_swap = limits.memory_swap;
    config.memory_swappiness = limits.memory_swappiness;
    config.oom_kill_disable = limits.oom_kill_disable;
    config.oom_score_adj = limits.oom_score_adj;
    config.pids_limit = limits.pids;
    config.nano_cpus = limits.nano_cpus;
    config.cpu_shares = limits.cpu_shares;
    config.cpu_quota = limits.cpu_quota;
    config.cpu_period = limits.cpu_period;
    config.cpu_realtime_period = limits.cpu_realtime_period;
    config.cpu_realtime_runtime = limits.cpu_realtime_runtime;
    config.cpuset_cpus.clone_from(&limits.cpuset);
    config.cpu_count = limits.cpu_count;
    config.cpu_percent = limits.cpu_percent;
    let throttle = |list: &[(String, i64)]| {
        some(list).map(|list| {
            list.into_iter()
                .map(|(path, rate)| ThrottleDevice { path: Some(path), rate: Some(rate) })
                .collect()
        })
    };
    config.blkio_weight = limits.blkio.weight;
    config.blkio_weight_device = some(&limits.blkio.weight_device).map(|list| {
        list.into_iter()
            .map(|(path, weight)| ResourcesBlkioWeightDevice {
                path: Some(path),
                weight: Some(weight.into()),
            })
            .collect()
    });
    config.blkio_device_read_bps = throttle(&limits.blkio.read_bps);
    config.blkio_device_write_bps = throttle(&limits.blkio.write_bps);
    config.blkio_device_read_iops = throttle(&limits.blkio.read_iops);
    config.blkio_device_write_iops = throttle(&limits.blkio.write_iops);
    config.ulimits = (!spec.ulimits.is_empty()).then(|| {
        spec.ulimits
            .iter()
            .map(|(name, limit)| ResourcesUlimits {
                name: Some(name.clone()),
                soft: Some(limit.soft),
                hard: Some(limit.hard),
            })
            .collect()
    });
}

fn devices(spec: &ServiceSpec, config: &mut HostConfig) {
    config.devices = some(&spec.devices).map(|list| {
        list.into_iter()
            .map(|device| DeviceMapping {
                path_in_container: Some(if device.target.is_empty() {
                    device.source.clone()
                } else {
                    device.target
                }),
                path_on_host: Some(device.source),
                cgroup_permissions: Some(if device.permissions.is_empty() {
                    "rwm".to_owned()
                } else {
                    device.permissions
                }),
            })
            .collect()
    });
    config.device_cgroup_rules = some(&spec.device_cgroup_rules);
    config.device_requests = some(&spec.gpus).map(|list| {
        list.into_iter()
            .map(|gpu| DeviceRequest {
                driver: gpu.driver,
                // The engine refuses a count beside ids.
                count: gpu.count.filter(|_| gpu.device_ids.is_empty()),
                device_ids: some(&gpu.device_ids),
                capabilities: Some(vec![if gpu.capabilities.is_empty() {
                    vec!["gpu".to_owned()]
                } else {
                    gpu.capabilities
                }]),
                options: Some(map(&gpu.options)),
            })
            .collect()
    });
}

fn mounts(spec: &ServiceSpec, version: Version, config: &mut HostConfig) -> Result<()> {
    let (mut list, mut binds, mut tmpfs) = (vec![], vec![], HashMap::new());
    for mount in &spec.mounts {
        match mount {
            Mount::Volume { source, target, read_only, nocopy, subpath } => {
                if subpath.is_some() && version < Version::SUBPATH {
                    return Err(unsupported(
                        &format!("mount a folder of a volume at `{target}`"),
                        "`subpath` needs Docker Engine 26",
                    ));
                }
                list.push(bollard::models::Mount {
                    typ: Some(MountType::VOLUME),
                    source: source.clone(),
                    target: Some(target.clone()),
                    read_only: Some(*read_only),
                    volume_options: Some(MountVolumeOptions {
                        no_copy: Some(*nocopy),
                        subpath: subpath.clone(),
                        ..MountVolumeOptions::default()
                    }),
                    ..bollard::models::Mount::default()
                });
            }
            Mount::Bind { source, target, read_only, propagation, create, selinux, recursive } => {
                let source = text(source)?;
                // What is here has to be there: an engine that sees other files (Docker-in-Docker, another machine) would
                // mount an empty folder in its place.
                let create = *create && !Path::new(source).exists();
                // Only the short syntax makes a missing source (before API 1.42) and relabels.
                let short = selinux.is_some() || (create && version < Version::CREATE_MOUNTPOINT);
                let recursion = recursion(recursive.as_deref(), target, version, short)?;
                if short {
                    if source.contains(':') || target.contains(':') {
                        return Err(unsupported(
                            &format!("bind `{source}` to `{target}`"),
                            "a `:` in a path needs Docker Engine 23",
                        ));
                    }
                    let mode: Vec<&str> = [if *read_only { "ro" } else { "rw" }]
                        .into_iter()
                        .chain(propagation.as_deref())
                        .chain(selinux.as_deref())
                        .collect();
                    binds.push(format!("{source}:{target}:{}", mode.join(",")));
                    continue;
                }
                list.push(bollard::models::Mount {
                    typ: Some(MountType::BIND),
                    source: Some(source.to_owned()),
                    target: Some(target.clone()),
                    read_only: Some(*read_only),
                    bind_options: Some(MountBindOptions {
                        propagation: propagation.as_deref().map(propagate).transpose()?,
                        create_mountpoint: create.then_some(true),
                        ..recursion
                    }),
                    ..bollard::models::Mount::default()
                });
            }
            Mount::Tmpfs { target, size, mode, options: None } => {
                list.push(bollard::models::Mount {
                    typ: Some(MountType::TMPFS),
                    target: Some(target.clone()),
                    tmpfs_options: Some(MountTmpfsOptions {
                        size_bytes: *size,
                        mode: mode.map(i64::from),
                        ..MountTmpfsOptions::default()
                    }),
                    ..bollard::models::Mount::default()
                });
            }
            Mount::Tmpfs { target, size, mode, options: Some(options) } => {
                let all = [
                    (!options.is_empty()).then(|| options.clone()),
                    size.map(|size| format!("size={size}")),
                    mode.map(|mode| format!("mode={mode:o}")),
                ];
                tmpfs.insert(
                    target.clone(),
                    all.into_iter().flatten().collect::<Vec<_>>().join(","),
                );
            }
        }
    }
    // Folders for files where none could be laid in otherwise.
    for folder in files::own_folders(spec)? {
        list.push(bollard::models::Mount {
            typ: Some(MountType::VOLUME),
            target: Some(folder),
            ..bollard::models::Mount::default()
        });
    }
    config.mounts = some(&list);
    config.binds = some(&binds);
    config.tmpfs = (!tmpfs.is_empty()).then_some(tmpfs);
    Ok(())
}

/// What becomes of mounts below a bind mount's source.
fn recursion(
    word: Option<&str>,
    target: &str,
    version: Version,
    short: bool,
) -> Result<MountBindOptions> {
    let mut options = MountBindOptions::default();
    let what = || format!("bind `{target}` with `recursive: {}`", word.unwrap_or_default());
    match word {
        None | Some("enabled") => return Ok(options),
        Some("disabled") => options.non_recursive = Some(true),
        Some(_) if version < Version::MANY_NETWORKS => {
            return Err(unsupported(&what(), "it needs Docker Engine 25"));
        }
        Some("writable") => options.read_only_non_recursive = Some(true),
        Some(_) => options.read_only_force_recursive = Some(true),
    }
    if short {
        return Err(unsupported(
            &what(),
            "it does not go together with `selinux`, nor with `create_host_path` before Docker Engine 23",
        ));
    }
    Ok(options)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| unsupported(&format!("bind `{}`", path.display()), "the path is no UTF-8"))
}

fn propagate(word: &str) -> Result<Propagation> {
    Ok(match word {
        "private" => Propagation::PRIVATE,
        "rprivate" => Propagation::RPRIVATE,
        "shared" => Propagation::SHARED,
        "rshared" => Propagation::RSHARED,
        "slave" => Propagation::SLAVE,
        "rslave" => Propagation::RSLAVE,
        other => {
            return Err(unsupported(
                &format!("mount with the propagation `{other}`"),
                "it is one of private, rprivate, shared, rshared, slave, rslave",
            ));
        }
    })
}
