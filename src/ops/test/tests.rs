//! Each kind of check against a real server.

use std::{slice::from_ref, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, rustls};

use super::{
    CheckResult, Tested, request,
    tls::{self, Trust},
};
use crate::{
    config::{Ask, Check, PreviewCheck, RequestCheck},
    model::{Color, Names},
    plan::desired::CertificateFiles,
};

const LIMIT: Duration = Duration::from_secs(20);

/// Serves one answer to each connection; its address, and what was asked last.
async fn server(head: &'static str, body: &'static str) -> (String, Arc<std::sync::Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(std::sync::Mutex::new(String::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 4096];
            let mut got = stream.read(&mut bytes).await.unwrap_or(0);
            // A body may come in a piece of its own.
            while String::from_utf8_lossy(&bytes[..got]).contains("content-length")
                && !bytes[..got].ends_with(b"}")
            {
                got += stream.read(&mut bytes[got..]).await.unwrap();
            }
            *seen.lock().unwrap() = String::from_utf8_lossy(&bytes[..got]).into_owned();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {head}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, asked)
}

fn check(yaml: &str) -> Check {
    serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

fn preview(yaml: &str) -> PreviewCheck {
    match check(yaml).ask {
        Ask::Preview(asked) => *asked,
        Ask::Service(service) => panic!("{service}"),
    }
}

fn request(yaml: &str) -> RequestCheck {
    preview(yaml).request.unwrap()
}

async fn failures(yaml: &str, url: &str) -> Vec<String> {
    request::ask(&request(yaml), &format!("{url}/x"), LIMIT).await
}

const JSON: &str = r#"{"status":"up","items":[{"id":7,"a/b":true}],"none":null,"build":"v12"}"#;

#[tokio::test]
async fn an_answer_as_expected_passes_each_kind_of_check() {
    let (url, _) =
        server("204 No\r\ncontent-type: application/json\r\nx-id: 5\r\nvia: a\r\nvia: b\r\n", "")
            .await;
    let good = "{ path: /x, status: [200, 204], headers: { Content-Type: application/json, x-id: 5, via: b, x-none: { exists: false }, X-ID: { matches: '^[0-9]$' } } }";
    assert_eq!(failures(good, &url).await, Vec::<String>::new());
    let (url, _) = server("200 OK\r\n", JSON).await;
    let good = "{ path: /x, contains: [status, v12], matches: '\"build\":\"v[0-9]+\"', within: 20s, json: { /status: up, /items/0/id: 7, /items/0/a~1b: true, /items/1: { exists: false }, /none: { exists: true }, /build: { matches: '^v' }, '': { exists: true } } }";
    assert_eq!(failures(good, &url).await, Vec::<String>::new());
    let texts = "{ path: /x, json: { /items/0/id: '7', /items/0/a~1b: 'true', /items: { equals: [{ id: 7, a/b: true }] } } }";
    assert_eq!(failures(texts, &url).await, Vec::<String>::new(), "as a variable leaves them");
}

#[tokio::test]
async fn all_that_is_wrong_with_an_answer_is_told_together_with_what_came() {
    let (url, _) = server("503 Down\r\nx-id: 5\r\n", "out of order").await;
    let bad = "{ path: /x, status: [200, 204], headers: { content-type: text/html, x-id: 6, X-Id: { matches: z } }, contains: fine, matches: '^fine$', json: { /status: up } }";
    assert_eq!(
        failures(bad, &url).await,
        [
            "status 503 instead of 200 or 204: out of order",
            "no header `content-type`",
            "header `x-id` is `5`, not `6`",
            "header `X-Id` is `5`, which does not match `z`",
            "the body does not contain `fine`; the body begins with `out of order`",
            "nothing in the body matches `^fine$`; the body begins with `out of order`",
            "the body is not JSON (expected value at line 1 column 1); the body begins with `out of order`",
        ]
    );
    let (url, _) = server("200 OK\r\nx-id: 5\r\n", JSON).await;
    let bad = "{ path: /x, headers: { x-id: { exists: false } }, json: { /status: down, /items/0/id: 8, /items/1/id: 1, /none: { exists: false }, /build: { matches: '^w' } } }";
    assert_eq!(
        failures(bad, &url).await,
        [
            "header `x-id` is there: `5`",
            "`/status` is \"up\", not \"down\"",
            "`/items/0/id` is 7, not 8",
            "nothing at `/items/1/id`",
            "`/none` is there: null",
            "`/build` is \"v12\", which does not match `^w`",
        ]
    );
}

#[tokio::test]
async fn a_request_carries_its_method_headers_and_body() {
    let (url, asked) = server("200 OK\r\n", "").await;
    let post = "{ path: /x, request: { method: POST, headers: { content-type: application/json, x-key: k }, body: '{\"a\":1}' } }";
    assert_eq!(failures(post, &url).await, Vec::<String>::new());
    let asked = asked.lock().unwrap().clone();
    assert!(asked.starts_with("POST /x HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("x-key: k\r\n") && asked.ends_with("\r\n\r\n{\"a\":1}"), "{asked}");
}

#[tokio::test]
async fn an_answer_that_is_too_slow_or_does_not_come_is_a_failure() {
    let (url, _) = server("200 OK\r\n", "").await;
    let slow = failures("{ path: /x, within: 0s }", &url).await;
    assert!(slow.len() == 1 && slow[0].contains("more than 0 ms"), "{slow:?}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (url, asked) = (format!("http://{address}/x"), request("{ path: /x }"));
    let silent = request::ask(&asked, &url, Duration::from_millis(50)).await;
    assert_eq!(silent, ["no whole answer within 50 ms"]);
    drop(listener);
    let refused = request::ask(&asked, &url, LIMIT).await;
    assert!(refused[0].contains("refused"));
}

/// An HTTPS port with a certificate for 127.0.0.1 and `shop.example` for some days; the authority's certificate.
async fn secure(days: i64) -> (String, String) {
    let (url, authority, _) = secure_for(&["127.0.0.1", "shop.example"], days).await;
    (url, authority)
}

/// An HTTPS port with a certificate for these names for some days; the authority's certificate and its own.
async fn secure_for(names: &[&str], days: i64) -> (String, String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let own = authority.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&own.pem(), key).unwrap();
    let leaf_key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut leaf = rcgen::CertificateParams::new(names).unwrap();
    let day = |days: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        let byte = |number: i8| u8::try_from(number).unwrap();
        rcgen::date_time_ymd(i32::from(date.year()), byte(date.month()), byte(date.day()))
    };
    (leaf.not_before, leaf.not_after) = (day(-30), day(days));
    let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], leaf_key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.shutdown().await;
            }
        }
    });
    (url, own.pem(), leaf.pem())
}

