//! Time as it is written down: RFC 3339 in UTC.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// `2026-11-21T08:15:00Z`.
pub fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Seconds since 1970.
pub fn seconds() -> i64 {
    Timestamp::now().as_second()
}

/// An id that sorts by time and is not given twice: `20261121T081500.123Z-1f2e`. Those of one process sort in the order in
/// which they were given, also within a millisecond.
pub fn id() -> String {
    static LAST: Mutex<(i64, u16)> = Mutex::new((0, 0));
    let now = Timestamp::now();
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let number = if last.0 == now.as_millisecond() {
        last.1.wrapping_add(1)
    } else {
        let mut random = [0_u8; 2];
        getrandom::fill(&mut random).expect("the system's random source answers");
        // From the lower half: there is room to count.
        u16::from_be_bytes(random) / 2
    };
    *last = (now.as_millisecond(), number);
    format!("{}-{number:04x}", now.strftime("%Y%m%dT%H%M%S.%3fZ"))
}

/// Seconds from an RFC 3339 time until now; none when it is no time.
pub fn seconds_since(time: &str) -> Option<i64> {
    let then: Timestamp = time.parse().ok()?;
    Some(Timestamp::now().as_second() - then.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_times_read_back() {
        let (first, second) = (id(), id());
        assert!(first.starts_with("20") && first < second);
        assert!((0..5).contains(&seconds_since(&now()).unwrap()));
        assert_eq!(seconds_since("yesterday"), None);
    }
}
