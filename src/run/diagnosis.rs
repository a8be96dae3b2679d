//! What is behind a service's failure, told from its exit code, its log and the engine's words.

use std::{sync::LazyLock, time::Duration};

use regex::Regex;
use serde::Serialize;

use super::Evidence;
use crate::{
    base::words,
    model::{ServiceSpec, State},
    plan::Until,
};

/// What is behind a service's failure, as far as it can be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It ended with an exit code that says no more.
    #[default]
    Ended,
    /// It ended with exit code 0, and was to run on.
    EndedWell,
    OutOfMemory,
    /// Another process of its network listens on its port.
    PortInUse,
    CommandNotFound,
    CommandNotExecutable,
    /// Its program is made for another platform.
    WrongPlatform,
    /// A folder is mounted onto a file, or a file onto a folder.
    WrongMount,
    /// Its health check did not pass in time.
    Unhealthy,
    /// Its port accepted no connection in time.
    NotListening,
    /// It did not come to its end in time.
    TookTooLong,
    /// Somebody removed, stopped or paused its container.
    Interfered,
}

/// How a wait for a service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Exited {
        code: i64,
    },
    Restarts {
        times: u32,
    },
    /// It was ready, and is not running any more.
    Later(State),
    Late {
        limit: Duration,
        lacks: Lacks,
    },
    /// The engine would not start it.
    NotStarted,
    Gone,
    Paused,
    Removing,
}

/// What was missing when the time was over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Lacks {
    /// Its health check passes.
    #[default]
    Check,
    /// Its port accepts a connection.
    Port(u16),
    /// Its state: why it cannot be asked.
    State(String),
}

/// What went wrong, in a few words that go on from the service's name.
pub(super) fn diagnose(
    end: &End,
    until: &Until,
    seen: &Evidence,
    spec: Option<&ServiceSpec>,
) -> (Cause, String) {
    let code = |code: i64| match code {
        137 => "was killed (exit code 137)".to_owned(),
        139 => "crashed (segmentation fault, exit code 139)".to_owned(),
        143 => "was told to stop (exit code 143)".to_owned(),
        code => format!("ended with exit code {code}"),
    };
    let (cause, text) = match end {
        End::Exited { code: 0 } => {
            (Cause::EndedWell, "ended with exit code 0, but is to run on".to_owned())
        }
        End::Exited { code: found } => (Cause::Ended, code(*found)),
        End::Restarts { times } => {
            let last = seen.exit_code.map(|code| format!(" with exit code {code}"));
            let last = last.unwrap_or_default();
            (Cause::Ended, format!("ends{last} and restarts, again and again ({times} times)"))
        }
        End::Later(State::Exited { code: found }) => {
            (Cause::Ended, format!("was ready, then {}", code(*found)))
        }
        End::Later(State::Restarting) => {
            let last = seen.exit_code.map_or_else(|| "ended".to_owned(), code);
            (Cause::Ended, format!("was ready, then {last} and restarts"))
        }
        End::Later(_) => {
            (Cause::Interfered, "was ready, then its container was removed".to_owned())
        }
        End::Late { limit, lacks } => late(*limit, lacks, until),
        End::NotStarted => match not_started(seen.error.as_deref().unwrap_or_default()) {
            Some((cause, text)) => return (cause, format!("cannot be started: {text}")),
            None => (Cause::Interfered, "cannot be started".to_owned()),
        },
        End::Gone => (Cause::Interfered, "is gone: its container was removed".to_owned()),
        End::Paused => (Cause::Interfered, "is paused".to_owned()),
        End::Removing => (Cause::Interfered, "is being removed".to_owned()),
    };
    let text = match (end, behind(seen, spec)) {
        // What it lacks is told better by what is behind it.
        (End::Late { limit, lacks: Lacks::State(_) }, Some(_)) => {
            late(*limit, &Lacks::Check, until).1
        }
        _ => text,
    };
    match behind(seen, spec) {
        Some((behind, why)) if cause != Cause::Interfered && cause != Cause::EndedWell => {
            (behind, format!("{text}: {why}"))
        }
        _ => (cause, text),
    }
}

fn late(limit: Duration, lacks: &Lacks, until: &Until) -> (Cause, String) {
    let limit = match limit.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds if seconds % 60 == 0 && seconds < 3600 => format!("{} min", seconds / 60),
        _ => words::duration(limit),
    };
    match (until, lacks) {
        (Until::Completed, _) => (Cause::TookTooLong, format!("did not end within {limit}")),
        (_, Lacks::Port(port)) => (
            Cause::NotListening,
            format!("did not accept connections on port {port} within {limit}"),
        ),
        (_, Lacks::Check) => (Cause::Unhealthy, format!("did not get healthy within {limit}")),
        (_, Lacks::State(why)) => {
            (Cause::Unhealthy, format!("did not get healthy within {limit}: {why}"))
        }
    }
}

