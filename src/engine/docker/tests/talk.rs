//! Exec, logs, questions.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::Value;

use super::{LIMIT, Sandbox, program, sandbox};
use crate::{
    engine::{Engine as _, EngineError, LogOptions},
    model::ServiceSpec,
};

impl Sandbox {
    /// The engine's own inspection.
    pub(super) async fn raw(&self, name: &str) -> Value {
        let path = format!("/containers/{name}/json");
        self.docker.get(&path, super::super::fault::Asked::Engine("look")).await.unwrap()
    }

    /// Name, mode, uid and gid of all below a folder.
    pub(super) async fn headers(&self, name: &str, path: &str) -> Vec<(String, u32, u64, u64)> {
        let tar = super::super::files::archive(&self.docker, name, path).await.unwrap().unwrap();
        let mut archive = tar::Archive::new(tar.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let name = entry.path().unwrap().display().to_string();
            (name, header.mode().unwrap() & 0o7777, header.uid().unwrap(), header.gid().unwrap())
        });
        entries.collect()
    }

    /// The whole log, both streams.
    pub(super) async fn log(&self, name: &str) -> String {
        self.logs(name, &LogOptions::default()).await.into_iter().map(|(_, text)| text).collect()
    }

    async fn logs(&self, name: &str, options: &LogOptions) -> Vec<(bool, String)> {
        let mut stream = self.docker.logs(name, options).await.unwrap();
        let mut chunks = vec![];
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.unwrap();
            chunks.push((chunk.stderr, String::from_utf8(chunk.bytes.to_vec()).unwrap()));
        }
        chunks
    }

    async fn answering(&self, name: &str) -> String {
        let spec = ServiceSpec { stdin_open: true, ..self.spec(name, "answers") };
        self.docker.create(&spec).await.unwrap();
        self.docker.start(&spec.name).await.unwrap();
        spec.name
    }

    async fn ask(&self, name: &str, question: &str) -> Result<String, EngineError> {
        let start = format!("answer to {question}:");
        self.docker.ask(name, question, &|line| line.starts_with(&start), LIMIT).await
    }
}

#[tokio::test]
async fn real_engine_runs_commands_with_output_code_and_limit() {
    sandbox(async |s| {
        let name = s.run("exec", "idles").await;
        let exec = async |command: Vec<String>, limit| s.docker.exec(&name, &command, limit).await;
        let seven = exec(program::command("ends_with_seven"), LIMIT).await.unwrap();
        assert_eq!(seven.code, 7);
        assert!(seven.text.contains("out\n") && seven.text.contains("err\n"), "{}", seven.text);
        let none = exec(vec!["/no-such-program".into()], LIMIT).await.unwrap();
        assert!(none.code == 126 || none.code == 127, "{none:?}");
        assert!(none.text.contains("no-such-program"), "{}", none.text);

        let start = Instant::now();
        let late = exec(program::command("idles"), Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(late, EngineError::TimedOut { .. }), "{late:?}");
        assert!(start.elapsed() < LIMIT);

        s.docker.stop(&name, Some(Duration::ZERO)).await.unwrap();
        let stopped = exec(program::command("ends_with_seven"), LIMIT).await.unwrap_err();
        assert!(stopped.to_string().contains("is not running"), "{stopped}");
    })
    .await;
}

#[tokio::test]
async fn real_engine_reads_logs_by_stream_tail_and_follow() {
    sandbox(async |s| {
        let name = s.run("log", "prints_and_idles").await;
        let mut follow = s
            .docker
            .logs(&name, &LogOptions { follow: true, ..LogOptions::default() })
            .await
            .unwrap();
        let (mut out, mut err) = (String::new(), String::new());
        while !(out.contains("out 5\n") && err.contains("err 5\n")) {
            let chunk = tokio::time::timeout(LIMIT, follow.next()).await.unwrap().unwrap().unwrap();
            let text = if chunk.stderr { &mut err } else { &mut out };
            text.push_str(std::str::from_utf8(&chunk.bytes).unwrap());
        }
        assert!(!out.contains("err") && !err.contains("out"));
        let tail = s.logs(&name, &LogOptions { tail: Some(2), ..LogOptions::default() }).await;
        assert_eq!(tail.len(), 2, "{tail:?}");
        let stamped = s
            .logs(&name, &LogOptions { tail: Some(1), timestamps: true, ..LogOptions::default() })
            .await;
        assert!(stamped[0].1.starts_with("20") && stamped[0].1.contains('T'), "{stamped:?}");
        let later = jiff::Timestamp::now().as_second() + 3600;
        assert!(
            s.logs(&name, &LogOptions { since: Some(later), ..LogOptions::default() })
                .await
                .is_empty()
        );
        s.docker.remove(&name).await.unwrap();
        while tokio::time::timeout(LIMIT, follow.next()).await.unwrap().is_some() {}

        let mut none = s.docker.logs(&name, &LogOptions::default()).await.unwrap();
        let error = none.next().await.unwrap().unwrap_err();
        assert!(matches!(error, EngineError::NoContainer { .. }), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn real_engine_reads_the_log_of_a_terminal() {
    sandbox(async |s| {
        let spec = ServiceSpec { tty: true, ..s.spec("tty", "ends_with_seven") };
        s.docker.create(&spec).await.unwrap();
        s.docker.start(&spec.name).await.unwrap();
        s.docker.wait(&spec.name).await.unwrap();
        let text = s.log(&spec.name).await;
        assert!(text.contains("out\r\n") && text.contains("err\r\n"), "{text:?}");
    })
    .await;
}

#[tokio::test]
async fn real_engine_is_asked_over_standard_input() {
    sandbox(async |s| {
        let name = s.answering("ask").await;
        assert_eq!(s.ask(&name, "one").await.unwrap(), "answer to one: yes");
        // Several at once hear each other's answers, and find their own.
        let questions = (0..20).map(|n| format!("question {n}")).collect::<Vec<_>>();
        let answers =
            futures_util::future::join_all(questions.iter().map(|q| s.ask(&name, q))).await;
        for (question, answer) in questions.iter().zip(answers) {
            assert_eq!(answer.unwrap(), format!("answer to {question}: yes"));
        }
        let long = "x".repeat(100_000);
        assert_eq!(s.ask(&name, &long).await.unwrap().len(), long.len() + "answer to : yes".len());
    })
    .await;
}

#[tokio::test]
async fn real_engine_does_not_wait_for_an_answer_that_cannot_come() {
    sandbox(async |s| {
        let name = s.answering("mute").await;
        let limit = Duration::from_millis(700);
        let late = s.docker.ask(&name, "x", &|_| false, limit).await.unwrap_err();
        assert!(matches!(late, EngineError::TimedOut { .. }), "{late:?}");
        let ended = s.ask(&name, "end").await.unwrap_err();
        assert!(ended.to_string().contains("does not run"), "{ended}");
        let stopped = s.ask(&name, "one").await.unwrap_err();
        assert!(stopped.to_string().contains("does not run"), "{stopped}");
        let nobody = s.ask(&s.name("nobody"), "one").await.unwrap_err();
        assert!(matches!(nobody, EngineError::NoContainer { .. }), "{nobody:?}");
    })
    .await;
}
