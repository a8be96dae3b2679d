//! Outputs of the AWS stack in Compose files: where they may stand, and what their services wait for.

use super::service::Service;
use crate::{
    aws,
    compose::{self, Condition, Problem},
    config,
    model::BuildSpec,
    plan::uses_outputs,
};

/// Lets the services that have outputs wait for the service that stands for AWS, where it is one of theirs.
pub(super) fn order(
    project: &config::Project,
    files: &compose::Project,
    services: &mut [Service],
    problems: &mut Vec<Problem>,
) {
    let Some(key) = project.aws.as_ref().and_then(config::Aws::service) else { return };
    let Some(own) = services.iter().find(|service| service.key == key) else { return };
    let mut waits: Vec<&str> = own.depends_on.keys().map(String::as_str).chain([key]).collect();
    let mut seen = 0;
    while let Some(next) = waits.get(seen).copied() {
        seen += 1;
        let Some(service) = services.iter().find(|service| service.key == next) else { continue };
        if service.replicas.iter().any(uses_outputs) {
            let message =
                format!("outputs are known when `{key}` runs, and `{key}` waits for `{next}`");
            problems.push(files.problem(&["services", next, "environment"], message));
            return;
        }
        let new = service.depends_on.keys().map(String::as_str);
        let new: Vec<&str> = new.filter(|other| !waits.contains(other)).collect();
        waits.extend(new);
    }
    for service in services.iter_mut() {
        if service.replicas.iter().any(uses_outputs) {
            service.depends_on.entry(key.to_owned()).or_insert(Condition::Healthy);
        }
    }
}

/// Outputs stand in `environment` alone: all else is settled before they are known.
pub(super) fn only_in_variables(
    project: &config::Project,
    files: &compose::Project,
    service: &Service,
    build: Option<&BuildSpec>,
    problems: &mut Vec<Problem>,
) {
    if project.aws.is_none() {
        return;
    }
    let Some(spec) = service.replicas.first() else { return };
    let mut bare = spec.clone();
    bare.environment.clear();
    let mut texts = vec![serde_json::to_string(&bare).expect("text keys")];
    texts.extend(bare.files.iter().map(|file| String::from_utf8_lossy(&file.content).into_owned()));
    texts.extend(build.map(|build| serde_json::to_string(build).expect("text keys")));
    let used = texts.iter().flat_map(|text| aws::uses(text)).next();
    if let Some(output) = used {
        let message = format!(
            "the output `{output}` is known when containers are made: it may stand in `environment` alone"
        );
        problems.push(files.problem(&["services", &service.key], message));
    }
}
