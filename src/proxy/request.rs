//! One request: the way it takes, the exchange with the service, the answer.

use std::{convert::Infallible, sync::Arc, task::Poll, time::Duration};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header,
    request::Parts,
    uri::{PathAndQuery, Scheme},
};
use hyper::{
    body::{Body as _, Incoming},
    upgrade::OnUpgrade,
};
use tokio::time::{Instant, interval_at};

use super::{
    assets,
    client::{Active, Client},
    exchange::{Answer, Held, Transfer},
    headers,
    link::SendError,
    load::Kind,
    page::{self, Page},
    snapshot::{Choice, NoWay, Way},
    target::Target,
    tunnel,
    upload::{Upload, UploadError},
};
use crate::model::{Color, Protocol};

/// Answers one request; whatever goes wrong is an answer too.
pub(super) async fn handle(
    client: Arc<Client>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    Ok(answer(client, request).await)
}

async fn answer(client: Arc<Client>, mut request: Request<Incoming>) -> Response<Answer> {
    let mut active = client.begin();
    active.follow(&request);
    let html = page::wants_html(request.headers());
    if client.is_ambiguous() {
        let words = "the request could be read in two ways";
        return Page::refused(StatusCode::BAD_REQUEST, words).answer(html, None, active);
    }
    if let Err(page) = check(&mut request) {
        return page.answer(html, None, active);
    }
    let shared = &client.place.shared;
    if shared.gate.is_shut() && client.place.listener.color.is_none() {
        // Boxed: what is rare must not make every request bigger.
        if let Err(closed) = Box::pin(shared.gate.pass()).await {
            return closed.answer(html, active);
        }
    }
    let (listener, headers) = (&client.place.listener, request.headers());
    let mut way = match shared.way(listener, request.uri().path(), headers, Kind::Request) {
        Ok(way) => way,
        Err(why) => {
            let mut answer = Page::no_way(&why).answer(html, None, active);
            if let NoWay::Redirect { port } = why
                && let Some(location) = secure(&request, port)
            {
                answer.headers_mut().insert(header::LOCATION, location);
            }
            return answer;
        }
    };
    let color = way.color;
    active.goes_to(color);
    if way.target.spec.limits.body.is_some_and(|most| request.body().size_hint().lower() > most) {
        return too_long().answer(html, Some(color), active);
    }
    // A connection of HTTP/2 carries other requests too, so the time of an upload cannot be told from its bytes.
    let times = if client.is_http2() && !request.body().is_end_stream() { 12 } else { 1 };
    let limit = way.target.answer_time(&shared.limits) * times;
    let own = way.target.spec.limits.response_ms.is_some();
    let choice = way.choice.take();
    if let Some(name) = choice.as_ref().and_then(|choice| choice.header.as_ref()) {
        // The service answers a tester as it will answer everybody.
        request.headers_mut().remove(name);
    }
    let result = if own || client.is_http2() {
        // Boxed: what few need must not make every request bigger.
        Box::pin(waking(limit / 4, exchange(&client, request, way, active, limit))).await
    } else {
        // A request of HTTP/1 is polled whenever its connection is, which is often enough to see its time pass.
        exchange(&client, request, way, active, limit).await
    };
    match result {
        Ok(mut response) => {
            if let Some(choice) = choice {
                mark(response.headers_mut(), *choice);
            }
            response
        }
        Err((page, active)) => page.answer(html, Some(color), active),
    }
}

