//! The engine in memory, whose containers answer to their ids too, as a real engine's do.

use std::{collections::BTreeMap, ops::Deref, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    engine::{Engine, Info, LogOptions, LogStream, Output, Pipe, Progress, Result, memory::Memory},
    model::{
        Attachment, BuildSpec, FileSpec, Image, Inspection, NetworkSpec, Observed, ServiceSpec,
        Usage, VolumeSpec, labels,
    },
};

pub struct ById(pub Arc<Memory>);

impl ById {
    /// Never do two colors' workers run at once, whatever goes wrong.
    pub fn workers_of_one_color(&self) {
        let seen = self.0.seen();
        let mut colors: Vec<&str> = seen
            .containers
            .iter()
            .filter(|found| found.is_running() && found.label(labels::ROLE) == Some("worker"))
            .filter_map(|found| found.label(labels::COLOR))
            .collect();
        colors.dedup();
        assert!(colors.len() < 2, "workers of both colors run: {:?}", self.0.calls());
    }

    fn name(&self, id: &str) -> String {
        let seen = self.0.seen();
        let found = seen.containers.into_iter().find(|container| container.id == id);
        found.map_or_else(|| id.to_owned(), |container| container.name)
    }
}

impl Deref for ById {
    type Target = Memory;

    fn deref(&self) -> &Memory {
        &self.0
    }
}

#[async_trait]
impl Engine for ById {
    async fn info(&self) -> Result<Info> {
        self.0.info().await
    }

    async fn observe(&self) -> Result<Observed> {
        self.0.observe().await
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>> {
        self.0.image(reference).await
    }

    async fn images(&self, label: &str, value: Option<&str>) -> Result<Vec<Image>> {
        self.0.images(label, value).await
    }

    async fn pull(
        &self,
        reference: &str,
        platform: Option<&str>,
        progress: Progress<'_>,
    ) -> Result<Image> {
        self.0.pull(reference, platform, progress).await
    }

    async fn build(&self, spec: &BuildSpec, progress: Progress<'_>) -> Result<Image> {
        self.0.build(spec, progress).await
    }

    async fn tag(&self, image: &str, reference: &str) -> Result<()> {
        self.0.tag(image, reference).await
    }

    async fn remove_image(&self, reference: &str) -> Result<()> {
        self.0.remove_image(reference).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<()> {
        self.0.create_network(spec).await
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        self.0.remove_network(name).await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        self.0.create_volume(spec).await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        self.0.remove_volume(name).await
    }

    async fn create(&self, spec: &ServiceSpec) -> Result<()> {
        self.0.create(spec).await
    }

    async fn start(&self, name: &str) -> Result<()> {
        let started = self.0.start(name).await;
        self.workers_of_one_color();
        started
    }

    async fn stop(&self, name: &str, grace: Option<Duration>) -> Result<()> {
        self.0.stop(name, grace).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.0.remove(&self.name(name)).await
    }

    async fn remove_keeping_volumes(&self, name: &str) -> Result<()> {
        self.0.remove_keeping_volumes(&self.name(name)).await
    }

    async fn connect(&self, name: &str, attachment: &Attachment) -> Result<()> {
        self.0.connect(name, attachment).await
    }

    async fn inspect(&self, name: &str) -> Result<Option<Inspection>> {
        self.0.inspect(name).await
    }

    async fn usage(&self, ids: &[&str]) -> Result<BTreeMap<String, Usage>> {
        self.0.usage(ids).await
    }

    async fn wait(&self, name: &str) -> Result<i64> {
        self.0.wait(name).await
    }

    async fn exec(&self, name: &str, command: &[String], limit: Duration) -> Result<Output> {
        self.0.exec(name, command, limit).await
    }

    async fn pipe(&self, name: &str, command: &[String]) -> Result<Pipe<'_>> {
        self.0.pipe(&self.name(name), command).await
    }

    async fn logs(&self, name: &str, options: &LogOptions) -> Result<LogStream> {
        self.0.logs(name, options).await
    }

    async fn read_file(&self, name: &str, path: &str) -> Result<Option<Vec<u8>>> {
        self.0.read_file(&self.name(name), path).await
    }

    async fn read_folder(&self, name: &str, path: &str) -> Result<Option<Vec<(String, Vec<u8>)>>> {
        self.0.read_folder(name, path).await
    }

    async fn write_files(&self, name: &str, files: &[FileSpec]) -> Result<()> {
        self.0.write_files(&self.name(name), files).await
    }

    async fn ask(
        &self,
        name: &str,
        line: &str,
        is_answer: &(dyn for<'a> Fn(&'a str) -> bool + Send + Sync),
        limit: Duration,
    ) -> Result<String> {
        self.0.ask(name, line, is_answer, limit).await
    }
}
