//! IVF, the container of VP8, VP9 and AV1 test clips: a 32-byte file header, then per frame a 12-byte
//! header and the frame.
//!
//! No RFC; the layout is the one that libvpx and ffmpeg write. A frame that exists is whole, and
//! `FileHeader` and `frame_header` give back the very bytes that were read: the file header and the
//! frames' timestamps are all there is beside the frames, so a receiver that gets those rebuilds the
//! file bit for bit. Reading is bounded: a frame is at most 16 MiB, whatever its header says.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

pub use crate::keyframe::Codec;

/// The 32 bytes at the start of an IVF file, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    bytes: [u8; FILE_HEADER_LEN],
}

/// One frame: when it is shown, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Presentation time in units of the file header's time base.
    pub timestamp: u64,
    /// The coded frame.
    pub payload: Vec<u8>,
}

/// Reads an IVF file frame by frame.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    header: FileHeader,
    frame: u64,
    offset: u64,
}

/// Why a file could not be read as IVF.
#[derive(Debug)]
pub enum IvfError {
    /// The first four bytes are not `DKIF`.
    Signature,
    /// The file header has a field with a value that no IVF file has.
    Header(&'static str),
    /// The file ends within its header.
    TruncatedHeader {
        /// How many of its 32 bytes there are.
        length: usize,
    },
    /// The file ends within a frame.
    Truncated {
        /// Number of the frame, from 0.
        frame: u64,
        /// Where in the file the frame's header starts.
        offset: u64,
        /// Bytes that the frame and its header should have.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// A frame header announces more than 16 MiB: most likely it is no frame header.
    FrameTooLong {
        /// Number of the frame, from 0.
        frame: u64,
        /// Where in the file the frame's header starts.
        offset: u64,
        /// The length in the frame header.
        length: u32,
    },
    /// The input could not be read.
    Io(io::Error),
}

impl FileHeader {
    /// Checks the 32 bytes of a file header.
    pub fn parse(bytes: &[u8]) -> Result<Self, IvfError> {
        if !SIGNATURE.starts_with(bytes.get(..4).unwrap_or(bytes)) || bytes.is_empty() {
            return Err(IvfError::Signature);
        }
        let Some(&bytes) = bytes.first_chunk() else {
            return Err(IvfError::TruncatedHeader {
                length: bytes.len(),
            });
        };
        let header = Self { bytes };
        if header.u16_at(4) != 0 {
            return Err(IvfError::Header("the version is not 0"));
        }
        if usize::from(header.u16_at(6)) != FILE_HEADER_LEN {
            return Err(IvfError::Header("the header length is not 32"));
        }
        if header.u32_at(16) == 0 || header.u32_at(20) == 0 {
            return Err(IvfError::Header("the time base has a zero in it"));
        }
        Ok(header)
    }

    /// The header as it stands in the file.
    pub fn as_bytes(&self) -> &[u8; FILE_HEADER_LEN] {
        &self.bytes
    }

    /// The codec, `None` when it is none of VP8, VP9 and AV1.
    pub fn codec(&self) -> Option<Codec> {
        Codec::from_fourcc(&self.bytes[8..12])
    }

    /// Width and height of the picture.
    pub fn size(&self) -> (u16, u16) {
        (self.u16_at(12), self.u16_at(14))
    }

    /// What a frame's timestamp is in time, from the start of the clip.
    pub fn presentation_time(&self, timestamp: u64) -> Duration {
        let (rate, scale) = (u128::from(self.u32_at(16)), u128::from(self.u32_at(20)));
        let micros = u128::from(timestamp) * scale * 1_000_000 / rate;
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn u16_at(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    fn u32_at(&self, at: usize) -> u32 {
        u32::from(self.u16_at(at)) | u32::from(self.u16_at(at + 2)) << 16
    }
}

impl<R: Read> Reader<R> {
    /// Reads and checks the file header.
    pub fn new(mut input: R) -> Result<Self, IvfError> {
        let mut bytes = [0; FILE_HEADER_LEN];
        let length = read_full(&mut input, &mut bytes)?;
        let header = FileHeader::parse(&bytes[..length])?;
        Ok(Self {
            input,
            header,
            frame: 0,
            offset: FILE_HEADER_LEN as u64,
        })
    }

    /// The file header.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// The next frame, `None` at the end of the file.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, IvfError> {
        let mut header = [0; FRAME_HEADER_LEN];
        let found = read_full(&mut self.input, &mut header)?;
        if found == 0 {
            return Ok(None);
        }
        if found < FRAME_HEADER_LEN {
            return Err(self.truncated(FRAME_HEADER_LEN, found));
        }
        let [l0, l1, l2, l3, timestamp @ ..] = header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let (frame, offset) = (self.frame, self.offset);
        if length > MAX_FRAME {
            return Err(IvfError::FrameTooLong {
                frame,
                offset,
                length,
            });
        }
        let expected = length as usize;
        // It grows with what there is, not with what is said.
        let mut payload = Vec::with_capacity(expected.min(FIRST_READ));
        let mut input = self.input.by_ref().take(length.into());
        let found = input.read_to_end(&mut payload)?;
        if found < expected {
            return Err(self.truncated(FRAME_HEADER_LEN + expected, FRAME_HEADER_LEN + found));
        }
        self.frame += 1;
        self.offset += (FRAME_HEADER_LEN + expected) as u64;
        Ok(Some(Frame {
            timestamp: u64::from_le_bytes(timestamp),
            payload,
        }))
    }

    fn truncated(&self, expected: usize, found: usize) -> IvfError {
        IvfError::Truncated {
            frame: self.frame,
            offset: self.offset,
            expected,
            found,
        }
    }
}

/// The 12 bytes that stand before a frame of `length` bytes.
pub fn frame_header(timestamp: u64, length: u32) -> [u8; FRAME_HEADER_LEN] {
    let mut header = [0; FRAME_HEADER_LEN];
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4..].copy_from_slice(&timestamp.to_le_bytes());
    header
}

impl From<io::Error> for IvfError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for IvfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature => write!(f, "not an IVF file (it does not start with DKIF)"),
            Self::Header(what) => write!(f, "not an IVF file that can be used: {what}"),
            Self::TruncatedHeader { length } => {
                write!(
                    f,
                    "the file ends after {length} of the 32 bytes of its header"
                )
            }
            Self::Truncated {
                frame,
                offset,
                expected,
                found,
            } => write!(
                f,
                "the file is cut off: frame {frame} at byte {offset} needs {expected} bytes, \
                 {found} are there"
            ),
            Self::FrameTooLong {
                frame,
                offset,
                length,
            } => write!(
                f,
                "the file is damaged: frame {frame} at byte {offset} claims to be {length} bytes"
            ),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for IvfError {}

/// Like `read_exact`, but tells how much there was before the end.
fn read_full(input: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match input.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The four bytes that an IVF file starts with.
pub const SIGNATURE: [u8; 4] = *b"DKIF";
/// Length of the file header.
pub const FILE_HEADER_LEN: usize = 32;
/// Length of a frame header.
pub const FRAME_HEADER_LEN: usize = 12;

/// An 8K key frame is well below it; it bounds what a damaged file makes us allocate.
const MAX_FRAME: u32 = 16 << 20;

/// Room for a frame of most clips.
const FIRST_READ: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const CLIP: &[u8] = include_bytes!("../../tests/media/clip.ivf");

    fn file(frames: &[Frame]) -> Vec<u8> {
        let mut bytes = CLIP[..FILE_HEADER_LEN].to_vec();
        for frame in frames {
            let length = u32::try_from(frame.payload.len()).unwrap();
            bytes.extend_from_slice(&frame_header(frame.timestamp, length));
            bytes.extend_from_slice(&frame.payload);
        }
        bytes
    }

    fn read_all(bytes: &[u8]) -> Result<Vec<Frame>, IvfError> {
        let mut reader = Reader::new(bytes)?;
        let mut frames = Vec::new();
        while let Some(frame) = reader.next_frame()? {
            frames.push(frame);
        }
        Ok(frames)
    }

    #[test]
    fn clip_is_ten_seconds_of_vp8_with_a_key_frame_each_second() {
        let reader = Reader::new(CLIP).unwrap();
        let codec = reader.header().codec().unwrap();
        assert_eq!((codec, reader.header().size()), (Codec::Vp8, (320, 240)));
        let frames = read_all(CLIP).unwrap();
        assert_eq!(frames.len(), 250);
        assert_eq!(
            reader.header().presentation_time(250),
            Duration::from_secs(10)
        );
        for frame in &frames {
            assert_eq!(
                codec.is_key_frame(&frame.payload),
                frame.timestamp % 25 == 0
            );
        }
        assert!(CLIP.len() <= 400_000);
    }

    #[test]
    fn frames_read_and_written_again_are_the_same_file() {
        assert_eq!(file(&read_all(CLIP).unwrap()), CLIP);
    }

    #[test]
    fn any_frames_survive_the_round_trip() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> 33
        };
        for _ in 0..200 {
            let frames: Vec<Frame> = (0..next() % 8)
                .map(|_| Frame {
                    timestamp: next() << (next() % 40),
                    payload: (0..next() % 300).map(|_| next() as u8).collect(),
                })
                .collect();
            assert_eq!(read_all(&file(&frames)).unwrap(), frames);
        }
    }

