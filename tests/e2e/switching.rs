//! Two hundred switches under load: no request is lost, and each is answered by a color that was live.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    Sandbox,
    http::{Answer, Connection},
    load::{Load, Turn},
    wait,
};

const SWITCHES: usize = 200;
/// Every so many-th switch is `envctl switch` as people run it; the others go the same way without a new process.
const WHOLE: usize = 4;
const PAUSE: Duration = Duration::from_millis(120);
const DRAIN: Duration = Duration::from_secs(10);
/// What a busy test machine must do at least; the figure itself is printed.
const LEAST_RATE: f64 = 150.0;
const FAST: Duration = Duration::from_millis(10);
const UPLOAD: usize = 10 << 20;

#[test]
fn two_hundred_switches_under_load_lose_nothing() {
    let sandbox = Sandbox::demo();
    sandbox.edit("envctl.yaml", "drain: 30s", "drain: 10s");
    let _ = sandbox.ok("up").says("blue is live");
    let _ = sandbox.ok("deploy green");
    let _ = sandbox.ok("test green");
    let port = sandbox.ports.get(0);
    let body = vec![b'x'; UPLOAD];

    let load = Load::default();
    let stays = Stays::default();
    let started = Instant::now();
    let turns = thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| load.client("static", port, Duration::ZERO, |c| c.get("/favicon.svg")));
        }
        scope.spawn(|| load.client("php", port, FAST, |c| c.get("/api/version")));
        for _ in 0..3 {
            scope.spawn(|| load.client("slow", port, Duration::ZERO, |c| c.get("/slow?ms=2000")));
        }
        scope.spawn(|| load.client("upload", port, FAST, |c| upload(c, &body)));
        scope.spawn(|| {
            while load.goes_on() {
                load.client_once("new connection", port, |c| c.get("/health"));
                thread::sleep(Duration::from_millis(50));
            }
        });
        for color in ["blue", "blue", "green"] {
            let (load, stays) = (&load, &stays);
            scope.spawn(move || events(load, stays, port, color));
        }
        for color in ["blue", "green"] {
            let (load, stays) = (&load, &stays);
            scope.spawn(move || websocket(load, stays, port, color));
        }

        // A test that fails here must not wait for its clients for ever.
        let stopped = StopOnDrop(&load);
        let turns = switches(&sandbox);
        let loser = if turns.last().unwrap().to == "blue" { "green" } else { "blue" };
        wait::until_true(DRAIN + Duration::from_secs(60), "what stayed is closed", || {
            stays.open(loser) == 0
        });
        drop(stopped);
        turns
    });

    let wrong = load.wrong("blue", &turns);
    let last = turns.last().unwrap().after;
    let rate = load.rate(started, last);
    println!(
        "{} switches in {:.1} s, {rate:.0} requests a second, {} of {} failed",
        turns.len(),
        (last - started).as_secs_f64(),
        wrong.len(),
        load.total()
    );
    for kind in ["static", "php", "slow", "upload", "new connection"] {
        println!("  {kind}: {}", load.count(kind));
        assert!(load.count(kind) > 0, "no {kind}");
    }
    let some = &wrong[..wrong.len().min(20)];
    assert!(wrong.is_empty(), "{} of {} failed: {some:#?}", wrong.len(), load.total());
    assert!(rate >= LEAST_RATE, "{rate:.0} requests a second");
    stays.in_peace(turns.last().unwrap());
}

struct StopOnDrop<'a>(&'a Load);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn upload(connection: &mut Connection, body: &[u8]) -> io::Result<Answer> {
    let answer = connection.request("POST", "/upload", &[], body)?;
    if answer.status == 200 && answer.json()["bytes"] != body.len() {
        return Err(io::Error::other(format!("cut short: {answer}")));
    }
    Ok(answer)
}

/// Makes the other color live again and again.
fn switches(sandbox: &Sandbox) -> Vec<Turn> {
    let mut control = Control::open(&sandbox.thing("proxy"));
    let mut turns: Vec<Turn> = vec![];
    for number in 0..SWITCHES {
        let to = if number % 2 == 0 { "green" } else { "blue" };
        let before = Instant::now();
        if number % WHOLE == 0 {
            let _ = sandbox.ok(&format!("switch {to}")).says(&format!("{to} is live"));
        } else {
            control.switch(to);
        }
        turns.push(Turn { to: to.to_owned(), before, after: Instant::now() });
        thread::sleep(PAUSE);
    }
    turns
}

/// The proxy's own control line, kept open.
struct Control {
    child: Child,
    stdin: ChildStdin,
    answers: mpsc::Receiver<String>,
}

