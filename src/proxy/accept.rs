//! Listening, and what becomes of a connection that comes in.

use std::{
    future::Future,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_util::task::TaskTracker;

use super::{
    client::{Client, Verdict, Watched},
    link::BUFFER,
    request,
    snapshot::Shared,
    tcp,
};
use crate::model::Listener;

/// A listener on one worker, and what its connections need to know.
#[derive(Debug)]
pub(super) struct Place {
    pub shared: Arc<Shared>,
    pub listener: Listener,
    pub worker: usize,
    /// The worker's connections.
    pub tasks: TaskTracker,
    /// `X-Forwarded-Proto` and `X-Forwarded-Port`.
    pub proto: HeaderValue,
    pub port: HeaderValue,
}

/// How often a connection's times are looked at.
const TICK: Duration = Duration::from_secs(5);

impl Place {
    pub fn new(
        shared: &Arc<Shared>,
        listener: &Listener,
        worker: usize,
        tasks: &TaskTracker,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            listener: listener.clone(),
            worker,
            tasks: tasks.clone(),
            proto: HeaderValue::from_static(if listener.tls { "https" } else { "http" }),
            port: HeaderValue::from(listener.port),
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
                let _ = stream.set_nodelay(true);
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

async fn connection(stream: TcpStream, peer: SocketAddr, place: Arc<Place>) {
    if place.listener.tcp {
        tcp::serve(stream, place).await;
    } else {
        http1(stream, Client::new(&place, peer, false)).await;
    }
}

async fn http1<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: I, client: Arc<Client>) {
    let io = Watched { io: TokioIo::new(io), client: Arc::clone(&client) };
    let service = service_fn(|request: Request<Incoming>| {
        let answer = request::handle(Arc::clone(&client), request);
        async { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .max_header_size(client.place.shared.limits.header_bytes)
        .max_buf_size(BUFFER)
        .header_read_timeout(None)
        .serve_connection(io, service)
        .with_upgrades();
    drive(pin!(connection), |connection| connection.graceful_shutdown(), &client).await;
}

/// Serves a connection to its end, which comes early when the proxy stops or the client takes too long.
async fn drive<C: Future>(
    mut connection: Pin<&mut C>,
    finish: impl Fn(Pin<&mut C>),
    client: &Client,
) {
    let mut stopping = pin!(client.place.shared.stopping.cancelled());
    let mut tick = pin!(tokio::time::sleep_until(Instant::now() + TICK));
    let mut finishing = false;
    std::future::poll_fn(|cx: &mut Context<'_>| {
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut finish_now = !finishing && stopping.as_mut().poll(cx).is_ready();
        while tick.as_mut().poll(cx).is_ready() {
            tick.as_mut().reset(Instant::now() + TICK);
            match client.verdict() {
                Verdict::Keep => {}
                Verdict::Finish => finish_now = !finishing,
                Verdict::Drop => return Poll::Ready(()),
            }
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        if finish_now {
            finishing = true;
            finish(connection.as_mut());
            return connection.as_mut().poll(cx).map(|_| ());
        }
        Poll::Pending
    })
    .await;
}
