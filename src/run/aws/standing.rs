//! How the stack stands beside what it shall be.

use super::AwsFailure;
use crate::{
    aws::{self, AwsError, Changes, Client, HIDDEN, Stack, Values},
    base::clock,
    model::hash_of,
    plan::AwsJob,
};

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

/// A new name for a change set. It tells whether it has the same hidden values as another one, and not what they are.
pub(super) fn change_set_name(hidden: &str) -> String {
    format!("envctl-{hidden}-{}", clock::id().replace('.', "-"))
}

/// Stands for the hidden values of the job.
pub(super) fn hidden(job: &AwsJob) -> String {
    let values: Vec<_> =
        job.parameters.iter().filter(|it| it.hidden).map(|it| (&it.name, &it.value)).collect();
    format!("p{}", hash_of(&values))
}

/// The values that a stack has: what it hides is that of the job, unless another one was deployed.
fn values(stack: &Stack, job: &AwsJob) -> Values {
    let name = stack.change_set.as_deref().and_then(|name| name.strip_prefix("envctl-p"));
    let same = name.is_none_or(|name| format!("p{name}").starts_with(&hidden(job)));
    let mut values = stack.parameters.clone();
    for parameter in job.parameters.iter().filter(|parameter| parameter.hidden) {
        if let Some(told) = values.get_mut(&parameter.name)
            && *told == HIDDEN
            && same
        {
            told.clone_from(&parameter.value);
        }
    }
    values
}

/// Looks how a stack stands, and changes nothing.
pub async fn standing(client: &Client, job: &AwsJob) -> Result<Standing, AwsFailure> {
    let looked = look(client, job).await;
    looked.map_err(|source| AwsFailure::Call { stack: job.stack.clone(), source })
}

async fn look(client: &Client, job: &AwsJob) -> Result<Standing, AwsError> {
    let stack = client.stack(&job.stack).await?;
    let made = stack.as_ref().is_some_and(|stack| stack.status != "REVIEW_IN_PROGRESS");
    let template = if made { client.template(&job.stack).await? } else { String::new() };
    let before = stack.as_ref().map(|stack| values(stack, job)).unwrap_or_default();
    let given = job.parameters.iter().map(|it| (it.name.clone(), it.value.clone())).collect();
    let mut standing = Standing {
        changes: aws::compare((&template, &before), (&job.template.body, &given)),
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
