//! The access log: a line for each request. Requests write their lines into memory, and a thread of its own puts them into
//! the file, many at once: no request waits for a disk, or for that thread.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::model::{AccessFormat, Color, control::AccessMark};

/// Bytes that may wait to be written; lines that come beyond are dropped, and counted.
const WAITING: usize = 4 << 20;
/// How long lines are gathered.
const GATHERED: Duration = Duration::from_millis(100);
/// A file of this size is closed, and another one begun.
const SIZE: u64 = 16 << 20;
const DAY: SignedDuration = SignedDuration::from_hours(24);
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The most closed files, whatever their age: the log never takes more than half a GiB.
const FILES: usize = 31;
/// The most that is read of the log at once.
const PIECE: u64 = 256 << 10;

/// Where requests leave their lines. Dropping it writes what is left.
#[derive(Debug)]
pub(super) struct AccessLog(Arc<Log>);

#[derive(Debug)]
struct Log {
    format: AccessFormat,
    folder: PathBuf,
    waiting: Mutex<Waiting>,
    /// Told when the first line waits, and at the end.
    some: Condvar,
    files: Mutex<Files>,
    /// Lines that found the writer too far behind.
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    most: usize,
    ended: bool,
    /// What the times of one second have in common, and which second that is.
    second: (i64, String),
}

/// One request, as the log has it.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub time: Timestamp,
    pub client: &'a str,
    pub id: &'a str,
    pub method: &'a str,
    /// Without its query, which may hold what is nobody's business.
    pub path: &'a str,
    pub version: &'static str,
    pub route: u16,
    pub status: u16,
    pub bytes: u64,
    pub took: Duration,
    pub color: Option<Color>,
    /// The color that had not what this one answered with.
    pub instead_of: Option<Color>,
    pub release: &'a str,
    pub upstream: Option<SocketAddr>,
}

/// A line in JSON.
#[derive(Serialize)]
struct Json<'a> {
    time: &'a str,
    id: &'a str,
    client: &'a str,
    method: &'a str,
    path: &'a str,
    status: u16,
    bytes: u64,
    ms: f64,
    color: Option<Color>,
    instead_of: Option<Color>,
    release: &'a str,
    upstream: Option<SocketAddr>,
    route: u16,
}

impl AccessLog {
    /// Opens the log in this folder and starts its thread, which ends with the log.
    pub fn start(folder: PathBuf, format: AccessFormat) -> io::Result<Self> {
        let log = Arc::new(Log::open(folder, format, WAITING)?);
        let of_thread = Arc::clone(&log);
        std::thread::Builder::new()
            .name("access log".to_owned())
            .spawn(move || of_thread.keep_writing())?;
        Ok(Self(log))
    }

    pub fn add(&self, line: &Line) {
        self.0.add(line);
    }

    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    /// The last lines, or what came after a mark.
    pub fn read(
        &self,
        tail: usize,
        after: Option<AccessMark>,
    ) -> io::Result<(Vec<String>, AccessMark)> {
        self.0.write()?;
        read(&self.0.folder, tail, after)
    }

