//! A simple model of the engine and the proxy that plans are applied to. It refuses what an engine would refuse.

use std::collections::BTreeMap;

use crate::{
    model::{
        Color, Container, Health, Image, Mount, Network, Observed, Routing, ServiceSpec, State,
        Volume, control::Request, labels,
    },
    plan::{Action, Plan, Step, Until},
};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct World {
    pub observed: Observed,
    /// By reference.
    pub images: BTreeMap<String, Image>,
    pub routing: Routing,
    /// Containers with a health check.
    pub checked: Vec<String>,
    /// When each container was last started.
    pub started: BTreeMap<String, i64>,
    pub clock: i64,
}

impl World {
    /// Does every step in the order of the plan.
    pub fn apply(&mut self, plan: &Plan) {
        for step in plan.steps() {
            self.step(step).unwrap_or_else(|reason| panic!("{}: {reason}\n{plan}", step.title));
        }
    }

    /// Does the first steps only: what a killed process leaves.
    pub fn apply_first(&mut self, plan: &Plan, steps: usize) {
        for step in &plan.steps()[..steps] {
            self.step(step).unwrap_or_else(|reason| panic!("{}: {reason}\n{plan}", step.title));
        }
    }

    pub fn container(&mut self, name: &str) -> &mut Container {
        self.try_container(name).unwrap_or_else(|reason| panic!("{reason}"))
    }

    pub fn remove_container(&mut self, name: &str) {
        self.observed.containers.retain(|container| container.name != name);
    }

    pub fn remove_network(&mut self, name: &str) {
        self.observed.networks.retain(|network| network.name != name);
    }

    pub fn remove_volume(&mut self, name: &str) {
        self.observed.volumes.retain(|volume| volume.name != name);
    }

    pub fn add_network(&mut self, name: &str) {
        self.observed.networks.push(Network { name: name.to_owned(), ..Network::default() });
    }

    pub fn add_volume(&mut self, name: &str) {
        self.observed.volumes.push(Volume { name: name.to_owned(), ..Volume::default() });
    }

    pub fn add_image(&mut self, tag: &str, owner: (&str, &str)) {
        let image = Image {
            id: id_of(tag),
            tags: vec![tag.to_owned()],
            labels: [(owner.0.to_owned(), owner.1.to_owned())].into(),
            ..Image::default()
        };
        self.images.insert(tag.to_owned(), image);
    }

    /// Gives the tests of a color's release a result.
    pub fn tested(&mut self, color: Color, passed: bool) {
        let stack = self.routing.stacks.get_mut(&color).unwrap();
        stack.tests = Some(serde_json::json!({ "passed": passed }));
    }

    /// Containers of the durable layer and their state.
    pub fn durable(&self) -> Vec<(String, bool)> {
        self.of_layer("durable").map(|c| (c.name.clone(), c.is_running())).collect()
    }

    pub fn of_layer(&self, layer: &str) -> impl Iterator<Item = &Container> {
        self.observed.containers.iter().filter(move |c| c.label(labels::LAYER) == Some(layer))
    }

