//! Programs run to their end within a time limit, their output kept.

use std::{
    fmt,
    io::Read,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::wait;

/// Generous: a test machine may be busy with other things.
pub const LIMIT: Duration = Duration::from_secs(600);

/// How a program ended.
#[derive(Debug, Clone)]
#[must_use]
pub struct Outcome {
    pub line: String,
    /// None: ended by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Outcome {
    /// The test fails unless the program ended well.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// The test fails unless the program ended with this exit code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// The test fails unless the program said this on stderr.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "stderr lacks `{text}`\n{self}");
        self
    }

    /// The test fails unless stdout has this.
    #[track_caller]
    pub fn shows(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "stdout lacks `{text}`\n{self}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, code, stdout, stderr, took } = self;
        let code = code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        write!(
            f,
            "$ {line}\n{code} after {:.1} s\n--- stdout\n{stdout}\n--- stderr\n{stderr}",
            took.as_secs_f64()
        )
    }
}

/// A program under way. Dropped before its end, it is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    line: String,
    started: Instant,
    stdout: Reader,
    stderr: Reader,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let line = line(command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("`{line}`: {error}"));
        let stdout = Reader::start(child.stdout.take().unwrap());
        let stderr = Reader::start(child.stderr.take().unwrap());
        Self { child, line, started: Instant::now(), stdout, stderr }
    }

    /// What it has said on stderr so far.
    pub fn said(&self) -> String {
        self.stderr.text()
    }

    /// What it has written to stdout so far.
    pub fn shown(&self) -> String {
        self.stdout.text()
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until it has said this on stderr.
    pub fn wait_for(&mut self, text: &str, limit: Duration) {
        wait::until_true(limit, &format!("`{}` says `{text}`", self.line), || {
            let said = self.said();
            if said.contains(text) {
                return true;
            }
            assert!(!self.is_over(), "`{}` ended without saying `{text}`:\n{said}", self.line);
            false
        });
    }

    /// Sends `INT`, `TERM` or another signal; one that is over gets none.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status();
        assert!(
            sent.unwrap().success(),
            "`{}` ended before SIG{name}:\n{}",
            self.line,
            self.said()
        );
    }

    /// SIGKILL; the program gets to say nothing more.
    pub fn kill(mut self) -> Outcome {
        // It may be over already.
        let _ = self.child.kill();
        self.end(Duration::from_secs(60))
    }

    /// Waits for its end; past `limit` the test fails.
    #[track_caller]
    pub fn end(mut self, limit: Duration) -> Outcome {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break Some(status);
            }
            if Instant::now() > deadline {
                break None;
            }
            thread::sleep(Duration::from_millis(5));
        };
        let took = self.started.elapsed();
        if status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let outcome = Outcome {
            line: self.line.clone(),
            code: status.and_then(|status| status.code()),
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
            took,
        };
        assert!(status.is_some(), "no end within {} s: {outcome}", limit.as_secs());
        outcome
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end within [`LIMIT`].
#[track_caller]
pub fn run(command: &mut Command) -> Outcome {
    Running::start(command).end(LIMIT)
}

fn line(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let mut words = vec![program];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

#[derive(Debug)]
struct Reader {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    fn start(mut from: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(vec![]));
        let into = Arc::clone(&bytes);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                into.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self { bytes, thread: Some(thread) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn finish(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.text()
    }
}
