//! Questions to a running container over its standard input and output: an attach costs a millisecond where an exec
//! costs fifty.

use std::time::Duration;

use bollard::{container::LogOutput, query_parameters::AttachContainerOptions};
use futures_util::StreamExt as _;
use tokio::{io::AsyncWriteExt as _, time::Instant};

use super::{
    Docker,
    fault::{self, Asked},
    inspect,
};
use crate::{
    engine::{EngineError, Result},
    model::State,
};

/// Silence after which it is looked whether the container runs at all.
const SILENCE: Duration = Duration::from_millis(500);

type IsAnswer<'a> = &'a (dyn for<'b> Fn(&'b str) -> bool + Send + Sync);

/// An attach that breaks is made again within the limit, and the line sent again.
pub(super) async fn ask(
    docker: &Docker,
    name: &str,
    line: &str,
    is_answer: IsAnswer<'_>,
    limit: Duration,
) -> Result<String> {
    let end = Instant::now() + limit;
    let timed_out = || EngineError::TimedOut { what: name.to_owned(), limit };
    loop {
        if let Some(answer) = attached(docker, name, line, is_answer, end).await? {
            return Ok(answer);
        }
        if Instant::now() >= end {
            return Err(timed_out());
        }
        must_run(docker, name).await?;
        #[expect(clippy::disallowed_methods, reason = "bounded by the limit")]
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One attach. None when it broke or the time is over.
async fn attached(
    docker: &Docker,
    name: &str,
    line: &str,
    is_answer: IsAnswer<'_>,
    end: Instant,
) -> Result<Option<String>> {
    let options = AttachContainerOptions {
        stream: true,
        stdin: true,
        stdout: true,
        ..AttachContainerOptions::default()
    };
    let attach = docker.api.attach_container(name, Some(options));
    let Ok(attach) = tokio::time::timeout_at(end, attach).await else { return Ok(None) };
    let mut streams = match attach {
        Ok(streams) => streams,
        // It is paused, or between two runs.
        Err(error) if fault::status(&error) == Some(409) => return Ok(None),
        Err(e) => return Err(docker.explain(&e, Asked::Container { name, verb: "attach to" })),
    };
    let question = format!("{line}\n");
    let sent = async {
        streams.input.write_all(question.as_bytes()).await?;
        streams.input.flush().await
    };
    if sent.await.is_err() {
        return Ok(None);
    }
    let mut heard = Lines::default();
    loop {
        let until = end.min(Instant::now() + SILENCE);
        match tokio::time::timeout_at(until, streams.output.next()).await {
            Ok(Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message }))) => {
                if let Some(answer) = heard.push(&message).into_iter().find(|line| is_answer(line))
                {
                    return Ok(Some(answer));
                }
            }
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(_)) | None) => return Ok(None),
            Err(_) if until == end => return Ok(None),
            Err(_) => must_run(docker, name).await?,
        }
    }
}

async fn must_run(docker: &Docker, name: &str) -> Result<()> {
    let Some(seen) = inspect::inspect(docker, name).await? else {
        return Err(EngineError::NoContainer { name: name.to_owned() });
    };
    match seen.state {
        State::Running { .. } | State::Restarting => Ok(()),
        _ => Err(EngineError::Refused {
            intention: format!("ask container `{name}`"),
            status: 409,
            reason: "it does not run".to_owned(),
        }),
    }
}

/// Takes whole lines out of what comes in pieces.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(bytes);
        let mut lines = vec![];
        while let Some(at) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=at).collect();
            let line = String::from_utf8_lossy(&line);
            lines.push(line.trim_end_matches(['\n', '\r']).to_owned());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let mut lines = Lines::default();
        assert!(lines.push(b"on").is_empty());
        assert_eq!(lines.push(b"e\ntwo\r\nth"), ["one", "two"]);
        assert_eq!(lines.push(b"ree\n"), ["three"]);
    }
}
