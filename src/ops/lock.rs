//! One changing operation at a time in an environment. The lock is a container that is never started: making one by name
//! is the engine's one atomic test-and-set, and every checkout and every machine that uses the engine sees it.

use std::{fs, time::Duration};

use tokio::time::Instant;

use super::{
    OpsError, Session,
    crash::{self, Crash},
};
use crate::{
    base::clock,
    engine::{Engine, EngineError},
    model::{BuildSpec, Container, FileSpec, Holder, ServiceSpec, labels},
    run::{self, Event, Poll, WaitError},
};

/// The image of containers that are never started.
pub(super) const IMAGE: &str = "envctl-lock:1";
const BEAT: &str = "/beat";
const BEAT_EVERY: Duration = Duration::from_secs(5);
/// A holder on another machine that did not beat for so long is dead.
const LAPSE: Duration = Duration::from_secs(20);
/// The longest that one look at the lock may take.
const LOOK: Duration = Duration::from_secs(30);

/// Runs `work` under the environment's lock, and gives the lock back however it ends.
pub async fn locked<T>(
    session: &Session<'_>,
    what: &str,
    work: impl AsyncFnOnce() -> Result<T, OpsError>,
) -> Result<T, OpsError> {
    let holder = holder(session, what);
    let crash = acquire(session, &holder).await?;
    session.journal.operation(&holder.id);
    // By id from here on: should another take this lock for dead, its own is neither kept alive nor given back by us.
    let name = session.project.names.lock();
    let Some(own) = session.engine.inspect(&name).await? else {
        return Err(OpsError::LockLost);
    };
    let all = Box::pin(async {
        if let Some(crash) = crash {
            crash::record(session, crash).await;
        }
        work().await
    });
    let result = tokio::select! {
        result = all => result,
        () = beat(session, &own.id) => Err(OpsError::LockLost),
    };
    let released = session.engine.remove(&own.id).await;
    let value = result?;
    released?;
    Ok(value)
}

