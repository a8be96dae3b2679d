//! One line a step when it is done, for logs; a sign of life where one takes long.

use std::{sync::Arc, time::Instant};

use super::{Face, board::Board};
use crate::{run::Event, ui::stream::Talk};

pub(super) struct Plain {
    talk: Arc<Talk>,
    board: Board,
}

impl Plain {
    pub fn new(talk: Arc<Talk>, board: Board) -> Self {
        Self { talk, board }
    }
}

impl Face for Plain {
    fn on(&mut self, event: &Event<'_>, now: Instant) {
        for line in self.board.on(event, now) {
            self.talk.write(&line);
        }
    }

    fn tick(&mut self, now: Instant) {
        for line in self.board.signs(now) {
            self.talk.write(&line);
        }
    }

    fn finish(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        engine::Step,
        plan::{Id, Plan as Steps},
        ui::progress::testing,
    };

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn face(quiet: bool, verbose: bool) -> (Plain, crate::ui::stream::Buffer, Instant) {
        let (talk, err) = testing::talk();
        let now = Instant::now();
        (Plain::new(talk, Board::new("deploy green", quiet, verbose, now)), err, now)
    }

    fn operation(face: &mut Plain, now: Instant) {
        let plan = testing::plan();
        for event in [
            Event::Phase("app stack"),
            Event::Planned(&plan),
            Event::Started(&plan, Id(1)),
            Event::Started(&plan, Id(2)),
            Event::Done(&plan, Id(1), ms(41)),
            Event::Progress(&plan, Id(2), Step::Line("#4 RUN \u{1b}[1mmake\u{1b}[0m\r\n".into())),
            Event::Done(&plan, Id(2), ms(70_000)),
            Event::Note("`blue` is live"),
            Event::Warning("`db` differs"),
            Event::Started(&plan, Id(3)),
            Event::Failed(&plan, Id(3), ms(312)),
        ] {
            face.on(&event, now);
        }
    }

    #[test]
    fn a_step_is_a_line_in_the_order_of_the_ends() {
        let (mut face, err, now) = face(false, false);
        operation(&mut face, now);
        insta::assert_snapshot!(err.text(), @r"
        deploy green
        app stack
        ✓ create network shop-ci-green-network   0.0 s  not found
        ✓ get image shop/api:3f2c1             1 min 10 s  not on the engine
        `blue` is live
        warning: `db` differs
        ✗ create green/api                       0.3 s  not found
        ");
    }

    #[test]
    fn verbose_has_the_lines_of_builds() {
        let (mut face, err, now) = face(false, true);
        operation(&mut face, now);
        assert!(err.text().contains("\n  get image shop/api:3f2c1: #4 RUN make\n"));
    }

    #[test]
    fn what_a_one_shot_service_says_is_for_everybody_but_the_quiet() {
        for (quiet, expected) in [(false, "green/migrate | 3 tables made"), (true, "")] {
            let (mut face, err, now) = face(quiet, false);
            let line = Step::Line("3 tables made\n".into());
            face.on(&Event::Progress(&testing::hook(), Id(1), line), now);
            assert_eq!(err.text().lines().last().unwrap_or_default().trim(), expected);
        }
    }

    #[test]
    fn quiet_has_warnings_and_failures() {
        let (mut face, err, now) = face(true, true);
        operation(&mut face, now);
        face.tick(now + ms(60_000));
        insta::assert_snapshot!(err.text(), @r"
        warning: `db` differs
        ✗ create green/api                       0.3 s  not found
        ");
    }

    #[test]
    fn a_long_step_gives_signs_of_life_that_get_rarer() {
        let (mut face, err, now) = face(false, false);
        let plan = testing::plan();
        face.on(&Event::Planned(&plan), now);
        face.on(&Event::Started(&plan, Id(2)), now);
        face.on(&Event::Started(&plan, Id(5)), now + ms(5000));
        let bytes = Step::Bytes { done: 12 << 20, total: 45 << 20 };
        face.on(&Event::Progress(&plan, Id(2), bytes), now);
        for tick in 0..1500 {
            face.tick(now + ms(tick * 100));
        }
        insta::assert_snapshot!(err.text(), @r"
        … get image shop/api:3f2c1              10.0 s  12.0 MiB of 45.0 MiB
        … wait until green/api is healthy       10.0 s  still waiting
        … get image shop/api:3f2c1              30.0 s  12.0 MiB of 45.0 MiB
        … wait until green/api is healthy       30.0 s  still waiting
        … get image shop/api:3f2c1             1 min 0 s  12.0 MiB of 45.0 MiB
        … wait until green/api is healthy      1 min 0 s  still waiting
        … get image shop/api:3f2c1             2 min 0 s  12.0 MiB of 45.0 MiB
        … wait until green/api is healthy      2 min 0 s  still waiting
        ");
    }

    #[test]
    fn many_long_steps_give_few_signs() {
        let (mut face, err, now) = face(false, false);
        let plan: Steps = testing::waits(200);
        for step in plan.steps() {
            face.on(&Event::Started(&plan, step.id), now);
        }
        face.tick(now + ms(11_000));
        face.tick(now + ms(12_000));
        assert_eq!(err.text().lines().count(), 6);
        assert!(err.text().ends_with("… and 195 more\n"), "{}", err.text());
    }

    #[test]
    fn a_new_plan_forgets_what_an_earlier_one_left_running() {
        let (mut face, err, now) = face(false, false);
        let plan = testing::plan();
        face.on(&Event::Started(&plan, Id(5)), now);
        face.on(&Event::Planned(&plan), now);
        face.tick(now + ms(20_000));
        assert_eq!(err.text(), "");
    }
}
