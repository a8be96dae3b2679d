//! Lines that move while steps run, and move up for good when one is done.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    Face,
    board::{Board, SHORT, Size},
};
use crate::{run::Event, ui::stream::Talk};

/// What a target lets pass before it keeps to its rate.
const BURST: usize = 20;

/// Draws a frame a tick and no other: what comes between two ticks is kept for the next.
pub(super) struct Drawn {
    talk: Arc<Talk>,
    board: Board,
    /// The terminal may be resized at any time.
    size: Box<dyn Fn() -> Size + Send>,
    /// Has no lines: draws what stands on the screen once more, if the target's rate has a draw to spare.
    spare: Option<ProgressBar>,
    /// One a line of the last frame.
    slots: Vec<ProgressBar>,
    /// Lines that stay, and are not yet on the screen.
    above: Vec<String>,
}

impl Drawn {
    pub fn new(talk: Arc<Talk>, board: Board, size: Box<dyn Fn() -> Size + Send>) -> Self {
        talk.drawing.fetch_add(1, Ordering::Relaxed);
        Self { talk, board, size, spare: None, slots: vec![], above: vec![] }
    }

    fn slot(&self, template: &str) -> ProgressBar {
        let style = ProgressStyle::with_template(template).expect("the template is well-formed");
        let slot = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        self.talk.drawn.add(slot.with_style(style))
    }

    /// Spends the draws that the target would spend on single lines, before the frame is whole.
    fn spend(&mut self) {
        if let Some(spare) = &self.spare {
            spare.tick();
        } else {
            let spare = self.slot("");
            (0..BURST).for_each(|_| spare.tick());
            self.spare = Some(spare);
        }
    }

    fn fit(&mut self, lines: usize) {
        while self.slots.len() > lines {
            if let Some(slot) = self.slots.pop() {
                self.talk.drawn.remove(&slot);
            }
        }
        while self.slots.len() < lines {
            self.slots.push(self.slot("{wide_msg}"));
        }
    }
}

impl Face for Drawn {
    fn on(&mut self, event: &Event<'_>, now: Instant) {
        self.board.fit((self.size)());
        self.above.extend(self.board.on(event, now));
    }

    fn tick(&mut self, now: Instant) {
        if now.saturating_duration_since(self.board.begun()) < SHORT {
            return;
        }
        self.spend();
        self.board.fit((self.size)());
        let frame = self.board.frame(now);
        self.fit(frame.len());
        for (slot, line) in self.slots.iter().zip(&frame) {
            // Held back by the target's rate: all lines are drawn together below.
            slot.set_message(self.talk.stream.paint(line));
        }
        let Some(last) = self.slots.last() else { return };
        if self.above.is_empty() {
            last.force_draw();
        } else {
            let above = self.above.join("\n");
            self.above.clear();
            last.println(self.talk.stream.paint(&above));
        }
    }

