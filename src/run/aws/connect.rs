//! The way to what stands for AWS.

use std::io;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio_util::io::StreamReader;

use super::AwsFailure;
use crate::{
    aws::Client,
    engine::{self, Engine, LogChunk},
    plan::{At, AwsJob},
    run::RunError,
};

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

/// A client of what the job's stack is deployed to.
pub async fn connect(engine: &dyn Engine, job: &AwsJob) -> Result<Client, RunError> {
    let made = match &job.at {
        At::Url { url, credentials } => Client::at(url, &job.region, credentials.clone()),
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
    made.map_err(|source| AwsFailure::Call { stack: job.stack.clone(), source }.into())
}
