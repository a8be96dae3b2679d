//! What the clients saw, held against the switches: whether each answer came from a color that was live.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Serialize, Serializer};

use crate::model::Color;

/// How a request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    KeptAlive,
    NewConnection,
    Http2,
    Long,
    Upload,
    WebSocket,
    Events,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::KeptAlive,
        Self::NewConnection,
        Self::Http2,
        Self::Long,
        Self::Upload,
        Self::WebSocket,
        Self::Events,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeptAlive => "kept alive",
            Self::NewConnection => "new connection",
            Self::Http2 => "HTTP/2",
            Self::Long => "long",
            Self::Upload => "upload",
            Self::WebSocket => "WebSocket",
            Self::Events => "event stream",
        }
    }

    /// Whether its time counts: the others take as long as they take.
    const fn is_plain(self) -> bool {
        matches!(self, Self::KeptAlive | Self::NewConnection | Self::Http2)
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What went wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// No connection.
    Connect,
    /// The connection ended before the whole answer was there.
    Closed,
    Timeout,
    /// Another status than before the switches.
    Status,
    /// Answered by a color that was not live meanwhile.
    Color,
    /// A WebSocket or an event stream ended before its time.
    Cut,
    /// An event came twice on one connection.
    Doubled,
}

impl What {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "not connected",
            Self::Closed => "cut off",
            Self::Timeout => "too late",
            Self::Status => "of another status",
            Self::Color => "by a color that was not live",
            Self::Cut => "streams ended early",
            Self::Doubled => "events doubled",
        }
    }
}

/// One answer. Times are microseconds since the load began.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub kind: Kind,
    pub color: Option<Color>,
    /// Before its connection was opened, where it has one of its own.
    pub begun: u32,
    pub sent: u32,
    /// When the answer's head was there.
    pub head: u32,
    pub end: u32,
}

#[derive(Debug, Clone)]
pub struct Fault {
    pub kind: Kind,
    pub what: What,
    pub reason: String,
}

/// A WebSocket or an event stream that the server ended.
#[derive(Debug, Clone)]
pub struct Ended {
    pub kind: Kind,
    pub color: Option<Color>,
    pub at: u32,
    pub reason: String,
}

/// All that the clients saw.
#[derive(Debug, Default)]
pub struct Tally {
    pub samples: Vec<Sample>,
    pub faults: Vec<Fault>,
    pub ended: Vec<Ended>,
    /// Answered pings, and events.
    pub messages: BTreeMap<Kind, usize>,
    /// Numbers that were left out between the ids of two events of one connection.
    pub gaps: u64,
}

/// A color made live between two instants.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    pub to: Color,
    pub before: u32,
    pub after: u32,
}

