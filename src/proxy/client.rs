//! A client's connection: who it is, and whether it still does something.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use http::HeaderValue;

use super::{accept::Place, traffic::Seen};

/// One client's connection on one listener.
pub(super) struct Client {
    pub place: Arc<Place>,
    /// The client's address, as `X-Forwarded-For` has it.
    pub address: HeaderValue,
    /// The same as an element of `Forwarded`.
    pub forwarded: HeaderValue,
    /// Requests without a complete answer.
    active: AtomicU32,
    /// Whether the head of a request has begun (HTTP/1 only).
    head: AtomicBool,
    /// When one of the above changed last.
    changed: AtomicU64,
    /// When something moved last, either way.
    moved: AtomicU64,
    /// Bytes of a body that have come since, too few to count.
    trickled: AtomicU64,
    wants_body: AtomicBool,
    wants_write: AtomicBool,
    /// Answers of which the client has been given a piece, and has not asked for the next.
    untaken: AtomicU32,
    /// Whether what has come ends with a request's end (HTTP/1 only).
    between: AtomicBool,
    /// Requests that were begun, and the one of them that must be refused.
    begun: AtomicU64,
    refused: AtomicU64,
    http2: bool,
}

/// What is to be done with a client's connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// Nothing is asked of it for now.
    Rest,
    /// Nothing is asked of it, and nothing has been for long.
    Finish,
    /// It takes too long over what it owes.
    Drop,
}

impl Client {
    pub fn new(place: &Arc<Place>, peer: SocketAddr, http2: bool) -> Arc<Self> {
        let ip = peer.ip().to_canonical();
        let address = HeaderValue::try_from(ip.to_string());
        let proto = if place.listener.tls { "https" } else { "http" };
        let forwarded = HeaderValue::try_from(match ip {
            IpAddr::V4(ip) => format!("for={ip};proto={proto}"),
            IpAddr::V6(ip) => format!("for=\"[{ip}]\";proto={proto}"),
        });
        Arc::new(Self {
            place: Arc::clone(place),
            address: address.unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            forwarded: forwarded.unwrap_or_else(|_| HeaderValue::from_static("for=unknown")),
            active: AtomicU32::default(),
            head: AtomicBool::default(),
            changed: AtomicU64::new(place.shared.clock.now()),
            moved: AtomicU64::new(place.shared.clock.now()),
            trickled: AtomicU64::default(),
            wants_body: AtomicBool::default(),
            wants_write: AtomicBool::default(),
            untaken: AtomicU32::default(),
            between: AtomicBool::default(),
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
        Active { client: Arc::clone(self), seen: None }
    }

    /// Whether the request that was begun last could be read in two ways.
    pub fn is_ambiguous(&self) -> bool {
        !self.http2 && self.refused.load(Relaxed) == self.begun.load(Relaxed)
    }

    /// Says that a head must be refused.
    pub fn refuse(&self, head: u64) {
        self.refused.store(head, Relaxed);
    }

    /// Whether there is a head that must be refused.
    pub fn is_refused(&self) -> bool {
        self.refused.load(Relaxed) > 0
    }

    /// When something moved last, either way.
    pub fn moved(&self) -> u64 {
        self.moved.load(Relaxed)
    }

    /// Says whether what has come ends with a request's end.
    pub fn between(&self, between: bool) {
        self.between.store(between, Relaxed);
    }

    pub fn wants_body(&self, wants: bool) {
        self.wants_body.store(wants, Relaxed);
    }

    pub fn verdict(&self) -> Verdict {
        let limits = &self.place.shared.limits;
        let since = |then: &AtomicU64| self.place.shared.clock.since(then.load(Relaxed));
        let active = self.active.load(Relaxed);
        // Over HTTP/2 a client takes nothing by not opening its window: the socket tells nothing of it.
        let takes_nothing = active > 0 && self.untaken.load(Relaxed) >= active;
        let owes = self.wants_body.load(Relaxed) && active > 0 || takes_nothing;
        if (owes || self.wants_write.load(Relaxed)) && since(&self.moved) > limits.stall_time {
            return Verdict::Drop;
        }
        if active > 0 {
            return Verdict::Keep;
        }
        if self.head.load(Relaxed) {
            let slow = since(&self.changed) > limits.header_time;
            return if slow { Verdict::Drop } else { Verdict::Keep };
        }
        if self.wants_write.load(Relaxed) {
            return Verdict::Keep;
        }
        let idle = since(&self.changed);
        if idle > limits.idle_time {
            Verdict::Finish
        } else if idle > limits.rest_time() && self.between.load(Relaxed) {
            Verdict::Rest
        } else {
            Verdict::Keep
        }
    }

    /// Begins anew with what comes next.
    pub fn wakes(&self) {
        self.begun.store(0, Relaxed);
        self.between.store(false, Relaxed);
    }

    fn now(&self) -> u64 {
        self.place.shared.clock.now()
    }

    /// Says that so many bytes have come; none where they were not counted.
    pub fn read(&self, bytes: Option<usize>) {
        let now = self.now();
        if let Some(bytes) = bytes
            && self.wants_body.load(Relaxed)
        {
            let all = self.trickled.load(Relaxed) + bytes as u64;
            let few = all < self.place.shared.limits.stall_bytes;
            self.trickled.store(if few { all } else { 0 }, Relaxed);
            if few {
                return;
            }
        }
        self.moved.store(now, Relaxed);
        if !self.http2 && self.active.load(Relaxed) == 0 && !self.head.swap(true, Relaxed) {
            self.changed.store(now, Relaxed);
        }
    }

    /// Says that an answer has given out a piece, or that its next one was asked for.
    pub fn untaken(&self, is: bool) {
        if is {
            self.untaken.fetch_add(1, Relaxed);
        } else {
            self.untaken.fetch_sub(1, Relaxed);
        }
    }

    pub fn wants_write(&self, wants: bool) {
        self.wants_write.store(wants, Relaxed);
    }

    pub fn wrote(&self, done: bool) {
        self.wants_write(!done);
        if done {
            self.moved.store(self.now(), Relaxed);
        }
    }
}

/// A request without a complete answer.
pub(super) struct Active {
    pub client: Arc<Client>,
    /// Set where requests are counted.
    pub seen: Option<Seen>,
}

impl Drop for Active {
    fn drop(&mut self) {
        self.over();
        self.client.changed.store(self.client.now(), Relaxed);
        self.client.active.fetch_sub(1, Relaxed);
    }
}
