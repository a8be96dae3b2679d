//! Where a database finds its certificate, and when it gets another one.

use jiff::{Timestamp, ToSpan as _};

/// The folder in its container: with the key, so of the server's alone.
pub const FOLDER: &str = "/run/envctl/tls";
/// The authority's certificate.
pub const AUTHORITY: &str = "ca.crt";
/// Certificate and key.
pub const SERVER: &str = "server.pem";
/// When the certificate ends, in [`UNTIL_FORMAT`].
pub const UNTIL: &str = "until";
/// As OpenSSL prints it, and so most servers.
pub const UNTIL_FORMAT: &str = "%b %e %H:%M:%S %Y GMT";

/// Days for which it is made. Long: it is renewed by `durable up`, which nothing runs by itself.
pub const DAYS: u32 = 730;

/// Whether a third of its time is left at most.
pub fn is_near(until: Timestamp, now: Timestamp) -> bool {
    now + (i64::from(DAYS) * 8).hours() > until
}
