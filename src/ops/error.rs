//! What a use case can end with, other than well.

use std::path::PathBuf;

use crate::{
    base::files::FileError,
    compose::Problems,
    config::ConfigError,
    engine::EngineError,
    model::{Color, Holder},
    plan::Conflict,
    run::{Failure, ProxyError},
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
        "{color} was not deployed{}",
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
    #[error("`{}` of {} holds the lock since {}", holder.what, holder.who, holder.since)]
    Locked { holder: Box<Holder> },
    #[error("the {kind} `{name}` is not envctl's own")]
    NotOurs { kind: &'static str, name: String },
    #[error("{} steps failed:{}", failures.len(), failures.iter().map(|failure| format!("\n  {failure}")).collect::<String>())]
    Failures { failures: Vec<Failure> },
    #[error("the tests of {color} failed: {failed} of {all}")]
    TestsFailed { color: Color, failed: usize, all: usize },
    #[error("no color is live yet")]
    NothingLive,
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
    #[error("interrupted")]
    Interrupted,
}
