//! Asks the replicas of routes that want it whether they serve, and takes those out that do not.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpStream,
    time::{sleep_until, timeout},
};

use super::{
    snapshot::Shared,
    target::{Replica, Target},
};
use crate::model::{Probe, Protocol};

/// How long the watch sleeps when no route wants it.
const IDLE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);

/// Asks each replica in its route's interval, until the proxy stops.
pub(super) async fn watch(shared: Arc<Shared>) {
    loop {
        let mut next = Instant::now() + IDLE;
        for target in shared.snapshot.load().targets() {
            let Some(probe) = &target.spec.health else { continue };
            let interval = Duration::from_millis(probe.interval_ms);
            if let Some(due) = target.due(interval) {
                next = next.min(due);
            } else {
                next = next.min(Instant::now() + interval);
                tokio::spawn(ask(Arc::clone(&shared), Arc::clone(target)));
            }
        }
        tokio::select! {
            () = sleep_until(next.into()) => {}
            () = shared.stopping.cancelled() => return,
        }
    }
}

/// Asks all replicas of a target once.
async fn ask(shared: Arc<Shared>, target: Arc<Target>) {
    let Some(probe) = &target.spec.health else { return };
    // A target that no request has come to yet has no addresses yet.
    let _ = target.look_up(&shared).await;
    let limit = Duration::from_millis(probe.interval_ms).clamp(shared.limits.health_time, LONGEST);
    let ask = async |replica: &Arc<Replica>| {
        let result = check(&target, replica.address, limit).await;
        if replica.checked(result.is_ok(), probe.threshold) {
            let (name, address) = (target.name(), replica.address);
            match result {
                Ok(()) => tracing::info!(name, %address, "answers again"),
                Err(reason) => tracing::warn!(name, %address, reason, "gets no requests"),
            }
        }
    };
    futures_util::future::join_all(target.replicas().iter().map(ask)).await;
}

/// Whether an address serves now: by the route's health path, else by taking a connection.
pub(super) async fn check(
    target: &Target,
    address: SocketAddr,
    limit: Duration,
) -> Result<(), String> {
    let asked = timeout(limit, async {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        match &target.spec.health {
            Some(Probe { path: Some(path), .. }) => get(target, stream, path).await,
            _ => Ok(()),
        }
    });
    asked.await.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
}

async fn get(target: &Target, stream: TcpStream, path: &str) -> Result<(), String> {
    let words = |error: hyper::Error| error.to_string();
    let request = Request::get(path).header(header::USER_AGENT, "envctl");
    let request = match target.spec.protocol {
        Protocol::Http1 => request.header(header::HOST, target.name()),
        Protocol::H2c => request.uri(format!("http://{}{path}", target.name())),
    };
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let io = TokioIo::new(stream);
    let status = match target.spec.protocol {
        Protocol::Http1 => {
            let (mut send, connection) = http1::handshake(io).await.map_err(words)?;
            tokio::select! {
                answer = send.send_request(request) => answer.map_err(words)?.status(),
                _ = connection => return Err("closed before it answered".to_owned()),
            }
        }
        Protocol::H2c => {
            let handshake = http2::handshake(TokioExecutor::new(), io);
            let (mut send, connection) = handshake.await.map_err(words)?;
            tokio::select! {
                answer = send.send_request(request) => answer.map_err(words)?.status(),
                _ = connection => return Err("closed before it answered".to_owned()),
            }
        }
    };
    if (StatusCode::OK..StatusCode::BAD_REQUEST).contains(&status) {
        Ok(())
    } else {
        Err(format!("{path} is answered with {}", status.as_u16()))
    }
}
