//! Requests to AWS, or to what stands for it: signed (Signature Version 4), in the two protocols that it takes.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials as Identity;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Mutex,
    task::AbortHandle,
};

use super::{AwsError, xml::Element};

/// The longest that a call may take: on a busy machine LocalStack needs its time for the first one of each service.
const LIMIT: Duration = Duration::from_secs(240);

/// What requests are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

impl Credentials {
    /// Such as what stands for AWS takes: any.
    pub fn any() -> Self {
        Self { id: "test".to_owned(), secret: "test".to_owned(), token: None }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.id)
    }
}

/// AWS, or what stands for it, in one region.
pub struct Client {
    /// `http://127.0.0.1:4566`; `{service}` in it is the name of AWS's service.
    endpoint: String,
    /// What messages call it.
    shown: String,
    region: String,
    credentials: Credentials,
    is_localstack: bool,
    wire: Wire,
}

enum Wire {
    Address(reqwest::Client),
    /// One connection, whose requests follow one another.
    Stream {
        requests: Mutex<SendRequest<Full<Bytes>>>,
        under_way: AbortHandle,
    },
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Wire::Stream { under_way, .. } = &self.wire {
            under_way.abort();
        }
    }
}

impl Client {
    /// One that is reached by its address.
    pub fn at(endpoint: &str, region: &str, credentials: Credentials) -> Result<Self, AwsError> {
        // An error means that a provider is installed already.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(LIMIT).build();
        let client = client.map_err(|error| AwsError::Unreachable {
            endpoint: endpoint.to_owned(),
            reason: deepest(&error),
        })?;
        Ok(Self {
            endpoint: endpoint.to_owned(),
            shown: endpoint.to_owned(),
            region: region.to_owned(),
            credentials,
            is_localstack: false,
            wire: Wire::Address(client),
        })
    }

    /// Asks what answers at the address: LocalStack tells how it is where AWS has nothing.
    pub async fn looked_at(mut self) -> Result<Self, AwsError> {
        if !self.endpoint.contains("{service}") {
            let told = self.get("/_localstack/health").await?;
            self.is_localstack = told.is_some_and(|told| told.get("services").is_some());
        }
        Ok(self)
    }

    /// Whether it is LocalStack, or a container that stands for AWS as that does.
    pub const fn is_localstack(&self) -> bool {
        self.is_localstack
    }

