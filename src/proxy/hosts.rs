//! The names that a route is for.

/// Some names, or all.
#[derive(Debug)]
pub(super) struct Hosts(Vec<Box<str>>);

impl Hosts {
    pub fn new(hosts: &[String]) -> Self {
        Self(hosts.iter().map(|host| host.to_ascii_lowercase().into()).collect())
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|name| name.clone().into()).collect()
    }

    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Sorts whole names before those with `*`, and what is for all last.
    pub fn breadth(&self) -> u8 {
        if self.is_all() { 2 } else { u8::from(self.0.iter().any(|host| host.starts_with("*."))) }
    }

    /// Whether the value of a `Host` header, or the name of a handshake, is one of these.
    pub fn covers(&self, host: &[u8]) -> bool {
        let name = name(host);
        self.is_all() || self.0.iter().any(|known| is_of(known.as_bytes(), name))
    }
}

/// Without port and final dot.
fn name(host: &[u8]) -> &[u8] {
    let end = if host.starts_with(b"[") {
        host.iter().position(|byte| *byte == b']').map(|at| at + 1)
    } else {
        host.iter().position(|byte| *byte == b':')
    };
    let name = &host[..end.unwrap_or(host.len())];
    name.strip_suffix(b".").unwrap_or(name)
}

fn is_of(known: &[u8], name: &[u8]) -> bool {
    match known.strip_prefix(b"*") {
        // The dot is a part of it: `*.a` covers what is below `a`, and neither `a` nor `xa`.
        Some(end) => {
            name.len() > end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end)
        }
        None => known.eq_ignore_ascii_case(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_whatever_their_letters_and_port() {
        let hosts = Hosts::new(&["Shop.example".into(), "*.cdn.example".into()]);
        for host in ["shop.example", "SHOP.EXAMPLE:3000", "shop.example.", "a.b.cdn.example:1"] {
            assert!(hosts.covers(host.as_bytes()), "{host}");
        }
        for host in ["", "xshop.example", "cdn.example", "xcdn.example", ".cdn.example.org"] {
            assert!(!hosts.covers(host.as_bytes()), "{host}");
        }
        assert!(Hosts::new(&[]).covers(b"anything"));
        assert!(Hosts::new(&["[::1]".into()]).covers(b"[::1]:80"));
    }
}
