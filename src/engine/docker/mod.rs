//! The Docker Engine API, over bollard: the only place that names it. Calls whose answers bollard's types would refuse
//! (they are closed over the newest API) or whose fields they no longer have are made in `call`.
#![expect(clippy::disallowed_types, reason = "this is the module that bollard is kept in")]

mod address;
mod ask;
mod body;
mod build;
mod call;
mod create;
mod exec;
mod fault;
mod files;
mod host;
mod image;
mod info;
mod inspect;
mod lifecycle;
mod login;
mod logs;
mod network;
mod observe;
mod pull;
mod reference;
mod spent;
mod tls;
mod transport;
mod usage;
mod version;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;

pub use address::Address;
pub use call::Docker;
pub use spent::spent;

use super::{Engine, Info, LogOptions, LogStream, Output, Pipe, Progress, Result};
use crate::model::{
    Attachment, BuildSpec, FileSpec, Image, Inspection, NetworkSpec, Observed, ServiceSpec, Usage,
    VolumeSpec,
};

#[async_trait]
impl Engine for Docker {
    async fn info(&self) -> Result<Info> {
        info::info(self).await
    }

    async fn observe(&self) -> Result<Observed> {
        observe::observe(self).await
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>> {
        image::find(self, reference).await
    }

    async fn images(&self, label: &str, value: Option<&str>) -> Result<Vec<Image>> {
        image::list(self, label, value).await
    }

    async fn pull(
        &self,
        reference: &str,
        platform: Option<&str>,
        progress: Progress<'_>,
    ) -> Result<Image> {
        pull::pull(self, reference, platform, progress).await
    }

    async fn build(&self, spec: &BuildSpec, progress: Progress<'_>) -> Result<Image> {
        build::build(self, spec, progress).await
    }

    async fn tag(&self, image: &str, reference: &str) -> Result<()> {
        image::tag(self, image, reference).await
    }

    async fn remove_image(&self, reference: &str) -> Result<()> {
        image::remove(self, reference).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<()> {
        network::create(self, spec).await
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        network::remove(self, name).await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        network::create_volume(self, spec).await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        network::remove_volume(self, name).await
    }

    async fn create(&self, spec: &ServiceSpec) -> Result<()> {
        create::create(self, spec).await
    }

    async fn start(&self, name: &str) -> Result<()> {
        lifecycle::start(self, name).await
    }

    async fn stop(&self, name: &str, grace: Option<Duration>) -> Result<()> {
        lifecycle::stop(self, name, grace).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        lifecycle::remove(self, name, true).await
    }

    async fn remove_keeping_volumes(&self, name: &str) -> Result<()> {
        lifecycle::remove(self, name, false).await
    }

    async fn connect(&self, name: &str, attachment: &Attachment) -> Result<()> {
        lifecycle::connect(self, name, attachment).await
    }

    async fn inspect(&self, name: &str) -> Result<Option<Inspection>> {
        inspect::inspect(self, name).await
    }

    async fn usage(&self, ids: &[&str]) -> Result<BTreeMap<String, Usage>> {
        Ok(usage::usage(self, ids).await)
    }

    async fn wait(&self, name: &str) -> Result<i64> {
        lifecycle::wait(self, name).await
    }

    async fn exec(&self, name: &str, command: &[String], limit: Duration) -> Result<Output> {
        exec::exec(self, name, command, limit).await
    }

    async fn pipe(&self, name: &str, command: &[String]) -> Result<Pipe<'_>> {
        exec::pipe(self, name, command).await
    }

    async fn logs(&self, name: &str, options: &LogOptions) -> Result<LogStream> {
        Ok(logs::logs(self, name, options))
    }

    async fn read_file(&self, name: &str, path: &str) -> Result<Option<Vec<u8>>> {
        files::read(self, name, path).await
    }

    async fn read_folder(&self, name: &str, path: &str) -> Result<Option<Vec<(String, Vec<u8>)>>> {
        files::read_folder(self, name, path).await
    }

    async fn write_files(&self, name: &str, files: &[FileSpec]) -> Result<()> {
        files::write(self, name, files).await
    }

    async fn ask(
        &self,
        name: &str,
        line: &str,
        is_answer: &(dyn for<'a> Fn(&'a str) -> bool + Send + Sync),
        limit: Duration,
    ) -> Result<String> {
        ask::ask(self, name, line, is_answer, limit).await
    }
}
