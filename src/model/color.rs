//! The two app stacks of an environment.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One of the two app stacks of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    Blue,
    Green,
}

impl Color {
    pub const ALL: [Self; 2] = [Self::Blue, Self::Green];

    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is neither `blue` nor `green`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a color: blue or green")]
pub struct NotAColor(String);

impl FromStr for Color {
    type Err = NotAColor;

    fn from_str(text: &str) -> Result<Self, NotAColor> {
        Self::ALL
            .into_iter()
            .find(|color| color.as_str() == text)
            .ok_or_else(|| NotAColor(text.to_owned()))
    }
}
