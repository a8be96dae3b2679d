//! Commands in running containers.

use std::time::Duration;

use bollard::{
    container::LogOutput,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{
    Docker,
    call::{Path, QUICK},
    fault::{self, Asked},
};
use crate::engine::{EngineError, LogChunk, Output, Pipe, Result};

/// Output that is kept; the start of a longer one is dropped.
const KEPT: usize = 256 * 1024;
/// What is read of a stream at once.
const CHUNK: usize = 64 * 1024;

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

pub(super) async fn pipe<'a>(
    docker: &'a Docker,
    name: &str,
    command: &[String],
) -> Result<Pipe<'a>> {
    fn asked(name: &str) -> Asked<'_> {
        Asked::Container { name, verb: "run a command in" }
    }
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command.to_vec()),
        ..CreateExecOptions::default()
    };
    let made = docker.api.create_exec(name, options).await;
    let id = made.map_err(|e| docker.explain(&e, asked(name)))?.id;
    let options = StartExecOptions { output_capacity: Some(CHUNK), ..StartExecOptions::default() };
    let started = docker.patient.start_exec(&id, Some(options)).await;
    let StartExecResults::Attached { output, input } =
        started.map_err(|e| docker.explain(&e, asked(name)))?
    else {
        unreachable!("it was not asked to be detached");
    };
    let (owner, address) = (name.to_owned(), docker.address.clone());
    let output = output.map(move |part| match part {
        Ok(part) => Ok(LogChunk {
            stderr: matches!(part, LogOutput::StdErr { .. }),
            bytes: part.into_bytes(),
        }),
        Err(e) => Err(fault::explain(&e, asked(&owner), &address, QUICK)),
    });
    let owner = name.to_owned();
    let end = Box::pin(async move { code(docker, &id, asked(&owner)).await });
    Ok(Pipe { input, output: Box::pin(output), end })
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
