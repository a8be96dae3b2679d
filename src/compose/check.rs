//! What does not fit together although each key for itself is right.

use std::{collections::HashMap, net::IpAddr};

use indexmap::IndexMap;

use super::{
    de,
    problem::{Problem, Problems},
    types::{Deploy, FileObject, MountKind, Project, Resource, Service},
};
use crate::base::words;

/// All contradictions of a completed project.
pub fn project(project: &Project) -> Problems {
    let mut problems = Problems::default();
    names(project, &mut problems);
    for (name, service) in &project.services {
        let mut check = Check { project, name, problems: &mut problems };
        check.words(service);
        check.image(service);
        check.networks(service);
        check.dependencies(service);
        check.references(service);
        check.limits(service);
        check.mounts(service);
        check.ports(service);
    }
    for (name, volume) in &project.volumes {
        if volume.external {
            external_volume(project, name, &mut problems);
        }
    }
    for (name, secret) in &project.secrets {
        object(project, "secrets", name, secret, &["file", "environment"], &mut problems);
    }
    for (name, config) in &project.configs {
        let keys = &["file", "environment", "content"];
        object(project, "configs", name, config, keys, &mut problems);
    }
    container_names(project, &mut problems);
    if problems.is_empty() {
        cycle(project, &mut problems);
    }
    problems
}

/// Two services cannot have one container name.
fn container_names(project: &Project, problems: &mut Problems) {
    let mut owners: HashMap<&str, &str> = HashMap::new();
    for (name, service) in &project.services {
        let Some(container) = &service.container_name else { continue };
        if let Some(owner) = owners.insert(container, name) {
            let message = format!("the service `{owner}` has the name `{container}` already");
            problems.push(project.problem(&["services", name, "container_name"], message));
        }
    }
}

/// Bind mounts without a folder of the host.
pub fn bind_sources(project: &Project, problems: &mut Problems) {
    for (name, service) in &project.services {
        for (index, mount) in service.volumes.iter().enumerate() {
            if mount.kind == MountKind::Bind && mount.source.is_none() {
                let path = ["services", name, "volumes", &index.to_string()];
                problems.push(project.problem(&path, "a bind mount needs a `source`"));
            }
        }
    }
}

fn file_or_variable(object: &FileObject) -> usize {
    [object.file.is_some(), object.environment.is_some()].iter().filter(|set| **set).count()
}

/// Names are made of letters, digits, `.`, `_` and `-`.
fn names(project: &Project, problems: &mut Problems) {
    let fits = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let sections: [(&str, Vec<&String>); 4] = [
        ("services", project.services.keys().chain(project.disabled.keys()).collect()),
        ("volumes", project.volumes.keys().collect()),
        ("secrets", project.secrets.keys().collect()),
        ("configs", project.configs.keys().collect()),
    ];
    for (section, names) in sections {
        for name in names.into_iter().filter(|name| !fits(name)) {
            let message = "a name is made of letters, digits, `.`, `_` and `-`";
            problems.push(project.problem(&[section, name], message));
        }
    }
}

fn external_volume(project: &Project, name: &str, problems: &mut Problems) {
    let node = project.origin.tree.get("volumes").and_then(|volumes| volumes.get(name));
    for key in node.and_then(super::node::Node::as_map).into_iter().flat_map(|map| map.keys()) {
        if !matches!(key.as_str(), "name" | "external") && !key.starts_with("x-") {
            let message = format!("an `external` volume exists already: it has no `{key}`");
            problems.push(project.problem(&["volumes", name, key], message));
        }
    }
}

