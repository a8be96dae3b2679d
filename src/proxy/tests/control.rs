//! The ways to the control, what it keeps, and what it refuses.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    backend::Backend,
    stage::{self, Stage, WEB, get, listener, options, route},
};
use crate::{
    model::{
        Color::{Blue, Green},
        control::{Answer, Record, Request as Ask},
    },
    proxy::{ProxyError, control_io, server::start, target::Names},
};

async fn refusal(stage: &Stage, request: Ask) -> String {
    match stage.ask(request).await {
        Answer::Refused { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_state_survives_a_restart() {
    let stage = Stage::start();
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    stage.put_for(Blue, blue.address, Duration::from_secs(7)).await;
    stage.put_for(Green, green.address, Duration::from_secs(7)).await;
    let record =
        Record { name: "20261121T081500.123Z-1f2e".into(), value: json!({ "to": "green" }) };
    let switch = Ask::Switch { to: Green, health: true };
    assert!(matches!(stage.ask(switch).await, Answer::Switched { from: None, to: Green, .. }));
    assert_eq!(stage.ask(Ask::Record(record.clone())).await, Answer::Done);
    let result = json!({ "passed": 3 });
    let tested = Ask::Tested { color: Green, release: "r1".into(), result: result.clone() };
    assert_eq!(stage.ask(tested).await, Answer::Done);
    let before = stage.status().await.routing;

    let stage = tokio::task::spawn_blocking(move || stage.restart()).await.unwrap();
    let after = stage.status().await.routing;
    assert_eq!(after, before);
    assert_eq!(after.drain, Duration::from_secs(7));
    assert_eq!(after.stacks[&Green].tests, Some(result));
    assert_eq!(get(stage.live(), "/").await.text, "green");
    assert_eq!(stage.ask(Ask::History { limit: None }).await, Answer::History(vec![record]));
}

#[test]
fn a_broken_state_ends_the_start_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder, &stage::listeners());
    let path = options.state.join("routing.json");
    std::fs::write(&path, "{ not json").unwrap();
    let error = start(&options, Names::System).err().unwrap();
    assert!(matches!(error, ProxyError::State { .. }), "{error}");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

#[test]
fn a_taken_port_ends_the_start_with_its_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut listener = listener(WEB, None);
    listener.port = taken.local_addr().unwrap().port();
    let error = start(&options(&folder, &[listener]), Names::System).err().unwrap();
    assert!(matches!(error, ProxyError::Listen { .. }), "{error}");
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let stage = Stage::start();
    let blue = Backend::start("blue").await;
    let reason = refusal(&stage, Ask::Switch { to: Blue, health: true }).await;
    assert_eq!(reason, "blue has no release");
    stage.put(Blue, blue.address).await;
    stage.switch(Blue).await;
    let before = stage.status().await.routing;

    assert_eq!(refusal(&stage, Ask::Forget { color: Blue }).await, "blue is live");
    let stack = stage::stack(vec![route(4000, &[("/", blue.address)])]);
    let reason = refusal(&stage, Ask::Put { color: Green, stack, drain_ms: 1 }).await;
    assert_eq!(reason, "the proxy does not listen on port 4000");
    let stack = stage::stack(vec![route(WEB, &[("api", blue.address)])]);
    let reason = refusal(&stage, Ask::Put { color: Green, stack, drain_ms: 1 }).await;
    assert_eq!(reason, "`api` does not begin with `/`");
    let tested = Ask::Tested { color: Blue, release: "r2".into(), result: json!(1) };
    assert_eq!(refusal(&stage, tested).await, "blue holds release r1");
    let record = Record { name: "../../etc/x".into(), value: json!(1) };
    let reason = refusal(&stage, Ask::Record(record)).await;
    assert!(reason.contains("cannot be the name of a record"), "{reason}");
    assert_eq!(stage.status().await.routing, before);

    stage.put(Green, blue.address).await;
    assert_eq!(stage.ask(Ask::Forget { color: Green }).await, Answer::Done);
    assert!(!stage.status().await.routing.stacks.contains_key(&Green));
}

#[tokio::test]
async fn a_switch_that_cannot_be_kept_is_taken_back() {
    let stage = Stage::start();
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    stage.put(Blue, blue.address).await;
    stage.put(Green, green.address).await;
    stage.switch(Blue).await;
    // A folder in the file's place: even root cannot write over that.
    let file = stage.folder.path().join("state/routing.json");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir_all(file.join("x")).unwrap();
    let reason = refusal(&stage, Ask::Switch { to: Green, health: true }).await;
    assert!(reason.contains("routing.json"), "{reason}");
    assert_eq!(get(stage.live(), "/").await.text, "blue");
    assert_eq!(stage.status().await.routing.live, Some(Blue));
}

/// Runs the lines through the control of a proxy, as if they came on standard input.
fn converse(stage: &Stage, lines: &str, answers: usize) -> Vec<Value> {
    let (output, answered) = std::io::pipe().map(|(read, write)| (write, read)).unwrap();
    let (input, mut asking) = std::io::pipe().unwrap();
    let runtime = stage.running.runtime();
    control_io::lines(&stage.running.control, &runtime, BufReader::new(input), output).unwrap();
    asking.write_all(lines.as_bytes()).unwrap();
    drop(asking);
    let lines = BufReader::new(answered).lines().take(answers);
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_answered_under_their_ids_and_the_end_of_input_ends_nothing() {
    let stage = Stage::start();
    let blue = Backend::start("blue").await;
    stage.put(Blue, blue.address).await;
    let lines = "{\"id\":\"a\",\"body\":{\"drained\":{\"color\":\"blue\",\"wait_ms\":0}}}\n\n\
        {\"id\":\"b\",\"body\":{\"switch\":{\"to\":\"blue\",\"health\":true}}}\n\
        {\"id\":\"c\",\"body\":\"explode\"}\n\
        not json\n\
        {\"id\":\"d\",\"body\":\"status\"}";
    let mut answers = tokio::task::block_in_place(|| converse(&stage, lines, 5));
    answers.sort_by_key(|answer| answer["id"].as_str().unwrap().to_owned());
    let ids: Vec<&str> = answers.iter().map(|answer| answer["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["", "a", "b", "c", "d"]);
    assert!(answers[1]["body"]["drained"].is_object(), "{}", answers[1]);
    assert_eq!(answers[2]["body"]["switched"]["to"], "blue", "{}", answers[2]);
    assert!(answers[3]["body"]["refused"]["reason"].as_str().unwrap().contains("explode"));
    assert!(answers[4]["body"]["status"]["routing"].is_object(), "{}", answers[4]);
    // All input has ended; the proxy has not.
    assert_eq!(get(stage.live(), "/").await.text, "blue");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_answers_like_the_lines_do() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::start();
    let path = stage.folder.path().join("state/control.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let answer = tokio::task::block_in_place(|| {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(b"{\"id\":\"1\",\"body\":\"status\"}\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        std::io::read_to_string(stream).unwrap()
    });
    let answer: Value = serde_json::from_str(answer.trim()).unwrap();
    assert_eq!(
        (&answer["id"], &answer["body"]["status"]["routing"]["format"]),
        (&json!("1"), &json!(1))
    );
}
