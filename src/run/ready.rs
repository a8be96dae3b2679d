//! Waiting until a container is ready, and seeing that it stays so.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Evidence, Executor, Poll, ProxyError, RunError, WaitError,
    diagnosis::{End, Lacks},
    evidence::Subject,
    execute::spec_of,
    poll,
    proxy::tell,
};
use crate::{
    engine::EngineError,
    model::{Inspection, Observed, State, control::Request},
    plan::{Action, Id, Plan, Until, Wait},
};

/// Restarts after which a container is taken to restart for ever.
const RESTARTS: u32 = 4;
const PROBE: Duration = Duration::from_secs(30);
/// A service that nothing can be asked of counts as ready when it has run for so long: what fails at once is seen.
const SETTLED: Duration = Duration::from_millis(400);

/// What the looks at a container saw.
#[derive(Default)]
struct Looked {
    lacks: Lacks,
    probe: Option<String>,
    out_of_memory: bool,
    exit_code: Option<i64>,
    /// Since when it runs, and its restarts then.
    runs: Option<(Instant, u32)>,
}

impl Executor<'_, '_> {
    pub(super) async fn wait(&self, plan: &Plan, wait: &Wait) -> Result<(), RunError> {
        let mut looked = Looked::default();
        let end = poll(wait.limit, async || self.look(wait, &mut looked).await).await;
        let end = match end {
            Ok(()) => return Ok(()),
            Err(WaitError::Failed(Over::Engine(error))) => return Err(error.into()),
            Err(WaitError::Failed(Over::Ended(end))) => end,
            Err(WaitError::Deadline(_)) => {
                End::Late { limit: wait.limit, lacks: looked.lacks.clone() }
            }
        };
        let known = Evidence {
            probe: looked.probe,
            oom_killed: looked.out_of_memory,
            exit_code: looked.exit_code,
            ..Evidence::default()
        };
        let subject = Subject::of(wait, spec_of(plan, &wait.container));
        let evidence = Evidence::gather(self.engine, subject, &end, known).await;
        Err(RunError::NotHealthy(Box::new(evidence)))
    }

    /// One look at a container that is waited for.
    async fn look(&self, wait: &Wait, looked: &mut Looked) -> Result<Poll<()>, Over> {
        let Some(seen) = self.engine.inspect(&wait.container).await? else {
            return Err(Over::Ended(End::Gone));
        };
        looked.out_of_memory |= seen.oom_killed;
        looked.exit_code = seen.exit_code.or(looked.exit_code);
        match standing(&seen, &wait.until)? {
            Standing::Done => return Ok(Poll::Ready(())),
            Standing::NotYet(why) => {
                looked.lacks = Lacks::State(why.clone());
                return Ok(Poll::Pending(why));
            }
            Standing::Runs => {}
        }
        let mut lacking = |lacks: Lacks, said: String| {
            (looked.lacks, looked.probe) = (lacks, Some(said.clone()));
            Ok(Poll::Pending(said))
        };
        let check = seen.healthcheck.as_ref();
        if let Some(command) = check.and_then(|check| check.test.command()) {
            let limit = check.and_then(|check| check.timeout).unwrap_or(PROBE);
            match self.engine.exec(&wait.container, &command, limit).await {
                Ok(output) if output.code == 0 => {}
                Ok(output) => {
                    let said = output.text.trim();
                    let said = if said.is_empty() { "no output" } else { said };
                    return lacking(Lacks::Check, format!("exit code {}: {said}", output.code));
                }
                Err(EngineError::TimedOut { .. }) => {
                    let said = format!("no end within {} s", limit.as_secs());
                    return lacking(Lacks::Check, said);
                }
                // It may have ended between the two calls: the next look tells.
                Err(error @ EngineError::Refused { .. }) => {
                    return lacking(Lacks::Check, error.to_string());
                }
                Err(error) => return Err(error.into()),
            }
        }
        let asked = seen.healthcheck.as_ref().is_some_and(|check| check.test.command().is_some())
            || matches!(wait.until, Until::Accepting { .. });
        if let Until::Accepting { host, ports } = &wait.until {
            for port in ports {
                let request = Request::Probe { host: host.clone(), port: *port };
                match tell(self.engine, self.proxy, &request).await {
                    Ok(_) => {}
                    Err(ProxyError::NotHealthy { target, reason }) => {
                        return lacking(Lacks::Port(*port), format!("{target}: {reason}"));
                    }
                    Err(error) => return lacking(Lacks::Port(*port), error.to_string()),
                }
            }
        }
        if !asked {
            let runs = looked.runs.filter(|(_, restarts)| *restarts == seen.restarts);
            let (since, _) = *looked.runs.insert(runs.unwrap_or((Instant::now(), seen.restarts)));
            let rest = SETTLED.saturating_sub(seen.uptime.unwrap_or_default().max(since.elapsed()));
            if !rest.is_zero() {
                return Ok(Poll::After(rest, "it has just started".to_owned()));
            }
        }
        Ok(Poll::Ready(()))
    }

    /// The first of the services that were ready and are not running any more.
    pub(super) async fn lost(
        &self,
        plan: &Plan,
        ready: &[Id],
        seen: &Observed,
    ) -> Option<(Id, RunError)> {
        let (id, wait, state) = ready.iter().find_map(|id| {
            let Action::Await(wait) = &plan.step(*id).action else { return None };
            let state = seen.container(&wait.container).map_or(State::Removing, |it| it.state);
            let runs = matches!(state, State::Running { .. } | State::Paused);
            (wait.until != Until::Completed && !runs).then_some((*id, wait, state))
        })?;
        let subject = Subject::of(wait, spec_of(plan, &wait.container));
        let end = End::Later(state);
        let evidence = Evidence::gather(self.engine, subject, &end, Evidence::default()).await;
        Some((id, RunError::NotHealthy(Box::new(evidence))))
    }
}

/// Why a wait has no sense any more.
#[derive(Debug)]
enum Over {
    Engine(EngineError),
    Ended(End),
}

impl From<EngineError> for Over {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// What the container's state alone decides.
enum Standing {
    Done,
    Runs,
    NotYet(String),
}

fn standing(seen: &Inspection, until: &Until) -> Result<Standing, Over> {
    if seen.restarts >= RESTARTS {
        return Err(Over::Ended(End::Restarts { times: seen.restarts }));
    }
    match (seen.state, until) {
        (State::Exited { code: 0 }, Until::Completed) => Ok(Standing::Done),
        (State::Exited { code }, _) => Err(Over::Ended(End::Exited { code })),
        (State::Dead | State::Removing, _) => Err(Over::Ended(End::Removing)),
        (State::Paused, _) => Err(Over::Ended(End::Paused)),
        (State::Created, _) => Ok(Standing::NotYet("it is not started yet".to_owned())),
        (State::Restarting, _) => {
            let code = seen.exit_code.map(|code| format!(" with exit code {code}"));
            let code = code.unwrap_or_default();
            Ok(Standing::NotYet(format!("it ended{code} and restarts")))
        }
        (State::Running { .. }, Until::Completed) => {
            Ok(Standing::NotYet("it still runs".to_owned()))
        }
        (State::Running { .. }, _) => Ok(Standing::Runs),
    }
}
