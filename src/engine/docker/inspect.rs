//! One container seen closely.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde::Deserialize;

use super::{Docker, call::Path, fault::Asked};
use crate::{
    engine::Result,
    model::{Health, Healthcheck, Inspection, Publish, State, Test},
};

pub(super) async fn inspect(docker: &Docker, name: &str) -> Result<Option<Inspection>> {
    let path = Path::new(&["containers", name, "json"]);
    let asked = Asked::Container { name, verb: "inspect" };
    Ok(docker.find::<Answer>(path.as_str(), asked).await?.map(Inspection::from))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    id: String,
    state: StateAnswer,
    #[serde(default)]
    restart_count: u32,
    config: Config,
    network_settings: Settings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StateAnswer {
    status: String,
    #[serde(rename = "OOMKilled", default)]
    oom_killed: bool,
    exit_code: i64,
    error: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    health: Option<HealthAnswer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HealthAnswer {
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    env: Option<Vec<String>>,
    healthcheck: Option<Check>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    test: Option<Vec<String>>,
    #[serde(default)]
    interval: u64,
    #[serde(default)]
    timeout: u64,
    #[serde(default)]
    retries: u32,
    #[serde(default)]
    start_period: u64,
    #[serde(default)]
    start_interval: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Settings {
    ports: Option<BTreeMap<String, Option<Vec<Binding>>>>,
    networks: Option<BTreeMap<String, Option<Endpoint>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    host_ip: Option<String>,
    host_port: Option<String>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "IPAddress", default)]
    v4: String,
    #[serde(rename = "GlobalIPv6Address", default)]
    v6: String,
}

impl From<Answer> for Inspection {
    fn from(answer: Answer) -> Self {
        let said = answer.state;
        let ended = said.finished_at.as_deref().is_some_and(|time| !time.starts_with("0001-"));
        let health = said.health.and_then(|health| match health.status.as_str() {
            "healthy" => Some(Health::Healthy),
            "unhealthy" => Some(Health::Unhealthy),
            "starting" => Some(Health::Starting),
            _ => None,
        });
        let state = match said.status.as_str() {
            "created" => State::Created,
            "running" => State::Running { health },
            "paused" => State::Paused,
            "restarting" => State::Restarting,
            "removing" => State::Removing,
            "dead" => State::Dead,
            _ => State::Exited { code: said.exit_code },
        };
        let runs = matches!(state, State::Running { .. } | State::Paused);
        // A container that could not be started never ended, but has a code.
        let failed = state == State::Created && said.exit_code != 0;
        Self {
            id: answer.id,
            exit_code: ((!runs && ended) || failed).then_some(said.exit_code),
            oom_killed: said.oom_killed,
            error: said.error.filter(|error| !error.is_empty()),
            restarts: answer.restart_count,
            healthcheck: answer.config.healthcheck.and_then(check),
            addresses: answer
                .network_settings
                .networks
                .unwrap_or_default()
                .into_iter()
                .filter_map(|(name, endpoint)| Some((name, address(&endpoint?)?)))
                .collect(),
            environment: answer.config.env.unwrap_or_default(),
            started: said.started_at.as_deref().and_then(milliseconds),
            uptime: said.started_at.filter(|_| runs).and_then(|time| since(&time)),
            ports: answer.network_settings.ports.map(ports).unwrap_or_default(),
            state,
        }
    }
}

fn address(endpoint: &Endpoint) -> Option<IpAddr> {
    endpoint.v4.parse().or_else(|_| endpoint.v6.parse()).ok()
}

fn since(time: &str) -> Option<Duration> {
    let start: jiff::Timestamp = time.parse().ok()?;
    Duration::try_from(start.until(jiff::Timestamp::now()).ok()?).ok()
}

/// The engine writes the year 1 for never.
fn milliseconds(time: &str) -> Option<i64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.as_millisecond()).filter(|time| *time > 0)
}

/// Times of zero are the engine's defaults. `Inherit` cannot come back: the engine has put the image's test in.
fn check(check: Check) -> Option<Healthcheck> {
    let time = |nanoseconds: u64| (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds));
    let words = check.test.unwrap_or_default();
    let test = match words.split_first()? {
        (first, _) if first == "NONE" => Test::None,
        (first, rest) if first == "CMD-SHELL" => Test::Shell(rest.join(" ")),
        (first, rest) if first == "CMD" => Test::Command(rest.to_vec()),
        _ => return None,
    };
    Some(Healthcheck {
        test,
        interval: time(check.interval),
        timeout: time(check.timeout),
        retries: (check.retries > 0).then_some(check.retries),
        start_period: time(check.start_period),
        start_interval: time(check.start_interval),
    })
}

fn ports(bound: BTreeMap<String, Option<Vec<Binding>>>) -> Vec<Publish> {
    let mut ports = vec![];
    for (inner, bindings) in bound {
        let (port, protocol) = inner.split_once('/').unwrap_or((&inner, "tcp"));
        let Ok(container_port) = port.parse() else { continue };
        for binding in bindings.unwrap_or_default() {
            ports.push(Publish {
                host_ip: binding.host_ip.unwrap_or_default(),
                host_port: binding.host_port.and_then(|port| port.parse().ok()),
                container_port,
                protocol: protocol.to_owned(),
            });
        }
    }
    ports.sort();
    ports
}
