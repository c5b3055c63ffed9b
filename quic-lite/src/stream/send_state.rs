//! States of the sending part of a stream (RFC 9000 §3.1, Figure 2).
//!
//! ```text
//!        o Create Stream
//!        v
//!      Ready ---------SendReset--------.
//!        | SendStream                  |
//!        v                             |
//!      Send ----------SendReset------->|
//!        | SendFin                     v
//!        v                             |
//!      DataSent ------SendReset---> ResetSent
//!        | RecvAllAcks                 | RecvResetAck
//!        v                             v
//!      DataRecvd                    ResetRecvd
//! ```
//!
//! RESET_STREAM counts as sent once it is queued: nothing else may follow it (§3.3).

/// Where the sending part of a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendState {
    /// Created; nothing was sent.
    Ready,
    /// Data is being sent.
    Send,
    /// The end was sent; from here on repetitions, and bytes that are written late.
    DataSent,
    /// RESET_STREAM was sent.
    ResetSent,
    /// Everything was acknowledged: terminal.
    DataRecvd,
    /// RESET_STREAM was acknowledged: terminal.
    ResetRecvd,
}

/// What can happen to the sending part of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendEvent {
    /// STREAM or STREAM_DATA_BLOCKED was sent.
    SendStream,
    /// STREAM with FIN was sent.
    SendFin,
    /// RESET_STREAM was sent.
    SendReset,
    /// All data and the FIN were acknowledged.
    RecvAllAcks,
    /// RESET_STREAM was acknowledged.
    RecvResetAck,
}

/// The event cannot happen in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

impl SendState {
    /// The state after `event`.
    pub const fn on(self, event: SendEvent) -> Result<Self, Invalid> {
        use SendEvent as E;
        match (self, event) {
            (Self::Ready | Self::Send, E::SendStream) => Ok(Self::Send),
            (Self::Ready | Self::Send, E::SendFin) => Ok(Self::DataSent),
            (Self::DataSent, E::SendStream | E::SendFin) => Ok(Self::DataSent),
            (Self::Ready | Self::Send | Self::DataSent, E::SendReset) => Ok(Self::ResetSent),
            (Self::DataSent, E::RecvAllAcks) => Ok(Self::DataRecvd),
            (Self::ResetSent, E::RecvResetAck) => Ok(Self::ResetRecvd),
            _ => Err(Invalid),
        }
    }

    /// Whether nothing is left to do and the state can be forgotten.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::DataRecvd | Self::ResetRecvd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9000_3_1_all_pairs() {
        use SendEvent::*;
        use SendState::*;
        let table = "\
Ready: SendStream=Send SendFin=DataSent SendReset=ResetSent RecvAllAcks=- RecvResetAck=-
Send: SendStream=Send SendFin=DataSent SendReset=ResetSent RecvAllAcks=- RecvResetAck=-
DataSent: SendStream=DataSent SendFin=DataSent SendReset=ResetSent RecvAllAcks=DataRecvd RecvResetAck=-
ResetSent: SendStream=- SendFin=- SendReset=- RecvAllAcks=- RecvResetAck=ResetRecvd
DataRecvd: SendStream=- SendFin=- SendReset=- RecvAllAcks=- RecvResetAck=-
ResetRecvd: SendStream=- SendFin=- SendReset=- RecvAllAcks=- RecvResetAck=-
";
        let mut printed = String::new();
        for state in [Ready, Send, DataSent, ResetSent, DataRecvd, ResetRecvd] {
            printed += &format!("{state:?}:");
            for event in [SendStream, SendFin, SendReset, RecvAllAcks, RecvResetAck] {
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

    #[test]
    fn no_event_leaves_a_terminal_state() {
        assert!(SendState::DataRecvd.is_terminal() && SendState::ResetRecvd.is_terminal());
        assert!(!SendState::ResetSent.is_terminal());
    }
}
