//! Fields with a range or a set of words of their own.

use serde::{Deserialize, Deserializer, de};

use super::super::units::{self, ByteSize};

/// Reads a size that is not below zero.
pub fn size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ByteSize>, D::Error> {
    let size = Option::<ByteSize>::deserialize(from)?;
    if size.is_some_and(|size| size.0 < 0) {
        return Err(de::Error::custom("expected a size from 0"));
    }
    Ok(size)
}

/// Reads `oom_score_adj`: -1000 to 1000.
pub fn oom_score<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let score = Option::<i64>::deserialize(from)?;
    if score.is_some_and(|score| !(-1000..=1000).contains(&score)) {
        return Err(de::Error::custom("expected a whole number from -1000 to 1000"));
    }
    Ok(score)
}

/// Reads `pull_policy`; `if_not_present` is `missing`.
pub fn pull_policy<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    const KNOWN: &[&str] =
        &["always", "never", "missing", "build", "refresh", "daily", "weekly", "every_…"];
    let Some(policy) = Option::<String>::deserialize(from)? else { return Ok(None) };
    let every = policy.strip_prefix("every_").and_then(units::duration).is_some();
    match policy.as_str() {
        "if_not_present" => Ok(Some("missing".to_owned())),
        known if every || KNOWN.contains(&known) => Ok(Some(policy)),
        unknown => Err(de::Error::unknown_variant(unknown, KNOWN)),
    }
}
