//! Checks of the project file.

use std::{fmt, str::FromStr, time::Duration};

use indexmap::IndexMap;
use regex::Regex;
use serde::{Deserialize, Deserializer, de};

use super::scalar::{from_text, optional_duration, optional_number};

/// One thing that `envctl test` asks of a color.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "CheckFile")]
pub struct Check {
    pub name: Option<String>,
    /// None: 10 s for a request, and for a service as long as one may take to get ready.
    pub timeout: Option<Duration>,
    pub ask: Ask,
}

#[derive(Debug, Clone)]
pub enum Ask {
    Preview(Box<PreviewCheck>),
    /// A one-shot service of the app's files, run in the color: its exit code is the result.
    Service(String),
}

impl Check {
    /// The service that it runs.
    pub fn service(&self) -> Option<&str> {
        match &self.ask {
            Ask::Service(service) => Some(service),
            Ask::Preview(_) => None,
        }
    }
}

/// What is asked of the color's preview.
#[derive(Debug, Clone)]
pub struct PreviewCheck {
    /// The route's listen port; where none is given the first HTTP route, and for `tls` alone the first with TLS.
    pub route: Option<u16>,
    /// None: nothing but `tls`.
    pub request: Option<RequestCheck>,
    pub tls: Option<TlsCheck>,
}

/// A request and what is expected of its answer.
#[derive(Debug, Clone)]
pub struct RequestCheck {
    pub path: String,
    pub send: Send,
    pub status: Vec<u16>,
    pub headers: IndexMap<Header, Expected>,
    pub contains: Vec<String>,
    pub matches: Vec<Pattern>,
    pub json: IndexMap<Pointer, Expected>,
    /// The longest that the whole answer may take.
    pub within: Option<Duration>,
}

/// What a request carries.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Send {
    pub method: Method,
    pub headers: IndexMap<Header, String>,
    pub body: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// What is asked of a route's certificate, beside that it is valid for the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsCheck {
    /// For how many days it has to be valid from now on.
    pub days: u32,
    /// Further names that it has to be for.
    pub names: Vec<String>,
}

/// What is expected of a header or of a place in a JSON body: a plain value has to be equal.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    Exists(bool),
    Equals(serde_json::Value),
    Matches(Pattern),
}

/// A regular expression, found anywhere in the text.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Regex::new(&text).map(Self).map_err(|error| {
            // The last line says what is wrong; those before it draw the pattern.
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            de::Error::custom(format!("`{text}` is not a regular expression: {reason}"))
        })
    }
}

/// A JSON pointer (RFC 6901): `/items/0/id`; empty for the whole document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pointer(pub String);

