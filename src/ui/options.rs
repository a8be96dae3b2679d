//! How to talk: what the flags, the environment and the terminals say.

use std::io::{self, IsTerminal as _};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    pub progress: Progress,
    /// Warnings, errors and data only.
    pub quiet: bool,
    /// The lines of builds too.
    pub verbose: bool,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    pub terminals: Terminals,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Progress {
    /// `tty` on a terminal, else `plain`
    #[default]
    Auto,
    /// Lines that move while steps run
    Tty,
    /// One line a step, when it is done
    Plain,
    /// One JSON object a line, on stderr
    Json,
}

/// Which of the process's streams are terminals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terminals {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// Without colors and cursor movements.
    pub dumb: bool,
}

impl Terminals {
    /// Asks the process's own streams; `term` is the value of `TERM`.
    pub fn detect(term: Option<&str>) -> Self {
        Self {
            stdin: io::stdin().is_terminal(),
            stdout: io::stdout().is_terminal(),
            stderr: io::stderr().is_terminal(),
            dumb: term == Some("dumb"),
        }
    }
}

impl Options {
    pub(super) const fn color_on_stdout(self) -> bool {
        self.terminals.stdout && !self.no_color && !self.terminals.dumb
    }

    pub(super) const fn color_on_stderr(self) -> bool {
        self.terminals.stderr && !self.no_color && !self.terminals.dumb
    }

    /// The mode without `Auto`; `Tty` needs a terminal that can do it.
    pub(super) const fn mode(self) -> Progress {
        let capable = self.terminals.stderr && !self.terminals.dumb;
        match self.progress {
            Progress::Json => Progress::Json,
            // With `--quiet` there is nothing to draw.
            Progress::Tty | Progress::Auto if capable && !self.quiet => Progress::Tty,
            Progress::Tty | Progress::Auto | Progress::Plain => Progress::Plain,
        }
    }
}