impl Control {
    fn open(proxy: &str) -> Self {
        let mut child = Command::new("docker")
            .args(["exec", "--interactive", proxy, "/envctl", "proxy", "ctl"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (tell, answers) = mpsc::channel();
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        Self { child, stdin, answers }
    }

    fn switch(&mut self, to: &str) {
        let request = json!({ "id": "t", "body": { "switch": { "to": to, "health": true } } });
        writeln!(self.stdin, "{request}").unwrap();
        let line = self.answers.recv_timeout(Duration::from_secs(30)).expect("an answer");
        let answer: Value = serde_json::from_str(&line).unwrap_or_default();
        assert_eq!(answer["body"]["switched"]["to"], to, "{line}");
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connections that stay open: the color of each, and when the server ended it.
#[derive(Debug, Default)]
struct Stays(Mutex<Vec<(&'static str, &'static str, Option<Instant>)>>);

impl Stays {
    fn begin(&self, kind: &'static str, color: &'static str) -> usize {
        let mut all = self.0.lock().unwrap();
        all.push((kind, color, None));
        all.len() - 1
    }

    fn end(&self, number: usize) {
        self.0.lock().unwrap()[number].2 = Some(Instant::now());
    }

    fn open(&self, color: &str) -> usize {
        let all = self.0.lock().unwrap();
        all.iter().filter(|(_, own, ended)| *own == color && ended.is_none()).count()
    }

    /// What was on the live color stayed to the end; what was on the other stayed for the drain, and not much longer.
    #[track_caller]
    fn in_peace(&self, last: &Turn) {
        let all = self.0.lock().unwrap();
        assert_eq!(all.len(), 5, "{all:?}");
        for (kind, color, ended) in all.iter() {
            match ended {
                None => assert_eq!(*color, last.to, "{kind}"),
                Some(ended) => {
                    assert_ne!(*color, last.to, "{kind} of the live color was cut");
                    let after = ended.saturating_duration_since(last.before);
                    println!("  {kind} of {color}: closed after {:.1} s", after.as_secs_f64());
                    assert!(after >= DRAIN, "{kind} was cut after {after:?}");
                }
            }
        }
    }
}

/// Reads an event stream of this color until the server ends it, or the test does.
fn events(load: &Load, stays: &Stays, port: u16, color: &'static str) {
    let (mut connection, _) = on_color(load, color, || {
        let mut connection = Connection::open(port)?;
        let answer = connection.begin("GET", "/events?interval=200", &[], b"")?;
        let color = answer.color().to_owned();
        Ok((connection, color))
    });
    let number = stays.begin("event stream", color);
    let mut events = 0;
    while load.goes_on() {
        match connection.chunk() {
            Ok(Some(chunk)) => {
                let text = String::from_utf8_lossy(&chunk);
                events += text.matches("event: tick").count();
                let other = if color == "blue" { "green" } else { "blue" };
                if text.contains(other) {
                    load.fail(format!("event stream of {color}: {text}"));
                }
            }
            Ok(None) | Err(_) => return stays.end(number),
        }
    }
    if events == 0 {
        load.fail("an event stream without events".to_owned());
    }
}

/// Talks through a WebSocket of this color until the server closes it, or the test ends.
fn websocket(load: &Load, stays: &Stays, port: u16, color: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = format!("ws://127.0.0.1:{port}/ws");
    let (mut socket, _) = on_color(load, color, || {
        runtime.block_on(async {
            let (mut socket, _) =
                tokio_tungstenite::connect_async(&url).await.map_err(io::Error::other)?;
            let hello = socket.next().await.ok_or(io::ErrorKind::UnexpectedEof)?;
            let hello = hello.map_err(io::Error::other)?.into_text().map_err(io::Error::other)?;
            let hello: Value = serde_json::from_str(&hello)?;
            let color = hello["color"].as_str().unwrap_or_default().to_owned();
            Ok((socket, color))
        })
    });
    let number = stays.begin("websocket", color);
    for count in 0.. {
        if !load.goes_on() {
            return;
        }
        let said = format!("message {count}");
        let answer = runtime.block_on(async {
            socket.send(Message::text(said.clone())).await.ok()?;
            loop {
                match socket.next().await? {
                    Ok(Message::Text(text)) => return Some(text.to_string()),
                    Ok(Message::Ping(_) | Message::Pong(_)) => {}
                    Ok(_) | Err(_) => return None,
                }
            }
        });
        let Some(answer) = answer else { return stays.end(number) };
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        if answer["data"] != said.as_str() || answer["color"] != color {
            load.fail(format!("websocket of {color}: {answer}"));
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Opens again and again until it is this color that answers.
fn on_color<T>(
    load: &Load,
    color: &str,
    mut open: impl FnMut() -> io::Result<(T, String)>,
) -> (T, String) {
    wait::until(Duration::from_secs(120), &format!("{color} takes a stream"), || match open() {
        Ok(opened) => (opened.1 == color).then_some(opened),
        Err(error) => {
            load.fail(format!("a stream to {color}: {error}"));
            None
        }
    })
}
