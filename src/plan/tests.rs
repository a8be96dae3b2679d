//! Planners: the printed plan is the specification.
