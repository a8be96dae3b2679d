//! What can go wrong on an engine, one variant an intention.

use std::{path::PathBuf, time::Duration};

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("no engine answers at `{address}`: {reason}")]
    Unreachable { address: String, reason: String },
    #[error("no permission to use the engine at `{address}`")]
    Denied { address: String },
    #[error("the engine's API {found} is older than {oldest}")]
    TooOld { found: String, oldest: String },
    #[error("the name `{name}` is taken by another {kind}")]
    NameTaken { kind: &'static str, name: String },
    #[error("port {port} of {address} is taken{}", holder.as_ref().map(|h| format!(" by {h}")).unwrap_or_default())]
    PortTaken { container: String, address: String, port: u16, holder: Option<String> },
    #[error("no container `{name}`")]
    NoContainer { name: String },
    #[error("container `{name}` is being removed")]
    BeingRemoved { name: String },
    #[error("image `{reference}` is not on the engine")]
    NoImage { reference: String },
    #[error("image `{reference}` cannot be pulled: {reason}")]
    Pull { reference: String, reason: String },
    #[error("image `{tag}` cannot be built: {reason}{}", indented(lines))]
    Build { tag: String, reason: String, lines: Vec<String> },
    #[error("image `{tag}` cannot be built: its frontend `{frontend}` cannot be used: {reason}")]
    Frontend { tag: String, frontend: String, reason: String },
    #[error("the build context `{}` cannot be read: {reason}", path.display())]
    Context { path: PathBuf, reason: String },
    #[error("the engine's disk is full: {reason}")]
    DiskFull { reason: String },
    #[error("all address pools of the engine are used up: network `{network}` gets no subnet")]
    NoSubnet { network: String },
    #[error("bind source `{path}` does not exist on the engine's host")]
    NoBindSource { container: String, path: String },
    #[error("`{what}` did not answer within {} s", limit.as_secs_f64())]
    TimedOut { what: String, limit: Duration },
    #[error("the engine cannot {what}: {reason}")]
    Unsupported { what: String, reason: String },
    /// Anything else the engine refuses, with the intention.
    #[error("{intention}: {reason}")]
    Refused { intention: String, status: u16, reason: String },
    #[error("{intention}: {reason}")]
    Io { intention: String, reason: String },
}

fn indented(lines: &[String]) -> String {
    lines.iter().flat_map(|line| ["\n    ", line]).collect()
}
