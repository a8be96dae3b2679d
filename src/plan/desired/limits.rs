//! What a service may use: processors, memory, devices.

use super::service::is_cdi;
use crate::{
    compose,
    model::{Blkio, Gpu, Resources},
};

/// Devices that are asked for by what they can do, or by a name that the engine looks up.
pub(super) fn gpus(service: &compose::Service) -> Vec<Gpu> {
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
    let named: Vec<String> =
        service.devices.iter().filter(|device| is_cdi(device)).map(|d| d.source.clone()).collect();
    let named = (!named.is_empty()).then(|| Gpu {
        driver: Some("cdi".to_owned()),
        device_ids: named,
        ..Gpu::default()
    });
    own.chain(reserved.iter().map(|request| gpu(request, &[]))).chain(named).collect()
}

/// `deploy.resources` and the older keys; the former win, as with Compose.
pub(super) fn resources(service: &compose::Service, deploy: Option<&compose::Deploy>) -> Resources {
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
