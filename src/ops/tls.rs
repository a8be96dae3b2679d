//! `tls`: the certificates that the proxy shows.

use super::{OpsError, Session};
use crate::{
    model::{
        Certificates,
        control::{Answer, Request},
    },
    plan::desired,
    run,
};

/// What the proxy shows. `renew`: the local authority signs anew first, and the project's files are read again.
pub async fn tls(session: &Session<'_>, renew: bool) -> Result<Certificates, OpsError> {
    let proxy = session.project.names.proxy();
    if renew {
        let files = desired::certificates(session.project);
        run::certify(session.engine, &proxy, &files).await?;
    }
    match run::tell(session.engine, &proxy, &Request::Tls { renew }).await? {
        Answer::Tls(certificates) => Ok(certificates),
        other => {
            Err(run::ProxyError::Garbled { container: proxy, reason: format!("{other:?}") }.into())
        }
    }
}
