//! The proxy's side of the control protocol, with its state in its volume: a new container finds it again.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    engine::memory::Memory,
    model::{
        Canary, Figures, Routing,
        control::{Answer, Draining, Line, Record, Request, Status},
    },
};

const VOLUME: &str = "shop-devlocal-proxy-state";

/// Makes the engine answer what a proxy is asked.
pub fn serve(engine: &Arc<Memory>) {
    let weak = Arc::downgrade(engine);
    engine.on_ask(move |line| {
        let Some(engine) = weak.upgrade() else { return String::new() };
        let line: Line<Request> = serde_json::from_str(line).unwrap();
        let body = answer(&engine, line.body);
        serde_json::to_string(&Line { id: line.id, body }).unwrap()
    });
}

pub fn routing(engine: &Memory) -> Routing {
    let bytes = engine.volume_file(VOLUME, "routing.json");
    bytes.map(|bytes| serde_json::from_slice(&bytes).unwrap()).unwrap_or_default()
}

/// From the next change of its routing on the proxy refuses to say how it is.
pub fn falls_silent(engine: &Memory) {
    let before = serde_json::to_vec(&routing(engine)).unwrap();
    engine.set_volume_file(VOLUME, "silent-once-changed", &before);
}

fn save(engine: &Memory, routing: &Routing) -> Answer {
    engine.set_volume_file(VOLUME, "routing.json", &serde_json::to_vec(routing).unwrap());
    Answer::Done
}

fn answer(engine: &Memory, request: Request) -> Answer {
    let mut routing = routing(engine);
    let refused = |reason: &str| Answer::Refused { reason: reason.to_owned() };
    match request {
        Request::Status
            if engine
                .volume_file(VOLUME, "silent-once-changed")
                .is_some_and(|before| before != serde_json::to_vec(&routing).unwrap()) =>
        {
            refused("it says nothing")
        }
        Request::Status => Answer::Status(Box::new(Status {
            version: "1.2.3".to_owned(),
            routing,
            paused: None,
            draining: BTreeMap::new(),
            open: BTreeMap::new(),
        })),
        Request::Put { color, stack, drain_ms } => {
            routing.stacks.insert(color, stack);
            routing.drain = std::time::Duration::from_millis(drain_ms);
            save(engine, &routing)
        }
        Request::Switch { to, .. } => {
            if !routing.stacks.contains_key(&to) {
                return refused("no such stack");
            }
            let from = routing.live.replace(to);
            routing.canary = None;
            if from != Some(to) {
                let now = jiff::Timestamp::from_millisecond(engine.clock()).unwrap();
                routing.switched = Some(now.to_string());
            }
            save(engine, &routing);
            Answer::Switched { from, to, draining: Draining::default() }
        }
        Request::Weigh { to, weight, .. } => {
            let since = String::new();
            routing.canary = (weight > 0).then_some(Canary { to, weight, since });
            save(engine, &routing)
        }
        Request::Watch { color } => {
            let value = serde_json::to_vec(&color).unwrap();
            engine.set_volume_file(VOLUME, "watch.json", &value);
            Answer::Done
        }
        Request::Watched => match engine.volume_file(VOLUME, "figures.json") {
            Some(bytes) => Answer::Watched(serde_json::from_slice(&bytes).unwrap()),
            None => Answer::Watched(Figures::default()),
        },
        Request::Forget { color } if routing.live == Some(color) => refused("it is live"),
        Request::Forget { color } => {
            routing.stacks.remove(&color);
            save(engine, &routing)
        }
        Request::Tested { color, release, result } => match routing.stacks.get_mut(&color) {
            Some(stack) if stack.release == release => {
                stack.tests = Some(result);
                save(engine, &routing)
            }
            _ => refused("another release"),
        },
        Request::Drained { .. } | Request::Retire { .. } => {
            Answer::Drained { left: Draining::default() }
        }
        Request::Probe { .. } | Request::Certificates { .. } | Request::Pause { .. } => {
            Answer::Done
        }
        Request::Resume => Answer::Resumed { held: 0 },
        Request::Maintain { maintenance } => {
            routing.maintenance = maintenance;
            save(engine, &routing)
        }
        Request::Access { .. } => refused("it keeps no access log"),
        Request::Tls { .. } => refused("no listener has TLS"),
        Request::Record(Record { name, value }) => {
            let file = format!("history/{name}.json");
            engine.set_volume_file(VOLUME, &file, value.to_string().as_bytes());
            Answer::Done
        }
        Request::History { .. } => {
            let files = engine.volume_folder(VOLUME, "history/");
            let records = files.into_iter().map(|(file, bytes)| Record {
                name: file.trim_end_matches(".json").to_owned(),
                value: serde_json::from_slice(&bytes).unwrap(),
            });
            Answer::History(records.collect())
        }
    }
}
