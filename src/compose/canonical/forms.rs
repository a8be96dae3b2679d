//! The forms that many keys share.

use super::{
    super::node::{Map, Mark, Node, Value},
    Context,
};

/// Runs a function on a member, if it is there and not `!reset`.
pub fn member(node: &mut Node, key: &str, run: impl FnOnce(&mut Node)) {
    if let Some(member) = node.get_mut(key).filter(|member| member.mark != Mark::Reset) {
        run(member);
    }
}

/// Runs a function on each element of the list under a key, with its key path.
pub fn elements(node: &mut Node, key: &str, path: &str, mut run: impl FnMut(&mut Node, &str)) {
    member(node, key, |list| {
        for (index, element) in list.as_list_mut().into_iter().flatten().enumerate() {
            run(element, &format!("{path}.{key}[{index}]"));
        }
    });
}

/// One text becomes a list of it.
pub fn list(node: &mut Node) {
    if node.as_text().is_some() {
        let only = Node::new(std::mem::take(&mut node.value), node);
        node.value = Value::List(vec![only]);
    }
}

/// The scalars of a list become texts.
pub fn list_of_texts(node: &mut Node) {
    list(node);
    for entry in node.as_list_mut().into_iter().flatten() {
        if matches!(entry.value, Value::Int(_) | Value::Float(_))
            && let Some(text) = entry.scalar_text()
        {
            entry.value = Value::Text(text);
        }
    }
}

/// `- KEY=VALUE` and `KEY: value` become a mapping of texts; without a value it is null when `nullable`, else empty.
pub fn pairs(node: &mut Node, path: &str, nullable: bool, context: &mut Context) {
    if let Value::List(list) = &mut node.value {
        let mut map = Map::with_capacity(list.len());
        for entry in std::mem::take(list) {
            let Some(text) = entry.as_text() else {
                let found = entry.describe();
                context.wrong(&entry, path, format!("expected a text KEY=VALUE, found {found}"));
                continue;
            };
            let (key, value) = match text.split_once('=') {
                Some((key, value)) => (key.to_owned(), Value::Text(value.to_owned())),
                None => (text.to_owned(), Value::Null),
            };
            map.insert(key, Node { value, ..entry });
        }
        node.value = Value::Map(map);
    }
    let Value::Map(map) = &mut node.value else { return };
    for (key, value) in map.iter_mut() {
        if !(nullable && value.is_null()) {
            scalar(value, &format!("{path}.{key}"), context);
        }
    }
}

/// The values of a mapping become texts.
pub fn texts(node: &mut Node, path: &str, context: &mut Context) {
    for (key, value) in node.as_map_mut().into_iter().flatten() {
        scalar(value, &format!("{path}.{key}"), context);
    }
}

fn scalar(node: &mut Node, path: &str, context: &mut Context) {
    let text = node.scalar_text().unwrap_or_else(|| {
        let found = node.describe();
        let message =
            format!("expected a text, a number, true or false, or nothing, found {found}");
        context.wrong(node, path, message);
        // One problem is enough of it.
        String::new()
    });
    node.value = Value::Text(text);
}

/// A list of names becomes a mapping of them to a value.
pub fn names(node: &mut Node, value: impl Fn(&Node) -> Value) {
    let Value::List(list) = &mut node.value else { return };
    if list.iter().all(|entry| entry.as_text().is_some()) {
        let map = std::mem::take(list)
            .into_iter()
            .filter_map(|entry| {
                let value = value(&entry);
                let Value::Text(name) = entry.value else { return None };
                Some((name, Node { value, ..entry }))
            })
            .collect();
        node.value = Value::Map(map);
    }
}

/// A text becomes a mapping with it under a key.
pub fn wrap(node: &mut Node, key: &str) {
    if node.as_text().is_some() {
        let only = Node::new(std::mem::take(&mut node.value), node);
        node.value = Value::Map(Map::from([(key.to_owned(), only)]));
    }
}

/// `HOST=ADDRESS`, `HOST:ADDRESS` and mappings become a mapping of hosts to lists of addresses.
pub fn hosts(node: &mut Node, path: &str, context: &mut Context) {
    let mut found: Vec<(String, Node)> = vec![];
    match &mut node.value {
        Value::List(list) => {
            for entry in std::mem::take(list) {
                let parts = entry
                    .as_text()
                    .and_then(|text| text.split_once('=').or_else(|| text.split_once(':')));
                match parts {
                    Some((host, addresses)) => {
                        for address in addresses.split(',') {
                            found.push((host.to_owned(), Node::text(address, &entry)));
                        }
                    }
                    None => context.wrong(&entry, path, "expected HOST=ADDRESS"),
                }
            }
        }
        Value::Map(map) => {
            for (host, value) in std::mem::take(map) {
                match value.value {
                    Value::List(list) => {
                        found.extend(list.into_iter().map(|entry| (host.clone(), entry)));
                    }
                    Value::Null => {
                        let place = Node { value: Value::Null, ..value };
                        found.push((host, Node::text("", &place)));
                    }
                    _ => found.push((host, value)),
                }
            }
        }
        _ => return,
    }
    let mut map = Map::new();
    for (host, mut address) in found {
        if host.is_empty() || host.contains([':', '=']) {
            context.wrong(&address, path, format!("`{host}` is no host name"));
            continue;
        }
        if let Value::Text(text) = &mut address.value
            && let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
        {
            *text = inner.to_owned();
        }
        let place = Node { value: Value::List(vec![]), ..address.clone() };
        let list = map.entry(host).or_insert(place);
        if let Value::List(list) = &mut list.value {
            list.push(address);
        }
    }
    node.value = Value::Map(map);
}
