//! How the deployment of a stack ends that does not end well.

use super::deployment::LIMIT;
use crate::{
    aws::{self, AwsError},
    run::Secrets,
};

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
    /// An earlier deployment failed, and was broken off before it was taken back.
    #[error("aws stack {stack} is not whole: it is {status}, and resources of it may be missing")]
    Broken { stack: String, status: String },
    #[error("aws stack {stack}: {at} is not ready after {seconds} s: {reason}")]
    NotReady { stack: String, at: String, seconds: u64, reason: String },
    #[error(
        "aws stack {stack}: scripts failed that LocalStack runs when it starts: {}",
        failed.join(", ")
    )]
    Scripts { stack: String, failed: Vec<String> },
    #[error("aws stack {stack} is still busy after {} s: {reason}", LIMIT.as_secs())]
    Late { stack: String, reason: String },
}

impl AwsFailure {
    pub(in crate::run) fn redact(&mut self, secrets: &Secrets) {
        match self {
            Self::Stack { reasons, then, .. } => {
                for text in reasons.iter_mut().chain([then]) {
                    *text = secrets.redact(text);
                }
            }
            Self::Late { reason, .. } | Self::NotReady { reason, .. } => {
                *reason = secrets.redact(reason);
            }
            Self::Call { source: AwsError::Refused { message, .. }, .. } => {
                *message = secrets.redact(message);
            }
            Self::Call { .. }
            | Self::WouldLose { .. }
            | Self::Fixed { .. }
            | Self::Broken { .. }
            | Self::Scripts { .. } => {}
        }
    }
}
