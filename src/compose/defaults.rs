//! What a project says without saying it.

use indexmap::IndexMap;

use super::{
    canonical::clean_path,
    types::{Build, Condition, Dependency, DeviceCount, DeviceRequest, Project, Service},
};

/// Completes a project: default network, implied dependencies, names, and the defaults of ports, secrets and builds.
pub fn complete(project: &mut Project, environment: &IndexMap<String, String>) {
    let mut default_network = false;
    for service in project.services.values_mut().chain(project.disabled.values_mut()) {
        if service.network_mode.is_none() {
            if service.networks.is_empty() {
                service.networks.insert("default".to_owned(), super::NetworkAttachment::default());
            }
            default_network |= service.networks.contains_key("default");
        }
        complete_service(service, environment);
    }
    if default_network {
        project.networks.entry("default".to_owned()).or_default();
    }
    let prefix = project.name.clone();
    let name = |key: &str, external: bool, name: &mut Option<String>| {
        if name.is_none() {
            *name = Some(if external { key.to_owned() } else { format!("{prefix}_{key}") });
        }
    };
    for (key, network) in &mut project.networks {
        name(key, network.external, &mut network.name);
    }
    for (key, volume) in &mut project.volumes {
        name(key, volume.external, &mut volume.name);
    }
    for (key, object) in project.secrets.iter_mut().chain(&mut project.configs) {
        name(key, object.external, &mut object.name);
    }
}

fn complete_service(service: &mut Service, environment: &IndexMap<String, String>) {
    if let Some(build) = &mut service.build {
        complete_build(build, environment);
    }
    for (name, value) in &mut service.environment {
        if value.is_none() {
            *value = environment.get(name).cloned();
        }
    }
    for port in &mut service.ports {
        if port.protocol.is_empty() {
            "tcp".clone_into(&mut port.protocol);
        }
        if port.mode.is_empty() {
            "ingress".clone_into(&mut port.mode);
        }
    }
    for secret in &mut service.secrets {
        if secret.target.is_none() {
            secret.target = Some(format!("/run/secrets/{}", secret.source));
        }
    }
    for mount in &mut service.volumes {
        mount.target = clean_path(&mount.target);
    }
    for device in &mut service.devices {
        device.target.get_or_insert_with(|| device.source.clone());
    }
    service.gpus.iter_mut().for_each(complete_devices);
    if let Some(reservations) =
        service.deploy.as_mut().and_then(|deploy| deploy.resources.reservations.as_mut())
    {
        reservations.devices.iter_mut().for_each(complete_devices);
    }
    if let (Some(scale), Some(deploy)) = (service.scale, &mut service.deploy)
        && deploy.replicas.is_none()
    {
        deploy.replicas = Some(scale);
    }
    for hook in &mut service.pre_start {
        if hook.image.is_none() {
            hook.image.clone_from(&service.image);
        }
    }
    implied_dependencies(service);
}

fn complete_build(build: &mut Build, environment: &IndexMap<String, String>) {
    build.context.get_or_insert_with(|| ".".to_owned());
    // It is empty after an undefined variable.
    build.dockerfile.take_if(|file| file.is_empty());
    if build.dockerfile.is_none() && build.dockerfile_inline.is_none() {
        build.dockerfile = Some("Dockerfile".to_owned());
    }
    for (name, value) in &mut build.args {
        if value.is_none() {
            *value = environment.get(name).cloned();
        }
    }
    build.args.retain(|_, value| value.is_some());
}

fn complete_devices(request: &mut DeviceRequest) {
    if request.count.is_none() && request.device_ids.is_empty() {
        request.count = Some(DeviceCount(-1));
    }
}

/// A service depends on those that it links to, and whose namespaces or volumes it uses.
fn implied_dependencies(service: &mut Service) {
    let mut implied: Vec<(String, bool)> = vec![];
    for link in &service.links {
        let name = match link.split(':').collect::<Vec<_>>()[..] {
            [name, _] => name,
            _ => link,
        };
        implied.push((name.to_owned(), true));
    }
    let namespaces =
        [&service.network_mode, &service.ipc, &service.pid, &service.uts, &service.cgroup];
    for mode in namespaces.into_iter().flatten() {
        if let Some(name) = mode.strip_prefix("service:") {
            implied.push((name.to_owned(), true));
        }
    }
    for source in &service.volumes_from {
        if !source.starts_with("container:") {
            let name = source.split(':').next().unwrap_or_default();
            implied.push((name.to_owned(), false));
        }
    }
    for (name, restart) in implied {
        service.depends_on.entry(name).or_insert(Dependency {
            condition: Condition::Started,
            restart,
            required: true,
        });
    }
}
