//! Hooks of the project file.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, de};

use super::scalar::optional_duration;
use crate::model::When;

/// One-shot services of the app's files, run in the new color (the last ones in the color that goes).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hooks {
    /// With the old color still live; a failure stops the switch.
    pub before_switch: Vec<HookFile>,
    /// With the new color live; a failure does not switch back.
    pub after_switch: Vec<HookFile>,
    /// A failure stops the cleanup.
    pub before_cleanup: Vec<HookFile>,
}

impl Hooks {
    pub fn at(&self, when: When) -> &[HookFile] {
        match when {
            When::BeforeSwitch => &self.before_switch,
            When::AfterSwitch => &self.after_switch,
            When::BeforeCleanup => &self.before_cleanup,
        }
    }

    /// Every hook with its moment and its place among those of the moment.
    pub fn all(&self) -> impl Iterator<Item = (When, usize, &HookFile)> {
        When::ALL.into_iter().flat_map(|when| {
            self.at(when).iter().enumerate().map(move |(order, hook)| (when, order, hook))
        })
    }
}

/// `migrate`, or `{ service: migrate, timeout: 5m }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookFile {
    pub service: String,
    /// None: as long as a service may take to get ready.
    pub timeout: Option<Duration>,
}

impl<'de> Deserialize<'de> for HookFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            service: String,
            #[serde(default, deserialize_with = "optional_duration")]
            timeout: Option<Duration>,
        }

        struct Either;

        impl<'de> de::Visitor<'de> for Either {
            type Value = HookFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a service, or `{ service: …, timeout: … }`")
            }

            fn visit_str<E: de::Error>(self, service: &str) -> Result<HookFile, E> {
                Ok(HookFile { service: service.to_owned(), timeout: None })
            }

            fn visit_map<M: de::MapAccess<'de>>(self, map: M) -> Result<HookFile, M::Error> {
                let long = Long::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(HookFile { service: long.service, timeout: long.timeout })
            }
        }

        deserializer.deserialize_any(Either)
    }
}
