//! The whole way from files to a project.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use indexmap::IndexMap;
use serde::Deserialize;

use super::{
    canonical::{self, Context, clean_path},
    check, de, defaults, dotenv, environment,
    extends::{self, Services},
    include,
    interpolate::interpolate,
    merge,
    node::{Map, Node, Value},
    origin::Origin,
    paths::{self, Base},
    problem::{Files, Place, Problem, Problems},
    refuse,
    source::Source,
    types::{FileObject, Network, Project, Service, Volume},
    unique, yaml,
};

/// What may be left out, for measuring against other readers.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub resolve_paths: bool,
    pub read_env_files: bool,
}

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
    variables.insert("COMPOSE_PROJECT_NAME".to_owned(), source.project_name.to_owned());
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
    let mut project = loader.project(source, model, tree);
    defaults::complete(&mut project, &variables);
    let mut problems = check::project(&project);
    if options.resolve_paths {
        check::bind_sources(&project, &mut problems);
    }
    environment::resolve_objects(&mut project, &variables);
    if options.read_env_files && problems.is_empty() {
        environment::resolve_services(&mut project, &variables, &mut problems);
    }
    problems.or_ok().map(|()| project)
}

/// Reads files, keeps them for messages, and collects what is wrong.
pub struct Loader {
    files: Files,
    problems: Problems,
    warnings: Vec<Problem>,
    /// The project's folder, absolute, and as it was given.
    folder: PathBuf,
    given_folder: PathBuf,
    options: Options,
    /// Whether a file could not be read at all, so that what is missing may stand in it.
    unreadable: bool,
    /// Files whose services are extended, read once.
    extended: HashMap<PathBuf, Option<Services>>,
}

impl Loader {
    fn new(source: &Source, options: Options) -> Self {
        Self {
            files: Files::default(),
            problems: Problems::default(),
            warnings: vec![],
            folder: absolute(source.project_dir),
            given_folder: source.project_dir.to_owned(),
            options,
            unreadable: false,
            extended: HashMap::new(),
        }
    }

    /// Reads files and merges them, each document in its long form; `included` are the files that led here.
    pub fn model(
        &mut self,
        files: &[PathBuf],
        folder: &Path,
        environment: &IndexMap<String, String>,
        included: &[PathBuf],
    ) -> Node {
        let mut model = Node { value: Value::Map(Map::new()), ..Node::default() };
        for file in files {
            let full = absolute(file);
            for mut document in self.documents(file) {
                if model.at.line == 0 {
                    (model.at, model.key) = (document.at, document.key);
                }
                if !self.prepare(&mut document, folder, environment) {
                    continue;
                }
                let chain: Vec<PathBuf> = included.iter().cloned().chain([full.clone()]).collect();
                include::apply(self, &mut document, folder, environment, &chain);
                extends::apply(self, &mut document, &full, folder, environment);
                merge::documents(&mut model, document, &self.files, &mut self.problems);
                unique::document(&mut model);
                merge::settle(&mut model);
            }
        }
        let context = if self.options.resolve_paths {
            folder.to_string_lossy().into_owned()
        } else {
            ".".to_owned()
        };
        default_contexts(&mut model, &context);
        model
    }

    /// Interpolates a document and brings it into its long form; whether it is a mapping at all.
    fn prepare(
        &mut self,
        document: &mut Node,
        folder: &Path,
        environment: &IndexMap<String, String>,
    ) -> bool {
        if document.as_map().is_none() {
            let message = format!("expected a mapping, found {}", document.describe());
            self.wrong(document.at, "", message);
            return false;
        }
        interpolate(document, &self.files, environment, &mut self.warnings, &mut self.problems);
        let mut context = Context {
            files: &self.files,
            problems: &mut self.problems,
            warnings: &mut self.warnings,
        };
        canonical::document(document, &mut context);
        unique::document(document);
        if self.options.resolve_paths {
            let home = environment.get("HOME").map(String::as_str);
            paths::document(document, Base { folder, home });
        }
        true
    }

    fn documents(&mut self, path: &Path) -> Vec<Node> {
        let found = read_text(path).and_then(|text| {
            let text: Arc<str> = text.into();
            let file = self.files.add(Path::new(&self.shown(path)), text.clone());
            yaml::parse(&self.files, file, &text)
        });
        found.unwrap_or_else(|problems| {
            self.unreadable = true;
            problems.0.into_iter().for_each(|problem| self.problems.push(problem));
            vec![]
        })
    }

    /// The services of a file that `extends` names, without their own `extends` resolved.
    pub fn extended_file(
        &mut self,
        path: &Path,
        environment: &IndexMap<String, String>,
        at: Place,
        key_path: &str,
    ) -> Option<Services> {
        if let Some(known) = self.extended.get(path) {
            return known.clone();
        }
        if !path.is_file() {
            self.wrong(at, key_path, format!("there is no file {}", self.shown(path)));
            return None;
        }
        let folder = path.parent().unwrap_or(path).to_owned();
        let mut model = Node { value: Value::Map(Map::new()), ..Node::default() };
        for mut document in self.documents(path) {
            if self.prepare(&mut document, &folder, environment) {
                merge::documents(&mut model, document, &self.files, &mut self.problems);
                unique::document(&mut model);
                merge::settle(&mut model);
            }
        }
        let services = match model.as_map_mut().and_then(|map| map.swap_remove("services")) {
            Some(Node { value: Value::Map(services), .. }) => services,
            _ => Map::new(),
        };
        let services = Services { map: Rc::new(services), path: path.to_owned(), folder };
        self.extended.insert(path.to_owned(), Some(services.clone()));
        Some(services)
    }

