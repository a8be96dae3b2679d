//! The whole way from files to a project.

use std::{path::PathBuf, sync::Arc};

use indexmap::IndexMap;
use serde::Deserialize;

pub use super::loader::Options;
use super::{
    check, de, defaults, environment,
    loader::Loader,
    node::{Map, Node, Value, elements, members},
    origin::Origin,
    problem::{Problem, Problems},
    refuse,
    source::Source,
    types::{FileObject, Network, Project, Service, Volume},
};

/// The merged document.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Model {
    version: Option<String>,
    name: Option<String>,
    services: IndexMap<String, Service>,
    networks: IndexMap<String, Network>,
    volumes: IndexMap<String, Volume>,
    secrets: IndexMap<String, FileObject>,
    configs: IndexMap<String, FileObject>,
    /// Without effect: a service that uses one is refused.
    models: IndexMap<String, AiModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read to be checked")]
struct AiModel {
    name: Option<String>,
    model: String,
    context_size: Option<i64>,
    #[serde(default)]
    runtime_flags: Vec<String>,
}

pub fn load(source: &Source, options: Options) -> Result<Project, Problems> {
    let mut loader = Loader::new(source, options);
    let folder = loader.folder.clone();
    let mut variables = source.environment.clone();
    if !source.project_name.is_empty() {
        variables.insert("COMPOSE_PROJECT_NAME".to_owned(), source.project_name.to_owned());
    }
    let mut tree = loader.model(source.files, &folder, &variables, &[]);
    if tree.as_map().is_none_or(Map::is_empty) && loader.problems.is_empty() {
        let file = source.files.first().map_or(source.project_dir, PathBuf::as_path);
        loader.problems.push(Problem::of_file(file, "there is nothing in it"));
    }
    refuse::document(&mut tree, &loader.files, &mut loader.problems);
    drop_nulls(&mut tree);
    if loader.unreadable {
        return Err(loader.sorted());
    }
    let model = match de::from_node::<Model>(&tree, &loader.files, de::Nulls::Refused) {
        Ok(model) => model,
        Err(problems) => {
            loader.add(problems);
            Model::default()
        }
    };
    if !loader.problems.is_empty() {
        return Err(loader.sorted());
    }
    if model.version.is_some() {
        let at = tree.get("version").map_or(tree.at, |version| version.key);
        let message = "`version` means nothing any more: leave it out";
        loader.warnings.push(loader.files.problem(at, "version", message));
    }
    let values = std::mem::take(&mut loader.values);
    let mut project = project(loader, source, model, tree);
    defaults::complete(&mut project, &variables);
    let mut problems = check::project(&project);
    if options.resolve_paths {
        check::bind_sources(&project, &mut problems);
    }
    environment::resolve_objects(&mut project, &values);
    if options.read_env_files && problems.is_empty() {
        environment::resolve_services(&mut project, &variables, &folder, &mut problems);
        environment::read_owned(&mut project, &folder, &mut problems);
    }
    let files = &project.origin.files;
    problems.0.sort_by_key(|one| (files.position(&one.file), one.line, one.column));
    problems.or_ok().map(|()| project)
}

/// The project of a checked model.
fn project(loader: Loader, source: &Source, model: Model, tree: Node) -> Project {
    let active = |service: &Service| {
        service.profiles.is_empty()
            || source
                .profiles
                .iter()
                .any(|active| active == "*" || service.profiles.contains(active))
    };
    let (services, disabled) = model
        .services
        .into_iter()
        .partition(|(key, service)| active(service) || source.named.contains(key));
    let name = if source.project_name.is_empty() {
        project_name(model.name.as_deref().unwrap_or_default())
            .or_else(|| project_name(&loader.folder.file_name()?.to_string_lossy()))
            .unwrap_or_default()
    } else {
        source.project_name.to_owned()
    };
    Project {
        name,
        services,
        networks: model.networks,
        volumes: model.volumes,
        secrets: model.secrets,
        configs: model.configs,
        disabled,
        warnings: loader.warnings,
        origin: Origin { files: loader.files, tree: Arc::new(tree) },
    }
}

/// The characters of a name that a project may have.
fn project_name(name: &str) -> Option<String> {
    let name: String = name
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        .collect();
    let name = name.trim_start_matches(['_', '-']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// Keys of texts that mean nothing when they are empty, as they are after an undefined variable.
const NOTHING_WHEN_EMPTY: &[&str] = &[
    "cgroup",
    "cgroup_parent",
    "container_name",
    "cpuset",
    "domainname",
    "hostname",
    "image",
    "ipc",
    "isolation",
    "mac_address",
    "network_mode",
    "pid",
    "platform",
    "pull_policy",
    "restart",
    "runtime",
    "stop_signal",
    "user",
    "userns_mode",
    "uts",
    "working_dir",
    "dockerfile_inline",
    "network",
    "target",
];

fn is_nothing(key: &str, node: &Node) -> bool {
    node.as_text() == Some("") && NOTHING_WHEN_EMPTY.contains(&key)
}

/// Takes out what Compose lets be nothing.
fn drop_nulls(model: &mut Node) {
    for service in members(model, "services") {
        for attachment in members(service, "networks").filter(|attachment| attachment.is_null()) {
            attachment.value = Value::Map(Map::new());
        }
        for key in ["pre_start", "post_start", "pre_stop"] {
            for hook in elements(service, key).filter_map(Node::as_map_mut) {
                hook.retain(|key, node| !(key == "command" && node.is_null()));
            }
        }
        if let Some(build) = service.get_mut("build").and_then(Node::as_map_mut) {
            build.retain(|key, node| !is_nothing(key, node));
        }
        if let Some(check) = service.get_mut("healthcheck").and_then(Node::as_map_mut) {
            check.retain(|key, node| {
                !(key == "test" && node.as_list().is_some_and(<[Node]>::is_empty))
            });
        }
        if let Some(service) = service.as_map_mut() {
            service.retain(|key, node| {
                let may_be_null =
                    matches!(key.as_str(), "command" | "entrypoint" | "deploy" | "pid");
                !(is_nothing(key, node) || may_be_null && node.is_null())
            });
        }
    }
}
