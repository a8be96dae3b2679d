//! What a container is told of its hook: by its label, so that a release is switched to with the hooks that it came with.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// A one-shot service that runs at a moment of a switch or a cleanup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    pub when: When,
    /// Its place among the hooks of that moment.
    pub order: usize,
    /// The longest that it may run; none: as long as a service may take to get ready.
    pub seconds: Option<u64>,
}

impl Hook {
    /// The hook of a label's value.
    pub fn of_label(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    pub fn to_label(self) -> String {
        serde_json::to_string(&self).expect("a hook is plain")
    }

    pub fn limit(self) -> Option<Duration> {
        self.seconds.map(Duration::from_secs)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// With the old color still live; once for each release.
    BeforeSwitch,
    /// After each move of the traffic to the color.
    AfterSwitch,
    /// Before the color is removed.
    BeforeCleanup,
}

impl When {
    pub const ALL: [Self; 3] = [Self::BeforeSwitch, Self::AfterSwitch, Self::BeforeCleanup];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeSwitch => "before_switch",
            Self::AfterSwitch => "after_switch",
            Self::BeforeCleanup => "before_cleanup",
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
