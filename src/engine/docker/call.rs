//! The client: connecting, agreeing on a version, and calls with a limit and an error by intention.

use std::{fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::Stream;
use http::{Method, Request, Response, header, request::Builder};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Address,
    build::Sessions,
    fault::{self, Asked},
    login::Logins,
    transport::{Body, Transport, full},
    version::Version,
};
use crate::engine::{EngineError, Result};

type Bollard = bollard::errors::Error;
/// What bollard answers.
pub(super) type Said<T> = std::result::Result<T, Bollard>;

/// Time to the first byte of an answer to what is quick.
pub(super) const QUICK: Duration = Duration::from_mins(2);
/// Time to the first byte of an answer to what works first: stop, pull, build, wait.
pub(super) const PATIENT: Duration = Duration::from_hours(24);
const PING: Duration = Duration::from_secs(15);

/// A Docker engine, reached at one address. Belongs to the runtime that it was connected on.
#[derive(Debug, Clone)]
pub struct Docker {
    pub(super) address: Address,
    pub(super) version: Version,
    pub(super) build_kit: bool,
    pub(super) logins: Option<Logins>,
    /// The socket of the user's SSH agent.
    pub(super) agent: Option<PathBuf>,
    /// For what is quick.
    pub(super) api: bollard::Docker,
    /// For what takes as long as it takes.
    pub(super) patient: bollard::Docker,
    pub(super) sessions: Sessions,
    transport: Arc<Transport>,
}

