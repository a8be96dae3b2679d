//! A project on the engine in memory.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use indexmap::IndexMap;
use tokio_util::sync::CancellationToken;

use super::{by_id::ById, proxy};
use crate::{
    config::{Project, Shell},
    engine::{Engine as _, Step, memory::Memory},
    model::{Change, Color, FileSpec, Holder, Observed, Routing, ServiceSpec, labels},
    ops::{self, OpsError, Session},
    plan::Action,
    run::{Event, Reporter},
};

pub const PROJECT: &str = "name: shop\ndurable: { compose: [db.yaml] }\napp: { workers: [worker] }\nhooks: { before_switch: [migrate] }\n";

pub const DB: &str = r#"
services:
  db:
    image: mariadb:11.8
    volumes: ["data:/var/lib/mysql"]
    healthcheck: { test: ping }
volumes: { data: }
"#;

pub const APP: &str = r#"
services:
  web: { image: nginx, ports: ["8000:80"], depends_on: { cache: { condition: service_healthy } } }
  cache: { image: redis, healthcheck: { test: ping } }
  worker: { image: nginx }
  migrate: { image: tool }
"#;

pub struct Stage {
    pub engine: ById,
    pub project: Project,
    pub shell: Shell,
    pub cancel: CancellationToken,
    pub lock_wait: Duration,
    pub notes: Notes,
    folder: tempfile::TempDir,
}

/// What was told that is no step.
#[derive(Default)]
pub struct Notes(Mutex<Vec<String>>);

