//! TLS to an engine, as Docker sets it up: `ca.pem`, and `cert.pem` with `key.pem` where the engine asks for them.

use std::{fmt, path::Path, sync::Arc};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

use crate::engine::{EngineError, Result};

/// Makes the connector from a folder's certificates.
pub(super) fn connector(folder: &Path) -> Result<TlsConnector> {
    let failed = |name: &str, error: &dyn fmt::Display| EngineError::Io {
        intention: format!("read `{}`", folder.join(name).display()),
        reason: error.to_string(),
    };
    let certificates = |name: &str| {
        CertificateDer::pem_file_iter(folder.join(name))
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|error| failed(name, &error))
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates("ca.pem")? {
        roots.add(authority).map_err(|error| failed("ca.pem", &error))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("ca.pem", &error))?
        .with_root_certificates(roots);
    let config = if folder.join("cert.pem").exists() {
        let key = PrivateKeyDer::from_pem_file(folder.join("key.pem"))
            .map_err(|error| failed("key.pem", &error))?;
        config
            .with_client_auth_cert(certificates("cert.pem")?, key)
            .map_err(|error| failed("cert.pem", &error))?
    } else {
        config.with_no_client_auth()
    };
    Ok(TlsConnector::from(Arc::new(config)))
}