/// Tells the client, and caches, that the color was chosen. Not with a page of the proxy's own: who met a service that is
/// not there may draw again.
#[cold]
fn mark(headers: &mut HeaderMap, choice: Choice) {
    if let Some(vary) = choice.vary {
        headers.append(header::VARY, vary);
    }
    if choice.asked {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    } else if let Some(cookie) = choice.cookie {
        headers.append(header::SET_COOKIE, cookie);
        // It is of this client: no cache may show it to others.
        headers.append(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    }
}

/// Polls a future often enough for it to see its time pass.
async fn waking<F: Future>(every: Duration, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let every = every.max(Duration::from_millis(10));
    let mut turn = interval_at(Instant::now() + every, every);
    loop {
        tokio::select! {
            output = &mut future => return output,
            _ = turn.tick() => {}
        }
    }
}

/// The same address over HTTPS.
fn secure(request: &Request<Incoming>, port: u16) -> Option<HeaderValue> {
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let end = if host.starts_with('[') {
        host.find(']')? + 1
    } else {
        host.find(':').unwrap_or(host.len())
    };
    let name = &host[..end];
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    HeaderValue::try_from(format!("https://{name}{port}{path}")).ok()
}

fn too_long() -> Page {
    Page::refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than this route allows")
}

/// Refuses what must not be passed on.
fn check(request: &mut Request<Incoming>) -> Result<(), Page> {
    let bad = |words: &str| Page::refused(StatusCode::BAD_REQUEST, words);
    let method = request.method();
    if *method == Method::CONNECT || *method == Method::TRACE {
        let words = format!("this is no proxy for {method}");
        return Err(Page::refused(StatusCode::METHOD_NOT_ALLOWED, &words));
    }
    let uri = request.uri();
    let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let is_server = path == "*" && *method == Method::OPTIONS;
    if !path.starts_with('/') && !is_server {
        return Err(bad("the request's target is no path"));
    }
    if !request.body().is_end_stream() {
        check_body(request)?;
    }
    let authority = match (uri.scheme(), uri.authority()) {
        (_, None) => None,
        (Some(scheme), Some(authority)) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => {
            Some(authority.as_str().to_owned())
        }
        _ => return Err(bad("the request's target is no path")),
    };
    let (old, http2) = (request.version() < Version::HTTP_11, request.version() > Version::HTTP_11);
    let headers = request.headers_mut();
    let mut hosts = headers.get_all(header::HOST).iter();
    let (host, more) = (hosts.next(), hosts.next().is_some());
    if more || host.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(bad("the Host header is not one host"));
    }
    if let Some(authority) = authority {
        if http2
            && host.is_some_and(|host| !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()))
        {
            return Err(bad("the Host header is not the request's authority"));
        }
        if !is_host(authority.as_bytes()) {
            return Err(bad("the request has no valid host"));
        }
        // RFC 9112, 3.2.2: the absolute form counts, whatever Host says.
        let host =
            HeaderValue::from_str(&authority).map_err(|_| bad("the request has no valid host"))?;
        headers.insert(header::HOST, host);
    } else if host.is_none() && !old {
        return Err(bad("the request has no Host header"));
    }
    Ok(())
}

/// Refuses a body that would reach the service other than it was meant.
fn check_body(request: &Request<Incoming>) -> Result<(), Page> {
    let headers = request.headers();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !codings.next().is_none_or(chunked) || codings.next().is_some() {
        let words = "a body can be chunked and nothing else";
        return Err(Page::refused(StatusCode::NOT_IMPLEMENTED, words));
    }
    let expected = headers.get(header::EXPECT);
    if expected.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Page::refused(StatusCode::EXPECTATION_FAILED, "nothing else can be expected"));
    }
    Ok(())
}

/// Whether this is one host, with or without a port (RFC 3986, 3.2.2).
pub(super) fn is_host(text: &[u8]) -> bool {
    let is_port = |port: &[u8]| {
        port.is_empty()
            || (port.iter().all(u8::is_ascii_digit)
                && str::from_utf8(port).is_ok_and(|port| port.parse::<u16>().is_ok()))
    };
    let (name, port) = if let Some(rest) = text.strip_prefix(b"[") {
        let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
        let (name, after) = (&rest[..end], &rest[end + 1..]);
        if !name.iter().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(byte)) {
            return false;
        }
        match after.split_first() {
            None => (name, &b""[..]),
            Some((b':', port)) => (name, port),
            Some(_) => return false,
        }
    } else {
        let end = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
        let name = &text[..end];
        if !name.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(b)) {
            return false;
        }
        (name, text.get(end + 1..).unwrap_or_default())
    };
    (1..=255).contains(&name.len()) && is_port(port)
}

