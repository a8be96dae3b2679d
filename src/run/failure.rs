//! How a plan ends that does not end well.

use std::path::PathBuf;

use super::{AwsFailure, Evidence, ProxyError, Secrets};
use crate::{
    base::files::{self, FileError},
    database::Unsuited,
    engine::EngineError,
    model::{Observed, State, control::Draining, labels},
    plan::{Action, Id, Plan, Step},
};

/// Names that are shown of a list.
const NAMES: usize = 6;

/// A step that failed, and why.
#[derive(Debug, thiserror::Error)]
#[error("{source}{}{}", list("not started", kept_back), list("still running", running))]
pub struct Failure {
    pub title: String,
    pub source: RunError,
    /// Services that were not started because of it.
    pub kept_back: Vec<String>,
    /// Services of the plan that run all the same.
    pub running: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine would not make a service's container, or start it.
    #[error("{service} cannot be {done}: {source}")]
    Service { service: String, done: &'static str, source: EngineError },
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error(
        "still open: {} requests, {} websockets, {} event streams, {} TCP connections",
        .0.requests, .0.websockets, .0.streams, .0.tcp
    )]
    StillOpen(Draining),
    /// A command in a container ended badly.
    #[error("{what}: exit code {code}{}", said.iter().flat_map(|line| ["\n    ", line]).collect::<String>())]
    Command { what: String, code: i64, said: Vec<String> },
    #[error(transparent)]
    File(#[from] FileError),
    /// What was read is not what was once written.
    #[error("`{}` is damaged: {reason}", files::shown(path).display())]
    Damaged { path: PathBuf, reason: String },
    /// A server that must not open the data that is there.
    #[error("`{service}` does not get `{image}`: {reason}")]
    Unsuited { service: String, image: String, reason: Unsuited },
    #[error(
        "`{service}` did not stop cleanly (exit code {code}), so no other version gets its data"
    )]
    NotStoppedCleanly { service: String, code: i64 },
    /// The image does not know who is to get the key.
    #[error("the certificate of `{service}` was not signed: its image has no user `{user}`")]
    NoUser { service: String, user: String },
    #[error("{}", .0)]
    NotHealthy(Box<Evidence>),
    /// The stack of AWS resources is not as it shall be.
    #[error(transparent)]
    Aws(#[from] AwsFailure),
    /// A variable waits for what the stack does not have.
    #[error("{service} cannot be created: the aws stack has no output `{output}`")]
    NoOutput { service: String, output: String },
    /// What a color under watch exceeded.
    #[error("{0}")]
    Exceeded(String),
}

fn list(what: &str, names: &[String]) -> String {
    some(names).map(|names| format!("\n  {what}: {names}")).unwrap_or_default()
}

/// The first of these, and how many more there are; none of none.
pub(super) fn some(names: &[String]) -> Option<String> {
    let more = names.len().saturating_sub(NAMES);
    let shown = names[..names.len() - more].join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty()).then(|| format!("{shown}{more}"))
}

impl Failure {
    /// What a step's failure means for the rest of its plan.
    pub(super) fn new(
        plan: &Plan,
        id: Id,
        mut source: RunError,
        observed: Option<&Observed>,
        started: &dyn Fn(&Step) -> bool,
        secrets: &Secrets,
    ) -> Self {
        match &mut source {
            RunError::NotHealthy(evidence) => evidence.redact(secrets),
            RunError::Engine(EngineError::Build { reason, lines, .. }) => {
                for text in std::iter::once(reason).chain(lines) {
                    *text = secrets.redact(text);
                }
            }
            RunError::Aws(failure) => failure.redact(secrets),
            RunError::Command { said, .. } => {
                for text in said {
                    *text = secrets.redact(text);
                }
            }
            _ => {}
        }
        let running = observed.map(|observed| running(plan, observed, started)).unwrap_or_default();
        let own = match &source {
            RunError::Service { service, .. } => service.clone(),
            RunError::NotHealthy(evidence) => evidence.service.clone(),
            _ => String::new(),
        };
        let mut kept_back = kept_back(plan, id);
        kept_back.retain(|name| *name != own && !running.contains(name));
        Self { title: plan.step(id).title.clone(), source, kept_back, running }
    }
}

/// The services whose start waits for a step, directly or not.
fn kept_back(plan: &Plan, failed: Id) -> Vec<String> {
    let mut waits = std::collections::BTreeSet::from([failed]);
    let mut names = vec![];
    for step in &plan.steps()[failed.0..] {
        if step.after.iter().any(|before| waits.contains(before)) {
            waits.insert(step.id);
            if let Action::Start(container) = &step.action {
                names.push(service_of(plan, container));
            }
        }
    }
    names
}

fn running(plan: &Plan, observed: &Observed, started: &dyn Fn(&Step) -> bool) -> Vec<String> {
    let started =
        plan.steps().iter().filter(|step| started(step)).filter_map(|step| match &step.action {
            Action::Start(container) => Some(container),
            _ => None,
        });
    started
        .filter(|name| {
            let state = observed.container(name).map(|found| found.state);
            matches!(state, Some(State::Running { .. }))
        })
        .map(|name| service_of(plan, name))
        .collect()
}

/// What people call a container of the plan: `green/api`.
pub(super) fn service_of(plan: &Plan, container: &str) -> String {
    let waited = plan.steps().iter().find_map(|step| match &step.action {
        Action::Await(wait) | Action::Follow(wait) if wait.container == container => {
            Some(wait.service.clone())
        }
        _ => None,
    });
    let made = || {
        let labels = &super::execute::spec_of(plan, container)?.labels;
        let service = labels.get(labels::SERVICE)?;
        Some(match labels.get(labels::COLOR) {
            Some(color) => format!("{color}/{service}"),
            None => service.clone(),
        })
    };
    waited.or_else(made).unwrap_or_else(|| format!("`{container}`"))
}
