//! The engine behind TLS, as it is reached in a pipeline with Docker in a service of its own.

use std::{path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier},
};

use super::super::{Address, Docker};
use crate::{
    engine::{Engine as _, EngineError},
    model::BuildSpec,
};

/// An authority; a server's certificate and key, and a client's in `folder`.
fn certificates(
    folder: &Path,
) -> (CertificateDer<'static>, CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let sign = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &authority).unwrap(), key)
    };
    let (client, client_key) = sign("client");
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("cert.pem", client.pem()),
        ("key.pem", client_key.serialize_pem()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let (server, server_key) = sign("localhost");
    let key = PrivateKeyDer::from_pem_slice(server_key.serialize_pem().as_bytes()).unwrap();
    (authority.der().clone(), server.der().clone(), key)
}

#[tokio::test]
async fn real_engine_is_reached_over_tls_with_a_client_certificate() {
    let (folder, stranger) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (authority, certificate, key) = certificates(folder.path());
    certificates(stranger.path());
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
        .build()
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut secure = acceptor.accept(socket).await?;
                let mut engine = UnixStream::connect("/var/run/docker.sock").await?;
                tokio::io::copy_bidirectional(&mut secure, &mut engine).await
            });
        }
    });
    let address = Address::parse(Some(&format!("tcp://localhost:{port}"))).unwrap();
    let docker =
        Docker::connect(&address.clone().with_tls(Some(folder.path().into()))).await.unwrap();
    docker.observe().await.unwrap();
    assert_eq!(docker.info().await.unwrap().address, format!("tcp://localhost:{port}"));

    // A build's session is a connection of its own.
    let context = tempfile::tempdir().unwrap();
    std::fs::write(context.path().join("file"), "").unwrap();
    let spec = BuildSpec {
        tag: format!("envctl-test-tls:{port}"),
        context: context.path().to_owned(),
        dockerfile_inline: Some("FROM scratch\nCOPY file /\n".to_owned()),
        ..BuildSpec::default()
    };
    let image = docker.build(&spec, &|_| {}).await;
    docker.remove_image(&spec.tag).await.unwrap();
    image.unwrap();

    for wrong in [Some(stranger.path().to_owned()), None] {
        let Err(error) = Docker::connect(&address.clone().with_tls(wrong)).await else {
            panic!("a stranger is let in");
        };
        assert!(
            matches!(error, EngineError::Unreachable { .. } | EngineError::Io { .. }),
            "{error:?}"
        );
    }
}