#[tokio::test]
async fn a_routes_own_certificate_is_trusted_as_it_is_and_judged_by_its_names_and_days() {
    let folder = tempfile::tempdir().unwrap();
    let (url, authority, pem) = secure_for(&["shop.example", "*.shop.example"], 60).await;
    let own = |name: &str, pem: &str, hosts: &[&str]| {
        let cert = folder.path().join(name);
        std::fs::write(&cert, pem).unwrap();
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        CertificateFiles { listen: 3443, hosts, cert, key: "key.pem".into() }
    };
    let look = async |yaml: &str, own: &[CertificateFiles]| {
        // The authority is another's.
        let other = secure(60).await.1;
        let trust = Trust { authority: Some(other.as_bytes()), own };
        tls::look(&preview(yaml).tls.unwrap(), &url, trust, LIMIT).await
    };
    let none = Vec::<String>::new();
    let shop = own("shop.pem", &(pem.clone() + &authority), &["shop.example", "*.shop.example"]);
    let all = "{ tls: { days: 30, names: [api.shop.example] } }";
    assert_eq!(look(all, from_ref(&shop)).await, none);
    let any = own("any.pem", &pem, &[]);
    assert_eq!(look("{ tls: true }", from_ref(&any)).await, none, "its host is not known");

    let bad = look("{ tls: { days: 90, names: [other.example] } }", from_ref(&shop)).await;
    assert_eq!(bad.len(), 2, "{bad:?}");
    assert!(bad[0].contains("valid for 59 days"), "{bad:?}");
    assert!(bad[1].contains("does not do for `other.example`"), "{bad:?}");

    let newer = own("newer.pem", &secure_for(&["shop.example"], 90).await.2, &["shop.example"]);
    let stale = look("{ tls: true }", &[newer]).await;
    assert!(stale.len() == 1 && stale[0].contains("another certificate is shown than that of `"));
    assert!(stale[0].contains("newer.pem`: `envctl tls renew`"), "{stale:?}");
    let lost = CertificateFiles { cert: folder.path().join("lost.pem"), ..any };
    assert!(look("{ tls: true }", &[lost]).await[0].contains("lost.pem`: "));
}

