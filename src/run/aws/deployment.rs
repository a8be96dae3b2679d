//! What brings the stack to what it shall be.

use std::{collections::BTreeMap, time::Duration};

use super::{
    AwsFailure, Standing, connect,
    connect::when_ready,
    standing::{change_set_name, hidden, standing},
};
use crate::{
    aws::{self, AwsError, Client, HIDDEN, Parameter, Stack},
    engine::{self, Engine},
    plan::AwsJob,
    run::{Poll, RunError, WaitError, poll},
};

type Progress<'a> = &'a (dyn Fn(engine::Step) + Send + Sync);

/// The longest that a stack is waited for.
pub(super) const LIMIT: Duration = Duration::from_secs(900);
/// The account in which a change is rehearsed on LocalStack.
const REHEARSAL: &str = "999999999999";
/// The id that LocalStack gives to what it does not have and says it made.
const MOCKED: &str = "unknown";

/// Brings the stack to what it shall be, and returns its outputs.
pub async fn deploy(
    engine: &dyn Engine,
    job: &AwsJob,
    progress: Progress<'_>,
) -> Result<BTreeMap<String, String>, RunError> {
    let client = when_ready(engine, job).await?;
    Deployment { client: &client, job, progress }.run(engine).await
}

struct Deployment<'a> {
    client: &'a Client,
    job: &'a AwsJob,
    progress: Progress<'a>,
}

/// What a change set is made of.
struct Wanted<'a> {
    new: bool,
    template: &'a str,
    parameters: &'a [Parameter],
    /// What stands for the hidden values of them.
    hidden: &'a str,
    /// Whether its changes are said, and what would be lost is kept.
    told: bool,
}

fn call(job: &AwsJob, source: AwsError) -> RunError {
    AwsFailure::Call { stack: job.stack.clone(), source }.into()
}

impl Deployment<'_> {
    async fn run(&self, engine: &dyn Engine) -> Result<BTreeMap<String, String>, RunError> {
        let Self { client, job, .. } = *self;
        self.settled().await?;
        let mut standing = standing(client, job).await?;
        let fixed: Vec<aws::Resource> =
            if self.is_aws() { vec![] } else { standing.changes.not_made().cloned().collect() };
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
        if let Some(stack) = &standing.stack
            && !stack.is_whole()
            && standing.changes.is_empty()
            && !self.is_aws()
        {
            // Broken off while it failed: LocalStack keeps the template, and sees nothing to change in it.
            if !job.may_lose {
                return Err(self.broken(stack));
            }
            self.say(format!("makes all of it anew, since it is {}", stack.status));
            self.delete().await?;
            standing = Standing::default();
        }
        let whole = standing.stack.as_ref().is_some_and(Stack::is_whole);
        // Hidden values are not told: a change set finds out.
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
        let stack = stack.unwrap_or_default();
        if !stack.is_whole() {
            return Err(self.broken(&stack));
        }
        let mut outputs = stack.outputs;
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

    fn broken(&self, stack: &Stack) -> RunError {
        let status = stack.status.clone();
        AwsFailure::Broken { stack: self.job.stack.clone(), status }.into()
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
        !self.client.is_localstack()
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
        let wanted = Wanted {
            new,
            template: &job.template.body,
            parameters: &job.parameters,
            hidden: &hidden(job),
            told: true,
        };
        let Some(set) = self.change_set(&wanted).await? else { return Ok(()) };
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
            match self.back(before).await {
                Ok(true) => "\n  it is rolled back",
                _ => "\n  it could not be rolled back: what was changed stands",
            }
        };
        Err(self.failed(reasons, then))
    }

    /// The change set to execute; none where nothing is to change.
    async fn change_set(&self, wanted: &Wanted<'_>) -> Result<Option<String>, RunError> {
        let Self { client, job, .. } = *self;
        let Wanted { new, template, parameters, told, .. } = *wanted;
        let stack = job.stack.as_str();
        let name = change_set_name(wanted.hidden);
        let made = client.create_change_set((stack, &name), new, template, parameters).await;
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

    /// The template of before and its values, as far as they are told; whether the stack is as they have it.
    async fn back(&self, before: &Standing) -> Result<bool, RunError> {
        let told = before.stack.as_ref().map(|stack| stack.parameters.clone()).unwrap_or_default();
        let mut parameters = self.job.parameters.clone();
        parameters.retain(|parameter| told.contains_key(&parameter.name));
        for (name, value) in told.into_iter().filter(|(_, value)| value != HIDDEN) {
            parameters.retain(|parameter| parameter.name != name);
            parameters.push(Parameter { name, value, hidden: false });
        }
        // What is hidden may be that of before or not: the next deployment sets it.
        let wanted = Wanted {
            new: false,
            template: &before.template,
            parameters: &parameters,
            hidden: "pback",
            told: false,
        };
        let Some(set) = self.change_set(&wanted).await? else { return Ok(true) };
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
