//! The steps that bring an environment's proxy up.

use super::{Action, Conflict, Id, ImageJob, Plan, conflict, desired::Proxy};
use crate::model::{Names, Observed, ServiceSpec, labels};

/// Whether the proxy's container is there as it shall be: its image is not needed then. One whose network or volume is
/// gone would not start, also on a new one of the same name.
pub fn proxy_is_current(desired: &Proxy, observed: &Observed) -> bool {
    let places = observed.network(&desired.network.name).is_some()
        && desired.volumes.iter().all(|volume| observed.volume(&volume.name).is_some());
    places
        && observed.container(&desired.spec.name).is_some_and(|found| {
            found.label(labels::SPEC_HASH)
                == desired.spec.labels.get(labels::SPEC_HASH).map(String::as_str)
        })
}

/// The steps after which the proxy's network is there, and after which it runs; none where that is so already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Up {
    pub network: Option<Id>,
    pub started: Option<Id>,
}

/// Adds the steps after which the proxy runs. `image` is given when the container has to be made.
pub(super) fn proxy(
    plan: &mut Plan,
    names: &Names,
    desired: &Proxy,
    image: Option<&ImageJob>,
    image_is_there: bool,
    observed: &Observed,
) -> Result<Up, Conflict> {
    let found = conflict::own_container(observed, names, "proxy", &desired.spec.name)?;
    let network = conflict::own_network(observed, names, "proxy", &desired.network.name)?;
    let current = proxy_is_current(desired, observed);
    if current && found.is_some_and(crate::model::Container::is_running) {
        return Ok(Up { network: None, started: None });
    }
    conflict::ports(observed, &desired.spec.name, &desired.spec.ports)?;
    let volumes: Vec<_> =
        desired.volumes.iter().filter(|volume| observed.volume(&volume.name).is_none()).collect();
    let mut before = vec![];
    let mut made_network = None;
    if !current && let Some(image) = image {
        let reason = match found {
            None => "not found",
            Some(_) if network.is_none() || !volumes.is_empty() => "what it stands on is gone",
            Some(_) => "its ports or settings changed",
        };
        if !image_is_there {
            before.push(plan.push(
                [],
                Action::GetImage(Box::new(image.clone())),
                format!("make image {}", image.tag),
                "the proxy runs from it",
            ));
        }
        if found.is_some() {
            let stop = plan.push(
                before.clone(),
                Action::Stop(desired.spec.name.clone()),
                "stop the proxy",
                reason,
            );
            before = vec![plan.push(
                [stop],
                Action::Remove(desired.spec.name.clone()),
                "remove the proxy's container",
                reason,
            )];
        }
        // After the removal: the old container would never start on a new network of the same name.
        let removed = if found.is_some() { before.clone() } else { vec![] };
        if network.is_none() {
            made_network = Some(plan.push(
                removed.clone(),
                Action::CreateNetwork(Box::new(desired.network.clone())),
                format!("create network {}", desired.network.name),
                "not found",
            ));
            before.extend(made_network);
        }
        for volume in volumes {
            before.push(plan.push(
                removed.clone(),
                Action::CreateVolume(Box::new(volume.clone())),
                format!("create volume {}", volume.name),
                "not found",
            ));
        }
        let mut spec = desired.spec.clone();
        spec.image.clone_from(&image.tag);
        before =
            vec![plan.push(before, Action::Create(Box::new(spec)), "create the proxy", reason)];
    }
    if let Some(found) = found.filter(|_| current) {
        plan.know(ServiceSpec { image: found.image.clone(), ..desired.spec.clone() });
    }
    let reason = if current { "it is stopped" } else { "it carries the traffic" };
    let start = Action::Start(desired.spec.name.clone());
    let started = Some(plan.push(before, start, "start the proxy", reason));
    Ok(Up { network: made_network, started })
}
