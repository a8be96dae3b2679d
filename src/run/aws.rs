//! The stack of AWS resources: how it stands, and what brings it to what it shall be.

use std::{borrow::Cow, collections::BTreeMap, io, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio_util::io::StreamReader;

use super::{Poll, RunError, Secrets, WaitError, poll};
use crate::{
    aws::{self, AwsError, Changes, Client, Stack},
    engine::{self, Engine, LogChunk},
    model::{ServiceSpec, hash_of, labels},
    plan::{At, AwsJob, uses_outputs},
};

type Progress<'a> = &'a (dyn Fn(engine::Step) + Send + Sync);

/// The longest that a stack is waited for.
const LIMIT: Duration = Duration::from_secs(900);
/// The account in which a change is rehearsed on LocalStack.
const REHEARSAL: &str = "999999999999";
/// The id that LocalStack gives to what it does not have and says it made.
const MOCKED: &str = "unknown";
/// Carries a connection between its own streams and a port of its container; a Python, since LocalStack has one.
const TUNNEL: &str = "\
import os, socket, sys, threading
try:
    port = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10)
except OSError as error:
    sys.exit(str(error))
port.settimeout(None)
def sent():
    while data := os.read(0, 65536):
        port.sendall(data)
    os._exit(0)
threading.Thread(target=sent, daemon=True).start()
while data := port.recv(65536):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
";

/// Why the stack is not what it shall be.
#[derive(Debug, thiserror::Error)]
pub enum AwsFailure {
    #[error("aws stack {stack}: {source}")]
    Call { stack: String, source: AwsError },
    /// Resources could not be made, changed or removed.
    #[error("aws stack {stack} was not deployed: {}{then}", reasons.join("\n  "))]
    Stack {
        stack: String,
        /// `OrdersQueue (AWS::SQS::Queue): …`.
        reasons: Vec<String>,
        /// What became of it.
        then: String,
    },
    #[error(
        "aws stack {stack} would lose {}, which what is live may use",
        lost.iter().map(|it| format!("{} ({})", it.id, it.kind)).collect::<Vec<_>>().join(", ")
    )]
    WouldLose { stack: String, lost: Vec<aws::Resource> },
    /// LocalStack would say that it did, and leave them as they are.
    #[error(
        "aws stack {stack}: LocalStack cannot change {}",
        fixed.iter().map(|it| format!("{} ({})", it.id, it.kind)).collect::<Vec<_>>().join(", ")
    )]
    Fixed { stack: String, fixed: Vec<aws::Resource> },
    #[error("aws stack {stack} is still busy after {} s: {reason}", LIMIT.as_secs())]
    Late { stack: String, reason: String },
}

impl AwsFailure {
    pub(super) fn redact(&mut self, secrets: &Secrets) {
        match self {
            Self::Stack { reasons, then, .. } => {
                for text in reasons.iter_mut().chain([then]) {
                    *text = secrets.redact(text);
                }
            }
            Self::Late { reason, .. } => *reason = secrets.redact(reason),
            Self::Call { source: AwsError::Refused { message, .. }, .. } => {
                *message = secrets.redact(message);
            }
            Self::Call { .. } | Self::WouldLose { .. } | Self::Fixed { .. } => {}
        }
    }
}

/// How a stack stands beside what it shall be.
#[derive(Debug, Default)]
pub struct Standing {
    /// None: there is no such stack.
    pub stack: Option<Stack>,
    /// The template that it was last given.
    pub template: String,
    pub changes: Changes,
    /// Secrets whose value is another.
    pub secrets: Vec<String>,
    /// Senders of mail that are not known.
    pub identities: Vec<String>,
}

impl Standing {
    /// Whether nothing is to be done.
    pub fn is_current(&self) -> bool {
        self.stack.as_ref().is_some_and(Stack::is_whole)
            && self.changes.is_empty()
            && self.secrets.is_empty()
            && self.identities.is_empty()
    }

