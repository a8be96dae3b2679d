//! Certificates of TLS routes, as envctl and the proxy speak of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A certificate of the user's own, on its way to the proxy.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// [`super::Route::listen`] of its route, and the route's hosts.
    pub listen: u16,
    #[serde(default)]
    pub hosts: Vec<String>,
    /// PEM: the certificate, and the chain after it.
    pub chain: String,
    /// PEM.
    pub key: String,
}

/// A certificate that the proxy shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// None: of the local authority, for every TLS route without files of its own.
    pub listen: Option<u16>,
    pub hosts: Vec<String>,
    /// What it is made out to.
    pub names: Vec<String>,
    /// RFC 3339, UTC.
    pub expires: String,
}

/// What the proxy shows, and who signed for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificates {
    /// The local authority's certificate, PEM.
    pub authority: String,
    pub shown: Vec<Shown>,
}

impl fmt::Debug for Certificate {
    /// Without its key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("listen", &self.listen)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}
