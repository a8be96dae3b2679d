//! Looks at a route's certificate: whose it is, for what names, how long it is valid.

use std::{sync::Arc, time::Duration};

use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    },
};

use crate::{base::words, config::TlsCheck};

const DAY: i64 = 24 * 60 * 60;

/// Shakes hands with the host of `url` and returns all that is wrong with its certificate.
pub(super) async fn look(
    check: &TlsCheck,
    url: &str,
    authority: Option<&[u8]>,
    limit: Duration,
) -> Vec<String> {
    let Some((host, address)) = split(url) else { return vec![format!("`{url}` has no TLS")] };
    let chain = match tokio::time::timeout(limit, shake(host, &address)).await {
        Ok(Ok(chain)) => chain,
        Ok(Err(reason)) => return vec![format!("no TLS with {address}: {reason}")],
        Err(_) => return vec![format!("no TLS with {address} within {}", words::duration(limit))],
    };
    let Some((leaf, rest)) = chain.split_first() else {
        return vec![format!("{address} shows no certificate")];
    };
    let mut failures = vec![];
    match verifier(authority) {
        Err(reason) => failures.push(format!("the local authority cannot be read: {reason}")),
        Ok(verifier) => {
            for name in [host].into_iter().chain(check.names.iter().map(String::as_str)) {
                let Ok(server) = ServerName::try_from(name) else {
                    failures.push(format!("`{name}` is not a name of a server"));
                    continue;
                };
                let verified =
                    verifier.verify_server_cert(leaf, rest, &server, &[], UnixTime::now());
                if let Err(error) = verified {
                    failures.push(format!("the certificate does not do for `{name}`: {error}"));
                }
            }
        }
    }
    failures.extend(ends_too_early(leaf, check.days));
    failures
}

fn ends_too_early(leaf: &CertificateDer<'_>, days: u32) -> Option<String> {
    let (_, read) = match x509_parser::parse_x509_certificate(leaf) {
        Ok(read) => read,
        Err(error) => return Some(format!("the certificate cannot be read: {error}")),
    };
    let end = read.validity().not_after.timestamp();
    let left = (end - jiff::Timestamp::now().as_second()).div_euclid(DAY);
    if left >= i64::from(days) {
        return None;
    }
    let date = jiff::Timestamp::from_second(end)
        .map(|end| format!("{}", end.strftime("%Y-%m-%d")))
        .unwrap_or_default();
    Some(format!("the certificate is valid for {left} days (until {date}), less than {days}"))
}

/// Host and `host:port`.
fn split(url: &str) -> Option<(&str, String)> {
    let address = url.strip_prefix("https://")?;
    let (host, _) = address.rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']'), address.to_owned()))
}

fn verifier(authority: Option<&[u8]>) -> Result<Arc<WebPkiServerVerifier>, String> {
    let pem = authority.ok_or("the proxy has none")?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| error.to_string())
}

/// The certificates that a server shows, whatever they are worth.
async fn shake(host: &str, address: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Any(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| error.to_string())?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(shown.iter().map(|certificate| certificate.clone().into_owned()).collect())
}

/// Takes any certificate: it is judged afterwards, so that all that is wrong with it is told together.
#[derive(Debug)]
struct Any(Arc<CryptoProvider>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
