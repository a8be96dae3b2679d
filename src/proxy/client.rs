//! A client's connection: who it is, and whether it still does something.

use std::{
    cell::RefCell,
    io::IoSlice,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use http::HeaderValue;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

use super::{accept::Place, framing::Framing, link::BUFFER};

/// One client's connection on one listener.
pub(super) struct Client {
    pub place: Arc<Place>,
    /// The client's address, as `X-Forwarded-For` has it.
    pub address: HeaderValue,
    /// Requests without a complete answer.
    active: AtomicU32,
    /// Whether the head of a request has begun (HTTP/1 only).
    head: AtomicBool,
    /// When one of the above changed last.
    changed: AtomicU64,
    /// When a byte moved last, either way.
    moved: AtomicU64,
    wants_body: AtomicBool,
    wants_write: AtomicBool,
    /// Requests that were begun, and the one of them that must be refused.
    begun: AtomicU64,
    refused: AtomicU64,
    http2: bool,
}

/// What is to be done with a client's connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// Nothing is asked of it, and nothing has been for long.
    Finish,
    /// It takes too long over what it owes.
    Drop,
}

impl Client {
    pub fn new(place: &Arc<Place>, peer: SocketAddr, http2: bool) -> Arc<Self> {
        let address = HeaderValue::try_from(peer.ip().to_canonical().to_string());
        Arc::new(Self {
            place: Arc::clone(place),
            address: address.unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            active: AtomicU32::default(),
            head: AtomicBool::default(),
            changed: AtomicU64::new(place.shared.clock.now()),
            moved: AtomicU64::new(place.shared.clock.now()),
            wants_body: AtomicBool::default(),
            wants_write: AtomicBool::default(),
            begun: AtomicU64::default(),
            refused: AtomicU64::default(),
            http2,
        })
    }

    pub fn is_http2(&self) -> bool {
        self.http2
    }

    /// Counts a request as active until the result is dropped.
    pub fn begin(self: &Arc<Self>) -> Active {
        self.active.fetch_add(1, Relaxed);
        self.head.store(false, Relaxed);
        self.begun.fetch_add(1, Relaxed);
        Active { client: Arc::clone(self) }
    }

    /// Whether the request that was begun last could be read in two ways.
    pub fn is_ambiguous(&self) -> bool {
        !self.http2 && self.refused.load(Relaxed) == self.begun.load(Relaxed)
    }

    pub fn wants_body(&self, wants: bool) {
        self.wants_body.store(wants, Relaxed);
    }

    pub fn verdict(&self) -> Verdict {
        let limits = &self.place.shared.limits;
        let since = |then: &AtomicU64| self.place.shared.clock.since(then.load(Relaxed));
        if self.active.load(Relaxed) > 0 {
            let waits = self.wants_body.load(Relaxed) || self.wants_write.load(Relaxed);
            let stalls = waits && since(&self.moved) > limits.stall_time;
            return if stalls { Verdict::Drop } else { Verdict::Keep };
        }
        if self.head.load(Relaxed) {
            let slow = since(&self.changed) > limits.header_time;
            return if slow { Verdict::Drop } else { Verdict::Keep };
        }
        if since(&self.changed) > limits.idle_time { Verdict::Finish } else { Verdict::Keep }
    }

    fn now(&self) -> u64 {
        self.place.shared.clock.now()
    }

    fn read(&self) {
        let now = self.now();
        self.moved.store(now, Relaxed);
        if !self.http2 && self.active.load(Relaxed) == 0 && !self.head.swap(true, Relaxed) {
            self.changed.store(now, Relaxed);
        }
    }

    fn wrote(&self, done: bool) {
        self.wants_write.store(!done, Relaxed);
        if done {
            self.moved.store(self.now(), Relaxed);
        }
    }
}

/// A request without a complete answer.
pub(super) struct Active {
    pub client: Arc<Client>,
}

impl Drop for Active {
    fn drop(&mut self) {
        self.client.changed.store(self.client.now(), Relaxed);
        self.client.active.fetch_sub(1, Relaxed);
    }
}

/// A client's byte stream, which notes when something moves on it.
pub(super) struct Watched<I> {
    io: I,
    client: Arc<Client>,
    framing: Option<Framing>,
}

thread_local! {
    /// Where bytes are looked at before they are passed on.
    static LOOK: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into_boxed_slice());
}

impl<I> Watched<I> {
    pub fn new(io: I, client: &Arc<Client>) -> Self {
        let framing = (!client.http2).then(Framing::default);
        Self { io, client: Arc::clone(client), framing }
    }
}

impl<I: Read + Unpin> Watched<I> {
    /// Reads and follows the framing. What is looked at is copied once more; only heads and uploads pay for it.
    fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        LOOK.with_borrow_mut(|look| {
            let room = buf.remaining().min(look.len());
            let mut read = ReadBuf::new(&mut look[..room]);
            let result = Pin::new(&mut self.io).poll_read(cx, read.unfilled());
            if let (Poll::Ready(Ok(())), Some(framing)) = (&result, &mut self.framing) {
                if let Some(head) = framing.read(read.filled()) {
                    self.client.refused.store(head, Relaxed);
                }
                if !framing.follows() {
                    self.framing = None;
                }
                buf.put_slice(read.filled());
            }
            result
        })
    }
}

impl<I: Read + Unpin> Read for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let result = if self.framing.is_some() {
            self.poll_look(cx, buf)
        } else {
            Pin::new(&mut self.io).poll_read(cx, buf)
        };
        if result.is_ready() {
            self.client.read();
        }
        result
    }
}

impl<I: Write + Unpin> Write for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        self.client.wrote(result.is_ready());
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.client.wrote(result.is_ready());
        result
    }
}
