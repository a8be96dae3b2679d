//! A database of the durable layer: its container, its volume, and what is known of its kind.

use super::{OpsError, Session, durable::containers, sources};
use crate::{
    database::{About, Kind},
    model::{Container, Mount, Observed, labels},
    plan::{
        self, Action, Pipe, Plan, Sink, Source,
        desired::{Durable, Service},
    },
};

/// A database that can be copied and put back.
pub(super) struct Database {
    /// As its file has it.
    pub service: Service,
    /// As it stands.
    pub found: Container,
    pub kind: Kind,
    /// The volume with its data.
    pub volume: String,
}

/// What a durable container is: by its image, else by that of its service where the engine tells no name of it any more.
pub(super) fn kind_of(desired: &Durable, found: &Container) -> Option<Kind> {
    let by_files = || {
        let service = desired.services.iter().find(|it| it.replicas[0].name == found.name)?;
        Kind::of_image(&service.replicas[0].image).filter(|_| found.image.starts_with("sha256:"))
    };
    Kind::of_container(found).or_else(by_files)
}

/// The containers of databases that can be copied.
fn known<'a>(
    session: &Session<'_>,
    desired: &Durable,
    observed: &'a Observed,
) -> Vec<(&'a Container, Kind)> {
    containers(&session.project.names, observed)
        .into_iter()
        .filter_map(|found| Some((found, kind_of(desired, found)?)))
        .filter(|(_, kind)| kind.is_copied())
        .collect()
}

fn key_of(found: &Container) -> &str {
    found.label(labels::SERVICE).unwrap_or_default()
}

impl Database {
    /// The one of this name, else the only one of the durable layer.
    pub async fn find(
        session: &Session<'_>,
        observed: &Observed,
        service: Option<&str>,
    ) -> Result<Self, OpsError> {
        let desired = sources::durable(session).await?;
        let all = known(session, &desired, observed);
        let mut wanted = all.clone();
        wanted.retain(|(found, _)| service.is_none_or(|name| key_of(found) == name));
        let [(found, kind)] = wanted.as_slice() else {
            let place = "the durable layer's databases".to_owned();
            let name = service.unwrap_or("(one of them)").to_owned();
            let known = all.iter().map(|(found, _)| key_of(found).to_owned()).collect();
            return Err(OpsError::NoService { name, place, known });
        };
        Self::of(&desired, found, *kind)
    }

    /// All of the durable layer, sorted.
    pub async fn all(session: &Session<'_>, observed: &Observed) -> Result<Vec<Self>, OpsError> {
        let desired = sources::durable(session).await?;
        let known = known(session, &desired, observed).into_iter();
        known.map(|(found, kind)| Self::of(&desired, found, kind)).collect()
    }

    fn of(desired: &Durable, found: &Container, kind: Kind) -> Result<Self, OpsError> {
        let key = key_of(found).to_owned();
        let not =
            |reason: &str| OpsError::NotCopied { service: key.clone(), reason: reason.to_owned() };
        let service = desired.services.iter().find(|service| service.key == key);
        let Some(service) = service else {
            return Err(not("its files have no such service any more"));
        };
        let holds_data = |target: &str| {
            let target = target.trim_end_matches('/');
            kind.data().strip_prefix(target).is_some_and(|r| r.is_empty() || r.starts_with('/'))
        };
        let volume = service.replicas[0].mounts.iter().find_map(|mount| match mount {
            Mount::Volume { source: Some(source), target, .. } if holds_data(target) => {
                Some(source.clone())
            }
            _ => None,
        });
        let Some(volume) = volume else {
            return Err(not(&format!("its data in {} is on no volume with a name", kind.data())));
        };
        Ok(Self { service: service.clone(), found: found.clone(), kind, volume })
    }

    /// What the running server tells of itself and its data.
    pub async fn about(&self, session: &Session<'_>) -> Result<About, OpsError> {
        let mut plan = Plan::default();
        let asked = self.ask(&mut plan);
        let mut heard = session.execute_hearing(&plan).await?;
        Ok(About::read(&heard.remove(&asked).unwrap_or_default().text))
    }

    /// The step that has it tell.
    pub fn ask(&self, plan: &mut Plan) -> plan::Id {
        let pipe = Pipe {
            container: self.found.name.clone(),
            command: self.kind.call("about", &[]),
            from: Source::Nothing,
            to: Sink::Heard,
        };
        let title = format!("ask {} for its version and which data it has", self.service.key);
        plan.push([], Action::Pipe(Box::new(pipe)), title, "")
    }

    /// An error unless it runs.
    pub fn must_run(&self) -> Result<(), OpsError> {
        if self.found.is_running() {
            return Ok(());
        }
        let reason = "it does not run; `envctl durable up` starts it".to_owned();
        Err(OpsError::NotCopied { service: self.service.key.clone(), reason })
    }
}
