//! What the commands talk through.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use super::{
    Options, Progress, Prompt, Summary, errors, plan, progress,
    stream::{Stream, Talk},
    style, table,
};
use crate::{
    plan::Plan,
    run::{Event, Evidence, Reporter},
};

/// The printer: data to stdout, talk to stderr.
///
/// With [`Progress::Json`] the talk is one JSON object a line too; `progress/json.rs` lists them.
pub struct Ui {
    options: Options,
    mode: Progress,
    out: Stream,
    talk: Arc<Talk>,
}

/// For what only plans: it has no progress, but warnings.
impl Reporter for Ui {
    fn on(&self, event: Event<'_>) {
        if let Event::Warning(text) = event {
            self.warn(text);
        }
    }
}

/// Talk as an object.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Said<'a> {
    Note {
        text: &'a str,
    },
    Warning {
        text: &'a str,
    },
    Hint {
        text: &'a str,
    },
    Error {
        text: &'a str,
        causes: &'a [String],
        hints: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        evidence: Option<&'a Evidence>,
    },
    Summary(&'a Summary),
}

impl Ui {
    /// Talks through the streams of the process.
    pub fn new(options: Options) -> Self {
        let drawn = if options.mode() == Progress::Tty {
            progress::target()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self::over(options, Box::new(io::stdout()), Box::new(io::stderr()), drawn)
    }

    /// Talks through these streams; moving lines go to `drawn`.
    pub fn over(
        options: Options,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        drawn: ProgressDrawTarget,
    ) -> Self {
        let talk = Talk {
            stream: Stream::new(err, options.color_on_stderr()),
            drawn: MultiProgress::with_draw_target(drawn),
            drawing: AtomicUsize::new(0),
        };
        Self {
            options,
            mode: options.mode(),
            out: Stream::new(out, options.color_on_stdout()),
            talk: Arc::new(talk),
        }
    }

    /// Writes data to stdout, as whole lines.
    ///
    /// When nobody reads stdout any more this is silent; see [`Ui::closed`] and [`Ui::finish`].
    pub fn data(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.options.terminals.stdout && self.talk.drawing.load(Ordering::Relaxed) > 0 {
            self.talk.drawn.suspend(|| self.out.write(text));
        } else {
            self.out.write(text);
        }
    }

    /// Writes text in place of what stood on the screen; where stdout is no terminal, after what was written, with a line
    /// between. What the screen has no room for is cut.
    pub fn redraw(&self, text: &str) {
        if !self.options.color_on_stdout() {
            self.out.write(&format!("{text}\n"));
            return;
        }
        let rows =
            console::Term::stdout().size_checked().map_or(usize::MAX, |(rows, _)| rows.into());
        self.out.write(&on_screen(text, rows));
    }

    /// Writes a value to stdout as JSON.
    pub fn json(&self, value: &impl Serialize) {
        let text = serde_json::to_string_pretty(value).expect("own types have text keys");
        self.data(&text);
    }

    /// Writes aligned columns to stdout.
    pub fn table<R: AsRef<[String]>>(&self, headers: &[&str], rows: &[R]) {
        self.data(&table(headers, rows));
    }

    /// Writes a plan to stdout, one line a step.
    pub fn plan(&self, plan: &Plan) {
        self.data(&plan::render(plan));
    }

    /// Says something that is worth a line; silent with `quiet`.
    pub fn say(&self, text: &str) {
        if !self.options.quiet {
            self.tell(&Said::Note { text }, || style::literals(text));
        }
    }

    /// Says what only those want to know who asked for more with `verbose`.
    pub fn detail(&self, text: &str) {
        if self.options.verbose {
            self.say(text);
        }
    }

    /// What to do next; silent with `quiet`.
    pub fn hint(&self, text: &str) {
        if !self.options.quiet {
            self.tell(&Said::Hint { text }, || errors::hint(text));
        }
    }

    pub fn warn(&self, text: &str) {
        self.tell(&Said::Warning { text }, || errors::warning(text));
    }

    /// Says what failed, why, and what to do about it.
    pub fn error(&self, text: &str, causes: &[String], hints: &[String]) {
        let said = Said::Error { text, causes, hints, evidence: None };
        self.tell(&said, || errors::error(text, causes, hints));
    }

    /// As [`Ui::error`]; for tools, with the evidence that the text tells of.
    pub fn failure(&self, text: &str, hints: &[String], evidence: Option<&Evidence>) {
        let said = Said::Error { text, causes: &[], hints, evidence };
        self.tell(&said, || errors::error(text, &[], hints));
    }

    /// Closes an operation; silent with `quiet`.
    pub fn summary(&self, summary: &Summary) {
        if !self.options.quiet {
            self.tell(&Said::Summary(summary), || summary.render());
        }
    }

    /// Shows the events of an operation, until it is dropped.
    pub fn reporter(&self, title: &str) -> Box<dyn Reporter> {
        let Options { quiet, verbose, .. } = self.options;
        progress::reporter(self.mode, Arc::clone(&self.talk), title, quiet, verbose)
    }

    /// Asks somebody at the terminal; `None` when nobody sits there.
    pub fn prompt(&self) -> Option<Prompt> {
        let terminals = self.options.terminals;
        (terminals.stdin && terminals.stderr).then(|| Prompt::new(Arc::clone(&self.talk)))
    }

    /// Nobody reads stdout any more: who would write for ever can stop.
    pub fn closed(&self) -> bool {
        self.out.closed()
    }

    /// Ends the output: an error when data could not be written, but for a reader who left (`envctl status | head`).
    pub fn finish(&self) -> io::Result<()> {
        self.out.take_failure().map_or(Ok(()), Err)
    }

    fn tell(&self, said: &Said<'_>, text: impl FnOnce() -> String) {
        if self.mode == Progress::Json {
            self.talk.event(said);
        } else {
            self.talk.write(&text());
        }
    }
}

/// The text from the first line of a screen on, each line to its end, and nothing below: nothing flickers.
fn on_screen(text: &str, rows: usize) -> String {
    // The cursor ends on a line of its own.
    let lines = text.lines().take(rows.saturating_sub(1).max(1));
    let drawn: Vec<String> = lines.map(|line| format!("{line}\u{1b}[K\n")).collect();
    format!("\u{1b}[H{}\u{1b}[J", drawn.concat())
}

#[cfg(test)]
mod tests {
    use super::{super::stream::Buffer, *};
    use crate::ui::Terminals;

