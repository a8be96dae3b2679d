//! A client's byte stream: follows its requests, notes when something moves, and closes so that the last words arrive.

use std::{
    cell::RefCell,
    io::IoSlice,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::{sync::oneshot, time::Sleep};

use super::{client::Client, framing::Framing, link::BUFFER};

/// How long a client that still sends is listened to after the last answer. To close at once would reset the
/// connection, and the answer might be lost with it.
pub(super) const LINGER: Duration = Duration::from_secs(3);

/// A client's byte stream on its way to hyper.
pub(super) struct Watched<I: Read + Write + Unpin> {
    /// Taken when this is dropped.
    io: Option<I>,
    /// What has been read already.
    early: Bytes,
    /// Gets the stream when hyper lets go of it.
    back: Option<oneshot::Sender<I>>,
    client: Arc<Client>,
    framing: Option<Framing>,
    /// Whether what came last was no HTTP.
    lost: bool,
    closing: Closing,
}

#[derive(Default)]
enum Closing {
    #[default]
    Open,
    /// The client has been told the end, and may still send.
    Lingering(Pin<Box<Sleep>>),
    Done,
}

thread_local! {
    /// Where bytes are looked at before they are passed on.
    pub(super) static LOOK: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into_boxed_slice());
}

impl<I: Read + Write + Unpin> Watched<I> {
    /// Watches a stream of which some bytes have been read; it comes back through the receiver.
    pub fn new(io: I, early: Bytes, client: &Arc<Client>) -> (Self, oneshot::Receiver<I>) {
        let (back, returned) = oneshot::channel();
        let watched = Self {
            io: Some(io),
            early,
            back: Some(back),
            client: Arc::clone(client),
            framing: (!client.is_http2()).then(Framing::default),
            lost: false,
            closing: Closing::Open,
        };
        (watched, returned)
    }

    fn io(&mut self) -> Pin<&mut I> {
        Pin::new(self.io.as_mut().expect("the stream is there until the drop"))
    }

    /// Whether the client may be in the middle of a request.
    fn still_sends(&self) -> bool {
        match &self.framing {
            Some(framing) => framing.is_within(),
            None => self.lost || self.client.is_refused(),
        }
    }

    /// Reads on, for nothing, until the client ends or has had its time.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Closing::Lingering(time) = &mut self.closing else { return Poll::Ready(()) };
        if time.as_mut().poll(cx).is_pending() {
            let more = LOOK.with_borrow_mut(|look| {
                let mut read = ReadBuf::new(look);
                let result = ready!(self.io().poll_read(cx, read.unfilled()));
                Poll::Ready(result.is_ok() && !read.filled().is_empty())
            });
            if ready!(more) {
                // In turn with the others: this one only costs.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        self.closing = Closing::Done;
        Poll::Ready(())
    }

    /// What has been read already, then what comes.
    fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.early.is_empty() {
            return self.io().poll_read(cx, buf);
        }
        let most = buf.remaining().min(self.early.len());
        buf.put_slice(&self.early.split_to(most));
        Poll::Ready(Ok(()))
    }

    /// Reads and follows the framing; says how much came. What is looked at is copied once more; only heads and uploads pay for it.
    fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<usize>> {
        LOOK.with_borrow_mut(|look| {
            let room = buf.remaining().min(look.len());
            let mut read = ReadBuf::new(&mut look[..room]);
            let result = self.poll_bytes(cx, read.unfilled());
            if let (Poll::Ready(Ok(())), Some(framing)) = (&result, &mut self.framing) {
                if let Some(head) = framing.read(read.filled()) {
                    self.client.refuse(head);
                }
                self.client.between(framing.follows() && !framing.is_within());
                if !framing.follows() {
                    self.lost = framing.is_within();
                    self.framing = None;
                }
                buf.put_slice(read.filled());
            }
            result.map(|result| result.map(|()| read.filled().len()))
        })
    }
}

impl<I: Read + Write + Unpin> Read for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.framing.is_some() {
            let read = ready!(self.poll_look(cx, buf));
            self.client.read(read.as_ref().ok().copied());
            return Poll::Ready(read.map(drop));
        }
        let result = self.poll_bytes(cx, buf);
        if result.is_ready() {
            self.client.read(None);
        }
        result
    }
}

impl<I: Read + Write + Unpin> Write for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let result = self.io().poll_write(cx, buf);
        self.client.wrote(result.is_ready());
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        // TLS takes bytes before they are on their way.
        let flushed = self.io().poll_flush(cx);
        self.client.wants_write(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if matches!(self.closing, Closing::Open) {
            self.client.between(false);
            ready!(self.io().poll_shutdown(cx))?;
            self.closing = if self.still_sends() {
                #[expect(clippy::disallowed_methods, reason = "the client's time to end")]
                Closing::Lingering(Box::pin(tokio::time::sleep(LINGER)))
            } else {
                Closing::Done
            };
        }
        self.poll_linger(cx).map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(Write::is_write_vectored)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let result = self.io().poll_write_vectored(cx, bufs);
        self.client.wrote(result.is_ready());
        result
    }
}

impl<I: Read + Write + Unpin> Drop for Watched<I> {
    fn drop(&mut self) {
        if let (Some(back), Some(io)) = (self.back.take(), self.io.take()) {
            // Where nobody waits for it, it is closed.
            drop(back.send(io));
        }
    }
}
