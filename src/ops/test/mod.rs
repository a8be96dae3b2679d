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
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(super) use tls::AnyCertificate;

use super::{
    OpsError, Session,
    lock::locked,
    preview::{self, Preview},
    revision, state,
};
use crate::{
    base::clock,
    compose::Problems,
    config::{Ask, Check, PreviewCheck},
    model::{Color, Stack, control::Request},
    plan::{Conflict, desired},
    run::{self, Event},
};

/// Requests at one time.
const AT_ONCE: usize = 8;
const REQUEST: Duration = Duration::from_secs(10);
/// The authority of TLS routes, in the proxy's container.
const AUTHORITY: &str = "/ca/ca.crt";

/// Which of the project's checks, and of what; without any, all of them.
#[derive(Debug, Clone, Default)]
pub struct Only {
    /// Those that ask the preview.
    pub requests: bool,
    /// Those that run these services.
    pub services: Vec<String>,
    /// The revision that the color's release is to be of.
    pub revision: Option<String>,
}

impl Only {
    fn has(&self, service: Option<&str>) -> bool {
        let all = !self.requests && self.services.is_empty();
        all || service.map_or(self.requests, |service| self.services.iter().any(|it| it == service))
    }
}

/// What one check found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckResult {
    /// Its own name, else what it asks: `GET http://127.0.0.1:3010/health`.
    pub name: String,
    /// The test service that it ran; none: it asked the preview.
    #[serde(default)]
    pub service: Option<String>,
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
    /// Whether all that was asked now passed.
    pub passed: bool,
    /// Whether the release has passed everything by now: null as long as some checks were not run.
    pub release_passed: Option<bool>,
    /// In the order of the file.
    pub checks: Vec<CheckResult>,
}

/// Tests the color, or the idle one where none is named.
///
/// With `only` some checks, the results of the others stay as they are: jobs of a pipeline may share them out, and run
/// at one time: the environment's lock is taken to keep what they found, not to find it.
pub async fn test(
    session: &Session<'_>,
    color: Option<Color>,
    only: &Only,
) -> Result<Tested, OpsError> {
    let found = Box::pin(ask(session, color, only)).await?;
    let what = format!("test {}", found.color);
    locked(session, &what, async || keep(session, found, only).await).await
}

pub(super) async fn test_locked(
    session: &Session<'_>,
    color: Option<Color>,
    only: &Only,
) -> Result<Tested, OpsError> {
    let found = ask(session, color, only).await?;
    keep(session, found, only).await
}

/// What the checks found of a release.
struct Found {
    color: Color,
    release: String,
    checks: Vec<CheckResult>,
}

async fn ask(session: &Session<'_>, color: Option<Color>, only: &Only) -> Result<Found, OpsError> {
    let all = &session.project.file.checks;
    if let Some(name) = only.services.iter().find(|it| all.iter().all(|c| c.service() != Some(it)))
    {
        let known = all.iter().filter_map(Check::service).map(str::to_owned).collect();
        return Err(OpsError::NoTestService { name: name.clone(), known });
    }
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    let color = color.unwrap_or_else(|| Session::idle(&routing));
    if let Some(wanted) = &only.revision {
        revision::check(&routing, color, wanted)?;
    }
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
    let asked: Vec<&Check> = all.iter().filter(|check| only.has(check.service())).collect();
    let is_service = |check: &&Check| matches!(check.ask, Ask::Service(_));
    // Requests are asked at once; a service runs alone, in its place.
    for group in asked.chunk_by(|a, b| !is_service(a) && !is_service(b)) {
        let mut results = stream::iter(group).map(|check| tester.ask(check)).buffered(AT_ONCE);
        while let Some(result) = results.next().await {
            let result = result?;
            session.reporter.on(Event::Note(&told(&result)));
            checks.push(result);
        }
    }
    Ok(Found { color, release, checks })
}

/// Writes down what was found, beside what other jobs did meanwhile.
async fn keep(session: &Session<'_>, found: Found, only: &Only) -> Result<Tested, OpsError> {
    let Found { color, release, checks } = found;
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    let stack = routing.stacks.get(&color).filter(|stack| stack.release == release);
    let stack = stack.ok_or_else(|| OpsError::Replaced { color, release: release.clone() })?;
    let kept = kept(stack, only);
    let results: Vec<&CheckResult> = kept.iter().chain(&checks).collect();
    let release_passed = release_passed(&session.project.file.checks, &results);
    let result = json!({ "passed": release_passed, "time": clock::now(), "checks": results });
    let request = Request::Tested { color, release: release.clone(), result };
    run::tell(session.engine, &session.project.names.proxy(), &request).await?;
    let passed = checks.iter().all(|check| check.passed);
    Ok(Tested { color, release, passed, release_passed, checks })
}

/// What the release has of checks that are not run now.
fn kept(stack: &Stack, only: &Only) -> Vec<CheckResult> {
    let checks = stack.tests.as_ref().and_then(|tests| tests.get("checks"));
    let checks: Vec<CheckResult> =
        checks.and_then(|checks| Vec::deserialize(checks).ok()).unwrap_or_default();
    checks.into_iter().filter(|check| !only.has(check.service.as_deref())).collect()
}

/// Whether everything passed; none when nothing failed and something has not been run.
fn release_passed(all: &[Check], results: &[&CheckResult]) -> Option<bool> {
    if results.iter().any(|result| !result.passed) {
        return Some(false);
    }
    let was_run = |check: &Check| results.iter().any(|it| it.service.as_deref() == check.service());
    all.iter().all(was_run).then_some(true)
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
            service: check.service().map(str::to_owned),
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
            let mut own = desired::certificates(self.session.project);
            own.retain(|files| files.listen == preview.route);
            let trust = tls::Trust { authority: self.authority.as_deref(), own: &own };
            failures = tls::look(tls, &preview.url, trust, limit).await;
        }
        if let Some(request) = &asked.request {
            let url = format!("{}{}", preview.url, request.path);
            name = format!("{} {url}", request.send.method.as_str());
            failures.extend(request::ask(request, &url, limit).await);
        }
        (name, failures)
    }
}
