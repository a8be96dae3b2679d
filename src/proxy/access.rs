//! The access log: a line for each request, written by a thread of its own, so that no request waits for a disk.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _},
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::model::{AccessFormat, Color, control::AccessMark};

/// Lines that may wait to be written; what comes beyond is dropped, and counted.
const WAITING: usize = 8192;
/// A file of this size is closed, and another one begun.
const SIZE: u64 = 16 << 20;
const DAY: SignedDuration = SignedDuration::from_hours(24);
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The most closed files, whatever their age: the log never takes more than half a GiB.
const FILES: usize = 31;
/// The most that is read of the log at once.
const PIECE: u64 = 256 << 10;

/// Where requests leave their lines.
#[derive(Debug)]
pub(super) struct AccessLog {
    lines: SyncSender<Box<Line>>,
    folder: PathBuf,
    /// Lines that found the writer too far behind.
    pub dropped: AtomicU64,
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub time: Timestamp,
    pub client: String,
    pub id: String,
    pub method: String,
    /// Without its query, which may hold what is nobody's business.
    pub path: String,
    pub version: &'static str,
    pub route: u16,
    pub status: u16,
    pub bytes: u64,
    pub took: Duration,
    pub color: Option<Color>,
    pub release: String,
    pub upstream: Option<SocketAddr>,
}

impl AccessLog {
    /// Opens the log in this folder and starts its thread, which ends with the log.
    pub fn start(folder: PathBuf, format: AccessFormat) -> io::Result<Arc<Self>> {
        let files = Files::open(&folder, SIZE)?;
        let (lines, waiting) = sync_channel(WAITING);
        let log = Arc::new(Self { lines, folder, dropped: AtomicU64::default() });
        std::thread::Builder::new()
            .name("access log".to_owned())
            .spawn(move || write(files, &waiting, format))?;
        Ok(log)
    }

    pub fn add(&self, line: Box<Line>) {
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// The last lines, or what came after a mark.
    pub fn read(
        &self,
        tail: usize,
        after: Option<AccessMark>,
    ) -> io::Result<(Vec<String>, AccessMark)> {
        read(&self.folder, tail, after)
    }
}

fn write(mut files: Files, waiting: &Receiver<Box<Line>>, format: AccessFormat) {
    let mut text = String::new();
    let mut failing = false;
    loop {
        let line = match waiting.try_recv() {
            Ok(line) => line,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                let _ = files.current.flush();
                match waiting.recv() {
                    Ok(line) => line,
                    Err(_) => break,
                }
            }
        };
        text.clear();
        line.write(format, &mut text);
        let written = files.write(text.as_bytes(), line.time);
        if let Err(error) = &written
            && !failing
        {
            tracing::error!(%error, "the access log cannot be written");
        }
        failing = written.is_err();
    }
    let _ = files.current.flush();
}

impl Line {
    fn write(&self, format: AccessFormat, out: &mut String) {
        let Self { time, client, method, path, version, status, bytes, .. } = self;
        let result = match format {
            AccessFormat::Json => {
                let line = json!({
                    "time": format!("{time:.3}"),
                    "id": self.id,
                    "client": client,
                    "method": method,
                    "path": path,
                    "status": status,
                    "bytes": bytes,
                    "ms": (self.took.as_secs_f64() * 1e6).round() / 1e3,
                    "color": self.color,
                    "release": self.release,
                    "upstream": self.upstream,
                    "route": self.route,
                });
                writeln!(out, "{line}")
            }
            AccessFormat::Common => {
                let time = time.strftime("%d/%b/%Y:%H:%M:%S +0000");
                // A path has no quotes or control characters: hyper lets none through but the quote.
                let path = path.replace('"', "%22");
                writeln!(
                    out,
                    "{client} - - [{time}] \"{method} {path} {version}\" {status} {bytes}"
                )
            }
        };
        result.unwrap_or_default();
    }
}

/// The files of the log: `access.log`, and closed ones by the time they were closed.
struct Files {
    folder: PathBuf,
    current: BufWriter<File>,
    size: u64,
    began: Timestamp,
    most: u64,
}

impl Files {
    fn open(folder: &Path, most: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let file = OpenOptions::new().create(true).append(true).open(folder.join(CURRENT))?;
        let about = file.metadata()?;
        let began = about.created().ok().and_then(|time| Timestamp::try_from(time).ok());
        Ok(Self {
            folder: folder.to_owned(),
            size: about.len(),
            current: BufWriter::new(file),
            began: began.unwrap_or_else(Timestamp::now),
            most,
        })
    }

    fn write(&mut self, line: &[u8], now: Timestamp) -> io::Result<()> {
        if self.size > 0
            && (self.size + line.len() as u64 > self.most || now.duration_since(self.began) > DAY)
        {
            self.rotate(now)?;
        }
        self.current.write_all(line)?;
        self.size += line.len() as u64;
        Ok(())
    }

    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        self.current.flush()?;
        let mut name = now.strftime(STAMP).to_string();
        // Two in a millisecond happen to tests only, but nothing is to be lost.
        while self.folder.join(&name).exists() {
            name = name.replace(".log", "x.log");
        }
        fs::rename(self.folder.join(CURRENT), self.folder.join(name))?;
        let closed = closed(&self.folder)?;
        let oldest = (now - KEPT).strftime(STAMP).to_string();
        for (at, name) in closed.iter().enumerate() {
            if *name < oldest || at + FILES < closed.len() {
                fs::remove_file(self.folder.join(name))?;
            }
        }
        *self = Self { began: now, ..Self::open(&self.folder, self.most)? };
        Ok(())
    }
}

const CURRENT: &str = "access.log";
const STAMP: &str = "access-%Y%m%dT%H%M%S%3fZ.log";

