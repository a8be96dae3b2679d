//! Relative paths of a document to absolute ones.

use std::path::{Path, PathBuf};

use super::{
    canonical::clean_path,
    node::{Node, Value, elements, members},
};

/// What relative paths and `~` stand for.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    pub folder: &'a Path,
    pub home: Option<&'a str>,
}

impl Base<'_> {
    /// The path, absolute and without `.` and `..`.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(self.text(path))
    }

    fn text(&self, path: &str) -> String {
        let expanded = match (path.strip_prefix('~'), self.home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                format!("{home}{rest}")
            }
            _ => path.to_owned(),
        };
        let windows = expanded.starts_with("\\\\") || expanded.as_bytes().get(1) == Some(&b':');
        if expanded.is_empty() || windows {
            return expanded;
        }
        clean_path(&self.folder.join(expanded).to_string_lossy())
    }

    fn node(&self, node: Option<&mut Node>) {
        if let Some(Value::Text(path)) = node.map(|node| &mut node.value) {
            *path = self.text(path);
        }
    }

    fn context(&self, node: Option<&mut Node>) {
        if let Some(Value::Text(path)) = node.map(|node| &mut node.value)
            && !is_elsewhere(path)
        {
            *path = self.text(path);
        }
    }
}

/// Whether a build context is a URL, a git reference or another service.
fn is_elsewhere(context: &str) -> bool {
    context.contains("://")
        || ["service:", "github.com/", "git@"].iter().any(|start| context.starts_with(start))
}

/// Makes the paths of a document in its long form absolute.
pub fn document(node: &mut Node, base: Base) {
    for service in members(node, "services") {
        if let Some(build) = service.get_mut("build") {
            base.context(build.get_mut("context"));
            members(build, "additional_contexts").for_each(|node| base.context(Some(node)));
            members(build, "ssh").for_each(|node| base.node(Some(node)));
        }
        elements(service, "env_file").for_each(|file| base.node(file.get_mut("path")));
        elements(service, "label_file").for_each(|file| base.node(Some(file)));
        for mount in elements(service, "volumes") {
            if mount.get("type").and_then(Node::as_text) == Some("bind") {
                base.node(mount.get_mut("source"));
            }
        }
    }
    for kind in ["secrets", "configs"] {
        members(node, kind).for_each(|object| base.node(object.get_mut("file")));
    }
    for volume in members(node, "volumes") {
        let is_local = volume.get("driver").and_then(Node::as_text) == Some("local");
        let Some(options) = volume.get_mut("driver_opts").filter(|_| is_local) else { continue };
        if options.get("o").and_then(Node::as_text) == Some("bind") {
            base.node(options.get_mut("device"));
        }
    }
}
