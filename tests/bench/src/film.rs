//! When the messages of a film are sent: each frame is a burst of as many as its bytes take. No RFC.
//!
//! The film is an IVF file: 32 bytes of header, then twelve of header before each frame. Its frames are made some times
//! longer, as if its bit rate were higher; after its end it begins again.

/// A film's frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Film {
    /// Messages of each frame.
    frames: Vec<usize>,
    /// Time between two frames, ns.
    step: u64,
}

impl Film {
    /// Of an IVF file, with frames so many times longer, in messages of `size` bytes. `None` if it is none, or has no frames.
    pub fn parse(file: &[u8], times: usize, size: usize) -> Option<Self> {
        let header = file
            .get(..32)
            .filter(|header| header.starts_with(b"DKIF"))?;
        let (rate, scale) = (number(header, 16)?, number(header, 20)?);
        let mut frames = Vec::new();
        let mut rest = file.get(32..)?;
        while !rest.is_empty() {
            let len = number(rest, 0)?;
            rest = rest.get(12 + len..)?;
            frames.push((len * times).div_ceil(size).max(1));
        }
        let step = (scale as u64 * 1_000_000_000).checked_div(rate as u64)?;
        (!frames.is_empty()).then_some(Self { frames, step })
    }

    /// Of the n-th frame: when it is sent, ns from the beginning, and as how many messages.
    pub fn frame(&self, number: usize) -> (u64, usize) {
        let messages = self.frames[number % self.frames.len()];
        (self.step * number as u64, messages)
    }
}

/// Four bytes, little end first.
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let (word, _) = bytes.get(at..)?.split_first_chunk()?;
    usize::try_from(u32::from_le_bytes(*word)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clip_has_a_large_frame_each_second() {
        let clip = include_bytes!("../../media/clip.ivf");
        let film = Film::parse(clip, 20, 1200).unwrap();
        assert_eq!(film.frames.len(), 250);
        assert_eq!(film.frame(0), (0, 124));
        assert_eq!(film.frame(25), (1_000_000_000, 105));
        assert_eq!(film.frame(251).0, 10_040_000_000);
        assert_eq!(film.frame(251).1, film.frame(1).1);
    }

    #[test]
    fn what_is_no_film_or_is_cut_is_refused() {
        let clip = include_bytes!("../../media/clip.ivf");
        assert_eq!(Film::parse(&clip[..clip.len() - 1], 20, 1200), None);
        assert_eq!(Film::parse(&clip[..32], 20, 1200), None);
        assert_eq!(Film::parse(&[0; 100], 20, 1200), None);
    }
}
