//! The executor: each step starts when the steps it waits for are done.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio::sync::{Semaphore, mpsc};

use super::{Event, Evidence, Poll, ProxyError, Reporter, WaitError, poll, proxy::tell};
use crate::{
    engine::{self, Engine, EngineError},
    model::{
        Inspection, State,
        control::{Answer, Draining, Request},
    },
    plan::{Action, Id, ImageJob, Plan, Until, Wait},
};

/// Builds and pulls at one time; the engine's processors are the limit.
const IMAGES_AT_ONCE: usize = 3;
/// Restarts after which a container is taken to restart for ever.
const RESTARTS: u32 = 4;
const PROBE: Duration = Duration::from_secs(30);

pub struct Executor<'a> {
    pub engine: &'a dyn Engine,
    /// The proxy's container, for the steps that tell it something.
    pub proxy: &'a str,
    pub reporter: &'a dyn Reporter,
}

/// A step that failed, and why.
#[derive(Debug, thiserror::Error)]
#[error("{title}: {source}")]
pub struct Failure {
    pub title: String,
    pub source: RunError,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error(
        "still open: {} requests, {} websockets, {} event streams, {} TCP connections",
        .0.requests, .0.websockets, .0.streams, .0.tcp
    )]
    StillOpen(Draining),
    #[error("{}", .0)]
    NotHealthy(Box<Evidence>),
}

/// A step that came to its end.
type Ended = (Id, Instant, Result<(), RunError>);