    fn try_container(&mut self, name: &str) -> Result<&mut Container, String> {
        let found = self.observed.containers.iter_mut().find(|container| container.name == name);
        found.ok_or_else(|| format!("no container `{name}`"))
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match &step.action {
            Action::GetImage(job) => {
                self.add_image(&job.tag, (labels::PROJECT, "shop"));
            }
            Action::RemoveImage(tag) => {
                if self.observed.containers.iter().any(|c| c.image == *tag) {
                    return Err("the image is in use".to_owned());
                }
                self.images.remove(tag);
            }
            Action::CreateNetwork(spec) => {
                taken(self.observed.network(&spec.name).is_some())?;
                self.observed.networks.push(Network {
                    id: spec.name.clone(),
                    name: spec.name.clone(),
                    driver: String::new(),
                    labels: spec.labels.clone(),
                });
            }
            Action::RemoveNetwork(name) => {
                if self.observed.containers.iter().any(|c| c.networks.contains(name)) {
                    return Err("the network is in use".to_owned());
                }
                self.remove_network(name);
            }
            Action::CreateVolume(spec) => {
                taken(self.observed.volume(&spec.name).is_some())?;
                self.observed.volumes.push(Volume {
                    name: spec.name.clone(),
                    driver: String::new(),
                    labels: spec.labels.clone(),
                });
            }
            Action::RemoveVolume(name) => {
                if self.observed.containers.iter().any(|c| c.volumes.contains(name)) {
                    return Err("the volume is in use".to_owned());
                }
                self.remove_volume(name);
            }
            Action::Create(spec) => self.create(spec)?,
            Action::Start(name) => {
                let missing: Vec<String> = self
                    .try_container(name)?
                    .networks
                    .clone()
                    .into_iter()
                    .filter(|network| self.observed.network(network).is_none())
                    .collect();
                if !missing.is_empty() {
                    return Err(format!("networks {missing:?} are gone"));
                }
                let health = self.checked.contains(name).then_some(Health::Healthy);
                self.try_container(name)?.state = State::Running { health };
                self.clock += 1;
                self.started.insert(name.clone(), self.clock);
            }
            Action::Connect(name, attachment) => {
                if !self.try_container(name)?.is_running() {
                    return Err("it does not run".to_owned());
                }
                let networks = &mut self.try_container(name)?.networks;
                networks.push(attachment.network.clone());
            }
            Action::CheckData(check) => {
                if self.observed.container(&check.look.name).is_some() {
                    return Err("the name of the look is taken".to_owned());
                }
                let gone = check.look.volumes().find(|v| self.observed.volume(v).is_none());
                if let Some(gone) = gone {
                    return Err(format!("no volume `{gone}` to look at"));
                }
            }
            Action::Stop(name) | Action::StopCleanly(name) => {
                self.try_container(name)?.state = State::Exited { code: 0 }
            }
            Action::Remove(name) | Action::RemoveDurable(name) => {
                self.try_container(name)?;
                self.remove_container(name);
            }
            Action::Await(wait) | Action::Follow(wait) => {
                let completed = wait.until == Until::Completed;
                let found = self.try_container(&wait.container)?;
                match (&mut found.state, completed) {
                    (state, true) => *state = State::Exited { code: 0 },
                    (State::Running { health }, false) => *health = health.map(|_| Health::Healthy),
                    // Up again, sooner or later.
                    (state @ State::Restarting, false) => *state = State::Running { health: None },
                    (state, false) => return Err(format!("it is {state:?}")),
                }
            }
            Action::Certify(_)
            | Action::Sign(_)
            | Action::Snapshot(_)
            | Action::Bake(..)
            | Action::Pipe(_)
            | Action::DeployAws(_) => {}
            Action::Tell(request) => self.tell(request)?,
        }
        Ok(())
    }

    fn create(&mut self, spec: &ServiceSpec) -> Result<(), String> {
        taken(self.observed.container(&spec.name).is_some())?;
        if !self.images.contains_key(&spec.image) {
            return Err(format!("no image `{}`", spec.image));
        }
        let networks: Vec<String> = spec.networks.iter().map(|a| a.network.clone()).collect();
        if let Some(gone) = networks.iter().find(|n| self.observed.network(n).is_none()) {
            return Err(format!("no network `{gone}`"));
        }
        let volumes: Vec<String> = spec
            .mounts
            .iter()
            .filter_map(|mount| match mount {
                Mount::Volume { source, .. } => source.clone(),
                _ => None,
            })
            .collect();
        // An engine would make the volume, without labels: nobody would know whose it is.
        if let Some(gone) = volumes.iter().find(|v| self.observed.volume(v).is_none()) {
            return Err(format!("no volume `{gone}`"));
        }
        self.checked.retain(|name| *name != spec.name);
        if spec.healthcheck.is_some() {
            self.checked.push(spec.name.clone());
        }
        self.observed.containers.push(Container {
            id: format!("id of {}", spec.name),
            name: spec.name.clone(),
            image: spec.image.clone(),
            image_id: id_of(&spec.image),
            state: State::Created,
            labels: spec.labels.clone(),
            ports: spec.ports.clone(),
            networks,
            volumes,
            created: 0,
        });
        Ok(())
    }

    fn tell(&mut self, request: &Request) -> Result<(), String> {
        match request {
            Request::Put { color, stack, .. } => {
                self.routing.stacks.insert(*color, stack.clone());
            }
            Request::Switch { to, .. } if self.routing.stacks.contains_key(to) => {
                self.routing.live = Some(*to);
                self.clock += 1;
                let now = jiff::Timestamp::from_millisecond(self.clock);
                self.routing.switched = now.ok().map(|now| now.to_string());
            }
            Request::Forget { color } if self.routing.live != Some(*color) => {
                self.routing.stacks.remove(color);
            }
            Request::Drained { .. } | Request::Watch { .. } => {}
            refused => return Err(format!("the proxy refuses {refused:?}")),
        }
        Ok(())
    }
}

fn taken(taken: bool) -> Result<(), String> {
    if taken { Err("the name is taken".to_owned()) } else { Ok(()) }
}

fn id_of(tag: &str) -> String {
    format!("sha256:{tag}")
}
