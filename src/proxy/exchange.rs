//! The body of an answer on its way to the client.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{client::Active, link::Lease, load::Open};

/// What the proxy answers with.
pub(super) enum Answer {
    /// Words of the proxy's own.
    Page { text: Option<Bytes>, _active: Active },
    /// What a service says.
    Service(Transfer),
}

/// A service's answer. Its link is given back, and the request no longer counted, with the last byte.
pub(super) struct Transfer {
    incoming: Incoming,
    held: Option<Held>,
    /// Whether a piece was given out and the next one not asked for.
    untaken: bool,
    /// Set for a stream that stays open: fires when it has to end.
    end: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Set where the route bounds the time between two pieces.
    idle: Option<Idle>,
}

struct Idle {
    limit: Duration,
    over: Pin<Box<Sleep>>,
}

/// What a request holds until its answer is complete.
pub(super) struct Held {
    /// The longest time between two pieces of the answer.
    pub idle: Option<Duration>,
    pub lease: Lease,
    pub open: Open,
    pub active: Active,
}

/// The service broke off its answer.
#[derive(Debug)]
pub(super) struct BrokenOff(pub Option<hyper::Error>);

impl Transfer {
    pub fn new(
        incoming: Incoming,
        held: Held,
        end: Option<WaitForCancellationFutureOwned>,
        cx: &mut Context<'_>,
    ) -> Self {
        let idle = held.idle.map(|limit| {
            #[expect(clippy::disallowed_methods, reason = "the service's time for its next piece")]
            let over = Box::pin(tokio::time::sleep(limit));
            Idle { limit, over }
        });
        let (held, end) = (Some(held), end.map(Box::pin));
        let mut transfer = Self { incoming, held, untaken: false, end, idle };
        if transfer.incoming.is_end_stream() {
            transfer.finish(cx);
        }
        transfer
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        if let Some(mut held) = self.held.take() {
            let now = held.active.client.place.shared.clock.now();
            held.lease.give_back(now, cx);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let Some(held) = &mut self.held else { return Poll::Ready(None) };
        if mem::take(&mut self.untaken) {
            held.active.client.untaken(false);
        }
        match held.lease.poll_body(&mut self.incoming, cx) {
            Poll::Ready(Some(Ok(frame))) => {
                held.active.passed(frame.data_ref().map_or(0, Bytes::len));
                if let Some(idle) = &mut self.idle {
                    idle.over.as_mut().reset(Instant::now() + idle.limit);
                }
                if self.incoming.is_end_stream() || frame.is_trailers() {
                    self.finish(cx);
                } else {
                    self.untaken = true;
                    held.active.client.untaken(true);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.held = None;
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                self.finish(cx);
                Poll::Ready(None)
            }
            Poll::Pending => {
                if let Some(end) = &mut self.end
                    && end.as_mut().poll(cx).is_ready()
                {
                    self.held = None;
                    return Poll::Ready(None);
                }
                if let Some(idle) = &mut self.idle
                    && idle.over.as_mut().poll(cx).is_ready()
                {
                    self.held = None;
                    return Poll::Ready(Some(Err(BrokenOff(None))));
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some(held) = self.held.as_ref().filter(|_| self.untaken) {
            held.active.client.untaken(false);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Page { text, .. } => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Service(transfer) => transfer.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Page { text, .. } => text.is_none(),
            Self::Service(transfer) => transfer.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Page { text, .. } => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Self::Service(transfer) => transfer.incoming.size_hint(),
        }
    }
}

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service broke off its answer")
    }
}

impl std::error::Error for BrokenOff {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.as_ref().map(|error| error as _)
    }
}
