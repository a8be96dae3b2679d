//! What is known of a service that did not come up.

use std::fmt;

use futures_util::StreamExt as _;
use serde::Serialize;

use super::{
    Cause, Secrets,
    diagnosis::{self, End},
};
use crate::{
    engine::{Engine, LogOptions},
    model::{ServiceSpec, State},
    plan::{Until, Wait},
};

/// Lines of the log that are shown.
const LINES: u64 = 20;
/// Lines of a probe's output that are shown.
const PROBE: usize = 10;
/// Characters of a line that are shown.
const WIDTH: usize = 400;

/// What is known of a service that did not come up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The service as people know it: `green/api`.
    pub service: String,
    pub container: String,
    pub cause: Cause,
    /// What went wrong, in a few words that go on from the service's name.
    pub reason: String,
    /// The last probe's output.
    pub probe: Option<String>,
    pub exit_code: Option<i64>,
    pub oom_killed: bool,
    pub restarts: u32,
    /// The engine's own word.
    pub error: Option<String>,
    /// The last lines of its log.
    pub log: Vec<String>,
    /// It ran, so that an empty log says something.
    #[serde(skip)]
    pub ran: bool,
}

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub container: &'a str,
    pub service: &'a str,
    pub until: &'a Until,
    /// What it was made from, where the plan made it.
    pub spec: Option<&'a ServiceSpec>,
}

impl<'a> Subject<'a> {
    pub const fn of(wait: &'a Wait, spec: Option<&'a ServiceSpec>) -> Self {
        Self {
            container: wait.container.as_str(),
            service: wait.service.as_str(),
            until: &wait.until,
            spec,
        }
    }
}

impl Evidence {
    /// Gathers what the engine knows; what it cannot tell is left out.
    pub(super) async fn gather(
        engine: &dyn Engine,
        subject: Subject<'_>,
        end: &End,
        known: Self,
    ) -> Self {
        let mut evidence = Self {
            service: subject.service.to_owned(),
            container: subject.container.to_owned(),
            ..known
        };
        if let Ok(Some(seen)) = engine.inspect(subject.container).await {
            let last = seen.exit_code.filter(|_| seen.restarts > 0 || *end == End::NotStarted);
            evidence.exit_code = match seen.state {
                State::Exited { code } => Some(code),
                _ => last.or(evidence.exit_code),
            };
            evidence.oom_killed |= seen.oom_killed;
            evidence.restarts = seen.restarts;
            let said = seen.error.filter(|text| !text.is_empty());
            evidence.error = evidence.error.or(said);
            evidence.ran = seen.state != State::Created;
        }
        let options = LogOptions { tail: Some(LINES), ..LogOptions::default() };
        if let Ok(mut log) = engine.logs(subject.container, &options).await {
            let mut text = Vec::new();
            while let Some(Ok(chunk)) = log.next().await {
                text.extend_from_slice(&chunk.bytes);
            }
            evidence.log = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
        }
        (evidence.cause, evidence.reason) =
            diagnosis::diagnose(end, subject.until, &evidence, subject.spec);
        evidence
    }

    /// Without what must not be shown.
    pub(super) fn redact(&mut self, secrets: &Secrets) {
        for text in [&mut self.probe, &mut self.error].into_iter().flatten().chain(&mut self.log) {
            *text = secrets.redact(text);
        }
        self.reason = secrets.redact(&self.reason);
    }
}

impl fmt::Display for Evidence {
    /// The reason, and below it what it does not say itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.service, self.reason)?;
        if self.oom_killed && self.cause != Cause::OutOfMemory {
            write!(f, "\n  a process of it ran out of memory")?;
        }
        // The engine's own refusal is the reason already.
        let refused = self.error.is_some() && !self.ran;
        if let Some(code) = self.exit_code
            && !refused
            && !self.reason.contains(&format!("exit code {code}"))
        {
            write!(f, "\n  exit code: {code}")?;
        }
        if self.restarts > 0 && !self.reason.contains("times)") {
            write!(f, "\n  restarts: {}", self.restarts)?;
        }
        if let Some(error) = self.error.as_ref().filter(|_| !refused) {
            write!(f, "\n  the engine says: {}", cut(error))?;
        }
        if let Some(probe) = &self.probe {
            let lines: Vec<&str> = probe.lines().take(PROBE).collect();
            if let [one] = lines[..] {
                write!(f, "\n  last probe: {}", cut(one))?;
            } else {
                write!(f, "\n  last probe:")?;
                for line in lines {
                    write!(f, "\n    {}", cut(line))?;
                }
            }
        }
        if !self.log.is_empty() {
            write!(f, "\n  its log ends with:")?;
            for line in &self.log {
                write!(f, "\n    {}", cut(line))?;
            }
        } else if self.ran {
            write!(f, "\n  its log is empty")?;
        }
        Ok(())
    }
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}
