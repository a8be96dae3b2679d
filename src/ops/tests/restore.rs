//! A restore goes wrong or dies at each of its calls of the engine: the data is that from before or the snapshot's, whole and
//! in its place, and what gave its place is kept.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::stage::{APP, Stage};
use crate::{
    engine::{
        Output,
        memory::{Behaviour, Fault},
    },
    model::Container,
    ops::{self, Apply, OpsError, RestoreOptions, SnapshotOptions},
};

const PROJECT: &str = "name: shop\n\
    durable: { compose: [db.yaml], snapshots: { path: snapshots } }\n\
    app: { workers: [worker] }\nhooks: { before_switch: [migrate] }\n";
const DB: &str = "shop-devlocal-durable-db";
const VOLUME: &str = "shop-devlocal-durable-data";
const FIRST: &str = "11.8.3-MariaDB";
const FILE: &str = "ibdata1";
const SNAPSHOT: &[u8] = b"rows of the snapshot";
const TODAY: &[u8] = b"rows of today";

/// A database that has a snapshot, and has gone on since.
async fn stage() -> Stage {
    stage_on(&[FIRST]).await
}

/// One whose server is asked for its version, first for the snapshot, and tells these and then the last one again.
async fn stage_on(versions: &'static [&'static str]) -> Stage {
    let asked = AtomicUsize::new(0);
    let stage = Stage::of(PROJECT, APP);
    let engine = Arc::downgrade(&stage.engine.0);
    stage.engine.behave("shop-devlocal-exchange-db", Behaviour::exchanges());
    stage.engine.on_exec(move |container, words| {
        let engine = engine.upgrade()?;
        let seen = engine.seen();
        let volume = seen.container(container)?.volumes.first()?.clone();
        let said = |text: &str| Some(Output { code: 0, text: text.to_owned() });
        match words.get(4).map(String::as_str) {
            Some("about") => {
                let n = asked.fetch_add(1, Ordering::Relaxed).min(versions.len() - 1);
                said(&format!("version {}\nlife \nkey \n", versions[n]))
            }
            Some("backup") => said("the files"),
            Some("extract") => {
                engine.set_volume_file(&volume, FILE, SNAPSHOT);
                said("")
            }
            Some("prepare" | "accept") => said("3"),
            _ => None,
        }
    });
    ops::durable_up(&stage.session(), Apply::No).await.unwrap();
    stage.engine.set_volume_file(VOLUME, FILE, SNAPSHOT);
    let options = SnapshotOptions { name: Some("base".to_owned()), ..SnapshotOptions::default() };
    ops::snapshot(&stage.session(), &options).await.unwrap();
    stage.engine.set_volume_file(VOLUME, FILE, TODAY);
    stage
}

async fn restore(stage: &Stage) -> Result<ops::Restored, OpsError> {
    let options = RestoreOptions { name: Some("base".to_owned()), ..RestoreOptions::default() };
    ops::restore(&stage.session(), &options).await
}

fn runs(stage: &Stage) -> bool {
    stage.engine.seen().container(DB).is_some_and(Container::is_running)
}

/// The volumes beside the data's, by what they hold.
fn kept(stage: &Stage) -> Vec<Option<Vec<u8>>> {
    let volumes = stage.engine.seen().volumes;
    let others = volumes.iter().filter(|volume| volume.name.contains("-before-restore"));
    others.map(|volume| stage.engine.volume_file(&volume.name, FILE)).collect()
}

/// The snapshot's data is in place only where today's is kept.
fn is_safe(stage: &Stage, at: &str) -> bool {
    let data = stage.engine.volume_file(VOLUME, FILE).unwrap_or_else(|| panic!("{at}: no data"));
    let is_new = data == SNAPSHOT;
    assert!(is_new || data == TODAY, "{at}: {}", String::from_utf8_lossy(&data));
    assert!(!is_new || kept(stage).contains(&Some(TODAY.to_vec())), "{at}: today's rows are gone");
    is_new
}

#[tokio::test(start_paused = true)]
async fn a_restore_keeps_what_was_there() {
    let stage = stage().await;
    let restored = restore(&stage).await.unwrap();
    assert_eq!(restored.kept, format!("{VOLUME}-before-restore"));
    assert!(is_safe(&stage, "restored") && runs(&stage));
    assert_eq!(kept(&stage), [Some(TODAY.to_vec())]);
}

#[tokio::test(start_paused = true)]
async fn files_of_a_higher_version_are_refused_before_anything_is_done() {
    let stage = stage_on(&[FIRST, "10.11.6-MariaDB"]).await;
    stage.engine.forget_calls();
    let refused = restore(&stage).await.unwrap_err().to_string();
    assert!(
        refused.starts_with(
            "`db` cannot be copied or restored: the data is of MariaDB 11.8.3, and MariaDB 10.11.6 is lower"
        ) && refused.contains("--logical"),
        "{refused}"
    );
    assert!(!is_safe(&stage, "refused") && runs(&stage) && kept(&stage).is_empty());
    restore(&stage_on(&[FIRST, "12.0.2-MariaDB"]).await).await.unwrap();
}

async fn struck(fault: Fault, n: usize) -> bool {
    let stage = stage().await;
    stage.engine.forget_calls();
    stage.engine.fault_at(n, fault);
    let first = stage.engine.until_stopped(restore(&stage)).await;
    let Some(struck) = stage.engine.calls().get(n - 1).cloned() else { return false };
    let struck: String = struck.chars().take(60).collect();
    let at = format!("{fault:?} at call {n}, `{struck}`");
    let is_new = is_safe(&stage, &at);
    if let Some(Err(OpsError::NotRestored { .. })) = &first {
        assert!(!is_new && runs(&stage), "{at}: it says that nothing was restored");
    }

    stage.next_process().await;
    let up = ops::durable_up(&stage.session(), Apply::No).await;
    up.unwrap_or_else(|error| panic!("{at}: {error}\n{}", stage.notes.all()));
    assert_eq!(is_safe(&stage, &at), is_new, "{at}: the data is another");
    assert!(runs(&stage), "{at}: it does not run");
    let told = ops::kept_volumes(&stage.session()).await.unwrap();
    assert_eq!(told.len(), usize::from(is_new), "{at}: a copy is told as the data from before");

    restore(&stage).await.unwrap_or_else(|error| panic!("{at}: {error}"));
    assert!(is_safe(&stage, &at) && runs(&stage), "{at}");
    let copies = 1 + usize::from(is_new);
    assert_eq!(kept(&stage).len(), copies, "{at}: a copy is left over");
    let scratch = |it: &Container| it.name.contains("-scratch-") || it.name.contains("-exchange-");
    assert!(!stage.engine.seen().containers.iter().any(scratch), "{at}");
    true
}

#[tokio::test(start_paused = true)]
async fn a_restore_survives_a_fault_or_a_kill_at_any_call() {
    let one = stage().await;
    one.engine.forget_calls();
    restore(&one).await.unwrap();
    let calls = one.engine.calls().len();
    assert!(calls > 30);
    for fault in [Fault::Fail, Fault::LoseAnswer, Fault::Stop, Fault::StopAfter] {
        for n in 1..=calls {
            let made = Box::pin(struck(fault, n)).await;
            assert!(made || n == calls, "{fault:?}: there is no call {n}");
        }
    }
}
