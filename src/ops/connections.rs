//! The certificates of databases: what the servers tell of them, and which are to be renewed.

use std::time::Duration;

use jiff::Timestamp;

use super::{OpsError, Session, proxy};
use crate::{
    database::Connections,
    model::{Observed, database_tls::is_near},
    plan::{
        Signing,
        desired::{Certified, Durable, is_of},
    },
};

/// How long a database may take to tell.
const TELLING: Duration = Duration::from_secs(10);

/// What `durable up` has to know of certificates; the folder is what the image is built from, for as long as it may be.
pub(super) async fn signing(
    session: &Session<'_>,
    desired: &Durable,
    observed: &Observed,
) -> Result<(Signing, Option<tempfile::TempDir>), OpsError> {
    let mut signing = Signing::default();
    let mut starts = false;
    for one in &desired.certified {
        let spec = desired.services.iter().find(|service| service.key == one.service);
        let spec = spec.map(|service| &service.replicas[0]);
        let found = observed.container(&one.container);
        let stands = found.zip(spec).is_some_and(|(f, s)| f.is_running() && is_of(f, s));
        if !stands {
            starts = true;
        } else if is_due(session, one).await {
            signing.due.insert(one.service.clone());
        }
    }
    if !starts && signing.due.is_empty() {
        return Ok((signing, None));
    }
    let (job, there, folder) = proxy::image(session).await?;
    signing.image = Some((job, there));
    Ok((signing, folder))
}

/// Whether a running server shows a certificate that is near its end, or not the one it has. One that does not answer is
/// asked by the next `durable up`.
async fn is_due(session: &Session<'_>, one: &Certified) -> bool {
    let ask = one.kind.call("connections", &[]);
    let Ok(told) = session.engine.exec(&one.container, &ask, TELLING).await else { return false };
    let Some(now) = Connections::read(&told.text) else { return false };
    !now.local || now.until.is_none_or(|until| is_near(until, Timestamp::now()))
}
