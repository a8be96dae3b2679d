//! Streams into and out of commands in containers: from and to files, compressed on the way, with no more in memory than
//! what is under way.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    task::JoinHandle,
};

use super::RunError;
use crate::{
    base::files::AtPath as _,
    engine::{self, Engine, LogStream},
    plan::{Pipe, Sink, Source},
};

type Progress<'a> = &'a (dyn Fn(engine::Step) + Send + Sync);

/// Pieces of a stream: so many, of this size, are under way at most.
const PIECES: usize = 8;
const PIECE: usize = 256 << 10;
/// What is kept of a command's words: the end of each stream.
const KEPT: usize = 64 << 10;
/// Lines of a command that failed which are shown.
const SHOWN: usize = 12;
/// Fast first: a snapshot holds up nobody, and half the size is won already.
const LEVEL: i32 = 1;

/// What came of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// The end of what it wrote to its standard output, where that was kept, and to its standard error.
    pub text: String,
    pub errors: String,
    /// Bytes that it wrote to its standard output.
    pub bytes: u64,
    /// Bytes that came of them in the file, and the file's SHA-256 in hex.
    pub stored: u64,
    pub sha256: String,
}

/// Runs a command to its end, with its streams.
pub(super) async fn stream(
    engine: &dyn Engine,
    what: &str,
    pipe: &Pipe,
    progress: Progress<'_>,
) -> Result<Heard, RunError> {
    let engine::Pipe { input, output, end } = engine.pipe(&pipe.container, &pipe.command).await?;
    let fed = async {
        match feed(engine, what, &pipe.from, input, progress).await {
            Ok(()) => Ok(true),
            // It ended early: its own word on that comes first.
            Err(Fed::Unread) => Ok(false),
            Err(Fed::Failed(error)) => Err(error),
        }
    };
    let telling = matches!(pipe.from, Source::Nothing);
    let taken = take(output, &pipe.to, |done| {
        if telling {
            progress(engine::Step::Bytes { done, total: 0 });
        }
    });
    let (all_read, heard) = tokio::try_join!(fed, taken)?;
    let code = end.await?;
    if (code != 0 || !all_read)
        && let Source::File { path, sha256: Some(wanted) } = &pipe.from
    {
        // What reads a damaged file may be the first to stumble over it.
        let (path, wanted) = (path.clone(), wanted.clone());
        let whole = tokio::task::spawn_blocking(move || whole(&path, &wanted));
        whole.await.expect("hashing does not panic")?;
    }
    if code != 0 {
        return Err(failed(what, code, &heard));
    }
    if !all_read {
        let said = vec!["it ended before it had read all".to_owned()];
        return Err(RunError::Command { what: what.to_owned(), code, said });
    }
    Ok(heard)
}

fn failed(what: &str, code: i64, heard: &Heard) -> RunError {
    let text = if heard.errors.trim().is_empty() { &heard.text } else { &heard.errors };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let said = lines[lines.len().saturating_sub(SHOWN)..].iter().map(|&line| line.to_owned());
    RunError::Command { what: what.to_owned(), code, said: said.collect() }
}

enum Fed {
    /// The command would not have more.
    Unread,
    Failed(RunError),
}

impl From<RunError> for Fed {
    fn from(error: RunError) -> Self {
        Self::Failed(error)
    }
}

impl From<engine::EngineError> for Fed {
    fn from(error: engine::EngineError) -> Self {
        Self::Failed(error.into())
    }
}

type Input = std::pin::Pin<Box<dyn AsyncWrite + Send>>;

