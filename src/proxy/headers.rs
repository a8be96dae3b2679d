//! The heads of requests and answers, made fit for the other side.

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, Version,
    header::{self, Entry},
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};

use super::{client::Client, target::Target};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");
const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// Which headers, of those that concern one connection only, are there.
#[derive(Default)]
struct Present {
    connection: bool,
    keep_alive: bool,
    proxy_connection: bool,
    transfer_encoding: bool,
    upgrade: bool,
    te: bool,
    expect: bool,
    http2_settings: bool,
    forwarded: bool,
}

impl Present {
    fn of(headers: &HeaderMap) -> Self {
        let mut present = Self::default();
        for name in headers.keys() {
            match *name {
                header::CONNECTION => present.connection = true,
                header::TRANSFER_ENCODING => present.transfer_encoding = true,
                header::UPGRADE => present.upgrade = true,
                header::TE => present.te = true,
                header::EXPECT => present.expect = true,
                header::FORWARDED => present.forwarded = true,
                ref other if *other == KEEP_ALIVE => present.keep_alive = true,
                ref other if *other == PROXY_CONNECTION => present.proxy_connection = true,
                ref other if *other == HTTP2_SETTINGS => present.http2_settings = true,
                _ => {}
            }
        }
        present
    }

    /// Takes off what concerned the connection it came on; `Upgrade` too.
    fn remove(&self, headers: &mut HeaderMap) {
        if self.connection {
            remove_named(headers);
            headers.remove(header::CONNECTION);
        }
        if self.keep_alive {
            headers.remove(KEEP_ALIVE);
        }
        if self.proxy_connection {
            headers.remove(PROXY_CONNECTION);
        }
        if self.transfer_encoding {
            headers.remove(header::TRANSFER_ENCODING);
        }
        if self.upgrade {
            headers.remove(header::UPGRADE);
        }
        if self.http2_settings {
            headers.remove(HTTP2_SETTINGS);
        }
    }
}

/// Takes off what `Connection` names, but not what the message's own framing and address stand in.
fn remove_named(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| {
            ![&b"close"[..], b"keep-alive", b"upgrade", b"te", b"host", b"content-length"]
                .iter()
                .any(|kept| name.eq_ignore_ascii_case(kept))
        })
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
}

/// Makes a request's headers fit for a service. `upgrade`: its `Upgrade` is to be passed on. `body`: it has one.
pub(super) fn to_service(
    headers: &mut HeaderMap,
    client: &Client,
    target: &Target,
    upgrade: bool,
    body: bool,
) {
    let present = Present::of(headers);
    let protocol = if upgrade { headers.get(header::UPGRADE).cloned() } else { None };
    present.remove(headers);
    if let Some(protocol) = protocol {
        headers.insert(header::CONNECTION, UPGRADE);
        headers.insert(header::UPGRADE, protocol);
    }
    if present.transfer_encoding && body {
        headers.insert(header::TRANSFER_ENCODING, CHUNKED);
    }
    if present.te {
        let trailers = headers.get_all(header::TE).iter().any(|value| contains(value, b"trailers"));
        headers.remove(header::TE);
        if trailers {
            headers.insert(header::TE, TRAILERS);
        }
    }
    if present.expect {
        // The client is told to go on as soon as the service takes the body.
        headers.remove(header::EXPECT);
    }

    let place = &client.place;
    let trusted = place.shared.trust_forwarded;
    if present.forwarded && trusted {
        headers.append(header::FORWARDED, client.forwarded.clone());
    } else {
        headers.insert(header::FORWARDED, client.forwarded.clone());
    }
    match headers.entry(FORWARDED_FOR) {
        Entry::Occupied(mut entry) if trusted => {
            let all: Vec<&[u8]> = entry.iter().map(HeaderValue::as_bytes).collect();
            let mut all = all.join(&b", "[..]);
            all.extend_from_slice(b", ");
            all.extend_from_slice(client.address.as_bytes());
            if let Ok(all) = HeaderValue::from_bytes(&all) {
                entry.insert(all);
            }
        }
        Entry::Occupied(mut entry) => {
            entry.insert(client.address.clone());
        }
        Entry::Vacant(entry) => {
            entry.insert(client.address.clone());
        }
    }
    if !(trusted && headers.contains_key(FORWARDED_PROTO)) {
        headers.insert(FORWARDED_PROTO, place.proto.clone());
    }
    if !(trusted && headers.contains_key(FORWARDED_PORT)) {
        headers.insert(FORWARDED_PORT, place.port.clone());
    }
    if let Some(host) = headers.get(header::HOST).cloned() {
        if !(trusted && headers.contains_key(FORWARDED_HOST)) {
            headers.insert(FORWARDED_HOST, host);
        }
    } else {
        // Only HTTP/1.0 may do without.
        headers.remove(FORWARDED_HOST);
        if let Ok(host) = HeaderValue::try_from(target.name()) {
            headers.insert(header::HOST, host);
        }
    }
    headers.remove(FORWARDED_PREFIX);
    if !headers.get(REQUEST_ID).is_some_and(is_id) {
        headers.insert(REQUEST_ID, place.shared.request_id());
    }
}

