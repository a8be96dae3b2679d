//! `durable up` from every state that the layer's things can be in: it converges, or refuses and says why, and what was
//! not ours is as it was.

use std::collections::BTreeMap;

use super::stage::{DB, Stage};
use crate::{
    engine::{Engine as _, memory::Behaviour},
    model::{NetworkSpec, Observed, ServiceSpec, VolumeSpec, labels},
    ops::{self, OpsError},
};

const CONTAINER: &str = "shop-devlocal-durable-db";
const NETWORK: &str = "shop-devlocal-durable-network";
const VOLUME: &str = "shop-devlocal-durable-data";
const STATE: &str = "shop-devlocal-proxy-state";

/// How a thing is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Absent,
    Present,
    /// A container alone.
    Stopped,
    Killed,
    /// Its files say something else now.
    Changed,
    /// Of that name, and nobody's.
    Foreign,
    /// Of that name, and another environment's.
    OtherEnvironment,
}

use Found::{Absent, Changed, Foreign, Killed, OtherEnvironment, Present, Stopped};

/// Container, network, volume, the proxy's state.
type Case = (Found, Found, Found, Found);

fn cases() -> Vec<Case> {
    let mut all = vec![];
    for container in [Absent, Present, Stopped, Killed, Changed, Foreign, OtherEnvironment] {
        for network in [Absent, Present, Foreign] {
            for volume in [Absent, Present, Foreign, OtherEnvironment] {
                for state in [Absent, Present, Foreign] {
                    let ours = matches!(container, Present | Stopped | Killed | Changed);
                    // An engine keeps a volume that is in use, and a network that a running container has joined.
                    let runs = matches!(container, Present | Changed);
                    if ours && volume != Present || runs && network != Present {
                        continue;
                    }
                    all.push((container, network, volume, state));
                }
            }
        }
    }
    all
}

fn foreign(found: Found) -> BTreeMap<String, String> {
    let of = [(labels::PROJECT, "shop"), (labels::ENVIRONMENT, "ci"), (labels::LAYER, "durable")];
    match found {
        OtherEnvironment => of.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        _ => BTreeMap::new(),
    }
}

/// The stage in that state.
async fn stage_in((container, network, volume, state): Case) -> Stage {
    let mut stage = Stage::new();
    ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
    let engine = &stage.engine;
    engine.set_volume_file(VOLUME, "ibdata1", b"rows");
    match container {
        Present | Changed => {}
        Stopped => engine.stop(CONTAINER, None).await.unwrap(),
        Killed => {
            engine.behave(CONTAINER, Behaviour::killed_when_stopped());
            engine.stop(CONTAINER, None).await.unwrap();
            engine.behave(CONTAINER, Behaviour::runs());
        }
        Absent | Foreign | OtherEnvironment => engine.remove(CONTAINER).await.unwrap(),
    }
    if network != Present {
        engine.remove_network(NETWORK).await.unwrap();
    }
    if volume != Present {
        engine.remove_volume(VOLUME).await.unwrap();
    }
    if state != Present {
        engine.remove_volume(STATE).await.unwrap();
    }
    if matches!(network, Foreign | OtherEnvironment) {
        let labels = foreign(network);
        let spec = NetworkSpec { name: NETWORK.to_owned(), labels, ..NetworkSpec::default() };
        engine.create_network(&spec).await.unwrap();
    }
    for (name, found) in [(VOLUME, volume), (STATE, state)] {
        if matches!(found, Foreign | OtherEnvironment) {
            let labels = foreign(found);
            let spec = VolumeSpec { name: name.to_owned(), labels, ..VolumeSpec::default() };
            engine.create_volume(&spec).await.unwrap();
            engine.set_volume_file(name, "file", b"another's");
        }
    }
    if matches!(container, Foreign | OtherEnvironment) {
        let spec = ServiceSpec {
            name: CONTAINER.to_owned(),
            image: "mariadb:11.8".to_owned(),
            labels: foreign(container),
            ..ServiceSpec::default()
        };
        engine.create(&spec).await.unwrap();
    }
    if container == Changed {
        stage.with_db(&DB.replace("image:", "command: [--new]\n    image:"));
    }
    stage
}

