//! The executor: each step starts when the steps it waits for are done.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio::sync::{Semaphore, mpsc};

use super::{
    Event, Evidence, Failure, Reporter, RunError, Secrets,
    certificates::certify,
    course::Course,
    diagnosis::{End, last_words, not_started},
    evidence::Subject,
    failure::service_of,
    proxy::tell,
    wait::again,
};
use crate::{
    engine::{self, Engine, EngineError},
    model::{
        ServiceSpec,
        control::{Answer, Request},
    },
    plan::{Action, Id, ImageJob, Plan, Step, Until},
};

/// Builds and pulls at one time; the engine's processors are the limit.
const IMAGES_AT_ONCE: usize = 3;
/// How often the services that are ready are looked after while others come up.
const WATCH: Duration = Duration::from_secs(2);

pub struct Executor<'a, 'known> {
    pub engine: &'a dyn Engine,
    /// The proxy's container, for the steps that tell it something.
    pub proxy: &'a str,
    pub reporter: &'a dyn Reporter,
    /// What no evidence may show.
    pub secrets: &'a Secrets,
    /// Done once the stack is up, before the proxy is told of it.
    pub before_known: Option<&'a dyn Fn() -> LocalBoxFuture<'known, ()>>,
}

/// A step that came to its end.
type Ended = (Id, Instant, Result<(), RunError>);

impl Executor<'_, '_> {
    /// Does all steps, and returns how long each took. At the first failure nothing further starts, and what runs is
    /// let go: the next run of the same command converges.
    ///
    /// A service that was ready and ends while others still come up is a failure too.
    pub async fn run(&self, plan: &Plan) -> Result<BTreeMap<Id, Duration>, Failure> {
        let secrets = self.secrets.and_files_of(plan);
        let images = Semaphore::new(IMAGES_AT_ONCE);
        let (tell_progress, mut progress) = mpsc::unbounded_channel();
        let mut waiting: Vec<Id> = plan.steps().iter().map(|step| step.id).collect();
        let mut course = Course::new(plan, self.reporter);
        let ready = RefCell::new(vec![]);
        let mut watch = Box::pin(again(WATCH, async || {
            let known = ready.borrow().clone();
            if known.is_empty() {
                return None;
            }
            // What cannot be seen now is seen later.
            self.lost(plan, &known, &self.engine.observe().await.ok()?).await
        }));
        let mut running: FuturesUnordered<LocalBoxFuture<'_, Ended>> = FuturesUnordered::new();
        let (failed, started, source) = loop {
            let can_start =
                |id: &Id| plan.step(*id).after.iter().all(|before| course.is_done(*before));
            let (start, rest): (Vec<Id>, Vec<Id>) = waiting.into_iter().partition(can_start);
            waiting = rest;
            for id in start {
                self.reporter.on(Event::Started(plan, id));
                let (images, tell_progress) = (&images, tell_progress.clone());
                let ready = &ready;
                running.push(Box::pin(async move {
                    let started = Instant::now();
                    let report = move |step| {
                        // The receiver lives as long as the loop.
                        let _ = tell_progress.send((id, step));
                    };
                    let done = self.act(plan, id, ready, images, &report).await;
                    (id, started, done)
                }));
            }
            let tell = |id, step| {
                let step = match step {
                    engine::Step::Line(line) => engine::Step::Line(secrets.redact(&line)),
                    engine::Step::Instruction { number, of, text } => {
                        engine::Step::Instruction { number, of, text: secrets.redact(&text) }
                    }
                    bytes @ engine::Step::Bytes { .. } => bytes,
                };
                self.reporter.on(Event::Progress(plan, id, step));
            };
            tokio::select! {
                biased;
                Some((id, step)) = progress.recv() => tell(id, step),
                next = running.next() => {
                    // What a step told at its very end comes before its end.
                    while let Ok((id, step)) = progress.try_recv() {
                        tell(id, step);
                    }
                    match next {
                        None => return Ok(course.end()),
                        Some((id, started, Ok(()))) => {
                            if matches!(&plan.step(id).action, Action::Await(wait) if wait.until != Until::Completed) {
                                ready.borrow_mut().push(id);
                            }
                            course.done(id, started.elapsed());
                        }
                        Some((id, started, Err(source))) => break (id, started, source),
                    }
                }
                (id, source) = &mut watch => break (id, Instant::now(), source),
            }
        };
        self.reporter.on(Event::Failed(plan, failed, started.elapsed()));
        let took = course.end();
        drop(running);
        let observed = self.engine.observe().await.ok();
        let proxy = Action::Start(self.proxy.to_owned());
        let started = |step: &Step| took.contains_key(&step.id) && step.action != proxy;
        Err(Failure::new(plan, failed, source, observed.as_ref(), &started, &secrets))
    }

