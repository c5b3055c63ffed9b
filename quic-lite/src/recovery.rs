//! Loss recovery and congestion control. RFC 9002.

pub mod congestion;
pub mod cubic;
pub mod new_reno;
pub mod pacing;
pub mod rtt;
pub mod sent;
pub mod sent_frame;

pub use crate::space::SpaceId;
pub use congestion::Congestion;
pub use rtt::Rtt;
pub use sent::SentPacket;
pub use sent_frame::SentFrame;
