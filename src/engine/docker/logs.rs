//! Logs of containers.

use bollard::{container::LogOutput, query_parameters::LogsOptions};
use futures_util::StreamExt as _;

use super::{Docker, fault::Asked};
use crate::engine::{LogChunk, LogOptions, LogStream};

/// A refusal is the stream's first item: with `follow`, the engine answers nothing before there is a line.
pub(super) fn logs(docker: &Docker, name: &str, options: &LogOptions) -> LogStream {
    let query = LogsOptions {
        follow: options.follow,
        stdout: true,
        stderr: true,
        since: options.since.map_or(0, |since| i32::try_from(since).unwrap_or(i32::MAX)),
        timestamps: options.timestamps,
        tail: options.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string()),
        ..LogsOptions::default()
    };
    let (address, name) = (docker.address.clone(), name.to_owned());
    let stream = docker.patient.logs(&name, Some(query)).map(move |chunk| match chunk {
        Ok(LogOutput::StdErr { message }) => Ok(LogChunk { stderr: true, bytes: message }),
        Ok(other) => Ok(LogChunk { stderr: false, bytes: other.into_bytes() }),
        Err(error) => {
            let asked = Asked::Container { name: &name, verb: "read the log of" };
            Err(super::fault::explain(&error, asked, &address, super::call::QUICK))
        }
    });
    Box::pin(stream)
}
