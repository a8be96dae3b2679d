//! `status`: what stands, and who gets the traffic.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::{
    DurableService, OpsError, Session,
    durable::{containers, services_of, state as word},
    lock,
    preview::{self, Preview},
    state,
};
use crate::{
    model::{
        Canary, Change, Color, Container, Holder, Inspection, Names, Observed, Route, Routing,
        Stack, State, Usage,
        control::{self, Answer, Draining, Paused, Request},
        labels,
    },
    plan,
};

/// Containers that are looked at closely at one time.
const AT_ONCE: usize = 16;

/// An environment as it is.
#[derive(Debug, Serialize)]
pub struct Status {
    pub project: String,
    pub environment: String,
    /// The project's environments that there is something of on the engine.
    pub environments: Vec<EnvironmentStatus>,
    pub live: Option<Color>,
    /// When the traffic last moved.
    pub switched: Option<String>,
    /// While the idle color gets a share of the traffic.
    pub canary: Option<Canary>,
    /// While all live routes answer with a page: since when.
    pub maintenance: Option<String>,
    /// While new requests are held.
    pub paused: Option<Paused>,
    pub proxy: ProxyStatus,
    pub colors: BTreeMap<Color, ColorStatus>,
    pub durable: Vec<DurableStatus>,
    /// The operation that runs now.
    pub lock: Option<Holder>,
    /// The holder's process is gone; the next changing command takes over.
    pub lock_lapsed: bool,
    /// The last change that ended.
    pub last: Option<Change>,
    /// Where the live stack is reached.
    pub addresses: Vec<Preview>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct EnvironmentStatus {
    pub name: String,
    pub containers: usize,
    pub running: usize,
}

#[derive(Debug, Serialize)]
pub struct ProxyStatus {
    /// `running`, `stopped`, `absent`.
    pub state: String,
    pub version: Option<String>,
    #[serde(flatten)]
    pub vitals: Vitals,
}

#[derive(Debug, Serialize)]
pub struct ColorStatus {
    pub release: Option<String>,
    pub revision: Option<String>,
    pub created: Option<String>,
    /// Whether its tests passed; none when it was not tested.
    pub tested: Option<bool>,
    pub services: Vec<ServiceStatus>,
    pub routes: Vec<Route>,
    pub previews: Vec<Preview>,
    pub draining: Option<Draining>,
    /// The databases that it has a copy of, in the place of the durable ones.
    pub clones: Vec<CloneStatus>,
}

#[derive(Debug, Serialize)]
pub struct CloneStatus {
    pub service: String,
    /// When the copy was made; none where its container is gone.
    pub made: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct ServiceStatus {
    pub service: String,
    pub container: String,
    /// `worker`, `job`, `hook` or `test`; none for what serves.
    pub role: Option<String>,
    pub state: String,
    pub image: String,
    #[serde(flatten)]
    pub vitals: Vitals,
}

#[derive(Debug, Serialize)]
pub struct DurableStatus {
    #[serde(flatten)]
    pub service: DurableService,
    #[serde(flatten)]
    pub vitals: Vitals,
}

/// How a container fares.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Vitals {
    pub restarts: u32,
    /// Of its last run, if that ended.
    pub exit_code: Option<i64>,
    pub out_of_memory: bool,
    #[serde(flatten)]
    pub usage: Option<Usage>,
}

/// Looks; changes nothing and waits for nobody.
pub async fn status(session: &Session<'_>) -> Result<Status, OpsError> {
    let names = &session.project.names;
    let observed = session.observe().await?;
    let (told, vitals) = tokio::try_join!(told(session, &observed), vitals(session, &observed))?;
    let Told { answer, routing, last } = told;
    let paused = answer.as_ref().and_then(|status| status.paused);
    // Where the files cannot be read the addresses are left out: what stands can be told without them.
    let files = session.project.load_app(routing.live.unwrap_or(Color::Blue), "").ok();
    let of = |name: &str| vitals.get(name).cloned().unwrap_or_default();
    let mut colors = BTreeMap::new();
    for color in Color::ALL {
        let services = services(names, &observed, color, &vitals);
        let stack: Option<&Stack> = routing.stacks.get(&color);
        if stack.is_none() && services.is_empty() {
            continue;
        }
        let previews = files.as_ref().map(|files| preview::of(session, files, color));
        colors.insert(
            color,
            ColorStatus {
                release: stack.map(|stack| stack.release.clone()),
                revision: stack.and_then(|stack| stack.revision.clone()),
                created: stack.map(|stack| stack.created.clone()),
                tested: stack.and_then(|stack| stack.tests.as_ref()?["passed"].as_bool()),
                services,
                routes: stack.map(|stack| stack.routes.clone()).unwrap_or_default(),
                previews: previews.unwrap_or_default(),
                draining: answer.as_ref().and_then(|status| status.draining.get(&color).copied()),
                clones: clones(names, &observed, color),
            },
        );
    }
    let found = observed.container(&names.proxy());
    let proxy = ProxyStatus {
        state: match (&answer, found) {
            (Some(_), _) => "running",
            (None, Some(found)) => word(found.state),
            (None, None) => "absent",
        }
        .to_owned(),
        version: answer.map(|status| status.version),
        vitals: of(&names.proxy()),
    };
    let durable = services_of(&containers(names, &observed))
        .into_iter()
        .map(|service| DurableStatus { vitals: of(&service.container), service })
        .collect();
    let held = lock::current(session, &observed);
    Ok(Status {
        project: names.project.clone(),
        environment: names.environment.clone(),
        environments: environments(names, &observed),
        live: routing.live,
        switched: routing.switched,
        canary: routing.canary,
        maintenance: routing.maintenance.map(|it| it.since),
        paused,
        proxy,
        colors,
        durable,
        lock_lapsed: held
            .as_ref()
            .is_some_and(|held| lock::died_here(held, &lock::holder(session, ""))),
        lock: held,
        last,
        addresses: files.map(|files| preview::live(session, &files)).unwrap_or_default(),
    })
}

/// What the proxy says, or what it wrote down.
struct Told {
    answer: Option<Box<control::Status>>,
    routing: Routing,
    last: Option<Change>,
}

async fn told(session: &Session<'_>, observed: &Observed) -> Result<Told, OpsError> {
    let newest = Request::History { limit: Some(1) };
    if let Some(answer) = state::proxy_status(session, observed).await?
        && let Some(Answer::History(mut records)) = state::asked(session, observed, &newest).await?
    {
        let last = records.pop();
        let last = last.and_then(|record| serde_json::from_value(record.value).ok());
        return Ok(Told { routing: answer.routing.clone(), answer: Some(answer), last });
    }
    let routing = state::written_routing(session, observed).await?;
    let last = state::written_changes(session, observed).await?.pop();
    Ok(Told { answer: None, routing, last })
}

/// How each container of the environment fares, by name.
async fn vitals(
    session: &Session<'_>,
    observed: &Observed,
) -> Result<BTreeMap<String, Vitals>, OpsError> {
    let own: Vec<&Container> = observed
        .containers
        .iter()
        .filter(|found| {
            found.belongs_to(&session.project.names) && found.label(labels::LAYER) != Some("lock")
        })
        .collect();
    let ids: Vec<&str> =
        own.iter().filter(|found| found.is_running()).map(|found| found.id.as_str()).collect();
    let names = own.iter().map(|found| found.name.clone());
    let looks = stream::iter(names)
        .map(|name| async move {
            let seen = session.engine.inspect(&name).await?;
            Ok::<_, OpsError>((name, seen.unwrap_or_default()))
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>();
    let (usage, looks) = tokio::join!(session.engine.usage(&ids), looks);
    let usage = usage?;
    looks
        .into_iter()
        .map(|look| {
            let (name, seen): (String, Inspection) = look?;
            let vitals = Vitals {
                restarts: seen.restarts,
                exit_code: seen.exit_code,
                out_of_memory: seen.oom_killed,
                usage: usage.get(&seen.id).copied(),
            };
            Ok((name, vitals))
        })
        .collect()
}

fn services(
    names: &Names,
    observed: &Observed,
    color: Color,
    vitals: &BTreeMap<String, Vitals>,
) -> Vec<ServiceStatus> {
    let of_color = observed.containers.iter().filter(|found| {
        found.belongs_to(names) && found.label(labels::COLOR) == Some(color.as_str())
    });
    let mut services: Vec<ServiceStatus> = of_color
        .map(|found| ServiceStatus {
            service: found.label(labels::SERVICE).unwrap_or(&found.name).to_owned(),
            container: found.name.clone(),
            role: found.label(labels::ROLE).map(str::to_owned),
            state: word(found.state).to_owned(),
            image: found.image.clone(),
            vitals: vitals.get(&found.name).cloned().unwrap_or_default(),
        })
        .collect();
    services.sort_by(|a, b| a.container.cmp(&b.container));
    services
}

fn clones(names: &Names, observed: &Observed, color: Color) -> Vec<CloneStatus> {
    let made = |service: &str| {
        let found = observed.container(&names.container(color, service, 1))?;
        Some(jiff::Timestamp::from_second(found.created).ok()?.to_string())
    };
    let all = plan::clones_of(observed, names, color).into_iter();
    all.map(|service| CloneStatus { made: made(&service), service }).collect()
}

fn environments(names: &Names, observed: &Observed) -> Vec<EnvironmentStatus> {
    let of_project = |found: &BTreeMap<String, String>| {
        (found.get(labels::PROJECT) == Some(&names.project))
            .then(|| found.get(labels::ENVIRONMENT).cloned())
            .flatten()
    };
    let containers = observed.containers.iter().filter_map(|found| of_project(&found.labels));
    let volumes = observed.volumes.iter().filter_map(|found| of_project(&found.labels));
    let all: BTreeSet<String> = containers.chain(volumes).collect();
    all.into_iter()
        .map(|name| {
            let own = Names::new(names.project.clone(), name);
            let stands = |found: &&Container| {
                found.belongs_to(&own) && found.label(labels::LAYER) != Some("lock")
            };
            let own_containers = || observed.containers.iter().filter(stands);
            EnvironmentStatus {
                containers: own_containers().count(),
                running: own_containers()
                    .filter(|found| matches!(found.state, State::Running { .. }))
                    .count(),
                name: own.environment.clone(),
            }
        })
        .collect()
}
