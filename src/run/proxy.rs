//! Talking to an environment's proxy through the engine.

use std::time::Duration;

use crate::{
    base::files::FileError,
    engine::{Engine, EngineError},
    model::control::{Answer, Line, Request},
};

#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("the proxy `{container}` cannot be asked: {source}")]
    Engine { container: String, source: EngineError },
    #[error("the proxy `{container}` answered what this envctl does not understand: {reason}")]
    Garbled { container: String, reason: String },
    /// A file that it was to be told of.
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the proxy refuses: {0}")]
    Refused(String),
    #[error("`{target}` is not healthy: {reason}")]
    NotHealthy { target: String, reason: String },
}

/// Sends one request to a running proxy. A refusal of the proxy is an error.
pub async fn tell(
    engine: &dyn Engine,
    container: &str,
    request: &Request,
) -> Result<Answer, ProxyError> {
    let limit = match request {
        Request::Drained { wait_ms, .. } => {
            Duration::from_millis(*wait_ms) + Duration::from_secs(10)
        }
        _ => Duration::from_secs(10),
    };
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).expect("the system's random source answers");
    let id = hex::encode(bytes);
    let garbled = |reason: String| ProxyError::Garbled { container: container.to_owned(), reason };
    let line = serde_json::to_string(&Line { id: id.clone(), body: request })
        .map_err(|e| garbled(e.to_string()))?;
    let ours = {
        let mark = format!("\"id\":\"{id}\"");
        move |line: &str| line.contains(&mark)
    };
    let answer = engine
        .ask(container, &line, &ours, limit)
        .await
        .map_err(|source| ProxyError::Engine { container: container.to_owned(), source })?;
    let answer: Line<Answer> = serde_json::from_str(&answer).map_err(|e| garbled(e.to_string()))?;
    match answer.body {
        Answer::Refused { reason } => Err(ProxyError::Refused(reason)),
        Answer::NotHealthy { target, reason } => Err(ProxyError::NotHealthy { target, reason }),
        answer => Ok(answer),
    }
}
