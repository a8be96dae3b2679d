//! What files of a project say, by their parts.

mod aws;
