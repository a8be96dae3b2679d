//! What runs and what is done: the lines that stay, and those that move.

use std::time::{Duration, Instant};

use crate::{
    base::words,
    engine,
    plan::{Action, Id, Plan},
    run::Event,
    ui::{errors, style},
};

/// A step that ran this short is not seen moving.
pub(super) const SHORT: Duration = Duration::from_millis(150);
/// Steps seen moving; with the line for the others and the one for the whole, ten lines.
const SEEN: usize = 8;
/// Signs of life at one time.
const SIGNS: usize = 5;
/// A step that runs on gives signs of life at these times, and then at every minute.
const SIGN_AT: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(30)];
const MINUTE: Duration = Duration::from_secs(60);
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const BAR: usize = 20;

pub(super) struct Board {
    heading: String,
    /// The heading as it was last said.
    said: Option<String>,
    quiet: bool,
    verbose: bool,
    begun: Instant,
    total: usize,
    done: usize,
    /// In the order of their starts.
    running: Vec<Running>,
}

struct Running {
    id: Id,
    title: String,
    since: Instant,
    latest: Option<engine::Step>,
    next_sign: Duration,
}

impl Board {
    pub fn new(title: &str, quiet: bool, verbose: bool, now: Instant) -> Self {
        Self {
            heading: title.to_owned(),
            said: None,
            quiet,
            verbose,
            begun: now,
            total: 0,
            done: 0,
            running: vec![],
        }
    }

    /// Takes an event; returns the lines that stay.
    pub fn on(&mut self, event: &Event<'_>, now: Instant) -> Vec<String> {
        let mut lines = vec![];
        match event {
            Event::Phase(name) => {
                self.head(&mut lines);
                (*name).clone_into(&mut self.heading);
                self.head(&mut lines);
            }
            Event::Planned(plan) => {
                self.running.clear();
                (self.total, self.done) = (plan.steps().len(), 0);
            }
            Event::Started(plan, id) => {
                self.total = self.total.max(plan.steps().len());
                self.running.push(Running {
                    id: *id,
                    title: style::clean_line(&plan.step(*id).title),
                    since: now,
                    latest: None,
                    next_sign: SIGN_AT[0],
                });
            }
            Event::Progress(plan, id, step) => {
                let speaker = match &plan.step(*id).action {
                    // What a one-shot service says is for everybody.
                    Action::Follow(wait) => Some(format!("{} |", wait.service)),
                    _ if self.verbose => Some(format!("{}:", plan.step(*id).title)),
                    _ => None,
                };
                let lasting = !matches!(step, engine::Step::Bytes { .. });
                if let Some(speaker) = speaker.filter(|_| lasting && !self.quiet) {
                    self.head(&mut lines);
                    let speaker = style::clean_line(&speaker);
                    lines.push(style::dim(&format!("  {speaker} {}", said(step))));
                }
                if let Some(running) = self.running.iter_mut().find(|running| running.id == *id) {
                    running.latest = Some(step.clone());
                }
            }
            Event::Done(plan, id, took) => {
                self.running.retain(|running| running.id != *id);
                self.done += 1;
                if !self.quiet {
                    self.head(&mut lines);
                    lines.push(ended(&style::good("✓"), plan, *id, *took));
                }
            }
            Event::Failed(plan, id, took) => {
                // Nothing further starts, and what runs is let go.
                self.running.clear();
                self.head(&mut lines);
                lines.push(ended(&style::bad("✗"), plan, *id, *took));
            }
            Event::Note(text) => {
                if !self.quiet {
                    self.head(&mut lines);
                    lines.push(style::literals(&style::clean(text)));
                }
            }
            Event::Warning(text) => {
                self.head(&mut lines);
                lines.push(errors::warning(text));
            }
        }
        lines
    }

    /// The heading, if it has not been said.
    fn head(&mut self, lines: &mut Vec<String>) {
        if !self.quiet && self.said.as_ref() != Some(&self.heading) {
            if !self.heading.is_empty() {
                lines.push(style::bold(&self.heading));
            }
            self.said = Some(self.heading.clone());
        }
    }

