//! What a call can end with, other than well.

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// The service said no.
    #[error("{action}: {message} ({code})")]
    Refused { action: String, code: String, message: String },
    #[error("{endpoint} does not answer: {reason}")]
    Unreachable { endpoint: String, reason: String },
    #[error("{action}: an answer that is none of AWS: {reason}")]
    Strange { action: String, reason: String },
}

impl AwsError {
    /// Whether nobody listens there, or not yet.
    pub fn is_nobody(&self) -> bool {
        let Self::Unreachable { reason, .. } = self else { return false };
        let reason = reason.to_lowercase();
        ["connection refused", "connection reset", "connection closed"]
            .iter()
            .any(|words| reason.contains(words))
    }

    /// Whether the service said no with this code.
    pub fn is(&self, code: &str) -> bool {
        matches!(self, Self::Refused { code: own, .. } if own == code)
    }
}
