//! Bursts as a film's frames are: how late the last message of each frame is. No RFC.

use std::collections::BTreeSet;
use std::fs;

use super::Session;
use crate::process::Failure;
use crate::results::{Delay, FilmRun};

/// One round on one path.
pub(super) fn run(session: &mut Session<'_>, seconds: f64) -> Result<FilmRun, Failure> {
    let clip = session.folder().join("clip.ivf");
    fs::write(&clip, CLIP)?;
    let clip = clip.to_str().ok_or("a folder that has no name")?;
    let mut source = session.silent_source(&["--mode", "datagram", "--film", clip])?;
    // What comes first is there for the path to get used to it.
    session.stretch(&mut source, super::WARMING_UP)?;
    let stretch = session.stretch(&mut source, seconds)?;
    let lost = stretch.lost(session.job.subscribers);
    let last_of_frames = stretch.last_of_frames.ok_or("the source shows no film")?;
    let frames = last_of_frames.len() as u64;
    let wanted = last_of_frames.into_iter().collect::<BTreeSet<_>>();
    Ok(FilmRun {
        path: session.path(),
        subscribers: session.job.subscribers as u64,
        round: session.job.round,
        frames,
        messages: stretch.sent,
        first: only(stretch.received.first, &wanted),
        last: only(stretch.received.last, &wanted),
        lost,
    })
}

/// The delays of these messages.
fn only(mut delays: Vec<Delay>, wanted: &BTreeSet<u64>) -> Vec<Delay> {
    delays.retain(|(sequence, _)| wanted.contains(sequence));
    delays
}

/// The film that `lab` shows, too.
const CLIP: &[u8] = include_bytes!("../../../media/clip.ivf");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_delays_those_of_the_last_messages_are_kept() {
        let delays = vec![(3, 10), (5, 30), (4, 20), (9, 1)];
        let wanted = BTreeSet::from([4, 5, 7]);
        assert_eq!(only(delays, &wanted), [(5, 30), (4, 20)]);
    }
}
