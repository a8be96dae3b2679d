//! What is open on a color, counted by kind, and the handles that close what stays.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use tokio_util::sync::CancellationToken;

use crate::model::control::{Draining, Open as OpenCounts};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    WebSocket,
    Stream,
    Tcp,
}

/// The counters of one color. They outlive its stacks: what a replaced stack still serves counts on.
#[derive(Debug, Default)]
pub(super) struct Load {
    live: [AtomicU64; 4],
    preview: [AtomicU64; 4],
    staying: Mutex<Staying>,
}

/// Connections that do not end by themselves.
#[derive(Debug, Default)]
struct Staying {
    next: u64,
    open: HashMap<u64, (bool, CancellationToken)>,
}

impl Load {
    /// Counts one more request (or TCP connection), through a live port or a preview.
    pub fn open(self: &Arc<Self>, kind: Kind, live: bool) -> Open {
        self.counter(kind, live).fetch_add(1, SeqCst);
        Open { load: Arc::clone(self), kind, live, staying: None }
    }

    pub fn draining(&self, left_ms: u64) -> Draining {
        let [requests, websockets, streams, tcp] = self.live.each_ref().map(|n| n.load(SeqCst));
        Draining { requests, websockets, streams, tcp, left_ms }
    }

    pub fn all(&self) -> OpenCounts {
        let sum = |kind: Kind| {
            self.counter(kind, true).load(SeqCst) + self.counter(kind, false).load(SeqCst)
        };
        OpenCounts {
            requests: sum(Kind::Request),
            websockets: sum(Kind::WebSocket),
            streams: sum(Kind::Stream),
            tcp: sum(Kind::Tcp),
        }
    }

    /// Handles of all that stays open until it is closed; with `previews` those too.
    pub fn staying(&self, previews: bool) -> Vec<CancellationToken> {
        let staying = self.staying.lock().unwrap_or_else(PoisonError::into_inner);
        staying
            .open
            .values()
            .filter(|(live, token)| (*live || previews) && !token.is_cancelled())
            .map(|(_, token)| token.clone())
            .collect()
    }

    fn counter(&self, kind: Kind, live: bool) -> &AtomicU64 {
        let counters = if live { &self.live } else { &self.preview };
        &counters[kind as usize]
    }
}

/// One open request or connection; dropping it ends the count.
#[derive(Debug)]
pub(super) struct Open {
    load: Arc<Load>,
    kind: Kind,
    live: bool,
    staying: Option<u64>,
}

impl Open {
    /// Says that this one stays open, as what; the token tells when it has to end.
    pub fn stays(&mut self, kind: Kind) -> CancellationToken {
        let token = CancellationToken::new();
        let mut staying = self.load.staying.lock().unwrap_or_else(PoisonError::into_inner);
        staying.next += 1;
        let id = staying.next;
        staying.open.insert(id, (self.live, token.clone()));
        drop(staying);
        if kind != self.kind {
            self.load.counter(kind, self.live).fetch_add(1, SeqCst);
            self.load.counter(self.kind, self.live).fetch_sub(1, SeqCst);
            self.kind = kind;
        }
        self.staying = Some(id);
        token
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(id) = self.staying {
            self.load.staying.lock().unwrap_or_else(PoisonError::into_inner).open.remove(&id);
        }
        self.load.counter(self.kind, self.live).fetch_sub(1, SeqCst);
    }
}