/// The reason behind, where the facts hold one.
fn behind(seen: &Evidence, spec: Option<&ServiceSpec>) -> Option<(Cause, String)> {
    if seen.oom_killed {
        let limit = spec.and_then(|spec| spec.resources.memory);
        let limit = limit.and_then(|limit| u64::try_from(limit).ok()).map(words::bytes);
        let limit = limit.map(|limit| format!(" (its limit is {limit})")).unwrap_or_default();
        return Some((Cause::OutOfMemory, format!("out of memory{limit}")));
    }
    if let Some(port) = seen.log.iter().rev().find_map(|line| port_in_use(line)) {
        let shared = spec.and_then(|spec| spec.network_mode.as_deref());
        let shared = match shared.and_then(|mode| mode.strip_prefix("container:")) {
            Some(other) => format!(", the network of `{other}`"),
            None if shared == Some("host") => ", that of the host".to_owned(),
            None => String::new(),
        };
        return Some((Cause::PortInUse, format!("{port} is in use in its network{shared}")));
    }
    if seen.log.iter().any(|line| line.contains("exec format error")) {
        return Some((Cause::WrongPlatform, "its program is made for another platform".to_owned()));
    }
    match seen.exit_code {
        Some(127) => Some((Cause::CommandNotFound, "a command was not found".to_owned())),
        Some(126) => Some((Cause::CommandNotExecutable, "a command is not executable".to_owned())),
        _ => None,
    }
}

/// The port that a line says to be taken: `port 8080`, or `its port` where it does not say which.
fn port_in_use(line: &str) -> Option<String> {
    static TAKEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?i)EADDRINUSE|address (is )?(already )?in use|port \d+ (is|was) already in use",
        )
        .expect("the pattern is fixed")
    });
    // A colon alone may be of a time of day.
    static PORT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)(?:\bport\s+|\d\.\d+:|\]:|\*:|::|\s:)(\d{1,5})\b")
            .expect("the pattern is fixed")
    });
    TAKEN.is_match(line).then(|| match PORT.captures_iter(line).last() {
        Some(found) => format!("port {}", &found[1]),
        None => "its port".to_owned(),
    })
}

/// A refusal without the names of the runtime's own parts.
pub(super) fn last_words(refusal: &str) -> String {
    ["container process: ", "container init: ", "container process caused: ", "init caused: "]
        .iter()
        .fold(refusal, |rest, part| rest.rsplit_once(part).map_or(rest, |(_, last)| last))
        .to_owned()
}

/// What the engine's refusal to start a container means, where it is about the container's own definition.
pub(super) fn not_started(words: &str) -> Option<(Cause, String)> {
    static COMMAND: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"exec: "([^"]*)": (.*)"#).expect("the pattern is fixed"));
    static MOUNT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"mounting "([^"]+)" to rootfs at "([^"]+)""#).expect("the pattern is fixed")
    });
    if words.contains("exec format error") {
        return Some((Cause::WrongPlatform, "its program is made for another platform".to_owned()));
    }
    if words.contains("not a directory")
        && let Some(found) = MOUNT.captures(words)
    {
        let text = format!(
            "`{}` and `{}`, onto which it is mounted, are not both a file or both a folder",
            &found[1], &found[2]
        );
        return Some((Cause::WrongMount, text));
    }
    let found = COMMAND.captures(words)?;
    let (command, why) = (&found[1], &found[2]);
    if why.contains("executable file not found") || why.contains("no such file or directory") {
        return Some((Cause::CommandNotFound, format!("its image has no command `{command}`")));
    }
    (why.contains("permission denied") || why.contains("is a directory")).then(|| {
        (Cause::CommandNotExecutable, format!("its command `{command}` is not executable"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_read_out_of_what_programs_say() {
        for (line, port) in [
            ("Error: listen EADDRINUSE: address already in use :::8080", "port 8080"),
            ("12:34:56 [emerg] 1#1: bind() to 0.0.0.0:80 failed (98: Address in use)", "port 80"),
            ("OSError: [Errno 98] Address already in use", "its port"),
            ("no port 8080: Address already in use at /serve.pl line 14.", "port 8080"),
            ("2026/11/21 12:34:56 listen tcp :9000: bind: address already in use", "port 9000"),
            ("make_sock: could not bind to address [::]:81: Address already in use", "port 81"),
            ("Web server failed to start. Port 8080 was already in use.", "port 8080"),
        ] {
            assert_eq!(port_in_use(line).as_deref(), Some(port), "{line}");
        }
        assert_eq!(port_in_use("listening on port 8080"), None);
    }

    #[test]
    fn a_refusal_to_start_names_what_is_wrong_with_the_definition() {
        let oci = "OCI runtime create failed: container_linux.go:367: starting container process caused: ";
        for (words, text) in [
            (
                "exec: \"nope\": executable file not found in $PATH: unknown",
                "its image has no command `nope`",
            ),
            (
                "exec: \"/nope\": stat /nope: no such file or directory: unknown",
                "its image has no command `/nope`",
            ),
            (
                "exec: \"/etc/passwd\": permission denied: unknown",
                "its command `/etc/passwd` is not executable",
            ),
            (
                "process_linux.go:495: container init caused: rootfs_linux.go:60: mounting \"/srv/a.conf\" to rootfs at \"/etc/a.conf\" caused: not a directory: unknown",
                "`/srv/a.conf` and `/etc/a.conf`, onto which it is mounted, are not both a file or both a folder",
            ),
        ] {
            let (_, found) = not_started(&format!("{oci}{words}")).unwrap();
            assert_eq!(found, text);
        }
        assert_eq!(not_started("network ab not found"), None);
    }
}
