//! Building images with the classic builder.

use std::{collections::BTreeMap, collections::VecDeque};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::TryStreamExt as _;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{
    Docker,
    body::unsupported,
    call::{PATIENT, Path, bytes_of, request},
    fault::Asked,
    image, login, transport,
};
use crate::{
    engine::{EngineError, Progress, Result, Step, context},
    model::{BuildSpec, Image},
};

/// Lines of a failing instruction that its error carries.
const KEPT: usize = 20;

/// Dropping this future closes the connection, which ends the build on the engine.
pub(super) async fn build(
    docker: &Docker,
    spec: &BuildSpec,
    progress: Progress<'_>,
) -> Result<Image> {
    check(spec)?;
    let asked = Asked::Image { reference: &spec.tag, verb: "build" };
    let wanted = spec.clone();
    let context =
        tokio::task::spawn_blocking(move || context::Context::read(&wanted)).await.map_err(
            |error| EngineError::Io { intention: asked.to_string(), reason: error.to_string() },
        )??;
    let path = path(spec, &context.dockerfile);
    let mut builder = request(Method::POST, path.as_str())
        .header(http::header::CONTENT_TYPE, "application/x-tar");
    if let Some(folder) = &docker.logins {
        // A build may need none of them: what cannot be read is left to the engine's own words.
        if let Ok(logins) = login::all(folder).await {
            let json = serde_json::to_vec(&logins).expect("logins have string keys only");
            builder = builder.header("x-registry-config", BASE64_STANDARD.encode(json));
        }
    }
    let (stream, failure) = context::stream(context);
    let request = builder.body(transport::stream(stream)).expect("paths are encoded");
    let mut said = Said::default();
    let built = async {
        let answer = docker.send(request, PATIENT).await?;
        let mut answer = Box::pin(bytes_of(answer));
        while let Some(bytes) = answer.try_next().await? {
            said.push(&bytes, progress);
        }
        Ok(())
    };
    let built: std::result::Result<(), bollard::errors::Error> = built.await;
    if let Some(error) = failure.take() {
        return Err(error);
    }
    built.map_err(|error| match docker.explain(&error, asked) {
        EngineError::Refused { reason, .. } => {
            EngineError::Build { tag: spec.tag.clone(), reason, lines: vec![] }
        }
        other => other,
    })?;
    if let Some(reason) = said.error {
        if reason.contains("no space left on device") {
            return Err(EngineError::DiskFull { reason });
        }
        let lines = said.lines.into_iter().collect();
        return Err(EngineError::Build { tag: spec.tag.clone(), reason, lines });
    }
    image::find(docker, &spec.tag).await?.ok_or_else(|| EngineError::Build {
        tag: spec.tag.clone(),
        reason: "the engine ended the build without an image".to_owned(),
        lines: said.lines.into_iter().collect(),
    })
}

/// Refuses what only `BuildKit` can do.
fn check(spec: &BuildSpec) -> Result<()> {
    for (used, what) in [
        (!spec.secrets.is_empty(), "secrets"),
        (!spec.ssh.is_empty(), "ssh"),
        (!spec.contexts.is_empty(), "additional contexts"),
        (!spec.cache_to.is_empty(), "`cache_to`"),
    ] {
        if used {
            return Err(unsupported(
                &format!("build `{}` with {what}", spec.tag),
                "it needs BuildKit, which envctl does not drive yet",
            ));
        }
    }
    Ok(())
}

fn path(spec: &BuildSpec, dockerfile: &str) -> Path {
    let mut path = Path::new(&["build"])
        .with("dockerfile", dockerfile)
        .with("rm", "1")
        .with("forcerm", "1")
        .with_json("buildargs", &spec.args)
        .with_json("labels", &spec.labels)
        .with("t", &spec.tag);
    for tag in &spec.tags {
        path = path.with("t", tag);
    }
    for (name, value) in [
        ("target", &spec.target),
        ("networkmode", &spec.network),
        ("platform", &spec.platform),
        ("shmsize", &spec.shm_size.map(|size| size.to_string())),
        ("nocache", &spec.no_cache.then(|| "1".to_owned())),
        ("pull", &spec.pull.then(|| "1".to_owned())),
    ] {
        if let Some(value) = value {
            path = path.with(name, value);
        }
    }
    for host in &spec.extra_hosts {
        path = path.with("extrahosts", host);
    }
    if !spec.cache_from.is_empty() {
        path = path.with_json("cachefrom", &spec.cache_from);
    }
    if !spec.ulimits.is_empty() {
        let limits: Vec<_> = spec
            .ulimits
            .iter()
            .map(|(name, limit)| json!({"Name": name, "Soft": limit.soft, "Hard": limit.hard}))
            .collect();
        path = path.with_json("ulimits", &limits);
    }
    path
}

