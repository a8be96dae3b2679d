//! What a use case can end with, other than well.

use std::path::PathBuf;

use crate::{
    base::files::FileError,
    compose::Problems,
    config::ConfigError,
    engine::EngineError,
    model::{Color, Holder},
    plan::Conflict,
    run::{AwsFailure, Failure, ProxyError},
};

#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Problems(#[from] Problems),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error(transparent)]
    Conflict(#[from] Conflict),
    #[error("{failure}")]
    Failed {
        failure: Box<Failure>,
        /// The color that was being deployed or switched to, whose containers stand for inspection.
        color: Option<Color>,
    },
    #[error("{color} is live, and the switch is not finished: {failure}")]
    Unfinished { color: Color, failure: Box<Failure> },
    #[error(
        "{color} did not hold: {reason}{}",
        then.as_ref().map_or_else(String::new, |then| format!("; {then}"))
    )]
    Exceeded {
        color: Color,
        reason: String,
        /// What became of it.
        then: Option<String>,
    },
    #[error(
        "{color} {}{}",
        if matches!(**error, Self::TestsFailed { .. }) {
            "was deployed and failed its tests"
        } else {
            "was not deployed"
        },
        kept.as_ref().map_or_else(
            || "; what stood of it is removed".to_owned(),
            |why| format!("; nothing was removed: {why}"),
        )
    )]
    Undone {
        /// Why it was not.
        error: Box<OpsError>,
        color: Color,
        /// Why it stays all the same.
        kept: Option<String>,
    },
    #[error("`{}` of {} holds the lock since {}", holder.what, holder.by(), holder.since)]
    Locked { holder: Box<Holder> },
    #[error("the {kind} `{name}` is not envctl's own")]
    NotOurs { kind: &'static str, name: String },
    #[error("{} steps failed:{}", failures.len(), failures.iter().map(|failure| format!("\n  {failure}")).collect::<String>())]
    Failures { failures: Vec<Failure> },
    #[error("the tests of {color} failed: {failed} of {all}")]
    TestsFailed { color: Color, failed: usize, all: usize },
    #[error("no color is live yet")]
    NothingLive,
    #[error("the proxy is stopped: no request reaches it")]
    ProxyStopped,
    #[error("there is no release to go back to: none was live before `{release}`")]
    NothingToRollBack { release: String },
    #[error("no release `{release}` was ever live")]
    NeverServed { release: String },
    #[error("release `{release}` is live")]
    LiveAlready { release: String },
    #[error("release `{release}` stands no more, and its stack was not kept")]
    NotKept { release: String, revision: Option<String> },
    #[error("images of release `{release}` are gone: {}", services.join(", "))]
    ImagesGone { release: String, revision: Option<String>, services: Vec<String> },
    #[error("release `{release}` has routes that the proxy does not listen for: {}", ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", "))]
    OtherPorts { release: String, revision: Option<String>, ports: Vec<u16> },
    #[error("release `{release}` was kept for {} only: {color} has images of its own", color.other())]
    OtherColor { release: String, color: Color },
    #[error("release `{release}` needs credentials that are not here: no value for {}", names.join(", "))]
    CredentialsMissing { release: String, names: Vec<String> },
    #[error(
        "the project has no durable layer: envctl.yaml names neither `durable.compose` nor `durable.services`"
    )]
    NoDurableLayer,
    #[error(
        "release {release} of {color} was replaced while it was tested; what was found is not kept"
    )]
    Replaced { color: Color, release: String },
    #[error(
        "{color} has release {release} of {}, and {wanted} was asked for",
        found.as_ref().map_or_else(|| "no known revision".to_owned(), |it| format!("the revision {it}"))
    )]
    OtherRevision { color: Color, release: String, found: Option<String>, wanted: String },
    #[error("no check runs the service `{name}`; {}", if known.is_empty() { "none of them runs one".to_owned() } else { format!("they run {}", known.join(", ")) })]
    NoTestService { name: String, known: Vec<String> },
    #[error("no service `{name}` in {place}; there are {}", known.join(", "))]
    NoService { name: String, place: String, known: Vec<String> },
    #[error("the state of `{environment}` cannot be read: {reason}")]
    State { environment: String, reason: String },
    #[error("envctl's own executable cannot be read for the proxy's image: {reason}")]
    Executable { reason: String },
    #[error("`{}` is there already", path.display())]
    ProjectExists { path: PathBuf },
    #[error("no Compose file in `{}`", folder.display())]
    NoComposeFile { folder: PathBuf },
    #[error("the database was set up with credentials that are not here: no value for {}", names.join(", "))]
    CredentialsLost { file: PathBuf, names: Vec<String> },
    #[error("the lock was lost: this machine stood still for so long that another took it over")]
    LockLost,
    #[error("`{}` is no HTML page of up to 256 KiB", path.display())]
    BadPage { path: PathBuf },
    #[error("no snapshot `{name}`: {reason}")]
    NoSnapshot { name: String, reason: String },
    #[error(
        "no last snapshot can be taken of {}: no service of the files has {}",
        volumes.iter().map(|name| format!("the volume `{name}`")).collect::<Vec<_>>().join(", "),
        if volumes.len() == 1 { "it" } else { "them" }
    )]
    NoLastSnapshot { volumes: Vec<String> },
    #[error("snapshot `{name}` is there already")]
    SnapshotExists { name: String },
    /// It is no database that can be copied and put back.
    #[error("`{service}` cannot be copied or restored: {reason}")]
    NotCopied { service: String, reason: String },
    #[error("a change of the key that was broken off has been brought to its end")]
    KeyChanged,
    #[error("there is no way back to {time}: {reason}")]
    NoWayTo { time: String, reason: String },
    #[error("{error}\nnothing was restored: the data of `{service}` is as it was")]
    NotRestored { service: String, error: Box<OpsError> },
    #[error(
        "{error}\nand the restore could not be undone: {why}\nthe data of `{service}` is whole, {place}"
    )]
    NotPutBack { service: String, place: String, error: Box<OpsError>, why: Box<OpsError> },
    #[error("{color} has {weight} % of new clients: its answers could not be told from wrong ones")]
    Shared { color: Color, weight: u8 },
    #[error("{color} cannot take the traffic yet: first comes `{step}`")]
    NotYet { color: Color, step: String },
    #[error("`{url}` gives no answer to compare with: {reason}")]
    NoAnswer { url: String, reason: String },
    #[error("the live stack has no HTTP route")]
    NoHttpRoute,
    #[error("`{command}` did not switch: {reason}")]
    SwitchCommand { command: String, reason: String },
    #[error("no clients for the load: {reason}")]
    NoThread { reason: String },
    #[error(transparent)]
    Aws(#[from] AwsFailure),
    #[error("envctl.yaml describes no AWS resources: it has no `aws`")]
    NoAws,
    #[error("`{service}`, which stands for AWS, does not run")]
    AwsDown { service: String },
    #[error("no credentials for AWS: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")]
    NoAwsCredentials,
    #[error("there is no aws stack {stack}")]
    NoStack { stack: String },
    #[error("no queue `{name}` in `aws`; {}", if known.is_empty() { "it has none".to_owned() } else { format!("there are {}", known.join(", ")) })]
    NoQueue { name: String, known: Vec<String>, near: Option<String> },
    #[error("aws stack {stack} has no queue `{queue}` yet")]
    NotOnAws { queue: String, stack: String },
    #[error("looking into `{queue}` would count as a try of its messages: AWS has no other look")]
    LookCounts { queue: String },
    #[error("the dead letters of `{queue}` were not all moved back: {reason}")]
    NotMoved { queue: String, reason: String },
    #[error("interrupted")]
    Interrupted,
}
