//! What a build made for its own time is removed, whatever fails: on an engine that fails as it is told.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

use super::super::{Address, Docker};
use crate::{engine::Engine as _, model::BuildSpec};

/// Builds of `broken` fail, and every removal of an image.
async fn answer(request: Request<Incoming>, removed: &Mutex<Vec<String>>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let _ = body.collect().await;
    let uri = head.uri.to_string();
    let (status, text) = if head.method == Method::DELETE {
        let image = head.uri.path().rsplit('/').next().unwrap().replace("%3A", ":");
        removed.lock().unwrap().push(image);
        (500, r#"{"message":"the disk is asleep"}"#)
    } else if uri.contains("/build?") && uri.contains("broken") && !uri.contains("-context-") {
        (200, "{\"error\":\"no flour\"}\n")
    } else if uri.contains("/build?") && uri.contains("more") && uri.contains("-context-2") {
        (200, "{\"error\":\"no sugar\"}\n")
    } else {
        (200, "{}")
    };
    let answer = Response::builder().status(status).header("Api-Version", "1.41");
    let answer = answer.header("Content-Type", "application/json");
    answer.body(Full::from(text)).unwrap()
}

#[tokio::test]
async fn all_images_of_further_contexts_go_and_the_builds_own_error_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    let socket = folder.path().join("engine.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let removed = Arc::new(Mutex::new(vec![]));
    let noted = removed.clone();
    let served = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let noted = noted.clone();
            let service = service_fn(move |request| {
                let noted = noted.clone();
                async move { Ok::<_, Infallible>(answer(request, &noted).await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let docker = Docker::connect(&Address::Unix(socket)).await.unwrap();
    let more = folder.path().join("more");
    std::fs::create_dir(&more).unwrap();
    let build = async |tag: &str| {
        let spec = BuildSpec {
            tag: tag.to_owned(),
            context: more.clone(),
            dockerfile_inline: Some("FROM scratch\n".to_owned()),
            contexts: ["one", "two"]
                .map(|name| (name.to_owned(), more.display().to_string()))
                .into(),
            ..BuildSpec::default()
        };
        let error = docker.build(&spec, &|_| {}).await.unwrap_err().to_string();
        (error, std::mem::take(&mut *removed.lock().unwrap()))
    };
    let (error, gone) = build("broken:1").await;
    assert!(error.contains("no flour"), "{error}");
    assert_eq!(gone, ["broken:1-context-1", "broken:1-context-2"]);
    let (error, gone) = build("more:1").await;
    assert!(error.contains("no sugar"), "{error}");
    assert_eq!(gone, ["more:1-context-1"]);
    let (error, gone) = build("well:1").await;
    assert!(error.contains("the disk is asleep"), "{error}");
    assert_eq!(gone.len(), 2);
    served.abort();
}