    pub(super) async fn act(
        &self,
        plan: &Plan,
        id: Id,
        ready: &RefCell<Vec<Id>>,
        images: &Semaphore,
        progress: &(dyn Fn(engine::Step) + Send + Sync),
    ) -> Result<(), RunError> {
        let engine = self.engine;
        match &plan.step(id).action {
            Action::GetImage(job) => {
                let _turn = images.acquire().await.expect("the semaphore is never closed");
                self.get_image(job, progress).await?;
            }
            Action::RemoveImage(reference) => engine.remove_image(reference).await?,
            Action::CreateNetwork(spec) => engine.create_network(spec).await?,
            Action::RemoveNetwork(name) => engine.remove_network(name).await?,
            Action::CreateVolume(spec) => engine.create_volume(spec).await?,
            Action::RemoveVolume(name) => engine.remove_volume(name).await?,
            Action::Create(spec) => engine.create(spec).await.map_err(|source| {
                RunError::Service { service: service_of(plan, &spec.name), done: "created", source }
            })?,
            Action::Start(name) => self.start(plan, name).await?,
            Action::Connect(name, attachment) => engine.connect(name, attachment).await?,
            Action::Stop(name) => engine.stop(name, None).await?,
            Action::Remove(name) => engine.remove(name).await?,
            Action::RemoveDurable(name) => engine.remove_keeping_volumes(name).await?,
            Action::Await(wait) => self.wait(plan, wait).await?,
            Action::Follow(wait) => self.follow(plan, wait, progress).await?,
            Action::Certify(files) => certify(engine, self.proxy, files).await?,
            Action::Tell(request) => {
                if let (Request::Put { .. }, Some(first)) = (&**request, self.before_known) {
                    first().await;
                }
                // A stack is made known only while all of it is as ready as it was.
                let known = ready.borrow().clone();
                if matches!(**request, Request::Put { .. }) && !known.is_empty() {
                    let seen = engine.observe().await?;
                    if let Some((_, error)) = self.lost(plan, &known, &seen).await {
                        return Err(error);
                    }
                }
                match tell(engine, self.proxy, request).await? {
                    Answer::Drained { left } if !left.is_empty() => {
                        return Err(RunError::StillOpen(left));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    async fn start(&self, plan: &Plan, name: &str) -> Result<(), RunError> {
        let Err(source) = self.engine.start(name).await else { return Ok(()) };
        let service = service_of(plan, name);
        if let EngineError::Refused { reason, .. } = &source
            && not_started(reason).is_some()
        {
            let known = Evidence { error: Some(last_words(reason)), ..Evidence::default() };
            let subject = Subject {
                container: name,
                service: &service,
                until: &Until::Healthy,
                spec: spec_of(plan, name),
            };
            let evidence = Evidence::gather(self.engine, subject, &End::NotStarted, known).await;
            return Err(RunError::NotHealthy(Box::new(evidence)));
        }
        Err(RunError::Service { service, done: "started", source })
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
                Err(error) if job.build.is_some() => {
                    progress(engine::Step::Line(format!("{error}; it is built")));
                    None
                }
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
}

/// What a container is made from, where the plan makes it.
pub(super) fn spec_of<'a>(plan: &'a Plan, container: &str) -> Option<&'a ServiceSpec> {
    plan.steps().iter().find_map(|step| match &step.action {
        Action::Create(spec) if spec.name == container => Some(&**spec),
        _ => None,
    })
}