    #[test]
    fn file_cut_anywhere_is_an_error_that_says_where_or_ends_between_frames() {
        let bytes = file(&read_all(CLIP).unwrap()[..3]);
        let mut whole = 0;
        for length in 0..bytes.len() {
            match read_all(&bytes[..length]) {
                Ok(_) => whole += 1,
                Err(IvfError::Truncated {
                    expected, found, ..
                }) => assert!(found < expected),
                Err(IvfError::TruncatedHeader { length: n }) => assert_eq!(n, length),
                Err(IvfError::Signature) => assert_eq!(length, 0),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(whole, 3, "after the header, the first and the second frame");
    }

    #[test]
    fn flipped_bytes_never_panic_and_never_allocate_beyond_the_limit() {
        let bytes = file(&read_all(CLIP).unwrap()[..2]);
        for at in 0..60 {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let _ = read_all(&damaged);
            }
        }
    }

    #[test]
    fn each_mistake_has_its_own_line() {
        let mut long = file(&[]);
        long.extend_from_slice(&frame_header(0, u32::MAX));
        let mut version = CLIP.to_vec();
        version[4] = 1;
        let mut rate = CLIP.to_vec();
        rate[16] = 0;
        let cases: [(&[u8], &str); 6] = [
            (b"hello, world", "does not start with DKIF"),
            (&CLIP[..31], "31 of the 32 bytes"),
            (
                &CLIP[..40],
                "frame 0 at byte 32 needs 12 bytes, 8 are there",
            ),
            (&long, "frame 0 at byte 32 claims to be 4294967295 bytes"),
            (&version, "the version is not 0"),
            (&rate, "the time base has a zero in it"),
        ];
        for (bytes, text) in cases {
            let error = read_all(bytes).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
