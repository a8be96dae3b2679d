//! A change of key goes wrong or dies at each of its calls of the engine: key and data belong together afterwards, and no row is
//! lost.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use indexmap::IndexMap;

use super::stage::{APP, Stage};
use crate::{
    config::{Project, Shell},
    engine::{
        Output,
        memory::{Behaviour, Fault},
    },
    model::Container,
    ops::{self, Apply, OpsError},
};

const PROJECT: &str = "name: shop\n\
    credentials: [DATA_KEY]\n\
    durable: { compose: [db.yaml] }\n\
    app: { workers: [worker] }\nhooks: { before_switch: [migrate] }\n";
const DB: &str = r#"
services:
  db:
    image: mariadb:11.8
    volumes: ["data:/var/lib/mysql"]
    healthcheck: { test: ping }
    configs: [{ source: keys, target: /run/keys }]
configs: { keys: { content: "1;${DATA_KEY}" } }
volumes: { data: }
"#;
const CONTAINER: &str = "shop-devlocal-durable-db";
const VOLUME: &str = "shop-devlocal-durable-data";
const FILE: &str = "ibdata1";
/// Which key the data is under.
const KEY: &str = "key";
const ROWS: &[u8] = b"rows";

struct Keyed {
    stage: Stage,
    read_only: Arc<AtomicBool>,
    /// Whether the server is started anew while its data is copied.
    restarts: Arc<AtomicBool>,
}

impl Keyed {
    /// A database that is up, with its data under its key.
    async fn new() -> Self {
        let mut stage = Stage::of(PROJECT, APP);
        stage.with_db(DB);
        let old = "0".repeat(64);
        stage.file(".envctl/devlocal.credentials", &format!("DATA_KEY={old}\n"));
        let read_only = Arc::new(AtomicBool::new(false));
        let restarts = Arc::new(AtomicBool::new(false));
        let (engine, frozen) = (Arc::downgrade(&stage.engine.0), Arc::clone(&read_only));
        let anew = Arc::clone(&restarts);
        stage.engine.behave("shop-devlocal-exchange-db", Behaviour::exchanges());
        stage.engine.on_exec(move |container, words| {
            let engine = engine.upgrade()?;
            let seen = engine.seen();
            let volume = seen.container(container)?.volumes.first()?.clone();
            let said = |text: &str| Some(Output { code: 0, text: text.to_owned() });
            match words.get(4).map(String::as_str) {
                Some("about") => said("version 11.8.3-MariaDB\nlife \nkey 0123\n"),
                Some("load") => {
                    // The server encrypts what it is given by the key that it has.
                    let key = engine.container_file(container, "/run/keys")?;
                    engine.set_volume_file(&volume, KEY, &key);
                    engine.set_volume_file(&volume, FILE, ROWS);
                    said("")
                }
                Some("freeze") => {
                    frozen.store(true, Ordering::Relaxed);
                    said("")
                }
                Some("thaw") => {
                    frozen.store(false, Ordering::Relaxed);
                    said("")
                }
                Some("frozen") if !frozen.load(Ordering::Relaxed) => {
                    Some(Output { code: 1, text: "it takes writes".to_owned() })
                }
                Some("dump_all") => {
                    if anew.load(Ordering::Relaxed) {
                        frozen.store(false, Ordering::Relaxed);
                    }
                    said("3")
                }
                Some("frozen" | "accept") => said("3"),
                _ => None,
            }
        });
        let mut keyed = Self { stage, read_only, restarts };
        keyed.next_process().await;
        ops::durable_up(&keyed.stage.session(), Apply::No).await.unwrap();
        keyed.stage.engine.set_volume_file(VOLUME, FILE, ROWS);
        keyed.stage.engine.set_volume_file(VOLUME, KEY, format!("1;{old}").as_bytes());
        keyed
    }

    /// Another process begins, and reads the project's files.
    async fn next_process(&mut self) {
        self.stage.next_process().await;
        let root = self.stage.project.root.clone();
        self.stage.project = Project::open(&root, None, &Shell(IndexMap::new())).unwrap();
    }

    fn data_key(&self) -> Vec<u8> {
        self.stage.engine.volume_file(VOLUME, KEY).unwrap()
    }

