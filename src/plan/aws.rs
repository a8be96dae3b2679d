//! The stack of AWS resources as a step of a plan: it comes when what stands for AWS is ready, and before the containers
//! whose variables have its outputs.

use std::fmt;

use super::{Action, Id, Plan};
use crate::{
    aws::{self, Credentials, Parameter, Template},
    model::ServiceSpec,
};

/// A stack to be deployed.
#[derive(Debug, Clone, PartialEq)]
pub struct AwsJob {
    pub stack: String,
    pub at: At,
    pub region: String,
    pub template: Template,
    /// Of the user's own template.
    pub parameters: Vec<Parameter>,
    /// What mail is sent from.
    pub identities: Vec<String>,
    /// Whether resources may go, or be replaced: where both colors use them, only when that is asked for.
    pub may_lose: bool,
}

/// Where AWS, or what stands for it, is reached.
#[derive(Clone, PartialEq, Eq)]
pub enum At {
    /// Through its container: from wherever the engine is reached.
    Container {
        name: String,
        port: u16,
    },
    Url {
        url: String,
        credentials: Credentials,
    },
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container { name, port } => write!(f, "{name}:{port}"),
            Self::Url { url, .. } => f.write_str(url),
        }
    }
}

/// What a plan has to do about the stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Aws {
    pub job: AwsJob,
    /// The service of the plan's own services that stands for AWS, and has to be ready first.
    pub service: Option<String>,
    /// Why it is deployed; none where it is as it shall be, and only its outputs are of interest.
    pub reason: Option<String>,
}

impl Aws {
    /// Adds the step, where it is needed: to deploy the stack, also where what stands for AWS `starts` with nothing in
    /// it, or to know its outputs.
    pub(super) fn push(
        &self,
        plan: &mut Plan,
        after: impl IntoIterator<Item = Id>,
        outputs_used: bool,
        starts: bool,
    ) -> Option<Id> {
        let deploy = format!("deploy aws stack {}", self.job.stack);
        let (title, reason) = match (&self.reason, &self.service) {
            (Some(reason), _) => (deploy, reason.clone()),
            (None, Some(service)) if starts => (deploy, format!("{service} starts without it")),
            (None, _) if outputs_used => (
                format!("read the outputs of aws stack {}", self.job.stack),
                "variables of services have them".to_owned(),
            ),
            (None, _) => return None,
        };
        Some(plan.push(after, Action::DeployAws(Box::new(self.job.clone())), title, reason))
    }
}

/// Whether a container's variables have outputs.
pub fn uses_outputs(spec: &ServiceSpec) -> bool {
    spec.environment.values().any(|value| !aws::uses(value).is_empty())
}