#[tokio::test]
async fn a_certificate_is_judged_by_its_names_its_days_and_its_authority() {
    let look = async |yaml: &str, (url, pem): &(String, String)| {
        let tls = preview(yaml).tls.unwrap();
        let trust = Trust { authority: Some(pem.as_bytes()), own: &[] };
        tls::look(&tls, url, trust, LIMIT).await
    };
    let good = secure(60).await;
    assert_eq!(look("{ tls: true }", &good).await, Vec::<String>::new());
    let all = "{ tls: { days: 30, names: [shop.example] } }";
    assert_eq!(look(all, &good).await, Vec::<String>::new());

    let bad = look("{ tls: { days: 90, names: [other.example] } }", &good).await;
    assert_eq!(bad.len(), 2, "{bad:?}");
    assert!(bad[0].contains("valid for 59 days") && bad[0].contains("less than 90"), "{bad:?}");
    assert!(bad[1].contains("does not do for `other.example`"), "{bad:?}");

    let over = look("{ tls: true }", &secure(-2).await).await;
    assert!(over[0].contains("expired"), "{over:?}");
    assert!(over[1].contains("valid for -"), "{over:?}");

    let stranger = (good.0.clone(), secure(60).await.1);
    let bad = look("{ tls: true }", &stranger).await;
    assert!(bad.len() == 1 && bad[0].contains("does not do for `127.0.0.1`"), "{bad:?}");
    let nobody = Trust { authority: None, own: &[] };
    let none = tls::look(&preview("{ tls: true }").tls.unwrap(), &good.0, nobody, LIMIT).await;
    assert!(none[0].contains("the local authority cannot be read"), "{none:?}");
    let (plain, _) = server("200 OK\r\n", "").await;
    let plain = (plain.replace("http:", "https:"), good.1);
    assert!(look("{ tls: true }", &plain).await[0].contains("no TLS with 127.0.0.1"));
}

#[test]
fn the_junit_document_has_a_case_for_each_check_and_no_character_that_xml_lacks() {
    let check = |name: &str, failures: &[&str]| CheckResult {
        name: name.to_owned(),
        service: None,
        passed: failures.is_empty(),
        reason: None,
        milliseconds: 1500,
        failures: failures.iter().map(|text| (*text).to_owned()).collect(),
    };
    let tested = Tested {
        color: Color::Green,
        release: "r1".to_owned(),
        passed: false,
        release_passed: Some(false),
        checks: vec![
            check("health", &[]),
            check(
                "login <&\">",
                &["status 500\nlog: \u{1b}[31mred\u{1b}[0m \u{0}", "no header `x`"],
            ),
        ],
    };
    insta::assert_snapshot!(tested.junit(&Names::new("shop", "ci")), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="shop-ci green" tests="2" skipped="0" failures="1" errors="0">
        <testsuite name="shop-ci green" tests="2" skipped="0" errors="0" failures="1" time="3.000">
            <properties>
                <property name="release" value="r1"/>
            </properties>
            <testcase name="health" classname="shop-ci green" time="1.500"/>
            <testcase name="login &lt;&amp;&quot;&gt;" classname="shop-ci green" time="1.500">
                <failure message="status 500">status 500
    log: red 
    no header `x`</failure>
            </testcase>
        </testsuite>
    </testsuites>
    "#);
}
