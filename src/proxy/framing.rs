//! Follows where the requests of an HTTP/1 connection begin and end, beside hyper, to find the heads that two readers
//! could read in two ways: a length next to chunks, lines that end without a carriage return, a fragment in the target.
//! hyper itself reads them, safely; but whoever sends them tries something.
//!
//! What hyper refuses anyway is not looked for: there the following ends.

/// The reader's place in the stream.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: State,
    head: Head,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// Complete heads so far.
    heads: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    Body(u64),
    Chunk(Chunk),
    /// Another protocol may follow.
    Upgrade,
    /// Not followed any further: what comes is wrong.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Size {
        size: u64,
        digits: u8,
        extension: bool,
    },
    /// The line feed after a size.
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    /// Carriage return and line feed after the data: how many have come.
    DataEnd {
        come: u8,
    },
    Trailer {
        length: usize,
    },
}

#[derive(Debug, Default)]
struct Head {
    begun: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    wrong: bool,
}

/// A line of a head longer than this is hyper's to refuse.
const LONGEST: usize = 64 << 10;
const SIZE: State = State::Chunk(Chunk::Size { size: 0, digits: 0, extension: false });

impl Framing {
    /// Whether there is still something to follow.
    pub fn follows(&self) -> bool {
        !matches!(self.state, State::Upgrade | State::Lost)
    }

    /// Whether more is to come of a request that has begun, or may come of a wrong one.
    pub fn is_within(&self) -> bool {
        match self.state {
            State::Head => self.head.begun || !self.line.is_empty(),
            State::Body(_) | State::Chunk(_) | State::Lost => true,
            State::Upgrade => false,
        }
    }

    /// Takes what was read; returns the number of the head that must be refused, counted from one.
    pub fn read(&mut self, mut bytes: &[u8]) -> Option<u64> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Upgrade | State::Lost => return None,
                State::Body(left) => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let left = left - taken as u64;
                    self.state = if left == 0 { State::Head } else { State::Body(left) };
                    &bytes[taken..]
                }
                State::Chunk(chunk) => self.chunk(chunk, bytes),
                State::Head => {
                    let Some(end) = memchr::memchr(b'\n', bytes) else {
                        self.line.extend_from_slice(bytes);
                        if self.line.len() > LONGEST {
                            self.state = State::Lost;
                        }
                        return None;
                    };
                    let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
                    let ended = if self.line.is_empty() {
                        self.head.line(line)
                    } else {
                        let mut whole = std::mem::take(&mut self.line);
                        whole.extend_from_slice(line);
                        self.head.line(&whole)
                    };
                    if ended {
                        let head = std::mem::take(&mut self.head);
                        self.heads += 1;
                        self.state = head.next();
                        if head.is_ambiguous() {
                            self.state = State::Lost;
                            return Some(self.heads);
                        }
                    }
                    rest
                }
            };
        }
        None
    }

    /// One step through a chunked body; returns what is left of the bytes.
    fn chunk<'a>(&mut self, chunk: Chunk, bytes: &'a [u8]) -> &'a [u8] {
        let (byte, rest) = (bytes[0], &bytes[1..]);
        let next = match chunk {
            Chunk::Size { size, digits, extension } => match byte {
                b'\r' if digits > 0 => Chunk::SizeEnd { size },
                b'\n' => return self.lost(),
                _ if extension => chunk,
                b';' | b' ' | b'\t' if digits > 0 => Chunk::Size { size, digits, extension: true },
                _ => match (byte as char).to_digit(16) {
                    Some(digit) if digits < 15 => {
                        let size = size << 4 | u64::from(digit);
                        Chunk::Size { size, digits: digits + 1, extension }
                    }
                    _ => return self.lost(),
                },
            },
            Chunk::SizeEnd { size } => match (byte, size) {
                (b'\n', 0) => Chunk::Trailer { length: 0 },
                (b'\n', _) => Chunk::Data { left: size },
                _ => return self.lost(),
            },
            Chunk::Data { left } => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - taken as u64;
                let next =
                    if left == 0 { Chunk::DataEnd { come: 0 } } else { Chunk::Data { left } };
                self.state = State::Chunk(next);
                return &bytes[taken..];
            }
            Chunk::DataEnd { come } => match (come, byte) {
                (0, b'\r') => Chunk::DataEnd { come: 1 },
                (1, b'\n') => {
                    self.state = SIZE;
                    return rest;
                }
                _ => return self.lost(),
            },
            Chunk::Trailer { length } => match byte {
                b'\n' if length == 0 => {
                    self.state = State::Head;
                    return rest;
                }
                b'\n' => Chunk::Trailer { length: 0 },
                b'\r' => chunk,
                _ => Chunk::Trailer { length: length + 1 },
            },
        };
        self.state = State::Chunk(next);
        rest
    }

    fn lost<'a>(&mut self) -> &'a [u8] {
        self.state = State::Lost;
        &[]
    }
}

