//! The proxy's image, made from envctl's own executable.

use std::{fs, io::Read as _};

use sha2::{Digest as _, Sha256};

use super::{OpsError, Session};
use crate::{
    model::{BuildSpec, labels},
    plan::ImageJob,
};

/// The proxy's image, and whether it is on the engine. The folder that it is built from goes with the second value.
pub async fn image(
    session: &Session<'_>,
) -> Result<(ImageJob, bool, Option<tempfile::TempDir>), OpsError> {
    if let Some(reference) = &session.project.file.proxy.image {
        let there = session.engine.image(reference).await?.is_some();
        let job = ImageJob {
            tag: reference.clone(),
            pull: Some(reference.clone()),
            ..ImageJob::default()
        };
        return Ok((job, there, None));
    }
    let wrong = |error: std::io::Error| OpsError::Executable { reason: error.to_string() };
    let mut hash = Sha256::new();
    let mut file = fs::File::open(&session.executable).map_err(wrong)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(wrong)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    let hash = hex::encode(&hash.finalize()[..6]);
    let tag = format!("envctl-proxy:{}-{hash}", env!("CARGO_PKG_VERSION"));
    let there = session.engine.image(&tag).await?.is_some();
    if there {
        return Ok((ImageJob { tag, ..ImageJob::default() }, true, None));
    }
    let folder = tempfile::tempdir().map_err(wrong)?;
    let copy = folder.path().join("envctl");
    fs::hard_link(&session.executable, &copy)
        .or_else(|_| fs::copy(&session.executable, &copy).map(|_| ()))
        .map_err(wrong)?;
    for empty in ["state/history", "ca"] {
        fs::create_dir_all(folder.path().join(empty)).map_err(wrong)?;
    }
    let dockerfile = "FROM scratch\n\
        COPY envctl /envctl\n\
        COPY --chown=65534:65534 state /state\n\
        COPY --chown=65534:65534 ca /ca\n\
        USER 65534:65534\n\
        ENTRYPOINT [\"/envctl\"]\n";
    let build = BuildSpec {
        tag: tag.clone(),
        context: folder.path().to_owned(),
        dockerfile_inline: Some(dockerfile.to_owned()),
        labels: [(labels::LAYER.to_owned(), "proxy".to_owned())].into(),
        ..BuildSpec::default()
    };
    Ok((ImageJob { tag, build: Some(build), ..ImageJob::default() }, false, Some(folder)))
}
