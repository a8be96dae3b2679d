//! TLS with the local authority, HTTP/2 on it, and what travels inside.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

use super::{
    backend::Backend,
    stage::{PATIENCE, Stage, WEB, route, stack},
};
use crate::{
    model::{
        Certificate, Color,
        Color::Blue,
        Listener,
        control::{Answer, Request as Ask},
    },
    proxy::options::{Limits, Options},
};

pub async fn one() -> (Stage, Backend) {
    one_with(Limits::default()).await
}

pub async fn one_with(limits: Limits) -> (Stage, Backend) {
    let listener =
        |color: Option<Color>| Listener { port: 0, tls: true, tcp: false, route: WEB, color };
    let edit = |options: &mut Options| {
        options.names = vec!["app.example".into()];
        options.limits = limits;
    };
    let stage = Stage::with(vec![listener(None), listener(Some(Blue))], edit, &[]);
    let blue = Backend::start("blue").await;
    let mut routes = vec![route(WEB, &[("/", blue.address)])];
    routes[0].tls = true;
    stage.put_stack(Blue, stack(routes), Duration::from_secs(1)).await;
    stage.switch(Blue).await;
    (stage, blue)
}

/// Connects as a client that trusts the proxy's authority and nothing else.
pub async fn connect(
    stage: &Stage,
    to: SocketAddr,
    name: &str,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    encrypt(stage, TcpStream::connect(to).await.unwrap(), name, alpn).await
}

