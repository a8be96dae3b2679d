//! A project on disk, and what its files come to.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::Duration,
};

use super::world::World;
use crate::{
    compose,
    config::{ConfigError, Project, Shell},
    database::Kind,
    model::{Color, Image, Names, labels},
    plan::{
        self, Conflict, Deploy, Difference, ImageJob, Plan, Switch,
        desired::{self, App, Durable},
    },
};

pub const WAIT: Duration = Duration::from_secs(60);

/// A project whose files are its Compose texts.
pub struct Stage {
    pub project: Project,
    proxy: OnceCell<desired::Proxy>,
    durable: OnceCell<Durable>,
    /// What is known of the AWS stack.
    pub aws: Option<plan::Aws>,
    pub signing: plan::Signing,
    _folder: tempfile::TempDir,
}

/// The project file of a stack that is nothing but an app.
pub const APP_ONLY: &str = "name: shop\napp: {}\n";

impl Stage {
    /// `project` is `envctl.yaml`; each other file is a name and its text.
    pub fn with(project: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("envctl.yaml"), project).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let project = Project::open(folder.path(), None, &Shell::default()).unwrap();
        Self {
            project,
            proxy: OnceCell::new(),
            durable: OnceCell::new(),
            aws: None,
            signing: plan::Signing::default(),
            _folder: folder,
        }
    }

    pub fn new(project: &str, compose: &str) -> Self {
        Self::with(project, &[("compose.yaml", compose)])
    }

    pub fn app_only(compose: &str) -> Self {
        Self::new(APP_ONLY, compose)
    }

    pub fn names(&self) -> &Names {
        &self.project.names
    }

    /// The messages alone of what is wrong with a color's stack.
    pub fn try_app(&self, color: Color, release: &str) -> Result<App, Vec<String>> {
        self.stack(color, release)
            .map_err(|problems| problems.into_iter().map(|problem| problem.message).collect())
    }

    /// The stack of a color, or all that is wrong with it.
    pub fn stack(&self, color: Color, release: &str) -> Result<App, Vec<compose::Problem>> {
        let files = match self.project.load_app(color, release) {
            Ok(files) => files,
            Err(ConfigError::Problems(problems)) => return Err(problems.0),
            Err(other) => panic!("{other}"),
        };
        let builds = builds(&files);
        desired::app(&desired::Source {
            project: &self.project,
            files: &files,
            paths: &self.project.app_files(color).unwrap(),
            color,
            release,
            durable: &self.project.durable_targets(&files).unwrap(),
            replicas: &BTreeMap::new(),
            builds: &builds,
            wait: WAIT,
        })
    }

    /// A color's stack with a copy of the durable service `db`, whose data is on the volume `data`.
    pub fn cloned(&self, color: Color, release: &str) -> Result<App, Conflict> {
        let mut app = self.app(color, release);
        let service = self.durable().services.iter().find(|service| service.key == "db").unwrap();
        let original = desired::Original {
            service,
            image: &service.replicas[0].image,
            kind: Kind::MariaDb,
            volume: &self.names().durable_volume("data"),
        };
        desired::give_clone(&mut app, self.names(), &original)?;
        Ok(app)
    }

    pub fn app(&self, color: Color, release: &str) -> App {
        self.try_app(color, release).unwrap()
    }

    pub fn proxy(&self) -> &desired::Proxy {
        self.proxy.get_or_init(|| {
            desired::proxy(&self.project, &self.project.load_app(Color::Blue, "").unwrap())
        })
    }

    pub fn durable(&self) -> &Durable {
        self.durable.get_or_init(|| self.try_durable().unwrap())
    }

    /// The durable layer, or all that is wrong with it.
    pub fn try_durable(&self) -> Result<Durable, Vec<compose::Problem>> {
        let split = &self.project.file.durable.services;
        let own = self.project.load_durable().unwrap();
        let (files, paths, only): (_, Vec<PathBuf>, Option<&[String]>) = match own {
            Some(files) => (files, self.project.durable_files(), None),
            None => (
                self.project.load_app(Color::Blue, "").unwrap(),
                self.project.app_files(Color::Blue).unwrap(),
                Some(split),
            ),
        };
        let builds = builds(&files);
        desired::durable(&self.project, (&files, &paths), only, &builds, WAIT)
    }

    pub fn deploy(&self, world: &World, color: Color, release: &str) -> Result<Plan, Conflict> {
        self.deploy_app(world, &self.app(color, release), false)
    }

    pub fn deploy_app(&self, world: &World, app: &App, force: bool) -> Result<Plan, Conflict> {
        let proxy = self.proxy();
        let image = ImageJob {
            tag: "envctl-proxy:1".to_owned(),
            build: Some(crate::model::BuildSpec::default()),
            ..ImageJob::default()
        };
        let current = plan::proxy_is_current(proxy, &world.observed);
        plan::deploy(&Deploy {
            names: self.names(),
            app,
            proxy,
            proxy_image: (!current).then_some((&image, world.images.contains_key(&image.tag))),
            observed: &world.observed,
            images: &world.images,
            routing: &world.routing,
            revision: Some("3f2c1"),
            created: "2026-11-21T08:00:00Z",
            drain: Duration::from_secs(30),
            force,
            aws: self.aws.clone(),
        })
    }

    pub fn durable_up(
        &self,
        world: &World,
        apply: bool,
    ) -> Result<(Plan, Vec<Difference>), Conflict> {
        let images = &world.images;
        let aws = self.aws.clone();
        let (observed, signing) = (&world.observed, &self.signing);
        plan::durable_up(self.names(), self.durable(), observed, images, aws, signing, apply)
    }

    pub fn switch(&self, world: &World, to: Color) -> Result<Plan, Conflict> {
        self.switch_as(world, to, false, false)
    }

    pub fn switch_as(
        &self,
        world: &World,
        to: Color,
        tested: bool,
        force: bool,
    ) -> Result<Plan, Conflict> {
        plan::switch(&Switch { tested, force, ..self.switch_input(world, to) })
    }

    /// To a color whatever database it has.
    pub fn switch_keeping(&self, world: &World, to: Color) -> Result<Plan, Conflict> {
        plan::switch(&Switch { keep_clone: true, ..self.switch_input(world, to) })
    }

    pub fn switch_input<'a>(&'a self, world: &'a World, to: Color) -> Switch<'a> {
        Switch {
            names: self.names(),
            to,
            observed: &world.observed,
            routing: &world.routing,
            started: &world.started,
            tested: false,
            force: false,
            keep_clone: false,
            wait: WAIT,
            bake: None,
        }
    }

    /// All images that carry the project's label or are a proxy's, as the use case gives them.
    fn images(&self, world: &World) -> Vec<Image> {
        let made = world.images.values().filter(|image| {
            image.labels.get(labels::PROJECT) == Some(&self.names().project)
                || image.labels.get(labels::LAYER).map(String::as_str) == Some("proxy")
        });
        made.cloned().collect()
    }

    pub fn cleanup(&self, world: &World, color: Color) -> Result<Plan, Conflict> {
        let drain = Duration::from_secs(30);
        plan::cleanup(&plan::Cleanup {
            names: self.names(),
            color,
            observed: &world.observed,
            routing: &world.routing,
            made: plan::Made {
                images: &self.images(world),
                retained: &["20261121T081500.123Z-1f2e".to_owned()].into(),
                let_go: &BTreeSet::new(),
            },
            drain,
            hooks: Some(WAIT),
        })
    }

    pub fn down(&self, world: &World, confirmed: bool) -> Result<Plan, Conflict> {
        plan::down(&plan::Down {
            names: self.names(),
            observed: &world.observed,
            routing: &world.routing,
            made: plan::Made {
                images: &self.images(world),
                retained: &BTreeSet::new(),
                let_go: &BTreeSet::new(),
            },
            hooks: Some(WAIT),
            confirmed,
        })
    }

    /// Deploys a color on the model of the engine.
    pub fn deployed(&self, world: &mut World, color: Color, release: &str) {
        let plan = self.deploy(world, color, release).unwrap();
        world.apply(&plan);
    }

    /// Switches on the model of the engine.
    pub fn switched(&self, world: &mut World, color: Color) {
        let plan = self.switch(world, color).unwrap();
        world.apply(&plan);
    }
}

/// What the files build; the hash stands for the content.
fn builds(files: &compose::Project) -> BTreeMap<String, (crate::model::BuildSpec, String)> {
    let hash = |key: &str| format!("{key:0<12}");
    desired::builds(files)
        .into_iter()
        .map(|(key, spec)| {
            let hash = hash(&key);
            (key, (spec, hash))
        })
        .collect()
}
