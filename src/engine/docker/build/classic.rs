//! Building images with the classic builder.

use std::collections::{BTreeMap, VecDeque};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::Method;
use serde_json::json;

use super::{
    super::{
        Docker,
        body::unsupported,
        call::{Path, request},
        login, transport,
    },
    KEPT,
    answer::{Message, heard},
    failed, refused,
};
use crate::{
    engine::{
        Progress, Result, Step,
        context::{self, Context},
    },
    model::BuildSpec,
};

pub(super) async fn build(
    docker: &Docker,
    spec: &BuildSpec,
    context: Context,
    progress: Progress<'_>,
) -> Result<()> {
    check(spec)?;
    let path = path(spec, &context.dockerfile);
    let mut builder = request(Method::POST, path.as_str())
        .header(http::header::CONTENT_TYPE, "application/x-tar");
    let mut trouble = vec![];
    if let Some(logins) = &docker.logins {
        // A build may need none of them: what cannot be had is told only where the build fails.
        match login::all(logins).await {
            Ok((logins, failures)) => {
                let json = serde_json::to_vec(&logins).expect("logins have string keys only");
                builder = builder.header("x-registry-config", BASE64_STANDARD.encode(json));
                trouble = failures;
            }
            Err(reason) => trouble.push(reason),
        }
    }
    let (stream, failure) = context::stream(context);
    let request = builder.body(transport::stream(stream)).expect("paths are encoded");
    let mut said = Said::default();
    let heard = heard(docker, request, |message| said.take(message, progress)).await;
    if let Some(error) = failure.take() {
        return Err(error);
    }
    heard.map_err(|error| refused(docker, spec, &error))?;
    match said.error {
        None => Ok(()),
        Some(reason) => Err(failed(spec, reason, &trouble, said.lines.into())),
    }
}

/// Refuses what only `BuildKit` can do.
fn check(spec: &BuildSpec) -> Result<()> {
    for (used, what) in [
        (!spec.secrets.is_empty(), "secrets"),
        (!spec.ssh.is_empty(), "ssh"),
        (!spec.cache_to.is_empty(), "`cache_to`"),
    ] {
        if used {
            return Err(unsupported(
                &format!("build `{}` with {what}", spec.tag),
                "it needs BuildKit, and this build is the classic builder's",
            ));
        }
    }
    Ok(())
}

fn path(spec: &BuildSpec, dockerfile: &str) -> Path {
    let path =
        Path::new(&["build"]).with("dockerfile", dockerfile).with("rm", "1").with("forcerm", "1");
    told(path, spec, &spec.args)
}

/// What both builders are told alike.
pub(super) fn told(path: Path, spec: &BuildSpec, args: &BTreeMap<String, String>) -> Path {
    let mut path =
        path.with_json("buildargs", args).with_json("labels", &spec.labels).with("t", &spec.tag);
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

/// What the builder said, as it says it.
#[derive(Default)]
struct Said {
    /// Text of a line that has not ended.
    line: String,
    /// The last lines since the current instruction began.
    lines: VecDeque<String>,
    error: Option<String>,
    /// Last word on each layer of an image that is pulled, so that its bars are no lines.
    layers: BTreeMap<String, String>,
}

impl Said {
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
        for line in text.lines() {
            said.take(serde_json::from_str(line).unwrap(), &note);
        }
        assert_eq!(said.error.as_deref(), Some("returned a non-zero code: 7"));
        assert_eq!(said.lines.len(), 21);
        assert_eq!(said.lines[0], "Step 2/2 : RUN x");
        assert_eq!(said.lines[20], "line 49");
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen.len(), 52);
        assert_eq!(seen[1], Step::Instruction { number: 2, of: 2, text: "RUN x".into() });
    }
}
