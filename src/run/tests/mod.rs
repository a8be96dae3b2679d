//! The executor on the in-memory engine.

mod evidence;
mod health;
mod order;

use std::{sync::Mutex, time::Duration};

use super::{Event, Executor, Failure, Reporter, Secrets};
use crate::{
    engine::{Engine as _, memory::Memory},
    model::{Healthcheck, ServiceSpec, Test},
    plan::{Action, Id, Plan, Until, Wait},
};

/// What was told, in order.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Reporter for Told {
    fn on(&self, event: Event<'_>) {
        let line = match event {
            Event::Started(plan, id) => format!("begin {}", plan.step(id).title),
            Event::Done(plan, id, _) => format!("done {}", plan.step(id).title),
            Event::Failed(plan, id, _) => format!("failed {}", plan.step(id).title),
            Event::Progress(plan, id, _) => format!("progress {}", plan.step(id).title),
            Event::Note(text) => format!("note {text}"),
            _ => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

async fn run(engine: &Memory, told: &Told, plan: &Plan) -> Result<(), Failure> {
    run_with(engine, told, plan, &[]).await
}

async fn run_with(
    engine: &Memory,
    told: &Told,
    plan: &Plan,
    secrets: &[&str],
) -> Result<(), Failure> {
    let secrets = Secrets::new(secrets);
    let executor = Executor {
        engine,
        proxy: "proxy",
        reporter: told,
        secrets: &secrets,
        before_known: None,
        heard: std::cell::RefCell::default(),
        outputs: std::cell::RefCell::default(),
        said: std::cell::RefCell::default(),
    };
    executor.run(plan).await.map(|_| ())
}

/// Containers that are made, in an engine that has their image.
async fn engine(names: &[&str]) -> Memory {
    let engine = Memory::new();
    engine.have_image("a");
    for name in names {
        engine.create(&spec(name, None)).await.unwrap();
    }
    engine
}

fn spec(name: &str, check: Option<Test>) -> ServiceSpec {
    let healthcheck = check.map(|test| Healthcheck {
        test,
        interval: None,
        timeout: None,
        retries: None,
        start_period: None,
        start_interval: None,
    });
    ServiceSpec { name: name.into(), image: "a".into(), healthcheck, ..ServiceSpec::default() }
}

fn start(plan: &mut Plan, name: &str, after: &[Id]) -> Id {
    plan.push(after.iter().copied(), Action::Start(name.into()), name, "")
}

fn wait(plan: &mut Plan, name: &str, until: Until, after: &[Id]) -> Id {
    let limit = Duration::from_secs(20);
    let wait = Wait { container: name.into(), service: format!("green/{name}"), until, limit };
    plan.push(after.iter().copied(), Action::Await(Box::new(wait)), format!("wait {name}"), "")
}
