//! Looks at a route's certificate: whose it is, for what names, how long it is valid.

use std::{path::Path, sync::Arc, time::Duration};

use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
            verify_server_name,
        },
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
        server::ParsedCertificate,
    },
};

use crate::{
    base::{
        files::{self, shown},
        words,
    },
    config::TlsCheck,
    plan::desired::CertificateFiles,
};

const DAY: i64 = 24 * 60 * 60;

/// Whose certificates a route may show.
#[derive(Clone, Copy)]
pub(super) struct Trust<'a> {
    /// PEM; none where the proxy has no local authority.
    pub authority: Option<&'a [u8]>,
    /// The route's own.
    pub own: &'a [CertificateFiles],
}

/// Shakes hands with the host of `url` under each name that matters and returns all that is wrong with what is shown.
pub(super) async fn look(
    check: &TlsCheck,
    url: &str,
    trust: Trust<'_>,
    limit: Duration,
) -> Vec<String> {
    let Some((host, address)) = split(url) else { return vec![format!("`{url}` has no TLS")] };
    // Certificates of one's own are for names of one's own, and seldom for the preview's host.
    let hosts = trust.own.iter().flat_map(|own| own.hosts.iter().map(String::as_str));
    let host_counts = trust.own.is_empty();
    let mut names: Vec<&str> = hosts.chain(check.names.iter().map(String::as_str)).collect();
    if host_counts || names.is_empty() {
        names.insert(0, host);
    }
    let mut failures: Vec<String> = vec![];
    for name in names {
        let asked =
            name.strip_prefix('*').map_or_else(|| name.to_owned(), |rest| format!("any{rest}"));
        let Ok(server) = ServerName::try_from(asked) else {
            failures.push(format!("`{name}` is not a name of a server"));
            continue;
        };
        let chain = match tokio::time::timeout(limit, shake(server.clone(), &address)).await {
            Ok(Ok(chain)) => chain,
            Ok(Err(reason)) => return vec![format!("no TLS with {address}: {reason}")],
            Err(_) => {
                return vec![format!("no TLS with {address} within {}", words::duration(limit))];
            }
        };
        let Some(leaf) = chain.first() else {
            return vec![format!("{address} shows no certificate")];
        };
        let must_be_for = (name != host || host_counts).then_some((name, &server));
        let more =
            judged(&chain, must_be_for, trust).into_iter().chain(ends_too_early(leaf, check.days));
        failures.extend(more.filter(|failure| !failures.contains(failure)).collect::<Vec<_>>());
    }
    failures
}

/// What is wrong with the certificates shown to somebody who asks for a name. One of the route's own is trusted as it is;
/// any other has to come from the local authority.
fn judged(
    chain: &[CertificateDer<'_>],
    must_be_for: Option<(&str, &ServerName<'_>)>,
    trust: Trust<'_>,
) -> Option<String> {
    let (leaf, rest) = chain.split_first()?;
    let not_for = |name: &str, error: &rustls::Error| {
        format!("the certificate does not do for `{name}`: {error}")
    };
    let mut meant = None;
    for own in trust.own {
        let file = shown(&own.cert).display();
        let first = match first_of(&own.cert) {
            Ok(first) => first,
            Err(reason) => return Some(format!("`{file}`: {reason}")),
        };
        if first == *leaf {
            let (name, server) = must_be_for?;
            let done = ParsedCertificate::try_from(leaf)
                .and_then(|leaf| verify_server_name(&leaf, server));
            return done.err().map(|error| not_for(name, &error));
        }
        let asked = |host: &String| must_be_for.is_some_and(|(name, _)| host == name);
        if own.hosts.is_empty() || own.hosts.iter().any(asked) {
            meant.get_or_insert(file);
        }
    }
    if let Some(file) = meant {
        return Some(format!(
            "another certificate is shown than that of `{file}`: `envctl tls renew` has the proxy read it"
        ));
    }
    let (name, server) = must_be_for?;
    match verifier(trust.authority) {
        Err(reason) => Some(format!("the local authority cannot be read: {reason}")),
        Ok(verifier) => verifier
            .verify_server_cert(leaf, rest, server, &[], UnixTime::now())
            .err()
            .map(|error| not_for(name, &error)),
    }
}

/// The first certificate of a PEM file.
fn first_of(file: &Path) -> Result<CertificateDer<'static>, String> {
    let text = files::read_text(file).map_err(|error| error.source.to_string())?;
    CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| error.to_string())
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
async fn shake(
    name: ServerName<'static>,
    address: &str,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
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
pub struct AnyCertificate(pub Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
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
