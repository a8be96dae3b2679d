//! Sends a folder as `BuildKit` asks for it: first what is there, then the content of those files that it does not have
//! from an earlier build.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

use prost::bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::{
    grpc::{Messages, Sender, Status},
    proto::{Kind, Packet, Stat},
};
use crate::engine::context::{Context, Entry, Kind as EntryKind};

/// Bytes in one packet.
const CHUNK: usize = 128 * 1024;

/// What is there, in the order of [`Context::entries`].
pub type Listing = Vec<(Stat, Source)>;

#[derive(Debug, Clone)]
pub enum Source {
    /// Folders and links.
    Nothing,
    File(PathBuf),
    Text(Bytes),
}

/// The files of a context that instructions see.
pub fn of_context(context: &Context) -> Listing {
    let seen = context.entries.iter().filter(|entry| !entry.hidden);
    seen.map(|entry| (stat(entry), source(context, entry))).collect()
}

/// A folder with one file. Its time is made of its text: the engine asks for a file again only where size or time differ
/// from the last build's.
pub fn one(name: &str, text: &[u8]) -> Listing {
    let size = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let modified =
        Sha256::digest(text).iter().take(7).fold(0, |sum, byte| sum << 8 | i64::from(*byte));
    let stat = Stat { path: name.to_owned(), mode: 0o644, size, modified, ..Stat::default() };
    vec![(stat, Source::Text(Bytes::copy_from_slice(text)))]
}

fn source(context: &Context, entry: &Entry) -> Source {
    match entry.kind {
        EntryKind::File { .. } => Source::File(context.root.join(&entry.path)),
        _ => Source::Nothing,
    }
}

fn stat(entry: &Entry) -> Stat {
    let (kind, size, link) = match &entry.kind {
        EntryKind::Folder => (go::DIR, 0, String::new()),
        EntryKind::File { size } => (0, i64::try_from(*size).unwrap_or(i64::MAX), String::new()),
        EntryKind::Link { to } => (go::LINK, 0, to.to_string_lossy().into_owned()),
    };
    let special = [(0o4000, go::SETUID), (0o2000, go::SETGID), (0o1000, go::STICKY)]
        .into_iter()
        .filter(|(bit, _)| entry.mode & bit != 0)
        .map(|(_, go)| go)
        .sum::<u32>();
    Stat {
        path: entry.path.to_string_lossy().into_owned(),
        mode: kind | special | (entry.mode & 0o777),
        size,
        modified: i64::try_from(entry.modified.as_nanos()).unwrap_or(i64::MAX),
        link,
    }
}

/// The bits of Go's file modes.
mod go {
    pub const DIR: u32 = 1 << 31;
    pub const LINK: u32 = 1 << 27;
    pub const SETUID: u32 = 1 << 23;
    pub const SETGID: u32 = 1 << 22;
    pub const STICKY: u32 = 1 << 20;
}

/// Answers one call of `DiffCopy`. Listing, asking and sending go on at the same time: who waits for one of them before the
/// other stands still when both sides' windows are full.
pub async fn send(listing: Listing, mut asked: Messages, out: Sender) -> Result<(), Status> {
    let (ask, mut wanted) = mpsc::unbounded_channel();
    let mut sources = BTreeMap::new();
    let mut stats = vec![];
    for (at, (stat, source)) in listing.into_iter().enumerate() {
        if !matches!(source, Source::Nothing) {
            sources.insert(u32::try_from(at).unwrap_or(u32::MAX), source);
        }
        stats.push(stat);
    }
    let list = async {
        for stat in stats.into_iter().map(Some).chain([None]) {
            out.send(&Packet { kind: Kind::Stat.into(), stat, ..Packet::default() }).await?;
        }
        Ok(())
    };
    let ask = async move {
        while let Some(packet) = asked.next::<Packet>().await? {
            match packet.kind() {
                Kind::Request => {
                    let _ = ask.send(packet.id);
                }
                Kind::End => return Ok(true),
                Kind::Error => return Err(Status::unknown(String::from_utf8_lossy(&packet.data))),
                Kind::Stat | Kind::Data => {}
            }
        }
        Ok(false)
    };
    let send = async {
        while let Some(id) = wanted.recv().await {
            let Some(source) = sources.remove(&id) else { continue };
            if let Err(status) = content(id, source, &out).await {
                let data = Bytes::from(status.to_string());
                out.send(&Packet { kind: Kind::Error.into(), data, ..Packet::default() }).await?;
                return Err(status);
            }
        }
        Ok(())
    };
    let ((), ended, ()) = tokio::try_join!(list, ask, send)?;
    if ended {
        out.send(&Packet { kind: Kind::End.into(), ..Packet::default() }).await?;
    }
    Ok(())
}

async fn content(id: u32, source: Source, out: &Sender) -> Result<(), Status> {
    let packet = |data| Packet { kind: Kind::Data.into(), id, data, ..Packet::default() };
    match source {
        Source::Nothing => {}
        Source::Text(text) => out.send(&packet(text)).await?,
        Source::File(path) => {
            let (chunks, mut read) = mpsc::channel::<io::Result<Bytes>>(4);
            let shown = path.display().to_string();
            tokio::task::spawn_blocking(move || {
                let told = chunks.clone();
                let all = || -> io::Result<()> {
                    let mut file = File::open(path)?;
                    let mut buffer = vec![0; CHUNK];
                    loop {
                        let length = file.read(&mut buffer)?;
                        if length == 0 {
                            return Ok(());
                        }
                        let chunk = Bytes::copy_from_slice(&buffer[..length]);
                        if chunks.blocking_send(Ok(chunk)).is_err() {
                            return Ok(());
                        }
                    }
                };
                if let Err(error) = all() {
                    let _ = told.blocking_send(Err(error));
                }
            });
            while let Some(chunk) = read.recv().await {
                let chunk = chunk.map_err(|e| Status::unknown(format!("`{shown}`: {e}")))?;
                out.send(&packet(chunk)).await?;
            }
        }
    }
    out.send(&packet(Bytes::new())).await
}
