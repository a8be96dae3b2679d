//! What every module may use and that knows nothing of envctl: files, words, time. Imports nothing of the crate.

pub mod clock;
pub mod files;
pub mod words;
