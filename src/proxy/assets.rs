//! Assets with a digest in their name, which a page of one color asks for and only that color has.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, header, request::Parts};
use hyper::body::{Body as _, Incoming};

use super::{
    client::{Active, Client},
    link::Lease,
    load::Kind,
    request::fit,
    snapshot::Way,
    upload::Upload,
};
use crate::model::Color;

/// What pages are made of, by the ends of its names.
const KINDS: [&str; 23] = [
    "js", "mjs", "css", "map", "wasm", "json", "svg", "png", "jpg", "jpeg", "gif", "webp", "avif",
    "ico", "woff", "woff2", "ttf", "otf", "eot", "mp3", "mp4", "webm", "txt",
];

/// A digest is at least this long.
const DIGEST: usize = 8;

/// Whether a path names an asset by its content: of the file's name a part of at least eight letters and digits, and not of
/// small letters alone unless they are hex digits, and an end such as `.js`. What makes file names joins the parts by `.`,
/// `-`, `_` or `~`, and some take digests in base64, where two of those are digits.
pub(super) fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, end)) = name.rsplit_once('.') else { return false };
    if !KINDS.iter().any(|kind| end.eq_ignore_ascii_case(kind)) {
        return false;
    }
    let bytes = stem.as_bytes();
    let joins = |byte: &u8| matches!(byte, b'.' | b'-' | b'_' | b'~');
    let last = bytes.len().checked_sub(DIGEST + 1).map(|at| &bytes[at..]);
    bytes.split(joins).any(is_digest)
        || last.is_some_and(|last| {
            matches!(last[0], b'.' | b'-')
                && is_digest_of(&last[1..], |b| {
                    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')
                })
        })
}

fn is_digest(part: &[u8]) -> bool {
    is_digest_of(part, |byte| byte.is_ascii_alphanumeric())
}

fn is_digest_of(part: &[u8], is_digit: impl Fn(u8) -> bool) -> bool {
    part.len() >= DIGEST
        && part.iter().all(|byte| is_digit(*byte))
        && (part.iter().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            || part.iter().all(u8::is_ascii_hexdigit))
}

/// A copy of a request that may be asked of the other color too.
pub(super) fn copy(client: &Client, request: &Request<Incoming>) -> Option<Box<Parts>> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_one = reads
        && client.place.listener.color.is_none()
        && request.body().is_end_stream()
        && !request.headers().contains_key(header::UPGRADE)
        && is_hashed(request.uri().path());
    if !is_one {
        return None;
    }
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(Box::new(copy.into_parts().0))
}

/// What the other color answers with, where it stands and has what `lacks` has not.
pub(super) async fn ask_other(
    client: &Arc<Client>,
    parts: Parts,
    lacks: Color,
    active: &mut Active,
) -> Option<(Way, Lease, Response<Incoming>)> {
    let place = &client.place;
    let shared = &place.shared;
    let (path, headers) = (parts.uri.path(), &parts.headers);
    let other = lacks.other();
    let way = shared.way_to(other, &place.listener, path, headers, Kind::Request)?;
    if way.target.is_down() {
        return None;
    }
    let request = fit(client, parts, Upload::Nothing, false, &way.target, way.strip);
    let (began, limit) = (shared.clock.now(), way.target.answer_time(&shared.limits));
    let expired = || shared.clock.since(began) > limit;
    // A fresh connection: should it fail, there is an answer already.
    let mut lease = way.target.lease(shared, place.worker, false).await.ok()?;
    let response = lease.send(request, expired).await.ok()?;
    if !response.status().is_success() && response.status() != StatusCode::NOT_MODIFIED {
        return None;
    }
    active.goes_to(other);
    active.instead_of(lacks);
    active.sent_to(lease.address());
    Some((way, lease, response))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_hold_a_digest() {
        for hashed in [
            "/assets/index-B4xV_3kQ.js",
            "/assets/index-DiwrgTda.css",
            "/assets/vendor.-xa_9B-c.js",
            "/static/js/main.3f2c1d9e.chunk.js",
            "/static/js/main.deadbeef.js.map",
            "/app~3f2c1d9e0a.mjs",
            "/chunk-QWERTYUI.js",
            "/logo.d41d8cd98f00b204e9800998ecf8427e.SVG",
            "/fonts/inter_v3f2c1d9e.woff2",
            "/9b2c3d4e.png",
        ] {
            assert!(is_hashed(hashed), "{hashed}");
        }
        for plain in [
            "/",
            "",
            "/index.html",
            "/assets/index.js",
            "/bootstrap.bundle.min.js",
            "/jquery-3.7.1.min.js",
            "/3f2c1d9e",
            "/3f2c1d9e.html",
            "/3f2c1d9e/app.js",
            "/users/20261121.php",
            "/app.1234567.js",
            "/.js",
            "/é3f2c1d9.js",
        ] {
            assert!(!is_hashed(plain), "{plain}");
        }
    }
}
