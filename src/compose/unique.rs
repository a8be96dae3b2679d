//! Lists whose elements have a name: the later one of a name takes the place of the earlier one.

use indexmap::IndexMap;

use super::node::{Node, Value, members};

/// Keeps one element of each name in the lists of all services of a document in its long form.
pub fn document(node: &mut Node) {
    members(node, "services").for_each(service);
}

/// Keeps one element of each name in the lists of the named services.
pub fn services(node: &mut Node, names: &[String]) {
    for name in names {
        if let Some(node) = node.get_mut("services").and_then(|services| services.get_mut(name)) {
            service(node);
        }
    }
}

fn service(service: &mut Node) {
    for key in ["cap_add", "cap_drop", "dns", "dns_opt", "dns_search"] {
        named(service, key, before_equals);
    }
    for key in ["links", "profiles", "tmpfs"] {
        named(service, key, before_equals);
    }
    for key in
        ["security_opt", "group_add", "device_cgroup_rules", "external_links", "volumes_from"]
    {
        named(service, key, whole);
    }
    named(service, "expose", whole);
    named(service, "env_file", |file| text(file, "path"));
    named(service, "devices", |device| text(device, "target"));
    named(service, "volumes", |mount| text(mount, "target"));
    named(service, "ports", port);
    named(service, "configs", |mount| file_mount(mount, ""));
    named(service, "secrets", |mount| file_mount(mount, "/run/secrets"));
    for attachment in members(service, "networks") {
        named(attachment, "aliases", before_equals);
        named(attachment, "link_local_ips", before_equals);
    }
    if let Some(build) = service.get_mut("build") {
        for key in ["tags", "platform", "platforms"] {
            named(build, key, before_equals);
        }
    }
}

fn named(node: &mut Node, key: &str, name: impl Fn(&Node) -> Option<String>) {
    let Some(Value::List(list)) = node.get_mut(key).map(|node| &mut node.value) else { return };
    if list.len() < 2 {
        return;
    }
    let mut kept: IndexMap<String, Node> = IndexMap::with_capacity(list.len());
    for (index, element) in std::mem::take(list).into_iter().enumerate() {
        // What has no name is kept for the types to refuse.
        let name = name(&element).unwrap_or_else(|| format!("\u{0}{index}"));
        kept.insert(name, element);
    }
    list.extend(kept.into_values());
}

fn whole(node: &Node) -> Option<String> {
    node.as_text().map(ToOwned::to_owned)
}

fn before_equals(node: &Node) -> Option<String> {
    node.as_text().map(|text| text.split_once('=').map_or(text, |(name, _)| name).to_owned())
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key)?.as_text().map(ToOwned::to_owned)
}

fn file_mount(node: &Node, folder: &str) -> Option<String> {
    text(node, "target").or_else(|| text(node, "source").map(|source| format!("{folder}/{source}")))
}

fn port(node: &Node) -> Option<String> {
    let part = |key: &str, absent: &str| {
        node.get(key).and_then(Node::scalar_text).unwrap_or_else(|| absent.to_owned())
    };
    let target = node.get("target")?.scalar_text()?;
    let (address, published) = (part("host_ip", "0.0.0.0"), part("published", ""));
    Some(format!("{address}:{published}:{target}/{}", part("protocol", "tcp")))
}
