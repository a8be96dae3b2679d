//! `additional_contexts`: a folder becomes an image of its own for the time of the build, so that both builders, old and
//! new, can take from it.

use std::path::Path;

use super::super::{Docker, body::unsupported};
use crate::{
    engine::{Progress, Result},
    model::BuildSpec,
};

/// The specification with nothing but images as further contexts. `made` gets the images that were made for it, also where a
/// later one fails.
pub(super) async fn as_images(
    docker: &Docker,
    spec: &BuildSpec,
    progress: Progress<'_>,
    made: &mut Vec<String>,
) -> Result<BuildSpec> {
    let mut wanted = spec.clone();
    for (name, from) in &mut wanted.contexts {
        if from.starts_with(BuildSpec::IMAGE) {
            continue;
        }
        if from.contains("://") || from.starts_with("git@") || from.starts_with(BuildSpec::SERVICE)
        {
            return Err(unsupported(
                &format!("take `{from}` as additional context `{name}`"),
                "it takes folders, images (`docker-image://…`) and services (`service:…`)",
            ));
        }
        let tag = format!("{}-context-{}", spec.tag, made.len() + 1);
        let folder = BuildSpec {
            tag: tag.clone(),
            context: Path::new(from).to_owned(),
            dockerfile_inline: Some("FROM scratch\nCOPY . /\n".to_owned()),
            labels: spec.labels.clone(),
            platform: spec.platform.clone(),
            ..BuildSpec::default()
        };
        Box::pin(super::with_images(docker, &folder, progress)).await?;
        *from = format!("{}{tag}", BuildSpec::IMAGE);
        made.push(tag);
    }
    Ok(wanted)
}
