//! How long calls to the engine were under way: what of a command's time is the engine's share.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

static COUNTED: Mutex<Counted> =
    Mutex::new(Counted { calls: 0, under_way: 0, since: None, time: Duration::ZERO });

struct Counted {
    calls: usize,
    under_way: usize,
    /// When the first of those under way began.
    since: Option<Instant>,
    time: Duration,
}

impl Counted {
    fn begin(&mut self, now: Instant) {
        self.calls += 1;
        self.under_way += 1;
        self.since.get_or_insert(now);
    }

    fn end(&mut self, now: Instant) {
        self.under_way -= 1;
        if self.under_way == 0
            && let Some(since) = self.since.take()
        {
            self.time += now - since;
        }
    }
}

/// The calls of this process so far, and the time during which at least one was waiting for its answer to begin.
pub fn spent() -> (usize, Duration) {
    let counted = counted();
    (counted.calls, counted.time)
}

/// Counts a call until the result is dropped.
pub(super) fn begin() -> Call {
    counted().begin(Instant::now());
    Call
}

pub(super) struct Call;

impl Drop for Call {
    fn drop(&mut self) {
        counted().end(Instant::now());
    }
}

fn counted() -> MutexGuard<'static, Counted> {
    COUNTED.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_once_however_many_calls_are_under_way() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut counted = Counted { calls: 0, under_way: 0, since: None, time: Duration::ZERO };
        counted.begin(at(0));
        counted.begin(at(10));
        counted.end(at(30));
        counted.end(at(50));
        counted.begin(at(90));
        counted.end(at(95));
        assert_eq!((counted.calls, counted.time), (3, Duration::from_millis(55)));
    }
}