    /// Why something is to be done, for people.
    pub fn reason(&self) -> String {
        let Some(stack) = &self.stack else {
            return format!("not found: {}", self.changes);
        };
        let mut parts = vec![];
        if !stack.is_whole() {
            parts.push(format!("it is {}", stack.status));
        }
        if !self.changes.is_empty() {
            parts.push(self.changes.to_string());
        }
        for (what, names) in [("sets", &self.secrets), ("asks to verify", &self.identities)] {
            if !names.is_empty() {
                parts.push(format!("{what} {}", names.join(", ")));
            }
        }
        parts.join("; ")
    }
}

/// A client of what the job's stack is deployed to.
pub async fn connect(engine: &dyn Engine, job: &AwsJob) -> Result<Client, RunError> {
    let made = match &job.at {
        At::Url { url, credentials } => Client::at(url, &job.region, credentials.clone()),
        At::Container { name, port } => {
            let command = ["python3", "-c", TUNNEL, &port.to_string()].map(str::to_owned);
            let engine::Pipe { input, output, end: _ } = engine.pipe(name, &command).await?;
            let output = output.map(|chunk| match chunk {
                Ok(LogChunk { stderr: false, bytes }) => Ok::<Bytes, _>(bytes),
                // What keeps the connection from being made.
                Ok(LogChunk { bytes, .. }) => {
                    Err(io::Error::other(String::from_utf8_lossy(&bytes).trim().to_owned()))
                }
                Err(error) => Err(io::Error::other(error)),
            });
            let stream = tokio::io::join(StreamReader::new(output), input);
            Client::over(stream, (name, *port), &job.region).await
        }
    };
    made.map_err(|source| call(job, source))
}

fn call(job: &AwsJob, source: AwsError) -> RunError {
    AwsFailure::Call { stack: job.stack.clone(), source }.into()
}

/// Looks how a stack stands, and changes nothing.
pub async fn standing(client: &Client, job: &AwsJob) -> Result<Standing, RunError> {
    look(client, job).await.map_err(|source| call(job, source))
}

async fn look(client: &Client, job: &AwsJob) -> Result<Standing, AwsError> {
    let stack = client.stack(&job.stack).await?;
    let made = stack.as_ref().is_some_and(|stack| stack.status != "REVIEW_IN_PROGRESS");
    let template = if made { client.template(&job.stack).await? } else { String::new() };
    let mut standing = Standing {
        changes: aws::compare(&template, &job.template.body),
        stack: stack.filter(|_| made),
        template,
        ..Standing::default()
    };
    for secret in &job.template.secrets {
        let now = if made { client.secret(&secret.name).await? } else { None };
        if now.as_deref() != Some(secret.wanted(now.as_deref()).as_str()) {
            standing.secrets.push(secret.name.clone());
        }
    }
    if !job.identities.is_empty() {
        let known = client.identities().await?;
        let unknown = job.identities.iter().filter(|identity| !known.contains(identity));
        standing.identities = unknown.cloned().collect();
    }
    Ok(standing)
}

/// Brings the stack to what it shall be, and returns its outputs.
pub(super) async fn deploy(
    engine: &dyn Engine,
    job: &AwsJob,
    progress: Progress<'_>,
) -> Result<BTreeMap<String, String>, RunError> {
    let client = connect(engine, job).await?;
    Deployment { client: &client, job, progress }.run(engine).await
}

struct Deployment<'a> {
    client: &'a Client,
    job: &'a AwsJob,
    progress: Progress<'a>,
}

