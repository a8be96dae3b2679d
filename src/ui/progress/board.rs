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
/// Steps seen moving; with the line for the others and the one for the whole, ten lines. Fewer on a low terminal.
const SEEN: usize = 8;
/// Titles are padded to the longest of the plan, and to no more than this.
const TITLE: usize = 56;
/// `12.3 s`, to the right; what is longer moves the rest.
const TIME: usize = 7;
/// Signs of life at one time.
const SIGNS: usize = 5;
/// A step that runs on gives signs of life at these times, and then at every minute.
const SIGN_AT: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(30)];
const MINUTE: Duration = Duration::from_secs(60);
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const BAR: usize = 12;
/// Columns that are worth saying more in.
const ROOM: usize = 8;

/// A terminal's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub width: usize,
    pub height: usize,
}

pub(super) struct Board {
    heading: String,
    /// The heading as it was last said.
    said: Option<String>,
    quiet: bool,
    verbose: bool,
    begun: Instant,
    total: usize,
    done: usize,
    /// Columns of the titles.
    title: usize,
    /// What lines have to fit; none where they may have any length.
    size: Option<Size>,
    /// In the order of their starts.
    running: Vec<Running>,
}

struct Running {
    id: Id,
    title: String,
    since: Instant,
    latest: Option<engine::Step>,
    /// The instruction that a build is at, and how many there are.
    at: Option<(u64, u64)>,
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
            title: 0,
            size: None,
            running: vec![],
        }
    }

    /// From here on lines fit a terminal of this size.
    pub const fn fit(&mut self, size: Size) {
        self.size = Some(size);
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
                self.measure(plan);
            }
            Event::Started(plan, id) => {
                if self.total < plan.steps().len() {
                    self.total = plan.steps().len();
                    self.measure(plan);
                }
                self.running.push(Running {
                    id: *id,
                    title: style::clean_line(&plan.step(*id).title),
                    since: now,
                    latest: None,
                    at: None,
                    next_sign: SIGN_AT[0],
                });
            }
            Event::Progress(plan, id, step) => {
                let speaker = match &plan.step(*id).action {
                    // What a one-shot service says is for everybody.
                    Action::Follow(wait) => Some(format!("{} |", wait.service)),
                    // And what becomes of which resource.
                    Action::DeployAws(job) => Some(format!("{} |", job.stack)),
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
                    if let engine::Step::Instruction { number, of, .. } = step {
                        running.at = Some((*number, *of));
                    }
                    running.latest = Some(step.clone());
                }
            }
            Event::Done(plan, id, took) => {
                self.running.retain(|running| running.id != *id);
                self.done += 1;
                if !self.quiet {
                    self.head(&mut lines);
                    lines.push(self.ended(&style::good("✓"), plan, *id, *took));
                }
            }
            Event::Failed(plan, id, took) => {
                // Nothing further starts, and what runs is let go.
                self.running.clear();
                self.head(&mut lines);
                lines.push(self.ended(&style::bad("✗"), plan, *id, *took));
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
            Event::Error(text) => lines.push(errors::error(text, &[], &[])),
        }
        lines
    }

    fn measure(&mut self, plan: &Plan) {
        let titles = plan.steps().iter().map(|step| style::width(&step.title));
        self.title = titles.max().unwrap_or(0).min(TITLE);
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
            let latest = running.latest.as_ref().map_or("still waiting".to_owned(), said);
            lines.push(row(self.title, None, "…", &running.title, elapsed, &style::dim(&latest)));
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
        // One line for the others, one for the whole, and the cursor's own.
        let most = self.size.map_or(SEEN, |size| SEEN.min(size.height.saturating_sub(3)));
        let mut long = self.running.iter().filter(|running| elapsed(running) >= SHORT);
        let mut lines: Vec<String> = long
            .by_ref()
            .take(most)
            .map(|running| {
                let latest = running.latest.as_ref().map(|step| running.moves(step));
                let latest = latest.unwrap_or_default();
                row(self.title, self.size, &spinner, &running.title, elapsed(running), &latest)
            })
            .collect();
        let more = long.count();
        if more > 0 {
            lines.push(style::dim(&format!("  … and {more} more")));
        }
        let total = style::seconds(now.saturating_duration_since(self.begun));
        let count = if self.total > 0 {
            let bar = bar(self.done as u64, self.total as u64);
            format!("  {bar}{}/{} steps", self.done, self.total)
        } else {
            String::new()
        };
        lines.push(format!("{}{count}  {}", style::bold(&self.heading), style::dim(&total)));
        lines
    }

    pub const fn begun(&self) -> Instant {
        self.begun
    }

    /// `✓ start green/api     0.3 s  image changed`
    fn ended(&self, mark: &str, plan: &Plan, id: Id, took: Duration) -> String {
        let step = plan.step(id);
        let title = style::clean_line(&step.title);
        row(self.title, self.size, mark, &title, took, &style::dim(&step.reason))
    }
}

impl Running {
    /// What it says of itself, with a bar where it is known how far it is.
    fn moves(&self, latest: &engine::Step) -> String {
        match (latest, self.at) {
            (engine::Step::Bytes { done, total }, _) => {
                format!("{}{}", bar(*done, *total), said(latest))
            }
            (engine::Step::Instruction { number, of, .. }, _) => {
                format!("{}{}", bar(*number, *of), style::dim(&said(latest)))
            }
            (engine::Step::Line(_), Some((number, of))) => {
                let at = format!("{number}/{of} {}", said(latest));
                format!("{}{}", bar(number, of), style::dim(&at))
            }
            (engine::Step::Line(_), None) => style::dim(&said(latest)),
        }
    }
}

/// Mark, title, time to the right, and what more there is to say: in columns.
fn row(
    wide: usize,
    size: Option<Size>,
    mark: &str,
    title: &str,
    time: Duration,
    more: &str,
) -> String {
    let most = size.map(|size| size.width.saturating_sub(3 + TIME).max(8));
    // On a terminal the title leaves room for what comes after it, where there is any.
    let wide =
        most.map_or(wide, |most| if most > 48 { wide.min(most * 5 / 8) } else { wide.min(most) });
    let title = match size {
        Some(_) => style::crop(title, wide),
        None => title.to_owned(),
    };
    let gap = " ".repeat(wide.saturating_sub(style::width(&title)));
    let time = style::dim(&format!("{:>TIME$}", style::seconds(time)));
    let mut line = format!("{mark} {title}{gap} {time}");
    let room = size.map_or(ROOM, |size| size.width.saturating_sub(style::width(&line) + 2));
    if !more.is_empty() && room >= ROOM {
        line.push_str("  ");
        line.push_str(more);
    }
    size.map_or(line.clone(), |size| style::crop(&line, size.width))
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
