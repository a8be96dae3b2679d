//! A connection to a service. It is driven by the request that uses it, in the request's own task, so that no answer
//! waits for another task to be woken.

use std::{
    fmt,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Body as _, Frame, Incoming},
    client::conn::{
        TrySendError,
        http1::{Builder, Connection, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::unconstrained};

use super::{exchange::BrokenOff, multiplexed::Multiplexed, target::Connected, upload::Upload};

/// The most that is read from a client or a service, or held for it, at once.
pub(super) const BUFFER: usize = 64 << 10;

/// A connection to one address of a service.
pub(super) struct Link {
    send: SendRequest<Upload>,
    connection: Connection<TokioIo<TcpStream>, Upload>,
    ended: bool,
}

/// A link that one request has for itself, or its part of one that it shares.
#[derive(Debug)]
pub(super) struct Lease {
    link: Option<Box<Link>>,
    shared: Option<Multiplexed>,
    replica: Connected,
    worker: usize,
    /// Whether the link has served a request before.
    pub reused: bool,
}

impl Link {
    pub async fn new(stream: TcpStream) -> Self {
        let handshake = Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(stream)).await;
        // hyper's HTTP/1 handshake exchanges nothing and has no way to fail.
        let (send, connection) = handshake.expect("an HTTP/1 connection needs no handshake");
        Self { send, connection, ended: false }
    }

    /// Lets the connection do what it can do now.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended && self.connection.poll_without_shutdown(cx).is_ready() {
            // An error reaches the answer or its body as well.
            self.ended = true;
        }
    }
}

impl Lease {
    pub fn new(link: Box<Link>, replica: Connected, worker: usize, reused: bool) -> Self {
        Self { link: Some(link), shared: None, replica, worker, reused }
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.replica.address
    }

    pub fn shared(link: Multiplexed, replica: Connected, worker: usize, reused: bool) -> Self {
        Self { link: None, shared: Some(link), replica, worker, reused }
    }

    /// Sends a request and waits for the head of its answer, at most until `expired` says so (asked whenever the task wakes).
    pub async fn send(
        &mut self,
        request: Request<Upload>,
        expired: impl Fn() -> bool,
    ) -> Result<Response<Incoming>, SendError> {
        if let Some(Multiplexed(send)) = &mut self.shared {
            let mut answer = pin!(send.try_send_request(request));
            return std::future::poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(result.map_err(|e| SendError::Failed(e.into()))),
                Poll::Pending if expired() => Poll::Ready(Err(SendError::Expired)),
                Poll::Pending => Poll::Pending,
            })
            .await;
        }
        let Some(link) = &mut self.link else { return Err(SendError::Lost) };
        // `unconstrained`: a pending answer must depend on the connection alone, which is what wakes the task.
        let mut answer = pin!(unconstrained(link.send.try_send_request(request)));
        std::future::poll_fn(|cx| {
            link.drive(cx);
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => Poll::Ready(result.map_err(|e| SendError::Failed(e.into()))),
                Poll::Pending if link.ended => Poll::Ready(Err(SendError::Lost)),
                Poll::Pending if expired() => Poll::Ready(Err(SendError::Expired)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// The next piece of an answer's body.
    pub fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if self.shared.is_some() {
            let frame = Pin::new(body).poll_frame(cx);
            return frame.map(|frame| frame.map(|frame| frame.map_err(|e| BrokenOff(Some(e)))));
        }
        let mut frame = poll_frame(body);
        let ended = self.link.as_mut().is_none_or(|link| {
            if frame.is_pending() {
                link.drive(cx);
                frame = poll_frame(body);
            }
            link.ended
        });
        match frame {
            Poll::Ready(frame) => {
                Poll::Ready(frame.map(|frame| frame.map_err(|error| BrokenOff(Some(error)))))
            }
            Poll::Pending if ended => Poll::Ready(Some(Err(BrokenOff(None)))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Says that the request does not end by itself.
    pub fn stays(&mut self) {
        self.replica.stays();
    }

    /// Keeps the link for the next request, if it can take one.
    pub fn give_back(&mut self, now: u64, cx: &mut Context<'_>) {
        if let Some(mut link) = self.link.take() {
            if !link.send.is_ready() {
                link.drive(cx);
            }
            if !link.ended && link.send.is_ready() {
                self.replica.keep(self.worker, link, now);
            }
        }
    }

    /// The bare connection, after an answer 101, and what has been read from it already.
    pub async fn into_stream(mut self) -> Option<(TcpStream, Bytes, Self)> {
        let mut link = self.link.take()?;
        std::future::poll_fn(|cx| {
            link.drive(cx);
            if link.ended { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let parts = link.connection.into_parts();
        Some((parts.io.into_inner(), parts.read_buf, self))
    }
}

/// What there is of a body without waiting. Nothing is woken: the link is driven first, and it is what wakes.
fn poll_frame(body: &mut Incoming) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
    let mut next = unconstrained(std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)));
    Pin::new(&mut next).poll(&mut Context::from_waker(Waker::noop()))
}

/// Why there is no answer to a request that was sent, or was going to be.
pub(super) enum SendError {
    Failed(Box<TrySendError<Request<Upload>>>),
    /// The connection has ended without a word.
    Lost,
    Expired,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("ended", &self.ended).finish_non_exhaustive()
    }
}
