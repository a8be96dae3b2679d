//! `/metrics`: what is counted, in Prometheus' text format, on a port of its own.

use std::{convert::Infallible, fmt::Write as _, sync::Arc, sync::atomic::Ordering::Relaxed};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, time::timeout};

use super::{
    snapshot::Shared,
    traffic::{BOUNDS, CODES},
};
use crate::model::Color;

const KIND: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Answers scrapes until the proxy stops, one for each connection.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stopping.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let limit = shared.limits.header_time;
            let service = service_fn(|request| {
                let answer = answer(&request, &shared);
                async { Ok::<_, Infallible>(answer) }
            });
            let mut server = http1::Builder::new();
            server.keep_alive(false).header_read_timeout(None);
            let _ = timeout(limit, server.serve_connection(TokioIo::new(stream), service)).await;
        });
    }
}

fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let text = if is_read && request.uri().path() == "/metrics" { text(shared) } else { None };
    let mut response = Response::new(Full::default());
    if let Some(text) = text {
        response.headers_mut().insert(header::CONTENT_TYPE, KIND);
        *response.body_mut() = Full::from(text);
    } else {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

/// All there is to know.
fn text(shared: &Shared) -> Option<String> {
    let mut out = String::with_capacity(16 << 10);
    requests(&mut out, shared).and_then(|()| state(&mut out, shared)).ok().map(|()| out)
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn requests(out: &mut String, shared: &Shared) -> std::fmt::Result {
    let sums: Vec<_> = shared
        .traffic
        .sums()
        .into_iter()
        .filter(|(listener, color, _)| {
            !listener.tcp && (listener.color.is_none() || listener.color == *color)
        })
        .map(|(listener, color, sum)| {
            let preview = listener.color.is_some();
            let color = color.map_or("", Color::as_str);
            (format!("route=\"{}\",preview=\"{preview}\",color=\"{color}\"", listener.route), sum)
        })
        .collect();
    head(out, "envctl_requests_total", "counter", "Requests by route, color and class of answer.")?;
    for (labels, sum) in &sums {
        for (code, number) in CODES.iter().zip(sum.codes) {
            if number > 0 {
                writeln!(out, "envctl_requests_total{{{labels},code=\"{code}\"}} {number}")?;
            }
        }
    }
    let name = "envctl_response_seconds";
    head(out, name, "histogram", "Time from the head of a request to the head of its answer.")?;
    for (labels, sum) in &sums {
        let all: u64 = sum.times.iter().sum();
        if all == 0 {
            continue;
        }
        let mut so_far = 0;
        for (bound, number) in BOUNDS.iter().zip(sum.times) {
            so_far += number;
            let bound = f64::from(*bound) / 1000.0;
            writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {so_far}")?;
        }
        let (seconds, rest) = (sum.microseconds / 1_000_000, sum.microseconds % 1_000_000);
        writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {all}")?;
        writeln!(out, "{name}_sum{{{labels}}} {seconds}.{rest:06}")?;
        writeln!(out, "{name}_count{{{labels}}} {all}")?;
    }
    Ok(())
}

fn state(out: &mut String, shared: &Shared) -> std::fmt::Result {
    head(out, "envctl_open", "gauge", "What is open on a color now, by kind.")?;
    for color in Color::ALL {
        let open = shared.load(color).all();
        for (kind, number) in [
            ("request", open.requests),
            ("websocket", open.websockets),
            ("stream", open.streams),
            ("tcp", open.tcp),
        ] {
            writeln!(out, "envctl_open{{color=\"{color}\",kind=\"{kind}\"}} {number}")?;
        }
    }
    let snapshot = shared.snapshot.load();
    head(out, "envctl_live", "gauge", "Whether the color gets the traffic.")?;
    for color in Color::ALL {
        let live = u8::from(snapshot.live == Some(color));
        writeln!(out, "envctl_live{{color=\"{color}\"}} {live}")?;
    }
    head(out, "envctl_share", "gauge", "The color's part of new clients, from 0 to 1.")?;
    for color in Color::ALL {
        let taken = snapshot.share.as_ref().map_or(0, |share| share.weight);
        let weight = match &snapshot.share {
            Some(share) if share.to == color => taken,
            _ if snapshot.live == Some(color) => 100 - taken,
            _ => 0,
        };
        writeln!(out, "envctl_share{{color=\"{color}\"}} {}", f64::from(weight) / 100.0)?;
    }
    head(out, "envctl_switches_total", "counter", "Switches since the proxy began.")?;
    writeln!(out, "envctl_switches_total {}", shared.traffic.switches.load(Relaxed))?;
    if let Some(log) = &shared.traffic.log {
        let name = "envctl_access_lines_dropped_total";
        head(out, name, "counter", "Lines that the access log was too slow for.")?;
        writeln!(out, "{name} {}", log.dropped())?;
    }
    let mut targets: Vec<_> = snapshot.targets().collect();
    targets.sort_unstable_by_key(|target| target.name());
    targets.dedup_by_key(|target| target.name());
    let failures = "envctl_upstream_failures_total";
    head(out, failures, "counter", "Connections that a service did not accept, by release.")?;
    for target in &targets {
        let (name, number) = (target.name(), target.failures.load(Relaxed));
        writeln!(out, "{failures}{{service=\"{name}\"}} {number}")?;
    }
    head(out, "envctl_upstream_healthy", "gauge", "Whether a replica gets requests.")?;
    for target in &targets {
        for replica in target.replicas() {
            let (name, address) = (target.name(), replica.address);
            let healthy = u8::from(!replica.is_out());
            let labels = format!("service=\"{name}\",address=\"{address}\"");
            writeln!(out, "envctl_upstream_healthy{{{labels}}} {healthy}")?;
        }
    }
    Ok(())
}
