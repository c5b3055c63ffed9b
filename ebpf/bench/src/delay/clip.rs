//! A clip of which every frame is a packet: IVF with VP8's first byte (RFC 6386 §9.1), and nothing that a decoder
//! would understand.

/// Frames a second.
const RATE: u32 = 1000;
/// Bytes of each.
const FRAME: u32 = 1000;
/// A key frame, and so a group, every so many.
const GROUP: u32 = 250;

/// So many seconds.
pub fn ivf(seconds: u32) -> Vec<u8> {
    let frames = seconds * RATE;
    let mut file = b"DKIF\0\0\x20\0VP80\x40\x01\xf0\0".to_vec();
    for number in [RATE, 1, frames, 0] {
        file.extend(number.to_le_bytes());
    }
    for frame in 0..frames {
        file.extend(FRAME.to_le_bytes());
        file.extend(u64::from(frame).to_le_bytes());
        let tag = u8::from(!frame.is_multiple_of(GROUP));
        let start = file.len();
        file.push(tag);
        file.extend(frame.to_le_bytes());
        file.resize(start + FRAME as usize, 0x5a);
    }
    file
}
