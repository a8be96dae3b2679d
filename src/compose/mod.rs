//! Compose files, read as Compose reads them: YAML → tree with places → interpolate → include → extends → long forms
//! → merge → defaults → types → checks. Imports `base` and `model`; the environment is a parameter.

mod de;
mod node;
mod origin;
mod problem;
mod source;
mod types;
mod units;

pub use origin::Origin;
pub use problem::{Place, Problem, Problems};
pub use source::{Source, discover, dotenv, load, read};
pub use types::*;
pub use units::{ByteSize, FileMode};
