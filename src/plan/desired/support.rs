//! Keys of a service that the engine cannot be told: refused with the reason, or, where leaving them out changes nothing
//! of what the containers are, told as without effect.

use super::service::Place;
use crate::compose::{self, Problem};

const ELSEWHERE: &str = "only Windows has it";

/// What envctl does not do: refused with its place, never skipped.
pub(super) fn refuse(service: &compose::Service, place: &Place<'_>, problems: &mut Vec<Problem>) {
    let hooks = "a command in the container's entrypoint, or a service under `hooks` of envctl.yaml, does that";
    let refused = [
        ("post_start", !service.post_start.is_empty(), hooks),
        ("pre_start", !service.pre_start.is_empty(), hooks),
        (
            "pre_stop",
            !service.pre_stop.is_empty(),
            "handle `stop_signal` in the service: a pre-stop command does not run when a container dies",
        ),
        (
            "cpu_count",
            service.cpu_count.is_some_and(|count| count != 0),
            "only Windows has it: use `cpus`",
        ),
        (
            "cpu_percent",
            service.cpu_percent.is_some_and(|share| share != 0.0),
            "only Windows has it: use `cpus`",
        ),
        ("isolation", is_other(service.isolation.as_ref(), "default"), ELSEWHERE),
        ("uts", is_other(service.uts.as_ref(), "host"), "the engine knows `host` alone"),
        (
            "userns_mode",
            is_other(service.userns_mode.as_ref(), "host"),
            "the engine knows `host` alone",
        ),
    ];
    for (key, present, reason) in refused {
        if present {
            problems.push(place.problem(&[key], format!("envctl does not support it: {reason}")));
        }
    }
    if let Some(build) = &service.build {
        let insecure = "the engine's own BuildKit builds without further rights";
        let stages =
            "the engine's BuildKit leaves the cache of all stages out (`no_cache`), or of none";
        for (key, present, reason) in [
            ("privileged", build.privileged, insecure),
            ("entitlements", !build.entitlements.is_empty(), insecure),
            ("no_cache_filter", !build.no_cache_filter.is_empty(), stages),
            ("isolation", is_other(build.isolation.as_ref(), "default"), ELSEWHERE),
        ] {
            if present {
                let message = format!("envctl does not support it: {reason}");
                problems.push(place.problem(&["build", key], message));
            }
        }
    }
    let mode = service.deploy.as_ref().and_then(|deploy| deploy.mode.as_deref());
    if let Some(mode) = mode.filter(|mode| !matches!(*mode, "replicated" | "global")) {
        problems.push(place.problem(
            &["deploy", "mode"],
            format!(
                "envctl does not support `{mode}`: what others wait for with \
                 `condition: service_completed_successfully` runs to its end"
            ),
        ));
    }
    if service.image.is_none() && service.build.is_none() {
        problems.push(place.problem(&["image"], "neither `image` nor `build` says what to run"));
    }
}

fn is_other(value: Option<&String>, known: &str) -> bool {
    value.is_some_and(|value| !value.is_empty() && value != known)
}

/// What is read and checked, and changes nothing here.
pub(super) fn without_effect(service: &compose::Service, place: &Place<'_>) -> Vec<Problem> {
    const SWARM: &str = "only a Swarm has it";
    let mut told = vec![];
    let mut tell = |keys: &[&str], present: bool, reason: &str| {
        if present {
            told.push(place.problem(keys, format!("has no effect: {reason}")));
        }
    };
    if let Some(deploy) = &service.deploy {
        let update = "a color is brought up whole, and a switch moves all of it at once";
        tell(&["deploy", "update_config"], deploy.update_config.is_some(), update);
        tell(&["deploy", "rollback_config"], deploy.rollback_config.is_some(), update);
        tell(&["deploy", "placement"], deploy.placement != compose::Placement::default(), SWARM);
        tell(&["deploy", "endpoint_mode"], deploy.endpoint_mode.is_some(), SWARM);
        let labels = "they are those of a Swarm's service; a container's are under `labels`";
        tell(&["deploy", "labels"], !deploy.labels.is_empty(), labels);
        if let Some(policy) = &deploy.restart_policy {
            let engine = "the engine restarts in intervals of its own";
            tell(&["deploy", "restart_policy", "delay"], policy.delay.is_some(), engine);
            tell(&["deploy", "restart_policy", "window"], policy.window.is_some(), engine);
        }
        for (name, resource) in
            [("limits", &deploy.resources.limits), ("reservations", &deploy.resources.reservations)]
        {
            let Some(resource) = resource else { continue };
            let keys = |key| ["deploy", "resources", name, key];
            let reserved = name == "reservations";
            tell(&keys("generic_resources"), !resource.generic_resources.is_empty(), SWARM);
            tell(
                &keys("cpus"),
                reserved && resource.cpus.is_some(),
                "the engine reserves memory, not processors",
            );
            tell(
                &keys("pids"),
                reserved && resource.pids.is_some(),
                "processes are limited, not reserved",
            );
            tell(
                &keys("devices"),
                !reserved && !resource.devices.is_empty(),
                "devices are reserved, not limited",
            );
        }
    }
    if let Some(build) = &service.build {
        let asked = |value: Option<&String>| value.is_some_and(|value| value != "false");
        let record = "an image on the engine has no attestations";
        tell(&["build", "provenance"], asked(build.provenance.as_ref()), record);
        tell(&["build", "sbom"], asked(build.sbom.as_ref()), record);
        tell(
            &["build", "platforms"],
            build.platforms.len() > 1,
            "one engine has one platform: the first is built",
        );
    }
    for (index, mount) in service.volumes.iter().enumerate() {
        let index = index.to_string();
        let labels = mount.volume.as_ref().is_some_and(|options| !options.labels.is_empty());
        tell(
            &["volumes", &index, "volume", "labels"],
            labels,
            "those of a volume are under the project's `volumes`",
        );
    }
    told
}

/// What has no effect of the secrets and configs that services use is refused: their content would be another one.
pub(super) fn object(
    (section, name): (&str, &str),
    object: &compose::FileObject,
    project: &compose::Project,
    problems: &mut Vec<Problem>,
) {
    for (key, present) in
        [("driver", object.driver.is_some()), ("template_driver", object.template_driver.is_some())]
    {
        if present {
            let message = "envctl does not support it: only a Swarm has such drivers";
            problems.push(project.problem(&[section, name, key], message));
        }
    }
}
