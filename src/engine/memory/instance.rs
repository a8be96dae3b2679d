//! One container of the engine in memory.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::model::{
    Container, Health, Healthcheck, Inspection, Mount, Publish, ServiceSpec, State, Test,
};

/// A container.
#[derive(Default)]
pub struct Instance {
    pub spec: ServiceSpec,
    pub id: String,
    pub image_id: String,
    pub created: i64,
    pub state: State,
    pub exit_code: Option<i64>,
    pub restarts: u32,
    pub error: Option<String>,
    pub oom_killed: bool,
    pub probes: u32,
    pub started: Option<Instant>,
    /// Each start by the engine's clock.
    pub starts: Vec<i64>,
    pub ends: Option<(Instant, i64)>,
    /// When its stop, which is under way, is done. Lists show it as running.
    pub stops: Option<Instant>,
    /// When its removal, which is under way, is done. Lists show what it was before.
    pub gone: Option<Instant>,
    pub ports: Vec<Publish>,
    pub files: BTreeMap<String, Vec<u8>>,
    pub anonymous: Vec<String>,
}

/// Where a path of a container lies: in one of its volumes, or in itself.
pub struct Place {
    pub volume: Option<String>,
    pub path: String,
}

impl Instance {
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. } | State::Restarting)
    }

    /// Named ones, then anonymous ones.
    pub fn volumes(&self) -> impl Iterator<Item = &str> {
        let named = self.spec.mounts.iter().filter_map(|mount| match mount {
            Mount::Volume { source, .. } => source.as_deref(),
            _ => None,
        });
        named.chain(self.anonymous.iter().map(String::as_str))
    }

    pub fn place(&self, path: &str) -> Place {
        let mut anonymous = self.anonymous.iter();
        let mut best: Option<(&str, &str)> = None;
        for mount in &self.spec.mounts {
            let Mount::Volume { source, target, .. } = mount else { continue };
            let Some(volume) = source.as_ref().or_else(|| anonymous.next()) else { continue };
            let target = target.trim_end_matches('/');
            let inside = path
                .strip_prefix(target)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            if inside && best.is_none_or(|(longest, _)| longest.len() < target.len()) {
                best = Some((target, volume));
            }
        }
        let (target, volume) =
            best.map_or(("", None), |(target, volume)| (target, Some(volume.to_owned())));
        Place { volume, path: path[target.len()..].trim_matches('/').to_owned() }
    }

    pub fn observed(&self) -> Container {
        let checks = self.spec.healthcheck.as_ref().is_some_and(|check| check.test != Test::None);
        let state = match &self.state {
            State::Running { .. } => State::Running { health: checks.then_some(Health::Starting) },
            other => *other,
        };
        Container {
            id: self.id.clone(),
            name: self.spec.name.clone(),
            image: self.spec.image.clone(),
            image_id: self.image_id.clone(),
            state,
            labels: self.spec.labels.clone(),
            ports: self.ports.clone(),
            networks: self.spec.networks.iter().map(|network| network.network.clone()).collect(),
            volumes: self.volumes().map(str::to_owned).collect(),
            created: self.created,
        }
    }

    /// `of_image` is the image's own health check.
    pub fn inspection(&self, of_image: Option<&Healthcheck>) -> Inspection {
        let own = self.spec.healthcheck.clone();
        let images = of_image.cloned();
        let healthcheck = match own {
            Some(Healthcheck {
                test: Test::Inherit,
                interval,
                timeout,
                retries,
                start_period,
                start_interval,
            }) => images.map(|check| Healthcheck {
                test: check.test,
                interval: interval.or(check.interval),
                timeout: timeout.or(check.timeout),
                retries: retries.or(check.retries),
                start_period: start_period.or(check.start_period),
                start_interval: start_interval.or(check.start_interval),
            }),
            Some(check) => Some(check),
            None => images,
        };
        let addresses = self.spec.networks.iter().zip(2_u8..).map(|(network, last)| {
            (network.network.clone(), std::net::Ipv4Addr::new(10, 0, 0, last).into())
        });
        Inspection {
            id: self.id.clone(),
            state: if self.gone.is_some() { State::Removing } else { self.observed().state },
            exit_code: self.exit_code,
            oom_killed: self.oom_killed,
            error: self.error.clone(),
            restarts: self.restarts,
            healthcheck,
            addresses: if self.is_running() { addresses.collect() } else { BTreeMap::new() },
            environment: self.spec.environment.iter().map(|(k, v)| format!("{k}={v}")).collect(),
            started: self.starts.last().copied(),
            uptime: self.started.filter(|_| self.is_running()).map(|start| start.elapsed()),
            ports: self.ports.clone(),
        }
    }
}
