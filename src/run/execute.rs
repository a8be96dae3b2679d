//! The executor: each step starts when the steps it waits for are done.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{Fuse, FusedFuture as _, LocalBoxFuture},
    stream::FuturesUnordered,
};
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};

use super::{
    Event, Evidence, Failure, Reporter, RunError, Secrets, anew, aws,
    certificates::certify,
    course::Course,
    data::check_data,
    diagnosis::{End, last_words, not_started},
    evidence::Subject,
    failure::service_of,
    proxy::tell,
    stream::{Heard, stream},
    wait::again,
};
use crate::{
    engine::{self, Engine, EngineError},
    model::{
        ServiceSpec,
        control::{Answer, Request},
        labels,
    },
    plan::{Action, Id, ImageJob, Plan, Step, Until},
};

/// Builds and pulls at one time; the engine's processors are the limit.
const IMAGES_AT_ONCE: usize = 3;
/// How often the services that are ready are looked after while others come up.
const WATCH: Duration = Duration::from_secs(2);
/// How long a failure waits for what the engine is making. Let go it would be made all the same, and nobody would see it.
const MADE_WITHIN: Duration = Duration::from_secs(10);

pub struct Executor<'a, 'known> {
    pub engine: &'a dyn Engine,
    /// The proxy's container, for the steps that tell it something.
    pub proxy: &'a str,
    pub reporter: &'a dyn Reporter,
    /// What no evidence may show.
    pub secrets: &'a Secrets,
    /// Done beside the starts, once everything is made, and before the proxy is told of the stack.
    pub before_known: Option<&'a dyn Fn() -> LocalBoxFuture<'known, ()>>,
    /// What came of the streams of the plan.
    pub heard: RefCell<BTreeMap<Id, Heard>>,
    /// Outputs of the stack of AWS resources, once a step of the plan knows them.
    pub outputs: RefCell<BTreeMap<String, String>>,
    /// When each container whose log is told had said its last, before it was started.
    pub said: RefCell<BTreeMap<String, Timestamp>>,
}

/// A step that came to its end.
type Ended = (Id, Instant, Result<(), RunError>);

