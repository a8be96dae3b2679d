//! The Mercure hub's clients: tokens, publishing, subscribing.

use std::{
    io,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::http::{self, Answer, Connection};

pub const PATH: &str = "/.well-known/mercure";

/// A token (HS256) with this `mercure` claim, good for some seconds from now.
pub fn token(secret: &str, mercure: &Value, seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let expires = i64::try_from(now).unwrap() + seconds;
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!(
        "{}.{}",
        part(json!({ "alg": "HS256", "typ": "JWT" })),
        part(json!({ "mercure": mercure, "exp": expires }))
    );
    let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac(secret.as_bytes(), text.as_bytes()));
    format!("{text}.{signature}")
}

/// HMAC-SHA256 (RFC 2104) with a key of at most one block.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let keyed = |pad: u8| Sha256::new().chain_update(block.map(|byte| byte ^ pad));
    let inner = keyed(0x36).chain_update(text).finalize();
    keyed(0x5c).chain_update(inner).finalize().into()
}

/// Publishes a form of fields that need no encoding.
#[track_caller]
pub fn publish(port: u16, token: &str, form: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers =
        [("Authorization", bearer.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
    http::send(port, "POST", PATH, &headers, form.as_bytes())
}

/// An event as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    pub id: String,
    pub kind: String,
    pub data: String,
}

/// A subscriber's open connection.
pub struct Subscriber {
    connection: Connection,
    pub head: Answer,
    text: String,
}

impl Subscriber {
    /// Subscribes by a query such as `topic=a&topic=b`.
    pub fn open(port: u16, query: &str, headers: &[(&str, &str)]) -> io::Result<Self> {
        let mut connection = Connection::open(port)?;
        let head = connection.begin("GET", &format!("{PATH}?{query}"), headers, b"")?;
        if head.status != 200 {
            return Err(io::Error::other(head.to_string()));
        }
        Ok(Self { connection, head, text: String::new() })
    }

    /// The next event; an error when the connection ends, or nothing comes for a minute.
    pub fn next(&mut self) -> io::Result<Event> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let event = parsed(block);
                self.text = rest.to_owned();
                if let Some(event) = event {
                    return Ok(event);
                }
            }
            let chunk = self.connection.chunk()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.text.push_str(str::from_utf8(&chunk).map_err(io::Error::other)?);
        }
    }
}

/// None for a block of nothing but comments.
fn parsed(block: &str) -> Option<Event> {
    let mut event = Event::default();
    let mut data: Option<String> = None;
    for line in block.lines() {
        match line.split_once(": ").unwrap_or((line, "")) {
            ("id", value) => value.clone_into(&mut event.id),
            ("event", value) => value.clone_into(&mut event.kind),
            ("data", value) => match &mut data {
                Some(data) => *data = format!("{data}\n{value}"),
                None => data = Some(value.to_owned()),
            },
            _ => {}
        }
    }
    event.data = data?;
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let found = hmac(b"Jefe", b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex::encode(found), expected);
    }
}