/// What is found, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Bench {
    /// Live before, and again at the end.
    pub live: Color,
    pub seconds: f64,
    pub switches: Switches,
    pub requests: usize,
    pub failed: usize,
    pub failures: BTreeMap<What, usize>,
    pub kinds: Vec<OfKind>,
    /// Of the requests whose time counts.
    pub during: Option<Times>,
    pub outside: Option<Times>,
    /// Answers that did not say which color they came from.
    pub colorless: usize,
    /// Numbers left out between the ids of events of one connection.
    pub gaps: u64,
    /// The first failures, each once.
    pub examples: Vec<String>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Switches {
    pub count: usize,
    pub median_ms: f64,
    pub max_ms: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct OfKind {
    pub kind: Kind,
    /// Answered requests; of WebSockets and event streams, those that were opened.
    pub requests: usize,
    pub failed: usize,
    /// Answered pings, and events.
    pub messages: usize,
    pub during: Option<Times>,
    pub outside: Option<Times>,
}

/// Milliseconds from a request's begin to the end of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Times {
    pub requests: usize,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

/// How long before and after a switch its traces are looked for, in microseconds.
const NEAR: u32 = 50_000;
const EXAMPLES: usize = 20;

impl Bench {
    /// Holds what was seen against the switches. `first` was live before them; `drain`, in microseconds, is how long
    /// streams may stay on a color that is no longer live.
    pub fn judge(mut tally: Tally, first: Color, turns: &[Turn], drain: u32, seconds: f64) -> Self {
        for sample in &tally.samples {
            if sample.color.is_some_and(|color| !was_live(color, sample, first, turns)) {
                let color = sample.color.map_or("?", Color::as_str);
                let after = turns.partition_point(|turn| turn.after < sample.sent);
                let reason = format!("answered by {color}, sent after switch {after}");
                tally.faults.push(Fault { kind: sample.kind, what: What::Color, reason });
            }
        }
        for ended in &tally.ended {
            if let Some(reason) = cut(ended, first, turns, drain) {
                tally.faults.push(Fault { kind: ended.kind, what: What::Cut, reason });
            }
        }
        let mut failures = BTreeMap::new();
        for fault in &tally.faults {
            *failures.entry(fault.what).or_insert(0) += 1;
        }
        let split = |wanted: &dyn Fn(Kind) -> bool| {
            let times = |during: bool| {
                let found = tally.samples.iter().filter(|sample| {
                    sample.kind.is_plain()
                        && wanted(sample.kind)
                        && is_during(sample, turns) == during
                });
                Times::of(found.map(|sample| sample.end - sample.begun).collect())
            };
            (times(true), times(false))
        };
        let of_kind = |kind: Kind| {
            let (during, outside) = split(&|other| other == kind);
            OfKind {
                kind,
                requests: tally.samples.iter().filter(|sample| sample.kind == kind).count(),
                failed: tally.faults.iter().filter(|fault| fault.kind == kind).count(),
                messages: tally.messages.get(&kind).copied().unwrap_or(0),
                during,
                outside,
            }
        };
        let kinds: Vec<OfKind> = Kind::ALL
            .into_iter()
            .map(of_kind)
            .filter(|found| found.requests + found.failed > 0)
            .collect();
        let (during, outside) = split(&|_| true);
        let mut took: Vec<u32> = turns.iter().map(|turn| turn.after - turn.before).collect();
        took.sort_unstable();
        Self {
            live: first,
            seconds,
            switches: Switches {
                count: turns.len(),
                median_ms: took.get(took.len() / 2).copied().map_or(0.0, milliseconds),
                max_ms: took.last().copied().map_or(0.0, milliseconds),
            },
            requests: tally.samples.len(),
            failed: tally.faults.len(),
            failures,
            kinds,
            during,
            outside,
            colorless: tally.samples.iter().filter(|sample| sample.color.is_none()).count(),
            gaps: tally.gaps,
            examples: examples(&tally.faults),
        }
    }
}

/// The first failures, those that read the same as one.
fn examples(faults: &[Fault]) -> Vec<String> {
    let mut found: IndexMap<String, usize> = IndexMap::new();
    for fault in faults {
        *found.entry(format!("{}: {}", fault.kind.as_str(), fault.reason)).or_insert(0) += 1;
    }
    let times = |(text, count)| if count == 1 { text } else { format!("{count} × {text}") };
    found.into_iter().take(EXAMPLES).map(times).collect()
}

impl Times {
    /// Percentiles by the nearest rank.
    fn of(mut micros: Vec<u32>) -> Option<Self> {
        micros.sort_unstable();
        let max = *micros.last()?;
        let rank = |percent: usize| micros[(micros.len() * percent).div_ceil(100).max(1) - 1];
        Some(Self {
            requests: micros.len(),
            p50: milliseconds(rank(50)),
            p99: milliseconds(rank(99)),
            max: milliseconds(max),
        })
    }
}

fn milliseconds(micros: u32) -> f64 {
    f64::from(micros) / 1000.0
}

/// Whether the color may have been live at some instant from the request's sending to the answer's head. A color is live
/// from some instant of its turn on, to some instant of the next turn.
fn was_live(color: Color, sample: &Sample, first: Color, turns: &[Turn]) -> bool {
    let passed = turns.partition_point(|turn| turn.after < sample.sent);
    let standing = passed.checked_sub(1).map_or(first, |last| turns[last].to);
    let mut meanwhile = turns[passed..].iter().take_while(|turn| turn.before <= sample.head);
    standing == color || meanwhile.any(|turn| turn.to == color)
}

/// Whether a request began while a switch was under way, shortly before or shortly after.
///
/// Its end does not count: of requests that are under way at some instant most are slow ones, whatever happens then.
fn is_during(sample: &Sample, turns: &[Turn]) -> bool {
    let next = turns.partition_point(|turn| turn.after.saturating_add(NEAR) < sample.begun);
    turns.get(next).is_some_and(|turn| turn.before <= sample.begun.saturating_add(NEAR))
}

/// Why a stream should not have ended then; none where its color had drained for its whole time.
fn cut(ended: &Ended, first: Color, turns: &[Turn], drain: u32) -> Option<String> {
    let Ended { color, at, ref reason, .. } = *ended;
    let begun = turns.partition_point(|turn| turn.before <= at);
    let (live, since) = begun.checked_sub(1).map_or((first, 0), |last| {
        // Switched to the color that was live already, it changes nothing.
        let mut from = last;
        while from > 0 && turns[from - 1].to == turns[last].to {
            from -= 1;
        }
        (turns[last].to, turns[from].before)
    });
    match color {
        Some(color) if color != live => (at.saturating_sub(since) < drain).then(|| {
            let after = milliseconds(at.saturating_sub(since));
            format!("ended {after:.0} ms after its color's last switch, before the drain was over ({reason})")
        }),
        _ => Some(format!("ended while its color was live ({reason})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Color::{Blue, Green};

    const TURNS: [Turn; 2] = [
        Turn { to: Green, before: 10_000, after: 20_000 },
        Turn { to: Blue, before: 300_000, after: 400_000 },
    ];

    fn sample(color: Color, sent: u32, head: u32) -> Sample {
        Sample { kind: Kind::KeptAlive, color: Some(color), begun: sent, sent, head, end: head }
    }

    #[test]
    fn an_answer_must_come_from_a_color_that_was_live_meanwhile() {
        let live = |color, sent, head| was_live(color, &sample(color, sent, head), Blue, &TURNS);
        assert!(live(Blue, 0, 5_000) && live(Blue, 5_000, 15_000) && live(Green, 5_000, 15_000));
        assert!(live(Blue, 15_000, 25_000), "the switch may come after it was sent");
        assert!(!live(Green, 0, 9_000) && !live(Blue, 21_000, 290_000));
        assert!(live(Green, 350_000, 360_000) && !live(Green, 410_000, 990_000));
    }

    #[test]
    fn requests_that_begin_near_a_switch_count_as_during_it_however_long_they_take() {
        let during = |begun| {
            let all = [begun + 1, begun + 900_000].map(|end| sample(Blue, begun, end));
            let [short, long] = all.map(|sample| is_during(&sample, &TURNS));
            assert_eq!(short, long);
            short
        };
        assert!(during(0) && during(70_000) && !during(70_001));
        assert!(!during(249_999) && during(250_000) && during(450_000) && !during(450_001));
    }

    #[test]
    fn a_stream_may_end_once_its_color_has_drained_and_not_before() {
        let cut = |color, at| {
            let ended = Ended { kind: Kind::Events, color: Some(color), at, reason: String::new() };
            cut(&ended, Blue, &TURNS, 100_000).is_some()
        };
        assert!(cut(Blue, 5_000), "while it is live");
        assert!(cut(Blue, 50_000), "within its drain");
        assert!(!cut(Blue, 120_000));
        assert!(cut(Green, 120_000));
        assert!(!cut(Green, 500_000));
    }

    #[test]
    fn the_figures_are_of_all_samples_and_failures_are_told_by_kind() {
        let samples = (0..100).map(|n| sample(Green, 100_000 + n, 101_000 + 2 * n)).collect();
        let mut tally = Tally { samples, ..Tally::default() };
        tally.samples.push(sample(Blue, 150_000, 151_000));
        tally.samples.push(Sample { color: None, ..sample(Blue, 310_000, 315_000) });
        let reason = "no route".to_owned();
        tally.faults.push(Fault { kind: Kind::NewConnection, what: What::Connect, reason });
        let bench = Bench::judge(tally, Blue, &TURNS, 0, 1.0);
        assert_eq!((bench.requests, bench.failed, bench.colorless), (102, 2, 1));
        assert_eq!(bench.failures, [(What::Connect, 1), (What::Color, 1)].into());
        let outside = bench.outside.unwrap();
        let times = |times: Times| [times.p50, times.p99, times.max].map(|ms| format!("{ms:.3}"));
        assert_eq!(
            (outside.requests, times(outside)),
            (101, ["1.049", "1.098", "1.099"].map(str::to_owned))
        );
        assert_eq!(times(bench.during.unwrap())[2], "5.000");
        assert!(bench.switches.median_ms > 99.0 && bench.switches.max_ms < 101.0);
        let kinds: Vec<_> = bench.kinds.iter().map(|k| (k.kind, k.requests, k.failed)).collect();
        assert_eq!(kinds, [(Kind::KeptAlive, 102, 1), (Kind::NewConnection, 0, 1)]);
        assert!(bench.examples[1].contains("answered by blue, sent after switch 1"));
    }
}
