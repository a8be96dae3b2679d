//! On the engine of this machine: they fail where none answers. Each test has its own label and removes what bears it.

mod containers;
mod files;
mod images;
mod kit;
mod leftovers;
mod options;
mod program;
mod registry;
mod talk;
mod tls;

use std::{collections::BTreeMap, panic::AssertUnwindSafe, path::Path, time::Duration};

use futures_util::FutureExt as _;
use tokio::sync::OnceCell;

use super::{Address, Docker};
use crate::{
    engine::{Engine as _, context_hash},
    model::{BuildSpec, Image, ServiceSpec},
};

const LABEL: &str = "dev.envctl.test";
/// On the images of the test program.
const PROGRAM: &str = "dev.envctl.test-program";
/// More than anything here takes, on a busy machine too.
const LIMIT: Duration = Duration::from_mins(1);

/// One test's corner of the engine.
struct Sandbox {
    docker: Docker,
    id: String,
    image: String,
}

/// Runs a test in a sandbox of its own, and cleans up however it ends.
async fn sandbox(test: impl AsyncFnOnce(&Sandbox)) {
    let docker = Docker::connect(&Address::default()).await.unwrap();
    let image = program(&docker).await;
    let mut id = [0; 6];
    getrandom::fill(&mut id).unwrap();
    let sandbox = Sandbox { docker, id: hex::encode(id), image };
    let ended = AssertUnwindSafe(test(&sandbox)).catch_unwind().await;
    sandbox.clean().await;
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

impl Sandbox {
    fn name(&self, what: &str) -> String {
        format!("envctl-test-{}-{what}", self.id)
    }

    fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(LABEL.to_owned(), self.id.clone())])
    }

    /// A container of the test program.
    fn spec(&self, name: &str, program: &str) -> ServiceSpec {
        ServiceSpec {
            name: self.name(name),
            image: self.image.clone(),
            entrypoint: Some(vec![]),
            command: Some(program::command(program)),
            labels: self.labels(),
            stop_signal: Some("SIGKILL".into()),
            stop_grace: Some(Duration::from_secs(1)),
            ..ServiceSpec::default()
        }
    }

    /// Creates and starts a container of the test program.
    async fn run(&self, name: &str, program: &str) -> String {
        let spec = self.spec(name, program);
        self.docker.create(&spec).await.unwrap();
        self.docker.start(&spec.name).await.unwrap();
        spec.name
    }

    /// A folder to build from.
    fn context(&self, files: &[(&str, &str)]) -> (tempfile::TempDir, BuildSpec) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let spec = BuildSpec {
            tag: format!("{}:1", self.name("image")),
            context: folder.path().to_owned(),
            labels: self.labels(),
            ..BuildSpec::default()
        };
        (folder, spec)
    }

    /// An instruction that runs the test program.
    fn instruction(flags: &str, name: &str) -> String {
        format!("RUN {flags} {}", serde_json::to_string(&program::command(name)).unwrap())
    }

    async fn clean(&self) {
        let mine = |labels: &BTreeMap<String, String>| labels.get(LABEL) == Some(&self.id);
        let seen = self.docker.observe().await.unwrap();
        for container in seen.containers.iter().filter(|it| mine(&it.labels)) {
            self.docker.remove(&container.id).await.unwrap();
        }
        for network in seen.networks.iter().filter(|it| mine(&it.labels)) {
            self.docker.remove_network(&network.name).await.unwrap();
        }
        for volume in seen.volumes.iter().filter(|it| mine(&it.labels)) {
            self.docker.remove_volume(&volume.name).await.unwrap();
        }
        for image in self.docker.images(LABEL, Some(&self.id)).await.unwrap() {
            for tag in image.tags.iter().chain([&image.id]) {
                self.docker.remove_image(tag).await.unwrap();
            }
        }
    }
}

/// The image of the test program: this very binary, which is static. Made once for each build of it.
async fn program(docker: &Docker) -> String {
    static IMAGE: OnceCell<String> = OnceCell::const_new();
    let make = async || {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(std::env::current_exe().unwrap(), folder.path().join("program")).unwrap();
        let mut spec = BuildSpec {
            context: folder.path().to_owned(),
            dockerfile_inline: Some("FROM scratch\nCOPY program /\n".into()),
            ..BuildSpec::default()
        };
        let hash = context_hash(&spec).unwrap();
        spec.tag = format!("envctl-test-program:{hash}");
        spec.labels.insert(PROGRAM.to_owned(), String::new());
        if docker.image(&spec.tag).await.unwrap().is_none() {
            docker.build(&spec, &|_| {}).await.unwrap();
        }
        forget_old(docker, &spec.tag).await;
        spec.tag
    };
    IMAGE.get_or_init(make).await.clone()
}

/// Images of earlier builds of the program go, unless a test run may be using them.
async fn forget_old(docker: &Docker, current: &str) {
    let while_ago = jiff::Timestamp::now().as_second() - 900;
    let old = |image: &Image| image.created < while_ago && !image.tags.iter().any(|t| t == current);
    for image in docker.images(PROGRAM, None).await.unwrap().iter().filter(|image| old(image)) {
        for tag in &image.tags {
            docker.remove_image(tag).await.unwrap();
        }
    }
}

#[tokio::test]
async fn real_engine_says_what_it_is() {
    let docker = Docker::connect(&Address::default()).await.unwrap();
    let info = docker.info().await.unwrap();
    assert!(info.version.contains('.') && info.api.starts_with("1."), "{info:?}");
    assert!(info.platform.starts_with("linux/") && info.cpus > 0 && info.memory > 0);
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unreachable() {
    let address = Address::Unix(Path::new("/nowhere/docker.sock").to_owned());
    let error = Docker::connect(&address).await.unwrap_err().to_string();
    assert!(error.starts_with("no engine answers at `unix:///nowhere/docker.sock`"), "{error}");
}