    /// One at the other end of a stream; `name` is what messages call it.
    pub async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        (name, port): (&str, u16),
        region: &str,
    ) -> Result<Self, AwsError> {
        let endpoint = format!("http://localhost:{port}");
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (requests, connection) = shaken.map_err(|error| AwsError::Unreachable {
            endpoint: name.to_owned(),
            reason: deepest(&error),
        })?;
        let under_way = tokio::spawn(connection).abort_handle();
        let wire = Wire::Stream { requests: Mutex::new(requests), under_way };
        let credentials = Credentials::any();
        let shown = format!("{name}:{port}");
        let region = region.to_owned();
        Ok(Self { endpoint, shown, region, credentials, is_localstack: true, wire })
    }

    /// The same as another account of LocalStack, which tells them by their credentials: nothing is shared but names of
    /// buckets.
    #[must_use]
    pub fn as_account(mut self, number: &str) -> Self {
        number.clone_into(&mut self.credentials.id);
        self
    }

    /// A call in the query protocol, which answers in XML.
    pub(super) async fn query(
        &self,
        (service, host): (&str, &str),
        version: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Element, AwsError> {
        let mut form = vec![("Action", action), ("Version", version)];
        form.extend(parameters);
        let body = form_encoded(&form);
        let kind = "application/x-www-form-urlencoded; charset=utf-8";
        let request = Request::post(self.uri(host, "/")).header(header::CONTENT_TYPE, kind);
        let (status, text) = self.send(service, action, request, body).await?;
        let read = Element::read(&text).map_err(|reason| AwsError::Strange {
            action: action.to_owned(),
            reason: format!("HTTP {status}, {reason}"),
        })?;
        if status < 300 {
            return Ok(read);
        }
        let error = read.find("Error").unwrap_or(&read);
        Err(AwsError::Refused {
            action: action.to_owned(),
            code: error.text("Code").unwrap_or("no code").to_owned(),
            message: error.text("Message").unwrap_or("no reason given").trim().to_owned(),
        })
    }

    /// A call in the JSON protocol; `target` is `AmazonSQS.SendMessage`.
    pub(super) async fn json(
        &self,
        service: &str,
        path: &str,
        target: &str,
        body: &Value,
    ) -> Result<Value, AwsError> {
        let action = target.rsplit('.').next().unwrap_or(target);
        // Secrets Manager has its own version of the protocol; both read the same.
        let kind = if service == "sqs" { "1.0" } else { "1.1" };
        let request = Request::post(self.uri(service, path))
            .header(header::CONTENT_TYPE, format!("application/x-amz-json-{kind}"))
            .header("x-amz-target", target);
        let (status, text) = self.send(service, action, request, body.to_string()).await?;
        let read: Value =
            if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text) }.map_err(
                |error| AwsError::Strange {
                    action: action.to_owned(),
                    reason: format!("HTTP {status}, {error}"),
                },
            )?;
        if status < 300 {
            return Ok(read);
        }
        let member = |names: [&str; 2]| {
            names.iter().find_map(|name| read.get(name)?.as_str()).map(str::to_owned)
        };
        let code = member(["__type", "code"]).unwrap_or_else(|| "no code".to_owned());
        Err(AwsError::Refused {
            action: action.to_owned(),
            // `com.amazonaws.sqs#QueueDoesNotExist`
            code: code.rsplit('#').next().unwrap_or_default().to_owned(),
            message: member(["message", "Message"]).unwrap_or_else(|| "no reason given".to_owned()),
        })
    }

    /// What LocalStack tells of itself; none where nothing of the kind is there.
    pub(super) async fn get(&self, path: &str) -> Result<Option<Value>, AwsError> {
        let request = Request::get(self.uri("localstack", path));
        let (status, text) = self.send("localstack", path, request, String::new()).await?;
        Ok(serde_json::from_str(&text).ok().filter(|_| status == 200))
    }

    fn uri(&self, service: &str, path: &str) -> String {
        format!("{}{path}", self.endpoint.replace("{service}", service))
    }

    async fn send(
        &self,
        service: &str,
        action: &str,
        request: http::request::Builder,
        body: String,
    ) -> Result<(u16, String), AwsError> {
        let strange = |reason: String| AwsError::Strange { action: action.to_owned(), reason };
        let mut request = request.body(body).map_err(|error| strange(error.to_string()))?;
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let host = host.parse().map_err(|_| strange(format!("`{host}` is no host")))?;
        request.headers_mut().insert(header::HOST, host);
        self.sign(service, &mut request).map_err(strange)?;
        let unreachable = |reason: String| AwsError::Unreachable {
            endpoint: self.shown.replace("{service}", service),
            reason,
        };
        match &self.wire {
            Wire::Address(client) => {
                let request = reqwest::Request::try_from(request)
                    .map_err(|error| strange(deepest(&error)))?;
                let answer = client.execute(request).await;
                let answer = answer.map_err(|error| unreachable(deepest(&error)))?;
                let status = answer.status().as_u16();
                let text = answer.text().await.map_err(|error| unreachable(deepest(&error)))?;
                Ok((status, text))
            }
            Wire::Stream { requests, .. } => {
                // What goes over a connection names no host.
                let (mut parts, body) = request.into_parts();
                let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
                parts.uri = path.parse().map_err(|_| strange(format!("`{path}` is no path")))?;
                let request = Request::from_parts(parts, Full::new(Bytes::from(body)));
                let call = async {
                    let mut requests = requests.lock().await;
                    requests.ready().await?;
                    let answer = requests.send_request(request).await?;
                    let status = answer.status().as_u16();
                    Ok::<_, hyper::Error>((status, answer.into_body().collect().await?.to_bytes()))
                };
                let (status, bytes) = tokio::time::timeout(LIMIT, call)
                    .await
                    .map_err(|_| unreachable(format!("no answer within {} s", LIMIT.as_secs())))?
                    .map_err(|error| unreachable(deepest(&error)))?;
                Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
            }
        }
    }

    fn sign(&self, service: &str, request: &mut Request<String>) -> Result<(), String> {
        let Credentials { id, secret, token } = &self.credentials;
        let identity = Identity::new(id, secret, token.clone(), None, "envctl").into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let headers = request.headers().iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let uri = request.uri().to_string();
        let body = SignableBody::Bytes(request.body().as_bytes());
        let signable = SignableRequest::new(request.method().as_str(), uri, headers, body)
            .map_err(|error| error.to_string())?;
        let signed = sign(signable, &params).map_err(|error| error.to_string())?;
        signed.into_parts().0.apply_to_request_http1x(request);
        Ok(())
    }
}

