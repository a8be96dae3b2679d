//! What `BuildKit` tells of a build, as steps; and the lines of the instruction that failed.

use std::collections::{BTreeMap, VecDeque};

use super::{
    KEPT,
    session::proto::{Log, Status, Transfer, Vertex},
};
use crate::engine::{Progress, Step};

#[derive(Default)]
pub(super) struct Trace {
    seen: BTreeMap<String, Seen>,
    begun: u64,
    /// Bytes of each layer or file that comes.
    transfers: BTreeMap<(String, String), (u64, u64)>,
    failed: Option<String>,
}

#[derive(Default)]
struct Seen {
    name: String,
    begun: bool,
    lines: VecDeque<String>,
    /// Text of a line that has not ended.
    rest: Vec<u8>,
}

impl Seen {
    /// What the builder does by itself is no instruction.
    fn is_instruction(&self) -> bool {
        self.name.starts_with('[') && !self.name.starts_with("[internal]")
    }

    fn note(&mut self, line: &[u8], progress: Progress<'_>) {
        let line = String::from_utf8_lossy(line).trim_end().to_owned();
        if line.is_empty() {
            return;
        }
        if self.lines.len() >= KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line.clone());
        progress(Step::Line(line));
    }
}

impl Trace {
    pub fn take(&mut self, status: Status, progress: Progress<'_>) {
        // All are named before the first begins, so that the first is already one of all.
        for vertex in &status.vertices {
            let seen = self.seen.entry(vertex.digest.clone()).or_default();
            seen.name.clone_from(&vertex.name);
        }
        for vertex in status.vertices {
            self.vertex(vertex, progress);
        }
        let moved = status.transfers.into_iter().filter_map(|it| self.transfer(it)).last();
        if let Some(step) = moved {
            progress(step);
        }
        for Log { vertex, text } in status.logs {
            let seen = self.seen.entry(vertex).or_default();
            seen.rest.extend_from_slice(&text);
            while let Some(at) = seen.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = seen.rest.drain(..=at).collect();
                seen.note(&line, progress);
            }
        }
    }

    fn vertex(&mut self, vertex: Vertex, progress: Progress<'_>) {
        let of = self.seen.values().filter(|seen| seen.is_instruction()).count() as u64;
        let Some(seen) = self.seen.get_mut(&vertex.digest) else { return };
        if vertex.started.is_some() && !seen.begun {
            seen.begun = true;
            let text = format!("{}{}", seen.name, if vertex.cached { " (cached)" } else { "" });
            if seen.is_instruction() {
                self.begun += 1;
                progress(Step::Instruction { number: self.begun, of, text });
            } else {
                progress(Step::Line(text));
            }
        }
        // What is cancelled because another failed is not what failed.
        if !vertex.error.is_empty() && !vertex.error.contains("context canceled") {
            self.failed.get_or_insert(vertex.digest);
        }
    }

    /// The sum of all that comes: layers of images, and the context.
    fn transfer(&mut self, transfer: Transfer) -> Option<Step> {
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        let (current, total) = (number(transfer.current), number(transfer.total));
        if current == 0 {
            return None;
        }
        self.transfers.insert((transfer.vertex, transfer.id), (current, total.max(current)));
        let (done, total) =
            self.transfers.values().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        Some(Step::Bytes { done, total })
    }

    /// The instruction that failed, and its last lines.
    pub fn failure(mut self) -> Vec<String> {
        let Some(mut seen) = self.failed.and_then(|digest| self.seen.remove(&digest)) else {
            return vec![];
        };
        let rest = std::mem::take(&mut seen.rest);
        seen.note(&rest, &|_| ());
        [seen.name].into_iter().chain(seen.lines).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::{super::session::proto::Nothing, *};

    fn vertex(digest: &str, name: &str, started: bool, error: &str) -> Vertex {
        Vertex {
            digest: digest.into(),
            name: name.into(),
            started: started.then_some(Nothing {}),
            error: error.into(),
            ..Vertex::default()
        }
    }

    fn log(vertex: &str, text: &'static str) -> Log {
        Log { vertex: vertex.into(), text: text.as_bytes().into() }
    }

    #[test]
    fn lines_of_instructions_that_run_at_once_are_kept_apart() {
        let mut trace = Trace::default();
        let steps = Mutex::new(vec![]);
        let note = |step| steps.lock().unwrap().push(step);
        let (one, two) = ("[a 1/1] RUN one", "[b 1/1] RUN two");
        for status in [
            Status {
                vertices: vec![
                    vertex("i", "[internal] load", true, ""),
                    vertex("1", one, false, ""),
                    vertex("2", two, false, ""),
                ],
                ..Status::default()
            },
            Status {
                vertices: vec![vertex("2", two, true, ""), vertex("1", one, true, "")],
                logs: vec![log("1", "a"), log("2", "other\n"), log("1", "b\nrest")],
                ..Status::default()
            },
            Status {
                vertices: vec![
                    vertex("2", two, true, "context canceled"),
                    vertex("1", one, true, "exit code: 1"),
                ],
                ..Status::default()
            },
        ] {
            trace.take(status, &note);
        }
        let instruction =
            |number, text: &str| Step::Instruction { number, of: 2, text: text.into() };
        assert_eq!(
            steps.into_inner().unwrap(),
            [
                Step::Line("[internal] load".into()),
                instruction(1, two),
                instruction(2, one),
                Step::Line("other".into()),
                Step::Line("ab".into()),
            ]
        );
        assert_eq!(trace.failure(), [one, "ab", "rest"]);
    }
}
