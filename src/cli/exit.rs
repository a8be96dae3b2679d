//! The exit codes, as the documentation lists them.

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    Failed,
    /// Wrong arguments or files.
    Usage,
    Bug,
    /// `plan --exit-code` found changes.
    Changes,
    Unreachable,
    /// Not healthy, or tests failed.
    Unhealthy,
    Locked,
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Bug => 3,
            Exit::Changes => 4,
            Exit::Unreachable => 5,
            Exit::Unhealthy => 6,
            Exit::Locked => 7,
            Exit::Interrupted => 130,
        })
    }
}
