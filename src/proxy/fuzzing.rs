//! What fuzz targets ask of the parsers of this module; there with `--cfg fuzzing` only.

use super::{framing::Framing, hosts::Hosts, proxy_protocol, request};

/// The refused head, whichever way the bytes come in.
pub fn framing(bytes: &[u8], part: usize) {
    let whole = Framing::default().read(bytes);
    let mut framing = Framing::default();
    let found = bytes.chunks(part.max(1)).find_map(|part| framing.read(part));
    assert_eq!(found, whole);
}

/// Whatever is taken for a host has a name that can be matched.
pub fn host(bytes: &[u8], known: &str) {
    let hosts = Hosts::new(&[known.to_owned()]);
    if request::is_host(bytes) {
        assert!(bytes.iter().all(|byte| byte.is_ascii_graphic()));
    }
    let _ = hosts.covers(bytes);
}

/// A header's length field is that of what follows.
pub fn proxy_protocol(source: std::net::SocketAddr, destination: std::net::SocketAddr) {
    let header = proxy_protocol::header(source, destination);
    assert_eq!(usize::from(u16::from_be_bytes([header[14], header[15]])), header.len() - 16);
}
