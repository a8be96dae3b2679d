//! Byte sizes, durations and file modes, read and written as Compose does.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes; `-1` stands for "no limit" where the engine knows one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub i64);

/// The permission bits of a mounted secret or config, written `0440`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileMode(pub u32);

/// Reads `512`, `64m`, `1.5 GiB`, `300kb`.
pub fn bytes(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_lowercase();
    let digits = digits.strip_suffix(' ').unwrap_or(digits);
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let number: f64 = digits.parse().ok()?;
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" if matches!(unit.as_str(), "" | "b") => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let size = number * 1024_f64.powi(power);
    #[expect(clippy::cast_possible_truncation, reason = "floats saturate")]
    size.is_finite().then_some(size as i64)
}

/// Reads `90s`, `1m30s`, `1.5h`, `2d`, `1w`, `100ms`.
pub fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut nanos = 0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        nanos += number
            * match &rest[..end] {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                "d" => 86_400e9,
                "w" => 604_800e9,
                _ => return None,
            };
        rest = &rest[end..];
    }
    // The engine counts nanoseconds in 63 bits.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    (nanos < 9.2e18).then(|| Duration::from_nanos(nanos.round() as u64))
}

/// Writes a duration as Compose does: `1m30s`, `500ms`, `2h0m0s`.
pub fn show_duration(time: Duration) -> String {
    let fraction = |nanos: u128, unit: u128, name: &str| {
        let (whole, rest) = (nanos / unit, nanos % unit);
        let digits = unit.ilog10() as usize;
        let rest = format!("{rest:0digits$}");
        let rest = rest.trim_end_matches('0');
        if digits == 0 || rest.is_empty() {
            format!("{whole}{name}")
        } else {
            format!("{whole}.{rest}{name}")
        }
    };
    let nanos = time.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => fraction(nanos, 1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(nanos, 1_000_000, "ms"),
        _ => {
            let (minutes, rest) = (nanos / 60_000_000_000, nanos % 60_000_000_000);
            let seconds = fraction(rest, 1_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

/// Serde of an optional [`Duration`] in Compose's words.
pub mod duration_words {
    use super::{
        Deserialize, Deserializer, Duration, Serializer, Visitor, duration, show_duration,
    };

    #[expect(clippy::ref_option, reason = "serde's shape")]
    pub fn serialize<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => to.serialize_str(&show_duration(*time)),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        struct Words(Duration);
        impl<'de> Deserialize<'de> for Words {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_str(Visitor("a duration such as 1m30s or 500ms", duration))
                    .map(Words)
            }
        }
        Option::<Words>::deserialize(from).map(|words| words.map(|words| words.0))
    }
}

/// Reads a text with a function; whole numbers are read as their text.
struct Visitor<T>(&'static str, fn(&str) -> Option<T>);

impl<T> de::Visitor<'_> for Visitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.1)(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        (self.1)(&number.to_string())
            .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(number), &self))
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Visitor("a size such as 64m or 1gb", bytes)).map(Self)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Mode;
        impl de::Visitor<'_> for Mode {
            type Value = u32;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an octal file mode such as \"0440\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<u32, E> {
                u32::from_str_radix(text, 8)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<u32, E> {
                u32::try_from(number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
            }
        }
        from.deserialize_any(Mode).map(Self)
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("0{:o}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_the_engine_reads_them() {
        for (text, size) in [
            ("512", Some(512)),
            ("64m", Some(64 << 20)),
            ("1gb", Some(1 << 30)),
            ("1.5 GiB", Some(3 << 29)),
            ("0.5k", Some(512)),
            ("10b", Some(10)),
            ("-1", Some(-1)),
            ("10x", None),
            ("m", None),
            ("", None),
            ("1 2m", None),
        ] {
            assert_eq!(bytes(text), size, "{text}");
        }
    }

    #[test]
    fn durations_are_read_and_written() {
        for (text, shown) in [
            ("90s", "1m30s"),
            ("1.5h", "1h30m0s"),
            ("1d", "24h0m0s"),
            ("500ms", "500ms"),
            ("1m0.25s", "1m0.25s"),
            ("2us", "2µs"),
            ("0", "0s"),
        ] {
            assert_eq!(show_duration(duration(text).unwrap()), shown);
            assert_eq!(duration(shown), duration(text));
        }
        for wrong in ["", "10", "s", "1x", "-5s", "1..5s", "9999999999w"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
