//! Sends a check's request.

use std::time::{Duration, Instant};

use super::answer::Answer;
use crate::config::RequestCheck;

/// Asks, and returns all that is wrong with the answer.
pub(super) async fn ask(check: &RequestCheck, url: &str, limit: Duration) -> Vec<String> {
    match send(check, url, limit).await {
        Ok(answer) => answer.failures(check),
        Err(error) if error.is_timeout() => {
            vec![format!("no whole answer within {}", crate::base::words::duration(limit))]
        }
        Err(error) => vec![deepest(&error)],
    }
}

async fn send(check: &RequestCheck, url: &str, limit: Duration) -> reqwest::Result<Answer> {
    let client = client(limit)?;
    let method = check.send.method.as_str().parse().expect("each of them is a method");
    let mut request = client.request(method, url);
    for (name, value) in &check.send.headers {
        request = request.header(&name.0, value);
    }
    if let Some(body) = &check.send.body {
        request = request.body(body.clone());
    }
    let started = Instant::now();
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let headers = answer.headers().clone();
    let body = answer.text().await?;
    Ok(Answer { status, headers, body, took: started.elapsed() })
}

/// The checks ask the proxy on this host, whose certificate is of its own authority: what is tested is the stack behind
/// it. The certificate has a check of its own.
fn client(limit: Duration) -> reqwest::Result<reqwest::Client> {
    // An error means that a provider is installed already.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(limit)
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .build()
}

/// The innermost cause says what went wrong; the outer ones only where.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
