//! `deploy`: a fresh stack on the idle color.

use std::{collections::BTreeMap, time::Duration};

use futures_util::FutureExt as _;

use super::{
    OpsError, Session, aws, clone,
    history::{self, Recorded},
    lock::locked,
    ports,
    preview::{self, Preview},
    proxy, releases, sources, state, switch,
    undo::undo,
};
use crate::{
    base::clock,
    model::{Color, Observed, Routing},
    plan::{
        self, Deploy, Id, Plan,
        desired::{self, App, Proxy},
    },
    run::Event,
};

#[derive(Debug, Clone, Default)]
pub struct DeployOptions {
    /// None: the idle one.
    pub color: Option<Color>,
    /// Deploy to the live color all the same.
    pub force: bool,
    /// Numbers of replicas in place of the files'.
    pub replicas: BTreeMap<String, u32>,
    /// Remove what stands of the color when it fails.
    pub cleanup_on_failure: bool,
    /// Give the color a copy of the database.
    pub clone: bool,
}

#[derive(Debug)]
pub struct Deployed {
    pub color: Color,
    pub release: String,
    pub plan: Plan,
    /// How long each step took.
    pub took: BTreeMap<Id, Duration>,
    pub previews: Vec<Preview>,
    /// The services that it has copies of.
    pub clones: Vec<String>,
}

/// Plans a deployment without doing it.
pub async fn plan_deploy(session: &Session<'_>, options: DeployOptions) -> Result<Plan, OpsError> {
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    let revision = revision(session).await;
    let ready = prepare(session, &options, &observed, &routing, revision).await?;
    ready.warn(session);
    Ok(ready.plan)
}

/// Brings a fresh stack up on the idle color and makes it known to the proxy. The live color is not touched.
pub async fn deploy(session: &Session<'_>, options: DeployOptions) -> Result<Deployed, OpsError> {
    let what = options.color.map_or_else(|| "deploy".to_owned(), |color| format!("deploy {color}"));
    locked(session, &what, async || deploy_locked(session, options).await).await
}

pub(super) async fn deploy_locked(
    session: &Session<'_>,
    options: DeployOptions,
) -> Result<Deployed, OpsError> {
    let mut observed = session.observe().await?;
    let (routing, revision) = tokio::join!(state::routing(session, &observed), revision(session));
    let routing = routing?;
    if switch::finish(session, &observed, &routing).await? {
        observed = session.observe().await?;
    }
    let ready = prepare(session, &options, &observed, &routing, revision).await?;
    ports::check(session, &ready.plan, &observed)?;
    ready.warn(session);
    let recorded = Recorded::new("deploy")
        .release(ready.color, &ready.release)
        .made_of(ready.revision.as_deref(), ready.images.clone())
        .plan(&ready.plan)
        .forced(options.force)
        .clone(!ready.app.clones.is_empty());
    let took = history::recorded(session, recorded, async || {
        // What is known can be switched to, and then be gone back to: it is kept first.
        let keep = || keep(session, &ready).boxed_local();
        session.execute_with(&ready.plan, Some(ready.color), Some(&keep)).await
    })
    .await;
    let took = match took {
        Err(error) if options.cleanup_on_failure => {
            return Err(undo(session, error, ready.color, &ready.release).await);
        }
        took => took?,
    };
    Ok(Deployed {
        color: ready.color,
        release: ready.release,
        plan: ready.plan,
        took,
        previews: ready.previews,
        clones: ready.app.clones.into_iter().map(|clone| clone.key).collect(),
    })
}

/// Keeps the release that is up now for a way back.
async fn keep(session: &Session<'_>, ready: &Ready) {
    let images = releases::keep(session, &ready.app, ready.revision.as_deref()).await;
    session.journal.note(|change| {
        for (service, image) in images {
            change.digests.extend(image.digest.map(|digest| (service.clone(), digest)));
            change.image_ids.insert(service, image.id);
        }
    });
}

/// A deployment ready to be carried out.
pub(super) struct Ready {
    pub color: Color,
    pub release: String,
    pub revision: Option<String>,
    pub plan: Plan,
    /// By service, as they are called.
    pub images: BTreeMap<String, String>,
    app: App,
    previews: Vec<Preview>,
    warnings: Vec<String>,
    /// What the proxy's image is built from, until it is built.
    _folder: Option<tempfile::TempDir>,
}

impl Ready {
    fn warn(&self, session: &Session<'_>) {
        for warning in &self.warnings {
            session.reporter.on(Event::Warning(warning));
        }
    }
}

async fn prepare(
    session: &Session<'_>,
    options: &DeployOptions,
    observed: &Observed,
    routing: &Routing,
    revision: Option<String>,
) -> Result<Ready, OpsError> {
    let color = options.color.unwrap_or_else(|| Session::idle(routing));
    let release = clock::id();
    let (files, mut app) = sources::app(session, color, &release, &options.replicas).await?;
    if options.clone {
        clone::give_all(session, observed, &mut app).await?;
    }
    let proxy = desired::proxy(session.project, &files);
    let previews = preview::of(session, &files, color);
    let ready = ready(session, app, &proxy, (observed, routing), revision, options.force).await?;
    Ok(Ready { previews, ..ready })
}

/// Plans the deployment of a stack.
pub(super) async fn ready(
    session: &Session<'_>,
    mut app: App,
    proxy: &Proxy,
    (observed, routing): (&Observed, &Routing),
    revision: Option<String>,
    force: bool,
) -> Result<Ready, OpsError> {
    let (image, folder) = if plan::proxy_is_current(proxy, observed) {
        (None, None)
    } else {
        let (job, there, folder) = proxy::image(session).await?;
        (Some((job, there)), folder)
    };
    let (images, aws) = tokio::try_join!(
        sources::images(session, app.services.iter()),
        aws::for_app(session, observed, &app)
    )?;
    let plan = plan::deploy(&Deploy {
        names: &session.project.names,
        app: &app,
        proxy,
        proxy_image: image.as_ref().map(|(job, there)| (job, *there)),
        observed,
        images: &images,
        routing,
        revision: revision.as_deref(),
        created: &clock::now(),
        drain: session.project.file.proxy.drain,
        force,
        aws,
    })?;
    let mut warnings = std::mem::take(&mut app.warnings);
    warnings.extend(fewer_than_live(&app, routing));
    Ok(Ready {
        color: app.color,
        release: app.release.clone(),
        revision,
        plan,
        images: app.services.iter().map(|s| (s.key.clone(), s.image.tag.clone())).collect(),
        previews: vec![],
        warnings,
        app,
        _folder: folder,
    })
}

/// A warning for each service that gets fewer replicas than `scale` gave the live one.
fn fewer_than_live(app: &App, routing: &Routing) -> Vec<String> {
    let Some((live, stack)) =
        routing.live.and_then(|live| Some((live, routing.stacks.get(&live)?)))
    else {
        return vec![];
    };
    let given = |key: &str| app.services.iter().find(|service| service.key == key);
    let fewer = stack.replicas.iter().filter_map(|(key, now)| {
        let new = given(key)?.replicas.len();
        (usize::try_from(*now).is_ok_and(|now| new < now)).then(|| {
            format!(
                "{live}/{key} has {now} replicas, {}/{key} gets {new}; `--replicas {key}={now}` keeps them",
                app.color
            )
        })
    });
    fewer.collect()
}

/// The Git revision of the checkout: CI's own word, else `git`'s.
pub(super) async fn revision(session: &Session<'_>) -> Option<String> {
    if let Some(revision) = session.shell.revision() {
        return Some(revision.to_owned());
    }
    let output = tokio::process::Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(&session.project.root)
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
