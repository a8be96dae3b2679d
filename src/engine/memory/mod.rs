//! An engine in memory, for tests of what drives engines: it keeps an engine's rules (names are unique, ports are taken,
//! images must be there), does as it is told ([`Behaviour`]), and fails or stops where it is told ([`Fault`]).

mod behaviour;
mod engine;
mod fault;
mod files;
mod instance;
mod world;

#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

pub use behaviour::Behaviour;
pub use fault::Fault;

use self::{fault::Faults, world::World};
use super::{EngineError, Output, Result};
use crate::model::{Healthcheck, Image, Observed, hash_of};

type Ask = Arc<dyn Fn(&str) -> String + Send + Sync>;
type Exec = Arc<dyn Fn(&str, &[String]) -> Option<Output> + Send + Sync>;

/// An engine in memory. Shared by reference; what is told it holds from the next call on.
#[derive(Default)]
pub struct Memory {
    world: Mutex<World>,
    faults: Mutex<Faults>,
    ask: Mutex<Option<Ask>>,
    exec: Mutex<Option<Exec>>,
    /// Told after each call that did something.
    changed: Notify,
    /// Told when a fault strikes that stops the process.
    stopped: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    pub fn new() -> Self {
        Self::default()
    }

    /// An image that is on the engine.
    pub fn have_image(&self, reference: &str) -> &Self {
        lock(&self.world).add_image(reference, std::collections::BTreeMap::new());
        self
    }

    /// An image that is on the engine and has a health check of its own.
    pub fn have_image_with_check(&self, reference: &str, check: Healthcheck) -> &Self {
        let mut world = lock(&self.world);
        let id = world.add_image(reference, std::collections::BTreeMap::new()).id;
        world.checks.insert(id, check);
        drop(world);
        self
    }

    /// An image that a registry has. Pulling any other fails.
    pub fn pullable(&self, reference: &str) -> &Self {
        lock(&self.world).pullable.insert(reference.to_owned());
        self
    }

    /// Builds of a tag that starts like this fail; all others succeed.
    pub fn unbuildable(&self, tag: &str, reason: &str) -> &Self {
        lock(&self.world).unbuildable.insert(tag.to_owned(), reason.to_owned());
        self
    }

    /// How a container behaves once it is started: by its name, or by its service's (`dev.envctl.service`).
    pub fn behave(&self, name: &str, behaviour: Behaviour) -> &Self {
        lock(&self.world).behaviours.insert(name.to_owned(), behaviour);
        self
    }

    /// Answers the lines that any container is asked; each line of the answer is one of its output.
    pub fn on_ask(&self, answer: impl Fn(&str) -> String + Send + Sync + 'static) -> &Self {
        *lock(&self.ask) = Some(Arc::new(answer));
        self
    }

    /// Answers commands run in containers (name, words); `None` leaves one to the container's behaviour.
    pub fn on_exec(
        &self,
        answer: impl Fn(&str, &[String]) -> Option<Output> + Send + Sync + 'static,
    ) -> &Self {
        *lock(&self.exec) = Some(Arc::new(answer));
        self
    }

    /// Calls that start like this (`start`, `pull redis:8`) take this long.
    pub fn slow(&self, call: &str, time: Duration) -> &Self {
        lock(&self.faults).slow.push((call.to_owned(), time));
        self
    }

    /// The `n`-th call from now (the first is 1) goes wrong in this way.
    pub fn fault_at(&self, n: usize, fault: Fault) -> &Self {
        let mut faults = lock(&self.faults);
        let at = faults.calls.len() + n;
        faults.at.insert(at, fault);
        drop(faults);
        self
    }

    /// The `n`-th call from now is refused.
    pub fn fail_at(&self, n: usize) -> &Self {
        self.fault_at(n, Fault::Fail)
    }

    /// The `n`-th call from now never returns, nor does any after it: the process was killed before it.
    pub fn stop_at(&self, n: usize) -> &Self {
        self.fault_at(n, Fault::Stop)
    }

    /// Each call that starts like this (`start`, `start web`) goes wrong in this way.
    pub fn fault_on(&self, call: &str, fault: Fault) -> &Self {
        lock(&self.faults).on.push((call.to_owned(), fault));
        self
    }

    /// Takes all faults back, a stop too: the next process begins.
    pub fn heal(&self) -> &Self {
        let mut faults = lock(&self.faults);
        faults.at.clear();
        faults.on.clear();
        faults.stopped = false;
        drop(faults);
        self
    }

