//! Shows the events of an operation: moving lines on a terminal, a line a step elsewhere, or JSON.

mod board;
mod drawn;
mod json;
mod plain;
#[cfg(test)]
mod screen;
#[cfg(test)]
pub(super) mod testing;

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use indicatif::ProgressDrawTarget;

use super::{
    Progress,
    stream::{Talk, lock},
};
use crate::run::{Event, Reporter};

/// Ten frames a second.
const TICK: Duration = Duration::from_millis(100);

/// A way to show events.
///
/// Time comes from outside, so that a test can let it pass.
trait Face: Send {
    fn on(&mut self, event: &Event<'_>, now: Instant);

    /// Time has passed.
    fn tick(&mut self, now: Instant);

    /// Nothing comes any more: what moves is to go.
    fn finish(&mut self);
}

/// Where moving lines are drawn. The rate is the lowest, since what is drawn is drawn by force, once a tick.
pub(super) fn target() -> ProgressDrawTarget {
    ProgressDrawTarget::stderr_with_hz(1)
}

pub(super) fn reporter(
    mode: Progress,
    talk: Arc<Talk>,
    title: &str,
    quiet: bool,
    verbose: bool,
) -> Box<dyn Reporter> {
    let board = board::Board::new(title, quiet, verbose, Instant::now());
    match mode {
        Progress::Json => Ticking::start(json::Json::new(talk, title, quiet)),
        Progress::Tty => {
            let terminal = console::Term::stderr();
            let size = move || {
                let (height, width) = terminal.size();
                board::Size { width: width.into(), height: height.into() }
            };
            Ticking::start(drawn::Drawn::new(talk, board, Box::new(size)))
        }
        Progress::Plain | Progress::Auto => Ticking::start(plain::Plain::new(talk, board)),
    }
}

/// Feeds a face with events and with time, until it is dropped.
struct Ticking {
    face: Arc<Mutex<dyn Face>>,
    /// Dropped to end the clock.
    stop: Option<mpsc::Sender<()>>,
    clock: Option<JoinHandle<()>>,
}

impl Ticking {
    fn start(face: impl Face + 'static) -> Box<dyn Reporter> {
        let face: Arc<Mutex<dyn Face>> = Arc::new(Mutex::new(face));
        let (stop, stopped) = mpsc::channel();
        let ticked = Arc::clone(&face);
        let clock = thread::Builder::new().name("progress".to_owned()).spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                lock(&ticked).tick(Instant::now());
            }
        });
        // Without a clock the events still show.
        Box::new(Self { face, stop: Some(stop), clock: clock.ok() })
    }
}

impl Reporter for Ticking {
    fn on(&self, event: Event<'_>) {
        lock(&self.face).on(&event, Instant::now());
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(clock) = self.clock.take() {
            let _ = clock.join();
        }
        lock(&self.face).finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Id;

    #[test]
    fn a_reporter_shows_events_until_it_is_dropped() {
        let plan = testing::plan();
        for (mode, lines) in [(Progress::Plain, 2), (Progress::Json, 4)] {
            let (talk, err) = testing::talk();
            let reporter = reporter(mode, talk, "deploy green", false, false);
            reporter.on(Event::Planned(&plan));
            reporter.on(Event::Started(&plan, Id(1)));
            reporter.on(Event::Done(&plan, Id(1), Duration::ZERO));
            drop(reporter);
            assert_eq!(err.text().lines().count(), lines, "{mode:?}: {}", err.text());
        }
    }
}
