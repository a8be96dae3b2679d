//! `include`: other Compose projects, read with their own folder and environment, and taken in.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::{
    loader::Loader,
    merge,
    node::{Map, Node, Value},
    paths::Base,
};
use crate::base::files::shown;

/// The sections that an included project brings.
const SECTIONS: &[&str] = &["services", "volumes", "networks", "secrets", "configs", "models"];

/// Whether a file is named by a URL, a git repository or an image.
pub fn is_remote(path: &str) -> bool {
    path.contains("://") || path.starts_with("git@") || path.starts_with("oci:")
}

/// Takes in what a document includes; what the document says itself counts more.
pub fn apply(
    loader: &mut Loader,
    document: &mut Node,
    folder: &Path,
    environment: &IndexMap<String, String>,
    included: &[PathBuf],
) {
    let Some(list) = document.as_map_mut().and_then(|map| map.shift_remove("include")) else {
        return;
    };
    let Value::List(entries) = &list.value else {
        let message = format!("expected a list, found {}", list.describe());
        return loader.wrong(list.at, "include", message);
    };
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("include[{index}]");
        let Some(entry) = Entry::read(loader, entry, &path) else { continue };
        let Some(project) = load(loader, &entry, &path, folder, environment, included) else {
            continue;
        };
        let Value::Map(sections) = project.value else { continue };
        let sections: Map =
            sections.into_iter().filter(|(key, _)| SECTIONS.contains(&key.as_str())).collect();
        let project = Node::new(Value::Map(sections), document);
        let own = std::mem::replace(document, project);
        let (files, problems) = loader.parts();
        merge::documents(document, own, files, problems);
    }
}

struct Entry<'n> {
    place: &'n Node,
    paths: Vec<&'n str>,
    folder: Option<&'n str>,
    env_files: Option<Vec<&'n str>>,
}

impl<'n> Entry<'n> {
    fn read(loader: &mut Loader, node: &'n Node, path: &str) -> Option<Self> {
        let mut entry = Self { place: node, paths: vec![], folder: None, env_files: None };
        match &node.value {
            Value::Text(file) => entry.paths = vec![file],
            Value::Map(map) => {
                for (key, member) in map {
                    match (key.as_str(), texts(member)) {
                        ("path", Some(paths)) => entry.paths = paths,
                        ("env_file", Some(files)) => entry.env_files = Some(files),
                        ("project_directory", _) if member.as_text().is_some() => {
                            entry.folder = member.as_text();
                        }
                        ("path" | "env_file" | "project_directory", _) => {
                            let message = format!("expected a path, found {}", member.describe());
                            loader.wrong(member.at, &format!("{path}.{key}"), message);
                            return None;
                        }
                        _ => {
                            let message = format!(
                                "unknown key `{key}`, known here: path, project_directory, env_file"
                            );
                            loader.wrong(member.key, &format!("{path}.{key}"), message);
                        }
                    }
                }
            }
            _ => {}
        }
        if entry.paths.is_empty() {
            let message = format!("expected a path, found {}", node.describe());
            loader.wrong(node.at, path, message);
            return None;
        }
        if entry.paths.iter().any(|file| is_remote(file)) {
            let message =
                "a file from elsewhere is not supported by envctl: copy it into the project";
            loader.wrong(node.at, path, message);
            return None;
        }
        Some(entry)
    }
}

fn texts(node: &Node) -> Option<Vec<&str>> {
    match &node.value {
        Value::Text(text) => Some(vec![text]),
        Value::List(list) => list.iter().map(Node::as_text).collect(),
        _ => None,
    }
}

fn load(
    loader: &mut Loader,
    entry: &Entry,
    path: &str,
    folder: &Path,
    environment: &IndexMap<String, String>,
    included: &[PathBuf],
) -> Option<Node> {
    let base = Base { folder, home: environment.get("HOME").map(String::as_str) };
    let files: Vec<PathBuf> = entry.paths.iter().map(|file| base.path(file)).collect();
    let main = files.first()?;
    if included.contains(main) {
        let chain: Vec<String> =
            included.iter().chain([main]).map(|file| shown(file).display().to_string()).collect();
        loader.wrong(
            entry.place.at,
            path,
            format!("files include each other: {}", chain.join(" → ")),
        );
        return None;
    }
    if let Some(missing) = files.iter().find(|file| !file.exists()) {
        loader.unreadable = true;
        let message = format!("there is no file {}", shown(missing).display());
        loader.wrong(entry.place.at, path, message);
        return None;
    }
    let own_folder = match entry.folder {
        Some(folder) => base.path(folder),
        None => main.parent().unwrap_or(folder).to_owned(),
    };
    let default = own_folder.join(".env");
    let env_files = match &entry.env_files {
        Some(files) => {
            files.iter().filter(|file| **file != "/dev/null").map(|file| base.path(file)).collect()
        }
        None if default.is_file() => vec![default],
        None => vec![],
    };
    let mut own = environment.clone();
    for (name, value) in loader.env_files(&env_files, environment, entry.place.at, path)? {
        own.entry(name).or_insert(value);
    }
    Some(loader.model(&files, &own_folder, &own, included))
}
