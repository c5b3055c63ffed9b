//! Which packet that left is a copy of which that came: of the last that came before it. No RFC.
//!
//! They come every millisecond, so that is so as long as the relay takes less; what takes longer looks shorter here
//! than it was.

use std::collections::HashMap;
use std::time::Duration;

/// A packet on one of the relay's interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// When.
    pub time: Duration,
    /// Whether it left.
    pub has_left: bool,
    /// Bytes of its frame.
    pub len: usize,
}

/// In microseconds, of the media packets.
pub fn delays(seen: &[Seen]) -> Vec<f64> {
    let (Some(came), Some(left)) = (usual_len(seen, false), usual_len(seen, true)) else {
        return Vec::new();
    };
    let mut seen = seen.to_vec();
    seen.sort();
    let mut last = None;
    let mut delays = Vec::new();
    for packet in seen {
        let usual = if packet.has_left { left } else { came };
        if packet.len.abs_diff(usual) > NEAR {
            continue;
        }
        if !packet.has_left {
            last = Some(packet.time);
        } else if let Some(time) = last.take() {
            delays.push((packet.time - time).as_nanos() as f64 / 1000.0);
        }
    }
    delays
}

/// The length of most of the larger ones: handshakes and probes have others.
fn usual_len(seen: &[Seen], has_left: bool) -> Option<usize> {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    let larger = seen
        .iter()
        .filter(|packet| packet.has_left == has_left && packet.len > SMALL);
    for packet in larger {
        *counts.entry(packet.len).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|&(_, count)| count);
    most.map(|(len, _)| len)
}

/// Acknowledgements are smaller than this.
const SMALL: usize = 900;
/// Integers in a packet, such as its number, grow by so many bytes.
const NEAR: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(micros: u64, has_left: bool, len: usize) -> Seen {
        let time = Duration::from_micros(micros);
        Seen {
            time,
            has_left,
            len,
        }
    }

    #[test]
    fn a_copy_is_paired_with_its_original_and_handshakes_are_left_out() {
        let mut all = vec![seen(1, false, 1242), seen(2, true, 1242), seen(3, true, 80)];
        for packet in 0..10 {
            all.push(seen(1000 * packet + 507, true, 1080));
            all.push(seen(1000 * packet + 500, false, 1081));
            all.push(seen(1000 * packet + 600, false, 90));
        }
        assert_eq!(delays(&all), [7.0; 10]);
        assert_eq!(delays(&[]), Vec::<f64>::new());
    }
}