impl Executor<'_, '_> {
    /// Does all steps, and returns how long each took. At the first failure nothing further starts, and what runs is
    /// let go, once the engine has made what it was making: the next run of the same command converges.
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
            if ready.borrow().is_empty() {
                return None;
            }
            // What cannot be seen now is seen later.
            let seen = self.engine.observe().await.ok()?;
            let known = ready.borrow().clone();
            self.lost(plan, &known, &seen).await
        }));
        let mut running: FuturesUnordered<LocalBoxFuture<'_, Ended>> = FuturesUnordered::new();
        let mut first = self.before_known;
        let mut beside = Fuse::terminated();
        let (failed, started, source) = loop {
            if let Some(begin) = first.take_if(|_| self.is_made(plan, &course)) {
                beside = begin().fuse();
            }
            let free = first.is_none() && beside.is_terminated();
            let can_start = |id: &Id| {
                let step = plan.step(*id);
                (free || !makes_known(&step.action))
                    && step.after.iter().all(|before| course.is_done(*before))
            };
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
            let tell = |id, step| self.tell_progress(plan, id, step, &secrets);
            tokio::select! {
                biased;
                Some((id, step)) = progress.recv() => tell(id, step),
                () = &mut beside => {}
                next = running.next(), if !running.is_empty() || beside.is_terminated() => {
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
        let under_way = |id: &Id| *id != failed && !waiting.contains(id) && !took.contains_key(id);
        let makes = plan.steps().iter().filter(|step| makes(&step.action)).map(|step| step.id);
        let mut making: Vec<Id> = makes.filter(under_way).collect();
        let made = async {
            while !making.is_empty()
                && let Some((id, ..)) = running.next().await
            {
                making.retain(|it| *it != id);
            }
        };
        let _ = tokio::time::timeout(MADE_WITHIN, made).await;
        drop(running);
        if !beside.is_terminated() {
            beside.await;
        }
        let observed = self.engine.observe().await.ok();
        let proxy = Action::Start(self.proxy.to_owned());
        let started = |step: &Step| took.contains_key(&step.id) && step.action != proxy;
        Err(Failure::new(plan, failed, source, observed.as_ref(), &started, &secrets))
    }

    /// Tells how a step moves on, without what must not be shown.
    pub(super) fn tell_progress(&self, plan: &Plan, id: Id, step: engine::Step, secrets: &Secrets) {
        let step = match step {
            engine::Step::Line(line) => engine::Step::Line(secrets.redact(&line)),
            engine::Step::Instruction { number, of, text } => {
                engine::Step::Instruction { number, of, text: secrets.redact(&text) }
            }
            bytes @ engine::Step::Bytes { .. } => bytes,
        };
        self.reporter.on(Event::Progress(plan, id, step));
    }

    /// Whether everything that the stack is made of is there, and the proxy runs.
    fn is_made(&self, plan: &Plan, course: &Course<'_>) -> bool {
        plan.steps().iter().all(|step| match &step.action {
            Action::GetImage(_) | Action::CreateVolume(_) | Action::Create(_) => {
                course.is_done(step.id)
            }
            Action::Start(name) => name != self.proxy || course.is_done(step.id),
            _ => true,
        })
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
        // What the plan itself stops is not lost.
        if let Action::Stop(name) | Action::StopCleanly(name) | Action::Remove(name) =
            &plan.step(id).action
        {
            ready.borrow_mut().retain(|id| {
                !matches!(&plan.step(*id).action, Action::Await(wait) if wait.container == *name)
            });
        }
        match &plan.step(id).action {
            Action::GetImage(job) => {
                let _turn = images.acquire().await.expect("the semaphore is never closed");
                self.get_image(job, progress).await?;
            }
            Action::RemoveImage(reference) => engine.remove_image(reference).await?,
            Action::CreateNetwork(spec) => engine.create_network(spec).await?,
            Action::RemoveNetwork(name) => engine.remove_network(name).await?,
            Action::CreateVolume(spec) => match engine.create_volume(spec).await {
                // One for the host: another project made it just now.
                Err(EngineError::NameTaken { .. })
                    if spec.labels.get(labels::LAYER).is_some_and(|layer| layer == "ca") => {}
                made => made?,
            },
            Action::RemoveVolume(name) => engine.remove_volume(name).await?,
            Action::Create(spec) => {
                let service = || service_of(plan, &spec.name);
                let filled = aws::filled(spec, &self.outputs.borrow())
                    .map_err(|output| RunError::NoOutput { service: service(), output })?;
                anew::create(engine, &filled).await.map_err(|source| RunError::Service {
                    service: service(),
                    done: "created",
                    source,
                })?;
            }
            Action::Start(name) => self.start(plan, name).await?,
            Action::Connect(name, attachment) => engine.connect(name, attachment).await?,
            Action::Stop(name) => engine.stop(name, None).await?,
            Action::StopCleanly(name) => self.stop_cleanly(plan, name).await?,
            Action::Remove(name) => engine.remove(name).await?,
            Action::RemoveDurable(name) => engine.remove_keeping_volumes(name).await?,
            Action::CheckData(check) => {
                if let Some(text) = check_data(engine, check).await? {
                    self.heard.borrow_mut().insert(id, Heard { text, ..Heard::default() });
                }
            }
            // It was taken before.
            Action::Snapshot(_) => {}
            Action::Await(wait) => self.wait(plan, wait).await?,
            Action::Follow(wait) => self.follow(plan, wait, progress).await?,
            Action::Bake(color, bake) => {
                super::bake::bake(engine, self.proxy, *color, bake, progress).await?;
            }
            Action::Pipe(pipe) => {
                let heard = stream(engine, &plan.step(id).title, pipe, progress).await?;
                self.heard.borrow_mut().insert(id, heard);
            }
            Action::DeployAws(job) => {
                let outputs = aws::deploy(engine, job, progress).await?;
                *self.outputs.borrow_mut() = outputs;
            }
            Action::Sign(job) => super::sign::sign(engine, job).await?,
            Action::Certify(files) => certify(engine, self.proxy, files).await?,
            Action::Tell(request) => {
                // A stack is made known only while all of it is as ready as it was.
                let known = ready.borrow().clone();
                if makes_known(&plan.step(id).action) && !known.is_empty() {
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
        self.before_start(plan, name).await;
        let spec = plan.known(name);
        let filled = spec.map(|spec| aws::filled(spec, &self.outputs.borrow())).transpose();
        let spec = filled.ok().flatten();
        let Err(source) = anew::start(self.engine, name, spec.as_deref()).await else {
            return Ok(());
        };
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

    /// Stops a database whose data another server is to open. One that was killed, or failed, has not written out all
    /// that it knew: its own server has to mend that.
    async fn stop_cleanly(&self, plan: &Plan, name: &str) -> Result<(), RunError> {
        self.engine.stop(name, None).await?;
        let seen = self.engine.inspect(name).await?;
        match seen.and_then(|seen| seen.exit_code) {
            // What handles no SIGTERM or SIGINT ends by it.
            None | Some(0 | 130 | 143) => Ok(()),
            Some(code) => {
                Err(RunError::NotStoppedCleanly { service: service_of(plan, name), code })
            }
        }
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

/// Whether it tells the proxy of a stack.
fn makes_known(action: &Action) -> bool {
    matches!(action, Action::Tell(request) if matches!(**request, Request::Put { .. }))
}

/// Whether the engine makes something by it that has a name.
const fn makes(action: &Action) -> bool {
    matches!(action, Action::CreateNetwork(_) | Action::CreateVolume(_) | Action::Create(_))
}

/// What a container is made from, where the plan makes it.
pub(super) fn spec_of<'a>(plan: &'a Plan, container: &str) -> Option<&'a ServiceSpec> {
    plan.steps().iter().find_map(|step| match &step.action {
        Action::Create(spec) if spec.name == container => Some(&**spec),
        _ => None,
    })
}
