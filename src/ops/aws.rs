//! The stack of AWS resources: what a plan has to do about it, how it stands, its queues.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    OpsError, Session,
    history::{self, Recorded},
    lock::locked,
};
use crate::{
    aws::{AwsError, Changes, Client, Deployed, Message, Stack},
    base::words,
    config::{self, Endpoint},
    model::{Color, Container, Observed, State, labels},
    plan::{
        self, At, Aws, AwsJob, Plan,
        desired::{App, Durable, is_of},
    },
    run::{self, AwsFailure, NoWay, Poll, Standing, WaitError},
};

/// The longest that moving dead letters is waited for.
const REDRIVE: Duration = Duration::from_secs(600);

impl From<NoWay> for OpsError {
    fn from(error: NoWay) -> Self {
        match error {
            NoWay::Engine(error) => Self::Engine(error),
            NoWay::Aws(failure) => Self::Aws(failure),
        }
    }
}

fn job(aws: &config::Aws, at: At, may_lose: bool) -> AwsJob {
    AwsJob {
        stack: aws.stack.clone(),
        at,
        region: aws.region.clone(),
        template: aws.template.clone(),
        parameters: aws.parameters.clone(),
        identities: aws.identities.clone(),
        may_lose,
    }
}

/// The container of the service that stands for AWS: that of the color where it is of the app, else the durable layer's.
fn container<'a>(
    session: &Session<'_>,
    observed: &'a Observed,
    key: &str,
    color: Option<Color>,
) -> Option<&'a Container> {
    let own = |container: &&Container| {
        container.belongs_to(&session.project.names)
            && container.label(labels::SERVICE) == Some(key)
    };
    let of = |layer: &str, color: Option<Color>| {
        observed.containers.iter().filter(own).find(|container| {
            container.label(labels::LAYER) == Some(layer)
                && container.label(labels::COLOR) == color.map(Color::as_str)
        })
    };
    color.and_then(|color| of("app", Some(color))).or_else(|| of("durable", None))
}

/// Where what stands for AWS is reached now.
fn place(
    session: &Session<'_>,
    observed: &Observed,
    endpoint: &Endpoint,
    color: Option<Color>,
) -> Result<At, OpsError> {
    match endpoint {
        Endpoint::Service { key, port } => {
            let found = container(session, observed, key, color);
            let Some(found) = found.filter(|found| found.is_running()) else {
                return Err(OpsError::AwsDown { service: key.clone() });
            };
            Ok(At::Container { name: found.name.clone(), port: *port })
        }
        Endpoint::Url { url, credentials } => {
            let credentials = credentials.clone().ok_or(OpsError::NoAwsCredentials)?;
            Ok(At::Url { url: url.clone(), credentials })
        }
    }
}

async fn stands(session: &Session<'_>, job: &AwsJob) -> Result<Standing, OpsError> {
    let client = run::connect_aws(session.engine, job).await?;
    Ok(run::aws_standing(&client, job).await?)
}

/// Why the stack is to be deployed; none where it is as it shall be.
async fn reason(session: &Session<'_>, job: &AwsJob) -> Option<String> {
    match stands(session, job).await {
        Ok(standing) if standing.is_current() => None,
        Ok(standing) => Some(standing.reason()),
        Err(error) => Some(format!("what it changes is not known: {error}")),
    }
}

/// What the deployment of a color has to do about the stack.
pub(super) async fn for_app(
    session: &Session<'_>,
    observed: &Observed,
    app: &App,
) -> Result<Option<Aws>, OpsError> {
    let Some(aws) = &session.project.aws else { return Ok(None) };
    if let Endpoint::Service { key, port } = &aws.endpoint
        && let Some(own) = app.services.iter().find(|service| service.key == *key)
    {
        let name = own.replicas.first().map(|spec| spec.name.clone()).unwrap_or_default();
        // It is the color's alone, and starts anew with it.
        let job = job(aws, At::Container { name, port: *port }, true);
        return Ok(Some(Aws { job, service: Some(key.clone()), reason: None }));
    }
    let job = job(aws, place(session, observed, &aws.endpoint, None)?, false);
    let reason = reason(session, &job).await;
    Ok(Some(Aws { job, service: None, reason }))
}

