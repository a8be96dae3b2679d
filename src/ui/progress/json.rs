//! One JSON object a line, for tools. Fields may be added; those there are stay.
//!
//! | `event` | fields |
//! |---|---|
//! | `operation` | `title`: an operation begins |
//! | `phase` | `title`: a part of it begins |
//! | `planned` | `plan`, `steps`: each with `step`, `after`, `action`, `title`, `reason` |
//! | `step-started` | `plan`, `step`, `action`, `title`, `reason` |
//! | `step-progress` | `plan`, `step`, and `done` and `total` bytes of a pull (twice a second) or a `line` of a build or of a one-shot service |
//! | `step-done` | as `step-started`, and `ms` |
//! | `step-failed` | as `step-done`; steps under way are let go and have no event of their own |
//! | `note`, `warning`, `hint` | `text` |
//! | `error` | `text`, `causes`, `hints`; `evidence` of a service that failed |
//! | `summary` | `text`, `changes`, `ms`, `slowest`, `addresses` |
//!
//! An `error` in the midst of an operation is what failed before something is done about it; the last word is another.
//! `plan` counts the plans of the operation from 1, `step` the steps of a plan from 1. The last three come from the
//! command itself. With `--quiet` there are `step-failed`, `warning` and `error` only.
//!
//! ```json
//! {"event":"step-done","plan":1,"step":3,"action":"start","title":"start green/api","reason":"created","ms":312}
//! ```

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::Face;
use crate::{
    engine,
    plan::{Id, Plan},
    run::Event,
    ui::{stream::Talk, style, summary::milliseconds},
};

const BYTES_EVERY: Duration = Duration::from_millis(500);

