//! Build contexts: which files a build is sent, their tar, and a hash that tells whether anything changed.

mod dockerfile;
mod hash;
mod ignore;
mod tar;
mod walk;

pub use dockerfile::same_image;
pub use hash::{Hasher, context_hash};
pub(super) use tar::stream;
pub use walk::base_images;
pub(super) use walk::{Context, Entry, Kind};

#[cfg(test)]
mod tests;