/// What `durable up` has to do about the stack: only where its own layer has what stands for AWS.
pub(super) async fn for_durable(
    session: &Session<'_>,
    observed: &Observed,
    durable: &Durable,
    apply: bool,
) -> Result<Option<Aws>, OpsError> {
    let Some(aws) = &session.project.aws else { return Ok(None) };
    let Endpoint::Service { key, port } = &aws.endpoint else {
        let used = durable.services.iter().flat_map(|own| &own.replicas).any(plan::uses_outputs);
        if !used {
            return Ok(None);
        }
        let job = job(aws, place(session, observed, &aws.endpoint, None)?, false);
        return Ok(Some(Aws { job, service: None, reason: None }));
    };
    let Some(own) = durable.services.iter().find(|service| service.key == *key) else {
        return Ok(None);
    };
    let spec = &own.replicas[0];
    let at = At::Container { name: spec.name.clone(), port: *port };
    let job = job(aws, at, apply);
    let found = observed.container(&spec.name).filter(|found| found.is_running());
    let reason = match found {
        Some(found) if matches!(found.state, State::Running { .. }) => {
            // Where it is to be another container, the planner knows.
            let stays = !apply || is_of(found, spec);
            if stays { reason(session, &job).await } else { None }
        }
        // It starts with nothing in it.
        _ => None,
    };
    Ok(Some(Aws { job, service: Some(key.clone()), reason }))
}

/// The stack for its outputs alone.
pub(super) fn for_outputs(
    session: &Session<'_>,
    observed: &Observed,
    color: Color,
) -> Result<Option<Aws>, OpsError> {
    let Some(aws) = &session.project.aws else { return Ok(None) };
    let at = match place(session, observed, &aws.endpoint, Some(color)) {
        // Whoever needs an output says so.
        Err(OpsError::AwsDown { .. }) => return Ok(None),
        at => at?,
    };
    Ok(Some(Aws { job: job(aws, at, false), service: None, reason: None }))
}

/// Whether the stack is as it shall be and the containers of a live color have the outputs that it now has.
pub(super) async fn is_current(
    session: &Session<'_>,
    observed: &Observed,
    app: &App,
) -> Result<bool, OpsError> {
    let Some(aws) = &session.project.aws else { return Ok(true) };
    let Ok(at) = place(session, observed, &aws.endpoint, Some(app.color)) else {
        return Ok(false);
    };
    let Ok(standing) = stands(session, &job(aws, at, false)).await else { return Ok(false) };
    let outputs = standing.stack.as_ref().map(|stack| stack.outputs.clone()).unwrap_or_default();
    let specs = app.services.iter().flat_map(|service| &service.replicas);
    let same = specs.filter(|spec| plan::uses_outputs(spec)).all(|spec| {
        observed.container(&spec.name).is_some_and(|found| {
            found.label(labels::AWS_OUTPUTS) == Some(run::outputs_hash(spec, &outputs).as_str())
        })
    });
    Ok(same && standing.is_current())
}

/// The stack as it is, beside what it shall be.
#[derive(Debug, Serialize)]
pub struct AwsStatus {
    pub stack: String,
    /// `shop-ci-durable-localstack:4566`, or a URL.
    pub at: String,
    /// `CREATE_COMPLETE`; none where there is no such stack.
    pub status: Option<String>,
    pub resources: Vec<Deployed>,
    /// What a deployment would change.
    pub changes: Changes,
    /// Secrets whose value is another than that of the file.
    pub secrets: Vec<String>,
    /// Senders of mail that are not known.
    pub identities: Vec<String>,
    pub outputs: BTreeMap<String, String>,
}

/// An opened stack.
struct Opened<'a> {
    aws: &'a config::Aws,
    job: AwsJob,
    client: Client,
}

impl Opened<'_> {
    fn call(&self, source: AwsError) -> OpsError {
        AwsFailure::Call { stack: self.job.stack.clone(), source }.into()
    }

    /// The URL of a queue that the file names.
    async fn queue(&self, name: &str) -> Result<String, OpsError> {
        let queues = &self.aws.template.queues;
        let none = || OpsError::NoQueue {
            name: name.to_owned(),
            known: queues.keys().cloned().collect(),
            near: words::nearest(name, queues.keys().map(String::as_str)).map(str::to_owned),
        };
        let by_id = || queues.values().find(|id| *id == name);
        let id = queues.get(name).or_else(by_id).ok_or_else(none)?;
        let all = self.client.resources(&self.job.stack).await;
        let all = all.map_err(|source| self.call(source))?;
        let found = all.into_iter().find(|resource| resource.id == *id);
        found.map(|resource| resource.name).ok_or_else(|| {
            let stack = self.job.stack.clone();
            OpsError::NotOnAws { queue: name.to_owned(), stack }
        })
    }
}

async fn open<'a>(session: &'a Session<'_>, color: Option<Color>) -> Result<Opened<'a>, OpsError> {
    let aws = session.project.aws.as_ref().ok_or(OpsError::NoAws)?;
    let observed = session.observe().await?;
    let color = match (color, &aws.endpoint) {
        (None, Endpoint::Service { .. }) => super::state::routing(session, &observed).await?.live,
        (color, _) => color,
    };
    let job = job(aws, place(session, &observed, &aws.endpoint, color)?, false);
    let client = run::connect_aws(session.engine, &job).await?;
    Ok(Opened { aws, job, client })
}

