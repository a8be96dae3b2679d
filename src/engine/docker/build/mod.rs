//! Building images: with `BuildKit`, where the engine has it, else with the classic builder.

mod answer;
mod classic;
mod contexts;
mod kit;
mod session;
mod trace;

pub(super) use session::Sessions;

use super::{Docker, fault::Asked, image, version::Version};
use crate::{
    engine::{EngineError, Progress, Result, context::Context},
    model::{BuildSpec, Image},
};

/// Lines of a failing instruction that its error carries.
const KEPT: usize = 20;

/// Dropping this future closes the connection, which ends the build on the engine.
pub(super) async fn build(
    docker: &Docker,
    spec: &BuildSpec,
    progress: Progress<'_>,
) -> Result<Image> {
    let mut made = vec![];
    let built = async {
        let spec = contexts::as_images(docker, spec, progress, &mut made).await?;
        with_images(docker, &spec, progress).await
    };
    let built = built.await;
    let mut removed = Ok(());
    for tag in made {
        removed = removed.and(image::remove(docker, &tag).await);
    }
    built?;
    removed?;
    image::find(docker, &spec.tag).await?.ok_or_else(|| EngineError::Build {
        tag: spec.tag.clone(),
        reason: "the engine ended the build without an image".to_owned(),
        lines: vec![],
    })
}

async fn with_images(docker: &Docker, spec: &BuildSpec, progress: Progress<'_>) -> Result<()> {
    let wanted = spec.clone();
    let context = tokio::task::spawn_blocking(move || Context::read(&wanted)).await;
    let context = context.map_err(|error| EngineError::Io {
        intention: Asked::Image { reference: &spec.tag, verb: "build" }.to_string(),
        reason: error.to_string(),
    })??;
    if docker.build_kit && kit_can(docker, spec) {
        kit::build(docker, spec, context, progress).await
    } else {
        classic::build(docker, spec, context, progress).await
    }
}

/// What `BuildKit` would refuse, or pass over without a word, is left to the classic builder.
fn kit_can(docker: &Docker, spec: &BuildSpec) -> bool {
    let network = spec.network.as_deref().unwrap_or("default");
    let sizes = spec.shm_size.is_some() || !spec.ulimits.is_empty();
    matches!(network, "default" | "host" | "none" | "")
        && (!sizes || docker.version >= Version::CREATE_MOUNTPOINT)
}

fn refused(docker: &Docker, spec: &BuildSpec, error: &bollard::errors::Error) -> EngineError {
    match docker.explain(error, Asked::Image { reference: &spec.tag, verb: "build" }) {
        EngineError::Refused { reason, .. } => failed(spec, reason, &[], vec![]),
        other => other,
    }
}

/// `trouble` is what could not be handed to the builder, and so may be why.
fn failed(spec: &BuildSpec, reason: String, trouble: &[String], lines: Vec<String>) -> EngineError {
    if reason.contains("no space left on device") {
        return EngineError::DiskFull { reason };
    }
    let reason = [&[reason], trouble].concat().join("; ");
    EngineError::Build { tag: spec.tag.clone(), reason, lines }
}
