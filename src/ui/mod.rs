//! The only code that writes to the terminal: talk and data, tables, errors, progress, questions. Imports what is below
//! it.
//!
//! stdout is data, stderr is talk. All texts are made with color and stripped of it where the stream does not want it.

mod errors;
mod options;
mod plan;
mod printer;
mod progress;
mod prompt;
mod stream;
pub mod style;
mod summary;
mod table;

pub use errors::causes;
pub use options::{Options, Progress, Terminals};
pub use printer::Ui;
pub use prompt::Prompt;
pub use summary::Summary;
pub use table::{ago, table};