#[derive(Deserialize)]
struct Message {
    stream: Option<String>,
    status: Option<String>,
    id: Option<String>,
    error: Option<String>,
}

/// What the builder said, as it says it.
#[derive(Default)]
struct Said {
    /// Bytes of a message that has not ended.
    rest: Vec<u8>,
    /// Text of a line that has not ended.
    line: String,
    /// The last lines since the current instruction began.
    lines: VecDeque<String>,
    error: Option<String>,
    /// Last word on each layer of an image that is pulled, so that its bars are no lines.
    layers: BTreeMap<String, String>,
}

impl Said {
    fn push(&mut self, bytes: &[u8], progress: Progress<'_>) {
        self.rest.extend_from_slice(bytes);
        while let Some(at) = self.rest.iter().position(|byte| *byte == b'\n') {
            let message: Vec<u8> = self.rest.drain(..=at).collect();
            if let Ok(message) = serde_json::from_slice::<Message>(&message) {
                self.take(message, progress);
            }
        }
    }

    fn take(&mut self, message: Message, progress: Progress<'_>) {
        if let Some(text) = message.stream {
            self.line.push_str(&text);
            while let Some(at) = self.line.find('\n') {
                let line: String = self.line.drain(..=at).collect();
                self.note(line.trim_end(), progress);
            }
        }
        if let Some(status) = message.status {
            let line = match &message.id {
                Some(id) => format!("{id}: {status}"),
                None => status.clone(),
            };
            let known = message
                .id
                .is_some_and(|id| self.layers.insert(id, status.clone()).as_ref() == Some(&status));
            if !known {
                self.note(&line, progress);
            }
        }
        if let Some(error) = message.error {
            let rest = std::mem::take(&mut self.line);
            self.note(rest.trim_end(), progress);
            self.error = Some(error.trim().to_owned());
        }
    }

    fn note(&mut self, line: &str, progress: Progress<'_>) {
        if line.is_empty() {
            return;
        }
        let instruction = instruction(line);
        if instruction.is_some() {
            self.lines.clear();
        }
        let own = ["Removing intermediate container ", " ---> "];
        if !own.iter().any(|start| line.starts_with(start)) {
            if self.lines.len() > KEPT {
                // The instruction itself stays in front.
                self.lines.remove(1);
            }
            self.lines.push_back(line.to_owned());
        }
        progress(instruction.unwrap_or_else(|| Step::Line(line.to_owned())));
    }
}

/// `Step 2/7 : RUN make`.
fn instruction(line: &str) -> Option<Step> {
    let (count, text) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let (number, of) = count.split_once('/')?;
    Some(Step::Instruction {
        number: number.parse().ok()?,
        of: of.parse().ok()?,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_failed_build_keeps_the_last_lines_of_its_instruction() {
        let mut said = Said::default();
        let seen = Mutex::new(vec![]);
        let note = |step| seen.lock().unwrap().push(step);
        let mut text = String::from("{\"stream\":\"Step 1/2 : FROM a\"}\n{\"stream\":\"\\n\"}\n");
        text.push_str("{\"stream\":\"Step 2/2 : RUN x\\n\"}\n");
        for n in 0..50 {
            text.extend(["{\"stream\":\"line ", &n.to_string(), "\\n\"}\n"]);
        }
        text.push_str("{\"errorDetail\":{},\"error\":\"returned a non-zero code: 7\"}\n");
        let (a, b) = text.as_bytes().split_at(31);
        said.push(a, &note);
        said.push(b, &note);
        assert_eq!(said.error.as_deref(), Some("returned a non-zero code: 7"));
        assert_eq!(said.lines.len(), 21);
        assert_eq!(said.lines[0], "Step 2/2 : RUN x");
        assert_eq!(said.lines[20], "line 49");
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen.len(), 52);
        assert_eq!(seen[1], Step::Instruction { number: 2, of: 2, text: "RUN x".into() });
    }
}