/// What `durable up` says of it, none where it converges.
fn refusal((container, network, volume, _): Case) -> Option<String> {
    let things = [
        ("network", NETWORK, network),
        ("container", CONTAINER, container),
        ("volume", VOLUME, volume),
    ];
    things.into_iter().find_map(|(kind, name, found)| {
        let owner = match found {
            Foreign => "it carries no label of an owner",
            OtherEnvironment => "of the envctl project `shop`, ci, durable",
            _ => return None,
        };
        Some(format!("the {kind} `{name}` is there and not envctl's own ({owner})"))
    })
}

fn not_ours(seen: &Observed) -> Observed {
    let ours = |labels: &BTreeMap<String, String>| {
        labels.get(labels::ENVIRONMENT).map(String::as_str) == Some("devlocal")
    };
    Observed {
        containers: seen.containers.iter().filter(|c| !ours(&c.labels)).cloned().collect(),
        networks: seen.networks.iter().filter(|n| !ours(&n.labels)).cloned().collect(),
        volumes: seen.volumes.iter().filter(|v| !ours(&v.labels)).cloned().collect(),
    }
}

#[tokio::test(start_paused = true)]
async fn durable_up_converges_or_refuses_with_its_reason_from_every_state() {
    let cases = cases();
    assert!(cases.len() >= 50, "{}", cases.len());
    for case in cases {
        let (container, _, volume, state) = case;
        let stage = stage_in(case).await;
        let before = stage.engine.seen();
        let up = ops::durable_up(&stage.session(), ops::Apply::No).await;
        let after = stage.engine.seen();
        assert_eq!(not_ours(&before), not_ours(&after), "{case:?}");
        if volume == Present {
            let rows = stage.engine.volume_file(VOLUME, "ibdata1");
            assert_eq!(rows.as_deref(), Some(&b"rows"[..]), "{case:?}");
        }
        if state == Foreign {
            let file = stage.engine.volume_file(STATE, "file");
            assert_eq!(file.as_deref(), Some(&b"another's"[..]), "{case:?}");
            assert_eq!(stage.engine.volume_folder(STATE, "history/"), [], "{case:?}");
        }
        if let Some(refusal) = refusal(case) {
            assert_eq!(up.unwrap_err().to_string(), refusal, "{case:?}");
            assert_eq!(before, after, "{case:?}");
            continue;
        }
        let up = up.unwrap_or_else(|error| panic!("{case:?}: {error}"));
        assert!(after.container(CONTAINER).unwrap().is_running(), "{case:?}");
        assert!(after.network(NETWORK).is_some() && after.volume(VOLUME).is_some(), "{case:?}");
        assert_eq!(up.differences.len(), usize::from(container == Changed), "{case:?}");
        if container == Changed {
            assert_eq!(before.container(CONTAINER), after.container(CONTAINER), "{case:?}");
        }
        // Whose state cannot be written is told.
        let told = stage.notes.all().contains(STATE);
        assert_eq!(
            told,
            state == Foreign && !up.plan.only_waits(),
            "{case:?}: {}",
            stage.notes.all()
        );
        let again = ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
        assert!(again.plan.only_waits(), "{case:?}\n{}", again.plan);
    }
}

#[tokio::test(start_paused = true)]
async fn what_stopped_with_another_definition_and_lost_its_network_asks_for_apply() {
    for found in [Stopped, Killed] {
        let mut stage = stage_in((found, Absent, Present, Present)).await;
        stage.with_db(&DB.replace("image:", "command: [--new]\n    image:"));
        let refused = ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap_err();
        assert!(matches!(refused, OpsError::Conflict(crate::plan::Conflict::NeedsApply { .. })));
        ops::durable_up(&stage.session(), ops::Apply::AfterSnapshot).await.unwrap();
        assert!(stage.engine.seen().container(CONTAINER).unwrap().is_running());
    }
}
