//! Waiting for a state, with a deadline.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Looks until it finds something; past `limit` the test fails with what it waited for.
pub fn until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain: {what}", limit.as_secs());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether it gets true in time.
pub fn is_true(limit: Duration, mut look: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if look() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

pub fn until_true(limit: Duration, what: &str, look: impl FnMut() -> bool) {
    assert!(is_true(limit, look), "waited {} s in vain: {what}", limit.as_secs());
}
