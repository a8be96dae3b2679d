//! A small blocking HTTP/1.1 client on one kept connection: it sees every byte, and retries nothing.

use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::Value;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring,
};

use super::wait;

/// The longest time that a single read or write may take.
const LIMIT: Duration = Duration::from_secs(60);

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// One connection to a server on this machine.
pub struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    host: String,
}

#[derive(Debug, Clone)]
#[must_use]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// When the last byte of the request was sent, and when the head had come.
    pub sent: Instant,
    pub head: Instant,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The color that answered, as the demo's services say it.
    #[track_caller]
    pub fn color(&self) -> &str {
        self.header("X-Color").unwrap_or_else(|| panic!("no X-Color: {self}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The test fails unless the status is this.
    #[track_caller]
    pub fn status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, self.text())
    }
}

impl Connection {
    pub fn open(port: u16) -> io::Result<Self> {
        Ok(Self::over(Box::new(tcp(port)?), port))
    }

    /// Trusts this authority (PEM) and no other.
    pub fn open_tls(port: u16, authority: &str) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        let wrong = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
        let authority = CertificateDer::from_pem_slice(authority.as_bytes())
            .map_err(|e| wrong(e.to_string()))?;
        roots.add(authority).map_err(|e| wrong(e.to_string()))?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").map_err(|e| wrong(e.to_string()))?;
        let session =
            ClientConnection::new(Arc::new(config), name).map_err(|e| wrong(e.to_string()))?;
        Ok(Self::over(Box::new(StreamOwned::new(session, tcp(port)?)), port))
    }

    fn over(stream: Box<dyn Stream>, port: u16) -> Self {
        Self { stream: BufReader::new(stream), host: format!("localhost:{port}") }
    }

    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.request("GET", path, &[], b"")
    }

    /// Sends a request and reads the whole answer.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut answer = self.begin(method, path, headers, body)?;
        self.read_body(&mut answer)?;
        Ok(answer)
    }

    /// Sends a request and reads the head of the answer only.
    pub fn begin(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let sent = Instant::now();
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        stream.flush()?;
        self.read_head(sent)
    }

    fn read_head(&mut self, sent: Instant) -> io::Result<Answer> {
        let first = self.line()?;
        let head = Instant::now();
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| invalid(format!("not a status line: {first:?}")))?;
        let mut headers = vec![];
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Answer { status, headers, body: vec![], sent, head });
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| invalid(format!("not a header: {line:?}")))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn read_body(&mut self, answer: &mut Answer) -> io::Result<()> {
        if let Some(length) = answer.header("Content-Length") {
            let length = length.parse().map_err(|_| invalid(format!("length {length:?}")))?;
            answer.body = vec![0; length];
            return self.stream.read_exact(&mut answer.body);
        }
        if answer.header("Transfer-Encoding").is_some() {
            while let Some(chunk) = self.chunk()? {
                answer.body.extend(chunk);
            }
            return Ok(());
        }
        match answer.status {
            204 | 304 => Ok(()),
            _ => self.stream.read_to_end(&mut answer.body).map(|_| ()),
        }
    }

    /// The next chunk of a chunked body; none at its end.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let size = self.line()?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16)
            .map_err(|_| invalid(format!("chunk size {size:?}")))?;
        let mut chunk = vec![0; size];
        self.stream.read_exact(&mut chunk)?;
        self.line()?;
        Ok((size > 0).then_some(chunk))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

fn tcp(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// One GET on a connection of its own.
#[track_caller]
pub fn get(port: u16, path: &str) -> Answer {
    send(port, "GET", path, &[], b"")
}

/// One JSON document on a connection of its own.
#[track_caller]
pub fn post(port: u16, path: &str, token: Option<&str>, body: &Value) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}")).unwrap_or_default();
    let mut headers = vec![("Content-Type", "application/json")];
    if token.is_some() {
        headers.push(("Authorization", bearer.as_str()));
    }
    send(port, "POST", path, &headers, body.to_string().as_bytes())
}

#[track_caller]
pub fn send(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    Connection::open(port)
        .and_then(|mut connection| connection.request(method, path, headers, body))
        .unwrap_or_else(|error| panic!("{method} {port}{path}: {error}"))
}

/// Waits until a GET is answered with 200.
#[track_caller]
pub fn wait_for(port: u16, path: &str, limit: Duration) -> Answer {
    wait::until(limit, &format!("200 of {port}{path}"), || {
        let answer = Connection::open(port).and_then(|mut connection| connection.get(path)).ok()?;
        (answer.status == 200).then_some(answer)
    })
}
