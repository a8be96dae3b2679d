//! From files to one merged tree: each document read, interpolated, brought into its long form and merged.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use indexmap::IndexMap;

use super::{
    canonical::{self, Context},
    dotenv, environment,
    extends::{self, Services},
    include,
    interpolate::interpolate,
    merge,
    node::{Map, Node, Value, members},
    paths::{self, Base},
    problem::{Files, Place, Problem, Problems},
    source::Source,
    text::{absolute, blanked_problem, env_problem, read_text},
    unique, yaml,
};
use crate::base::files::shown;

/// What may be left out, for measuring against other readers.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub resolve_paths: bool,
    pub read_env_files: bool,
}

/// Reads files, keeps them for messages, and collects what is wrong.
pub struct Loader {
    pub files: Files,
    pub problems: Problems,
    pub warnings: Vec<Problem>,
    /// The project's folder, absolute.
    pub folder: PathBuf,
    options: Options,
    /// Whether a file could not be read at all, so that what is missing may stand in it.
    pub unreadable: bool,
    /// Files whose services are extended, read once.
    extended: HashMap<PathBuf, Services>,
    pub values: environment::Values,
}

impl Loader {
    pub fn new(source: &Source, options: Options) -> Self {
        Self {
            files: Files::default(),
            problems: Problems::default(),
            warnings: vec![],
            folder: absolute(source.project_dir),
            options,
            unreadable: false,
            extended: HashMap::new(),
            values: HashMap::new(),
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
                self.merge(&mut model, document);
            }
        }
        let context = if self.options.resolve_paths {
            folder.to_string_lossy().into_owned()
        } else {
            ".".to_owned()
        };
        default_contexts(&mut model, &context);
        environment::look_up(&mut model, environment, &mut self.values);
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

    /// Merges a document onto the model of those before it.
    fn merge(&mut self, model: &mut Node, document: Node) {
        let services = document.get("services").and_then(Node::as_map);
        let names: Vec<String> = services.into_iter().flat_map(IndexMap::keys).cloned().collect();
        merge::documents(model, document, &self.files, &mut self.problems);
        unique::services(model, &names);
        merge::settle_model(model, &names);
    }

    fn documents(&mut self, path: &Path) -> Vec<Node> {
        let found = read_text(path).and_then(|text| {
            let text: Arc<str> = text.into();
            let file = self.files.add(path, text.clone());
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
            return Some(known.clone());
        }
        if !path.is_file() {
            self.wrong(at, key_path, format!("there is no file {}", shown(path).display()));
            return None;
        }
        let folder = path.parent().unwrap_or(path).to_owned();
        let mut model = Node { value: Value::Map(Map::new()), ..Node::default() };
        for mut document in self.documents(path) {
            if self.prepare(&mut document, &folder, environment) {
                // Marks stay: they count for what these services extend themselves.
                merge::documents(&mut model, document, &self.files, &mut self.problems);
                unique::document(&mut model);
            }
        }
        let services = match model.as_map_mut().and_then(|map| map.swap_remove("services")) {
            Some(Node { value: Value::Map(services), .. }) => services,
            _ => Map::new(),
        };
        let services = Services { map: Rc::new(services), path: path.to_owned(), folder };
        self.extended.insert(path.to_owned(), services.clone());
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
                    .map_err(|error| env_problem(path, &error).into())
            });
            match result {
                Ok(blanked) => {
                    self.warnings.extend(blanked.iter().map(|one| blanked_problem(path, one)));
                }
                Err(problem) => {
                    let message = format!("the environment file {problem}");
                    self.wrong(at, key_path, message);
                    return None;
                }
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

    /// Adds problems of places that have none yet.
    pub fn add(&mut self, more: Problems) {
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
    pub fn sorted(mut self) -> Problems {
        let order = |problem: &Problem| self.files.position(&problem.file);
        self.problems.0.sort_by_key(|problem| (order(problem), problem.line, problem.column));
        self.problems
    }
}

/// A build without a context has its project's folder.
fn default_contexts(model: &mut Node, folder: &str) {
    for service in members(model, "services") {
        let Some(build) = service.get_mut("build") else { continue };
        let context = Node::text(folder, build);
        if let Some(build) = build.as_map_mut() {
            build.entry("context".to_owned()).or_insert(context);
        }
    }
}