/// Writes what a command is to read, and then its end.
async fn feed(
    engine: &dyn Engine,
    what: &str,
    from: &Source,
    mut input: Input,
    progress: Progress<'_>,
) -> Result<(), Fed> {
    match from {
        Source::Nothing => {}
        Source::File { path, sha256 } => {
            let total = fs::metadata(path).at(path).map_err(RunError::from)?.len();
            let file = fs::File::open(path).at(path).map_err(RunError::from)?;
            let told = |done| progress(engine::Step::Bytes { done, total });
            pour(file, path.clone(), sha256.clone(), &mut input, told).await?;
        }
        Source::Stdin => {
            let told = |done| progress(engine::Step::Bytes { done, total: 0 });
            pour(io::stdin(), PathBuf::from("-"), None, &mut input, told).await?;
        }
        Source::Command { container, command } => {
            let engine::Pipe { input: none, mut output, end } =
                engine.pipe(container, command).await?;
            drop(none);
            let (mut errors, mut done) = (Tail::default(), 0);
            while let Some(chunk) = output.next().await {
                let chunk = chunk?;
                if chunk.stderr {
                    errors.push(&chunk.bytes);
                    continue;
                }
                done += chunk.bytes.len() as u64;
                progress(engine::Step::Bytes { done, total: 0 });
                input.write_all(&chunk.bytes).await.map_err(|_| Fed::Unread)?;
            }
            let code = end.await?;
            if code != 0 {
                let heard = Heard { errors: errors.text(), ..Heard::default() };
                return Err(failed(what, code, &heard).into());
            }
        }
    }
    input.shutdown().await.map_err(|_| Fed::Unread)
}

/// Reads on a thread of its own, unpacks, and writes what comes; `told` the bytes read so far.
async fn pour(
    from: impl Read + Send + 'static,
    path: PathBuf,
    sha256: Option<String>,
    input: &mut Input,
    told: impl Fn(u64),
) -> Result<(), Fed> {
    let (give, mut pieces) = mpsc::channel::<(Bytes, u64)>(PIECES);
    let reading: JoinHandle<Result<(), RunError>> =
        tokio::task::spawn_blocking(move || unpack(from, &path, sha256.as_deref(), &give));
    while let Some((piece, done)) = pieces.recv().await {
        told(done);
        input.write_all(&piece).await.map_err(|_| Fed::Unread)?;
    }
    reading.await.expect("reading does not panic")?;
    Ok(())
}

/// Counts and hashes what is read.
struct Counted<R> {
    from: R,
    /// The first bytes, which were read to see how the rest is packed.
    first: io::Cursor<Vec<u8>>,
    count: u64,
    hash: Option<Sha256>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = self.first.read(buffer)?;
        if count == 0 {
            count = self.from.read(buffer)?;
        }
        self.count += count as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// How a stream is packed, by its first bytes (RFC 1952, RFC 8878).
enum Unpacked<R: Read> {
    Plain(R),
    Gzip(Box<flate2::read::MultiGzDecoder<R>>),
    Zstd(Box<zstd::Decoder<'static, io::BufReader<R>>>),
}

impl<R: Read> Unpacked<R> {
    fn inner(&self) -> &R {
        match self {
            Self::Plain(inner) => inner,
            Self::Gzip(gzip) => gzip.get_ref(),
            Self::Zstd(zstd) => zstd.get_ref().get_ref(),
        }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(inner) => inner.read(buffer),
            Self::Gzip(gzip) => gzip.read(buffer),
            Self::Zstd(zstd) => zstd.read(buffer),
        }
    }
}

/// Whether a file is what was written.
fn whole(path: &Path, wanted: &str) -> Result<(), RunError> {
    let from = fs::File::open(path).at(path)?;
    let first = io::Cursor::default();
    let mut read = Counted { from, first, count: 0, hash: Some(Sha256::new()) };
    io::copy(&mut read, &mut io::sink()).at(path)?;
    same(path, wanted, read.hash.as_ref())
}

/// `hash`: of all that was read.
fn same(path: &Path, wanted: &str, hash: Option<&Sha256>) -> Result<(), RunError> {
    let Some(found) = hash.map(|hash| hex::encode(hash.clone().finalize())) else { return Ok(()) };
    if found == wanted {
        return Ok(());
    }
    let reason = format!("its SHA-256 is {found}, not {wanted}");
    Err(RunError::Damaged { path: path.to_owned(), reason })
}

fn unpack(
    mut from: impl Read,
    path: &Path,
    sha256: Option<&str>,
    give: &mpsc::Sender<(Bytes, u64)>,
) -> Result<(), RunError> {
    let damaged = |reason: String| RunError::Damaged { path: path.to_owned(), reason };
    let mut first = vec![];
    from.by_ref().take(4).read_to_end(&mut first).at(path)?;
    let (gzip, zstd) = (first.starts_with(&[0x1f, 0x8b]), first == [0x28, 0xb5, 0x2f, 0xfd]);
    let hash = sha256.map(|_| Sha256::new());
    let read = Counted { from, first: io::Cursor::new(first), count: 0, hash };
    let mut read = match (gzip, zstd) {
        (true, _) => Unpacked::Gzip(Box::new(flate2::read::MultiGzDecoder::new(read))),
        (_, true) => Unpacked::Zstd(Box::new(zstd::Decoder::new(read).at(path)?)),
        _ => Unpacked::Plain(read),
    };
    // The last piece is held back until the whole is known to be good: what reads it does not take it for whole.
    let mut last: Option<Bytes> = None;
    loop {
        let mut piece = vec![0; PIECE];
        let mut filled = 0;
        while filled < PIECE {
            match read.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(damaged(error.to_string())),
            }
        }
        if filled == 0 {
            break;
        }
        piece.truncate(filled);
        if let Some(before) = last.replace(Bytes::from(piece))
            && give.blocking_send((before, read.inner().count)).is_err()
        {
            return Ok(());
        }
    }
    if let Some(wanted) = sha256 {
        same(path, wanted, read.inner().hash.as_ref())?;
    }
    if let Some(last) = last {
        let _ = give.blocking_send((last, read.inner().count));
    }
    Ok(())
}

