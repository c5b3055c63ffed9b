//! Is a coded frame a key frame? Told from the first bits of VP8 (RFC 6386 §9.1), VP9 (bitstream
//! specification §6.2) and AV1 (bitstream specification §5.5, §5.9.2) frames.
//!
//! A frame that is too short or damaged is "no key frame", never an error: the only use is to choose
//! where a group starts. Nothing else of a codec is known here.

/// A codec whose key frames we can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// VP8, `VP80`.
    Vp8,
    /// VP9, `VP90`.
    Vp9,
    /// AV1, `AV01`.
    Av1,
}

impl Codec {
    /// The codec of an IVF file's four-character code.
    pub fn from_fourcc(fourcc: &[u8]) -> Option<Self> {
        match fourcc {
            b"VP80" => Some(Self::Vp8),
            b"VP90" => Some(Self::Vp9),
            b"AV01" => Some(Self::Av1),
            _ => None,
        }
    }

    /// Whether decoding can start at this frame.
    pub fn is_key_frame(self, frame: &[u8]) -> bool {
        match self {
            Self::Vp8 => vp8(frame),
            Self::Vp9 => vp9(frame),
            Self::Av1 => av1(frame).unwrap_or(false),
        }
    }
}

/// RFC 6386 §9.1: the lowest bit of the frame tag is 0 for a key frame.
fn vp8(frame: &[u8]) -> bool {
    frame.first().is_some_and(|tag| tag & 1 == 0)
}

/// frame_marker (2 bits, 0b10), profile (2), reserved (1, profile 3 only), show_existing_frame, frame_type.
fn vp9(frame: &[u8]) -> bool {
    let Some(&first) = frame.first() else {
        return false;
    };
    if first >> 6 != 0b10 {
        return false;
    }
    let after_profile = if first & 0x30 == 0x30 {
        first << 5
    } else {
        first << 4
    };
    let (show_existing, not_key) = (after_profile & 0x80 != 0, after_profile & 0x40 != 0);
    !show_existing && !not_key
}

/// Walks the OBUs of a temporal unit up to its first frame header.
fn av1(mut unit: &[u8]) -> Option<bool> {
    loop {
        let (&header, rest) = unit.split_first()?;
        let rest = if header & 0x04 != 0 {
            rest.get(1..)?
        } else {
            rest
        };
        // obu_has_size_field is 0 only for the last OBU of a unit.
        let (size, rest) = if header & 0x02 != 0 {
            leb128(rest)?
        } else {
            (rest.len(), rest)
        };
        let payload = rest.get(..size)?;
        match (header >> 3) & 0x0f {
            // seq_profile (3 bits), still_picture, reduced_still_picture_header: then all frames are key frames.
            OBU_SEQUENCE_HEADER if payload.first()? & 0x08 != 0 => return Some(true),
            // show_existing_frame (1 bit), frame_type (2 bits, 0 is KEY_FRAME).
            OBU_FRAME_HEADER | OBU_FRAME => return Some(payload.first()? & 0xe0 == 0),
            _ => unit = rest.get(size..)?,
        }
    }
}

fn leb128(mut bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for shift in (0..28).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, bytes));
        }
    }
    None
}

const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_FRAME_HEADER: u8 = 3;
const OBU_FRAME: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vp8_key_frame_is_the_lowest_bit() {
        assert!(Codec::Vp8.is_key_frame(&[0x70, 0x6e]));
        assert!(!Codec::Vp8.is_key_frame(&[0x31, 0x12]));
        assert!(!Codec::Vp8.is_key_frame(&[]));
    }

    #[test]
    fn vp9_frame_type_comes_after_the_profile() {
        assert!(
            Codec::Vp9.is_key_frame(&[0b1000_0010]),
            "profile 0, key frame"
        );
        assert!(
            !Codec::Vp9.is_key_frame(&[0b1000_0110]),
            "profile 0, inter frame"
        );
        assert!(
            !Codec::Vp9.is_key_frame(&[0b1000_1000]),
            "shows an existing frame"
        );
        assert!(
            Codec::Vp9.is_key_frame(&[0b1011_0001]),
            "profile 3 has one bit more"
        );
        assert!(
            !Codec::Vp9.is_key_frame(&[0b1011_0010]),
            "profile 3, inter frame"
        );
        assert!(!Codec::Vp9.is_key_frame(&[0b0100_0000]), "no frame marker");
    }

    #[test]
    fn av1_frame_type_is_found_behind_delimiter_and_sequence_header() {
        let delimiter = [0x12, 0x00];
        let sequence = [0x0a, 0x03, 0x00, 0x00, 0x00];
        let key = [0x32, 0x02, 0x10, 0x00];
        let inter = [0x32, 0x02, 0x30, 0x00];
        assert!(Codec::Av1.is_key_frame(&[&delimiter[..], &sequence, &key].concat()));
        assert!(!Codec::Av1.is_key_frame(&[&delimiter[..], &inter].concat()));
        assert!(!Codec::Av1.is_key_frame(&delimiter));
        assert!(!Codec::Av1.is_key_frame(&[0x32, 0xff, 0xff, 0xff, 0xff, 0xff]));
        assert!(
            Codec::Av1.is_key_frame(&[0x0a, 0x01, 0x18]),
            "a still picture"
        );
    }
}
