//! `logs`: the containers whose logs are asked for.

use super::{OpsError, Session, state};
use crate::{
    model::{
        Color, Container,
        control::{AccessMark, Answer, Request},
        labels,
    },
    run,
};

/// A container whose log is shown, and what it is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTarget {
    pub container: String,
    /// `green/api`, `durable/mariadb`, `proxy`.
    pub name: String,
}

/// The containers of a color (the live one where none is named), of the durable layer or the proxy; `services` narrows.
pub async fn log_targets(
    session: &Session<'_>,
    durable: bool,
    color: Option<Color>,
    services: &[String],
) -> Result<Vec<LogTarget>, OpsError> {
    let observed = session.observe().await?;
    let names = &session.project.names;
    if !durable && services == ["proxy"] && observed.container(&names.proxy()).is_some() {
        return Ok(vec![LogTarget { container: names.proxy(), name: "proxy".to_owned() }]);
    }
    let place = if durable {
        "durable".to_owned()
    } else {
        match color {
            Some(color) => color.to_string(),
            None => match state::routing(session, &observed).await?.live {
                Some(live) => live.to_string(),
                None => return Err(OpsError::NothingLive),
            },
        }
    };
    let mut all: Vec<(String, LogTarget)> = observed
        .containers
        .iter()
        .filter(|found| {
            found.belongs_to(names)
                && if durable {
                    found.label(labels::LAYER) == Some("durable")
                } else {
                    found.label(labels::COLOR) == Some(&place)
                }
        })
        .map(|found| {
            let service = found.label(labels::SERVICE).unwrap_or(&found.name).to_owned();
            let name = format!("{place}/{service}");
            (service, LogTarget { container: found.name.clone(), name })
        })
        .collect();
    all.sort_by(|a, b| a.1.container.cmp(&b.1.container));
    if let Some(unknown) =
        services.iter().find(|name| all.iter().all(|(service, _)| service != *name))
    {
        let known = all.into_iter().map(|(service, _)| service).collect();
        return Err(OpsError::NoService { name: unknown.clone(), place, known });
    }
    all.retain(|(service, _)| services.is_empty() || services.contains(service));
    Ok(all.into_iter().map(|(_, target)| target).collect())
}

/// The last lines of the proxy's access log, or those after a mark. No mark comes where the proxy does not run: there
/// will be no more lines.
pub async fn access_log(
    session: &Session<'_>,
    tail: usize,
    after: Option<AccessMark>,
) -> Result<(Vec<String>, Option<AccessMark>), OpsError> {
    let name = session.project.names.proxy();
    let observed = session.observe().await?;
    if state::own_proxy(session, &observed)?.is_some_and(Container::is_running) {
        let request = Request::Access { tail, after };
        return match run::tell(session.engine, &name, &request).await? {
            Answer::Access { lines, mark } => Ok((lines, Some(mark))),
            other => Err(state::wrong(session, format!("the proxy answers {other:?}"))),
        };
    }
    // Closed files are named by their time, and so come before `access.log`.
    let files = state::folder(session, &observed, "/state/access").await?;
    let mut lines: Vec<String> = vec![];
    for (_, bytes) in files {
        lines.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
    }
    lines.drain(..lines.len().saturating_sub(tail));
    Ok((lines, None))
}
