//! Tests of the whole way.

mod corpus;
