//! What the bench's source and sink share. No RFC.

pub mod clock;
pub mod film;
pub mod line;
pub mod message;
pub mod moqt;
pub mod orders;
