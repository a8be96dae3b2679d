//! The ways in to the control: lines on the process's standard input, and a Unix socket in the state folder.

use std::{
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::mpsc,
};

use super::{control::Control, error::ProxyError};
use crate::{
    base::files::AtPath as _,
    model::control::{Answer, Line, Request},
};

/// The longest line that is read as a request.
const LONGEST: usize = 8 << 20;

/// Answers the lines of `input` on `output`, each whole, in the order in which they are done.
///
/// The end of the input ends only its reading. Two plain threads read and write, because neither can be waited for without
/// blocking.
pub(super) fn lines(
    control: &Arc<Control>,
    runtime: &tokio::runtime::Handle,
    input: impl BufRead + Send + 'static,
    mut output: impl Write + Send + 'static,
) -> io::Result<()> {
    let (answers, mut answered) = mpsc::unbounded_channel::<String>();
    std::thread::Builder::new().name("answers".into()).stack_size(128 << 10).spawn(move || {
        while let Some(line) = answered.blocking_recv() {
            // Nobody reads any more: the switch still has to work for the next who asks.
            let _ = output.write_all(line.as_bytes()).and_then(|()| output.flush());
        }
    })?;
    let (control, runtime) = (Arc::clone(control), runtime.clone());
    std::thread::Builder::new().name("requests".into()).stack_size(128 << 10).spawn(move || {
        let mut input = input;
        let mut line = vec![];
        while read_line(&mut input, &mut line).is_ok_and(|more| more) {
            let (control, answers) = (Arc::clone(&control), answers.clone());
            let line = std::mem::take(&mut line);
            runtime.spawn(async move {
                if let Some(answer) = respond(&control, &line).await {
                    let _ = answers.send(answer);
                }
            });
        }
    })?;
    Ok(())
}

/// Reads one line, of which no more than [`LONGEST`] is kept; false at the end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    loop {
        let read = match input.fill_buf() {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if read.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = read.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(read.len(), |end| end + 1);
        if line.len() + used <= LONGEST {
            line.extend_from_slice(&read[..used]);
        }
        input.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// The answer to one line; none to an empty one.
async fn respond(control: &Control, line: &[u8]) -> Option<String> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return None;
    }
    let answer = match serde_json::from_slice::<Line<Request>>(line) {
        Ok(Line { id, body }) => Line { id, body: control.answer(body).await },
        Err(error) => {
            let id = serde_json::from_slice::<serde_json::Value>(line)
                .ok()
                .and_then(|value| Some(value.get("id")?.as_str()?.to_owned()))
                .unwrap_or_default();
            let reason = format!("the request is not understood: {error}");
            Line { id, body: Answer::Refused { reason } }
        }
    };
    let mut text = serde_json::to_string(&answer).ok()?;
    text.push('\n');
    Some(text)
}

/// Opens the Unix socket in the state folder and answers on it.
pub(super) fn socket(
    control: &Arc<Control>,
    runtime: &tokio::runtime::Handle,
    state: &Path,
) -> Result<PathBuf, ProxyError> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = state.join("control.sock");
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at(&path)?,
        _ => {}
    }
    let _inside = runtime.enter();
    let listener = UnixListener::bind(&path).at(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).at(&path)?;
    let control = Arc::clone(control);
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, Arc::clone(&control)));
        }
    });
    Ok(path)
}

/// Answers one client of the socket, one request after the other.
async fn converse(stream: UnixStream, control: Arc<Control>) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = vec![];
    while let Ok(1..) = read.read_until(b'\n', &mut line).await {
        if let Some(answer) = respond(&control, &line).await
            && write.write_all(answer.as_bytes()).await.is_err()
        {
            return;
        }
        line.clear();
    }
}