/// Names of the closed files, oldest first.
fn closed(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = vec![];
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("access-") && Path::new(&name).extension().is_some_and(|e| e == "log") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn read(
    folder: &Path,
    tail: usize,
    after: Option<AccessMark>,
) -> io::Result<(Vec<String>, AccessMark)> {
    let mut paths: Vec<PathBuf> = closed(folder)?.iter().map(|name| folder.join(name)).collect();
    paths.push(folder.join(CURRENT));
    let mut files = vec![];
    for path in paths {
        let file = File::open(path)?;
        let about = file.metadata()?;
        files.push((file, AccessMark { file: about.ino(), offset: about.len() }));
    }
    // A file that is kept no more: what is left begins later.
    let mark = after.map(|mark| {
        let at = files.iter().position(|(_, end)| end.file == mark.file);
        at.map_or((0, 0), |at| (at, mark.offset))
    });
    if let Some((at, offset)) = mark {
        let mut lines = vec![];
        let mut mark = AccessMark { file: files[at].1.file, offset };
        for (file, end) in &mut files[at..] {
            if end.file != mark.file {
                mark = AccessMark { file: end.file, offset: 0 };
            }
            mark.offset += piece(file, mark.offset, &mut lines)?;
            if mark.offset < end.offset {
                break;
            }
        }
        return Ok((lines, mark));
    }
    let (mut lines, mut mark) = (vec![], None);
    for (file, end) in files.iter_mut().rev() {
        // Enough of its end for the lines that are wanted, if they are of a usual length.
        let start = end.offset.saturating_sub(PIECE);
        let mut own = vec![];
        let length = piece(file, start, &mut own)?;
        mark.get_or_insert(AccessMark { file: end.file, offset: start + length });
        if start > 0 {
            own.remove(0);
        }
        own.append(&mut lines);
        lines = own;
        if lines.len() >= tail || start > 0 {
            break;
        }
    }
    lines.drain(..lines.len().saturating_sub(tail));
    Ok((lines, mark.unwrap_or(AccessMark { file: 0, offset: 0 })))
}

/// Whole lines of a file from `start`, up to [`PIECE`] bytes; says how many bytes they are.
fn piece(file: &mut File, start: u64, lines: &mut Vec<String>) -> io::Result<u64> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![];
    file.take(PIECE).read_to_end(&mut bytes)?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let text = String::from_utf8_lossy(&bytes[..end]);
    lines.extend(text.lines().map(str::to_owned));
    Ok(end as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_closed_by_size_and_age_kept_for_a_week_and_read_through() {
        let folder = tempfile::tempdir().unwrap();
        let start: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        let mut files = Files::open(folder.path(), 20).unwrap();
        files.began = start;
        let write = |files: &mut Files, text: &str, time: Timestamp| {
            files.write(format!("{text}\n").as_bytes(), time).unwrap();
            files.current.flush().unwrap();
        };
        write(&mut files, "first", start);
        let (lines, mark) = read(folder.path(), 10, None).unwrap();
        assert_eq!(lines, ["first"]);
        write(&mut files, "second, too long", start);
        write(&mut files, "third, a day later", start + SignedDuration::from_hours(25));
        let names = closed(folder.path()).unwrap();
        assert_eq!(names, ["access-20261121T080000000Z.log", "access-20261122T090000000Z.log"]);
        let (lines, _) = read(folder.path(), 2, None).unwrap();
        assert_eq!(lines, ["second, too long", "third, a day later"]);
        let (lines, mark) = read(folder.path(), 0, Some(mark)).unwrap();
        assert_eq!(lines, ["second, too long", "third, a day later"]);
        assert_eq!(read(folder.path(), 0, Some(mark)).unwrap().0, Vec::<String>::new());

        write(&mut files, "the last", start + SignedDuration::from_hours(24 * 8));
        assert_eq!(closed(folder.path()).unwrap().len(), 2, "the first is older than a week");
        assert_eq!(read(folder.path(), 0, Some(mark)).unwrap().0, ["the last"]);
    }

    #[test]
    fn a_writer_that_does_not_come_after_costs_lines_and_no_time() {
        let (lines, _waiting) = sync_channel(1);
        let log = AccessLog { lines, folder: PathBuf::new(), dropped: AtomicU64::default() };
        for _ in 0..3 {
            log.add(Box::new(line()));
        }
        assert_eq!(log.dropped.load(Relaxed), 2);
    }

    #[test]
    fn both_formats() {
        let mut text = String::new();
        line().write(AccessFormat::Common, &mut text);
        line().write(AccessFormat::Json, &mut text);
        insta::assert_snapshot!(text, @r#"
        192.0.2.1 - - [21/Nov/2026:08:00:00 +0000] "GET /a%22b HTTP/1.1" 200 5
        {"time":"2026-11-21T08:00:00.000Z","id":"1f2e","client":"192.0.2.1","method":"GET","path":"/a\"b","status":200,"bytes":5,"ms":12.346,"color":"blue","release":"r1","upstream":"10.0.0.2:80","route":3000}
        "#);
    }

    fn line() -> Line {
        Line {
            time: "2026-11-21T08:00:00Z".parse().unwrap(),
            client: "192.0.2.1".to_owned(),
            id: "1f2e".to_owned(),
            method: "GET".to_owned(),
            path: "/a\"b".to_owned(),
            version: "HTTP/1.1",
            route: 3000,
            status: 200,
            bytes: 5,
            took: Duration::from_micros(12_346),
            color: Some(Color::Blue),
            release: "r1".to_owned(),
            upstream: Some("10.0.0.2:80".parse().unwrap()),
        }
    }
}
