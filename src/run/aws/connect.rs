//! The way to what stands for AWS, and the wait until it is ready.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio_util::io::StreamReader;

use super::AwsFailure;
use crate::{
    aws::{AwsError, Client},
    engine::{self, Engine, EngineError, LogChunk},
    plan::{At, AwsJob},
    run::{Poll, RunError, WaitError, poll},
};

/// The longest that LocalStack is waited for: its scripts may make a lot.
const LIMIT: Duration = Duration::from_secs(300);
/// The same where it is not started by envctl.
const ELSEWHERE: Duration = Duration::from_secs(30);

/// Carries a connection between its own streams and a port of its container; a Python, since LocalStack has one.
const TUNNEL: &str = "\
import os, socket, sys, threading
try:
    port = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10)
except OSError as error:
    sys.exit(str(error))
port.settimeout(None)
def sent():
    while data := os.read(0, 65536):
        port.sendall(data)
    os._exit(0)
threading.Thread(target=sent, daemon=True).start()
while data := port.recv(65536):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
";

/// Why there is no way.
#[derive(Debug)]
pub enum NoWay {
    Engine(EngineError),
    Aws(AwsFailure),
}

impl From<EngineError> for NoWay {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<NoWay> for RunError {
    fn from(error: NoWay) -> Self {
        match error {
            NoWay::Engine(error) => Self::Engine(error),
            NoWay::Aws(failure) => Self::Aws(failure),
        }
    }
}

/// A client of what the job's stack is deployed to.
pub async fn connect(engine: &dyn Engine, job: &AwsJob) -> Result<Client, NoWay> {
    let made = match &job.at {
        At::Url { url, credentials } => match Client::at(url, &job.region, credentials.clone()) {
            Ok(client) => client.looked_at().await,
            Err(error) => Err(error),
        },
        At::Container { name, port } => {
            let command = ["python3", "-c", TUNNEL, &port.to_string()].map(str::to_owned);
            let engine::Pipe { input, output, end: _ } = engine.pipe(name, &command).await?;
            let output = output.map(|chunk| match chunk {
                Ok(LogChunk { stderr: false, bytes }) => Ok::<Bytes, _>(bytes),
                // What keeps the connection from being made.
                Ok(LogChunk { bytes, .. }) => {
                    Err(io::Error::other(String::from_utf8_lossy(&bytes).trim().to_owned()))
                }
                Err(error) => Err(io::Error::other(error)),
            });
            let stream = tokio::io::join(StreamReader::new(output), input);
            Client::over(stream, (name, *port), &job.region).await
        }
    };
    made.map_err(|source| NoWay::Aws(AwsFailure::Call { stack: job.stack.clone(), source }))
}

/// A client of what the job's stack is deployed to, once it listens and LocalStack's scripts have done their work: a service
/// without a health check counts as ready when it runs.
pub async fn when_ready(engine: &dyn Engine, job: &AwsJob) -> Result<Client, RunError> {
    let stack = || job.stack.clone();
    let limit = if matches!(job.at, At::Url { .. }) { ELSEWHERE } else { LIMIT };
    let ready = poll(limit, async || {
        let client = match connect(engine, job).await {
            Err(NoWay::Aws(AwsFailure::Call { source, .. })) => return not_yet(job, source),
            client => client?,
        };
        if !client.is_localstack() {
            return Ok(Poll::Ready((client, vec![])));
        }
        match client.scripts().await {
            Err(source) => not_yet(job, source),
            Ok(Some(scripts)) if !scripts.done => Ok(Poll::Pending(match &scripts.running[..] {
                [] => "it starts".to_owned(),
                running => format!("it runs {}", running.join(", ")),
            })),
            Ok(scripts) => Ok(Poll::Ready((client, scripts.unwrap_or_default().failed))),
        }
    });
    let (client, failed) = ready.await.map_err(|error| match error {
        WaitError::Failed(error) => error,
        WaitError::Deadline(reason) => {
            let (at, seconds) = (job.at.to_string(), limit.as_secs());
            AwsFailure::NotReady { stack: stack(), at, seconds, reason }.into()
        }
    })?;
    if failed.is_empty() {
        return Ok(client);
    }
    Err(AwsFailure::Scripts { stack: stack(), failed }.into())
}

fn not_yet<T>(job: &AwsJob, source: AwsError) -> Result<Poll<T>, RunError> {
    if source.is_nobody() {
        return Ok(Poll::Pending(source.to_string()));
    }
    Err(AwsFailure::Call { stack: job.stack.clone(), source }.into())
}