    /// The variables of environment files, later ones over earlier; `None` when one cannot be read.
    pub fn env_files(
        &mut self,
        paths: &[PathBuf],
        environment: &IndexMap<String, String>,
        at: Place,
        key_path: &str,
    ) -> Option<IndexMap<String, String>> {
        let mut variables = IndexMap::new();
        for path in paths {
            let result = read_text(path).and_then(|text| {
                let known = |name: &str| environment.get(name).cloned();
                dotenv::parse(&text, &mut variables, &known)
                    .map_err(|error| env_problem(Path::new(&self.shown(path)), &error).into())
            });
            if let Err(problem) = result {
                let message = format!("the environment file {problem}");
                self.wrong(at, key_path, message);
                return None;
            }
        }
        Some(variables)
    }

    pub fn parts(&mut self) -> (&Files, &mut Problems) {
        (&self.files, &mut self.problems)
    }

    pub fn wrong(&mut self, at: Place, key_path: &str, message: impl Into<String>) {
        self.wrong_with_hint(at, key_path, message, None);
    }

    pub fn wrong_with_hint(
        &mut self,
        at: Place,
        key_path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let problem = self.files.problem(at, key_path, message).with_hint(hint);
        self.problems.push(problem);
    }

    /// A path as messages show it: under the project's folder as that was given.
    pub fn shown(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.folder).ok().filter(|_| path.is_absolute());
        let shown = match inside {
            Some(inside) if self.given_folder == Path::new(".") => inside.to_owned(),
            Some(inside) => self.given_folder.join(inside),
            None => path.to_owned(),
        };
        shown.display().to_string()
    }

    /// Adds problems of places that have none yet.
    fn add(&mut self, more: Problems) {
        for problem in more.0 {
            let same_place = |known: &Problem| {
                known.line > 0
                    && (known.line, known.column) == (problem.line, problem.column)
                    && known.file == problem.file
            };
            if !self.problems.0.iter().any(same_place) {
                self.problems.push(problem);
            }
        }
    }

    /// All problems, file by file in the order of their lines.
    fn sorted(mut self) -> Problems {
        let order = |problem: &Problem| self.files.position(&problem.file);
        self.problems.0.sort_by_key(|problem| (order(problem), problem.line, problem.column));
        self.problems
    }

    fn project(self, source: &Source, model: Model, tree: Node) -> Project {
        let active = |service: &Service| {
            service.profiles.is_empty()
                || source
                    .profiles
                    .iter()
                    .any(|active| active == "*" || service.profiles.contains(active))
        };
        let (services, disabled) =
            model.services.into_iter().partition(|(_, service)| active(service));
        let name = if source.project_name.is_empty() {
            project_name(model.name.as_deref().unwrap_or_default())
                .or_else(|| project_name(&self.folder.file_name()?.to_string_lossy()))
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
            warnings: self.warnings,
            origin: Origin { files: self.files, tree: Arc::new(tree) },
        }
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

/// The path from the root on, without `.` and `..`.
pub fn absolute(path: &Path) -> PathBuf {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    PathBuf::from(clean_path(&full.to_string_lossy()))
}

/// The text of a file that is to be YAML or an environment file.
pub fn read_text(path: &Path) -> Result<String, Problems> {
    let metadata =
        std::fs::metadata(path).map_err(|error| Problem::of_file(path, reason(&error)))?;
    if metadata.len() > yaml::MAX_BYTES as u64 {
        let message = format!("is larger than {} MiB", yaml::MAX_BYTES >> 20);
        return Err(Problem::of_file(path, message).into());
    }
    crate::base::files::read_text(path)
        .map_err(|error| Problem::of_file(path, reason(&error.source)).into())
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::InvalidData => "is no UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}

/// The problem of an environment file; its line is not shown, it may hold a secret.
pub fn env_problem(path: &Path, error: &dotenv::DotenvError) -> Problem {
    let mut problem = Problem::of_file(path, error.to_string());
    problem.line = error.line();
    problem.column = error.column();
    problem
}

/// A build without a context has its project's folder.
fn default_contexts(model: &mut Node, folder: &str) {
    let services = model.get_mut("services").and_then(Node::as_map_mut);
    for service in services.into_iter().flat_map(IndexMap::values_mut) {
        let Some(build) = service.get_mut("build") else { continue };
        let context = Node::text(folder, build);
        if let Some(build) = build.as_map_mut() {
            build.entry("context".to_owned()).or_insert(context);
        }
    }
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
    let services = model.get_mut("services").and_then(Node::as_map_mut);
    for service in services.into_iter().flat_map(IndexMap::values_mut) {
        let Some(service) = service.as_map_mut() else { continue };
        service.retain(|key, node| {
            let may_be_null = matches!(key.as_str(), "command" | "entrypoint" | "deploy" | "pid");
            !(is_nothing(key, node) || may_be_null && node.is_null())
        });
        if let Some(build) = service.get_mut("build").and_then(Node::as_map_mut) {
            build.retain(|key, node| !is_nothing(key, node));
        }
        let networks = service.get_mut("networks").and_then(Node::as_map_mut);
        for attachment in networks.into_iter().flat_map(IndexMap::values_mut) {
            if attachment.is_null() {
                attachment.value = Value::Map(Map::new());
            }
        }
        for key in ["pre_start", "post_start", "pre_stop"] {
            let hooks = service.get_mut(key).and_then(Node::as_list_mut);
            for hook in hooks.into_iter().flatten().filter_map(Node::as_map_mut) {
                hook.retain(|key, node| !(key == "command" && node.is_null()));
            }
        }
    }
}