pub(super) struct Json {
    talk: Arc<Talk>,
    quiet: bool,
    /// Plans so far.
    plans: usize,
    /// When a step's bytes were last told.
    told: BTreeMap<Id, Instant>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line<'a> {
    Operation {
        title: &'a str,
    },
    Phase {
        title: &'a str,
    },
    Planned {
        plan: usize,
        steps: &'a Plan,
    },
    StepStarted(Start<'a>),
    StepProgress {
        plan: usize,
        step: Id,
        #[serde(flatten)]
        latest: Latest,
    },
    StepDone(Ended<'a>),
    StepFailed(Ended<'a>),
    Note {
        text: &'a str,
    },
    Warning {
        text: &'a str,
    },
    Error {
        text: &'a str,
        causes: [&'a str; 0],
        hints: [&'a str; 0],
    },
}

#[derive(Serialize)]
struct Start<'a> {
    plan: usize,
    step: Id,
    action: &'a str,
    title: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct Ended<'a> {
    #[serde(flatten)]
    start: Start<'a>,
    #[serde(rename = "ms", serialize_with = "milliseconds")]
    took: Duration,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Latest {
    Bytes { done: u64, total: u64 },
    Instruction { number: u64, of: u64, instruction: String },
    Line { line: String },
}

impl Json {
    pub fn new(talk: Arc<Talk>, title: &str, quiet: bool) -> Self {
        let json = Self { talk, quiet, plans: 0, told: BTreeMap::new() };
        json.tell(&Line::Operation { title });
        json
    }

    fn tell(&self, line: &Line<'_>) {
        if !self.quiet
            || matches!(line, Line::StepFailed(_) | Line::Warning { .. } | Line::Error { .. })
        {
            self.talk.event(line);
        }
    }

    fn step<'a>(&self, plan: &'a Plan, id: Id) -> Start<'a> {
        let step = plan.step(id);
        Start {
            plan: self.plans.max(1),
            step: id,
            action: step.action.name(),
            title: &step.title,
            reason: &step.reason,
        }
    }

    fn progress(&mut self, id: Id, latest: &engine::Step, now: Instant) {
        let latest = match latest {
            engine::Step::Instruction { number, of, text } => Latest::Instruction {
                number: *number,
                of: *of,
                instruction: style::clean_line(text),
            },
            engine::Step::Line(line) => Latest::Line { line: style::clean_line(line) },
            engine::Step::Bytes { done, total } => {
                let early = |last: &Instant| now.saturating_duration_since(*last) < BYTES_EVERY;
                if done != total && self.told.get(&id).is_some_and(early) {
                    return;
                }
                self.told.insert(id, now);
                Latest::Bytes { done: *done, total: *total }
            }
        };
        self.tell(&Line::StepProgress { plan: self.plans.max(1), step: id, latest });
    }
}

impl Face for Json {
    fn on(&mut self, event: &Event<'_>, now: Instant) {
        match event {
            Event::Phase(title) => self.tell(&Line::Phase { title }),
            Event::Planned(plan) => {
                self.plans += 1;
                self.told.clear();
                self.tell(&Line::Planned { plan: self.plans, steps: plan });
            }
            Event::Started(plan, id) => self.tell(&Line::StepStarted(self.step(plan, *id))),
            Event::Progress(_, id, latest) => self.progress(*id, latest, now),
            Event::Done(plan, id, took) => {
                self.tell(&Line::StepDone(Ended { start: self.step(plan, *id), took: *took }));
            }
            Event::Failed(plan, id, took) => {
                self.tell(&Line::StepFailed(Ended { start: self.step(plan, *id), took: *took }));
            }
            Event::Note(text) => self.tell(&Line::Note { text }),
            Event::Warning(text) => self.tell(&Line::Warning { text }),
            Event::Error(text) => self.tell(&Line::Error { text, causes: [], hints: [] }),
        }
    }

    fn tick(&mut self, _: Instant) {}

    fn finish(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::progress::testing;

    fn lines(quiet: bool) -> String {
        let (talk, err) = testing::talk();
        let mut face = Json::new(talk, "deploy green", quiet);
        let plan = testing::plan();
        let now = Instant::now();
        let bytes = |done| engine::Step::Bytes { done, total: 30 };
        let line = engine::Step::Line("#4 \u{1b}[1mRUN\u{1b}[0m \"make\"".to_owned());
        let instruction =
            engine::Step::Instruction { number: 2, of: 7, text: "RUN make".to_owned() };
        for event in [
            Event::Phase("app stack"),
            Event::Planned(&plan),
            Event::Started(&plan, Id(2)),
            Event::Progress(&plan, Id(2), bytes(10)),
            Event::Progress(&plan, Id(2), bytes(20)),
            Event::Progress(&plan, Id(2), bytes(30)),
            Event::Progress(&plan, Id(2), instruction),
            Event::Progress(&plan, Id(2), line),
            Event::Done(&plan, Id(2), Duration::from_millis(312)),
            Event::Planned(&Plan::default()),
            Event::Failed(&plan, Id(4), Duration::ZERO),
            Event::Note("note"),
            Event::Warning("a \"quoted\"\nwarning"),
        ] {
            face.on(&event, now);
        }
        for line in err.text().lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        err.text()
    }

    #[test]
    fn each_event_is_an_object_on_a_line() {
        insta::assert_snapshot!(lines(false), @r##"
        {"event":"operation","title":"deploy green"}
        {"event":"phase","title":"app stack"}
        {"event":"planned","plan":1,"steps":[{"step":1,"after":[],"action":"create-network","title":"create network shop-ci-green-network","reason":"not found"},{"step":2,"after":[],"action":"get-image","title":"get image shop/api:3f2c1","reason":"not on the engine"},{"step":3,"after":[1,2],"action":"create","title":"create green/api","reason":"not found"},{"step":4,"after":[3],"action":"start","title":"start green/api","reason":"created"},{"step":5,"after":[4],"action":"wait","title":"wait until green/api is healthy","reason":"green/web depends on it"},{"step":6,"after":[],"action":"remove","title":"remove green/old","reason":"not in the files"}]}
        {"event":"step-started","plan":1,"step":2,"action":"get-image","title":"get image shop/api:3f2c1","reason":"not on the engine"}
        {"event":"step-progress","plan":1,"step":2,"done":10,"total":30}
        {"event":"step-progress","plan":1,"step":2,"done":30,"total":30}
        {"event":"step-progress","plan":1,"step":2,"number":2,"of":7,"instruction":"RUN make"}
        {"event":"step-progress","plan":1,"step":2,"line":"#4 RUN \"make\""}
        {"event":"step-done","plan":1,"step":2,"action":"get-image","title":"get image shop/api:3f2c1","reason":"not on the engine","ms":312}
        {"event":"planned","plan":2,"steps":[]}
        {"event":"step-failed","plan":2,"step":4,"action":"start","title":"start green/api","reason":"created","ms":0}
        {"event":"note","text":"note"}
        {"event":"warning","text":"a \"quoted\"\nwarning"}
        "##);
    }

    #[test]
    fn quiet_has_warnings_and_failures() {
        insta::assert_snapshot!(lines(true), @r##"
        {"event":"step-failed","plan":2,"step":4,"action":"start","title":"start green/api","reason":"created","ms":0}
        {"event":"warning","text":"a \"quoted\"\nwarning"}
        "##);
    }
}
