//! What containers use: read from their control groups where the engine is of this machine (200 of them take some
//! milliseconds), else asked of the engine, which takes one or two seconds.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use tokio::time::Instant;

use super::{Docker, call, fault::Asked};
use crate::model::Usage;

const ROOT: &str = "/sys/fs/cgroup";
/// The time over which a share of a processor is measured.
const WINDOW: Duration = Duration::from_millis(100);
/// The engine takes its own time over each, and is asked for all at once.
const ASKED_AT_ONCE: usize = 256;

pub(super) async fn usage(docker: &Docker, ids: &[&str]) -> BTreeMap<String, Usage> {
    let root = Path::new(ROOT);
    let mut groups = vec![];
    let mut others = vec![];
    let started = Instant::now();
    for id in ids {
        match Group::find(root, id).and_then(|group| Some((group.cpu()?, group))) {
            Some((before, group)) => groups.push((*id, before, group)),
            None => others.push((*id).to_owned()),
        }
    }
    let asked = stream::iter(others)
        .map(|id| async move { Some((id.clone(), ask(docker, &id).await?)) })
        .buffer_unordered(ASKED_AT_ONCE)
        .filter_map(std::future::ready)
        .collect::<BTreeMap<_, _>>();
    #[expect(clippy::disallowed_methods, reason = "the time that is measured over, no wait")]
    let window = tokio::time::sleep(if groups.is_empty() { Duration::ZERO } else { WINDOW });
    let (mut all, ()) = tokio::join!(asked, window);
    let time = started.elapsed();
    for (id, before, group) in groups {
        if let Some(usage) = group.usage(before, time) {
            all.insert(id.to_owned(), usage);
        }
    }
    all
}

/// The files of a container's control group.
struct Group {
    memory: PathBuf,
    cpu: PathBuf,
    /// Both in one hierarchy.
    unified: bool,
}

impl Group {
    /// By id, which no other container has: where the engine puts them unless it is told otherwise.
    fn find(root: &Path, id: &str) -> Option<Self> {
        for name in [format!("docker/{id}"), format!("system.slice/docker-{id}.scope")] {
            let unified = root.join(&name);
            if unified.join("memory.current").exists() {
                return Some(Self { memory: unified.clone(), cpu: unified, unified: true });
            }
            let memory = root.join("memory").join(&name);
            if memory.exists() {
                return Some(Self {
                    memory,
                    cpu: root.join("cpuacct").join(&name),
                    unified: false,
                });
            }
        }
        None
    }

    /// Processor time so far.
    fn cpu(&self) -> Option<Duration> {
        if self.unified {
            return Some(Duration::from_micros(field(&self.cpu.join("cpu.stat"), "usage_usec")?));
        }
        Some(Duration::from_nanos(number(&self.cpu.join("cpuacct.usage"))?))
    }

    fn usage(&self, before: Duration, time: Duration) -> Option<Usage> {
        let (all, limit, cached) = if self.unified {
            ("memory.current", "memory.max", "inactive_file")
        } else {
            ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file")
        };
        let file = |name: &str| self.memory.join(name);
        let cached = field(&file("memory.stat"), cached).unwrap_or(0);
        Some(Usage {
            cpu: self.cpu()?.saturating_sub(before).as_secs_f64() / time.as_secs_f64(),
            memory: number(&file(all))?.saturating_sub(cached),
            memory_limit: number(&file(limit)).filter(|limit| *limit < UNLIMITED),
        })
    }
}

/// The older hierarchy has no word for it: all that fits, in whole pages.
const UNLIMITED: u64 = 1 << 62;

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A line of `name value`.
fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[derive(Deserialize)]
struct Answer {
    cpu_stats: Cpu,
    precpu_stats: Cpu,
    memory_stats: Memory,
    read: String,
    preread: String,
}

#[derive(Deserialize)]
struct Cpu {
    cpu_usage: Total,
}

#[derive(Deserialize)]
struct Total {
    total_usage: u64,
}

#[derive(Deserialize)]
struct Memory {
    usage: Option<u64>,
    limit: Option<u64>,
    #[serde(default)]
    stats: BTreeMap<String, u64>,
}

/// One that does not run has no measurements, and nor has one that is gone.
async fn ask(docker: &Docker, id: &str) -> Option<Usage> {
    let path = call::Path::new(&["containers", id, "stats"]).with("stream", "false");
    let asked = Asked::Container { name: id, verb: "measure" };
    let answer = docker.get::<Answer>(path.as_str(), asked).await.ok()?;
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let time = time(&answer.read)?.duration_since(time(&answer.preread)?);
    let time = Duration::try_from(time).ok()?;
    let used = |cpu: &Cpu| Duration::from_nanos(cpu.cpu_usage.total_usage);
    let cpu = used(&answer.cpu_stats).saturating_sub(used(&answer.precpu_stats));
    let cached = ["total_inactive_file", "inactive_file"]
        .iter()
        .find_map(|name| answer.memory_stats.stats.get(*name));
    Some(Usage {
        cpu: cpu.as_secs_f64() / time.as_secs_f64(),
        memory: answer.memory_stats.usage?.saturating_sub(cached.copied().unwrap_or(0)),
        memory_limit: answer.memory_stats.limit.filter(|limit| *limit < UNLIMITED),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    #[test]
    fn control_groups_of_either_kind_are_read() {
        let root = tempfile::tempdir().unwrap();
        write(
            &root.path().join("memory/docker/one"),
            &[
                ("memory.usage_in_bytes", "5000\n"),
                ("memory.stat", "cache 9\ntotal_inactive_file 1000\n"),
                ("memory.limit_in_bytes", "9223372036854771712\n"),
            ],
        );
        write(&root.path().join("cpuacct/docker/one"), &[("cpuacct.usage", "500000000\n")]);
        write(
            &root.path().join("system.slice/docker-two.scope"),
            &[
                ("memory.current", "7000\n"),
                ("memory.stat", "inactive_file 2000\n"),
                ("memory.max", "64000\n"),
                ("cpu.stat", "usage_usec 500000\nuser_usec 1\n"),
            ],
        );
        let half_a_second = Duration::from_millis(500);
        for (id, memory, memory_limit) in [("one", 4000, None), ("two", 5000, Some(64_000))] {
            let group = Group::find(root.path(), id).unwrap();
            assert_eq!(group.cpu(), Some(half_a_second), "{id}");
            let usage = group.usage(Duration::from_millis(250), half_a_second);
            assert_eq!(usage, Some(Usage { cpu: 0.5, memory, memory_limit }), "{id}");
        }
        assert!(Group::find(root.path(), "three").is_none());
    }
}
