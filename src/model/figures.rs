//! What came of requests: how many there were, how many failed, how long they took.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// What came of a color's requests on live routes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    pub requests: u64,
    /// Answered with 5xx.
    pub failed: u64,
    /// Upper bounds of the times to the head of an answer, in milliseconds, rising.
    pub bounds_ms: Vec<u32>,
    /// Requests below each bound and not below the one before; then the rest.
    pub times: Vec<u64>,
}

impl Figures {
    /// Percent.
    #[expect(clippy::cast_precision_loss, reason = "a part of at most a few billions")]
    pub fn failed_percent(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.failed as f64 * 100.0 / self.requests as f64 }
    }

    /// The time within which 99 % had their answer; between two bounds a straight line is taken, as Prometheus does
    /// (`histogram_quantile`). None of none; past the last bound, that.
    #[expect(clippy::cast_precision_loss, reason = "a part of at most a few billions")]
    pub fn p99(&self) -> Option<Duration> {
        let all: u64 = self.times.iter().sum();
        let mut left = all as f64 * 0.99;
        let mut below = 0.0;
        for (number, bound) in self.times.iter().zip(&self.bounds_ms) {
            let bound = f64::from(*bound);
            if *number > 0 && left <= *number as f64 {
                let ms = below + (bound - below) * left / *number as f64;
                return Some(Duration::from_secs_f64(ms / 1000.0));
            }
            left -= *number as f64;
            below = bound;
        }
        (all > 0).then(|| Duration::from_secs_f64(below / 1000.0))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.requests == 1 { "" } else { "s" };
        write!(f, "{} request{plural}, {:.1} % failed", self.requests, self.failed_percent())?;
        match self.p99() {
            Some(p99) => write!(f, ", 99 % within {} ms", p99.as_millis()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_ninety_nine_percent_is_told_from_the_histogram() {
        let of = |times: [u64; 4]| Figures {
            requests: times.iter().sum(),
            failed: 3,
            bounds_ms: vec![10, 100, 1000],
            times: times.to_vec(),
        };
        let ms = |figures: &Figures| figures.p99().map(|time| time.as_millis());
        assert_eq!(ms(&of([0, 0, 0, 0])), None);
        assert_eq!(ms(&of([100, 0, 0, 0])), Some(9));
        assert_eq!(ms(&of([0, 100, 0, 0])), Some(99));
        assert_eq!(ms(&of([99, 1, 0, 0])), Some(10));
        assert_eq!(ms(&of([98, 0, 2, 0])), Some(550));
        assert_eq!(ms(&of([1, 0, 0, 99])), Some(1000), "past the last bound");
        let text = of([98, 0, 2, 0]).to_string();
        assert_eq!(text, "100 requests, 3.0 % failed, 99 % within 550 ms");
        assert_eq!(Figures::default().to_string(), "0 requests, 0.0 % failed");
    }
}
