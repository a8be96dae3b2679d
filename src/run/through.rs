//! A plan carried out as far as it goes: what fails keeps only what waits for it from being done.

use std::{cell::RefCell, collections::BTreeSet, time::Instant};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::{Semaphore, mpsc};

use super::{Event, Executor, Failure};
use crate::plan::{Id, Plan, Step};

impl Executor<'_, '_> {
    /// Does all steps but those that wait for one that failed. All failures come at the end.
    pub async fn run_through(&self, plan: &Plan) -> Vec<Failure> {
        let secrets = self.secrets.and_files_of(plan);
        let (ready, images) = (RefCell::new(vec![]), Semaphore::new(1));
        let mut waiting: Vec<Id> = plan.steps().iter().map(|step| step.id).collect();
        let mut done = BTreeSet::new();
        let mut failed = vec![];
        let mut running = FuturesUnordered::new();
        let (tell_progress, mut progress) = mpsc::unbounded_channel();
        loop {
            let can_start = |id: &Id| plan.step(*id).after.iter().all(|id| done.contains(id));
            let (start, rest): (Vec<Id>, Vec<Id>) = waiting.into_iter().partition(can_start);
            waiting = rest;
            for id in start {
                self.reporter.on(Event::Started(plan, id));
                let (ready, images, tell_progress) = (&ready, &images, tell_progress.clone());
                running.push(async move {
                    let started = Instant::now();
                    let report = move |step| {
                        // The receiver lives as long as the loop.
                        let _ = tell_progress.send((id, step));
                    };
                    (id, started, self.act(plan, id, ready, images, &report).await)
                });
            }
            let tell = |(id, step)| self.tell_progress(plan, id, step, &secrets);
            let ended = tokio::select! {
                biased;
                Some(step) = progress.recv() => {
                    tell(step);
                    continue;
                }
                ended = running.next() => ended,
            };
            // What a step told at its very end comes before its end.
            while let Ok(step) = progress.try_recv() {
                tell(step);
            }
            match ended {
                None => break,
                Some((id, started, Ok(()))) => {
                    done.insert(id);
                    self.reporter.on(Event::Done(plan, id, started.elapsed()));
                }
                Some((id, started, Err(source))) => {
                    failed.push((id, source));
                    self.reporter.on(Event::Failed(plan, id, started.elapsed()));
                }
            }
        }
        if failed.is_empty() {
            return vec![];
        }
        let observed = self.engine.observe().await.ok();
        let started = |step: &Step| done.contains(&step.id);
        let failure =
            |(id, source)| Failure::new(plan, id, source, observed.as_ref(), &started, &secrets);
        failed.into_iter().map(failure).collect()
    }
}
