//! Values of the project file that are written as text: interpolation leaves text, YAML may have seen a number.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserializer, de};

/// A scalar read from its text.
pub fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
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

pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    from_text(deserializer)
}

pub fn optional_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u16>, D::Error> {
    from_text(deserializer).map(Some)
}

/// One text, or a list of them.
pub fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Texts;

    impl<'de> de::Visitor<'de> for Texts {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
            let mut all = vec![];
            while let Some(text) = seq.next_element()? {
                all.push(text);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_any(Texts)
}

pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
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

pub fn optional_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}
