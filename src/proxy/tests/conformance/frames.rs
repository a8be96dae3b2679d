//! Frames of HTTP/2 by hand, wrong ones too.

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{expand, octets};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const ERRORS: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// What a client sends for a row. `["headers", flags, stream, fields]`, `["frame", type, flags, stream, hex]`,
/// `["get", stream]`, `["raw", hex]`, `["repeat", n, frames]` where the stream `+` is the next one of each round.
pub fn bytes(frames: &[Value], preface: bool) -> Vec<u8> {
    let mut all = vec![];
    if preface {
        all.extend_from_slice(PREFACE);
        frame(&mut all, 4, 0, 0, &[]);
    }
    for one in frames {
        write(&mut all, one, 1);
    }
    all
}

fn write(all: &mut Vec<u8>, one: &Value, round: u32) {
    let number = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    let stream = |value: &Value| if value == "+" { 2 * round - 1 } else { number(value) };
    let hex = |value: &Value| hex::decode(expand(value.as_str().unwrap())).unwrap();
    match one[0].as_str().unwrap() {
        "headers" => {
            let flags = one[1].as_str().unwrap();
            let flags = u8::from(flags.contains('s')) | u8::from(flags.contains('h')) << 2;
            frame(all, 1, flags, stream(&one[2]), &fields(one[3].as_array().unwrap()));
        }
        "get" => frame(all, 1, 5, stream(&one[1]), &fields(&["GET".into()])),
        "frame" => {
            let kind = u8::try_from(number(&one[1])).unwrap();
            let flags = u8::try_from(number(&one[2])).unwrap();
            frame(all, kind, flags, stream(&one[3]), &hex(&one[4]));
        }
        "raw" => all.extend(hex(&one[1])),
        "repeat" => {
            for round in 1..=number(&one[1]) {
                one[2].as_array().unwrap().iter().for_each(|one| write(all, one, round));
            }
        }
        other => panic!("{other}"),
    }
}

fn frame(all: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    all.extend_from_slice(&length[1..]);
    all.extend_from_slice(&[kind, flags]);
    all.extend_from_slice(&stream.to_be_bytes());
    all.extend_from_slice(payload);
}

/// Each field as a literal that goes into no table. `GET` and `POST` stand for the pseudo-headers of a good request; the
/// service reads what is sent to it by `POST`.
fn fields(all: &[Value]) -> Vec<u8> {
    let mut block = vec![];
    let mut literal = |name: &str, value: &str| {
        block.push(0);
        for text in [name, value] {
            let text = octets(text);
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text);
        }
    };
    for field in all {
        if let Some(method) = field.as_str() {
            literal(":method", method);
            literal(":scheme", "https");
            literal(":path", if method == "POST" { "/upload" } else { "/" });
            literal(":authority", "a");
        } else {
            literal(field[0].as_str().unwrap(), field[1].as_str().unwrap());
        }
    }
    block
}

/// The server's first word on it: a status, `reset CODE`, `goaway CODE` or `close`.
pub async fn answer(mut read: impl AsyncRead + Unpin, until: Option<&str>) -> String {
    loop {
        let mut head = [0; 9];
        if read.read_exact(&mut head).await.is_err() {
            return "close".to_owned();
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if read.read_exact(&mut payload).await.is_err() {
            return "close".to_owned();
        }
        let said = match head[3] {
            1 => status(&payload),
            3 => format!("reset {}", error(&payload)),
            7 => format!("goaway {}", error(&payload[4..])),
            _ => continue,
        };
        if until.is_none_or(|until| said.starts_with(until)) {
            return said;
        }
    }
}

fn error(payload: &[u8]) -> &'static str {
    let code = u32::from_be_bytes(payload[..4].try_into().unwrap());
    ERRORS.get(code as usize).unwrap_or(&"?")
}

/// The status that begins a header block.
fn status(block: &[u8]) -> String {
    let known = ["200", "204", "206", "304", "400", "404", "500"];
    let block = &block[block.iter().take_while(|byte| **byte >> 5 == 1).count()..];
    match *block {
        [first, ..] if first & 0x80 != 0 => known[usize::from(first & 0x7f) - 8].to_owned(),
        [0x08 | 0x18 | 0x48, length, ref rest @ ..] if length & 0x80 != 0 => {
            digits(&rest[..usize::from(length & 0x7f)])
        }
        [0x08 | 0x18 | 0x48, length, ref rest @ ..] => {
            String::from_utf8_lossy(&rest[..usize::from(length)]).into_owned()
        }
        _ => format!("headers {block:?}"),
    }
}

/// Digits in the Huffman code of HPACK: 0, 1 and 2 have five bits, the others six.
fn digits(bytes: &[u8]) -> String {
    let mut bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
    let mut text = String::new();
    while text.len() < 3 {
        let mut code = (0..5).fold(0, |code, _| code << 1 | bits.next().unwrap_or(1));
        let digit = if code < 3 {
            code
        } else {
            code = code << 1 | bits.next().unwrap_or(1);
            code - 0x19 + 3
        };
        text.push(char::from(b'0' + digit));
    }
    text
}