pub async fn encrypt(
    stage: &Stage,
    stream: TcpStream,
    name: &str,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let file: &Path = &stage.folder.path().join("ca/ca.crt");
    roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn the_certificate_is_good_for_its_names_and_no_others() {
    let (stage, _blue) = one().await;
    for name in ["localhost", "127.0.0.1", "::1", "app.example"] {
        let stream = connect(&stage, stage.live(), name, &[]).await.expect(name);
        let io = TokioIo::new(stream);
        let (mut send, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/headers").header("host", "h").body(Full::<Bytes>::default());
        let answer = send.send_request(request.unwrap()).await.unwrap();
        assert_eq!(answer.headers()["x-envctl-color"], "blue");
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let text = str::from_utf8(&text).unwrap();
        assert!(text.contains("x-forwarded-proto: https"), "{text}");
    }
    assert!(connect(&stage, stage.live(), "other.example", &[]).await.is_err());
}

#[tokio::test]
async fn http2_carries_many_requests_on_one_connection() {
    let (stage, _blue) = one().await;
    let stream = connect(&stage, stage.live(), "localhost", &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(stream);
    let (send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut all = tokio::task::JoinSet::new();
    for n in 0..20_usize {
        let mut send = send.clone();
        all.spawn(async move {
            let body = Full::new(Bytes::from(vec![1; n * 10_000]));
            let uri = format!("https://localhost:{WEB}/upload");
            let request = Request::post(uri).version(Version::HTTP_2).body(body).unwrap();
            let answer = send.send_request(request).await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(text, format!("blue {0} {0}", n * 10_000));
        });
    }
    all.join_all().await;
    stage.until_left(Blue, |left| left.is_empty()).await;
}

#[tokio::test]
async fn a_client_that_never_takes_its_answers_over_http2_is_given_up() {
    let limits = Limits { stall_time: Duration::from_millis(300), ..Limits::default() };
    let (stage, _blue) = one_with(limits).await;
    let stream = connect(&stage, stage.live(), "localhost", &[b"h2"]).await.unwrap();
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let ask = |path: &str| Request::get(format!("https://localhost{path}")).body(Full::default());
    let quiet = send.send_request(ask("/stuck").unwrap()).await.unwrap();
    let silent = Request::get("https://localhost/slow?1000").body(Full::<Bytes>::default());
    assert_eq!(send.send_request(silent.unwrap()).await.unwrap().status(), 200);
    drop(quiet);
    let _untaken = send.send_request(ask("/download?1000").unwrap()).await.unwrap();
    let _ = tokio::time::timeout(PATIENCE, connection).await.expect("it is hung up on");
    stage.until_left(Blue, |left| left.is_empty()).await;
}

#[tokio::test]
async fn a_service_that_is_gone_is_named_over_http2_too() {
    let (stage, blue) = one().await;
    let address = blue.address;
    drop(blue);
    super::stage::eventually(async || TcpStream::connect(address).await.is_err()).await;
    let stream = connect(&stage, stage.live(), "localhost", &[b"h2"]).await.unwrap();
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://localhost/").body(Full::<Bytes>::default()).unwrap();
    let answer = send.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 502);
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(str::from_utf8(&text).unwrap().contains(&address.to_string()));
}

/// A certificate for a name: its PEM, and what the proxy is given.
fn own(name: &str, listen: u16, hosts: &[&str]) -> (String, Certificate) {
    let leaf = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let chain = leaf.cert.pem();
    let certificate = Certificate {
        listen,
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        chain: chain.clone(),
        key: leaf.signing_key.serialize_pem(),
    };
    (chain, certificate)
}

/// The certificate that is shown to who asks for a name.
async fn shown(to: SocketAddr, name: &str) -> CertificateDer<'static> {
    use tokio_rustls::rustls::{self, client::danger};
    #[derive(Debug)]
    struct Any;
    impl danger::ServerCertVerifier for Any {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: rustls_pki_types::UnixTime,
        ) -> Result<danger::ServerCertVerified, rustls::Error> {
            Ok(danger::ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<danger::HandshakeSignatureValid, rustls::Error> {
            Ok(danger::HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<danger::HandshakeSignatureValid, rustls::Error> {
            Ok(danger::HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            ring::default_provider().signature_verification_algorithms.supported_schemes()
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Any))
        .with_no_client_auth();
    let stream = TcpStream::connect(to).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn own_certificates_are_shown_by_name_changed_between_handshakes_and_kept() {
    let (stage, _blue) = one().await;
    let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (shop, first) = own("shop.example", WEB, &["shop.example"]);
    let (all, second) = own("*.cdn.example", WEB, &["*.cdn.example"]);
    let (_, elsewhere) = own("x", 4000, &[]);
    let local = shown(stage.live(), "shop.example").await;
    let open = connect(&stage, stage.live(), "localhost", &[]).await.unwrap();
    let certificates = vec![second.clone(), first.clone(), elsewhere];
    assert_eq!(stage.ask(Ask::Certificates { certificates }).await, Answer::Done);
    assert_eq!(shown(stage.live(), "shop.example").await, der(&shop));
    assert_eq!(shown(stage.preview(Blue), "shop.example").await, der(&shop));
    assert_eq!(shown(stage.live(), "a.cdn.example").await, der(&all));
    assert_eq!(shown(stage.live(), "localhost").await, local);

    // The key of another certificate: refused, and nothing changes.
    let wrong = Certificate { key: second.key.clone(), ..first.clone() };
    match stage.ask(Ask::Certificates { certificates: vec![wrong] }).await {
        Answer::Refused { reason } => assert!(reason.contains("certificate of 3000"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(shown(stage.live(), "shop.example").await, der(&shop));

    let (newer, first) = own("shop.example", WEB, &["shop.example"]);
    let secret = first.key.clone();
    assert!(!format!("{first:?}").contains(&secret));
    assert_eq!(stage.ask(Ask::Certificates { certificates: vec![first] }).await, Answer::Done);
    assert_eq!(shown(stage.live(), "shop.example").await, der(&newer));
    // A connection that was open all the while goes on.
    let (mut send, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(open)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/").header("host", "h").body(Full::<Bytes>::default());
    assert_eq!(send.send_request(request.unwrap()).await.unwrap().status(), 200);

    let file = stage.folder.path().join("state/certificates.json");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let stage = tokio::task::spawn_blocking(move || stage.restart()).await.unwrap();
    assert_eq!(shown(stage.live(), "shop.example").await, der(&newer));
}

#[tokio::test]
async fn the_local_certificate_covers_the_hosts_of_routes_and_is_signed_anew_on_request() {
    let (stage, blue) = one().await;
    assert!(connect(&stage, stage.live(), "new.example", &[]).await.is_err());
    let mut routes = vec![route(WEB, &[("/", blue.address)])];
    (routes[0].tls, routes[0].hosts) = (true, vec!["new.example".into(), "*.new.example".into()]);
    stage.put_stack(Blue, stack(routes), Duration::from_secs(1)).await;
    connect(&stage, stage.live(), "new.example", &[]).await.unwrap();
    connect(&stage, stage.live(), "a.new.example", &[]).await.unwrap();
    let before = shown(stage.live(), "localhost").await;
    let told = match stage.ask(Ask::Tls { renew: true }).await {
        Answer::Tls(told) => told,
        other => panic!("{other:?}"),
    };
    assert!(told.authority.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(told.shown[0].names.contains(&"new.example".to_owned()));
    assert!(told.shown[0].expires.contains('T'));
    assert_ne!(shown(stage.live(), "localhost").await, before);
}
