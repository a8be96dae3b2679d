//! Traffic of every kind on kept connections, and whether each answer came from a color that was live.

use std::{
    io,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use super::http::{Answer, Connection};

/// What a client sees of one request.
#[derive(Debug)]
struct Seen {
    kind: &'static str,
    color: String,
    sent: Instant,
    head: Instant,
}

/// A color made live between two instants.
#[derive(Debug, Clone)]
pub struct Turn {
    pub to: String,
    pub before: Instant,
    pub after: Instant,
}

/// What all clients saw, until they are told to stop.
#[derive(Debug, Default)]
pub struct Load {
    stop: AtomicBool,
    seen: Mutex<Vec<Seen>>,
    failed: Mutex<Vec<String>>,
}

impl Load {
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    pub fn goes_on(&self) -> bool {
        !self.stop.load(Relaxed)
    }

    pub fn fail(&self, reason: String) {
        self.failed.lock().unwrap().push(reason);
    }

    /// Keeps what an answer says; anything but 200 is a failure.
    pub fn note(&self, kind: &'static str, answer: &Answer) {
        match answer.header("X-Color") {
            Some(color) if answer.status == 200 => self.seen.lock().unwrap().push(Seen {
                kind,
                color: color.to_owned(),
                sent: answer.sent,
                head: answer.head,
            }),
            _ => self.fail(format!("{kind}: {answer}")),
        }
    }

    /// Sends one request after the other on one kept connection, `pause` apart, until told to stop. A connection that the
    /// server closes is a failure.
    pub fn client(
        &self,
        kind: &'static str,
        port: u16,
        pause: Duration,
        request: impl Fn(&mut Connection) -> io::Result<Answer>,
    ) {
        let mut connection = None;
        while self.goes_on() {
            let answer = match &mut connection {
                Some(connection) => request(connection),
                None => {
                    Connection::open(port).and_then(|opened| request(connection.insert(opened)))
                }
            };
            match answer {
                Ok(answer) => self.note(kind, &answer),
                Err(error) => {
                    self.fail(format!("{kind}: {error}"));
                    connection = None;
                }
            }
            thread::sleep(pause);
        }
    }

    /// Sends one request on a connection of its own.
    pub fn client_once(
        &self,
        kind: &'static str,
        port: u16,
        request: impl Fn(&mut Connection) -> io::Result<Answer>,
    ) {
        match Connection::open(port).and_then(|mut connection| request(&mut connection)) {
            Ok(answer) => self.note(kind, &answer),
            Err(error) => self.fail(format!("{kind}: {error}")),
        }
    }

    /// The failures, and the answers of colors that were not live between the request's sending and the answer's head.
    pub fn wrong(&self, first: &str, turns: &[Turn]) -> Vec<String> {
        let mut wrong = self.failed.lock().unwrap().clone();
        let seen = self.seen.lock().unwrap();
        wrong.extend(seen.iter().filter(|seen| !was_live(seen, first, turns)).map(|seen| {
            let at = turns.iter().filter(|turn| turn.after < seen.sent).count();
            format!("{}: answered by {}, sent after turn {at}", seen.kind, seen.color)
        }));
        wrong
    }

    pub fn count(&self, kind: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| seen.kind == kind).count()
    }

    pub fn total(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Answers a second, from one instant to another.
    pub fn rate(&self, from: Instant, to: Instant) -> f64 {
        let seen = self.seen.lock().unwrap();
        let count = seen.iter().filter(|seen| from <= seen.head && seen.head <= to).count();
        f64::from(u32::try_from(count).unwrap()) / (to - from).as_secs_f64()
    }
}

/// Whether the color may have been live at some instant from the request's sending to the answer's head. A color is live
/// from some instant of its turn on, to some instant of the next turn.
fn was_live(seen: &Seen, first: &str, turns: &[Turn]) -> bool {
    // Turns are in order: those that ended before the request was sent count with the last of them only.
    let passed = turns.partition_point(|turn| turn.after < seen.sent);
    let standing = passed.checked_sub(1).map_or(first, |last| turns[last].to.as_str());
    let meanwhile = turns[passed..].iter().take_while(|turn| turn.before <= seen.head);
    standing == seen.color || meanwhile.into_iter().any(|turn| turn.to == seen.color)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_must_come_from_a_color_that_was_live_meanwhile() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let turns = [
            Turn { to: "green".into(), before: at(10), after: at(20) },
            Turn { to: "blue".into(), before: at(30), after: at(40) },
        ];
        let live = |color: &str, sent, head| {
            let seen = Seen { kind: "", color: color.into(), sent: at(sent), head: at(head) };
            was_live(&seen, "blue", &turns)
        };
        assert!(live("blue", 0, 5) && live("blue", 5, 15) && live("green", 5, 15));
        assert!(live("blue", 15, 25), "the turn may not have happened yet when it was sent");
        assert!(!live("green", 0, 9) && !live("blue", 21, 29));
        assert!(live("blue", 21, 31) && live("green", 35, 36) && !live("green", 41, 99));
    }
}
