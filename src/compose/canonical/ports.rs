//! `ports`: `[[ADDRESS:]PUBLISHED:]TARGET[/PROTOCOL]`, with ranges, to one mapping a port.

use std::net::IpAddr;

use super::{
    super::node::{Map, Node, Value},
    Context,
};

/// Replaces each short form by the ports it stands for.
pub fn expand(node: &mut Node, path: &str, context: &mut Context) {
    let Value::List(list) = &mut node.value else { return };
    let mut ports = Vec::with_capacity(list.len());
    for (index, entry) in std::mem::take(list).into_iter().enumerate() {
        let text = match &entry.value {
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            Value::Map(_) => {
                ports.push(long(entry));
                continue;
            }
            _ => {
                let message = format!("expected a port, found {}", entry.describe());
                context.wrong(&entry, &format!("{path}[{index}]"), message);
                ports.push(entry);
                continue;
            }
        };
        match short(&text) {
            Ok(found) => ports.extend(found.into_iter().map(|port| port.into_node(&entry))),
            Err(cause) => {
                let message = format!("`{text}` is no port: {cause}");
                context.wrong(&entry, &format!("{path}[{index}]"), message);
                // It stays, so that those after it keep their index.
                ports.push(entry);
            }
        }
    }
    node.value = Value::List(ports);
}

/// In the long form `published` may be a number.
fn long(mut entry: Node) -> Node {
    if let Some(published) = entry.get_mut("published")
        && let Value::Int(number) = published.value
    {
        published.value = Value::Text(number.to_string());
    }
    entry
}

#[derive(Debug, PartialEq)]
struct Short {
    address: String,
    published: String,
    target: u16,
    protocol: String,
}

impl Short {
    fn into_node(self, entry: &Node) -> Node {
        let mut map = Map::new();
        let mut put = |key: &str, text: String| {
            if !text.is_empty() {
                map.insert(key.to_owned(), Node::text(text, entry));
            }
        };
        put("mode", "ingress".to_owned());
        put("host_ip", self.address);
        put("published", self.published);
        put("protocol", self.protocol);
        map.insert("target".to_owned(), Node::new(Value::Int(self.target.into()), entry));
        Node::new(Value::Map(map), entry)
    }
}

fn short(text: &str) -> Result<Vec<Short>, String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = if protocol.is_empty() { "tcp" } else { protocol }.to_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("the protocol `{protocol}` is not tcp, udp or sctp"));
    }
    let (before, target) = ports.rsplit_once(':').unwrap_or(("", ports));
    let (address, published) = before.rsplit_once(':').unwrap_or(("", before));
    let address =
        address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(format!("`{address}` is no IP address"));
    }
    if target.is_empty() {
        return Err("the container's port is missing".to_owned());
    }
    let (first, last) = range(target)?;
    let host = if published.is_empty() { None } else { Some(range(published)?) };
    if let Some((host_first, host_last)) = host
        && last - first != host_last - host_first
        && first != last
    {
        return Err(format!("the ranges {published} and {target} differ in length"));
    }
    Ok((first..=last)
        .map(|target| Short {
            address: address.to_owned(),
            published: match host {
                None => String::new(),
                Some((from, to)) if first == last && from != to => format!("{from}-{to}"),
                Some((from, _)) => (from + (target - first)).to_string(),
            },
            target,
            protocol: protocol.clone(),
        })
        .collect())
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| {
        text.parse::<u16>().map_err(|_| format!("`{text}` is no port from 0 to 65535"))
    };
    let (first, last) = (port(first)?, port(last)?);
    if last < first {
        return Err(format!("the range {text} ends before it starts"));
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_have_ranges_addresses_and_protocols() {
        let shown = |text: &str| {
            short(text).map(|ports| {
                ports
                    .iter()
                    .map(|p| format!("{}|{}|{}/{}", p.address, p.published, p.target, p.protocol))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        assert_eq!(shown("80").unwrap(), "||80/tcp");
        assert_eq!(shown("8080:80/udp").unwrap(), "|8080|80/udp");
        assert_eq!(shown("127.0.0.1:8080:80").unwrap(), "127.0.0.1|8080|80/tcp");
        assert_eq!(shown("[::1]:8080:80").unwrap(), "::1|8080|80/tcp");
        assert_eq!(shown("::1:8080:80").unwrap(), "::1|8080|80/tcp");
        assert_eq!(shown("127.0.0.1::80").unwrap(), "127.0.0.1||80/tcp");
        assert_eq!(shown("9000-9001:80-81").unwrap(), "|9000|80/tcp |9001|81/tcp");
        assert_eq!(shown("9000-9010:80").unwrap(), "|9000-9010|80/tcp");
        for wrong in ["", ":", "a:80", "1-2:1-5", "80/xyz", "x.y:80:80", "70000", "5-3", "80:"] {
            assert!(short(wrong).is_err(), "{wrong}");
        }
    }
}
