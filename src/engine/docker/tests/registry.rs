//! A real registry with a password, as a container of Debian's packages.

use std::{os::unix::fs::PermissionsExt as _, path::Path as File};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::Instant};

use super::{
    super::{
        Docker,
        call::{PATIENT, Path, request},
        fault::Asked,
        transport::full,
    },
    LIMIT, PROGRAM, Sandbox, sandbox,
};
use crate::{
    engine::{Engine as _, EngineError, context_hash},
    model::{Publish, ServiceSpec},
};

const DOCKERFILE: &str = r#"ARG BASE_IMAGE=debian:trixie-slim
FROM $BASE_IMAGE
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends docker-registry apache2-utils >/dev/null \
    && rm -rf /var/lib/apt/lists/*
RUN htpasswd -Bbn user geheim > /htpasswd \
    && printf '%s\n' 'version: 0.1' 'http: { addr: "0.0.0.0:5000" }' \
        'storage: { filesystem: { rootdirectory: /var/lib/registry } }' \
        'auth: { htpasswd: { realm: test, path: /htpasswd } }' > /config.yml
"#;

/// Starts a registry, and returns its `host:port`.
async fn registry(s: &Sandbox) -> String {
    let (_folder, mut spec) = s.context(&[("Dockerfile", DOCKERFILE)]);
    spec.labels = [(PROGRAM.to_owned(), String::new())].into();
    spec.tag = format!("envctl-test-registry:{}", context_hash(&spec).unwrap());
    if s.docker.image(&spec.tag).await.unwrap().is_none() {
        s.docker.build(&spec, &|_| {}).await.unwrap();
    }
    let service = ServiceSpec {
        name: s.name("registry"),
        image: spec.tag,
        command: Some(["docker-registry", "serve", "/config.yml"].map(str::to_owned).to_vec()),
        labels: s.labels(),
        ports: vec![Publish {
            host_ip: "127.0.0.1".into(),
            host_port: None,
            container_port: 5000,
            protocol: "tcp".into(),
        }],
        ..ServiceSpec::default()
    };
    s.docker.create(&service).await.unwrap();
    s.docker.start(&service.name).await.unwrap();
    let path = format!("/containers/{}/json", service.name);
    let seen: Value = s.docker.get(&path, Asked::Engine("ask for the port")).await.unwrap();
    let port = seen["NetworkSettings"]["Ports"]["5000/tcp"][0]["HostPort"].as_str().unwrap();
    let address = format!("127.0.0.1:{port}");
    let begun = Instant::now();
    while answers(&address).await.is_err() {
        assert!(begun.elapsed() < LIMIT, "the registry does not answer");
        tokio::task::yield_now().await;
    }
    address
}

/// The engine's own proxy accepts connections before the registry does: only an answer counts.
async fn answers(address: &str) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /v2/ HTTP/1.0\r\n\r\n").await?;
    stream.read_exact(&mut [0; 12]).await.map(|_| ())
}

/// Returns the digest that the registry gave it.
async fn push(s: &Sandbox, reference: &str) -> String {
    let (repository, tag) = reference.rsplit_once(':').unwrap();
    let path = Path::new(&["images", repository, "push"]).with("tag", tag);
    let login = json!({"username": "user", "password": "geheim"}).to_string();
    let request = request(http::Method::POST, path.as_str())
        .header("x-registry-auth", BASE64_STANDARD.encode(login))
        .body(full(bytes::Bytes::new()))
        .unwrap();
    let answer = s.docker.send(request, PATIENT).await.unwrap();
    let said = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains("errorDetail"), "{said}");
    let (_, digest) = said.split_once("digest: ").expect("the registry tells it");
    digest.split(' ').next().unwrap().to_owned()
}

fn helper(folder: &File, name: &str, script: &str) {
    let program = folder.join(format!("docker-credential-{name}"));
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn real_engine_logs_in_at_a_registry_for_pulls_and_for_builds() {
    sandbox(async |s| {
        let address = registry(s).await;
        let reference = format!("{address}/private:1");
        let (_folder, mut base) =
            s.context(&[("Dockerfile", "FROM scratch\nCOPY a /\n"), ("a", &s.id)]);
        base.tag.clone_from(&reference);
        s.docker.build(&base, &|_| {}).await.unwrap();
        let digest = push(s, &reference).await;
        s.docker.remove_image(&reference).await.unwrap();

        let error = s.docker.pull(&reference, None, &|_| {}).await.unwrap_err().to_string();
        assert!(error.contains("no basic auth credentials"), "{error}");

        let (auths, store, sad) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        let both = BASE64_STANDARD.encode("user:geheim");
        let config = |folder: &tempfile::TempDir, config: Value| {
            std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        };
        config(&auths, json!({"auths": {&address: {"auth": both}}}));
        config(&store, json!({"credHelpers": {&address: "fake"}}));
        config(&sad, json!({"auths": {&address: {}}, "credsStore": "sad"}));
        helper(store.path(), "fake", r#"echo '{"Username":"user","Secret":"geheim"}'"#);
        helper(sad.path(), "sad", "echo 'the vault is sealed'; exit 1");
        let with = |folder: &tempfile::TempDir| -> Docker {
            let path = format!("{}:/usr/bin:/bin", folder.path().display());
            s.docker.clone().with_logins(folder.path()).with_helpers(Some(&path))
        };
        let (_folder, mut from) =
            s.context(&[("Dockerfile", "ARG BASE\nFROM $BASE\nCOPY b /\n"), ("b", "b")]);
        from.args.insert("BASE".into(), reference.clone());
        // Either builder asks the registry anew.
        from.pull = true;
        for docker in [with(&auths), with(&store)] {
            let pulled = docker.pull(&reference, None, &|_| {}).await.unwrap();
            assert_eq!(pulled.digests, [format!("{address}/private@{digest}")]);
            let image = docker.image(&pulled.id).await.unwrap().unwrap();
            assert_eq!(image.digests, pulled.digests);
            docker.build(&from, &|_| {}).await.unwrap();
            docker.clone().with_classic_builder().build(&from, &|_| {}).await.unwrap();
            docker.remove_image(&from.tag).await.unwrap();
            docker.remove_image(&reference).await.unwrap();
        }

        let sad = with(&sad);
        let sealed = "`docker-credential-sad get`: the vault is sealed";
        let error = sad.pull(&reference, None, &|_| {}).await.unwrap_err();
        assert!(
            matches!(&error, EngineError::Pull { reason, .. } if reason == sealed),
            "{error:?}"
        );
        for docker in [sad.clone(), sad.with_classic_builder()] {
            let error = docker.build(&from, &|_| {}).await.unwrap_err().to_string();
            assert!(error.contains(sealed) && !error.contains("geheim"), "{error}");
        }
    })
    .await;
}
