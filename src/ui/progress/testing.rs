//! Plans and streams for the tests of this module.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressDrawTarget};

use crate::{
    model::ServiceSpec,
    plan::{Action, ImageJob, Plan, Until, Wait},
    ui::stream::{Buffer, Stream, Talk},
};

/// A small deployment: network, image, create, start, wait, and an old container removed.
pub fn plan() -> Plan {
    let mut plan = Plan::default();
    let name = "shop-ci-green-api-1".to_owned();
    let network = Action::CreateNetwork(Box::default());
    let network = plan.push([], network, "create network shop-ci-green-network", "not found");
    let job = ImageJob { tag: "shop/api:3f2c1".to_owned(), ..ImageJob::default() };
    let image = Action::GetImage(Box::new(job));
    let image = plan.push([], image, "get image shop/api:3f2c1", "not on the engine");
    let spec = ServiceSpec { name: name.clone(), ..ServiceSpec::default() };
    let create = Action::Create(Box::new(spec));
    let create = plan.push([network, image], create, "create green/api", "not found");
    let start = plan.push([create], Action::Start(name.clone()), "start green/api", "created");
    plan.push([start], wait(name), "wait until green/api is healthy", "green/web depends on it");
    let remove = Action::Remove("shop-ci-green-old-1".to_owned());
    plan.push([], remove, "remove green/old", "not in the files");
    plan
}

/// The wait for a hook's end.
pub fn hook() -> Plan {
    let mut plan = Plan::default();
    let wait = Wait {
        service: "green/migrate".to_owned(),
        container: "shop-ci-green-migrate-1".to_owned(),
        until: Until::Completed,
        limit: Duration::from_secs(60),
    };
    plan.push([], Action::Follow(Box::new(wait)), "wait until green/migrate has ended well", "");
    plan
}

/// As many waits that know nothing of each other.
pub fn waits(n: usize) -> Plan {
    let mut plan = Plan::default();
    for service in 1..=n {
        let title = format!("wait until green/s{service} is healthy");
        plan.push([], wait(format!("s{service}")), title, "a route goes there");
    }
    plan
}

fn wait(container: String) -> Action {
    Action::Await(Box::new(Wait {
        service: container.clone(),
        container,
        until: Until::Healthy,
        limit: Duration::from_secs(60),
    }))
}

/// Talk without color into a buffer, nothing drawn.
pub fn talk() -> (Arc<Talk>, Buffer) {
    let err = Buffer::default();
    let talk = Talk {
        stream: Stream::new(Box::new(err.clone()), false),
        drawn: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
        drawing: AtomicUsize::new(0),
    };
    (Arc::new(talk), err)
}
