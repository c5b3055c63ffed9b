//! What the bench's source and sink share. No RFC.

pub mod clock;
pub mod line;
pub mod message;
pub mod orders;