/// Makes an answer's headers fit for the client.
pub(super) fn to_client(headers: &mut HeaderMap, upgraded: bool) {
    let present = Present::of(headers);
    let protocol = if upgraded { headers.get(header::UPGRADE).cloned() } else { None };
    present.remove(headers);
    if let Some(protocol) = protocol {
        headers.insert(header::CONNECTION, UPGRADE);
        headers.insert(header::UPGRADE, protocol);
    }
}

/// Takes a prefix of `strip` bytes off the path, and scheme and host off the whole.
pub(super) fn origin_form(uri: &mut Uri, headers: &mut HeaderMap, strip: usize) {
    if strip == 0 && uri.authority().is_none() {
        return;
    }
    let whole = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    if strip > 0
        && let Ok(prefix) = HeaderValue::from_str(&whole[..strip])
    {
        headers.insert(FORWARDED_PREFIX, prefix);
    }
    let rest = &whole[strip..];
    let rest =
        if rest.starts_with('/') || rest == "*" { rest.to_owned() } else { format!("/{rest}") };
    if let Ok(rest) = PathAndQuery::try_from(rest) {
        *uri = Uri::from(rest);
    }
}

/// Puts a request's target where HTTP/2 has it.
pub(super) fn to_http2(parts: &mut Parts, target: &Target) {
    let host = parts.headers.remove(header::HOST);
    parts.headers.remove(header::TRANSFER_ENCODING);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let authority = authority.or_else(|| Authority::try_from(target.name()).ok());
    let path = parts.uri.path_and_query().cloned();
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = authority;
    uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    if let Ok(uri) = Uri::from_parts(uri) {
        parts.uri = uri;
    }
    parts.version = Version::HTTP_2;
}

/// Whether a list of tokens has this one.
pub(super) fn contains(value: &HeaderValue, token: &[u8]) -> bool {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

fn is_id(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=128).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connection_names_goes_and_framing_stays() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close, X-Secret, Host"));
        headers.insert("x-secret", HeaderValue::from_static("1"));
        headers.insert("keep-alive", HeaderValue::from_static("timeout=5"));
        headers.insert(header::HOST, HeaderValue::from_static("a"));
        headers.insert("x-other", HeaderValue::from_static("2"));
        to_client(&mut headers, false);
        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["host", "x-other"]);
    }

    #[test]
    fn a_prefix_comes_off_the_path_and_the_query_stays() {
        let strip = |uri: &str, strip: usize| {
            let (mut uri, mut headers) = (uri.parse().unwrap(), HeaderMap::new());
            origin_form(&mut uri, &mut headers, strip);
            uri.to_string()
        };
        assert_eq!(strip("/api/x?y=1", 4), "/x?y=1");
        assert_eq!(strip("/api?y=1", 4), "/?y=1");
        assert_eq!(strip("/api", 4), "/");
        assert_eq!(strip("http://a.example/b?c", 0), "/b?c");
        assert_eq!(strip("/plain", 0), "/plain");
        assert_eq!(strip("*", 0), "*");
    }
}
