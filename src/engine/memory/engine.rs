//! The engine's trait over the world in memory.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Memory, lock, refused,
    world::{Kept, World},
};
use crate::{
    engine::{
        Engine, EngineError, Info, LogChunk, LogOptions, LogStream, Output, Pipe, Progress, Result,
        Step,
    },
    model::{
        Attachment, BuildSpec, FileSpec, Image, Inspection, NetworkSpec, Observed, ServiceSpec,
        State, Usage, VolumeSpec,
    },
};

#[async_trait]
impl Engine for Memory {
    async fn info(&self) -> Result<Info> {
        self.call("info".into(), |_| {
            Ok(Info {
                version: "20.10.24".into(),
                api: "1.41".into(),
                platform: "linux/amd64".into(),
                address: "memory".into(),
                cpus: 2,
                memory: 8 << 30,
                root: "/var/lib/docker".into(),
                build_kit: true,
            })
        })
        .await
    }

    async fn observe(&self) -> Result<Observed> {
        self.call("observe".into(), |world| Ok(world.observed())).await
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>> {
        self.call(format!("image {reference}"), |world| Ok(world.image(reference).cloned())).await
    }

    async fn images(&self, label: &str, value: Option<&str>) -> Result<Vec<Image>> {
        self.call(format!("images {label}"), |world| {
            let mut images = world.images.clone();
            images.retain(|image| {
                let found = image.labels.get(label);
                found.is_some() && value.is_none_or(|value| found.is_some_and(|it| it == value))
            });
            Ok(images)
        })
        .await
    }

    async fn pull(
        &self,
        reference: &str,
        _platform: Option<&str>,
        progress: Progress<'_>,
    ) -> Result<Image> {
        self.call(format!("pull {reference}"), |world| {
            if !world.pullable.contains(reference) {
                return Err(EngineError::Pull {
                    reference: reference.to_owned(),
                    reason: "no registry has it".into(),
                });
            }
            progress(Step::Bytes { done: 1 << 20, total: 1 << 20 });
            Ok(world.pulled(reference))
        })
        .await
    }

    async fn build(&self, spec: &BuildSpec, progress: Progress<'_>) -> Result<Image> {
        self.call(format!("build {}", spec.tag), |world| {
            progress(Step::Instruction { number: 1, of: 1, text: "FROM scratch".into() });
            let refusal = world.unbuildable.iter().find(|(tag, _)| spec.tag.starts_with(*tag));
            if let Some((_, reason)) = refusal {
                return Err(EngineError::Build {
                    tag: spec.tag.clone(),
                    reason: reason.clone(),
                    lines: vec!["Step 1/1 : FROM scratch".into()],
                });
            }
            let image = world.add_image(&spec.tag, spec.labels.clone());
            for tag in &spec.tags {
                retag(world, &image.id, tag);
            }
            Ok(world.image(&image.id).cloned().unwrap_or(image))
        })
        .await
    }

    async fn tag(&self, image: &str, reference: &str) -> Result<()> {
        self.call(format!("tag {image} {reference}"), |world| {
            let found = world.image(image).map(|image| image.id.clone());
            let id = found.ok_or_else(|| EngineError::NoImage { reference: image.to_owned() })?;
            retag(world, &id, reference);
            Ok(())
        })
        .await
    }

    async fn remove_image(&self, reference: &str) -> Result<()> {
        self.call(format!("remove_image {reference}"), |world| {
            world.remove_image(reference);
            Ok(())
        })
        .await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<()> {
        self.call(format!("create_network {}", spec.name), |world| {
            if world.networks.contains_key(&spec.name) {
                return Err(EngineError::NameTaken { kind: "network", name: spec.name.clone() });
            }
            world.networks.insert(spec.name.clone(), spec.clone());
            Ok(())
        })
        .await
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        self.call(format!("remove_network {name}"), |world| world.remove_network(name)).await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        self.call(format!("create_volume {}", spec.name), |world| {
            if world.volumes.contains_key(&spec.name) {
                return Err(EngineError::NameTaken { kind: "volume", name: spec.name.clone() });
            }
            let kept = Kept { spec: spec.clone(), ..Kept::default() };
            world.volumes.insert(spec.name.clone(), kept);
            Ok(())
        })
        .await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        self.call(format!("remove_volume {name}"), |world| world.remove_volume(name)).await
    }

    async fn create(&self, spec: &ServiceSpec) -> Result<()> {
        let made = self.call(format!("create {}", spec.name), |world| world.create(spec));
        if let Some(made) = made.await? {
            tokio::time::sleep_until(made).await;
            lock(&self.world).pass_time();
        }
        Ok(())
    }

    async fn start(&self, name: &str) -> Result<()> {
        self.call(format!("start {name}"), |world| world.start(name)).await
    }

    async fn stop(&self, name: &str, _grace: Option<Duration>) -> Result<()> {
        let stops = self.call(format!("stop {name}"), |world| Ok(world.stop(name)));
        if let Some(stops) = stops.await? {
            tokio::time::sleep_until(stops).await;
            lock(&self.world).pass_time();
            self.changed.notify_waiters();
        }
        Ok(())
    }

    async fn remove_keeping_volumes(&self, name: &str) -> Result<()> {
        self.take_away(name, false).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.take_away(name, true).await
    }

    async fn connect(&self, name: &str, attachment: &Attachment) -> Result<()> {
        self.call(format!("connect {name} {}", attachment.network), |world| {
            let intention = format!("connect container `{name}`");
            world.must_have_network(&attachment.network, &intention)?;
            let networks = &mut world.container(name)?.spec.networks;
            if !networks.iter().any(|network| network.network == attachment.network) {
                networks.push(attachment.clone());
            }
            Ok(())
        })
        .await
    }

    async fn inspect(&self, name: &str) -> Result<Option<Inspection>> {
        self.call(format!("inspect {name}"), |world| Ok(world.inspect(name))).await
    }

    async fn usage(&self, ids: &[&str]) -> Result<BTreeMap<String, Usage>> {
        self.call("usage".into(), |world| Ok(world.usage(ids))).await
    }

    async fn wait(&self, name: &str) -> Result<i64> {
        self.call(format!("wait {name}"), |world| world.container(name).map(|_| ())).await?;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let end = {
                let mut world = lock(&self.world);
                world.pass_time();
                let container = world.container(name)?;
                match container.state {
                    State::Exited { code } => return Ok(code),
                    State::Created => return Ok(0),
                    _ => {
                        container.ends.map(|(end, _)| end).into_iter().chain(container.stops).min()
                    }
                }
            };
            match end {
                Some(end) => {
                    let _ = tokio::time::timeout_at(end, changed).await;
                }
                None => changed.await,
            }
        }
    }

    async fn exec(&self, name: &str, command: &[String], _limit: Duration) -> Result<Output> {
        let answer = lock(&self.exec).clone().and_then(|answer| answer(name, command));
        self.call(format!("exec {name}: {}", command.join(" ")), |world| {
            let own = world.exec(name)?;
            Ok(answer.unwrap_or(own))
        })
        .await
    }

    /// What is written to it is dropped.
    async fn pipe(&self, name: &str, command: &[String]) -> Result<Pipe<'_>> {
        let said = self.exec(name, command, Duration::MAX).await?;
        let chunk = LogChunk { stderr: said.code != 0, bytes: said.text.into() };
        Ok(Pipe {
            input: Box::pin(tokio::io::sink()),
            output: Box::pin(futures_util::stream::iter([Ok(chunk)])),
            end: Box::pin(async move { Ok(said.code) }),
        })
    }

