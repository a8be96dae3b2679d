//! `test`: asks the project's checks of a color, and keeps what they found on its release.

mod answer;
mod junit;
mod request;
mod service;
#[cfg(test)]
mod tests;
mod tls;

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use serde_json::json;

use super::{
    OpsError, Session,
    lock::locked,
    preview::{self, Preview},
    state,
};
use crate::{
    base::clock,
    compose::Problems,
    config::{Ask, Check, PreviewCheck},
    model::{Color, control::Request},
    plan::{Conflict, desired},
    run::{self, Event},
};

/// Requests at one time.
const AT_ONCE: usize = 8;
const REQUEST: Duration = Duration::from_secs(10);
/// The authority of TLS routes, in the proxy's container.
const AUTHORITY: &str = "/ca/ca.crt";

/// What one check found.
#[derive(Debug, Clone, Serialize)]
pub struct CheckResult {
    /// Its own name, else what it asks: `GET http://127.0.0.1:3010/health`.
    pub name: String,
    pub passed: bool,
    /// Why it did not pass: all failures in one line.
    pub reason: Option<String>,
    pub milliseconds: u64,
    pub failures: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Tested {
    pub color: Color,
    pub release: String,
    pub passed: bool,
    /// In the order of the file.
    pub checks: Vec<CheckResult>,
}

/// Tests the color, or the idle one where none is named.
pub async fn test(session: &Session<'_>, color: Option<Color>) -> Result<Tested, OpsError> {
    let what = color.map_or_else(|| "test".to_owned(), |color| format!("test {color}"));
    locked(session, &what, async || test_locked(session, color).await).await
}

pub(super) async fn test_locked(
    session: &Session<'_>,
    color: Option<Color>,
) -> Result<Tested, OpsError> {
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    let color = color.unwrap_or_else(|| Session::idle(&routing));
    let Some(stack) = routing.stacks.get(&color) else {
        return Err(Conflict::NoRelease { color }.into());
    };
    let release = stack.release.clone();
    let files = session.project.load_app(color, &release)?;
    let offset = session.project.environment.port_offset;
    let http: Vec<(u16, bool)> = desired::listeners(session.project, &files)
        .into_iter()
        .filter(|(listener, _)| listener.color.is_none() && !listener.tcp)
        .map(|(listener, _)| (listener.route.saturating_sub(offset), listener.tls))
        .collect();
    let problems = session.project.check_routes(&http);
    if !problems.is_empty() {
        return Err(Problems(problems).into());
    }
    let tester = Tester {
        session,
        color,
        release: &release,
        previews: preview::of(session, &files, color),
        authority: authority(session).await?,
    };
    let mut checks = vec![];
    let all = &session.project.file.checks;
    let is_service = |check: &Check| matches!(check.ask, Ask::Service(_));
    // Requests are asked at once; a service runs alone, in its place.
    for group in all.chunk_by(|a, b| !is_service(a) && !is_service(b)) {
        let mut results = stream::iter(group).map(|check| tester.ask(check)).buffered(AT_ONCE);
        while let Some(result) = results.next().await {
            let result = result?;
            session.reporter.on(Event::Note(&told(&result)));
            checks.push(result);
        }
    }
    let passed = checks.iter().all(|check| check.passed);
    let result = json!({ "passed": passed, "time": clock::now(), "checks": checks });
    let request = Request::Tested { color, release: release.clone(), result };
    run::tell(session.engine, &session.project.names.proxy(), &request).await?;
    Ok(Tested { color, release, passed, checks })
}

/// A failed check with all of its failures, a line each.
fn told(result: &CheckResult) -> String {
    let head = format!("{} ({} ms)", result.name, result.milliseconds);
    match result.failures.as_slice() {
        [] => format!("passed  {head}"),
        [only] => format!("FAILED  {head}: {only}"),
        all => format!("FAILED  {head}:\n        {}", all.join("\n        ")),
    }
}

/// The certificate of the local authority; none where no route has TLS.
async fn authority(session: &Session<'_>) -> Result<Option<Vec<u8>>, OpsError> {
    let asks = |check: &Check| matches!(&check.ask, Ask::Preview(asked) if asked.tls.is_some());
    if !session.project.file.checks.iter().any(asks) {
        return Ok(None);
    }
    Ok(session.engine.read_file(&session.project.names.proxy(), AUTHORITY).await?)
}

struct Tester<'a> {
    session: &'a Session<'a>,
    color: Color,
    release: &'a str,
    previews: Vec<Preview>,
    authority: Option<Vec<u8>>,
}

impl Tester<'_> {
    async fn ask(&self, check: &Check) -> Result<CheckResult, OpsError> {
        let started = Instant::now();
        let (name, failures) = match &check.ask {
            Ask::Service(service) => {
                let limit = check.timeout.unwrap_or(self.session.wait);
                (format!("service {service}"), self.run(service, limit).await?)
            }
            Ask::Preview(asked) => self.look(asked, check.timeout.unwrap_or(REQUEST)).await,
        };
        Ok(CheckResult {
            name: check.name.clone().unwrap_or(name),
            passed: failures.is_empty(),
            reason: (!failures.is_empty()).then(|| failures.join("; ")),
            milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            failures,
        })
    }

    /// Asks the preview; returns what was asked and what is wrong.
    async fn look(&self, asked: &PreviewCheck, limit: Duration) -> (String, Vec<String>) {
        let offset = self.session.project.environment.port_offset;
        let preview = self.previews.iter().find(|preview| match asked.route {
            Some(route) => preview.route == route.saturating_add(offset),
            None if asked.tls.is_some() => preview.url.starts_with("https"),
            None => preview.url.starts_with("http"),
        });
        let Some(preview) = preview else {
            return ("preview".to_owned(), vec!["the project has no HTTP route for it".to_owned()]);
        };
        let (mut name, mut failures) = (format!("TLS {}", preview.url), vec![]);
        if let Some(tls) = &asked.tls {
            failures = tls::look(tls, &preview.url, self.authority.as_deref(), limit).await;
        }
        if let Some(request) = &asked.request {
            let url = format!("{}{}", preview.url, request.path);
            name = format!("{} {url}", request.send.method.as_str());
            failures.extend(request::ask(request, &url, limit).await);
        }
        (name, failures)
    }
}
