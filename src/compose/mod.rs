//! Compose files, read as Compose reads them: YAML → tree with places → interpolate → long forms → include → extends
//! → merge → defaults → types → checks. Imports `base` and `model`; the environment is a parameter.

mod canonical;
mod check;
mod de;
mod defaults;
mod dotenv;
mod environment;
mod extends;
mod include;
mod interpolate;
mod load;
mod loader;
mod merge;
mod node;
mod origin;
mod paths;
mod problem;
mod refuse;
mod scalar;
mod source;
mod template;
mod text;
mod types;
mod unique;
mod units;
mod yaml;

#[cfg(test)]
mod tests;

pub use origin::Origin;
pub use problem::{Place, Problem, Problems};
#[cfg(test)]
pub use refuse::SERVICE_KEYS;
pub use source::{Source, discover, dotenv, load, load_as_written, read, read_placed, read_warned};
pub use types::*;
pub use units::{ByteSize, FileMode};
