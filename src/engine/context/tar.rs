//! A build context as a tar that is never in memory as a whole.

use std::{
    fs::File,
    io::{self, Read, Write},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::Stream;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::walk::{Context, Entry, Kind, failed};
use crate::engine::{EngineError, Result};

const CHUNK: usize = 256 * 1024;

/// Why a stream broke off, once it has.
#[derive(Debug, Clone, Default)]
pub struct Failure(Arc<Mutex<Option<EngineError>>>);

impl Failure {
    pub fn take(&self) -> Option<EngineError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The tar, made on a thread of its own as it is read. Dropping the stream ends the thread.
pub fn stream(context: Context) -> (impl Stream<Item = io::Result<Bytes>> + Send, Failure) {
    let failure = Failure::default();
    let (sender, receiver) = mpsc::channel(4);
    let noted = failure.clone();
    tokio::task::spawn_blocking(move || {
        let mut pipe = io::BufWriter::with_capacity(CHUNK, Pipe(sender.clone()));
        let done = write(&context, &mut pipe)
            .and_then(|()| pipe.flush().map_err(|error| failed(&context.root, &error)));
        if let Err(error) = done {
            let text = error.to_string();
            *noted.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            let _ = sender.blocking_send(Err(io::Error::other(text)));
        }
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|bytes| (bytes, receiver))
    });
    (stream, failure)
}

struct Pipe(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Owner and group are root's, as Docker's own client sends them. Times are the files' own: the builder's cache does
/// not look at them, but web servers tell a changed file by them.
fn write(context: &Context, out: impl Write) -> Result<()> {
    let mut tar = Builder::new(out);
    for entry in &context.entries {
        append(&mut tar, context, entry)
            .map_err(|error| failed(&context.root.join(&entry.path), &error))?;
    }
    for (name, content) in &context.added {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content.as_slice())
            .map_err(|error| failed(&context.root.join(name), &error))?;
    }
    tar.finish().map_err(|error| failed(&context.root, &error))
}

fn append(tar: &mut Builder<impl Write>, context: &Context, entry: &Entry) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(entry.modified.as_secs());
    header.set_size(0);
    match &entry.kind {
        Kind::Folder => {
            header.set_entry_type(EntryType::Directory);
            // With a slash at its end, as from Docker's own client: the classic builder's cache goes by the name too.
            tar.append_data(&mut header, entry.path.join(""), io::empty())
        }
        Kind::Link { to } => {
            header.set_entry_type(EntryType::Symlink);
            tar.append_link(&mut header, &entry.path, to)
        }
        Kind::File { size } => {
            header.set_size(*size);
            let mut file = File::open(context.root.join(&entry.path))?;
            let mut whole = Exactly { inner: (&mut file).take(*size), left: *size };
            tar.append_data(&mut header, &entry.path, &mut whole)
        }
    }
}

/// A file that became shorter since it was looked at would shift all that follows in the tar.
struct Exactly<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left -= read as u64;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::other("it changed while it was read"));
        }
        Ok(read)
    }
}

#[cfg(test)]
pub(super) fn bytes(context: &Context) -> Vec<u8> {
    let mut out = vec![];
    write(context, &mut out).unwrap();
    out
}