/// Takes what a command says.
async fn take(mut output: LogStream, to: &Sink, told: impl Fn(u64)) -> Result<Heard, RunError> {
    let mut heard = Heard::default();
    let (mut text, mut errors) = (Tail::default(), Tail::default());
    let (give, writing) = match to {
        Sink::Heard => (None, None),
        Sink::File { path, plain } => {
            let (give, pieces) = mpsc::channel::<Bytes>(PIECES);
            let (path, plain) = (path.clone(), *plain);
            (Some(give), Some(tokio::task::spawn_blocking(move || write(&path, plain, pieces))))
        }
        Sink::Stdout => {
            let (give, mut pieces) = mpsc::channel::<Bytes>(PIECES);
            let writing = tokio::task::spawn_blocking(move || {
                let mut out = io::stdout().lock();
                while let Some(piece) = pieces.blocking_recv() {
                    out.write_all(&piece).at(Path::new("-"))?;
                }
                out.flush().at(Path::new("-"))?;
                Ok((0, String::new()))
            });
            (Some(give), Some(writing))
        }
    };
    while let Some(chunk) = output.next().await {
        let chunk = chunk?;
        if chunk.stderr {
            errors.push(&chunk.bytes);
            continue;
        }
        heard.bytes += chunk.bytes.len() as u64;
        match &give {
            None => text.push(&chunk.bytes),
            Some(give) => {
                told(heard.bytes);
                if give.send(chunk.bytes).await.is_err() {
                    // It cannot be written: why, the writer says.
                    break;
                }
            }
        }
    }
    drop(give);
    if let Some(writing) = writing {
        (heard.stored, heard.sha256) = writing.await.expect("writing does not panic")?;
    }
    (heard.text, heard.errors) = (text.text(), errors.text());
    Ok(heard)
}

/// Writes pieces into a new file, compressed unless it is to be `plain`; returns its size and SHA-256.
fn write(
    path: &Path,
    plain: bool,
    mut pieces: mpsc::Receiver<Bytes>,
) -> Result<(u64, String), RunError> {
    let file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut into = Written { file: file.at(path)?, hash: Sha256::new(), count: 0 };
    if plain {
        while let Some(piece) = pieces.blocking_recv() {
            into.write_all(&piece).at(path)?;
        }
    } else {
        let mut zstd =
            zstd::Encoder::new(io::BufWriter::with_capacity(PIECE, into), LEVEL).at(path)?;
        zstd.include_checksum(true).at(path)?;
        while let Some(piece) = pieces.blocking_recv() {
            zstd.write_all(&piece).at(path)?;
        }
        let buffered = zstd.finish().at(path)?;
        into = buffered.into_inner().map_err(io::IntoInnerError::into_error).at(path)?;
    }
    into.file.sync_all().at(path)?;
    Ok((into.count, hex::encode(into.hash.finalize())))
}

struct Written {
    file: fs::File,
    hash: Sha256,
    count: u64,
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The end of what is said.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        if self.0.len() > 2 * KEPT {
            self.0.drain(..self.0.len() - KEPT);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}
