//! What a builder says while it works: JSON messages, one a line.

use futures_util::TryStreamExt as _;
use http::Request;
use serde::Deserialize;

use super::super::{
    Docker,
    call::{PATIENT, Said, bytes_of},
    transport::Body,
};

#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub stream: Option<String>,
    pub status: Option<String>,
    pub id: Option<String>,
    pub error: Option<String>,
    pub aux: Option<serde_json::Value>,
}

/// Sends a build, and hands each message on as it comes.
pub(super) async fn heard(
    docker: &Docker,
    request: Request<Body>,
    mut take: impl FnMut(Message),
) -> Said<()> {
    let answer = docker.send(request, PATIENT).await?;
    let mut answer = Box::pin(bytes_of(answer));
    let mut rest: Vec<u8> = vec![];
    while let Some(bytes) = answer.try_next().await? {
        rest.extend_from_slice(&bytes);
        let Some(end) = memchr::memrchr(b'\n', &rest) else { continue };
        let whole: Vec<u8> = rest.drain(..=end).collect();
        for line in whole.split(|byte| *byte == b'\n') {
            if let Ok(message) = serde_json::from_slice(line) {
                take(message);
            }
        }
    }
    Ok(())
}