fn object(
    project: &Project,
    section: &str,
    name: &str,
    object: &FileObject,
    keys: &[&str],
    problems: &mut Problems,
) {
    let set = file_or_variable(object) + usize::from(object.content.is_some());
    let all = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let node = project.origin.tree.get(section).and_then(|objects| objects.get(name));
    let says_external = node.is_some_and(|node| node.get("external").is_some());
    if section == "secrets" && object.content.is_some() {
        let message = "unknown key `content`: a secret is a `file` or a variable";
        problems.push(project.problem(&[section, name, "content"], message));
    } else if section == "configs" && object.driver.is_some() {
        problems.push(project.problem(&[section, name, "driver"], "unknown key `driver`"));
    } else if set > 1 {
        problems.push(project.problem(&[section, name], format!("only one of {all} can be set")));
    } else if set == 0 && !(object.external || (says_external && section == "configs")) {
        problems.push(project.problem(&[section, name], format!("one of {all} must be set")));
    }
}

struct Check<'a> {
    project: &'a Project,
    name: &'a str,
    problems: &'a mut Problems,
}

impl Check<'_> {
    fn wrong(&mut self, keys: &[&str], message: impl Into<String>) {
        let problem = self.problem(keys, message);
        self.problems.push(problem);
    }

    fn problem(&self, keys: &[&str], message: impl Into<String>) -> Problem {
        let path: Vec<&str> = ["services", self.name].iter().chain(keys).copied().collect();
        self.project.problem(&path, message)
    }

    /// A name that must be one of the project's.
    fn defined<T>(&mut self, keys: &[&str], kind: &str, name: &str, known: &IndexMap<String, T>) {
        if known.contains_key(name) {
            return;
        }
        let hint = words::nearest(name, known.keys().map(String::as_str))
            .map(|near| format!("did you mean `{near}`?"));
        let message = format!("there is no {kind} `{name}`");
        let problem = self.problem(keys, message).with_hint(hint);
        self.problems.push(problem);
    }

    /// A text that must be one of a few.
    fn one_of(&mut self, keys: &[&str], text: Option<&str>, known: &[&str]) {
        let Some(text) = text.filter(|text| !known.contains(text)) else { return };
        let hint = words::nearest(text, known.iter().copied())
            .map(|near| format!("did you mean `{near}`?"));
        let message = format!("expected {}, found `{text}`", de::one_of(known));
        let problem = self.problem(keys, message).with_hint(hint);
        self.problems.push(problem);
    }

    fn words(&mut self, service: &Service) {
        self.one_of(&["cgroup"], service.cgroup.as_deref(), &["host", "private"]);
        let restart =
            service.restart.as_deref().map(|restart| match restart.strip_prefix("on-failure:") {
                Some(count) if count.parse::<u32>().is_ok() => "on-failure",
                _ => restart,
            });
        self.one_of(&["restart"], restart, &["no", "always", "unless-stopped", "on-failure"]);
        if let Some(deploy) = &service.deploy {
            for (key, config) in [
                ("update_config", &deploy.update_config),
                ("rollback_config", &deploy.rollback_config),
            ] {
                let order = config.as_ref().and_then(|config| config.order.as_deref());
                self.one_of(&["deploy", key, "order"], order, &["start-first", "stop-first"]);
            }
        }
        for (index, bind) in service.volumes.iter().enumerate() {
            let Some(bind) = &bind.bind else { continue };
            let index = index.to_string();
            let keys = |key| ["volumes", &index, "bind", key].map(ToOwned::to_owned);
            let [recursive, selinux] = [keys("recursive"), keys("selinux")];
            let known = &["enabled", "disabled", "writable", "readonly"];
            self.one_of(
                &recursive.each_ref().map(String::as_str),
                bind.recursive.as_deref(),
                known,
            );
            self.one_of(
                &selinux.each_ref().map(String::as_str),
                bind.selinux.as_deref(),
                &["z", "Z"],
            );
        }
        let fits = |name: &str| {
            name.len() > 1
                && name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
        };
        if let Some(name) = service.container_name.as_deref().filter(|name| !fits(name)) {
            let message = format!(
                "`{name}` is no name of a container: two or more of letters, digits, `_`, `.`, `-`"
            );
            self.wrong(&["container_name"], message);
        }
        if service.cpu_percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
            self.wrong(&["cpu_percent"], "expected a number from 0 to 100");
        }
    }

    fn image(&mut self, service: &Service) {
        let Some(build) = &service.build else {
            if service.image.as_ref().is_none_or(String::is_empty) {
                self.wrong(&[], "has neither `image` nor `build`");
            }
            return;
        };
        if build.dockerfile.is_some() && build.dockerfile_inline.is_some() {
            self.wrong(
                &["build", "dockerfile_inline"],
                "`dockerfile` and `dockerfile_inline` exclude each other",
            );
        }
        for (key, context) in &build.additional_contexts {
            let Some(other) = context.strip_prefix("service:") else { continue };
            let keys = ["build", "additional_contexts", key];
            match self.project.services.get(other) {
                None => self.defined(&keys, "service", other, &self.project.services),
                Some(other_service) if other_service.build.is_none() => {
                    self.wrong(&keys, format!("the service `{other}` has no `build`"));
                }
                Some(_) => {}
            }
        }
        if let Some(platform) = &service.platform
            && !build.platforms.is_empty()
            && !build.platforms.contains(platform)
        {
            let message = format!("must contain the service's platform `{platform}`");
            self.wrong(&["build", "platforms"], message);
        }
    }

    fn networks(&mut self, service: &Service) {
        if service.network_mode.is_some() && !service.networks.is_empty() {
            self.wrong(&["network_mode"], "`network_mode` and `networks` exclude each other");
        }
        for network in service.networks.keys() {
            let keys = ["networks", network];
            if network.starts_with("x-") {
                self.wrong(&keys, "Compose takes a key `x-…` for an extension, not for a network");
            } else {
                self.defined(&keys, "network", network, &self.project.networks);
            }
        }
    }

    fn dependencies(&mut self, service: &Service) {
        for (other, dependency) in &service.depends_on {
            let is_disabled = self.project.disabled.contains_key(other);
            if is_disabled && !dependency.required {
                continue;
            }
            let keys = ["depends_on", other];
            if is_disabled {
                let profiles = &self.project.disabled[other].profiles;
                let message =
                    format!("the service `{other}` needs the profile {}", profiles.join(" or "));
                self.wrong(&keys, message);
            } else {
                self.defined(&keys, "service", other, &self.project.services);
            }
        }
    }

    fn references(&mut self, service: &Service) {
        for (index, mount) in service.volumes.iter().enumerate() {
            if mount.kind == MountKind::Volume
                && let Some(source) = mount.source.as_ref().filter(|source| !source.is_empty())
            {
                let index = index.to_string();
                self.defined(&["volumes", &index], "volume", source, &self.project.volumes);
            }
        }
        for (index, secret) in service.secrets.iter().enumerate() {
            let known = &self.project.secrets;
            self.defined(&["secrets", &index.to_string()], "secret", &secret.source, known);
        }
        for (index, config) in service.configs.iter().enumerate() {
            let known = &self.project.configs;
            self.defined(&["configs", &index.to_string()], "config", &config.source, known);
        }
        for (index, secret) in service.build.iter().flat_map(|build| &build.secrets).enumerate() {
            let keys = ["build", "secrets", &index.to_string()];
            self.defined(&keys, "secret", &secret.source, &self.project.secrets);
        }
    }

    fn limits(&mut self, service: &Service) {
        let none = Deploy::default();
        let deploy = service.deploy.as_ref().unwrap_or(&none);
        if let (Some(scale), Some(replicas)) = (service.scale, deploy.replicas)
            && scale != replicas
        {
            self.wrong(&["scale"], "differs from `deploy.replicas`");
        }
        if service.replicas() > 1 && service.container_name.is_some() {
            self.wrong(&["container_name"], "several containers cannot have one name");
        }
        let (limits, reservations) = (&deploy.resources.limits, &deploy.resources.reservations);
        let mut same = |key: &str, other: &str, differs: bool| {
            if differs {
                self.wrong(&[key], format!("differs from `deploy.resources.{other}`"));
            }
        };
        let differs =
            |set: bool, resource: &Option<Resource>, equal: &dyn Fn(&Resource) -> bool| {
                set && resource.as_ref().is_some_and(|resource| !equal(resource))
            };
        let set_size = |size: Option<super::ByteSize>| size.is_some_and(|size| size.0 != 0);
        same(
            "cpus",
            "limits.cpus",
            differs(service.cpus.is_some_and(|cpus| cpus != 0.0), limits, &|limits| {
                limits.cpus == service.cpus
            }),
        );
        same(
            "mem_limit",
            "limits.memory",
            differs(set_size(service.mem_limit), limits, &|limits| {
                limits.memory == service.mem_limit
            }),
        );
        same(
            "mem_reservation",
            "reservations.memory",
            differs(set_size(service.mem_reservation), reservations, &|reservations| {
                reservations.memory == service.mem_reservation
            }),
        );
        same(
            "pids_limit",
            "limits.pids",
            differs(service.pids_limit.is_some_and(|pids| pids != 0), limits, &|limits| {
                limits.pids == service.pids_limit
            }),
        );
        let requests = reservations.iter().flat_map(|reservations| &reservations.devices);
        if service
            .gpus
            .iter()
            .chain(requests)
            .any(|request| request.count.is_some() && !request.device_ids.is_empty())
        {
            self.wrong(&[], "`count` and `device_ids` of a device request exclude each other");
        }
    }

    fn mounts(&mut self, service: &Service) {
        let mut targets: HashMap<&str, String> = HashMap::new();
        let tmpfs = service.tmpfs.iter().enumerate().map(|(index, entry)| {
            ("tmpfs", index, entry.split_once(':').map_or(entry.as_str(), |(target, _)| target))
        });
        let volumes = service
            .volumes
            .iter()
            .enumerate()
            .map(|(index, mount)| ("volumes", index, mount.target.as_str()));
        for (key, index, target) in tmpfs.chain(volumes) {
            let own = format!("{key}[{index}]");
            if let Some(other) = targets.insert(target, own) {
                let message = format!("`{target}` is mounted by {other} already");
                self.wrong(&[key, &index.to_string()], message);
            }
        }
    }

    fn ports(&mut self, service: &Service) {
        for (index, port) in service.ports.iter().enumerate() {
            if let Some(address) =
                port.host_ip.as_ref().filter(|address| address.parse::<IpAddr>().is_err())
            {
                let message = format!("`{address}` is no IP address");
                self.wrong(&["ports", &index.to_string(), "host_ip"], message);
            }
        }
    }
}

