//! How containers behave.

use std::time::Duration;

/// How a container behaves once it is started. By default it runs, and each probe finds it healthy.
#[derive(Debug, Clone, Default)]
pub struct Behaviour {
    /// It ends with this code after this time.
    pub(super) ends: Option<(Duration, i64)>,
    /// Probes that fail before the first that succeeds; `None` is never.
    pub(super) healthy_after: Probes,
    pub(super) out_of_memory: bool,
    /// How long its creation takes. The engine ends it, whoever waits for it.
    pub(super) made_within: Duration,
    /// Its exit code when it is stopped.
    pub(super) stops_with: i64,
    /// How long a stop takes. The engine ends it, whoever waits for it.
    pub(super) stops_within: Duration,
    /// What it writes to its log, and what a failing probe says.
    pub(super) says: String,
    pub(super) probe_says: String,
    /// As it starts, the two volumes that its command names change places.
    pub(super) exchanges: bool,
    /// The engine cannot start it, with this reason.
    pub(super) unstartable: Option<String>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Probes {
    After(u32),
    Never,
}

impl Default for Probes {
    fn default() -> Self {
        Self::After(0)
    }
}

impl Behaviour {
    pub fn runs() -> Self {
        Self::default()
    }

    /// It ends at once.
    pub fn exits(code: i64) -> Self {
        Self::exits_after(Duration::ZERO, code)
    }

    pub fn exits_after(time: Duration, code: i64) -> Self {
        Self { ends: Some((time, code)), ..Self::default() }
    }

    /// What `envctl exchange` does, at once.
    pub fn exchanges() -> Self {
        Self { exchanges: true, ..Self::exits(0) }
    }

    /// Killed for its memory, at once.
    pub fn runs_out_of_memory() -> Self {
        Self { out_of_memory: true, ..Self::exits(137) }
    }

    pub fn cannot_start(reason: &str) -> Self {
        Self { unstartable: Some(reason.to_owned()), ..Self::default() }
    }

    /// Its first `probes` health checks fail.
    pub fn healthy_after(probes: u32) -> Self {
        Self { healthy_after: Probes::After(probes), ..Self::default() }
    }

    pub fn never_healthy() -> Self {
        Self { healthy_after: Probes::Never, ..Self::default() }
    }

    /// It does not stop in time, and is killed.
    pub fn killed_when_stopped() -> Self {
        Self { stops_with: 137, ..Self::default() }
    }

    /// It runs, and takes this long to stop.
    pub fn stops_within(time: Duration) -> Self {
        Self { stops_within: time, ..Self::default() }
    }

    /// It runs, and takes this long to be made.
    pub fn made_within(time: Duration) -> Self {
        Self { made_within: time, ..Self::default() }
    }

    /// What stands in its log.
    #[must_use]
    pub fn saying(mut self, text: &str) -> Self {
        text.clone_into(&mut self.says);
        self
    }

    /// What a failing probe prints.
    #[must_use]
    pub fn probe_saying(mut self, text: &str) -> Self {
        text.clone_into(&mut self.probe_says);
        self
    }
}
