//! Versions of the engine's API.

use std::{fmt, str::FromStr};

/// A version of the engine's API, `1.41`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub u32, pub u32);

impl Version {
    /// Docker Engine 20.10.
    pub const OLDEST: Self = Self(1, 41);
    /// The newest that this client is written for; a newer engine is spoken to in this one.
    pub const NEWEST: Self = Self(1, 48);
    /// Several networks at creation, MAC addresses on them, `StartInterval`.
    pub const MANY_NETWORKS: Self = Self(1, 44);
    pub const ANNOTATIONS: Self = Self(1, 43);
    /// `CreateMountpoint`; no `KernelMemory` from here on.
    pub const CREATE_MOUNTPOINT: Self = Self(1, 42);
    pub const SUBPATH: Self = Self(1, 45);
    pub const ENABLE_IPV4: Self = Self(1, 47);
    pub const GATEWAY_PRIORITY: Self = Self(1, 48);
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.split_once('.').ok_or(())?;
        Ok(Self(major.parse().map_err(|_| ())?, minor.parse().map_err(|_| ())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        assert!("1.9".parse::<Version>().unwrap() < Version::OLDEST);
        assert_eq!("1.41".parse(), Ok(Version::OLDEST));
        assert!("x".parse::<Version>().is_err());
    }
}
