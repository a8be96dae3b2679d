//! Short forms to long ones, so that only one form of each key has to be merged, checked and typed.
//!
//! What has the wrong shape is left as it is: the types refuse it with its place. `!reset` nodes are not touched.

mod command;
mod forms;
mod ports;
mod service;
mod volumes;

pub use volumes::clean_path;

use super::{
    node::{Mark, Node, Value},
    problem::{Files, Problem, Problems},
};

/// What the stages that change a document share.
pub struct Context<'a> {
    pub files: &'a Files,
    pub problems: &'a mut Problems,
    pub warnings: &'a mut Vec<Problem>,
}

impl Context<'_> {
    pub fn wrong(&mut self, node: &Node, path: &str, message: impl Into<String>) {
        let problem = self.files.problem(node.at, path, message);
        self.problems.push(problem);
    }

    pub fn warn(&mut self, node: &Node, path: &str, message: impl Into<String>) {
        let problem = self.files.problem(node.at, path, message);
        if !self.warnings.contains(&problem) {
            self.warnings.push(problem);
        }
    }
}

/// Brings a whole document into its long form.
pub fn document(node: &mut Node, context: &mut Context) {
    each(node, "services", |service, path| service::canonical(service, path, context));
    each(node, "networks", |network, path| {
        resource(network, path, context);
        forms::member(network, "ipam", |ipam| {
            forms::member(ipam, "options", |options| forms::texts(options, path, context));
        });
    });
    each(node, "volumes", |volume, path| resource(volume, path, context));
    for kind in ["secrets", "configs"] {
        each(node, kind, |object, path| {
            if !object.is_null() {
                resource(object, path, context);
            }
        });
    }
}

/// Runs a function on each member of a top-level mapping, with its key path.
fn each(node: &mut Node, key: &str, mut run: impl FnMut(&mut Node, &str)) {
    let Some(members) = node.get_mut(key).and_then(Node::as_map_mut) else { return };
    for (name, member) in members.iter_mut().filter(|(_, member)| member.mark != Mark::Reset) {
        run(member, &format!("{key}.{name}"));
    }
}

/// A network, volume, secret or config: nothing is an empty mapping, `external: {name}` is `external` and `name`.
fn resource(node: &mut Node, path: &str, context: &mut Context) {
    if node.is_null() {
        node.value = Value::Map(super::node::Map::new());
    }
    forms::member(node, "labels", |labels| forms::pairs(labels, path, false, context));
    forms::member(node, "driver_opts", |options| forms::texts(options, path, context));
    let Some(map) = node.as_map_mut() else { return };
    let Some(external) = map.get_mut("external") else { return };
    let Some(names) = external.as_map_mut() else { return };
    let external_name = names.swap_remove("name");
    if let Some(unknown) = names.keys().find(|key| !key.starts_with("x-")) {
        let message = format!("unknown key `{unknown}`");
        let at = external.clone();
        return context.wrong(&at, &format!("{path}.external"), message);
    }
    external.value = Value::Bool(true);
    let Some(external_name) = external_name else { return };
    context.warn(&external_name, path, "`external.name` is old: write `external: true` and `name`");
    match map.get("name") {
        Some(name) if *name != external_name => {
            context.wrong(&external_name, path, "`name` and `external.name` differ: keep `name`");
        }
        Some(_) => {}
        None => {
            map.insert("name".to_owned(), external_name);
        }
    }
}