impl Docker {
    /// Connects and agrees on an API version, with one cheap call.
    pub async fn connect(address: &Address) -> Result<Self> {
        let transport = Transport::new(address)?;
        let explain = |error: &Bollard| {
            fault::explain(error, Asked::Engine("reach the engine"), address, PING)
        };
        let ping = get_request("/_ping");
        let answer = limited(PING, transport.send(ping)).await.map_err(|e| explain(&e))?;
        let unreachable = |reason: &str| EngineError::Unreachable {
            address: address.to_string(),
            reason: reason.to_owned(),
        };
        let text = |name: &str| {
            answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        if !answer.status().is_success() {
            return Err(unreachable(&format!("it answers with status {}", answer.status())));
        }
        let Some(found) = text("api-version") else {
            return Err(unreachable("what answers is no Docker engine"));
        };
        // Docker Engine has it since 18.09, whether it names it as its default (`Builder-Version`) or not; on Linux only.
        let build_kit = text("server").is_some_and(|server| server.starts_with("Docker/"))
            && text("ostype").as_deref() == Some("linux");
        let spoken: Version =
            found.parse().map_err(|()| unreachable("its API version cannot be read"))?;
        if spoken < Version::OLDEST {
            return Err(EngineError::TooOld { found, oldest: Version::OLDEST.to_string() });
        }
        // Read to its end, so that the connection can be kept.
        let _ = answer.into_body().collect().await;
        let version = spoken.min(Version::NEWEST);
        transport.speak(version);
        let api = |limit: Duration| {
            let transport = transport.clone();
            bollard::Docker::connect_with_custom_transport(
                move |request| {
                    let transport = transport.clone();
                    async move { transport.send(request).await }
                },
                Some("http://docker"),
                limit.as_secs(),
                bollard::API_DEFAULT_VERSION,
            )
            .map_err(|e| explain(&e))
        };
        Ok(Self {
            address: address.clone(),
            version,
            build_kit,
            logins: None,
            agent: None,
            api: api(QUICK)?,
            patient: api(PATIENT)?,
            sessions: Sessions::default(),
            transport,
        })
    }

    /// Takes the registries' logins from the `config.json` in this folder (`~/.docker`).
    #[must_use]
    pub fn with_logins(mut self, folder: impl Into<PathBuf>) -> Self {
        self.logins = Some(Logins { folder: folder.into(), path: None });
        self
    }

    /// Looks for credential helpers on this `PATH`.
    #[must_use]
    pub fn with_helpers(mut self, path: Option<&str>) -> Self {
        if let Some(logins) = &mut self.logins {
            logins.path = path.map(str::to_owned);
        }
        self
    }

    /// Lets builds that ask for it talk to the SSH agent at this socket (`SSH_AUTH_SOCK`).
    #[must_use]
    pub fn with_agent(mut self, socket: Option<PathBuf>) -> Self {
        self.agent = socket;
        self
    }

    /// Builds with the classic builder, though the engine may have `BuildKit` (`DOCKER_BUILDKIT=0`).
    #[must_use]
    pub fn with_classic_builder(mut self) -> Self {
        self.build_kit = false;
        self
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn explain(&self, error: &Bollard, asked: Asked<'_>) -> EngineError {
        fault::explain(error, asked, &self.address, QUICK)
    }

    /// Sends a request; an answer that is no success is an error with the engine's message.
    pub(super) async fn send(
        &self,
        request: Request<Body>,
        limit: Duration,
    ) -> Said<Response<Incoming>> {
        let answer = limited(limit, self.transport.send(request)).await?;
        let status = answer.status();
        if status.is_success() || status.as_u16() == 304 || status.as_u16() == 101 {
            return Ok(answer);
        }
        let body = answer.into_body().collect().await?.to_bytes();
        let message = serde_json::from_slice::<Message>(&body)
            .map_or_else(|_| String::from_utf8_lossy(&body).trim().to_owned(), |m| m.message);
        Err(Bollard::DockerResponseServerError { status_code: status.as_u16(), message })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, asked: Asked<'_>) -> Result<T> {
        self.read(self.send(get_request(path), QUICK).await, asked).await
    }

    /// As [`Self::get`], with `None` for 404.
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        path: &str,
        asked: Asked<'_>,
    ) -> Result<Option<T>> {
        let answer = self.send(get_request(path), QUICK).await;
        match &answer {
            Err(error) if fault::status(error) == Some(404) => Ok(None),
            _ => self.read(answer, asked).await.map(Some),
        }
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
        asked: Asked<'_>,
    ) -> Result<T> {
        let json = serde_json::to_vec(body).expect("requests have string keys only");
        let request = request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(full(json))
            .expect("paths are encoded");
        self.read(self.send(request, PATIENT).await, asked).await
    }

    async fn read<T: DeserializeOwned>(
        &self,
        answer: Said<Response<Incoming>>,
        asked: Asked<'_>,
    ) -> Result<T> {
        let answer = answer.map_err(|e| self.explain(&e, asked))?;
        let read = limited(QUICK, async { Ok(answer.into_body().collect().await?.to_bytes()) });
        let body = read.await.map_err(|e| self.explain(&e, asked))?;
        serde_json::from_slice(&body).map_err(|error| EngineError::Io {
            intention: asked.to_string(),
            reason: format!("the engine's answer is not understood: {error}"),
        })
    }
}

#[derive(serde::Deserialize)]
struct Message {
    message: String,
}

async fn limited<T>(limit: Duration, call: impl Future<Output = Said<T>>) -> Said<T> {
    tokio::time::timeout(limit, call).await.unwrap_or(Err(Bollard::RequestTimeoutError))
}

pub(super) fn request(method: Method, path: &str) -> Builder {
    Request::builder().method(method).uri(path)
}

fn get_request(path: &str) -> Request<Body> {
    request(Method::GET, path).body(full(Bytes::new())).expect("paths are encoded")
}

/// The bytes of an answer, as they come.
pub(super) fn bytes_of(answer: Response<Incoming>) -> impl Stream<Item = Said<Bytes>> {
    use futures_util::TryStreamExt as _;
    http_body_util::BodyDataStream::new(answer.into_body()).map_err(Bollard::from)
}

/// A path with its query, encoded.
pub(super) struct Path {
    text: String,
    separator: char,
}

impl Path {
    /// `parts` are joined by `/`; each is encoded as one segment, whatever it holds.
    pub fn new(parts: &[&str]) -> Self {
        let mut text = String::new();
        for part in parts {
            text.push('/');
            encode(part, &mut text);
        }
        Self { text, separator: '?' }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.text.push(self.separator);
        self.separator = '&';
        self.text.push_str(name);
        self.text.push('=');
        encode(value, &mut self.text);
        self
    }

    pub fn with_json(self, name: &str, value: &impl Serialize) -> Self {
        let json = serde_json::to_string(value).expect("queries have string keys only");
        self.with(name, &json)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Percent-encodes everything but what no server takes apart; `/` and `:` stay, for the names of images.
fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/:".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded() {
        let path =
            Path::new(&["images", "a/b:1", "json"]).with("x", "a b&c").with_json("f", &["é"]);
        assert_eq!(path.as_str(), "/images/a/b:1/json?x=a%20b%26c&f=%5B%22%C3%A9%22%5D");
    }
}