impl FromStr for Pointer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if (text.is_empty() || text.starts_with('/')) && escapes {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{text}` is not a JSON pointer such as /items/0/id (`~1` stands for `/`, `~0` for `~`)"
        ))
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// The name of an HTTP header, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Header(pub String);

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<http::HeaderName>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(format!("`{text}` is not the name of a header")),
        }
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for Expected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExpectedVisitor)
    }
}

struct ExpectedVisitor;

impl<'de> de::Visitor<'de> for ExpectedVisitor {
    type Value = Expected;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, or one of `exists`, `equals` and `matches`")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Expected, E> {
        Ok(Expected::Equals(serde_json::Value::Null))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Expected, E> {
        Ok(Expected::Equals(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Expected, E> {
        Ok(Expected::Equals(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Expected, E> {
        Ok(Expected::Equals(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Expected, E> {
        Ok(Expected::Equals(value.into()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Expected, E> {
        Ok(Expected::Equals(value.into()))
    }

    fn visit_seq<S: de::SeqAccess<'de>>(self, list: S) -> Result<Expected, S::Error> {
        Deserialize::deserialize(de::value::SeqAccessDeserializer::new(list)).map(Expected::Equals)
    }

    fn visit_map<M: de::MapAccess<'de>>(self, mut map: M) -> Result<Expected, M::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Key {
            Exists,
            Equals,
            Matches,
        }

        let Some(key) = map.next_key()? else {
            return Err(de::Error::invalid_length(0, &self));
        };
        let expected = match key {
            Key::Exists => Expected::Exists(map.next_value()?),
            Key::Equals => Expected::Equals(map.next_value()?),
            Key::Matches => Expected::Matches(map.next_value()?),
        };
        match map.next_key::<Key>()? {
            None => Ok(expected),
            Some(_) => Err(de::Error::invalid_length(2, &self)),
        }
    }
}

/// A check as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckFile {
    name: Option<String>,
    #[serde(default, deserialize_with = "optional_duration")]
    timeout: Option<Duration>,
    service: Option<String>,
    path: Option<String>,
    #[serde(default, deserialize_with = "optional_number")]
    route: Option<u16>,
    request: Option<Send>,
    status: Option<OneOrMore<Status>>,
    #[serde(default)]
    headers: IndexMap<Header, Expected>,
    contains: Option<OneOrMore<String>>,
    matches: Option<OneOrMore<Pattern>>,
    #[serde(default)]
    json: IndexMap<Pointer, Expected>,
    #[serde(default, deserialize_with = "optional_duration")]
    within: Option<Duration>,
    tls: Option<TlsFile>,
}

impl TryFrom<CheckFile> for Check {
    type Error = &'static str;

    fn try_from(file: CheckFile) -> Result<Self, &'static str> {
        let of_answer = file.request.is_some()
            || file.status.is_some()
            || file.within.is_some()
            || file.contains.is_some()
            || file.matches.is_some()
            || !file.headers.is_empty()
            || !file.json.is_empty();
        let tls = file.tls.and_then(|tls| tls.0);
        let ask = match (file.service, file.path) {
            (Some(_), Some(_)) => return Err("either `path` or `service`, not both"),
            (Some(service), None) => {
                if of_answer || tls.is_some() || file.route.is_some() {
                    return Err("`service` goes with `name` and `timeout` alone");
                }
                Ask::Service(service)
            }
            (None, None) if tls.is_some() && !of_answer => {
                Ask::Preview(Box::new(PreviewCheck { route: file.route, request: None, tls }))
            }
            (None, None) => return Err("what is asked? It needs a `path`, a `service` or `tls`"),
            (None, Some(path)) if !path.starts_with('/') => {
                return Err("`path` has to start with `/`");
            }
            (None, Some(path)) => {
                let request = RequestCheck {
                    path,
                    send: file.request.unwrap_or_default(),
                    status: file.status.map_or_else(
                        || vec![200],
                        |all| all.0.into_iter().map(|status| status.0).collect(),
                    ),
                    headers: file.headers,
                    contains: file.contains.map(|all| all.0).unwrap_or_default(),
                    matches: file.matches.map(|all| all.0).unwrap_or_default(),
                    json: file.json,
                    within: file.within,
                };
                let request = Some(request);
                Ask::Preview(Box::new(PreviewCheck { route: file.route, request, tls }))
            }
        };
        Ok(Self { name: file.name, timeout: file.timeout, ask })
    }
}

struct Status(u16);

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| (100..600).contains(number));
        number.map(Self).ok_or_else(|| format!("`{text}` is not a status from 100 to 599"))
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// `200` or `[200, 204]`.
struct OneOrMore<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Either<T> {
            type Value = OneOrMore<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMore<T>, E> {
                T::deserialize(de::value::StrDeserializer::new(text))
                    .map(|one| OneOrMore(vec![one]))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<OneOrMore<T>, E> {
                T::deserialize(de::value::I64Deserializer::new(number))
                    .map(|one| OneOrMore(vec![one]))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<OneOrMore<T>, E> {
                T::deserialize(de::value::U64Deserializer::new(number))
                    .map(|one| OneOrMore(vec![one]))
            }

            fn visit_seq<S: de::SeqAccess<'de>>(
                self,
                mut list: S,
            ) -> Result<OneOrMore<T>, S::Error> {
                let mut all = vec![];
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                if all.is_empty() {
                    return Err(de::Error::invalid_length(0, &self));
                }
                Ok(OneOrMore(all))
            }
        }

        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}

/// `true`, or `{ days: 14, names: [shop.example] }`.
struct TlsFile(Option<TlsCheck>);

impl<'de> Deserialize<'de> for TlsFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> de::Visitor<'de> for Either {
            type Value = TlsFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`true`, or `{ days: …, names: […] }`")
            }

            fn visit_bool<E: de::Error>(self, on: bool) -> Result<TlsFile, E> {
                Ok(TlsFile(on.then(TlsCheck::default)))
            }

            fn visit_map<M: de::MapAccess<'de>>(self, map: M) -> Result<TlsFile, M::Error> {
                TlsCheck::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(|tls| TlsFile(Some(tls)))
            }
        }

        deserializer.deserialize_any(Either)
    }
}
