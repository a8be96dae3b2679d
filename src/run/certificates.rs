//! Giving the proxy the user's own certificates.

use super::{ProxyError, tell};
use crate::{
    base::files,
    engine::Engine,
    model::{Certificate, control::Request},
    plan::desired::CertificateFiles,
};

/// Reads the files and has the proxy show them from now on, in place of those before.
pub async fn certify(
    engine: &dyn Engine,
    proxy: &str,
    all: &[CertificateFiles],
) -> Result<(), ProxyError> {
    let mut certificates = vec![];
    for one in all {
        certificates.push(Certificate {
            listen: one.listen,
            hosts: one.hosts.clone(),
            chain: files::read_text(&one.cert)?,
            key: files::read_text(&one.key)?,
        });
    }
    tell(engine, proxy, &Request::Certificates { certificates }).await?;
    Ok(())
}