/// Whether the request may be sent a second time when nobody knows what became of the first.
fn is_repeatable(request: &Request<Upload>) -> bool {
    matches!(*request.body(), Upload::Nothing) && request.method().is_safe()
}

/// Another copy of a request without a body.
fn copy(request: &Request<Upload>) -> Request<Upload> {
    let mut copy = Request::new(Upload::Nothing);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

fn too_slow(name: &str) -> String {
    format!("{name} did not answer in time")
}

type Failed = (Page, Active);

async fn exchange(
    client: &Arc<Client>,
    request: Request<Incoming>,
    way: Way,
    mut active: Active,
    limit: Duration,
) -> Result<Response<Answer>, Failed> {
    let Way { mut color, mut target, mut open, strip, asked, .. } = way;
    // Who asked for a color gets what that has.
    let asset =
        if target.spec.shared_assets && !asked { assets::copy(client, &request) } else { None };
    let (mut request, upgrade) = prepare(client, request, &target, strip);
    active.sends(request.headers());
    let place = &client.place;
    let clock = &place.shared.clock;
    let began = clock.now();
    // From the last byte that moved: an upload may take longer than an answer.
    let moved = || if client.is_http2() { began } else { began.max(client.moved()) };
    let expired = || clock.since(moved()) > limit;

    // What cannot be sent twice never goes over a connection that its other end may be closing right now.
    let mut reuse = upgrade.is_none() && is_repeatable(&request);
    let mut again = true;
    let (mut lease, mut response) = loop {
        let mut lease = match target.lease(&place.shared, place.worker, reuse).await {
            Ok(lease) => lease,
            Err(why) => return Err((Page::unreachable(&target, &why), active)),
        };
        active.sent_to(lease.address());
        let spare = (lease.reused && is_repeatable(&request)).then(|| copy(&request));
        let error = match lease.send(request, expired).await {
            Ok(response) => break (lease, response),
            Err(SendError::Expired) => {
                let page = Page::new(StatusCode::GATEWAY_TIMEOUT, too_slow(&target.name()));
                return Err((page, active));
            }
            Err(SendError::Lost) => None,
            Err(SendError::Failed(failed)) => Some(failed),
        };
        let (error, unsent) = match error {
            Some(mut failed) => {
                let unsent = failed.take_message();
                (Some(failed.into_error()), unsent)
            }
            None => (None, None),
        };
        match unsent.or(spare) {
            Some(same) if lease.reused || again => {
                // A kept connection that had ended tells nothing about the service; a fresh one that ended does, once.
                again = again && lease.reused;
                request = same;
                reuse = false;
            }
            _ => return Err((failure(&target.name(), error.as_ref()), active)),
        }
    };
    if response.status() == StatusCode::NOT_FOUND
        && let Some(asset) = asset
        && let Some(other) = Box::pin(assets::ask_other(client, *asset, color, &mut active)).await
    {
        let way;
        (way, lease, response) = other;
        Way { color, target, open, .. } = way;
    }
    let held = Held { idle: target.idle_time(), lease, open, active };
    respond(client, response, upgrade, (color, held)).await
}

/// Makes a request fit for the service.
fn prepare(
    client: &Arc<Client>,
    mut request: Request<Incoming>,
    target: &Target,
    strip: usize,
) -> (Request<Upload>, Option<OnUpgrade>) {
    let h2c = target.spec.protocol == Protocol::H2c;
    let wanted = request.headers().get(header::UPGRADE);
    let upgrade = match wanted {
        // An upgrade to HTTP/2 would be the way around all that is checked here.
        Some(protocol) if !h2c && !headers::contains(protocol, b"h2c") => {
            request.extensions_mut().remove::<OnUpgrade>()
        }
        _ => None,
    };
    let (parts, incoming) = request.into_parts();
    // Streams of gRPC may be silent for long.
    let body = Upload::new(incoming, (!h2c).then_some(client), target.spec.limits.body);
    (fit(client, parts, body, upgrade.is_some(), target, strip), upgrade)
}

/// The head that the service gets. `upgrade`: its `Upgrade` is to be passed on.
pub(super) fn fit(
    client: &Client,
    mut parts: Parts,
    body: Upload,
    upgrade: bool,
    target: &Target,
    strip: usize,
) -> Request<Upload> {
    let h2c = target.spec.protocol == Protocol::H2c;
    let has_body = !matches!(body, Upload::Nothing);
    parts.extensions.clear();
    parts.version = Version::HTTP_11;
    headers::to_service(&mut parts.headers, client, target, upgrade, has_body);
    headers::origin_form(&mut parts.uri, &mut parts.headers, strip);
    if h2c {
        headers::to_http2(&mut parts, target);
    } else if client.is_http2() && has_body && !parts.headers.contains_key(header::CONTENT_LENGTH) {
        parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    Request::from_parts(parts, body)
}

async fn respond(
    client: &Arc<Client>,
    response: Response<Incoming>,
    upgrade: Option<OnUpgrade>,
    (color, mut held): (Color, Held),
) -> Result<Response<Answer>, Failed> {
    let (mut parts, incoming) = response.into_parts();
    parts.version = if client.is_http2() { Version::HTTP_2 } else { Version::HTTP_11 };
    parts.extensions.clear();
    held.active.answered(parts.status);
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        let Some(upgrade) = upgrade else {
            let words = "the service changed the protocol unasked";
            return Err((Page::new(StatusCode::BAD_GATEWAY, words), held.active));
        };
        headers::to_client(&mut parts.headers, true);
        parts.headers.insert(page::COLOR, page::color_value(color));
        let Held { mut lease, mut open, active, .. } = held;
        let end = open.stays(Kind::WebSocket);
        lease.stays();
        client.place.tasks.spawn(tunnel::websocket(upgrade, lease, open, end));
        return Ok(Response::from_parts(parts, Answer::Page { text: None, _active: active }));
    }
    headers::to_client(&mut parts.headers, false);
    parts.headers.insert(page::COLOR, page::color_value(color));
    if upgrade.is_some() {
        // Where this request ends was not followed.
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let events = parts.headers.get(header::CONTENT_TYPE).is_some_and(is_event_stream);
    let end = events.then(|| {
        held.lease.stays();
        held.open.stays(Kind::Stream).cancelled_owned()
    });
    let mut held = Some(held);
    let mut incoming = Some(incoming);
    let mut end = end;
    let answer = std::future::poll_fn(|cx| {
        let (Some(incoming), Some(held)) = (incoming.take(), held.take()) else {
            return Poll::Pending;
        };
        Poll::Ready(Answer::Service(Transfer::new(incoming, held, end.take(), cx)))
    });
    Ok(Response::from_parts(parts, answer.await))
}

fn is_event_stream(kind: &HeaderValue) -> bool {
    let wanted = b"text/event-stream";
    kind.as_bytes().get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted))
}

fn is_too_long(error: &hyper::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(UploadError::TooLong) = error.downcast_ref() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What to tell about a request that got no answer.
fn failure(name: &str, error: Option<&hyper::Error>) -> Page {
    match error {
        Some(error) if is_too_long(error) => too_long(),
        Some(error) if error.is_user() => Page::refused(
            StatusCode::BAD_REQUEST,
            "the request's body is not what its head announced",
        ),
        Some(error) if error.is_parse() => {
            let words = format!("{name} sent an answer that is not HTTP: {error}");
            Page::new(StatusCode::BAD_GATEWAY, words)
        }
        _ => {
            let words = format!("{name} closed the connection before it answered");
            Page::new(StatusCode::BAD_GATEWAY, words)
        }
    }
}
