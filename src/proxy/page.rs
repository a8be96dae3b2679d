//! The proxy's own words to a client.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{
    client::Active,
    exchange::Answer,
    snapshot::NoWay,
    target::{Target, Unreachable},
};
use crate::model::Color;

/// Names the color that answered.
pub(super) const COLOR: HeaderName = HeaderName::from_static("x-envctl-color");

pub(super) fn color_value(color: Color) -> HeaderValue {
    HeaderValue::from_static(color.as_str())
}

/// Something that the client has to be told instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub status: StatusCode,
    pub words: String,
    /// Whether the connection cannot be trusted any more.
    pub close: bool,
    /// The user's own, in place of the words.
    pub own: Option<Bytes>,
}

impl Page {
    pub fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Self { status, words: words.into(), close: false, own: None }
    }

    /// A request that is wrong in a way that leaves the rest of the connection in doubt.
    pub fn refused(status: StatusCode, words: &str) -> Self {
        Self { close: true, ..Self::new(status, words) }
    }

    /// The same with a page of the user's, where there is one.
    pub fn or(self, own: Option<Bytes>) -> Self {
        Self { own, ..self }
    }

    pub fn no_way(why: &NoWay) -> Self {
        match why {
            NoWay::NothingLive => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "no color is live yet")
            }
            NoWay::NoStack(color) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("{color} has no release yet"))
            }
            NoWay::NoRoute { port, color, release } => Self::new(
                StatusCode::NOT_FOUND,
                format!("{color} has no route for port {port} in release {release}"),
            ),
            NoWay::NoHost { color } => {
                Self::new(StatusCode::NOT_FOUND, format!("{color} has no route for this host"))
            }
            NoWay::Redirect { .. } => Self::new(StatusCode::PERMANENT_REDIRECT, "ask over HTTPS"),
            NoWay::NoPath { color } => {
                Self::new(StatusCode::NOT_FOUND, format!("{color} has no route for this path"))
            }
        }
    }

    pub fn unreachable(target: &Target, why: &Unreachable) -> Self {
        let name = target.name();
        match why {
            Unreachable::NoAddress(source) => Self::new(
                StatusCode::BAD_GATEWAY,
                format!("{name} has no running container: {source}"),
            ),
            Unreachable::Refused { address, source } => Self::new(
                StatusCode::BAD_GATEWAY,
                format!("{name} does not accept connections: {address}: {source}"),
            ),
            Unreachable::TimedOut { address } => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                format!("{name} does not accept connections: {address}: timed out"),
            ),
        }
    }

    /// As text, or as HTML to who accepts that.
    pub fn answer(self, html: bool, color: Option<Color>, mut active: Active) -> Response<Answer> {
        let status = self.status;
        active.answered(status);
        let text = if let Some(own) = self.own {
            own
        } else if html {
            let words = self.words.replace('&', "&amp;").replace('<', "&lt;");
            Bytes::from(format!(
                "<!doctype html><meta charset=utf-8><title>{status}</title>\
                 <body style=\"font:16px sans-serif;margin:4em\"><h1>{status}</h1><p>{words}</p>\n"
            ))
        } else {
            Bytes::from(format!("{}: {}\n", status.as_u16(), self.words))
        };
        active.passed(text.len());
        let mut response = Response::new(Answer::Page { text: Some(text), _active: active });
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let kind = if html { "text/html; charset=utf-8" } else { "text/plain; charset=utf-8" };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(color) = color {
            headers.insert(COLOR, color_value(color));
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}

pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    let wants = |value: &HeaderValue| value.as_bytes().windows(9).any(|part| part == b"text/html");
    headers.get_all(header::ACCEPT).iter().any(wants)
}
