//! Malformed and borderline requests over raw sockets, and what the standards want answered: the tables beside this
//! file, which `scripts/bench conformance` puts to other proxies as well.
//!
//! A row has the section of the RFC it comes from, what is sent, and `answer`: the proxy's own. `also` are others that
//! the section allows; `wants` is what it asks for where the proxy's library has its own way. `<text*n>` stands for `n`
//! times the text; a character stands for one octet.

mod frames;

use std::{fmt::Write as _, future::Future, time::Duration};

use futures_util::future::join_all;
use regex::{Captures, Regex};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    backend::Backend,
    idle,
    stage::{self, PATIENCE, Stage},
    tls::{connect, one},
};
use crate::model::Color::Blue;

#[derive(Deserialize)]
struct Row {
    rfc: String,
    name: String,
    send: String,
    answer: String,
    #[serde(default)]
    also: Vec<String>,
}

#[derive(Deserialize)]
struct FrameRow {
    rfc: String,
    name: String,
    frames: Vec<serde_json::Value>,
    answer: String,
    #[serde(default)]
    also: Vec<String>,
    /// The first answer of this kind counts, and not the very first.
    until: Option<String>,
    /// Whether the client begins as it should.
    preface: Option<bool>,
}

fn table<T: DeserializeOwned>(text: &str) -> Vec<T> {
    serde_json::from_str(text).unwrap()
}

/// The text with its repetitions written out.
fn expand(text: &str) -> String {
    let repeated = Regex::new(r"(?s)<([^<>]+)\*(\d+)>").unwrap();
    let repeat = |found: &Captures<'_>| found[1].repeat(found[2].parse().unwrap());
    repeated.replace_all(text, repeat).into_owned()
}

fn octets(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// The status of each answer in turn; `close` where there is none.
fn statuses(mut bytes: &[u8]) -> String {
    let mut all = vec![];
    while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        bytes = &bytes[end + 4..];
        let status = head.split(' ').nth(1).unwrap_or("?").to_owned();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        bytes = bytes.get(length..).unwrap_or_default();
        all.push(status);
    }
    if all.is_empty() { "close".to_owned() } else { all.join(" ") }
}

/// What is answered, or that nothing is.
async fn in_time(talk: impl Future<Output = String>) -> String {
    timeout(PATIENCE, talk).await.unwrap_or_else(|_| "waits".to_owned())
}

struct Differences(String);

impl Differences {
    fn note(&mut self, (rfc, name): (&str, &str), got: &str, answer: &str, also: &[String]) {
        if got != answer {
            writeln!(self.0, "{rfc} {name}: {got}, not {answer} (also {also:?})").unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_answered_as_the_table_says() {
    let stage = Stage::start();
    answers(&stage, async |_| {}).await;
}

/// As the next one of a connection that rested.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_answered_as_the_table_says_after_another_one() {
    let stage = Stage::with(stage::listeners(), |options| options.limits = idle::soon(), &[]);
    answers(&stage, async |stream| {
        stream.write_all(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        idle::pause(idle::PAUSE).await;
    })
    .await;
}

async fn answers(stage: &Stage, before: impl AsyncFn(&mut TcpStream)) {
    let blue = Backend::start("blue").await;
    stage.put(Blue, blue.address).await;
    stage.switch(Blue).await;
    let live = stage.live();
    let rows: Vec<Row> = table(include_str!("conformance/http1.json"));
    assert!(rows.len() >= 120);
    let talks = rows.into_iter().map(async |row| {
        let talk = in_time(async {
            let mut stream = TcpStream::connect(live).await.unwrap();
            before(&mut stream).await;
            let _ = stream.write_all(&octets(&expand(&row.send))).await;
            let mut all = vec![];
            let _ = stream.read_to_end(&mut all).await;
            statuses(&all)
        });
        (talk.await, row)
    });
    let mut wrong = Differences(String::new());
    for (got, row) in join_all(talks).await {
        wrong.note((&row.rfc, &row.name), &got, &row.answer, &row.also);
    }
    assert!(wrong.0.is_empty(), "\n{}", wrong.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_are_answered_as_the_table_says() {
    let (stage, _blue) = one().await;
    let rows: Vec<FrameRow> = table(include_str!("conformance/http2.json"));
    let mut wrong = Differences(String::new());
    for row in rows {
        let stream = connect(&stage, stage.live(), "localhost", &[b"h2"]).await.unwrap();
        let (read, mut write) = tokio::io::split(stream);
        let sent = frames::bytes(&row.frames, row.preface.unwrap_or(true));
        let sending = tokio::spawn(async move {
            let _ = write.write_all(&sent).await;
            write
        });
        let got = in_time(frames::answer(read, row.until.as_deref())).await;
        drop(timeout(Duration::from_secs(5), sending).await);
        wrong.note((&row.rfc, &row.name), &got, &row.answer, &row.also);
    }
    assert!(wrong.0.is_empty(), "\n{}", wrong.0);
}
