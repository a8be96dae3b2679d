//! `extends`: a service takes over what another one says, of the same file or another.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use indexmap::IndexMap;

use super::{
    loader::Loader,
    merge,
    node::{Map, Node, Value},
    paths::Base,
};
use crate::base::files::shown;

/// A chain of services that extend each other is not longer than this.
const MAX_CHAIN: usize = 50;

/// A file whose services may be extended.
#[derive(Clone)]
pub struct Services {
    pub map: Rc<Map>,
    pub path: PathBuf,
    /// What `extends.file` is relative to.
    pub folder: PathBuf,
}

/// Resolves `extends` of all services of a document.
pub fn apply(
    loader: &mut Loader,
    document: &mut Node,
    path: &Path,
    folder: &Path,
    environment: &IndexMap<String, String>,
) {
    let Some(Value::Map(services)) = document.get("services").map(|node| &node.value) else {
        return;
    };
    if !services.values().any(|service| service.get("extends").is_some()) {
        return;
    }
    let file = Services {
        map: Rc::new(services.clone()),
        path: path.to_owned(),
        folder: folder.to_owned(),
    };
    let mut resolved = Map::with_capacity(file.map.len());
    for name in file.map.keys() {
        let mut chain = Resolver { loader, environment, chain: vec![] };
        let service = chain.service(&file, name);
        resolved.insert(name.clone(), service);
    }
    if let Some(services) = document.get_mut("services") {
        services.value = Value::Map(resolved);
    }
}

struct Resolver<'a> {
    loader: &'a mut Loader,
    environment: &'a IndexMap<String, String>,
    chain: Vec<(PathBuf, String)>,
}

impl Resolver<'_> {
    /// The service with all that it extends merged in.
    fn service(&mut self, file: &Services, name: &str) -> Node {
        let Some(mut service) = file.map.get(name).cloned() else { return Node::default() };
        let Some(extends) = service.as_map_mut().and_then(|map| map.shift_remove("extends")) else {
            return service;
        };
        let path = format!("services.{name}.extends");
        let link = (file.path.clone(), name.to_owned());
        if self.chain.contains(&link) || self.chain.len() >= MAX_CHAIN {
            let names: Vec<&str> = self.chain.iter().map(|(_, name)| name.as_str()).collect();
            let message = format!("services extend each other: {} → {name}", names.join(" → "));
            self.loader.wrong(extends.at, &path, message);
            return service;
        }
        self.chain.push(link);
        let base = self.base(file, &extends, &path);
        self.chain.pop();
        let Some(mut base) = base else { return service };
        merge::settle(&mut base);
        (base.at, base.key) = (service.at, service.key);
        let (files, problems) = self.loader.parts();
        merge::service(name, &mut base, service, files, problems);
        base
    }

    fn base(&mut self, file: &Services, extends: &Node, path: &str) -> Option<Node> {
        let (other, name) = match &extends.value {
            Value::Text(name) => (None, name.clone()),
            Value::Map(map) => {
                for (key, node) in map {
                    if !matches!(key.as_str(), "service" | "file") {
                        let message = format!("unknown key `{key}`, known here: service, file");
                        self.loader.wrong(node.key, &format!("{path}.{key}"), message);
                    }
                }
                let Some(name) = map.get("service").and_then(Node::as_text) else {
                    self.loader.wrong(extends.at, path, "the key `service` is missing");
                    return None;
                };
                (map.get("file"), name.to_owned())
            }
            _ => {
                let message = format!("expected a service's name, found {}", extends.describe());
                self.loader.wrong(extends.at, path, message);
                return None;
            }
        };
        let other = match other {
            None => file.clone(),
            Some(node) => {
                let Some(named) = node.as_text() else {
                    let message = format!("expected a file, found {}", node.describe());
                    self.loader.wrong(node.at, path, message);
                    return None;
                };
                if super::include::is_remote(named) {
                    let message = "a file from elsewhere is not supported by envctl: \
                                   copy it into the project";
                    self.loader.wrong(node.at, path, message);
                    return None;
                }
                let home = self.environment.get("HOME").map(String::as_str);
                let found = Base { folder: &file.folder, home }.path(named);
                self.loader.extended_file(&found, self.environment, node.at, path)?
            }
        };
        if !other.map.contains_key(&name) {
            let near = crate::base::words::nearest(&name, other.map.keys().map(String::as_str))
                .map(|near| format!("did you mean `{near}`?"));
            let message =
                format!("there is no service `{name}` in {}", shown(&other.path).display());
            self.loader.wrong_with_hint(extends.at, path, message, near);
            return None;
        }
        Some(self.service(&other, &name))
    }
}
