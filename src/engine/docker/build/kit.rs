//! Building with the engine's `BuildKit`: the Dockerfile frontend of the engine, and a session that hands out what it asks
//! for.

use std::{
    collections::BTreeMap,
    os::unix::fs::FileTypeExt as _,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::Method;
use prost::Message as _;

use super::{
    super::{
        Docker,
        body::unsupported,
        call::{Path, request},
        transport,
    },
    answer::heard,
    classic, failed, refused,
    session::{Offer, Session, proto::Status},
    trace::Trace,
};
use crate::{
    engine::{EngineError, Progress, Result, context::Context},
    model::BuildSpec,
};

pub(super) async fn build(
    docker: &Docker,
    spec: &BuildSpec,
    context: Context,
    progress: Progress<'_>,
) -> Result<()> {
    let mut told = spec.clone();
    told.cache_from = cache_from(spec)?;
    let mut args = spec.args.clone();
    if cache_inline(spec)? {
        args.insert("BUILDKIT_INLINE_CACHE".to_owned(), "1".to_owned());
    }
    let frontend = frontend(&context.text);
    let text = context.text.clone();
    let offer = Offer {
        context,
        dockerfiles: Mutex::default(),
        secrets: spec.secrets.clone(),
        logins: docker.logins.clone(),
        agents: agents(docker, spec)?,
        trouble: Mutex::default(),
    };
    let (session, dockerfile) = Session::of(docker, offer, text).await?;
    let path = Path::new(&["build"])
        .with("version", "2")
        .with("session", &session.id)
        .with("remote", "client-session")
        .with("dockerfile", &dockerfile);
    let path = classic::told(path, &told, &args);
    let request = request(Method::POST, path.as_str())
        .body(transport::full(Bytes::new()))
        .expect("paths are encoded");
    let (mut trace, mut wrong) = (Trace::default(), None);
    let heard = heard(docker, request, |message| {
        if message.id.as_deref() == Some("moby.buildkit.trace")
            && let Some(text) = message.aux.as_ref().and_then(serde_json::Value::as_str)
            && let Ok(bytes) = BASE64_STANDARD.decode(text)
            && let Ok(status) = Status::decode(bytes.as_slice())
        {
            trace.take(status, progress);
        }
        wrong = message.error.or(wrong.take());
    });
    heard.await.map_err(|error| refused(docker, spec, &error))?;
    let Some(reason) = wrong else { return Ok(()) };
    if let Some(frontend) = frontend
        && reason.contains(frontend.split(['@', ':']).next().unwrap_or(&frontend))
    {
        return Err(EngineError::Frontend {
            tag: spec.tag.clone(),
            frontend,
            reason: short(&reason).to_owned(),
        });
    }
    let trouble = session.offer.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Err(failed(spec, short(&reason).to_owned(), &trouble, trace.failure()))
}

/// The part of a reason that tells something: what follows the names of those who passed it on.
fn short(reason: &str) -> &str {
    let mut reason = reason.trim();
    while let Some(rest) = reason
        .strip_prefix("failed to solve")
        .and_then(|rest| rest.split_once(": "))
        .or_else(|| reason.strip_prefix("rpc error: ")?.split_once("desc = "))
        .map(|(_, rest)| rest)
    {
        reason = rest;
    }
    reason
}

/// The frontend that a Dockerfile asks for in its first lines (`# syntax=…`).
fn frontend(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    text.trim_start_matches('\u{feff}')
        .lines()
        .map_while(|line| line.trim().strip_prefix('#'))
        .map_while(|line| line.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("syntax"))
        .map(|(_, value)| value.trim().to_owned())
}

fn cache_from(spec: &BuildSpec) -> Result<Vec<String>> {
    spec.cache_from
        .iter()
        .map(|from| match fields(from) {
            None => Ok(from.clone()),
            Some(fields) => match (fields.get("type"), fields.get("ref")) {
                (Some(&"registry") | None, Some(reference)) => Ok((*reference).to_owned()),
                _ => Err(unsupported(
                    &format!("build `{}` with `cache_from: {from}`", spec.tag),
                    "the engine's own BuildKit takes caches from images only",
                )),
            },
        })
        .collect()
}

fn cache_inline(spec: &BuildSpec) -> Result<bool> {
    for to in &spec.cache_to {
        if fields(to).is_none_or(|fields| fields.get("type") != Some(&"inline")) {
            return Err(unsupported(
                &format!("build `{}` with `cache_to: {to}`", spec.tag),
                "the engine's own BuildKit keeps caches in images only (`type=inline`)",
            ));
        }
    }
    Ok(!spec.cache_to.is_empty())
}

/// `type=registry,ref=a`; none where it is a plain reference.
fn fields(text: &str) -> Option<BTreeMap<&str, &str>> {
    text.split(',').map(|part| part.split_once('=')).collect()
}

/// The sockets of SSH agents that the build may talk to.
fn agents(docker: &Docker, spec: &BuildSpec) -> Result<BTreeMap<String, PathBuf>> {
    let refuse = |id: &str, reason: &str| {
        unsupported(&format!("build `{}` with the SSH agent `{id}`", spec.tag), reason)
    };
    spec.ssh
        .iter()
        .map(|key| {
            let (id, path) = match key.split_once('=') {
                Some((id, path)) => (id, Some(PathBuf::from(path))),
                None => (key.as_str(), docker.agent.clone()),
            };
            let path = path.ok_or_else(|| refuse(id, "`SSH_AUTH_SOCK` names none"))?;
            let seen = std::fs::metadata(&path)
                .map_err(|error| refuse(id, &format!("`{}`: {error}", path.display())))?;
            if !seen.file_type().is_socket() {
                let reason = format!(
                    "`{}` is no agent's socket; add the key to an agent (`ssh-add`)",
                    path.display()
                );
                return Err(refuse(id, &reason));
            }
            Ok((id.to_owned(), path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_what_was_said_first() {
        let long = "failed to solve with frontend dockerfile.v0: failed to solve with frontend \
                    gateway.v0: rpc error: code = Unknown desc = no: such thing";
        assert_eq!(short(long), "no: such thing");
        assert_eq!(short("failed to solve: rpc error: code = NotFound desc = x"), "x");
        assert_eq!(short("exit code: 3"), "exit code: 3");
    }

    #[test]
    fn a_frontend_is_named_before_the_first_instruction_only() {
        let found = |text: &str| frontend(text.as_bytes());
        assert_eq!(found("# escape=`\n#Syntax = a/b:1 \nFROM x").as_deref(), Some("a/b:1"));
        assert_eq!(found("# a comment\n# syntax=a/b:1\nFROM x"), None);
        assert_eq!(found("FROM x\n# syntax=a/b:1"), None);
    }

    #[test]
    fn caches_are_images() {
        let spec = |from: &str, to: &[&str]| BuildSpec {
            cache_from: vec![from.to_owned()],
            cache_to: to.iter().map(|to| (*to).to_owned()).collect(),
            ..BuildSpec::default()
        };
        assert_eq!(cache_from(&spec("a:1", &[])).unwrap(), ["a:1"]);
        assert_eq!(cache_from(&spec("type=registry,ref=a:1", &[])).unwrap(), ["a:1"]);
        assert!(cache_from(&spec("type=local,src=/x", &[])).is_err());
        assert!(cache_inline(&spec("a", &["type=inline"])).unwrap());
        assert!(!cache_inline(&spec("a", &[])).unwrap());
        assert!(cache_inline(&spec("a", &["type=registry,ref=a:1"])).is_err());
    }
}