fn form_encoded(form: &[(&str, &str)]) -> String {
    let each = form.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value)));
    each.collect::<Vec<_>>().join("&")
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The innermost cause says what went wrong; the outer ones only where.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// Answers each request with the next of these, and returns what it was sent.
    async fn served(mut stream: tokio::io::DuplexStream, answers: Vec<(u16, &str)>) -> Vec<String> {
        let mut heard = vec![];
        for (status, body) in answers {
            let (mut text, mut buffer) = (String::new(), [0; 4096]);
            loop {
                let count = stream.read(&mut buffer).await.unwrap();
                text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
                let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if rest.len() == length.map_or(0, |length| length.parse().unwrap()) {
                    break;
                }
            }
            heard.push(text);
            let answer =
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        heard
    }

    #[tokio::test]
    async fn calls_are_signed_and_their_errors_are_read_in_both_protocols() {
        let (ours, theirs) = duplex(1 << 16);
        let server = tokio::spawn(served(
            theirs,
            vec![
                (200, "<A><AResult><Name>one</Name></AResult></A>"),
                (
                    400,
                    "<E><Error><Code>ValidationError</Code><Message>no such stack</Message></Error></E>",
                ),
                (
                    400,
                    "{\"__type\": \"com.amazonaws.sqs#QueueDoesNotExist\", \"message\": \"gone\"}",
                ),
                (502, "<html>"),
            ],
        ));
        let client = Client::over(ours, ("localstack", 4566), "eu-central-1").await.unwrap();
        let form = [("StackName", "shop ci"), ("Body", "a&b=ü")];
        let place = ("cloudformation", "cloudformation");
        let answer = client.query(place, "2010-05-15", "A", &form).await.unwrap();
        assert_eq!(answer.find("AResult").unwrap().text("Name"), Some("one"));
        let refused = client.query(place, "2010-05-15", "A", &[]).await.unwrap_err();
        assert!(refused.is("ValidationError") && refused.to_string().contains("no such stack"));
        let body = serde_json::json!({ "QueueUrl": "q" });
        let refused = client.json("sqs", "/", "AmazonSQS.GetIt", &body).await.unwrap_err();
        assert!(refused.is("QueueDoesNotExist"), "{refused}");
        let strange = client.json("sqs", "/", "AmazonSQS.GetIt", &body).await.unwrap_err();
        assert!(strange.to_string().contains("HTTP 502"), "{strange}");
        let heard = server.await.unwrap();
        let scope = "/eu-central-1/cloudformation/aws4_request";
        assert!(
            heard[0].contains("authorization: AWS4-HMAC-SHA256 Credential=test/"),
            "{}",
            heard[0]
        );
        assert!(heard[0].contains(scope) && heard[0].contains("POST / HTTP/1.1"));
        assert!(heard[0].ends_with("StackName=shop%20ci&Body=a%26b%3D%C3%BC"), "{}", heard[0]);
        assert!(heard[2].contains("x-amz-target: AmazonSQS.GetIt"), "{}", heard[2]);
    }

    #[tokio::test]
    async fn nobody_who_listens_is_said_with_the_address() {
        let client = Client::at("http://127.0.0.1:1", "us-east-1", Credentials::any()).unwrap();
        let error = client.query(("sqs", "sqs"), "1", "A", &[]).await.unwrap_err();
        assert!(error.to_string().starts_with("http://127.0.0.1:1 does not answer"), "{error}");
    }
}
