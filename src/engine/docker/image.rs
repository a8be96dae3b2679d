//! Images: looking up, tagging, removing.

use std::collections::BTreeMap;

use bollard::query_parameters::{RemoveImageOptions, TagImageOptions};
use serde::Deserialize;

use super::{
    Docker,
    call::Path,
    fault::{self, Asked},
};
use crate::{engine::Result, model::Image};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    id: String,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
    created: Option<String>,
    size: u64,
    config: Option<Config>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    id: String,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
    created: i64,
    size: u64,
    labels: Option<BTreeMap<String, String>>,
}

/// The engine lists images without a name under one of these.
fn named(names: Option<Vec<String>>) -> Vec<String> {
    let mut names = names.unwrap_or_default();
    names.retain(|name| !name.contains("<none>"));
    names.sort();
    names
}

pub(super) async fn find(docker: &Docker, reference: &str) -> Result<Option<Image>> {
    let path = Path::new(&["images", reference, "json"]);
    let asked = Asked::Image { reference, verb: "look up" };
    let answer = docker.find::<Answer>(path.as_str(), asked).await?;
    Ok(answer.map(|answer| Image {
        id: answer.id,
        tags: named(answer.repo_tags),
        digests: named(answer.repo_digests),
        labels: answer.config.and_then(|config| config.labels).unwrap_or_default(),
        size: answer.size,
        created: answer
            .created
            .and_then(|time| time.parse::<jiff::Timestamp>().ok())
            .map_or(0, jiff::Timestamp::as_second),
    }))
}

pub(super) async fn list(docker: &Docker, label: &str, value: Option<&str>) -> Result<Vec<Image>> {
    let filter = value.map_or_else(|| label.to_owned(), |value| format!("{label}={value}"));
    let filters = BTreeMap::from([("label", vec![filter])]);
    let path = Path::new(&["images", "json"]).with_json("filters", &filters);
    let rows: Vec<Row> = docker.get(path.as_str(), Asked::Engine("list images")).await?;
    let mut images: Vec<_> = rows
        .into_iter()
        .map(|row| Image {
            id: row.id,
            tags: named(row.repo_tags),
            digests: named(row.repo_digests),
            labels: row.labels.unwrap_or_default(),
            size: row.size,
            created: row.created,
        })
        .collect();
    images.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Ok(images)
}

pub(super) async fn tag(docker: &Docker, image: &str, reference: &str) -> Result<()> {
    let (repository, tag) = super::reference::split(reference);
    let options = TagImageOptions { repo: Some(repository), tag: Some(tag) };
    let asked = Asked::Image { reference: image, verb: "tag" };
    docker.api.tag_image(image, Some(options)).await.map_err(|e| docker.explain(&e, asked))
}

pub(super) async fn remove(docker: &Docker, reference: &str) -> Result<()> {
    let options = None::<RemoveImageOptions>;
    match docker.patient.remove_image(reference, options, None).await {
        Ok(_) => Ok(()),
        Err(error) if matches!(fault::status(&error), Some(404 | 409)) => Ok(()),
        // Its last two names were removed at one time: the image went with the other one.
        Err(error) if error.to_string().contains("unrecognized image ID") => Ok(()),
        Err(e) => Err(docker.explain(&e, Asked::Image { reference, verb: "remove" })),
    }
}
