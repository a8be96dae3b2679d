//! The hooks of a release, as the labels of their containers tell: one-shot services that run one after the other.

use super::{Action, Id, Plan, Until, Wait, deploy::of_color};
use crate::model::{Color, Container, Hook, Names, Observed, State, When, labels};

/// What all hooks of a moment have in common.
pub(super) struct Moment<'a> {
    pub names: &'a Names,
    pub observed: &'a Observed,
    pub color: Color,
    pub when: When,
    /// How long one may run that has no limit of its own.
    pub wait: std::time::Duration,
    /// What a failure means.
    pub failure: &'a str,
}

impl Moment<'_> {
    /// Adds the steps of the hooks that are `due`; returns what the next step has to wait for.
    ///
    /// One that runs already, as a command that was killed left it, is waited for and not started again.
    pub fn run(
        &self,
        plan: &mut Plan,
        mut after: Vec<Id>,
        due: impl Fn(&Container) -> bool,
    ) -> Vec<Id> {
        let all = with_order(self.observed, self.names, self.color, self.when);
        for (hook, own) in all.into_iter().filter(|(hook, _)| due(hook)) {
            let service = hook.label(labels::SERVICE).unwrap_or(&hook.name);
            let shown = format!("{}/{service}", self.color);
            let mut reason = self.failure;
            if hook.is_running() {
                reason = "it runs already";
            } else {
                after = vec![plan.push(
                    after,
                    Action::Start(hook.name.clone()),
                    format!("run {shown}"),
                    format!("hooks.{}", self.when),
                )];
            }
            let wait = Wait {
                container: hook.name.clone(),
                service: shown.clone(),
                until: Until::Completed,
                limit: own.limit().unwrap_or(self.wait),
            };
            after = vec![plan.push(
                after,
                Action::Follow(Box::new(wait)),
                format!("wait until {shown} has ended well"),
                reason,
            )];
        }
        after
    }
}

/// The hooks of a moment, in their order in the file.
pub fn hooks_of<'a>(
    observed: &'a Observed,
    names: &Names,
    color: Color,
    when: When,
) -> Vec<&'a Container> {
    with_order(observed, names, color, when).into_iter().map(|(hook, _)| hook).collect()
}

fn with_order<'a>(
    observed: &'a Observed,
    names: &Names,
    color: Color,
    when: When,
) -> Vec<(&'a Container, Hook)> {
    let mut all: Vec<(&Container, Hook)> = of_color(observed, names, color.as_str())
        .into_iter()
        .filter(|container| container.label(labels::ROLE) == Some("hook"))
        .filter_map(|hook| Some((hook, Hook::of_label(hook.label(labels::HOOK)?)?)))
        .filter(|(_, own)| own.when == when)
        .collect();
    all.sort_by_key(|(_, own)| own.order);
    all
}

/// Whether it has not ended well yet.
pub(super) fn not_done(hook: &Container) -> bool {
    hook.state != State::Exited { code: 0 }
}
