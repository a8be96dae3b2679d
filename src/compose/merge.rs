//! Merging one document onto another, by the rules of each key. Both are in their long form.

use super::{
    node::{Map, Mark, Node, Value},
    problem::{Files, Problems},
};

/// How the values of a key are merged.
enum Rule {
    /// Mappings by key, lists one after the other, all else replaced; nothing keeps what is there.
    Deep,
    /// The later one counts, also when it is nothing.
    Replace,
    /// A mapping of scalars: the later one counts, also when it is nothing.
    Pairs,
    /// Addresses that are not there yet are added.
    Hosts,
    /// Options are merged for the same driver only.
    Logging,
    /// Address pools by their subnet.
    Pools,
}

fn rule(path: &[String]) -> Rule {
    let mut words = [""; 5];
    if path.len() > words.len() {
        return Rule::Deep;
    }
    for (word, step) in words.iter_mut().zip(path) {
        *word = step;
    }
    match &words[..path.len()] {
        ["services", _, "command" | "entrypoint"]
        | ["services", _, "healthcheck", "test"]
        | ["services", _, "ulimits", _] => Rule::Replace,
        ["services", _, "annotations" | "labels" | "environment" | "sysctls"]
        | ["services", _, "build", "args" | "labels" | "additional_contexts"]
        | ["services", _, "deploy", "labels"]
        | ["networks" | "volumes", _, "labels"] => Rule::Pairs,
        ["services", _, "extra_hosts"] | ["services", _, "build", "extra_hosts"] => Rule::Hosts,
        ["services", _, "logging"] => Rule::Logging,
        ["networks", _, "ipam", "config"] => Rule::Pools,
        _ => Rule::Deep,
    }
}

/// Merges a document onto another.
pub fn documents(base: &mut Node, over: Node, files: &Files, problems: &mut Problems) {
    Merge { files, problems, path: vec![] }.node(base, over);
}

/// Merges a service onto the one that it extends.
pub fn service(name: &str, base: &mut Node, over: Node, files: &Files, problems: &mut Problems) {
    let path = vec!["services".to_owned(), name.to_owned()];
    Merge { files, problems, path }.node(base, over);
}

/// Drops what is `!reset` and forgets the marks, once a document has been merged.
pub fn settle(node: &mut Node) {
    node.mark = Mark::Plain;
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|_, member| member.mark != Mark::Reset);
            map.values_mut().for_each(settle);
        }
        Value::List(list) => list.iter_mut().for_each(settle),
        _ => {}
    }
}

/// [`settle`] for a model onto which a document has been merged that names these services.
pub fn settle_model(model: &mut Node, services: &[String]) {
    let Some(sections) = model.as_map_mut() else { return };
    sections.retain(|_, node| node.mark != Mark::Reset);
    for (section, node) in sections {
        let was = std::mem::take(&mut node.mark);
        let members = node.as_map_mut().filter(|_| section == "services" && was == Mark::Plain);
        let Some(members) = members else {
            settle(node);
            continue;
        };
        for name in services {
            match members.get_mut(name) {
                Some(service) if service.mark == Mark::Reset => {
                    members.shift_remove(name);
                }
                Some(service) => settle(service),
                None => {}
            }
        }
    }
}

struct Merge<'a> {
    files: &'a Files,
    problems: &'a mut Problems,
    path: Vec<String>,
}

impl Merge<'_> {
    fn node(&mut self, base: &mut Node, over: Node) {
        if over.mark != Mark::Plain {
            *base = over;
            return;
        }
        // What an `!override` before has replaced stays marked for the files before it.
        match rule(&self.path) {
            Rule::Replace => *base = over,
            Rule::Hosts => self.hosts(base, over),
            Rule::Pools => self.pools(base, over),
            Rule::Logging => {
                let driver =
                    |node: &Node| node.get("driver").and_then(Node::as_text).map(ToOwned::to_owned);
                match (driver(base), driver(&over)) {
                    (Some(old), Some(new)) if old != new => *base = over,
                    _ => self.deep(base, over),
                }
            }
            Rule::Pairs | Rule::Deep => self.deep(base, over),
        }
    }

    fn deep(&mut self, base: &mut Node, over: Node) {
        if over.is_null() {
            return;
        }
        match (&mut base.value, over.value) {
            (Value::Map(base), Value::Map(over)) => self.maps(base, over),
            (Value::List(base), Value::List(over)) => base.extend(over),
            (Value::Map(_) | Value::List(_), other) => {
                let over = Node { value: other, ..over };
                let (old, new) = (base.describe(), over.describe());
                let message = format!("{new} cannot be merged onto {old} of an earlier file");
                let problem = self.files.problem(over.at, &self.path.join("."), message);
                self.problems.push(problem);
            }
            (_, value) => *base = Node { value, ..over },
        }
    }

    fn maps(&mut self, base: &mut Map, over: Map) {
        let pairs = matches!(rule(&self.path), Rule::Pairs);
        for (key, member) in over {
            match base.get_mut(&key) {
                Some(_) if pairs => {
                    base.insert(key, member);
                }
                Some(old) => {
                    self.path.push(key);
                    self.node(old, member);
                    self.path.pop();
                }
                None => {
                    base.insert(key, member);
                }
            }
        }
    }

    fn hosts(&mut self, base: &mut Node, over: Node) {
        let (Value::Map(hosts), Value::Map(_)) = (&mut base.value, &over.value) else {
            return self.deep(base, over);
        };
        let Value::Map(more) = over.value else { return };
        for (host, addresses) in more {
            match (hosts.get_mut(&host).and_then(Node::as_list_mut), addresses.value) {
                (Some(known), Value::List(list)) => {
                    let before = known.len();
                    for address in list {
                        if !known[..before].contains(&address) {
                            known.push(address);
                        }
                    }
                }
                (_, value) => {
                    hosts.insert(host, Node { value, ..addresses });
                }
            }
        }
    }

    fn pools(&mut self, base: &mut Node, over: Node) {
        let (Value::List(pools), Value::List(_)) = (&mut base.value, &over.value) else {
            return self.deep(base, over);
        };
        let Value::List(more) = over.value else { return };
        for pool in more {
            match pools.iter_mut().find(|known| known.get("subnet") == pool.get("subnet")) {
                Some(known) => self.deep(known, pool),
                None => pools.push(pool),
            }
        }
    }
}
