//! Time for limits of seconds: read often and cheaply, moved on by the workers.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Milliseconds since the proxy began, as of the last tick.
#[derive(Debug)]
pub(super) struct Clock {
    began: Instant,
    now: AtomicU64,
}

impl Clock {
    pub fn new() -> Self {
        Self { began: Instant::now(), now: AtomicU64::default() }
    }

    pub fn tick(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.now.fetch_max(now, Relaxed);
    }

    pub fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }

    /// The time that has passed since `then`, give or take a tick.
    pub fn since(&self, then: u64) -> Duration {
        Duration::from_millis(self.now().saturating_sub(then))
    }
}