impl Head {
    /// Takes a line without its line feed; true when it was the head's last.
    fn line(&mut self, line: &[u8]) -> bool {
        let line = if let Some(line) = line.strip_suffix(b"\r") {
            line
        } else {
            self.wrong = true;
            line
        };
        if line.is_empty() {
            // Empty lines in front of a request belong to nothing.
            return self.begun;
        }
        if !self.begun {
            self.begun = true;
            // hyper would drop what follows the sign.
            self.wrong |= memchr::memchr(b'#', line).is_some();
            return false;
        }
        if let Some(value) = value(line, b"content-length") {
            self.length = str::from_utf8(value).ok().and_then(|n| n.trim_ascii().parse().ok());
            self.length = self.length.or(Some(0));
        } else if value(line, b"transfer-encoding").is_some() {
            self.chunked = true;
        } else if let Some(value) = value(line, b"upgrade") {
            self.upgrade |= !value.trim_ascii().eq_ignore_ascii_case(b"h2c");
        }
        false
    }

    fn is_ambiguous(&self) -> bool {
        self.wrong || (self.chunked && self.length.is_some())
    }

    /// What comes after this head.
    fn next(&self) -> State {
        match self.length {
            _ if self.upgrade => State::Upgrade,
            _ if self.chunked => SIZE,
            Some(0) | None => State::Head,
            Some(length) => State::Body(length),
        }
    }
}

/// The value of a header line, if it is this header's.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The refused head, whichever way the bytes come in.
    fn refused(text: &str) -> Option<u64> {
        let whole = Framing::default().read(text.as_bytes());
        for size in [1, 2, 3, 7, 50] {
            let mut framing = Framing::default();
            let found = text.as_bytes().chunks(size).find_map(|part| framing.read(part));
            assert_eq!(found, whole, "{text:?} in parts of {size}");
        }
        whole
    }

    #[test]
    fn a_length_next_to_chunks_is_refused_wherever_it_stands() {
        let both = "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(refused(both), Some(1));
        let both = "POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\ncontent-length:3\r\n\r\n";
        assert_eq!(refused(both), Some(1));
        for before in [
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\na\n\r\n\r",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab\n\r\n\r\n\
             00a;x=y\r\n0123456789\r\n0\r\nx: y\r\n\r\n",
        ] {
            assert_eq!(refused(&format!("{before}{both}")), Some(2), "after {before:?}");
        }
    }

    #[test]
    fn a_line_without_carriage_return_is_refused() {
        assert_eq!(refused("GET / HTTP/1.1\nhost: a\n\n"), Some(1));
        assert_eq!(refused("GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n"), Some(1));
    }

    #[test]
    fn what_stands_in_a_body_is_no_head() {
        let part = "--x\nContent-Length: 3\nTransfer-Encoding: chunked\n\nabc\n";
        let length = part.len();
        let sized = format!("POST / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{part}");
        let chunked = format!(
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{part}\r\n0\r\n\r\n"
        );
        assert_eq!(refused(&format!("{sized}{chunked}{sized}{chunked}")), None);
        let mut framing = Framing::default();
        framing.read(format!("{chunked}{sized}").as_bytes());
        assert_eq!((framing.state, framing.heads), (State::Head, 2));
    }

    #[test]
    fn after_an_upgrade_nothing_is_followed() {
        let mut framing = Framing::default();
        framing.read(b"GET / HTTP/1.1\r\nupgrade: h2c\r\n\r\n");
        assert!(framing.follows());
        framing.read(b"GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\n");
        assert!(!framing.follows());
        assert_eq!(framing.read(b"GET / HTTP/1.1\n\n"), None);
    }
}
