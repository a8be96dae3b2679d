//! What is on the engine, and the rules that it keeps.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    behaviour::{Behaviour, Probes},
    id_of,
    instance::Instance,
    refused,
};
use crate::{
    engine::{EngineError, Output, Result},
    model::{
        Healthcheck, Image, Inspection, Mount, Network, NetworkSpec, Observed, Publish, Restart,
        ServiceSpec, State, Usage, Volume, VolumeSpec, labels,
    },
};

/// How long the engine takes to remove what it takes back.
const TAKING_BACK: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct World {
    pub images: Vec<Image>,
    /// Health checks of images, by id.
    pub checks: BTreeMap<String, Healthcheck>,
    pub pullable: BTreeSet<String>,
    pub unbuildable: BTreeMap<String, String>,
    pub behaviours: BTreeMap<String, Behaviour>,
    pub containers: BTreeMap<String, Instance>,
    /// Containers that are being made, and when each is done.
    making: Vec<(Instant, ServiceSpec)>,
    pub networks: BTreeMap<String, NetworkSpec>,
    pub volumes: BTreeMap<String, Kept>,
    /// Counts what is made: ids, times of creation, free ports.
    made: u16,
    /// How often its clock was looked at.
    looks: i64,
}

/// A volume and its files, by path in it.
#[derive(Default)]
pub(super) struct Kept {
    pub spec: VolumeSpec,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl World {
    /// The engine's clock, in milliseconds since 1970: it moves on at each look.
    pub fn clock(&mut self) -> i64 {
        self.looks += 1;
        1_795_000_000_000 + self.looks
    }

    pub fn add_image(&mut self, reference: &str, labels: BTreeMap<String, String>) -> Image {
        self.made += 1;
        for image in &mut self.images {
            image.tags.retain(|tag| tag != reference);
        }
        let image = Image {
            id: format!("sha256:{}", id_of(&format!("{reference} {}", self.made))),
            tags: vec![reference.to_owned()],
            labels,
            size: 1 << 20,
            created: i64::from(self.made),
            ..Image::default()
        };
        self.images.push(image.clone());
        image
    }

    /// As an image that a registry gave, which has a digest.
    pub fn pulled(&mut self, reference: &str) -> Image {
        let id = self.add_image(reference, BTreeMap::new()).id;
        let name = reference.split(':').next().unwrap_or_default();
        let digest = format!("{name}@sha256:{}", id_of(&format!("digest {id}")));
        let found = self.images.iter_mut().find(|image| image.id == id).expect("it was just made");
        found.digests = vec![digest];
        found.clone()
    }

    pub fn image(&self, reference: &str) -> Option<&Image> {
        self.images
            .iter()
            .find(|image| image.id == reference || image.tags.iter().any(|tag| tag == reference))
    }

    /// One that a container uses keeps its last reference.
    pub fn remove_image(&mut self, reference: &str) {
        let Some(id) = self.image(reference).map(|image| image.id.clone()) else { return };
        let used = self.containers.values().any(|it| it.image_id == id);
        self.images.retain_mut(|image| {
            if image.id != id || used && image.tags.len() <= 1 {
                return true;
            }
            image.tags.retain(|tag| tag != reference && reference != id);
            !image.tags.is_empty()
        });
    }

    /// Makes a container, or begins to, and tells when it is done where that is later.
    pub fn create(&mut self, spec: &ServiceSpec) -> Result<Option<Instant>> {
        self.pass_time();
        let being_made = self.making.iter().any(|(_, other)| other.name == spec.name);
        if being_made || self.containers.contains_key(&spec.name) {
            return Err(EngineError::NameTaken { kind: "container", name: spec.name.clone() });
        }
        if self.image(&spec.image).is_none() {
            return Err(EngineError::NoImage { reference: spec.image.clone() });
        }
        let intention = format!("create container `{}`", spec.name);
        for network in &spec.networks {
            self.must_have_network(&network.network, &intention)?;
        }
        for mount in &spec.mounts {
            if let Mount::Volume { source: Some(volume), .. } = mount
                && !self.volumes.contains_key(volume)
            {
                return Err(refused(&intention, 404, &format!("volume {volume} not found")));
            }
        }
        let time = self.behaviour(spec).made_within;
        if time.is_zero() {
            return self.make(spec).map(|()| None);
        }
        let done = Instant::now() + time;
        self.making.push((done, spec.clone()));
        Ok(Some(done))
    }

    fn make(&mut self, spec: &ServiceSpec) -> Result<()> {
        let anonymous = spec.mounts.iter().filter_map(|mount| match mount {
            Mount::Volume { source: None, target, .. } => {
                Some(id_of(&format!("{}{target}{}", spec.name, self.made)))
            }
            _ => None,
        });
        let anonymous: Vec<_> = anonymous.collect();
        self.made += 1;
        for name in &anonymous {
            self.volumes.insert(
                name.clone(),
                Kept {
                    spec: VolumeSpec { name: name.clone(), ..VolumeSpec::default() },
                    ..Kept::default()
                },
            );
        }
        let made = Instance {
            spec: spec.clone(),
            id: id_of(&format!("container {} {}", spec.name, self.made)),
            image_id: self.image(&spec.image).map(|image| image.id.clone()).unwrap_or_default(),
            created: i64::from(self.made),
            anonymous,
            ..Instance::default()
        };
        self.containers.insert(spec.name.clone(), made);
        self.write(&spec.name, &spec.files)
    }

    pub fn start(&mut self, name: &str) -> Result<()> {
        let intention = format!("start container `{name}`");
        self.pass_time();
        let container = self.container(name)?;
        if container.gone.is_some() {
            return Err(EngineError::BeingRemoved { name: name.to_owned() });
        }
        if container.is_running() {
            return Ok(());
        }
        let (spec, networks) = (container.spec.clone(), container.spec.networks.clone());
        for network in &networks {
            self.must_have_network(&network.network, &intention)?;
        }
        let ports = self.bind(name, &spec)?;
        let behaviour = self.behaviour(&spec);
        let clock = self.clock();
        let container = self.container(name)?;
        if let Some(reason) = behaviour.unstartable {
            container.error = Some(reason.clone());
            container.exit_code = Some(127);
            return Err(refused(&intention, 400, &reason));
        }
        if behaviour.exchanges {
            self.exchange(&spec);
        }
        let container = self.container(name)?;
        let now = Instant::now();
        container.ports = ports;
        container.started = Some(now);
        container.starts.push(clock);
        container.probes = 0;
        container.exit_code = None;
        container.ends = behaviour.ends.map(|(time, code)| (now + time, code));
        container.state = State::Running { health: None };
        self.pass_time();
        Ok(())
    }

    /// `exchange [--back] DATA COPY ID`: the mark is laid into the data and moves with it.
    fn exchange(&mut self, spec: &ServiceSpec) {
        const MARK: &str = ".envctl-kept";
        let words = spec.command.clone().unwrap_or_default();
        let [.., data, copy, id] = words.as_slice() else { return };
        let volume = |path: &str| path.split('/').nth(2).unwrap_or_default().to_owned();
        let (data, copy) = (volume(data), volume(copy));
        let back = words.iter().any(|word| word == "--back");
        let (Some(mut one), Some(mut other)) =
            (self.volumes.remove(&data), self.volumes.remove(&copy))
        else {
            return;
        };
        if !back {
            one.files.insert(MARK.to_owned(), id.clone().into_bytes());
        }
        std::mem::swap(&mut one.files, &mut other.files);
        if back {
            one.files.remove(MARK);
        }
        self.volumes.extend([(data, one), (copy, other)]);
    }

    /// The ports as bound, if no running container holds one.
    fn bind(&mut self, name: &str, spec: &ServiceSpec) -> Result<Vec<Publish>> {
        let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0" || ip == "::";
        let mut bound = vec![];
        for port in &spec.ports {
            let Some(number) = port.host_port else {
                self.made += 1;
                bound.push(Publish { host_port: Some(40_000 + self.made), ..port.clone() });
                continue;
            };
            let taken = self.containers.values().filter(|it| it.is_running()).any(|other| {
                other.ports.iter().any(|held| {
                    held.host_port == Some(number)
                        && held.protocol == port.protocol
                        && (any(&held.host_ip)
                            || any(&port.host_ip)
                            || held.host_ip == port.host_ip)
                })
            });
            if taken {
                return Err(EngineError::PortTaken {
                    container: name.to_owned(),
                    address: port.host_ip.clone(),
                    port: number,
                    holder: None,
                });
            }
            bound.push(port.clone());
        }
        Ok(bound)
    }

    fn behaviour(&self, spec: &ServiceSpec) -> Behaviour {
        let service = spec.labels.get(labels::SERVICE);
        self.behaviours
            .get(&spec.name)
            .or_else(|| self.behaviours.get(service?))
            .cloned()
            .unwrap_or_default()
    }

    /// The removal of a container begins.
    pub fn take_back(&mut self, name: &str) {
        if let Some(container) = self.containers.get_mut(name) {
            container.gone = Some(Instant::now() + TAKING_BACK);
        }
    }

    /// Ends what was to end by now.
    pub fn pass_time(&mut self) {
        let now = Instant::now();
        let (made, making) = self.making.drain(..).partition(|(done, _)| *done <= now);
        self.making = making;
        for (_, spec) in made {
            self.make(&spec).expect("it was looked at before");
        }
        let gone = |it: &Instance| it.gone.is_some_and(|gone| gone <= now);
        let gone: Vec<_> = self
            .containers
            .iter()
            .filter(|(_, it)| gone(it))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.remove(&name, true);
        }
        let stopped = |it: &Instance| it.stops.is_some_and(|stops| stops <= now);
        let all = self.containers.iter().filter(|(_, it)| stopped(it));
        for name in all.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.stopped(&name);
        }
        let due: Vec<_> = self
            .containers
            .iter()
            .filter(|(_, it)| it.is_running())
            .filter_map(|(name, it)| {
                it.ends.filter(|(end, _)| *end <= now).map(|(_, code)| (name.clone(), code))
            })
            .collect();
        for (name, code) in due {
            self.end(&name, code);
        }
    }

    /// A container ends on its own; its restart policy decides what it is then.
    pub fn end(&mut self, name: &str, code: i64) {
        let Some(spec) = self.containers.get(name).map(|it| it.spec.clone()) else { return };
        let out_of_memory = self.behaviour(&spec).out_of_memory;
        let Some(container) = self.containers.get_mut(name) else { return };
        let again = match spec.restart {
            Restart::No => false,
            Restart::Always | Restart::UnlessStopped => true,
            Restart::OnFailure { retries } => {
                code != 0 && retries.is_none_or(|most| container.restarts < most)
            }
        };
        container.exit_code = Some(code);
        container.oom_killed = out_of_memory;
        container.ends = None;
        container.state = if again { State::Restarting } else { State::Exited { code } };
        container.restarts += u32::from(again);
    }

    pub fn dies(&mut self, name: &str) {
        if let Some(container) = self.containers.get_mut(name) {
            container.ends = None;
            container.state = State::Dead;
        }
    }

    /// Begins a stop, and tells when it is done where that is later.
    pub fn stop(&mut self, name: &str) -> Option<Instant> {
        self.pass_time();
        let spec = self.containers.get(name)?.spec.clone();
        let time = self.behaviour(&spec).stops_within;
        let container = self.containers.get_mut(name).filter(|it| it.is_running())?;
        if !time.is_zero() {
            return Some(*container.stops.get_or_insert(Instant::now() + time));
        }
        self.stopped(name);
        None
    }

    fn stopped(&mut self, name: &str) {
        let Some(spec) = self.containers.get(name).map(|it| it.spec.clone()) else { return };
        let code = self.behaviour(&spec).stops_with;
        let Some(container) = self.containers.get_mut(name) else { return };
        container.state = State::Exited { code };
        container.exit_code = Some(code);
        container.ports.clear();
        container.ends = None;
        container.stops = None;
    }

    /// With the volumes that have no name, or without.
    pub fn remove(&mut self, name: &str, volumes: bool) {
        if let Some(container) = self.containers.remove(name) {
            for volume in container.anonymous.into_iter().filter(|_| volumes) {
                self.volumes.remove(&volume);
            }
        }
    }

    pub fn container(&mut self, name: &str) -> Result<&mut Instance> {
        self.containers
            .get_mut(name)
            .ok_or_else(|| EngineError::NoContainer { name: name.to_owned() })
    }

    pub fn must_have_network(&self, name: &str, intention: &str) -> Result<()> {
        let builtin = ["bridge", "host", "none"].contains(&name);
        if builtin || self.networks.contains_key(name) {
            return Ok(());
        }
        Err(refused(intention, 404, &format!("network {name} not found")))
    }

    pub fn remove_network(&mut self, name: &str) -> Result<()> {
        let mut joined = self.containers.values().filter(|it| it.is_running());
        if joined.any(|it| it.spec.networks.iter().any(|network| network.network == name)) {
            let reason = format!("network {name} has active endpoints");
            return Err(refused(&format!("remove network `{name}`"), 403, &reason));
        }
        self.networks.remove(name);
        Ok(())
    }

    pub fn remove_volume(&mut self, name: &str) -> Result<()> {
        if self.containers.values().any(|it| it.volumes().any(|volume| volume == name)) {
            return Err(refused(&format!("remove volume `{name}`"), 409, "volume is in use"));
        }
        self.volumes.remove(name);
        Ok(())
    }

    /// A probe, or any other command that nobody answers for.
    pub fn exec(&mut self, name: &str) -> Result<Output> {
        self.pass_time();
        let spec = self.container(name)?.spec.clone();
        let behaviour = self.behaviour(&spec);
        let container = self.container(name)?;
        if !matches!(container.state, State::Running { .. }) {
            let reason = format!("container {name} is not running");
            return Err(refused(&format!("run a command in container `{name}`"), 409, &reason));
        }
        container.probes += 1;
        let healthy = match behaviour.healthy_after {
            Probes::After(failing) => container.probes > failing,
            Probes::Never => false,
        };
        if healthy {
            return Ok(Output { code: 0, text: String::new() });
        }
        Ok(Output { code: 1, text: behaviour.probe_says })
    }

    /// What each run said, just before its start: a real engine takes the time of that when the start is done.
    pub fn log(&mut self, name: &str) -> Result<Vec<(i64, String)>> {
        let container = self.container(name)?;
        let (spec, starts) = (container.spec.clone(), container.starts.clone());
        let says = self.behaviour(&spec).says;
        let lines = says.lines().map(|line| format!("{line}\n"));
        let lines: Vec<String> = lines.collect();
        let run = |time: i64| lines.iter().map(move |line| (time - 1, line.clone()));
        Ok(starts.into_iter().flat_map(run).collect())
    }

    pub fn observed(&mut self) -> Observed {
        self.pass_time();
        let volume = |kept: &Kept| Volume {
            name: kept.spec.name.clone(),
            driver: kept.spec.driver.clone().unwrap_or_else(|| "local".to_owned()),
            labels: kept.spec.labels.clone(),
        };
        let network = |spec: &NetworkSpec| Network {
            id: id_of(&format!("network {}", spec.name)),
            name: spec.name.clone(),
            driver: spec.driver.clone().unwrap_or_else(|| "bridge".to_owned()),
            labels: spec.labels.clone(),
        };
        Observed {
            containers: self.containers.values().map(Instance::observed).collect(),
            networks: self.networks.values().map(network).collect(),
            volumes: self.volumes.values().map(volume).collect(),
        }
    }

    /// Each that runs uses a tenth of a processor and 4 MiB.
    pub fn usage(&self, ids: &[&str]) -> BTreeMap<String, Usage> {
        self.containers
            .values()
            .filter(|it| it.is_running() && ids.contains(&it.id.as_str()))
            .map(|it| {
                let memory_limit = it.spec.resources.memory.and_then(|limit| limit.try_into().ok());
                (it.id.clone(), Usage { cpu: 0.1, memory: 4 << 20, memory_limit })
            })
            .collect()
    }

    pub fn inspect(&mut self, name: &str) -> Option<Inspection> {
        self.pass_time();
        let container = self.containers.get(name)?;
        Some(container.inspection(self.checks.get(&container.image_id)))
    }
}
