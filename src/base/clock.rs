//! Time as it is written down: RFC 3339 in UTC.

use jiff::Timestamp;

/// `2026-11-21T08:15:00Z`.
pub fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Seconds since 1970.
pub fn seconds() -> i64 {
    Timestamp::now().as_second()
}

/// An id that sorts by time and is not given twice: `20261121T081500.123Z-1f2e`.
pub fn id() -> String {
    let mut random = [0_u8; 2];
    getrandom::fill(&mut random).expect("the system's random source answers");
    format!("{}-{}", Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ"), hex::encode(random))
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
        assert!(first.starts_with("20") && first[..19] <= second[..19]);
        assert!((0..5).contains(&seconds_since(&now()).unwrap()));
        assert_eq!(seconds_since("yesterday"), None);
    }
}