    /// The database runs, on all of its data, with the data's key, which is that of the credentials.
    fn is_whole(&self, at: &str) {
        let engine = &self.stage.engine;
        let seen = engine.seen();
        assert!(seen.container(CONTAINER).is_some_and(Container::is_running), "{at}");
        assert_eq!(engine.volume_file(VOLUME, FILE).as_deref(), Some(ROWS), "{at}");
        let key = engine.container_file(CONTAINER, "/run/keys");
        assert_eq!(key, Some(self.data_key()), "{at}: the server has another key than its data");
        let file = self.stage.project.root.join(".envctl/devlocal.credentials");
        let text = fs::read_to_string(file).unwrap();
        let held = text.lines().find_map(|line| line.strip_prefix("DATA_KEY=")).unwrap();
        assert_eq!(format!("1;{held}").as_bytes(), self.data_key(), "{at}: not the data's key");
        assert!(!text.contains("DATA_KEY_NEXT"), "{at}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_key_is_that_of_the_data_the_server_and_the_credentials() {
    let mut keyed = Keyed::new().await;
    let before = keyed.data_key();
    let rotated = ops::rotate_key(&keyed.stage.session(), None).await.unwrap();
    assert_eq!(
        (rotated.key.as_str(), rotated.previous.as_str()),
        ("DATA_KEY", "DATA_KEY_PREVIOUS")
    );
    keyed.is_whole("rotated");
    assert_ne!(keyed.data_key(), before);
    assert_eq!(keyed.stage.engine.volume_file(&rotated.kept, KEY), Some(before));
    keyed.next_process().await;
    let up = ops::durable_up(&keyed.stage.session(), Apply::No).await.unwrap();
    assert!(up.plan.only_waits() && up.differences.is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_key_from_before_is_kept_beside_the_data_under_it() {
    let mut keyed = Keyed::new().await;
    let mut known = vec![];
    for previous in ["DATA_KEY_PREVIOUS", "DATA_KEY_PREVIOUS_2", "DATA_KEY_PREVIOUS_3"] {
        let old = String::from_utf8(keyed.data_key()).unwrap().replace("1;", "");
        let rotated = ops::rotate_key(&keyed.stage.session(), None).await.unwrap();
        assert_eq!(rotated.previous, previous);
        known.push(format!("{previous}={old}"));
        keyed.next_process().await;
    }
    let file = keyed.stage.project.root.join(".envctl/devlocal.credentials");
    let text = fs::read_to_string(file).unwrap();
    assert!(known.iter().all(|line| text.contains(line)), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_started_anew_meanwhile_keeps_its_data() {
    let mut keyed = Keyed::new().await;
    let before = keyed.data_key();
    keyed.restarts.store(true, Ordering::Relaxed);
    keyed.stage.engine.forget_calls();
    let refused = ops::rotate_key(&keyed.stage.session(), None).await.unwrap_err();
    assert!(matches!(refused, OpsError::NotRestored { .. }), "{refused}");
    keyed.is_whole("refused");
    assert_eq!(keyed.data_key(), before);
    assert!(!keyed.stage.engine.calls().contains(&format!("stop {CONTAINER}")));

    keyed.restarts.store(false, Ordering::Relaxed);
    keyed.next_process().await;
    ops::rotate_key(&keyed.stage.session(), None).await.unwrap();
    keyed.is_whole("rotated");
    assert_ne!(keyed.data_key(), before);
}

async fn struck(fault: Fault, n: usize) -> bool {
    let mut keyed = Keyed::new().await;
    let engine = &keyed.stage.engine;
    engine.forget_calls();
    engine.fault_at(n, fault);
    let first = engine.until_stopped(ops::rotate_key(&keyed.stage.session(), None)).await;
    let calls = engine.calls();
    let Some(struck) = calls.get(n - 1) else { return false };
    let struck: String = struck.chars().take(60).collect();
    let at = format!("{fault:?} at call {n}, `{struck}`");
    if let Some(Err(OpsError::NotRestored { .. })) = &first {
        keyed.is_whole(&at);
    }

    keyed.next_process().await;
    let up = ops::durable_up(&keyed.stage.session(), Apply::No).await;
    up.unwrap_or_else(|error| panic!("{at}: {error}\n{}", keyed.stage.notes.all()));
    keyed.is_whole(&at);
    // A server that was never stopped is written to again.
    if !calls.contains(&format!("stop {CONTAINER}")) {
        assert!(!keyed.read_only.load(Ordering::Relaxed), "{at}: nobody can write");
    }

    let before = keyed.data_key();
    keyed.next_process().await;
    let again = ops::rotate_key(&keyed.stage.session(), None).await;
    again.unwrap_or_else(|error| panic!("{at}: {error}"));
    keyed.is_whole(&at);
    assert_ne!(keyed.data_key(), before, "{at}");
    true
}

#[tokio::test(start_paused = true)]
async fn a_change_of_key_survives_a_fault_or_a_kill_at_any_call() {
    let one = Keyed::new().await;
    one.stage.engine.forget_calls();
    ops::rotate_key(&one.stage.session(), None).await.unwrap();
    let calls = one.stage.engine.calls().len();
    assert!(calls > 30);
    for fault in [Fault::Fail, Fault::LoseAnswer, Fault::Stop, Fault::StopAfter] {
        for n in 1..=calls {
            let made = Box::pin(struck(fault, n)).await;
            assert!(made || n == calls, "{fault:?}: there is no call {n}");
        }
    }
}