    fn finish(&mut self) {
        self.fit(0);
        if let Some(spare) = self.spare.take() {
            self.talk.drawn.remove(&spare);
            // As for any talk: who cannot see it is not told of it.
            let _ = self.talk.drawn.clear();
        }
        self.talk.drawing.fetch_sub(1, Ordering::Relaxed);
        if !self.above.is_empty() {
            self.talk.write(&self.above.join("\n"));
            self.above.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, time::Duration};

    use indicatif::{InMemoryTerm, MultiProgress, TermLike as _};

    use super::*;
    use crate::{
        engine::Step,
        plan::Id,
        ui::{
            progress::{screen::Screen, testing},
            stream::Stream,
        },
    };

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn face(width: usize, height: usize) -> (Drawn, Screen, Arc<Talk>, Instant) {
        let screen = Screen::new(width, height);
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), 1);
        let talk = Arc::new(Talk {
            stream: Stream::new(Box::new(screen.clone()), false),
            drawn: MultiProgress::with_draw_target(target),
            drawing: AtomicUsize::new(0),
        });
        let now = Instant::now();
        let board = Board::new("deploy green", false, false, now);
        let size = Box::new(move || Size { width, height });
        (Drawn::new(Arc::clone(&talk), board, size), screen, talk, now)
    }

    #[test]
    fn what_is_done_stays_above_and_what_runs_moves_below() {
        let (mut face, screen, talk, now) = face(72, 24);
        let plan = testing::plan();
        face.on(&Event::Planned(&plan), now);
        face.on(&Event::Started(&plan, Id(1)), now);
        face.on(&Event::Started(&plan, Id(2)), now);
        face.tick(now + ms(100));
        assert_eq!(screen.text(), "", "nothing at first");

        face.on(&Event::Done(&plan, Id(1), ms(41)), now + ms(120));
        let bytes = Step::Bytes { done: 12 << 20, total: 45 << 20 };
        face.on(&Event::Progress(&plan, Id(2), bytes), now + ms(130));
        face.tick(now + ms(2000));
        insta::assert_snapshot!(screen.text(), @r"
        deploy green
        ✓ create network shop-ci-green-network   0.0 s  not found
        ⠋ get image shop/api:3f2c1               2.0 s  ━━━───────── 12.0 MiB o…
        deploy green  ━━────────── 1/6 steps  2.0 s
        ");

        let line = Step::Line("#7 RUN apt-get install -y --no-install-recommends php-cli".into());
        face.on(&Event::Progress(&plan, Id(2), line), now + ms(2100));
        face.tick(now + ms(2100));
        talk.write("warning: said by another");
        insta::assert_snapshot!(screen.text(), @r"
        deploy green
        ✓ create network shop-ci-green-network   0.0 s  not found
        warning: said by another
        ⠙ get image shop/api:3f2c1               2.1 s  #7 RUN apt-get install …
        deploy green  ━━────────── 1/6 steps  2.1 s
        ");

        face.on(&Event::Done(&plan, Id(2), ms(2200)), now + ms(2200));
        face.finish();
        talk.write("after");
        insta::assert_snapshot!(screen.text(), @r"
        deploy green
        ✓ create network shop-ci-green-network   0.0 s  not found
        warning: said by another
        ✓ get image shop/api:3f2c1               2.2 s  not on the engine
        after
        ");
    }

    #[test]
    fn a_short_operation_is_its_lines_alone() {
        let (mut face, screen, _, now) = face(72, 24);
        let plan = testing::plan();
        face.on(&Event::Started(&plan, Id(4)), now);
        face.on(&Event::Done(&plan, Id(4), ms(40)), now + ms(40));
        face.tick(now + ms(100));
        face.finish();
        assert_eq!(
            screen.text(),
            "deploy green\n✓ start green/api                        0.0 s  created"
        );
        assert_eq!(screen.draws(), 0, "nothing was ever drawn");
    }

    #[test]
    fn two_hundred_services_take_ten_lines_and_one_draw_a_tick() {
        let (mut face, screen, _, now) = face(80, 16);
        let plan = testing::waits(200);
        face.on(&Event::Planned(&plan), now);
        for step in plan.steps() {
            face.on(&Event::Started(&plan, step.id), now);
        }
        let start = now + ms(1000);
        face.tick(start);
        insta::assert_snapshot!(screen.text(), @r"
        ⠋ wait until green/s1 is healthy     1.0 s
        ⠋ wait until green/s2 is healthy     1.0 s
        ⠋ wait until green/s3 is healthy     1.0 s
        ⠋ wait until green/s4 is healthy     1.0 s
        ⠋ wait until green/s5 is healthy     1.0 s
        ⠋ wait until green/s6 is healthy     1.0 s
        ⠋ wait until green/s7 is healthy     1.0 s
        ⠋ wait until green/s8 is healthy     1.0 s
          … and 192 more
        deploy green  ──────────── 0/200 steps  1.0 s
        ");

        let before = screen.draws();
        for step in plan.steps() {
            let now = start + ms(10 * step.id.0 as u64);
            face.on(&Event::Done(&plan, step.id, ms(1000)), now);
            if step.id.0 % 10 == 0 {
                face.tick(now);
                let lines = screen.lines();
                let moving = lines.iter().filter(|line| !line.starts_with('✓')).count();
                assert!(moving <= 11, "{}", screen.text());
            }
        }
        // 20 ticks, and a few to spare on a slow machine; each line for itself would be 200.
        assert!(screen.draws() - before < 60, "{} draws", screen.draws() - before);
        face.finish();
        let done = |n| {
            let title = format!("wait until green/s{n} is healthy");
            format!("✓ {title:<32}   1.0 s  a route goes there")
        };
        let mut expected = vec!["deploy green".to_owned()];
        expected.extend((1..=200).map(done));
        assert_eq!(screen.lines(), expected);
    }

    #[test]
    fn a_failure_leaves_nothing_moving() {
        let (mut face, screen, _, now) = face(72, 24);
        let plan = testing::waits(20);
        for step in plan.steps() {
            face.on(&Event::Started(&plan, step.id), now);
        }
        face.tick(now + ms(500));
        face.on(&Event::Failed(&plan, Id(3), ms(600)), now + ms(600));
        face.tick(now + ms(600));
        face.finish();
        insta::assert_snapshot!(screen.text(), @r"
        deploy green
        ✗ wait until green/s3 is healthy    0.6 s  a route goes there
        ");
    }

    #[test]
    fn two_hundred_services_are_calm_on_a_terminal_of_80_by_24_and_on_smaller_ones() {
        for (rows, columns) in [(24, 80), (8, 40), (4, 20)] {
            calm(rows, columns);
        }
    }

    /// Brings up 200 services on a recorded terminal, and looks at it after each frame.
    fn calm(rows: u16, columns: u16) {
        let terminal = InMemoryTerm::new(rows, columns);
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), 1);
        let talk = Arc::new(Talk {
            stream: Stream::new(Box::new(Recorded(terminal.clone())), false),
            drawn: MultiProgress::with_draw_target(target),
            drawing: AtomicUsize::new(0),
        });
        let begun = Instant::now();
        let board = Board::new("deploy green", false, false, begun);
        let size = Size { width: columns.into(), height: rows.into() };
        let mut face = Drawn::new(Arc::clone(&talk), board, Box::new(move || size));
        let plan = testing::waits(200);
        face.on(&Event::Planned(&plan), begun);
        let mut now = begun + ms(200);
        for step in plan.steps() {
            face.on(&Event::Started(&plan, step.id), begun);
        }
        face.tick(now);
        terminal.moves_since_last_check();
        for some in plan.steps().chunks(7) {
            now += ms(100);
            for step in some {
                face.on(&Event::Done(&plan, step.id, ms(300)), now);
            }
            face.tick(now);
            let moves = terminal.moves_since_last_check();
            let flushes = moves.lines().filter(|line| line.starts_with("Flush")).count();
            assert!(flushes <= 2, "{flushes} draws in one tick");
            let screen = terminal.contents();
            let lines: Vec<&str> = screen.lines().collect();
            assert!(
                lines.last().unwrap().contains("deploy green"),
                "the whole is below:\n{screen}"
            );
            assert!(!lines.iter().any(|line| line.is_empty()), "no holes:\n{screen}");
            let moving = lines.iter().filter(|line| !line.starts_with('✓')).count();
            assert!(moving <= 11.min(usize::from(rows)), "{moving} lines move:\n{screen}");
            let mut seen = lines.clone();
            seen.sort_unstable();
            seen.dedup();
            assert!(columns < 40 || seen.len() == lines.len(), "a line is there twice:\n{screen}");
        }
        face.finish();
        let screen = terminal.contents();
        assert!(screen.lines().all(|line| line.starts_with('✓')), "{screen}");
        assert_eq!(screen.lines().count(), usize::from(rows) - 1, "{screen}");
    }

    struct Recorded(InMemoryTerm);

    impl std::io::Write for Recorded {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write_str(&String::from_utf8_lossy(bytes).replace('\n', "\r\n"))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