    /// Writes what waits.
    pub fn flush(&self) {
        if let Err(error) = self.0.write() {
            tracing::error!(%error, "the access log cannot be written");
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.0.waiting().ended = true;
        self.0.some.notify_one();
    }
}

impl Log {
    fn open(folder: PathBuf, format: AccessFormat, most: usize) -> io::Result<Self> {
        Ok(Self {
            format,
            files: Mutex::new(Files::open(&folder, SIZE)?),
            folder,
            waiting: Mutex::new(Waiting { most, ..Waiting::default() }),
            some: Condvar::new(),
            dropped: AtomicU64::default(),
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &Line) {
        let mut waiting = self.waiting();
        if waiting.lines.len() >= waiting.most {
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        let first = waiting.lines.is_empty();
        waiting.add(line, self.format);
        drop(waiting);
        if first {
            self.some.notify_one();
        }
    }

    fn keep_writing(&self) {
        let mut failing = false;
        loop {
            let waiting = self.waiting();
            let idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.ended;
            let waiting =
                self.some.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner);
            // More lines come at once; the end is told too.
            let gathered = self.some.wait_timeout_while(waiting, GATHERED, |w| !w.ended);
            let ended = gathered.unwrap_or_else(PoisonError::into_inner).0.ended;
            let written = self.write();
            if let Err(error) = &written
                && !failing
            {
                tracing::error!(%error, "the access log cannot be written");
            }
            failing = written.is_err();
            if ended {
                return;
            }
        }
    }

    fn write(&self) -> io::Result<()> {
        // Held over both, so that what was taken first is written first.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let room = Vec::with_capacity(std::mem::take(&mut files.usual));
        let lines = std::mem::replace(&mut self.waiting().lines, room);
        files.usual = lines.len();
        if lines.is_empty() { Ok(()) } else { files.write(&lines, Timestamp::now()) }
    }
}

impl Waiting {
    fn add(&mut self, line: &Line, format: AccessFormat) {
        let Line { client, method, path, version, status, bytes, .. } = *line;
        let result = match format {
            AccessFormat::Json => {
                let (second, text) = &mut self.second;
                if *second != line.time.as_second() || text.is_empty() {
                    *second = line.time.as_second();
                    *text = line.time.strftime("%Y-%m-%dT%H:%M:%S.").to_string();
                }
                let mut time = [0; 24];
                let ms = line.time.subsec_millisecond();
                let written = write!(&mut time[..], "{text}{ms:03}Z");
                let json = Json {
                    time: str::from_utf8(&time).unwrap_or_default(),
                    id: line.id,
                    client,
                    method,
                    path,
                    status,
                    bytes,
                    ms: (line.took.as_secs_f64() * 1e6).round() / 1e3,
                    color: line.color,
                    instead_of: line.instead_of,
                    release: line.release,
                    upstream: line.upstream,
                    route: line.route,
                };
                written.and_then(|()| {
                    serde_json::to_writer(&mut self.lines, &json)?;
                    self.lines.write_all(b"\n")
                })
            }
            AccessFormat::Common => {
                let time = line.time.strftime("%d/%b/%Y:%H:%M:%S +0000");
                // A path has no quotes or control characters: hyper lets none through but the quote.
                let path = path.replace('"', "%22");
                writeln!(
                    self.lines,
                    "{client} - - [{time}] \"{method} {path} {version}\" {status} {bytes}"
                )
            }
        };
        result.unwrap_or_default();
    }
}

/// The files of the log: `access.log`, and closed ones by the time they were closed.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    current: File,
    size: u64,
    began: Timestamp,
    most: u64,
    /// How much was written last: about what the next will be.
    usual: usize,
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
            current: file,
            began: began.unwrap_or_else(Timestamp::now),
            most,
            usual: 0,
        })
    }

    /// Writes whole lines.
    fn write(&mut self, lines: &[u8], now: Timestamp) -> io::Result<()> {
        if self.size > 0
            && (self.size + lines.len() as u64 > self.most || now.duration_since(self.began) > DAY)
        {
            self.rotate(now)?;
        }
        self.current.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }

    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
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
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path().to_owned(), AccessFormat::Json, 300).unwrap();
        for _ in 0..5 {
            log.add(&line());
        }
        assert_eq!(log.dropped.load(Relaxed), 3);
        log.write().unwrap();
        log.add(&line());
        assert_eq!(log.dropped.load(Relaxed), 3);
        log.write().unwrap();
        assert_eq!(read(folder.path(), 10, None).unwrap().0.len(), 3);
    }

    #[test]
    fn what_waits_at_the_end_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let log = AccessLog::start(folder.path().to_owned(), AccessFormat::Common).unwrap();
        let thread = Arc::downgrade(&log.0);
        log.add(&line());
        drop(log);
        while thread.strong_count() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(read(folder.path(), 10, None).unwrap().0.len(), 1);
    }

    #[test]
    fn both_formats() {
        let mut waiting = Waiting::default();
        waiting.add(&line(), AccessFormat::Common);
        waiting.add(&line(), AccessFormat::Json);
        insta::assert_snapshot!(str::from_utf8(&waiting.lines).unwrap(), @r#"
        192.0.2.1 - - [21/Nov/2026:08:00:00 +0000] "GET /a%22b HTTP/1.1" 200 5
        {"time":"2026-11-21T08:00:00.000Z","id":"1f2e","client":"192.0.2.1","method":"GET","path":"/a\"b","status":200,"bytes":5,"ms":12.346,"color":"blue","instead_of":null,"release":"r1","upstream":"10.0.0.2:80","route":3000}
        "#);
    }

    fn line() -> Line<'static> {
        Line {
            time: "2026-11-21T08:00:00Z".parse().unwrap(),
            client: "192.0.2.1",
            id: "1f2e",
            method: "GET",
            path: "/a\"b",
            version: "HTTP/1.1",
            route: 3000,
            status: 200,
            bytes: 5,
            took: Duration::from_micros(12_346),
            color: Some(Color::Blue),
            instead_of: None,
            release: "r1",
            upstream: Some("10.0.0.2:80".parse().unwrap()),
        }
    }
}
