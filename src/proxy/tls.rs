//! TLS of the listeners: the user's own certificates where a route has some, else one of the local authority, which is
//! renewed before it ends. What is shown changes between two handshakes; connections that are open go on.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
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
    ca::{self, Authority, LEAF_DAYS},
    error::ProxyError,
    hosts::Hosts,
    options::Options,
};
use crate::{
    base::files,
    model::{Certificate, Certificates, Shown},
};

/// The certificates that TLS listeners show.
pub(super) struct Tls {
    authority: Authority,
    provider: Arc<CryptoProvider>,
    shown: Arc<ArcSwap<Keys>>,
    /// Where the user's own are kept across restarts.
    file: PathBuf,
    local: Mutex<Local>,
}

/// The certificate of the local authority.
#[derive(Debug)]
struct Local {
    names: Vec<String>,
    /// By the wall clock: the machine may have slept.
    made: SystemTime,
}

#[derive(Debug, Clone)]
struct Keys {
    local: Arc<CertifiedKey>,
    own: Vec<Own>,
}

/// A certificate of the user's own.
#[derive(Debug, Clone)]
struct Own {
    listen: u16,
    names: Vec<String>,
    hosts: Arc<Hosts>,
    key: Arc<CertifiedKey>,
}

/// What the listeners of one route show.
struct OfRoute {
    listen: u16,
    shown: Arc<ArcSwap<Keys>>,
}

const DAY: Duration = Duration::from_hours(24);
/// Two thirds of a certificate's time.
const RENEW_AFTER: Duration = DAY.saturating_mul(LEAF_DAYS * 2 / 3);
const FILE: &str = "certificates.json";

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
        let tls = Self {
            authority,
            provider,
            shown: Arc::new(ArcSwap::from_pointee(Keys { local: Arc::new(key), own: vec![] })),
            file: options.state.join(FILE),
            local: Mutex::new(Local { names, made: SystemTime::now() }),
        };
        if let Ok(bytes) = files::read(&tls.file) {
            let kept = serde_json::from_slice::<Vec<Certificate>>(&bytes);
            let used = kept.map_err(|error| error.to_string()).and_then(|kept| tls.own(&kept));
            match used {
                Ok(own) => tls.show(|keys| keys.own.clone_from(&own)),
                // Better the local authority's than no TLS at all.
                Err(reason) => tracing::error!(reason, "the kept certificates cannot be used"),
            }
        }
        Ok(tls)
    }

    /// What takes the handshakes of a listener.
    pub fn acceptor(&self, listen: u16, http: bool) -> Result<TlsAcceptor, String> {
        let shown = Arc::new(OfRoute { listen, shown: Arc::clone(&self.shown) });
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(shown);
        if http {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Makes a new certificate when two thirds of the old one's time have passed. Says whether it did.
    pub fn renew(&self, now: SystemTime) -> Result<bool, String> {
        let local = self.local();
        if now.duration_since(local.made).is_ok_and(|age| age < RENEW_AFTER) {
            return Ok(false);
        }
        self.sign(local, now)?;
        Ok(true)
    }

    /// Makes a new certificate now.
    pub fn renew_now(&self) -> Result<(), String> {
        self.sign(self.local(), SystemTime::now())
    }

    /// Sees to it that the local certificate is good for these names too.
    pub fn cover<'a>(&self, hosts: impl Iterator<Item = &'a String>) -> Result<(), String> {
        let mut local = self.local();
        let known = local.names.len();
        for host in hosts {
            if !local.names.contains(host) {
                local.names.push(host.clone());
            }
        }
        if local.names.len() > known { self.sign(local, SystemTime::now()) } else { Ok(()) }
    }

    fn sign(&self, mut local: MutexGuard<'_, Local>, now: SystemTime) -> Result<(), String> {
        let key = Arc::new(certified(&self.authority, &local.names, &self.provider)?);
        self.show(|keys| keys.local = Arc::clone(&key));
        local.made = now;
        Ok(())
    }

    /// Shows the user's own certificates in place of those before, for every handshake from now on.
    pub fn set(&self, certificates: &[Certificate]) -> Result<(), String> {
        let own = self.own(certificates)?;
        let bytes = serde_json::to_vec(certificates).map_err(|error| error.to_string())?;
        files::write_atomic(&self.file, &bytes, 0o600).map_err(|error| error.to_string())?;
        self.show(|keys| keys.own.clone_from(&own));
        Ok(())
    }

    fn own(&self, certificates: &[Certificate]) -> Result<Vec<Own>, String> {
        let own = |certificate: &Certificate| {
            let port = certificate.listen;
            let wrong = |reason: &dyn fmt::Display| format!("the certificate of {port}: {reason}");
            let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| wrong(&error))?;
            let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())
                .map_err(|_| wrong(&"its key is no PEM"))?;
            let first = chain.first().ok_or_else(|| wrong(&"there is none in the file"))?;
            let (names, _) = ca::facts(first).map_err(|reason| wrong(&reason))?;
            let key = CertifiedKey::from_der(chain, key, &self.provider)
                .map_err(|error| wrong(&error))?;
            Ok(Own {
                listen: port,
                names,
                hosts: Arc::new(Hosts::new(&certificate.hosts)),
                key: Arc::new(key),
            })
        };
        let mut all = certificates.iter().map(own).collect::<Result<Vec<_>, String>>()?;
        all.sort_by_key(|own| own.hosts.breadth());
        Ok(all)
    }

    /// What is shown now.
    pub fn certificates(&self) -> Result<Certificates, String> {
        let keys = self.shown.load();
        let expires = |key: &CertifiedKey| {
            let (_, expires) = ca::facts(key.cert.first().ok_or("no certificate")?)?;
            Ok::<_, String>(expires.to_string())
        };
        let local = Shown {
            listen: None,
            hosts: vec![],
            names: self.local().names.clone(),
            expires: expires(&keys.local)?,
        };
        let mut shown = vec![local];
        for own in &keys.own {
            shown.push(Shown {
                listen: Some(own.listen),
                hosts: own.hosts.names(),
                names: own.names.clone(),
                expires: expires(&own.key)?,
            });
        }
        Ok(Certificates { authority: self.authority.certificate().to_owned(), shown })
    }

    fn show(&self, change: impl Fn(&mut Keys)) {
        self.shown.rcu(|keys| {
            let mut keys = Keys::clone(keys);
            change(&mut keys);
            keys
        });
    }

    fn local(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
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

impl ResolvesServerCert for OfRoute {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or_default();
        let keys = self.shown.load();
        let own = keys
            .own
            .iter()
            .find(|own| own.listen == self.listen && own.hosts.covers(name.as_bytes()));
        Some(Arc::clone(own.map_or(&keys.local, |own| &own.key)))
    }
}

impl fmt::Debug for OfRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OfRoute({})", self.listen)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
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
        let shown = || tls.shown.load().local.cert[0].clone();
        let (first, now) = (shown(), SystemTime::now());
        assert!(!tls.renew(now + DAY * 59).unwrap());
        assert_eq!(shown(), first);
        assert!(tls.renew(now + DAY * 61).unwrap());
        assert_ne!(shown(), first);
        assert!(!tls.renew(now + DAY * 62).unwrap());
    }
}