/// How the stack stands; `color` says which, where each color has its own.
pub async fn aws_status(
    session: &Session<'_>,
    color: Option<Color>,
) -> Result<AwsStatus, OpsError> {
    let opened = open(session, color).await?;
    let Opened { job, client, .. } = &opened;
    let Standing { stack, changes, secrets, identities, .. } =
        run::aws_standing(client, job).await?;
    let resources = match &stack {
        Some(_) => client.resources(&job.stack).await.map_err(|source| opened.call(source))?,
        None => vec![],
    };
    Ok(AwsStatus {
        stack: job.stack.clone(),
        at: job.at.to_string(),
        status: stack.as_ref().map(|stack| stack.status.clone()),
        resources,
        changes,
        secrets,
        identities,
        outputs: stack.map(|stack| stack.outputs).unwrap_or_default(),
    })
}

/// The outputs of the stack.
pub async fn aws_outputs(
    session: &Session<'_>,
    color: Option<Color>,
) -> Result<BTreeMap<String, String>, OpsError> {
    let opened = open(session, color).await?;
    let stack = opened.client.stack(&opened.job.stack).await;
    let stack: Option<Stack> = stack.map_err(|source| opened.call(source))?;
    let stack = stack.ok_or_else(|| OpsError::NoStack { stack: opened.job.stack.clone() })?;
    Ok(stack.outputs)
}

/// Deploys the stack, also what takes resources away.
pub async fn aws_apply(session: &Session<'_>, color: Option<Color>) -> Result<Plan, OpsError> {
    locked(session, "aws apply", async || {
        let Opened { mut job, client, .. } = open(session, color).await?;
        let standing = run::aws_standing(&client, &job).await?;
        drop(client);
        job.may_lose = true;
        let mut plan = Plan::default();
        // Parameters of a template are not all told: it is asked.
        if !standing.is_current() || !job.parameters.is_empty() {
            let title = format!("deploy aws stack {}", job.stack);
            let reason = standing.reason();
            plan.push([], plan::Action::DeployAws(Box::new(job)), title, reason);
            let recorded = Recorded::new("aws apply").plan(&plan);
            history::recorded(session, recorded, async || session.execute(&plan, None).await)
                .await?;
        }
        Ok(plan)
    })
    .await
}

/// The messages of a queue, without taking any.
pub async fn peek(
    session: &Session<'_>,
    color: Option<Color>,
    queue: &str,
) -> Result<Vec<Message>, OpsError> {
    let opened = open(session, color).await?;
    let url = opened.queue(queue).await?;
    let client = &opened.client;
    let seen = if client.is_localstack() {
        client.look_into(&url).await
    } else {
        // AWS has no look that does not count.
        let attributes = client.queue_attributes(&url).await;
        let attributes = attributes.map_err(|source| opened.call(source))?;
        if attributes.contains_key("RedrivePolicy") {
            return Err(OpsError::LookCounts { queue: queue.to_owned() });
        }
        client.receive(&url).await
    };
    seen.map_err(|source| opened.call(source))
}

/// Moves dead letters back to the queue that they came from, and returns how many; `queue` is either of the two.
pub async fn redrive(
    session: &Session<'_>,
    color: Option<Color>,
    queue: &str,
) -> Result<u64, OpsError> {
    let opened = open(session, color).await?;
    let url = opened.queue(queue).await?;
    let client = &opened.client;
    let attributes = client.queue_attributes(&url).await;
    let attributes = attributes.map_err(|source| opened.call(source))?;
    let dead = attributes
        .get("RedrivePolicy")
        .and_then(|policy| serde_json::from_str::<serde_json::Value>(policy).ok())
        .and_then(|policy| policy["deadLetterTargetArn"].as_str().map(str::to_owned));
    let arn = dead.or_else(|| attributes.get("QueueArn").cloned()).unwrap_or_default();
    client.move_back(&arn).await.map_err(|source| opened.call(source))?;
    let moved = run::poll(REDRIVE, async || {
        let moved = client.moved(&arn).await?;
        Ok(match moved.status.as_str() {
            "RUNNING" | "CREATED" | "" => Poll::Pending(format!("{} moved so far", moved.moved)),
            _ => Poll::Ready(moved),
        })
    });
    let not_moved = |reason: String| OpsError::NotMoved { queue: queue.to_owned(), reason };
    let moved = moved.await.map_err(|error| match error {
        WaitError::Failed(source) => opened.call(source),
        WaitError::Deadline(reason) => {
            not_moved(format!("not done after {} s, {reason}", REDRIVE.as_secs()))
        }
    })?;
    if moved.status == "COMPLETED" {
        return Ok(moved.moved);
    }
    let reason = moved.reason.as_deref().unwrap_or("no reason is given");
    Err(not_moved(format!("it ended as {} after {} messages: {reason}", moved.status, moved.moved)))
}
