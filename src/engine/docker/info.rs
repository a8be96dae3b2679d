//! What the engine says of itself and its host.

use serde::Deserialize;

use super::{Docker, fault::Asked};
use crate::engine::{Info, Result};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Host {
    #[serde(rename = "NCPU")]
    cpus: u64,
    mem_total: u64,
    docker_root_dir: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Engine {
    version: String,
    os: String,
    arch: String,
}

pub(super) async fn info(docker: &Docker) -> Result<Info> {
    let asked = Asked::Engine("ask the engine for its version");
    let (host, engine) = tokio::try_join!(
        docker.get::<Host>("/info", asked),
        docker.get::<Engine>("/version", asked)
    )?;
    Ok(Info {
        version: engine.version,
        api: docker.version.to_string(),
        platform: format!("{}/{}", engine.os, engine.arch),
        address: docker.address.to_string(),
        cpus: host.cpus,
        memory: host.mem_total,
        root: host.docker_root_dir,
        build_kit: docker.build_kit,
    })
}