impl Executor<'_> {
    /// Does all steps, and returns how long each took. At the first failure nothing further starts, and what runs is
    /// let go: the next run of the same command converges.
    pub async fn run(&self, plan: &Plan) -> Result<BTreeMap<Id, Duration>, Failure> {
        let images = Semaphore::new(IMAGES_AT_ONCE);
        let (tell_progress, mut progress) = mpsc::unbounded_channel();
        let mut waiting: Vec<Id> = plan.steps().iter().map(|step| step.id).collect();
        let mut took = BTreeMap::new();
        let mut running: FuturesUnordered<LocalBoxFuture<'_, Ended>> = FuturesUnordered::new();
        loop {
            let ready =
                |id: &Id| plan.step(*id).after.iter().all(|before| took.contains_key(before));
            let (start, rest): (Vec<Id>, Vec<Id>) = waiting.into_iter().partition(ready);
            waiting = rest;
            for id in start {
                self.reporter.on(Event::Started(plan, id));
                let (images, tell_progress) = (&images, tell_progress.clone());
                running.push(Box::pin(async move {
                    let started = Instant::now();
                    let report = move |step| {
                        // The receiver lives as long as the loop.
                        let _ = tell_progress.send((id, step));
                    };
                    let done = self.act(&plan.step(id).action, images, &report).await;
                    (id, started, done)
                }));
            }
            tokio::select! {
                biased;
                Some((id, step)) = progress.recv() => self.reporter.on(Event::Progress(plan, id, step)),
                next = running.next() => {
                    // What a step told at its very end comes before its end.
                    while let Ok((id, step)) = progress.try_recv() {
                        self.reporter.on(Event::Progress(plan, id, step));
                    }
                    match next {
                        None => return Ok(took),
                        Some((id, started, Ok(()))) => {
                            took.insert(id, started.elapsed());
                            self.reporter.on(Event::Done(plan, id, started.elapsed()));
                        }
                        Some((id, started, Err(source))) => {
                            self.reporter.on(Event::Failed(plan, id, started.elapsed()));
                            return Err(Failure { title: plan.step(id).title.clone(), source });
                        }
                    }
                }
            }
        }
    }

    async fn act(
        &self,
        action: &Action,
        images: &Semaphore,
        progress: &(dyn Fn(engine::Step) + Send + Sync),
    ) -> Result<(), RunError> {
        let engine = self.engine;
        match action {
            Action::GetImage(job) => {
                let _turn = images.acquire().await.expect("the semaphore is never closed");
                self.get_image(job, progress).await?;
            }
            Action::RemoveImage(reference) => engine.remove_image(reference).await?,
            Action::CreateNetwork(spec) => engine.create_network(spec).await?,
            Action::RemoveNetwork(name) => engine.remove_network(name).await?,
            Action::CreateVolume(spec) => engine.create_volume(spec).await?,
            Action::RemoveVolume(name) => engine.remove_volume(name).await?,
            Action::Create(spec) => engine.create(spec).await?,
            Action::Start(name) => engine.start(name).await?,
            Action::Connect(name, attachment) => engine.connect(name, attachment).await?,
            Action::Stop(name) => engine.stop(name, None).await?,
            Action::Remove(name) => engine.remove(name).await?,
            Action::RemoveDurable(name) => engine.remove_keeping_volumes(name).await?,
            Action::Await(wait) => self.wait(wait).await?,
            Action::Tell(request) => match tell(engine, self.proxy, request).await? {
                Answer::Drained { left } if !left.is_empty() => {
                    return Err(RunError::StillOpen(left));
                }
                _ => {}
            },
        }
        Ok(())
    }

    async fn get_image(
        &self,
        job: &ImageJob,
        progress: &(dyn Fn(engine::Step) + Send + Sync),
    ) -> Result<(), RunError> {
        let platform = job.platform.as_deref();
        let pulled = match &job.pull {
            Some(reference) => match self.engine.pull(reference, platform, progress).await {
                Ok(image) => Some((reference, image)),
                Err(_) if job.build.is_some() => None,
                Err(error) => return Err(error.into()),
            },
            None => None,
        };
        match (pulled, &job.build) {
            (Some((reference, _)), _) if *reference == job.tag => {}
            (Some((_, image)), _) => self.engine.tag(&image.id, &job.tag).await?,
            (None, Some(spec)) => {
                self.engine.build(spec, progress).await?;
            }
            (None, None) => return Err(EngineError::NoImage { reference: job.tag.clone() }.into()),
        }
        Ok(())
    }

    async fn wait(&self, wait: &Wait) -> Result<(), RunError> {
        let last_probe = std::sync::Mutex::new(None);
        let end = poll(wait.limit, async || {
            let probe = self.look(wait).await?;
            if let Poll::Pending(reason) = &probe {
                *last_probe.lock().expect("no holder panics") = Some(reason.clone());
            }
            Ok(probe)
        })
        .await;
        let (reason, probe) = match end {
            Ok(()) => return Ok(()),
            Err(WaitError::Failed(Gone::Engine(error))) => return Err(error.into()),
            Err(WaitError::Failed(Gone::Ended(reason))) => {
                (reason, last_probe.into_inner().ok().flatten())
            }
            Err(WaitError::Deadline(last)) => {
                let limit = wait.limit.as_secs();
                let verb = match wait.until {
                    Until::Completed => "did not end",
                    _ => "did not get healthy",
                };
                (format!("{verb} within {limit} s"), Some(last))
            }
        };
        let evidence =
            Evidence::gather(self.engine, &wait.container, &wait.service, reason, probe).await;
        Err(RunError::NotHealthy(Box::new(evidence)))
    }

    /// One look at a container that is waited for.
    async fn look(&self, wait: &Wait) -> Result<Poll<()>, Gone> {
        let seen = self.engine.inspect(&wait.container).await?;
        let Some(seen) = seen else {
            return Err(Gone::Ended("its container is gone".to_owned()));
        };
        if let Some(verdict) = ended(&seen, &wait.until)? {
            return Ok(verdict);
        }
        let check = seen.healthcheck.as_ref();
        if let Some(command) = check.and_then(|check| check.test.command())
            && wait.until != Until::Completed
        {
            let limit = check.and_then(|check| check.timeout).unwrap_or(PROBE);
            match self.engine.exec(&wait.container, &command, limit).await {
                Ok(output) if output.code == 0 => {}
                Ok(output) => {
                    let said = output.text.trim();
                    return Ok(Poll::Pending(format!("exit code {}: {said}", output.code)));
                }
                Err(EngineError::TimedOut { .. }) => {
                    return Ok(Poll::Pending(format!("no end within {} s", limit.as_secs())));
                }
                // It may have ended between the two calls: the next look tells.
                Err(error @ EngineError::Refused { .. }) => {
                    return Ok(Poll::Pending(error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Until::Accepting { host, port } = &wait.until {
            let request = Request::Probe { host: host.clone(), port: *port };
            match tell(self.engine, self.proxy, &request).await {
                Ok(_) => {}
                Err(ProxyError::NotHealthy { target, reason }) => {
                    return Ok(Poll::Pending(format!("{target}: {reason}")));
                }
                Err(error) => return Ok(Poll::Pending(error.to_string())),
            }
        }
        Ok(Poll::Ready(()))
    }
}

/// Why a wait has no sense any more.
#[derive(Debug)]
enum Gone {
    Engine(EngineError),
    Ended(String),
}

impl From<EngineError> for Gone {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// What the container's state alone decides: nothing, while it runs.
fn ended(seen: &Inspection, until: &Until) -> Result<Option<Poll<()>>, Gone> {
    if seen.restarts >= RESTARTS {
        return Err(Gone::Ended(format!("restarts again and again ({} times)", seen.restarts)));
    }
    let over = |text: String| Err(Gone::Ended(text));
    match (seen.state, until) {
        (State::Exited { code: 0 }, Until::Completed) => Ok(Some(Poll::Ready(()))),
        (State::Exited { .. } | State::Dead, _) if seen.oom_killed => {
            over("ran out of memory".to_owned())
        }
        (State::Exited { code }, Until::Completed) => over(format!("ended with exit code {code}")),
        (State::Exited { code: 0 }, _) => over("ended, and was to run on (exit code 0)".to_owned()),
        (State::Exited { code }, _) => over(format!("ended with exit code {code}")),
        (State::Dead | State::Removing, _) => over("is being removed".to_owned()),
        (State::Paused, _) => over("is paused".to_owned()),
        (State::Created, _) => Ok(Some(Poll::Pending("not started yet".to_owned()))),
        (State::Restarting, _) => {
            let code = seen.exit_code.map(|code| format!(" with exit code {code}"));
            let code = code.unwrap_or_default();
            Ok(Some(Poll::Pending(format!("it ended{code} and restarts"))))
        }
        (State::Running { .. }, Until::Completed) => {
            Ok(Some(Poll::Pending("still running".to_owned())))
        }
        (State::Running { .. }, _) => Ok(None),
    }
}
