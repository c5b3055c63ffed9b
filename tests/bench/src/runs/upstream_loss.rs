//! A percent of the packets is lost between publisher and relay: whether those behind a hole wait for it. RFC 9000 §2.2: one
//! stream never waits for another.

use super::Session;
use crate::plan::Mode;
use crate::process::Failure;
use crate::results::{Delay, UpstreamLoss};

/// A stream for each message, each millisecond.
pub(super) fn run(session: &mut Session<'_>, seconds: f64) -> Result<UpstreamLoss, Failure> {
    let mut source = session.source(Mode::Stream, "1000")?;
    let _losing = session.stage.network.lose()?;
    let stretch = session.stretch(&mut source, seconds)?;
    Ok(UpstreamLoss {
        path: session.path(),
        behind_ns: behind(&stretch.received.first),
    })
}

/// Of messages in the order in which they arrived: the delays of those that overtook one, the next after it among them. What
/// is lost is repaired after a millisecond at the soonest, so it is overtaken.
fn behind(arrived: &[Delay]) -> Vec<u64> {
    let mut found = Vec::new();
    for (place, &(sequence, _)) in arrived.iter().enumerate() {
        let earlier = &arrived[place.saturating_sub(LATE)..place];
        if earlier.iter().any(|&(other, _)| other == sequence + 1) {
            let next = sequence + 1..=sequence + NEXT;
            let next = earlier.iter().filter(|(other, _)| next.contains(other));
            found.extend(next.map(|&(_, delay)| delay));
        }
    }
    found
}

/// A repair is looked for behind so many messages.
const LATE: usize = 200;
/// So many messages are behind a hole, at most.
const NEXT: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_behind_a_hole_are_those_that_overtook_it() {
        let arrived = [
            (0, 10),
            (1, 11),
            (3, 13),
            (4, 14),
            (5, 15),
            (6, 16),
            (2, 5000),
            (7, 17),
        ];
        assert_eq!(behind(&arrived), [13, 14, 15]);
        assert_eq!(behind(&arrived[..6]), [0; 0]);
    }
}
