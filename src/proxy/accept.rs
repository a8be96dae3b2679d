//! Listening, and what becomes of a connection that comes in.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request};
use hyper::{
    body::Incoming,
    rt::{Read, Write},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::{
    client::{Client, Verdict},
    idle::{begins_http2, next_head},
    link::BUFFER,
    request,
    snapshot::Shared,
    tcp,
    traffic::Counters,
    watched::Watched,
};
use crate::model::Listener;

/// A listener on one worker, and what its connections need to know.
pub(super) struct Place {
    pub shared: Arc<Shared>,
    pub listener: Listener,
    pub worker: usize,
    pub counters: Arc<Counters>,
    /// The worker's connections.
    pub tasks: TaskTracker,
    /// `X-Forwarded-Proto` and `X-Forwarded-Port`.
    pub proto: HeaderValue,
    pub port: HeaderValue,
    pub tls: Option<TlsAcceptor>,
}

impl Place {
    pub fn new(
        shared: &Arc<Shared>,
        listener: &Listener,
        worker: usize,
        tasks: &TaskTracker,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            listener: listener.clone(),
            worker,
            counters: shared.traffic.counters(listener),
            tasks: tasks.clone(),
            proto: HeaderValue::from_static(if listener.tls { "https" } else { "http" }),
            port: HeaderValue::from(listener.port),
            tls,
        }
    }
}

/// Takes connections until the proxy stops.
pub(super) async fn accept(listener: TcpListener, place: Arc<Place>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = place.shared.stopping.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                place.tasks.spawn(connection(stream, peer, Arc::clone(&place)));
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::warn!(port = place.listener.port, %error, "no connection can be taken");
                #[expect(
                    clippy::disallowed_methods,
                    reason = "no file descriptor is free: one may be soon"
                )]
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn is_of_the_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Serves one connection. Each kind is boxed, so that a task is as big as its kind needs and not as the biggest.
async fn connection(stream: TcpStream, peer: SocketAddr, place: Arc<Place>) {
    if place.tls.is_some() {
        Box::pin(encrypted(stream, peer, place)).await;
    } else if place.listener.tcp {
        let Ok(here) = stream.local_addr() else { return };
        Box::pin(tcp::serve(stream, (peer, here), place)).await;
    } else {
        let mut io = TokioIo::new(stream);
        let Some(early) = next_head(&mut io, &place).await else { return };
        let client = Client::new(&place, peer, begins_http2(&early));
        if client.is_http2() {
            Box::pin(http2(io, early, client)).await;
        } else {
            http1(io, early, client).await;
        }
    }
}

async fn encrypted(stream: TcpStream, peer: SocketAddr, place: Arc<Place>) {
    let Some(tls) = &place.tls else { return };
    let limit = place.shared.limits.handshake_time;
    let Ok(here) = stream.local_addr() else { return };
    let Ok(Ok(stream)) = Box::pin(timeout(limit, tls.accept(stream))).await else { return };
    if place.listener.tcp {
        Box::pin(tcp::serve(stream, (peer, here), place)).await;
    } else if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        let client = Client::new(&place, peer, true);
        Box::pin(http2(TokioIo::new(stream), Bytes::new(), client)).await;
    } else {
        let mut io = TokioIo::new(stream);
        if let Some(head) = next_head(&mut io, &place).await {
            http1(io, head, Client::new(&place, peer, false)).await;
        }
    }
}

/// Serves a connection of HTTP/1. hyper has it from the head of a request until no further one came for a while.
async fn http1<I>(mut io: I, mut early: Bytes, client: Arc<Client>)
where
    I: Read + Write + Unpin + Send + 'static,
{
    loop {
        let (watched, mut returned) = Watched::new(io, early, &client);
        if Box::pin(requests(watched, &client)).await == End::Over {
            return;
        }
        let Ok(back) = returned.try_recv() else { return };
        io = back;
        let Some(head) = next_head(&mut io, &client.place).await else { return };
        early = head;
        client.wakes();
    }
}

async fn requests<I>(io: Watched<I>, client: &Arc<Client>) -> End
where
    I: Read + Write + Unpin + Send + 'static,
{
    let service =
        service_fn(|request: Request<Incoming>| request::handle(Arc::clone(client), request));
    let connection = http1::Builder::new()
        .max_header_size(client.place.shared.limits.header_bytes)
        .max_buf_size(BUFFER)
        .header_read_timeout(None)
        .serve_connection(io, service)
        .with_upgrades();
    drive(pin!(connection), http1::UpgradeableConnection::graceful_shutdown, client).await
}

async fn http2<I>(io: I, early: Bytes, client: Arc<Client>)
where
    I: Read + Write + Unpin + Send + 'static,
{
    let (io, _) = Watched::new(io, early, &client);
    // Boxed: hyper moves it several times on its way into a task.
    let service = service_fn(|request: Request<Incoming>| {
        Box::pin(request::handle(Arc::clone(&client), request))
    });
    let header_bytes = client.place.shared.limits.header_bytes;
    let connection = http2::Builder::new(TokioExecutor::new())
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(128)
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20)
        .max_send_buf_size(BUFFER)
        .serve_connection(io, service);
    drive(pin!(connection), http2::Connection::graceful_shutdown, &client).await;
}

/// How it ended that hyper had a connection.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Over,
    /// The client may send another request, some time.
    Resting,
}

/// Serves a connection to its end or its rest. The end comes early when the proxy stops or the client takes too long.
async fn drive<C: Future>(
    mut connection: Pin<&mut C>,
    finish: impl Fn(Pin<&mut C>),
    client: &Client,
) -> End {
    let mut stopping = pin!(client.place.shared.stopping.cancelled());
    let turn = client.place.shared.limits.turn();
    let mut tick = pin!(tokio::time::sleep_until(Instant::now() + turn));
    let (mut listening, mut finishing) = (false, false);
    poll_fn(|cx: &mut Context<'_>| {
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Over);
        }
        if !listening {
            // Once is enough to be woken; whether it was that is told by the flag.
            listening = stopping.as_mut().poll(cx).is_pending();
        }
        let mut finish_now = !finishing && client.place.shared.stopped.load(Relaxed);
        while tick.as_mut().poll(cx).is_ready() {
            tick.as_mut().reset(Instant::now() + turn);
            match client.verdict() {
                Verdict::Rest if !finishing && !finish_now => return Poll::Ready(End::Resting),
                Verdict::Keep | Verdict::Rest => {}
                Verdict::Finish => finish_now = !finishing,
                Verdict::Drop => return Poll::Ready(End::Over),
            }
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Over);
            }
        }
        if finish_now {
            finishing = true;
            finish(connection.as_mut());
            return connection.as_mut().poll(cx).map(|_| End::Over);
        }
        Poll::Pending
    })
    .await
}