/// Takes the lock, and returns what its last holder was doing if it died.
async fn acquire(session: &Session<'_>, holder: &Holder) -> Result<Option<Crash>, OpsError> {
    let mut other: Option<Watched> = None;
    let mut crashed: Option<Crash> = None;
    let mut told = false;
    let started = Instant::now();
    // The wait is over between two looks, never within one: what takes over must not be cut off half-way.
    let looked = run::poll(session.lock_wait + LOOK, async || {
        if session.cancel.is_cancelled() {
            return Err(OpsError::Interrupted);
        }
        match create(session, holder).await {
            Ok(()) => return Ok(Poll::Ready(())),
            Err(EngineError::NameTaken { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let observed = session.engine.observe().await?;
        let Some(container) = observed.container(&session.project.names.lock()) else {
            return Ok(Poll::Pending("given back just now".to_owned()));
        };
        let held = read(container)?;
        if is_dead(session.engine, container, &held, holder, &mut other).await? {
            let beat = session.engine.read_file(&container.id, BEAT).await.unwrap_or_default();
            let crash = Crash::new(held, beat.as_deref());
            session.reporter.on(Event::Warning(&crash.to_string()));
            crashed = Some(crash);
            // By id: another one that takes over at the same time may have made its own lock by now.
            session.engine.remove(&container.id).await?;
            return match create(session, holder).await {
                Ok(()) => Ok(Poll::Ready(())),
                Err(EngineError::NameTaken { .. }) => {
                    Ok(Poll::Pending("taken over by another".to_owned()))
                }
                Err(error) => Err(error.into()),
            };
        }
        if started.elapsed() >= session.lock_wait {
            return Err(OpsError::Locked { holder: Box::new(held) });
        }
        if !told {
            told = true;
            session.reporter.on(Event::Note(&format!(
                "waiting for the lock: `{}` of {} holds it since {}",
                held.what,
                held.by(),
                held.since
            )));
        }
        Ok(Poll::Pending(String::new()))
    })
    .await;
    match looked {
        Ok(()) => Ok(crashed),
        Err(WaitError::Failed(error)) => Err(error),
        Err(WaitError::Deadline(_)) => match other {
            Some(other) => Err(OpsError::Locked { holder: Box::new(other.holder) }),
            None => Err(OpsError::Locked { holder: Box::default() }),
        },
    }
}

/// Who holds the lock now, if somebody does.
pub fn current(session: &Session<'_>, observed: &crate::model::Observed) -> Option<Holder> {
    read(observed.container(&session.project.names.lock())?).ok()
}

fn read(container: &Container) -> Result<Holder, OpsError> {
    container
        .label(labels::HOLDER)
        .and_then(|json| serde_json::from_str(json).ok())
        .ok_or_else(|| OpsError::NotOurs { kind: "container", name: container.name.clone() })
}

/// Another holder, and when its sign of life was last seen to change.
struct Watched {
    holder: Holder,
    beat: Option<Vec<u8>>,
    changed: Instant,
}

async fn is_dead(
    engine: &dyn Engine,
    container: &Container,
    held: &Holder,
    own: &Holder,
    watched: &mut Option<Watched>,
) -> Result<bool, OpsError> {
    let same = watched.as_ref().is_some_and(|watched| watched.holder.id == held.id);
    if !same {
        *watched = Some(Watched { holder: held.clone(), beat: None, changed: Instant::now() });
    }
    if held.machine == own.machine {
        return Ok(died_here(held, own));
    }
    let beat = engine.read_file(&container.id, BEAT).await.unwrap_or_default();
    let Some(watched) = watched else { return Ok(false) };
    if watched.beat != beat {
        watched.beat = beat;
        watched.changed = Instant::now();
    }
    Ok(watched.changed.elapsed() > LAPSE)
}

async fn create(session: &Session<'_>, holder: &Holder) -> Result<(), EngineError> {
    let names = &session.project.names;
    let json = serde_json::to_string(holder).expect("a holder is plain text");
    let labels = [
        (labels::PROJECT, names.project.clone()),
        (labels::ENVIRONMENT, names.environment.clone()),
        (labels::LAYER, "lock".to_owned()),
        (labels::HOLDER, json),
    ];
    let spec = ServiceSpec {
        name: names.lock(),
        image: IMAGE.to_owned(),
        command: Some(vec!["never-started".to_owned()]),
        labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
        network_mode: Some("none".to_owned()),
        ..ServiceSpec::default()
    };
    create_from_image(session, &spec).await
}

/// Makes a container from the image of locks, and that image when it is missing: nothing but a folder for the proxy's
/// state that belongs to the proxy's user, as a volume takes its owner from what it is first mounted over.
pub(super) async fn create_from_image(
    session: &Session<'_>,
    spec: &ServiceSpec,
) -> Result<(), EngineError> {
    match session.engine.create(spec).await {
        Err(EngineError::NoImage { .. }) => {}
        result => return result,
    }
    let io = |error: std::io::Error| EngineError::Io {
        intention: "make a folder for the lock's image".to_owned(),
        reason: error.to_string(),
    };
    let folder = tempfile::tempdir().map_err(io)?;
    fs::create_dir_all(folder.path().join("state/history")).map_err(io)?;
    let image = BuildSpec {
        tag: IMAGE.to_owned(),
        context: folder.path().to_owned(),
        dockerfile_inline: Some("FROM scratch\nCOPY --chown=65534:65534 state /state\n".to_owned()),
        labels: [(labels::LAYER.to_owned(), "lock".to_owned())].into(),
        ..BuildSpec::default()
    };
    session.engine.build(&image, &|_| ()).await?;
    session.engine.create(spec).await
}

/// Shows others that the holder lives, and keeps its journal with the lock. Ends when the lock is gone.
#[expect(clippy::disallowed_methods, reason = "the beat of a running operation, not a wait")]
async fn beat(session: &Session<'_>, id: &str) {
    let mut written = Instant::now();
    for count in 0_u64.. {
        let due = || BEAT_EVERY.saturating_sub(written.elapsed());
        tokio::select! {
            () = tokio::time::sleep(due()) => {}
            () = session.journal.changed() => {
                let gather = session.journal.gather();
                tokio::time::sleep(gather.min(due())).await;
            }
        }
        written = Instant::now();
        let file = FileSpec {
            path: BEAT.to_owned(),
            content: crash::beat(count, session.journal.current()),
            mode: 0o644,
            uid: 0,
            gid: 0,
        };
        // A beat that did not get through is made up for by the next; four in a row make a lapse.
        if let Err(EngineError::NoContainer { .. }) = session.engine.write_files(id, &[file]).await
        {
            return;
        }
    }
}

pub(super) fn holder(session: &Session<'_>, what: &str) -> Holder {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let pid = std::process::id();
    Holder {
        id: clock::id(),
        who: session.who(),
        what: what.to_owned(),
        since: clock::now(),
        job: session.shell.job(),
        machine: format!("{} {}", read("/proc/sys/kernel/random/boot_id"), namespace.display()),
        process: format!("{pid}:{}", start_time(pid).unwrap_or_default()),
    }
}

/// Whether a process of this machine died; of another machine's nothing is known.
pub(super) fn died_here(held: &Holder, own: &Holder) -> bool {
    held.machine == own.machine && !is_running(&held.process)
}

fn is_running(process: &str) -> bool {
    let Some((pid, started)) = process.split_once(':') else { return true };
    pid.parse().ok().and_then(start_time).as_deref() == Some(started)
}

/// When a process started, in clock ticks since boot; none when it does not run (proc(5), field 22 of `stat`).
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    (fields.first() != Some(&"Z")).then(|| fields.get(19).copied().map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_of_the_same_number() {
        let pid = std::process::id();
        let own = format!("{pid}:{}", start_time(pid).unwrap());
        assert!(is_running(&own));
        assert!(!is_running(&format!("{pid}:1")));
        assert!(!is_running("4194305:1"));
    }
}
