//! TLS of the listeners: one certificate for all, made by the local authority and renewed before it ends.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::{CryptoProvider, ring},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
};

use super::{
    ca::{Authority, LEAF_DAYS},
    error::ProxyError,
    options::Options,
};

/// The certificate that all TLS listeners show.
pub(super) struct Tls {
    authority: Authority,
    names: Vec<String>,
    provider: Arc<CryptoProvider>,
    shown: Arc<Shown>,
    /// When the certificate was made. By the wall clock: the machine may have slept.
    made: Mutex<SystemTime>,
}

struct Shown(ArcSwap<CertifiedKey>);

const DAY: Duration = Duration::from_hours(24);
/// Two thirds of a certificate's time.
const RENEW_AFTER: Duration = DAY.saturating_mul(LEAF_DAYS * 2 / 3);

impl Tls {
    pub fn new(options: &Options) -> Result<Self, ProxyError> {
        let authority = Authority::open(&options.ca)?;
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
        for name in &options.names {
            if authority.leaf(std::slice::from_ref(name)).is_err() {
                return Err(ProxyError::Name { name: name.clone() });
            }
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let provider = Arc::new(ring::default_provider());
        let wrong = |reason| ProxyError::Ca { folder: options.ca.clone(), reason };
        let key = certified(&authority, &names, &provider).map_err(wrong)?;
        Ok(Self {
            authority,
            names,
            provider,
            shown: Arc::new(Shown(ArcSwap::from_pointee(key))),
            made: Mutex::new(SystemTime::now()),
        })
    }

    /// What takes the handshakes of a listener.
    pub fn acceptor(&self, http: bool) -> Result<TlsAcceptor, String> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.shown) as Arc<dyn ResolvesServerCert>);
        if http {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Makes a new certificate when two thirds of the old one's time have passed. Says whether it did.
    pub fn renew(&self, now: SystemTime) -> Result<bool, String> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(*made).is_ok_and(|age| age < RENEW_AFTER) {
            return Ok(false);
        }
        let key = certified(&self.authority, &self.names, &self.provider)?;
        self.shown.0.store(Arc::new(key));
        *made = now;
        Ok(true)
    }
}

/// Looks every hour whether the certificate has to be renewed.
pub(super) async fn keep(tls: Arc<Tls>) {
    let mut turn = tokio::time::interval(Duration::from_hours(1));
    loop {
        turn.tick().await;
        match tls.renew(SystemTime::now()) {
            Ok(false) => {}
            Ok(true) => tracing::info!("the certificate was renewed"),
            Err(reason) => tracing::error!(reason, "the certificate cannot be renewed"),
        }
    }
}

fn certified(
    authority: &Authority,
    names: &[String],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, String> {
    let leaf = authority.leaf(names).map_err(|error| error.to_string())?;
    CertifiedKey::from_der(leaf.chain, leaf.key, provider).map_err(|error| error.to_string())
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_is_renewed_in_time_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let mut options = Options::new(vec![], path.clone(), path, "127.0.0.1".parse().unwrap());
        options.names = vec!["app.example".into()];
        let tls = Tls::new(&options).unwrap();
        let shown = || tls.shown.0.load_full().cert[0].clone();
        let (first, now) = (shown(), SystemTime::now());
        assert!(!tls.renew(now + DAY * 59).unwrap());
        assert_eq!(shown(), first);
        assert!(tls.renew(now + DAY * 61).unwrap());
        assert_ne!(shown(), first);
        assert!(!tls.renew(now + DAY * 62).unwrap());
    }
}