    fn ui(options: Options) -> (Ui, Buffer, Buffer) {
        let (out, err) = (Buffer::default(), Buffer::default());
        let hidden = ProgressDrawTarget::hidden();
        let ui = Ui::over(options, Box::new(out.clone()), Box::new(err.clone()), hidden);
        (ui, out, err)
    }

    fn talk(ui: &Ui) {
        ui.say("using `envctl.yaml`");
        ui.warn("`container_name` is an alias here");
        ui.error(
            "green/api: ended with exit code 1\n  last lines of its log:\n    \u{1b}[31mboom",
            &["connection refused".to_owned(), "two\nlines".to_owned()],
            &["see `envctl logs green/api`".to_owned()],
        );
        ui.hint("blue is live as before");
        ui.data("data");
    }

    #[test]
    fn talk_goes_to_stderr_and_data_to_stdout() {
        let (ui, out, err) = ui(Options::default());
        talk(&ui);
        assert_eq!(out.text(), "data\n");
        insta::assert_snapshot!(err.text(), @r"
        using `envctl.yaml`
        warning: `container_name` is an alias here
        error: green/api: ended with exit code 1
          last lines of its log:
            boom
          caused by: connection refused
          caused by: two
            lines
        hint: see `envctl logs green/api`
        hint: blue is live as before
        ");
    }

    #[test]
    fn quiet_leaves_warnings_errors_and_data() {
        let (ui, out, err) = ui(Options { quiet: true, ..Options::default() });
        ui.say("talk");
        ui.hint("hint");
        ui.summary(&Summary::new("done"));
        ui.warn("careful");
        ui.error("broken", &[], &[]);
        ui.data("data\n");
        assert_eq!(
            (out.text().as_str(), err.text().as_str()),
            ("data\n", "warning: careful\nerror: broken\n")
        );
    }

    #[test]
    fn color_is_for_terminals_without_no_color() {
        let terminals = Terminals { stderr: true, stdout: true, ..Terminals::default() };
        let colored = Options { terminals, progress: Progress::Plain, ..Options::default() };
        let (with, _, err) = ui(colored);
        with.error("no `api`", &[], &[]);
        assert_eq!(err.text(), "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m no \u{1b}[36m`api`\u{1b}[0m\n");
        for options in [
            Options { no_color: true, ..colored },
            Options { terminals: Terminals { dumb: true, ..terminals }, ..colored },
        ] {
            let (without, _, err) = ui(options);
            without.error("no `api`", &[], &[]);
            assert_eq!(err.text(), "error: no `api`\n");
        }
    }

    #[test]
    fn with_json_progress_all_talk_is_json() {
        let (ui, out, err) = ui(Options { progress: Progress::Json, ..Options::default() });
        talk(&ui);
        assert_eq!(out.text(), "data\n");
        let events: Vec<String> = err
            .text()
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|event| event["event"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(events, ["note", "warning", "error", "hint"]);
    }

    #[test]
    fn what_is_watched_is_drawn_in_place_on_a_terminal_and_written_on_elsewhere() {
        assert_eq!(on_screen("a\nb\nc\n", 3), "\u{1b}[Ha\u{1b}[K\nb\u{1b}[K\n\u{1b}[J");
        let (ui, out, _) = ui(Options::default());
        ui.redraw("a\n");
        ui.redraw("b\n");
        assert_eq!(out.text(), "a\n\nb\n\n");
    }

    #[test]
    fn tools_get_the_evidence_of_a_failure_as_fields() {
        let (ui, _, err) = ui(Options { progress: Progress::Json, ..Options::default() });
        let service = "green/web".to_owned();
        let evidence = Evidence { service, exit_code: Some(9), ..Evidence::default() };
        ui.failure("green/web ended with exit code 9", &[], Some(&evidence));
        let event: serde_json::Value = serde_json::from_str(&err.text()).unwrap();
        assert_eq!(event["event"], "error");
        assert_eq!(event["evidence"]["service"], "green/web");
        assert_eq!(event["evidence"]["exit_code"], 9);
        assert_eq!(event["evidence"]["cause"], "ended");
    }

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_who_leaves_is_no_error_and_a_full_disk_is() {
        for (kind, fails) in
            [(io::ErrorKind::BrokenPipe, false), (io::ErrorKind::StorageFull, true)]
        {
            let hidden = ProgressDrawTarget::hidden();
            let ui =
                Ui::over(Options::default(), Box::new(Failing(kind)), Box::new(io::sink()), hidden);
            assert!(!ui.closed());
            ui.data("one");
            ui.json(&["two"]);
            assert!(ui.closed());
            assert_eq!(ui.finish().is_err(), fails);
        }
    }
}