impl Notes {
    pub fn all(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

impl Reporter for Notes {
    fn on(&self, event: Event<'_>) {
        let told = match event {
            Event::Note(text) | Event::Warning(text) | Event::Error(text) => text.to_owned(),
            Event::Progress(plan, id, Step::Line(line)) => match &plan.step(id).action {
                Action::Follow(wait) => format!("{} | {line}", wait.service),
                _ => return,
            },
            _ => return,
        };
        self.0.lock().unwrap().push(told);
    }
}

impl Stage {
    pub fn new() -> Self {
        Self::of(PROJECT, APP)
    }

    pub fn of(project: &str, app: &str) -> Self {
        Self::with(project, app, &[])
    }

    /// With further files beside them.
    pub fn with(project: &str, app: &str, more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files =
            [("envctl.yaml", project), ("db.yaml", DB), ("compose.yaml", app), ("envctl", "#!")];
        for (name, text) in files.iter().chain(more) {
            fs::write(folder.path().join(name), text).unwrap();
        }
        // With a revision of its own: Git is not asked.
        let variables = [("CI_COMMIT_SHA", "3f2c1"), ("USER", "ann")];
        let shell = Shell(variables.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        let project = Project::open(folder.path(), None, &Shell(IndexMap::new())).unwrap();
        let engine = ById(Arc::new(Memory::new()));
        for image in ["mariadb:11.8", "nginx", "redis", "tool"] {
            engine.pullable(image);
        }
        // What looks at data finds none, unless a test says otherwise.
        engine.behave("shop-devlocal-check-db", crate::engine::memory::Behaviour::exits(0));
        engine.behave("migrate", crate::engine::memory::Behaviour::exits(0));
        proxy::serve(&engine.0);
        Self {
            engine,
            project,
            shell,
            cancel: CancellationToken::new(),
            lock_wait: Duration::from_secs(60),
            notes: Notes::default(),
            folder,
        }
    }

    /// The same project with another app, on the same engine.
    pub fn with_app(&mut self, app: &str) {
        fs::write(self.folder.path().join("compose.yaml"), app).unwrap();
    }

    /// The same project with another database, on the same engine.
    pub fn with_db(&mut self, db: &str) {
        fs::write(self.folder.path().join("db.yaml"), db).unwrap();
    }

    /// Writes a file that is read with the project file.
    pub fn read_again_with(&mut self, name: &str, text: &str) {
        self.file(name, text);
        self.project = Project::open(self.folder.path(), None, &Shell(IndexMap::new())).unwrap();
    }

    /// Writes a file of the project.
    pub fn file(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn session(&self) -> Session<'_> {
        Session {
            engine: &self.engine,
            project: &self.project,
            shell: &self.shell,
            reporter: &self.notes,
            cancel: self.cancel.clone(),
            lock_wait: self.lock_wait,
            wait: Duration::from_secs(60),
            executable: self.folder.path().join("envctl"),
            // Not this machine: its ports are other tests' too.
            host: "engine.test".to_owned(),
            journal: Arc::default(),
        }
    }

    pub async fn up(&self) -> Result<ops::Up, OpsError> {
        ops::up(&self.session(), ops::UpOptions::default()).await
    }

    pub async fn deploy(&self) -> Result<ops::Deployed, OpsError> {
        ops::deploy(&self.session(), ops::DeployOptions::default()).await
    }

    pub async fn switch(&self, color: Option<Color>) -> Result<ops::Switched, OpsError> {
        ops::switch(&self.session(), ops::SwitchOptions { color, ..ops::SwitchOptions::default() })
            .await
    }

    /// Of the live color.
    pub async fn scale(&self, service: &str, replicas: u32) -> Result<ops::Scaled, OpsError> {
        let service = service.to_owned();
        let options = ops::ScaleOptions { service, replicas, color: None };
        ops::scale(&self.session(), &options).await
    }

    pub async fn history(&self) -> Vec<Change> {
        ops::history(&self.session()).await.unwrap()
    }

    pub fn routing(&self) -> Routing {
        proxy::routing(&self.engine)
    }

    /// The containers and whether they run, the networks and the volumes.
    pub fn standing(&self) -> Vec<String> {
        standing(&self.engine.seen())
    }

    /// The process died and another begins: whoever holds something is a process that is gone.
    pub async fn next_process(&self) {
        self.engine.heal();
        for container in self.engine.seen().containers {
            let Some(json) = container.label(labels::HOLDER) else { continue };
            let holder: Holder = serde_json::from_str(json).unwrap();
            let dead = Holder { process: "4194305:1".to_owned(), ..holder };
            let beat = self.engine.read_file(&container.name, "/beat").await.unwrap();
            self.hold(&container.name, &container.image, &container.labels, &dead).await;
            let file = |content| FileSpec {
                path: "/beat".to_owned(),
                content,
                mode: 0o644,
                uid: 0,
                gid: 0,
            };
            if let Some(content) = beat {
                self.engine.write_files(&container.name, &[file(content)]).await.unwrap();
            }
        }
    }

    /// Makes a container that says who holds it.
    pub async fn hold(
        &self,
        name: &str,
        image: &str,
        labels: &std::collections::BTreeMap<String, String>,
        holder: &Holder,
    ) {
        let mut labels = labels.clone();
        labels.insert(labels::HOLDER.to_owned(), serde_json::to_string(holder).unwrap());
        self.engine.remove(name).await.unwrap();
        let spec = ServiceSpec {
            name: name.to_owned(),
            image: image.to_owned(),
            labels,
            ..ServiceSpec::default()
        };
        self.engine.create(&spec).await.unwrap();
    }

    /// Another process holds the lock.
    pub async fn locked_by(&self, holder: &Holder) {
        let names = &self.project.names;
        let labels = [
            (labels::PROJECT, names.project.clone()),
            (labels::ENVIRONMENT, names.environment.clone()),
            (labels::LAYER, "lock".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        self.engine.have_image("envctl-lock:1");
        self.hold(&names.lock(), "envctl-lock:1", &labels, holder).await;
    }
}

fn standing(seen: &Observed) -> Vec<String> {
    let containers = seen.containers.iter().map(|container| {
        format!("{}{}", container.name, if container.is_running() { " runs" } else { "" })
    });
    let networks = seen.networks.iter().map(|network| network.name.clone());
    let volumes = seen.volumes.iter().map(|volume| format!("{} (volume)", volume.name));
    let mut all: Vec<String> = containers.chain(networks).chain(volumes).collect();
    all.sort();
    all
}
