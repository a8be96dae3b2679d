//! `volumes` and `devices` of a service: `[SOURCE:]TARGET[:OPTIONS]` to a mapping.

use super::{
    super::node::{Map, Node, Value},
    Context,
};

/// Replaces the short form of a mount.
pub fn mount(node: &mut Node, path: &str, context: &mut Context) {
    let Value::Text(text) = &node.value else { return };
    match short(text, node) {
        Ok(map) => node.value = Value::Map(map),
        Err(cause) => {
            let message = format!("`{text}` is no volume: {cause}");
            context.wrong(node, path, message);
        }
    }
}

/// Replaces the short form of a device.
pub fn device(node: &mut Node, path: &str, context: &mut Context) {
    let Value::Text(text) = &node.value else { return };
    let mut parts = text.split(':');
    let source = parts.next().unwrap_or_default();
    let target = parts.next().unwrap_or(source);
    let permissions = parts.next().unwrap_or("rwm");
    if parts.next().is_some() {
        let message = format!("`{text}` has too many colons: use source, target and permissions");
        return context.wrong(node, path, message);
    }
    let target = if target.is_empty() { source } else { target };
    let map = [("source", source), ("target", target), ("permissions", permissions)]
        .map(|(key, text)| (key.to_owned(), Node::text(text, node)));
    node.value = Value::Map(Map::from(map));
}

fn short(text: &str, place: &Node) -> Result<Map, &'static str> {
    let mut map = Map::new();
    let put = |map: &mut Map, key: &str, value: Value| {
        map.insert(key.to_owned(), Node::new(value, place));
    };
    match text.chars().count() {
        0 => return Err("it is empty"),
        1 | 2 => {
            put(&mut map, "type", Value::Text("volume".to_owned()));
            put(&mut map, "target", Value::Text(text.to_owned()));
            return Ok(map);
        }
        _ => {}
    }
    let sections = sections(text);
    if sections.iter().any(String::is_empty) {
        return Err("there is nothing between two colons");
    }
    let (source, target, options) = match sections.as_slice() {
        [target] => ("", target.as_str(), ""),
        [source, target] => (source.as_str(), target.as_str(), ""),
        [source, target, options] => (source.as_str(), target.as_str(), options.as_str()),
        _ => return Err("there are too many colons"),
    };
    let mut bind = Map::new();
    let mut volume = Map::new();
    for option in options.split(',') {
        match option {
            "ro" => put(&mut map, "read_only", Value::Bool(true)),
            "rw" => {
                map.swap_remove("read_only");
            }
            "nocopy" => put(&mut volume, "nocopy", Value::Bool(true)),
            "z" | "Z" => put(&mut bind, "selinux", Value::Text(option.to_owned())),
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                put(&mut bind, "propagation", Value::Text(option.to_owned()));
            }
            _ => {}
        }
    }
    let is_path = is_path(source);
    put(&mut map, "type", Value::Text(if is_path { "bind" } else { "volume" }.to_owned()));
    if !source.is_empty() {
        put(&mut map, "source", Value::Text(source.to_owned()));
    }
    put(&mut map, "target", Value::Text(clean_path(target)));
    if is_path || !bind.is_empty() {
        put(&mut map, "bind", Value::Map(bind));
    }
    if !is_path || !volume.is_empty() {
        put(&mut map, "volume", Value::Map(volume));
    }
    Ok(map)
}

/// The parts between colons; the colon of a Windows drive (a section of one letter) does not divide.
fn sections(text: &str) -> Vec<String> {
    let mut sections = vec![];
    let mut section = String::new();
    for c in text.chars() {
        let drive = section.len() == 1 && section.starts_with(|c: char| c.is_ascii_alphabetic());
        if c == ':' && !drive {
            sections.push(std::mem::take(&mut section));
        } else {
            section.push(c);
        }
    }
    sections.push(section);
    sections
}

fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~'])
        || source.starts_with("\\\\")
        || (source.starts_with(|c: char| c.is_ascii_alphabetic()) && source[1..].starts_with(':'))
}

/// The shortest path that is the same: no `.`, `..` or doubled slashes.
pub fn clean_path(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = vec![];
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_tell_folders_from_volumes() {
        let place = Node::default();
        let shown = |text: &str| {
            short(text, &place).map(|map| {
                map.iter()
                    .filter_map(|(key, node)| Some(format!("{key}={}", node.scalar_text()?)))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        assert_eq!(shown("data:/var/lib/").unwrap(), "type=volume source=data target=/var/lib");
        assert_eq!(shown("./a:/b:ro").unwrap(), "read_only=true type=bind source=./a target=/b");
        assert_eq!(shown("/only").unwrap(), "type=volume target=/only");
        assert_eq!(shown("C:\\x:/y").unwrap(), "type=bind source=C:\\x target=/y");
        for wrong in ["", ":/x", "aa:bb:cc:dd", "aa::/x"] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn paths_are_cleaned() {
        for (path, clean) in
            [("/a/../b/", "/b"), ("a//b/./c", "a/b/c"), ("../x", "../x"), ("/..", "/"), ("./", ".")]
        {
            assert_eq!(clean_path(path), clean);
        }
    }
}
