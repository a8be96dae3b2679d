//! `test`: asks the project's checks of a color's preview, and keeps what they found on its release.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::{OpsError, Session, preview, state};
use crate::{
    base::clock,
    config::Check,
    model::{Color, control::Request},
    plan::Conflict,
    run::{self, Event},
};

/// What one check found.
#[derive(Debug, Clone, Serialize)]
pub struct CheckResult {
    /// `GET http://127.0.0.1:3010/health`.
    pub name: String,
    pub passed: bool,
    /// Why it did not pass.
    pub reason: Option<String>,
    pub milliseconds: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Tested {
    pub color: Color,
    pub release: String,
    pub passed: bool,
    pub checks: Vec<CheckResult>,
}

/// Tests the color, or the idle one where none is named.
pub async fn test(session: &Session<'_>, color: Option<Color>) -> Result<Tested, OpsError> {
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    let color = color.unwrap_or_else(|| Session::idle(&routing));
    let Some(stack) = routing.stacks.get(&color) else {
        return Err(Conflict::NoRelease { color }.into());
    };
    let files = session.project.load_app(color, &stack.release)?;
    let previews = preview::of(session, &files, color);
    let mut checks = vec![];
    for check in &session.project.file.checks {
        let offset = session.project.environment.port_offset;
        let preview = previews.iter().find(|preview| match check.route {
            Some(route) => preview.route == route.saturating_add(offset),
            None => preview.url.starts_with("http"),
        });
        let result = match preview {
            Some(preview) => ask(check, &format!("{}{}", preview.url, check.path)).await,
            None => CheckResult {
                name: format!("GET {}", check.path),
                passed: false,
                reason: Some("the project has no HTTP route for it".to_owned()),
                milliseconds: 0,
            },
        };
        let mark = if result.passed { "passed" } else { "FAILED" };
        let reason = result.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        session.reporter.on(Event::Note(&format!(
            "{mark}  {} ({} ms){reason}",
            result.name, result.milliseconds
        )));
        checks.push(result);
    }
    let passed = checks.iter().all(|check| check.passed);
    let result = json!({ "passed": passed, "time": clock::now(), "checks": checks });
    let release = stack.release.clone();
    let request = Request::Tested { color, release: release.clone(), result };
    run::tell(session.engine, &session.project.names.proxy(), &request).await?;
    Ok(Tested { color, release, passed, checks })
}

async fn ask(check: &Check, url: &str) -> CheckResult {
    let started = Instant::now();
    let reason = look(check, url).await.err();
    CheckResult {
        name: format!("GET {url}"),
        passed: reason.is_none(),
        reason,
        milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

async fn look(check: &Check, url: &str) -> Result<(), String> {
    let client = client(check.timeout)?;
    let answer = client.get(url).send().await.map_err(|error| deepest(&error))?;
    let status = answer.status().as_u16();
    let body = answer.text().await.map_err(|error| deepest(&error))?;
    if status != check.status {
        let start: String = body.chars().take(200).collect();
        return Err(format!("status {status} instead of {}: {}", check.status, start.trim()));
    }
    match &check.contains {
        Some(text) if !body.contains(text.as_str()) => {
            Err(format!("the body does not contain `{text}`"))
        }
        _ => Ok(()),
    }
}

/// The checks ask the proxy on this host, whose certificate is of its own authority: what is tested is the stack behind it.
fn client(limit: Duration) -> Result<reqwest::Client, String> {
    // An error means that a provider is installed already.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(limit)
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .build()
        .map_err(|error| deepest(&error))
}

/// The innermost cause says what went wrong; the outer ones only where.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