/// Reports one cycle of `depends_on`, if there is any.
fn cycle(project: &Project, problems: &mut Problems) {
    let mut done: HashMap<&str, bool> = HashMap::new();
    for start in project.services.keys() {
        let mut path: Vec<(&str, Vec<&str>)> = vec![];
        let mut enter: Option<&str> = Some(start);
        loop {
            if let Some(name) = enter.take() {
                match done.get(name) {
                    Some(true) => {}
                    Some(false) => {
                        let from = path.iter().position(|(known, _)| *known == name);
                        let mut names: Vec<&str> =
                            path[from.unwrap_or(0)..].iter().map(|(name, _)| *name).collect();
                        names.push(name);
                        let last = path.last().map_or(name, |(name, _)| *name);
                        let message =
                            format!("services wait for each other: {}", names.join(" → "));
                        problems.push(
                            project.problem(&["services", last, "depends_on", name], message),
                        );
                        return;
                    }
                    None => {
                        done.insert(name, false);
                        let next = project.services.get(name).map_or(vec![], |service| {
                            service.depends_on.keys().map(String::as_str).collect()
                        });
                        path.push((name, next));
                    }
                }
            }
            let Some((name, next)) = path.last_mut() else { break };
            enter = next.pop();
            if enter.is_none() {
                done.insert(*name, true);
                path.pop();
            }
        }
    }
}
