//! The closing lines of an operation.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Serialize;

use super::style;
use crate::{
    base::words,
    plan::{Action, Id, Plan},
};

/// The closing lines of an operation: what came of it, what changed, the slowest step, the addresses.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// What came of it: `green is deployed`.
    text: String,
    /// How many things were changed, by verb and noun.
    changes: Vec<Change>,
    /// Of the whole operation.
    #[serde(rename = "ms", serialize_with = "milliseconds")]
    took: Duration,
    #[serde(skip_serializing_if = "Option::is_none")]
    slowest: Option<Slowest>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
    /// The addresses are those of the live routes, not previews.
    #[serde(skip)]
    live: bool,
    /// Started before, so that a start is no change of its own.
    #[serde(skip)]
    created: BTreeSet<String>,
    #[serde(skip)]
    steps: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Change {
    what: &'static str,
    how: &'static str,
    count: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Slowest {
    title: String,
    #[serde(rename = "ms", serialize_with = "milliseconds")]
    took: Duration,
}

pub(super) fn milliseconds<S: serde::Serializer>(
    time: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

impl Summary {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Counts the steps of a plan that were done, with the time each took.
    #[must_use]
    pub fn plan(mut self, plan: &Plan, took: &BTreeMap<Id, Duration>) -> Self {
        for (id, time) in took {
            let step = plan.step(*id);
            self.steps += 1;
            if self.slowest.as_ref().is_none_or(|slowest| slowest.took < *time) {
                self.slowest = Some(Slowest { title: step.title.clone(), took: *time });
            }
            match &step.action {
                Action::GetImage(job) if job.pull.is_none() => self.count("image", "built"),
                Action::GetImage(job) if job.build.is_none() => self.count("image", "pulled"),
                // Which of the two it was, its line told.
                Action::GetImage(_) => self.count("image", "pulled or built"),
                Action::RemoveImage(_) => self.count("image", "removed"),
                Action::CreateNetwork(_) => self.count("network", "created"),
                Action::RemoveNetwork(_) => self.count("network", "removed"),
                Action::CreateVolume(_) => self.count("volume", "created"),
                Action::RemoveVolume(_) => self.count("volume", "removed"),
                Action::Create(spec) => {
                    self.created.insert(spec.name.clone());
                    self.count("container", "created");
                }
                Action::Start(name) if self.created.contains(name) => {}
                Action::Start(_) => self.count("container", "started"),
                Action::Stop(_) | Action::StopCleanly(_) => self.count("container", "stopped"),
                Action::Remove(_) | Action::RemoveDurable(_) => self.count("container", "removed"),
                Action::Connect(..)
                | Action::CheckData(_)
                | Action::Await(_)
                | Action::Follow(_)
                | Action::Pipe(_)
                | Action::Tell(_)
                | Action::Bake(..)
                | Action::DeployAws(_)
                | Action::Certify(_)
                | Action::Sign(_)
                | Action::Snapshot(_) => {}
            }
        }
        self
    }

    /// The time of the whole operation.
    #[must_use]
    pub fn took(mut self, time: Duration) -> Self {
        self.took = time;
        self
    }

    /// Where the color can be looked at before the switch.
    #[must_use]
    pub fn previews(mut self, addresses: impl IntoIterator<Item = String>) -> Self {
        self.addresses.extend(addresses);
        self
    }

    /// Where the live color is reached.
    #[must_use]
    pub fn live(mut self, addresses: impl IntoIterator<Item = String>) -> Self {
        self.live = true;
        self.previews(addresses)
    }

    fn count(&mut self, what: &'static str, how: &'static str) {
        match self.changes.iter_mut().find(|change| change.what == what && change.how == how) {
            Some(change) => change.count += 1,
            None => self.changes.push(Change { what, how, count: 1 }),
        }
    }

    /// `1 image built, 2 networks, 1 volume and 3 containers created`.
    fn changed(&self) -> String {
        let mut verbs: Vec<&str> = vec![];
        for change in &self.changes {
            if !verbs.contains(&change.how) {
                verbs.push(change.how);
            }
        }
        let said: Vec<String> = verbs
            .into_iter()
            .map(|how| {
                let things: Vec<String> = self
                    .changes
                    .iter()
                    .filter(|change| change.how == how)
                    .map(|change| words::count(change.count, change.what))
                    .collect();
                format!("{} {how}", words::list(&things))
            })
            .collect();
        if said.is_empty() { "nothing changed".to_owned() } else { said.join(", ") }
    }

    pub(super) fn render(&self) -> String {
        let mut out = format!("{} {}", style::good("✓"), style::literals(&self.text));
        if self.took > Duration::ZERO {
            out.push_str(&style::dim(&format!(" in {}", style::seconds(self.took))));
        }
        out.push_str(&format!("\n  {}", self.changed()));
        if let Some(slowest) = self.slowest.as_ref().filter(|_| self.steps > 1) {
            let took = style::seconds(slowest.took);
            out.push_str(&style::dim(&format!("\n  slowest: {} ({took})", slowest.title)));
        }
        for (index, address) in self.addresses.iter().enumerate() {
            let label = match (index, self.live) {
                (0, false) => "preview:",
                (0, true) => "live at:",
                _ => "        ",
            };
            out.push_str(&format!("\n  {label} {}", style::literal(address)));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::progress::testing;

    fn plain(summary: &Summary) -> String {
        anstream::adapter::strip_str(&summary.render()).to_string()
    }

    #[test]
    fn a_summary_counts_what_was_done() {
        let plan = testing::plan();
        let took = (1..=6).map(|n| (Id(n), Duration::from_millis(100 * n as u64))).collect();
        let summary = Summary::new("green is deployed")
            .plan(&plan, &took)
            .took(Duration::from_millis(2140))
            .previews(["http://localhost:3020", "https://localhost:3463"].map(str::to_owned));
        insta::assert_snapshot!(plain(&summary), @r"
        ✓ green is deployed in 2.1 s
          1 network and 1 container created, 1 image built, 1 container removed
          slowest: remove green/old (0.6 s)
          preview: http://localhost:3020
                   https://localhost:3463
        ");
        insta::assert_snapshot!(serde_json::to_string(&summary).unwrap(), @r#"{"text":"green is deployed","changes":[{"what":"network","how":"created","count":1},{"what":"image","how":"built","count":1},{"what":"container","how":"created","count":1},{"what":"container","how":"removed","count":1}],"ms":2140,"slowest":{"title":"remove green/old","ms":600},"addresses":["http://localhost:3020","https://localhost:3463"]}"#);
    }

    #[test]
    fn the_plans_of_one_command_count_together() {
        let durable = testing::plan();
        let took = |n: u64| (1..=6).map(move |step| (Id(step), Duration::from_millis(n))).collect();
        let mut switch = Plan::default();
        for name in ["shop-ci-green-api-1", "shop-ci-green-worker-1"] {
            switch.push([], Action::Start(name.to_owned()), format!("start {name}"), "");
        }
        let summary = Summary::new("green is live").plan(&durable, &took(10)).plan(
            &switch,
            &[(Id(1), Duration::from_millis(10)), (Id(2), Duration::from_secs(1))].into(),
        );
        insta::assert_snapshot!(plain(&summary), @r"
        ✓ green is live
          1 network and 1 container created, 1 image built, 1 container removed, 1 container started
          slowest: start shop-ci-green-worker-1 (1.0 s)
        ");
    }

    #[test]
    fn a_summary_of_nothing_says_so() {
        insta::assert_snapshot!(plain(&Summary::new("green stands as it should")), @r"
        ✓ green stands as it should
          nothing changed
        ");
    }
}
