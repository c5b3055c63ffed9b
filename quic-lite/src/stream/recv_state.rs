//! States of the receiving part of a stream (RFC 9000 §3.2, Figure 3).
//!
//! ```text
//!        o Create Stream
//!        v
//!      Recv ----------RecvReset--------.
//!        | RecvFin                     |
//!        v                             v
//!      SizeKnown -----RecvReset---> ResetRecvd
//!        | RecvAllData                 |
//!        v                             |
//!      DataRecvd                       |
//!        | ReadAllData                 | ReadReset
//!        v                             v
//!      DataRead                     ResetRead
//! ```
//!
//! The two optional transitions of Figure 3 are not taken: a reset that comes after all data
//! changes nothing, and data that comes after a reset is dropped.

use super::send_state::Invalid;

/// Where the receiving part of a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvState {
    /// Data may come, nobody knows how much.
    Recv,
    /// The final size is known, data is missing.
    SizeKnown,
    /// All data is here, not all was read.
    DataRecvd,
    /// The peer gave up; the application does not know yet.
    ResetRecvd,
    /// The application has all data: terminal.
    DataRead,
    /// The application knows of the reset: terminal.
    ResetRead,
}

/// What can happen to the receiving part of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvEvent {
    /// STREAM with FIN arrived.
    RecvFin,
    /// No byte below the final size is missing any more.
    RecvAllData,
    /// RESET_STREAM arrived.
    RecvReset,
    /// The application took the last byte, or wants none.
    ReadAllData,
    /// The application was told of the reset.
    ReadReset,
}

impl RecvState {
    /// The state after `event`.
    pub const fn on(self, event: RecvEvent) -> Result<Self, Invalid> {
        use RecvEvent as E;
        match (self, event) {
            (Self::Recv, E::RecvFin) => Ok(Self::SizeKnown),
            (Self::SizeKnown, E::RecvAllData) => Ok(Self::DataRecvd),
            (Self::Recv | Self::SizeKnown, E::RecvReset) => Ok(Self::ResetRecvd),
            (Self::DataRecvd, E::ReadAllData) => Ok(Self::DataRead),
            (Self::ResetRecvd, E::ReadReset) => Ok(Self::ResetRead),
            // §3.2: repetitions of what is known already may arrive in any state.
            (_, E::RecvFin | E::RecvReset) => Ok(self),
            _ => Err(Invalid),
        }
    }

    /// Whether nothing is left to do and the state can be forgotten.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::DataRead | Self::ResetRead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9000_3_2_all_pairs() {
        use RecvEvent::*;
        use RecvState::*;
        let table = "\
Recv: RecvFin=SizeKnown RecvAllData=- RecvReset=ResetRecvd ReadAllData=- ReadReset=-
SizeKnown: RecvFin=SizeKnown RecvAllData=DataRecvd RecvReset=ResetRecvd ReadAllData=- ReadReset=-
DataRecvd: RecvFin=DataRecvd RecvAllData=- RecvReset=DataRecvd ReadAllData=DataRead ReadReset=-
ResetRecvd: RecvFin=ResetRecvd RecvAllData=- RecvReset=ResetRecvd ReadAllData=- ReadReset=ResetRead
DataRead: RecvFin=DataRead RecvAllData=- RecvReset=DataRead ReadAllData=- ReadReset=-
ResetRead: RecvFin=ResetRead RecvAllData=- RecvReset=ResetRead ReadAllData=- ReadReset=-
";
        let mut printed = String::new();
        for state in [Recv, SizeKnown, DataRecvd, ResetRecvd, DataRead, ResetRead] {
            printed += &format!("{state:?}:");
            for event in [RecvFin, RecvAllData, RecvReset, ReadAllData, ReadReset] {
                let next = state
                    .on(event)
                    .map_or("-".into(), |next| format!("{next:?}"));
                printed += &format!(" {event:?}={next}");
            }
            printed.push('\n');
        }
        println!("{printed}");
        assert_eq!(printed, table);
    }
}
