//! The services that the project file names: each has to be in the app's files, and has one task.

use std::collections::BTreeMap;

use super::Project;
use crate::{
    base::words,
    compose::{self, Problem, Problems},
};

/// A service that the project file names.
struct Named<'a> {
    /// Where: `hooks.before_switch`, and the number in that list.
    list: [&'static str; 2],
    number: String,
    service: &'a str,
}

impl Project {
    /// The services that the project file names. Their profiles do not count, as with `docker compose run`.
    pub(super) fn named_services(&self) -> Vec<String> {
        self.named().into_iter().map(|named| named.service.to_owned()).collect()
    }

    /// Each named service has to be there, and a service has one task only.
    pub(super) fn check_named(&self, files: &compose::Project) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let mut tasks: BTreeMap<&str, [&str; 2]> = BTreeMap::new();
        for Named { list, number, service } in &self.named() {
            let mut place: Vec<&str> = list
                .iter()
                .copied()
                .filter(|key| !key.is_empty())
                .chain([number.as_str()])
                .collect();
            if list[0] == "checks" {
                place.push("service");
            }
            if !files.services.contains_key(*service) {
                let known = files.services.keys().chain(files.disabled.keys());
                let near = words::nearest(service, known.map(String::as_str));
                let message = format!("no service `{service}` in the app's files");
                problems.push(
                    self.problem(&place, message)
                        .with_hint(near.map(|near| format!("did you mean `{near}`?"))),
                );
            }
            let before = tasks.insert(service, *list).filter(|before| before != list);
            if let Some(before) = before {
                let before = before.join(".");
                let before = before.trim_end_matches('.');
                let message = format!("`{service}` is in {before} already: a service has one task");
                problems.push(self.problem(&place, message));
            }
        }
        problems.or_ok()
    }

    /// The routes that checks ask have to be among these: listen port, and whether it has TLS.
    pub fn check_routes(&self, routes: &[(u16, bool)]) -> Vec<Problem> {
        let mut problems = vec![];
        for (number, check) in self.file.checks.iter().enumerate() {
            let super::Ask::Preview(preview) = &check.ask else { continue };
            let number = number.to_string();
            let found = match preview.route {
                Some(route) => routes.iter().find(|(port, _)| *port == route),
                None => routes.iter().find(|(_, tls)| *tls || preview.tls.is_none()),
            };
            let known = routes.iter().map(|(port, _)| port.to_string()).collect::<Vec<_>>();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            match (preview.route, found) {
                (Some(route), None) => problems.push(self.problem(
                    &["checks", &number, "route"],
                    format!("no HTTP route listens on {route}; there is {known}"),
                )),
                (None, None) => {
                    let kind = if preview.tls.is_some() { "with TLS" } else { "of HTTP" };
                    let message = format!("the project has no route {kind} to ask");
                    problems.push(self.problem(&["checks", &number], message));
                }
                (Some(route), Some((_, false))) if preview.tls.is_some() => {
                    let message = format!("route {route} has no `tls`");
                    problems.push(self.problem(&["checks", &number, "tls"], message));
                }
                _ => {}
            }
        }
        problems
    }

    fn named(&self) -> Vec<Named<'_>> {
        let file = &self.file;
        let of = |list, number: usize, service| Named { list, number: number.to_string(), service };
        let mut all = vec![];
        for (number, service) in file.durable.services.iter().enumerate() {
            all.push(of(["durable", "services"], number, service.as_str()));
        }
        for (number, service) in file.app.workers.iter().enumerate() {
            all.push(of(["app", "workers"], number, service));
        }
        for (when, number, hook) in file.hooks.all() {
            all.push(of(["hooks", when.as_str()], number, &hook.service));
        }
        for (number, check) in file.checks.iter().enumerate() {
            all.extend(check.service().map(|service| of(["checks", ""], number, service)));
        }
        all
    }
}
