//! Scalars of the project file, read from their text: interpolation leaves text, YAML may have seen a number.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserializer, de};

pub(super) fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    struct Text;

    impl de::Visitor<'_> for Text {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a number")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }

    deserializer.deserialize_any(Text)?.parse().map_err(de::Error::custom)
}

pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    from_text(deserializer)
}

pub(super) fn optional_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u16>, D::Error> {
    from_text(deserializer).map(Some)
}

/// `30s`, `1m30s`, `500ms`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Span(Duration);

    impl FromStr for Span {
        type Err = String;

        fn from_str(text: &str) -> Result<Self, String> {
            let wrong = || format!("`{text}` is not a time such as 30s, 1m30s or 500ms");
            let span: jiff::Span = text.parse().map_err(|_| wrong())?;
            Duration::try_from(span).map(Self).map_err(|_| wrong())
        }
    }

    from_text::<D, Span>(deserializer).map(|span| span.0)
}

pub(super) fn optional_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}