    /// With `follow`, the log of a running container does not end.
    async fn logs(&self, name: &str, options: &LogOptions) -> Result<LogStream> {
        let tail = options.tail.and_then(|lines| usize::try_from(lines).ok()).unwrap_or(usize::MAX);
        let (mut lines, open) = self
            .call(format!("logs {name}"), |world| {
                let lines = world.log(name)?;
                Ok((lines, options.follow && world.container(name)?.is_running()))
            })
            .await?;
        lines.retain(|(time, _)| options.since.is_none_or(|since| time / 1000 >= since));
        let stamped = |(time, line): (i64, String)| match jiff::Timestamp::from_millisecond(time) {
            Ok(time) if options.timestamps => format!("{time} {line}"),
            _ => line,
        };
        let lines: Vec<String> = lines.into_iter().map(stamped).collect();
        let chunks = lines[lines.len().saturating_sub(tail)..]
            .iter()
            .map(|line| Ok(LogChunk { stderr: false, bytes: Bytes::from(line.clone()) }))
            .collect::<Vec<_>>();
        let chunks = futures_util::stream::iter(chunks);
        if open {
            use futures_util::StreamExt as _;
            return Ok(Box::pin(chunks.chain(futures_util::stream::pending())));
        }
        Ok(Box::pin(chunks))
    }

    async fn read_file(&self, name: &str, path: &str) -> Result<Option<Vec<u8>>> {
        self.call(format!("read_file {name} {path}"), |world| world.read(name, path)).await
    }

    async fn read_folder(&self, name: &str, path: &str) -> Result<Option<Vec<(String, Vec<u8>)>>> {
        self.call(format!("read_folder {name} {path}"), |world| world.read_folder(name, path)).await
    }

    async fn write_files(&self, name: &str, files: &[FileSpec]) -> Result<()> {
        let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        self.call(format!("write_files {name} {}", paths.join(" ")), |world| {
            world.write(name, files)
        })
        .await
    }

    async fn ask(
        &self,
        name: &str,
        line: &str,
        is_answer: &(dyn for<'a> Fn(&'a str) -> bool + Send + Sync),
        limit: Duration,
    ) -> Result<String> {
        let can = self.call(format!("ask {name}: {line}"), |world| {
            world.pass_time();
            let container = world.container(name)?;
            let ready =
                matches!(container.state, State::Running { .. }) && container.spec.stdin_open;
            ready
                .then_some(())
                .ok_or_else(|| refused(&format!("ask container `{name}`"), 409, "it does not run"))
        });
        can.await?;
        // Outside of all locks: the answer may look at this engine, and change it.
        let answer = lock(&self.ask).clone().map(|answer| answer(line)).unwrap_or_default();
        let found = answer.lines().find(|line| is_answer(line)).map(str::to_owned);
        found.ok_or_else(|| EngineError::TimedOut { what: name.to_owned(), limit })
    }
}

impl Memory {
    async fn take_away(&self, name: &str, volumes: bool) -> Result<()> {
        let gone = self.call(format!("remove {name}"), |world| {
            world.pass_time();
            let gone = world.containers.get(name).and_then(|container| container.gone);
            if gone.is_none() {
                world.remove(name, volumes);
            }
            Ok(gone)
        });
        if let Some(gone) = gone.await? {
            // As Docker does, it answers when the removal that is under way is done.
            tokio::time::sleep_until(gone).await;
            lock(&self.world).pass_time();
        }
        Ok(())
    }
}

fn retag(world: &mut World, id: &str, reference: &str) {
    for image in &mut world.images {
        image.tags.retain(|tag| tag != reference);
        if image.id == id {
            image.tags.push(reference.to_owned());
            image.tags.sort();
        }
    }
}
