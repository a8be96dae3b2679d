//! The two streams of the process, behind `Write` so that tests can look.

use std::{
    io::{self, Write},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use indicatif::MultiProgress;

/// A stream that strips what it gets of color, where it has none.
pub(super) struct Stream {
    to: Mutex<Box<dyn Write + Send>>,
    color: bool,
    closed: AtomicBool,
    /// The first error, but for a closed pipe.
    failure: Mutex<Option<io::Error>>,
}

impl Stream {
    pub fn new(to: Box<dyn Write + Send>, color: bool) -> Self {
        Self {
            to: Mutex::new(to),
            color,
            closed: AtomicBool::new(false),
            failure: Mutex::default(),
        }
    }

    /// Writes text as whole lines, in one piece. After the first error nothing more is written.
    pub fn write(&self, text: &str) {
        if self.closed() {
            return;
        }
        let mut text = self.paint(text);
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let mut to = lock(&self.to);
        if let Err(error) = to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
            self.fail(error);
        }
    }

    /// Writes text without ending its line.
    pub fn begin_line(&self, text: &str) {
        let mut to = lock(&self.to);
        if let Err(error) = to.write_all(self.paint(text).as_bytes()).and_then(|()| to.flush()) {
            self.fail(error);
        }
    }

    pub fn paint(&self, text: &str) -> String {
        if self.color { text.to_owned() } else { anstream::adapter::strip_str(text).to_string() }
    }

    /// Nobody reads on, or the stream cannot be written to.
    pub fn closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub fn take_failure(&self) -> Option<io::Error> {
        lock(&self.failure).take()
    }

    fn fail(&self, error: io::Error) {
        self.closed.store(true, Ordering::Relaxed);
        if error.kind() != io::ErrorKind::BrokenPipe {
            lock(&self.failure).get_or_insert(error);
        }
    }
}

/// stderr, with the lines that move while a reporter draws.
pub(super) struct Talk {
    pub stream: Stream,
    pub drawn: MultiProgress,
    /// Reporters that draw at the moment.
    pub drawing: AtomicUsize,
}

impl Talk {
    /// Writes whole lines; above the moving ones, where there are any.
    pub fn write(&self, text: &str) {
        if self.drawing.load(Ordering::Relaxed) > 0 {
            // As for any talk: who cannot hear it is not told of it.
            let _ = self.drawn.println(self.stream.paint(text).trim_end_matches('\n'));
        } else {
            self.stream.write(text);
        }
    }

    /// Writes one JSON object as a line.
    pub fn event(&self, event: &impl serde::Serialize) {
        if let Ok(line) = serde_json::to_string(event) {
            self.write(&line);
        }
    }
}

/// A panic elsewhere is no reason to be silent here.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was written, to look at.
#[cfg(test)]
#[derive(Clone, Default)]
pub(super) struct Buffer(std::sync::Arc<Mutex<Vec<u8>>>);

#[cfg(test)]
impl Buffer {
    pub fn text(&self) -> String {
        String::from_utf8(lock(&self.0).clone()).unwrap()
    }
}

#[cfg(test)]
impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
