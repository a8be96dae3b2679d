//! The container engine behind one trait at service level. `docker` drives a real one, `memory` serves tests. Imports
//! `base` and `model`.

use std::{collections::BTreeMap, pin::Pin, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, future::BoxFuture};
use tokio::io::AsyncWrite;

use crate::model::{
    BuildSpec, FileSpec, Image, Inspection, NetworkSpec, Observed, ServiceSpec, Usage, VolumeSpec,
};

pub mod context;
pub mod docker;
mod error;
#[cfg(test)]
pub mod memory;

pub use context::{Hasher, base_images, context_hash, same_image};
pub use error::EngineError;

pub type Result<T> = std::result::Result<T, EngineError>;

/// A container engine on one host.
///
/// Removing or stopping what is not there is no error; creating what is there already is (`NameTaken`): what
/// should be done is the plan's to decide.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Version and host of the engine.
    async fn info(&self) -> Result<Info>;

    /// Everything on the engine, in one look.
    async fn observe(&self) -> Result<Observed>;

    /// Looks an image up by reference or id; `None` when it is not there.
    async fn image(&self, reference: &str) -> Result<Option<Image>>;

    /// Lists the images that carry a label (with this value, where one is given).
    async fn images(&self, label: &str, value: Option<&str>) -> Result<Vec<Image>>;

    async fn pull(
        &self,
        reference: &str,
        platform: Option<&str>,
        progress: Progress<'_>,
    ) -> Result<Image>;

    /// Builds and tags an image. A failed build carries the last lines of the failing instruction.
    async fn build(&self, spec: &BuildSpec, progress: Progress<'_>) -> Result<Image>;

    async fn tag(&self, image: &str, reference: &str) -> Result<()>;

    /// Removes a reference, and the image with its last one; one that is in use stays and is no error.
    async fn remove_image(&self, reference: &str) -> Result<()>;

    async fn create_network(&self, spec: &NetworkSpec) -> Result<()>;

    async fn remove_network(&self, name: &str) -> Result<()>;

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()>;

    async fn remove_volume(&self, name: &str) -> Result<()>;

    /// Makes a service's container and lays its files in; does not start it. All or nothing: a container whose files
    /// could not be laid or whose networks could not be joined is removed again.
    async fn create(&self, spec: &ServiceSpec) -> Result<()>;

    async fn start(&self, name: &str) -> Result<()>;

    /// Stops with the container's own stop signal, and kills after `grace` (the container's own, where none is given).
    async fn stop(&self, name: &str, grace: Option<Duration>) -> Result<()>;

    /// Removes a container by force, with its anonymous volumes.
    async fn remove(&self, name: &str) -> Result<()>;

    /// Removes a container by force and keeps its anonymous volumes: what a database wrote is not always where its file
    /// says.
    async fn remove_keeping_volumes(&self, name: &str) -> Result<()>;

    /// Joins a running container to a network.
    async fn connect(&self, name: &str, attachment: &crate::model::Attachment) -> Result<()>;

    async fn inspect(&self, name: &str) -> Result<Option<Inspection>>;

    /// What containers use now, by id; what does not run, or cannot be measured, is left out. Takes a moment: a share of
    /// a processor is measured over time.
    async fn usage(&self, ids: &[&str]) -> Result<BTreeMap<String, Usage>>;

    /// Waits until the container does not run and returns its exit code.
    async fn wait(&self, name: &str) -> Result<i64>;

    /// Runs a command in a running container to its end; past `limit` it is given up (`TimedOut`).
    async fn exec(&self, name: &str, command: &[String], limit: Duration) -> Result<Output>;

    /// Starts a command in a running container, its standard streams attached.
    async fn pipe(&self, name: &str, command: &[String]) -> Result<Pipe<'_>>;

    /// The container's log.
    async fn logs(&self, name: &str, options: &LogOptions) -> Result<LogStream>;

    /// Reads a file of a container, stopped ones too; `None` when it is not there.
    async fn read_file(&self, name: &str, path: &str) -> Result<Option<Vec<u8>>>;

    /// Reads the files right in a folder of a container, as name and content, sorted by name; `None` when it is not there.
    async fn read_folder(&self, name: &str, path: &str) -> Result<Option<Vec<(String, Vec<u8>)>>>;

    /// Lays files into a container, stopped ones too. Their folders are made when missing.
    async fn write_files(&self, name: &str, files: &[FileSpec]) -> Result<()>;

    /// Sends a line to a running container's standard input and returns the first line of its standard output for which
    /// `is_answer` holds.
    async fn ask(
        &self,
        name: &str,
        line: &str,
        is_answer: &(dyn for<'a> Fn(&'a str) -> bool + Send + Sync),
        limit: Duration,
    ) -> Result<String>;
}

/// Told of what a pull or a build does, as it does it.
pub type Progress<'a> = &'a (dyn Fn(Step) + Send + Sync);

/// A sign of life of a pull or a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Bytes of all layers known so far.
    Bytes { done: u64, total: u64 },
    /// An instruction of a build begins; `number` counts from 1, and `of` may grow.
    Instruction { number: u64, of: u64, text: String },
    /// A line of the builder.
    Line(String),
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Info {
    /// The engine's version, `20.10.24`.
    pub version: String,
    /// The API version agreed on, `1.41`.
    pub api: String,
    /// `linux/amd64`.
    pub platform: String,
    /// Where it was reached: `unix:///var/run/docker.sock`.
    pub address: String,
    pub cpus: u64,
    /// Bytes.
    pub memory: u64,
    /// The engine's data folder, on its own host.
    pub root: String,
    pub build_kit: bool,
}

/// What a command said, both streams together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub code: i64,
    pub text: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    pub follow: bool,
    /// Last lines only.
    pub tail: Option<u64>,
    /// Seconds since 1970.
    pub since: Option<i64>,
    pub timestamps: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    pub stderr: bool,
    pub bytes: Bytes,
}

/// A command under way in a container. What is not read holds it up.
pub struct Pipe<'a> {
    /// Its standard input; shut down, the command reads its end.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// What it says, until it closes both streams.
    pub output: LogStream,
    /// Its exit code, to be asked for once the output is over.
    pub end: BoxFuture<'a, Result<i64>>,
}

pub type LogStream = Pin<Box<dyn Stream<Item = Result<LogChunk>> + Send>>;
