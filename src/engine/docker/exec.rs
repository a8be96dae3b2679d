//! Commands in running containers.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::TryStreamExt as _;

use super::{Docker, call::Path, fault::Asked};
use crate::engine::{EngineError, Output, Result};

/// Output that is kept; the start of a longer one is dropped.
const KEPT: usize = 256 * 1024;

pub(super) async fn exec(
    docker: &Docker,
    name: &str,
    command: &[String],
    limit: Duration,
) -> Result<Output> {
    let run = run(docker, name, command);
    tokio::time::timeout(limit, run).await.unwrap_or_else(|_| {
        let what = format!("{} in {name}", command.join(" "));
        Err(EngineError::TimedOut { what, limit })
    })
}

async fn run(docker: &Docker, name: &str, command: &[String]) -> Result<Output> {
    let asked = Asked::Container { name, verb: "run a command in" };
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command.to_vec()),
        ..CreateExecOptions::default()
    };
    let id = docker.api.create_exec(name, options).await.map_err(|e| docker.explain(&e, asked))?.id;
    let started = docker.patient.start_exec(&id, None::<StartExecOptions>).await;
    let mut text = vec![];
    if let StartExecResults::Attached { mut output, .. } =
        started.map_err(|e| docker.explain(&e, asked))?
    {
        while let Some(part) = output.try_next().await.map_err(|e| docker.explain(&e, asked))? {
            text.extend_from_slice(part.as_ref());
            if text.len() > 2 * KEPT {
                text.drain(..text.len() - KEPT);
            }
        }
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(Output { code: code(docker, &id, asked).await?, text })
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    running: bool,
    exit_code: Option<i64>,
}

async fn code(docker: &Docker, id: &str, asked: Asked<'_>) -> Result<i64> {
    let path = Path::new(&["exec", id, "json"]);
    loop {
        let answer: Answer = docker.get(path.as_str(), asked).await?;
        if let Answer { running: false, exit_code: Some(code) } = answer {
            return Ok(code);
        }
        // The streams end a moment before the engine notes the end of the process.
        #[expect(clippy::disallowed_methods, reason = "bounded by the limit of `exec`")]
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
