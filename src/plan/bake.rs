//! A color under watch after it got traffic.

use std::{fmt, time::Duration};

use super::{Action, Id, Plan};
use crate::model::{Color, Figures, control::Request};

/// How long a color is watched, and what it may not exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bake {
    pub time: Duration,
    /// Percent of requests that may fail.
    pub max_errors: f64,
    /// The time within which 99 % of requests have to have their answer.
    pub max_p99: Option<Duration>,
}

/// One bad request of three tells nothing: what is too much has to be so many at least.
const LEAST: u64 = 5;

impl Bake {
    /// What is exceeded, if something is.
    pub fn exceeded(&self, figures: &Figures) -> Option<String> {
        let Figures { requests, failed, .. } = figures;
        let percent = figures.failed_percent();
        if *failed >= LEAST && percent > self.max_errors {
            let most = self.max_errors;
            return Some(format!("{percent:.1} % of {requests} requests failed, {most} % may"));
        }
        let (most, p99) = (self.max_p99?, figures.p99()?);
        // One in a hundred is slower than that: so many are five.
        let several = requests / 100 >= LEAST || self.slower(figures) >= LEAST;
        (p99 > most && several).then(|| {
            let (p99, most) = (p99.as_millis(), most.as_millis());
            format!("99 % of {requests} requests took up to {p99} ms, {most} ms may be")
        })
    }

    /// Requests that certainly took longer than they may.
    fn slower(&self, figures: &Figures) -> u64 {
        let most = self.max_p99.map_or(u128::MAX, |most| most.as_millis());
        let lower = std::iter::once(0).chain(figures.bounds_ms.iter().copied());
        let slow = lower.zip(&figures.times).filter(|(lower, _)| u128::from(*lower) >= most);
        slow.map(|(_, number)| number).sum()
    }

    /// Adds the count that begins before a color gets traffic; returns what the change of traffic waits for.
    pub(super) fn begin(&self, plan: &mut Plan, color: Color, after: Vec<Id>) -> Vec<Id> {
        let watch = Action::Tell(Box::new(Request::Watch { color: Some(color) }));
        vec![plan.push(after, watch, format!("count the requests of {color}"), self.to_string())]
    }

    /// Adds the watch itself.
    pub(super) fn watch(self, plan: &mut Plan, color: Color, after: Id) {
        let title = format!("watch {color} for {}", crate::base::words::duration(self.time));
        plan.push([after], Action::Bake(color, self), title, self.to_string());
    }
}

impl fmt::Display for Bake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} % may fail", self.max_errors)?;
        match self.max_p99 {
            Some(p99) => write!(f, ", 99 % have {} ms", p99.as_millis()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAKE: Bake = Bake {
        time: Duration::from_secs(60),
        max_errors: 1.0,
        max_p99: Some(Duration::from_millis(100)),
    };

    fn figures(failed: u64, fast: u64, slow: u64) -> Figures {
        let times = vec![fast, 0, slow];
        Figures { requests: fast + slow, failed, bounds_ms: vec![10, 100], times }
    }

    #[test]
    fn a_share_of_failures_is_exceeded_by_several_only() {
        for good in [(0, 0), (1, 3), (4, 4), (5, 500), (9, 1000)] {
            assert_eq!(BAKE.exceeded(&figures(good.0, good.1, 0)), None, "{good:?}");
        }
        assert_eq!(
            BAKE.exceeded(&figures(6, 500, 0)).as_deref(),
            Some("1.2 % of 500 requests failed, 1 % may")
        );
        assert!(BAKE.exceeded(&figures(5, 5, 0)).is_some());
    }

    #[test]
    fn slow_answers_are_exceeded_by_several_only() {
        let at = |most| Bake { max_p99: Some(Duration::from_millis(most)), ..BAKE };
        assert_eq!(at(99).exceeded(&figures(0, 1, 4)), None);
        let bake = Bake { max_p99: None, ..BAKE };
        assert_eq!(bake.exceeded(&figures(0, 0, 900)), None);
        assert_eq!(
            at(99).exceeded(&figures(0, 100, 5)).as_deref(),
            Some("99 % of 105 requests took up to 100 ms, 99 ms may be")
        );
        assert_eq!(at(99).exceeded(&figures(0, 1000, 5)), None, "fewer than one in a hundred");
    }
}