    /// Signs of life of the steps that take long: how long so far, and what they said last.
    pub fn signs(&mut self, now: Instant) -> Vec<String> {
        let mut lines = vec![];
        if self.quiet {
            return lines;
        }
        let mut more = 0;
        for running in &mut self.running {
            let elapsed = now.saturating_duration_since(running.since);
            if elapsed < running.next_sign {
                continue;
            }
            running.next_sign = SIGN_AT
                .into_iter()
                .find(|time| *time > elapsed)
                .unwrap_or(MINUTE * u32::try_from(elapsed.as_secs() / 60 + 1).unwrap_or(u32::MAX));
            if lines.len() == SIGNS {
                more += 1;
                continue;
            }
            let time = format!("({})", style::seconds(elapsed));
            let latest = running.latest.as_ref().map_or("still waiting".to_owned(), said);
            lines.push(format!(
                "… {}  {}",
                running.title,
                style::dim(&format!("{time}  {latest}"))
            ));
        }
        if more > 0 {
            lines.push(style::dim(&format!("… and {more} more")));
        }
        lines
    }

    /// The lines that move: a bounded number of steps, the oldest first, and where the whole stands.
    pub fn frame(&self, now: Instant) -> Vec<String> {
        let turn = now.saturating_duration_since(self.begun).as_millis() / 100;
        let spinner = style::literal(SPINNER[usize::try_from(turn).unwrap_or(0) % SPINNER.len()]);
        let elapsed = |running: &Running| now.saturating_duration_since(running.since);
        let mut long = self.running.iter().filter(|running| elapsed(running) >= SHORT);
        let mut lines: Vec<String> = long
            .by_ref()
            .take(SEEN)
            .map(|running| {
                let time = style::dim(&style::seconds(elapsed(running)));
                let latest = running.latest.as_ref().map(|step| match step {
                    engine::Step::Bytes { done, total } => {
                        format!("  {}{}", bar(*done, *total), said(step))
                    }
                    engine::Step::Instruction { .. } | engine::Step::Line(_) => {
                        style::dim(&format!("  {}", said(step)))
                    }
                });
                format!("{spinner} {}  {time}{}", running.title, latest.unwrap_or_default())
            })
            .collect();
        let more = long.count();
        if more > 0 {
            lines.push(style::dim(&format!("  … and {more} more")));
        }
        let total = style::seconds(now.saturating_duration_since(self.begun));
        let count = if self.total > 0 {
            format!("  {}/{} steps", self.done, self.total)
        } else {
            String::new()
        };
        lines.push(format!("{}{count}  {}", style::bold(&self.heading), style::dim(&total)));
        lines
    }

    pub const fn begun(&self) -> Instant {
        self.begun
    }
}

/// `✓ start green/api  (0.3 s)  image changed`
fn ended(mark: &str, plan: &Plan, id: Id, took: Duration) -> String {
    let step = plan.step(id);
    let after = format!("({})  {}", style::seconds(took), step.reason);
    format!("{mark} {}  {}", style::clean_line(&step.title), style::dim(after.trim_end()))
}

fn said(step: &engine::Step) -> String {
    match step {
        engine::Step::Bytes { done, total: 0 } => words::bytes(*done),
        engine::Step::Bytes { done, total } => {
            format!("{} of {}", words::bytes(*done), words::bytes(*total))
        }
        engine::Step::Instruction { number, of, text } => {
            format!("{number}/{of} {}", style::clean_line(text))
        }
        engine::Step::Line(line) => style::clean_line(line),
    }
}

/// `━━━━━─────` and a space; nothing while the total is not known.
fn bar(done: u64, total: u64) -> String {
    if total == 0 {
        return String::new();
    }
    let filled = u128::from(done.min(total)) * BAR as u128 / u128::from(total);
    let filled = usize::try_from(filled).unwrap_or(BAR);
    format!("{}{} ", style::literal(&"━".repeat(filled)), style::dim(&"─".repeat(BAR - filled)))
}
