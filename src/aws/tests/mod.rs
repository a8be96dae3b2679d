//! What the room does, by its parts.

mod template;
