//! What fuzz targets ask of the parsers of this module; there with `--cfg fuzzing` only.

use http::{HeaderMap, HeaderValue, header::COOKIE};

use super::{
    assets, chooser::Chooser, framing::Framing, hosts::Hosts, proxy_protocol, request, share::Share,
};
use crate::model::{self, Canary, Color};

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

/// Whatever a client's cookies say, it stays where its first answer puts it.
pub fn cookies(bytes: &[u8], release: &str, weight: u8) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let mut headers = HeaderMap::new();
    headers.append(COOKIE, value);
    let canary = Canary { to: Color::Green, weight: weight % 100, since: String::new() };
    let share = Share::new(&canary, release);
    let (taken, new) = share.takes(&headers);
    if let Some(cookie) = new.and_then(|number| share.cookie(number, true)) {
        let own = cookie.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        headers.append(COOKIE, HeaderValue::from_bytes(own).expect("it is a part of one"));
        assert_eq!(share.takes(&headers), (taken, None));
    }
    let names = model::Chooser { header: None, cookie: Some(release.to_owned()) };
    let _ = Chooser::new(&names).asked(&headers);
}

/// A path whose file has no digest of eight digits is no hashed asset.
pub fn asset(path: &str) {
    assert!(!assets::is_hashed(path) || path.len() > 8);
}
