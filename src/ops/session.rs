//! What every use case works with.

use std::{cell::RefCell, collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use futures_util::future::LocalBoxFuture;
use tokio_util::sync::CancellationToken;

use super::{
    Journal, OpsError,
    secret::{SHORTEST, is_secret},
};
use crate::{
    config::{Project, Shell},
    engine::Engine,
    model::{Color, Observed, Routing},
    plan::{Id, Plan},
    run::{Event, Executor, Heard, Reporter, Secrets},
};

/// What every use case works with: the engine, an opened project, where to report.
pub struct Session<'a> {
    pub engine: &'a dyn Engine,
    pub project: &'a Project,
    pub shell: &'a Shell,
    pub reporter: &'a dyn Reporter,
    /// Set by Ctrl-C and SIGTERM.
    pub cancel: CancellationToken,
    /// How long to wait for another operation of the environment.
    pub lock_wait: Duration,
    /// The longest that a service may take to get ready.
    pub wait: Duration,
    /// Envctl's own executable, which the proxy's image is made of.
    pub executable: PathBuf,
    /// Where the engine's published ports are reached from here.
    pub host: String,
    /// What is under way, for the one who comes after a crash.
    pub journal: Arc<Journal>,
}

impl Session<'_> {
    pub fn who(&self) -> String {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim();
        format!("{}@{}", self.shell.user(), if host.is_empty() { "localhost" } else { host })
    }

    /// The same, of another environment or with other credentials.
    pub(super) fn with<'b>(&'b self, project: &'b Project) -> Session<'b> {
        Session {
            project,
            cancel: self.cancel.clone(),
            journal: Arc::clone(&self.journal),
            ..self.going_on()
        }
    }

    /// The same, to put in order what an interruption left.
    pub(super) fn going_on(&self) -> Session<'_> {
        Session {
            cancel: CancellationToken::new(),
            journal: Arc::default(),
            shell: self.shell,
            host: self.host.clone(),
            executable: self.executable.clone(),
            ..*self
        }
    }

    /// Looks at everything on the engine once.
    pub(super) async fn observe(&self) -> Result<Observed, OpsError> {
        Ok(self.engine.observe().await?)
    }

    /// Does what a plan says, until it is done or interrupted.
    pub(super) async fn execute(
        &self,
        plan: &Plan,
        color: Option<Color>,
    ) -> Result<BTreeMap<Id, Duration>, OpsError> {
        self.execute_with(plan, color, None).await
    }

    /// Does what a plan says, and `before_known` before the proxy is told of the stack.
    pub(super) async fn execute_with<'known>(
        &self,
        plan: &Plan,
        color: Option<Color>,
        before_known: Option<&dyn Fn() -> LocalBoxFuture<'known, ()>>,
    ) -> Result<BTreeMap<Id, Duration>, OpsError> {
        if plan.is_empty() {
            return Ok(BTreeMap::new());
        }
        let done = self.carry_out(before_known, plan, async |executor| executor.run(plan).await);
        done.await?.map_err(|failure| OpsError::Failed { failure: Box::new(failure), color })
    }

    /// Does what of a plan can be done, also after a failure; all failures come at the end.
    pub(super) async fn execute_through(&self, plan: &Plan) -> Result<(), OpsError> {
        if plan.is_empty() {
            return Ok(());
        }
        let done = self.carry_out(None, plan, async |executor| executor.run_through(plan).await);
        let mut failures = done.await?;
        match failures.len() {
            0 => Ok(()),
            1 => Err(OpsError::Failed { failure: Box::new(failures.remove(0)), color: None }),
            _ => Err(OpsError::Failures { failures }),
        }
    }

    /// Has an executor do what a plan says, until it is done or interrupted.
    async fn carry_out<'known, T>(
        &self,
        before_known: Option<&dyn Fn() -> LocalBoxFuture<'known, ()>>,
        plan: &Plan,
        run: impl AsyncFnOnce(&Executor<'_, 'known>) -> T,
    ) -> Result<T, OpsError> {
        let (proxy, secrets) = (self.project.names.proxy(), self.secrets());
        let noting = self.journal.noting(self.reporter);
        noting.on(Event::Planned(plan));
        let executor = Executor {
            engine: self.engine,
            proxy: &proxy,
            reporter: &noting,
            secrets: &secrets,
            before_known,
            heard: RefCell::default(),
            outputs: RefCell::default(),
            said: RefCell::default(),
        };
        tokio::select! {
            done = run(&executor) => Ok(done),
            () = self.cancel.cancelled() => Err(OpsError::Interrupted),
        }
    }

    /// Does what a plan says, and returns what came of its streams.
    pub(super) async fn execute_hearing(
        &self,
        plan: &Plan,
    ) -> Result<BTreeMap<Id, Heard>, OpsError> {
        let done = self.carry_out(None, plan, async |executor| {
            executor.run(plan).await.map(|_| executor.heard.take())
        });
        let failed = |failure| OpsError::Failed { failure: Box::new(failure), color: None };
        done.await?.map_err(failed)
    }

    /// The values of the project's credentials, wherever they come from, of what is named like one, and of hidden
    /// parameters of its template.
    pub(super) fn secrets(&self) -> Secrets {
        let project = self.project;
        let names = project.file.credentials.iter().chain(project.credentials.keys());
        let listed = names.filter_map(|name| project.variables.get(name));
        let named = project.variables.iter().filter(|(name, _)| is_secret(name));
        let named = named.map(|(_, value)| value).filter(|value| value.len() >= SHORTEST);
        let parameters = project.aws.iter().flat_map(|aws| &aws.parameters);
        let hidden = parameters.filter(|parameter| parameter.hidden).map(|hidden| &hidden.value);
        Secrets::new(listed.chain(named).chain(hidden))
    }

    /// The color that a command without one means: the one that does not serve.
    pub(super) fn idle(routing: &Routing) -> Color {
        routing.live.map_or(Color::Blue, Color::other)
    }
}