impl Deployment<'_> {
    async fn run(&self, engine: &dyn Engine) -> Result<BTreeMap<String, String>, RunError> {
        let Self { client, job, .. } = *self;
        self.settled().await?;
        let mut standing = standing(client, job).await?;
        let fixed: Vec<aws::Resource> = match job.at {
            At::Container { .. } => standing.changes.not_made().cloned().collect(),
            At::Url { .. } => vec![],
        };
        if standing.stack.is_some() && !fixed.is_empty() {
            if !job.may_lose {
                return Err(AwsFailure::Fixed { stack: job.stack.clone(), fixed }.into());
            }
            let names: Vec<&str> = fixed.iter().map(|it| it.id.as_str()).collect();
            self.say(format!(
                "makes all of it anew, since LocalStack cannot change {}",
                names.join(", ")
            ));
            self.delete().await?;
            standing = Standing::default();
        }
        let whole = standing.stack.as_ref().is_some_and(Stack::is_whole);
        // Values of parameters are not all told: a change set finds out.
        if !whole || !standing.changes.is_empty() || !job.parameters.is_empty() {
            if whole && !job.may_lose {
                self.keeps(standing.changes.lost().cloned().collect())?;
            }
            if standing.stack.is_some() && !standing.changes.is_empty() && !self.is_aws() {
                self.rehearse(engine).await?;
            }
            self.change(&standing).await?;
        }
        self.finish().await.map_err(|source| call(job, source))?;
        let stack = client.stack(&job.stack).await.map_err(|source| call(job, source))?;
        let mut outputs = stack.unwrap_or_default().outputs;
        outputs.retain(|name, _| job.template.outputs.contains(name));
        Ok(outputs)
    }

    /// Deploys the stack in an account of its own and takes it away again. LocalStack forgets resources of a stack whose
    /// update failed, so what cannot be deployed has to be found before.
    async fn rehearse(&self, engine: &dyn Engine) -> Result<(), RunError> {
        let Some(body) = aws::rehearsed(&self.job.template.body) else { return Ok(()) };
        let mut job = self.job.clone();
        job.template.body = body;
        let client = connect(engine, &job).await?.as_account(REHEARSAL);
        let rehearsal = Deployment { client: &client, job: &job, progress: &|_| () };
        if rehearsal.at_rest().await?.is_some() {
            // Of one that was broken off.
            rehearsal.delete().await?;
        }
        let done = rehearsal.change(&Standing::default()).await;
        match done {
            Ok(()) => rehearsal.delete().await,
            Err(RunError::Aws(AwsFailure::Stack { stack, reasons, .. })) => {
                let then = "\n  it is as it was: a rehearsal found that".to_owned();
                Err(AwsFailure::Stack { stack, reasons, then }.into())
            }
            Err(other) => Err(other),
        }
    }

    fn say(&self, line: String) {
        (self.progress)(engine::Step::Line(line));
    }

    fn keeps(&self, lost: Vec<aws::Resource>) -> Result<(), RunError> {
        if lost.is_empty() {
            return Ok(());
        }
        Err(AwsFailure::WouldLose { stack: self.job.stack.clone(), lost }.into())
    }

    fn failed(&self, reasons: Vec<String>, then: &str) -> RunError {
        AwsFailure::Stack { stack: self.job.stack.clone(), reasons, then: then.to_owned() }.into()
    }

    /// The stack when nothing is being done to it. One that never came to be is taken away: it takes no change.
    async fn settled(&self) -> Result<Option<Stack>, RunError> {
        let stack = self.at_rest().await?;
        match stack.as_ref().map(|stack| stack.status.as_str()) {
            Some("ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "DELETE_FAILED") if self.is_aws() => {
                self.delete().await?;
                Ok(None)
            }
            _ => Ok(stack),
        }
    }

    /// Whether the states of a stack are what AWS means by them: LocalStack calls an update rolled back that stands.
    const fn is_aws(&self) -> bool {
        matches!(self.job.at, At::Url { .. })
    }

    async fn at_rest(&self) -> Result<Option<Stack>, RunError> {
        let looked = poll(LIMIT, async || {
            let stack = self.client.stack(&self.job.stack).await?;
            Ok(match stack {
                Some(stack) if stack.is_under_way() => Poll::Pending(stack.status),
                stack => Poll::Ready(stack),
            })
        });
        looked.await.map_err(|error| self.over(error))
    }

    fn over(&self, error: WaitError<AwsError>) -> RunError {
        match error {
            WaitError::Failed(source) => call(self.job, source),
            WaitError::Deadline(reason) => {
                AwsFailure::Late { stack: self.job.stack.clone(), reason }.into()
            }
        }
    }

    async fn delete(&self) -> Result<(), RunError> {
        let deleted = self.client.delete_stack(&self.job.stack).await;
        deleted.map_err(|source| call(self.job, source))?;
        match self.at_rest().await? {
            None => Ok(()),
            Some(stack) => {
                let reason = stack.reason.unwrap_or_default();
                Err(self.failed(vec![format!("{}: {reason}", stack.status)], ""))
            }
        }
    }

    /// Changes the stack, and takes it back where that fails.
    async fn change(&self, before: &Standing) -> Result<(), RunError> {
        let Self { client, job, .. } = *self;
        let new = before.stack.is_none();
        let seen = if new { Ok(vec![]) } else { client.events(&job.stack).await };
        let seen = seen.map_err(|source| call(job, source))?;
        let last = seen.first().map(|event| event.event.clone());
        let Some(set) = self.change_set(new, &job.template.body, true).await? else {
            return Ok(());
        };
        let stack = self.execute(&set).await?;
        let mut reasons = if matches!(stack.status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE")
        {
            self.mocked().await?
        } else {
            self.reasons(last.as_deref(), &stack).await?
        };
        if reasons.is_empty() {
            return Ok(());
        }
        reasons.truncate(6);
        let then = if self.is_aws() && stack.status.contains("ROLLBACK_COMPLETE") {
            "\n  CloudFormation has rolled it back"
        } else if new {
            match self.delete().await {
                Ok(()) => "\n  nothing of it stands",
                Err(_) => "\n  what stands of it could not be removed",
            }
        } else {
            match self.back(&before.template).await {
                Ok(true) => "\n  it is rolled back",
                _ => "\n  it could not be rolled back: what was changed stands",
            }
        };
        Err(self.failed(reasons, then))
    }

    /// The change set to execute; none where nothing is to change.
    async fn change_set(
        &self,
        new: bool,
        template: &str,
        told: bool,
    ) -> Result<Option<String>, RunError> {
        let Self { client, job, .. } = *self;
        let stack = job.stack.as_str();
        let name = format!("envctl-{}", crate::base::clock::id().replace('.', "-"));
        let made = client.create_change_set((stack, &name), new, template, &job.parameters).await;
        if let Err(source) = made {
            return Err(match source {
                AwsError::Refused { message, .. } => self.failed(vec![message], ""),
                other => call(job, other),
            });
        }
        let described = poll(LIMIT, async || {
            let set = client.change_set(stack, &name).await?;
            Ok(match set.status.as_str() {
                "CREATE_PENDING" | "CREATE_IN_PROGRESS" => Poll::Pending(set.status),
                _ => Poll::Ready(set),
            })
        });
        let set = described.await.map_err(|error| self.over(error))?;
        if set.status == "FAILED" {
            let reason = set.reason.unwrap_or_default();
            let dropped = client.delete_change_set(stack, &name).await;
            let nothing = ["didn't contain changes", "No updates are to be performed"];
            if !new && nothing.iter().any(|words| reason.contains(words)) {
                return Ok(None);
            }
            if new {
                // What a change set of a new stack leaves.
                self.delete().await?;
            } else {
                dropped.map_err(|source| call(job, source))?;
            }
            return Err(self.failed(vec![reason], ""));
        }
        if !told {
            return Ok(Some(name));
        }
        let lost = set.changes.iter().filter(|change| change.action == "Remove" || change.replaced);
        let lost: Vec<aws::Resource> = lost
            .map(|change| aws::Resource { id: change.id.clone(), kind: change.kind.clone() })
            .collect();
        if !job.may_lose
            && let Err(error) = self.keeps(lost)
        {
            client.delete_change_set(stack, &name).await.map_err(|source| call(job, source))?;
            return Err(error);
        }
        for change in &set.changes {
            let verb = match (change.action.as_str(), change.replaced) {
                ("Add", _) => "adds",
                ("Remove", _) => "removes",
                (_, true) => "replaces",
                _ => "changes",
            };
            self.say(format!("{verb} {} ({})", change.id, change.kind));
        }
        Ok(Some(name))
    }

    async fn execute(&self, set: &str) -> Result<Stack, RunError> {
        let done = self.client.execute_change_set(&self.job.stack, set).await;
        done.map_err(|source| call(self.job, source))?;
        Ok(self.at_rest().await?.unwrap_or_default())
    }

    /// The template of before; whether the stack is as that has it.
    async fn back(&self, template: &str) -> Result<bool, RunError> {
        let Some(set) = self.change_set(false, template, false).await? else { return Ok(true) };
        let stack = self.execute(&set).await?;
        Ok(matches!(stack.status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE"))
    }

    /// Why resources failed, the first one first.
    async fn reasons(&self, last: Option<&str>, stack: &Stack) -> Result<Vec<String>, RunError> {
        let events = self.client.events(&self.job.stack).await;
        let events = events.map_err(|source| call(self.job, source))?;
        let new = events.into_iter().take_while(|event| Some(event.event.as_str()) != last);
        let mut reasons: Vec<String> = new
            .filter(|event| {
                let reason = event.reason.as_deref().unwrap_or_default();
                event.status.ends_with("_FAILED")
                    && event.kind != "AWS::CloudFormation::Stack"
                    && !reason.contains("cancelled")
            })
            .map(|event| {
                let reason = event.reason.unwrap_or_else(|| event.status.clone());
                format!("{} ({}): {reason}", event.id, event.kind)
            })
            .collect();
        reasons.reverse();
        reasons.dedup();
        if reasons.is_empty() {
            let reason = stack.reason.as_deref().unwrap_or("no reason is given");
            reasons.push(format!("{}: {reason}", stack.status));
        }
        Ok(reasons)
    }

    /// What LocalStack says it made and does not have.
    async fn mocked(&self) -> Result<Vec<String>, RunError> {
        if self.is_aws() {
            return Ok(vec![]);
        }
        let all = self.client.resources(&self.job.stack).await;
        let all = all.map_err(|source| call(self.job, source))?;
        let mocked = all.into_iter().filter(|resource| resource.name == MOCKED);
        Ok(mocked
            .map(|it| format!("{} ({}): what stands for AWS here does not have it", it.id, it.kind))
            .collect())
    }

    /// What is no part of the stack.
    async fn finish(&self) -> Result<(), AwsError> {
        let Self { client, job, .. } = *self;
        for secret in &job.template.secrets {
            let now = client.secret(&secret.name).await?;
            let wanted = secret.wanted(now.as_deref());
            if now.as_deref() != Some(wanted.as_str()) {
                client.put_secret(&secret.name, &wanted).await?;
                self.say(format!("sets the value of {}", secret.name));
            }
        }
        if !job.identities.is_empty() {
            let known = client.identities().await?;
            for identity in job.identities.iter().filter(|identity| !known.contains(identity)) {
                client.verify_identity(identity).await?;
                self.say(format!("asks to verify {identity}"));
            }
        }
        Ok(())
    }
}

/// The specification with outputs in its variables, and a label that tells which; the name of the first output that
/// there is not.
pub(super) fn filled<'a>(
    spec: &'a ServiceSpec,
    outputs: &BTreeMap<String, String>,
) -> Result<Cow<'a, ServiceSpec>, String> {
    if !uses_outputs(spec) {
        return Ok(Cow::Borrowed(spec));
    }
    let mut filled = spec.clone();
    for value in filled.environment.values_mut() {
        *value = aws::fill(value, outputs)?;
    }
    let hash = outputs_hash(spec, outputs);
    filled.labels.insert(labels::AWS_OUTPUTS.to_owned(), hash);
    Ok(Cow::Owned(filled))
}

/// Hash of the outputs that a container's variables have.
pub fn outputs_hash(spec: &ServiceSpec, outputs: &BTreeMap<String, String>) -> String {
    let used = spec.environment.values().flat_map(|value| aws::uses(value));
    hash_of(&used.map(|name| (name, outputs.get(name))).collect::<BTreeMap<_, _>>())
}
