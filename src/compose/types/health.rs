//! `healthcheck:` of a service.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeSeq as _};

use super::shape;
use crate::compose::units::duration_words;

shape! {
    pub struct Healthcheck {
        /// `None`: the image's own.
        pub test: Option<HealthTest>,
        #[serde(with = "duration_words")]
        pub timeout: Option<Duration>,
        #[serde(with = "duration_words")]
        pub interval: Option<Duration>,
        pub retries: Option<u64>,
        #[serde(with = "duration_words")]
        pub start_period: Option<Duration>,
        #[serde(with = "duration_words")]
        pub start_interval: Option<Duration>,
        pub disable: bool,
    }
}

impl Healthcheck {
    /// Whether the image's check is switched off.
    pub fn is_disabled(&self) -> bool {
        self.disable || self.test == Some(HealthTest::Disabled)
    }
}

/// What is run to learn whether a container is healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthTest {
    /// `["NONE"]`: the image's check does not count.
    Disabled,
    /// `["CMD-SHELL", …]`: a line for the container's shell.
    Shell(String),
    /// `["CMD", …]`: program and arguments.
    Exec(Vec<String>),
}

impl Serialize for HealthTest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(None)?;
        match self {
            Self::Disabled => list.serialize_element("NONE")?,
            Self::Shell(line) => {
                list.serialize_element("CMD-SHELL")?;
                list.serialize_element(line)?;
            }
            Self::Exec(words) => {
                list.serialize_element("CMD")?;
                for word in words {
                    list.serialize_element(word)?;
                }
            }
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for HealthTest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Test;
        impl<'de> de::Visitor<'de> for Test {
            type Value = HealthTest;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a shell command, or a list that starts with CMD, CMD-SHELL or NONE")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<HealthTest, E> {
                Ok(HealthTest::Shell(text.to_owned()))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<HealthTest, A::Error> {
                let mut words = vec![];
                while let Some(word) = seq.next_element::<String>()? {
                    words.push(word);
                }
                if words.is_empty() {
                    return Err(de::Error::invalid_length(0, &self));
                }
                match words.remove(0).as_str() {
                    "NONE" => Ok(HealthTest::Disabled),
                    "CMD" => Ok(HealthTest::Exec(words)),
                    "CMD-SHELL" => Ok(HealthTest::Shell(words.join(" "))),
                    other => Err(de::Error::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
        }
        from.deserialize_any(Test)
    }
}