    /// The calls so far: `create web`, `exec web: true`, `observe`.
    pub fn calls(&self) -> Vec<String> {
        lock(&self.faults).calls.clone()
    }

    /// The calls so far that change something.
    pub fn changes(&self) -> Vec<String> {
        let reads = [
            "observe", "info", "image", "inspect", "usage", "exec", "ask", "logs", "read_", "wait",
        ];
        let mut calls = self.calls();
        calls.retain(|call| !reads.iter().any(|read| call.starts_with(read)));
        calls
    }

    pub fn forget_calls(&self) -> &Self {
        lock(&self.faults).calls.clear();
        self
    }

    /// What is there, without a call.
    pub fn seen(&self) -> Observed {
        lock(&self.world).observed()
    }

    pub fn seen_images(&self) -> Vec<Image> {
        lock(&self.world).images.clone()
    }

    /// The engine's clock: milliseconds since 1970.
    pub fn clock(&self) -> i64 {
        lock(&self.world).clock()
    }

    /// A running container ends on its own.
    pub fn end(&self, name: &str, code: i64) {
        lock(&self.world).end(name, code);
        self.changed.notify_waiters();
    }

    /// The removal of a container came to no end.
    pub fn dies(&self, name: &str) {
        lock(&self.world).dies(name);
        self.changed.notify_waiters();
    }

    /// A file in a volume.
    pub fn volume_file(&self, volume: &str, path: &str) -> Option<Vec<u8>> {
        let world = lock(&self.world);
        world.volumes.get(volume)?.files.get(path.trim_start_matches('/')).cloned()
    }

    /// The files of a volume whose paths begin like this, by the rest of their paths.
    pub fn volume_folder(&self, volume: &str, start: &str) -> Vec<(String, Vec<u8>)> {
        let world = lock(&self.world);
        let files = world.volumes.get(volume).into_iter().flat_map(|volume| &volume.files);
        let inside = files.filter_map(|(path, bytes)| Some((path.strip_prefix(start)?, bytes)));
        inside.map(|(path, bytes)| (path.to_owned(), bytes.clone())).collect()
    }

    /// A file of a container, without a call.
    pub fn container_file(&self, container: &str, path: &str) -> Option<Vec<u8>> {
        lock(&self.world).read(container, path).ok()?
    }

    /// Puts a file into a volume, as a process in a container does.
    pub fn set_volume_file(&self, volume: &str, path: &str, content: &[u8]) {
        if let Some(volume) = lock(&self.world).volumes.get_mut(volume) {
            volume.files.insert(path.trim_start_matches('/').to_owned(), content.to_owned());
        }
    }

    /// Runs `work` as a process that may be killed: `None` when a stop struck.
    pub async fn until_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let stopped = self.stopped.notified();
        tokio::select! {
            biased;
            done = work => Some(done),
            () = stopped => None,
        }
    }

    /// One call: noted, then delayed, failed or stopped as told; else done at one instant.
    async fn call<T>(
        &self,
        text: String,
        act: impl FnOnce(&mut World) -> Result<T> + Send,
    ) -> Result<T> {
        let (fault, time) = lock(&self.faults).note(&text);
        if let Some(time) = time {
            #[expect(clippy::disallowed_methods, reason = "the engine's own work")]
            tokio::time::sleep(time).await;
        }
        match fault {
            Some(Fault::Fail) => return Err(refused(&text, 500, "injected fault")),
            Some(Fault::Stop) => self.halt().await,
            _ => {}
        }
        let done = act(&mut lock(&self.world));
        self.changed.notify_waiters();
        match fault {
            Some(Fault::LoseAnswer) => Err(EngineError::Io {
                intention: text,
                reason: "the connection broke (injected fault)".to_owned(),
            }),
            Some(Fault::StopAfter) => self.halt().await,
            Some(Fault::TakeBack) => {
                if let Some(name) = text.strip_prefix("create ") {
                    lock(&self.world).take_back(name);
                }
                self.halt().await
            }
            _ => done,
        }
    }

    async fn halt<T>(&self) -> T {
        self.stopped.notify_waiters();
        std::future::pending().await
    }
}

fn refused(intention: &str, status: u16, reason: &str) -> EngineError {
    EngineError::Refused { intention: intention.to_owned(), status, reason: reason.to_owned() }
}

/// An id like an engine's, the same for the same thing.
fn id_of(thing: &str) -> String {
    format!("{}{}", hash_of(&thing), hash_of(&(thing, 1)))
}
