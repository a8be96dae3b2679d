//! Pulling images.

use std::{collections::HashMap, time::Duration};

use bollard::{models::CreateImageInfo, query_parameters::CreateImageOptions};
use futures_util::StreamExt as _;

use super::{Docker, fault::Asked, image, login, reference};
use crate::{
    engine::{EngineError, Progress, Result, Step},
    model::Image,
};

/// Time to the engine's first word: it asks the registry first.
const FIRST: Duration = Duration::from_mins(1);
/// Silence after which a pull is given up.
const SILENCE: Duration = Duration::from_mins(5);

pub(super) async fn pull(
    docker: &Docker,
    name: &str,
    platform: Option<&str>,
    progress: Progress<'_>,
) -> Result<Image> {
    let failed =
        |reason: String| EngineError::Pull { reference: name.to_owned(), reason: short(&reason) };
    let login = match &docker.logins {
        Some(logins) => login::of(logins, reference::registry(name)).await.map_err(failed)?,
        None => None,
    };
    let (repository, tag) = reference::split(name);
    let options = CreateImageOptions {
        from_image: Some(repository),
        tag: Some(tag),
        platform: platform.unwrap_or_default().to_owned(),
        ..CreateImageOptions::default()
    };
    let mut steps = Box::pin(docker.patient.create_image(Some(options), None, login));
    let (mut layers, mut limit) = (Layers::default(), FIRST);
    loop {
        let next = tokio::time::timeout(limit, steps.next()).await;
        let step =
            next.map_err(|_| failed(format!("the engine said nothing for {} s", limit.as_secs())))?;
        match step {
            None => break,
            Some(Ok(step)) => {
                if let Some(sum) = layers.note(&step) {
                    progress(sum);
                }
            }
            Some(Err(error)) => return Err(refused(docker, name, &error)),
        }
        limit = SILENCE;
    }
    image::find(docker, name)
        .await?
        .ok_or_else(|| failed("the engine does not have it afterwards".to_owned()))
}

fn refused(docker: &Docker, name: &str, error: &bollard::errors::Error) -> EngineError {
    match docker.explain(error, Asked::Engine("pull")) {
        EngineError::Refused { reason, .. } | EngineError::Io { reason, .. } => {
            EngineError::Pull { reference: name.to_owned(), reason: short(&reason) }
        }
        other => other,
    }
}

/// The part of the engine's reason that tells something: the last cause of a chain that begins with an address.
fn short(reason: &str) -> String {
    let reason = reason.trim().trim_start_matches("Error response from daemon: ");
    for (part, meaning) in [
        ("no such host", "its registry's name is not known here (no network?)"),
        ("server misbehaving", "its registry's name is not known here (no network?)"),
        (
            "Temporary failure in name resolution",
            "its registry's name is not known here (no network?)",
        ),
        ("network is unreachable", "its registry is out of reach (no network?)"),
        ("i/o timeout", "its registry does not answer"),
        ("Client.Timeout", "its registry does not answer"),
        ("connection refused", "its registry refuses the connection"),
        ("toomanyrequests", "the registry's rate limit is reached; log in to raise it"),
    ] {
        if reason.contains(part) {
            return format!("{meaning}: {reason}");
        }
    }
    reason.to_owned()
}

/// Bytes by layer.
#[derive(Default)]
struct Layers {
    bytes: HashMap<String, (u64, u64)>,
}

impl Layers {
    /// The sum over all layers, when the step moved it.
    fn note(&mut self, step: &CreateImageInfo) -> Option<Step> {
        let id = step.id.as_ref()?;
        match step.status.as_deref()? {
            "Downloading" => {
                let detail = step.progress_detail.as_ref()?;
                let number = |value: Option<i64>| u64::try_from(value.unwrap_or(0)).unwrap_or(0);
                let done = number(detail.current);
                self.bytes.insert(id.clone(), (done, number(detail.total).max(done)));
            }
            "Download complete" | "Pull complete" => {
                let layer = self.bytes.get_mut(id)?;
                layer.0 = layer.1;
            }
            _ => return None,
        }
        let (done, total) =
            self.bytes.values().fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        Some(Step::Bytes { done, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_summed_over_layers() {
        let step = |id: &str, status: &str, current, total| CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: Some(bollard::models::ProgressDetail {
                current: Some(current),
                total: Some(total),
            }),
            ..CreateImageInfo::default()
        };
        let mut layers = Layers::default();
        assert_eq!(layers.note(&step("a", "Pulling fs layer", 0, 0)), None);
        let sum = |done, total| Some(Step::Bytes { done, total });
        assert_eq!(layers.note(&step("a", "Downloading", 5, 10)), sum(5, 10));
        assert_eq!(layers.note(&step("b", "Downloading", 1, 100)), sum(6, 110));
        assert_eq!(layers.note(&step("a", "Download complete", 0, 0)), sum(11, 110));
    }
}
