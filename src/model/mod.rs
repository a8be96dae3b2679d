//! The nouns: names, labels, specifications, what was observed. No I/O. Imports `base` only.
