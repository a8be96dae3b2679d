//! What is known of a service that did not come up.

use std::fmt;

use futures_util::StreamExt as _;
use serde::Serialize;

use crate::{
    engine::{Engine, LogOptions},
    model::State,
};

const LINES: u64 = 20;

/// What is known of a service that did not come up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The service as people know it: `green/api`.
    pub service: String,
    pub container: String,
    /// What went wrong, in a few words.
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
}

impl Evidence {
    /// Gathers what the engine knows; what it cannot tell is left out.
    pub async fn gather(
        engine: &dyn Engine,
        container: &str,
        service: &str,
        reason: String,
        probe: Option<String>,
    ) -> Self {
        let mut evidence = Self {
            service: service.to_owned(),
            container: container.to_owned(),
            reason,
            probe: probe.filter(|text| !text.trim().is_empty()),
            ..Self::default()
        };
        if let Ok(Some(seen)) = engine.inspect(container).await {
            evidence.exit_code = match seen.state {
                State::Exited { code } => Some(code),
                _ => seen.exit_code.filter(|_| seen.restarts > 0),
            };
            evidence.oom_killed = seen.oom_killed;
            evidence.restarts = seen.restarts;
            evidence.error = seen.error.filter(|text| !text.is_empty());
        }
        let options = LogOptions { tail: Some(LINES), ..LogOptions::default() };
        if let Ok(mut log) = engine.logs(container, &options).await {
            let mut text = Vec::new();
            while let Some(Ok(chunk)) = log.next().await {
                text.extend_from_slice(&chunk.bytes);
            }
            evidence.log = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
        }
        evidence
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.service, self.reason)?;
        if self.oom_killed {
            write!(f, "\n  killed: out of memory")?;
        }
        if let Some(code) = self.exit_code {
            write!(f, "\n  exit code: {code}")?;
        }
        if self.restarts > 0 {
            write!(f, "\n  restarts: {}", self.restarts)?;
        }
        if let Some(error) = &self.error {
            write!(f, "\n  engine: {error}")?;
        }
        if let Some(probe) = &self.probe {
            write!(f, "\n  last probe:")?;
            for line in probe.lines() {
                write!(f, "\n    {line}")?;
            }
        }
        if !self.log.is_empty() {
            write!(f, "\n  last lines of its log:")?;
            for line in &self.log {
                write!(f, "\n    {line}")?;
            }
        }
        Ok(())
    }
}
