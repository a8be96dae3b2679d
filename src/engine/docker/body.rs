//! A service's specification as the engine's JSON for a new container.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, NetworkingConfig,
};
use serde_json::{Value, json};

use super::{host, version::Version};
use crate::{
    engine::{EngineError, Result},
    model::{Attachment, Healthcheck, ServiceSpec, Test},
};

/// The driver option that names an interface.
const INTERFACE_NAME: &str = "com.docker.network.endpoint.ifname";

/// The body of `POST /containers/create`. An engine without a feature that the specification names is `Unsupported`.
pub(super) fn container(spec: &ServiceSpec, version: Version) -> Result<Value> {
    let body = ContainerCreateBody {
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        user: spec.user.clone(),
        exposed_ports: exposed(spec),
        tty: Some(spec.tty),
        open_stdin: Some(spec.stdin_open),
        stdin_once: Some(false),
        env: Some(spec.environment.iter().map(|(k, v)| format!("{k}={v}")).collect()),
        cmd: spec.command.clone(),
        healthcheck: spec.healthcheck.as_ref().map(|check| health(check, version)),
        image: Some(spec.image.clone()),
        working_dir: spec.working_dir.clone(),
        entrypoint: spec.entrypoint.clone(),
        labels: Some(map(&spec.labels)),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_grace.map(whole_seconds),
        host_config: Some(host::config(spec, version)?),
        networking_config: networking(spec, version)?,
        ..ContainerCreateBody::default()
    };
    let mut body = serde_json::to_value(body).expect("requests have string keys only");
    // Fields that bollard's types, which follow the newest API, no longer have.
    if version < Version::MANY_NETWORKS {
        let first = spec.networks.first().and_then(|network| network.mac_address.as_ref());
        if let Some(address) = spec.mac_address.as_ref().or(first) {
            body["MacAddress"] = json!(address);
        }
    }
    if let Some(limit) = spec.resources.kernel_memory {
        if version >= Version::CREATE_MOUNTPOINT {
            return Err(unsupported("limit kernel memory", "engines since 23.0 no longer can"));
        }
        body["HostConfig"]["KernelMemory"] = json!(limit);
    }
    if let Some(isolation) = &spec.isolation {
        body["HostConfig"]["Isolation"] = json!(isolation);
    }
    Ok(body)
}

/// The networks that join the container after its creation.
pub(super) fn later(spec: &ServiceSpec, version: Version) -> &[Attachment] {
    if version >= Version::MANY_NETWORKS { &[] } else { spec.networks.get(1..).unwrap_or(&[]) }
}

fn networking(spec: &ServiceSpec, version: Version) -> Result<Option<NetworkingConfig>> {
    if spec.networks.is_empty() {
        return Ok(None);
    }
    let now = spec.networks.len() - later(spec, version).len();
    let mut endpoints = HashMap::new();
    for (at, network) in spec.networks.iter().take(now).enumerate() {
        let mut settings = endpoint(network, version)?;
        if at == 0 && version >= Version::MANY_NETWORKS && settings.mac_address.is_none() {
            settings.mac_address.clone_from(&spec.mac_address);
        }
        endpoints.insert(network.network.clone(), settings);
    }
    for network in &spec.networks[now..] {
        endpoint(network, version)?;
    }
    Ok(Some(NetworkingConfig { endpoints_config: Some(endpoints) }))
}

/// What a container is on a network.
pub(super) fn endpoint(network: &Attachment, version: Version) -> Result<EndpointSettings> {
    if network.gw_priority.is_some() && version < Version::GATEWAY_PRIORITY {
        return Err(unsupported(
            &format!("give network `{}` a gateway priority", network.network),
            "it needs Docker Engine 28",
        ));
    }
    if network.interface_name.is_some() && version < Version::GATEWAY_PRIORITY {
        return Err(unsupported(
            &format!("name the interface of network `{}`", network.network),
            "`interface_name` needs Docker Engine 28",
        ));
    }
    let mut driver_opts = map(&network.driver_opts);
    driver_opts
        .extend(network.interface_name.clone().map(|name| (INTERFACE_NAME.to_owned(), name)));
    let fixed =
        network.ipv4.is_some() || network.ipv6.is_some() || !network.link_local_ips.is_empty();
    Ok(EndpointSettings {
        aliases: Some(network.aliases.clone()),
        ipam_config: fixed.then(|| EndpointIpamConfig {
            ipv4_address: network.ipv4.clone(),
            ipv6_address: network.ipv6.clone(),
            link_local_ips: some(&network.link_local_ips),
        }),
        mac_address: network.mac_address.clone(),
        driver_opts: (!driver_opts.is_empty()).then_some(driver_opts),
        links: some(&network.links),
        gw_priority: network.gw_priority,
        ..EndpointSettings::default()
    })
}

fn exposed(spec: &ServiceSpec) -> Option<Vec<String>> {
    let mut ports: Vec<String> = spec
        .expose
        .iter()
        .map(|port| if port.contains('/') { port.clone() } else { format!("{port}/tcp") })
        .chain(spec.ports.iter().map(|port| format!("{}/{}", port.container_port, port.protocol)))
        .collect();
    ports.sort();
    ports.dedup();
    (!ports.is_empty()).then_some(ports)
}

/// `StartInterval` is left out where the engine has none: it only slows the engine's own check down.
fn health(check: &Healthcheck, version: Version) -> HealthConfig {
    let test = match &check.test {
        Test::None => vec!["NONE".to_owned()],
        Test::Inherit => vec![],
        Test::Command(words) => [&["CMD".to_owned()], words.as_slice()].concat(),
        Test::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
    };
    HealthConfig {
        test: Some(test),
        interval: check.interval.map(nanoseconds),
        timeout: check.timeout.map(nanoseconds),
        retries: check.retries.map(i64::from),
        start_period: check.start_period.map(nanoseconds),
        start_interval: check
            .start_interval
            .filter(|_| version >= Version::MANY_NETWORKS)
            .map(nanoseconds),
    }
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// Rounded up: a grace of half a second is not none.
pub(super) fn whole_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX - 1) + i64::from(time.subsec_nanos() > 0)
}

pub(super) fn unsupported(what: &str, reason: &str) -> EngineError {
    EngineError::Unsupported { what: what.to_owned(), reason: reason.to_owned() }
}

pub(super) fn map(from: &BTreeMap<String, String>) -> HashMap<String, String> {
    from.clone().into_iter().collect()
}

/// The list, unless it is empty.
pub(super) fn some<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}
