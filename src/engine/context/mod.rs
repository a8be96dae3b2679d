//! Build contexts: which files a build is sent, their tar, and a hash that tells whether anything changed.

mod hash;
mod ignore;
mod tar;
mod walk;

pub use hash::context_hash;
pub(super) use tar::stream;
pub(super) use walk::Context;

#[cfg(test)]
mod tests;
