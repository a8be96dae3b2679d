//! `pause`, `resume` and `maintenance`: what stands before the live routes for a while.

use std::time::Duration;

use super::{OpsError, Session, history, history::Recorded, lock::locked, state};
use crate::{
    base::{clock, files},
    model::{
        Maintenance,
        control::{Answer, Request},
    },
    run,
};

/// The most that a maintenance page may have: the proxy keeps it with its routing.
const PAGE: usize = 256 << 10;

#[derive(Debug, Clone, Copy)]
pub struct PauseOptions {
    /// When the pause ends by itself.
    pub limit: Duration,
    /// The longest that one request is held.
    pub hold: Duration,
    /// The most requests that are held at one time.
    pub most: u64,
}

/// Holds new requests on the live routes; says how many are still under way.
pub async fn pause(session: &Session<'_>, options: PauseOptions) -> Result<u64, OpsError> {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let PauseOptions { limit, hold, most } = options;
    tell(session, Request::Pause { limit_ms: ms(limit), hold_ms: ms(hold), most }).await?;
    let observed = session.observe().await?;
    let status = state::proxy_status(session, &observed).await?;
    let live = status.and_then(|status| Some(status.open.get(&status.routing.live?)?.requests));
    Ok(live.unwrap_or(0))
}

/// Lets all requests through again; says how many were held.
pub async fn resume(session: &Session<'_>) -> Result<u64, OpsError> {
    match tell(session, Request::Resume).await? {
        Answer::Resumed { held } => Ok(held),
        other => Err(state::wrong(session, format!("the proxy answers {other:?}"))),
    }
}

/// Answers all requests on the live routes with a page, or no longer.
pub async fn maintenance(session: &Session<'_>, on: bool) -> Result<(), OpsError> {
    let what = if on { "maintenance on" } else { "maintenance off" };
    let page = match &session.project.file.proxy.maintenance {
        Some(path) if on => {
            let path = session.project.root.join(path);
            let bytes = files::read(&path)?;
            match String::from_utf8(bytes) {
                Ok(page) if page.len() <= PAGE => Some(page),
                _ => return Err(OpsError::BadPage { path }),
            }
        }
        _ => None,
    };
    let maintenance = on.then(|| Maintenance { since: clock::now(), page });
    locked(session, what, async || {
        history::recorded(session, Recorded::new(what), async || {
            tell(session, Request::Maintain { maintenance }).await.map(drop)
        })
        .await
    })
    .await
}

async fn tell(session: &Session<'_>, request: Request) -> Result<Answer, OpsError> {
    let observed = session.observe().await?;
    match state::own_proxy(session, &observed)? {
        None => return Err(OpsError::NothingLive),
        Some(proxy) if !proxy.is_running() => return Err(OpsError::ProxyStopped),
        Some(_) => {}
    }
    Ok(run::tell(session.engine, &session.project.names.proxy(), &request).await?)
}
