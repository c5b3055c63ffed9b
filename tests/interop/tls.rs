//! What TLS said, taken from the packets: RFC 8446 §4.1, §4.3.1 in the CRYPTO frames of RFC 9000 §19.6.

use integration::tap::Tap;
use quic_lite::Side;
use quic_lite::wire::header::PacketType;
use quic_lite::wire::transport_parameters::TransportParameters;

/// The cipher suites that the client offered.
pub fn offered(tap: &Tap) -> Option<Vec<u16>> {
    let hello = tap.crypto(Side::Client, PacketType::Initial);
    let suites = block::<2>(after_session_id(&hello)?)?.0;
    let (pairs, _) = suites.as_chunks::<2>();
    Some(pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
}

/// The cipher suite that the server took.
pub fn chosen(tap: &Tap) -> Option<u16> {
    let hello = tap.crypto(Side::Server, PacketType::Initial);
    let suite = after_session_id(&hello)?.first_chunk()?;
    Some(u16::from_be_bytes(*suite))
}

/// The server's transport parameters, in its EncryptedExtensions.
pub fn server_parameters(tap: &Tap) -> Option<TransportParameters> {
    let messages = tap.crypto(Side::Server, PacketType::Handshake);
    let (extensions, _) = block::<3>(messages.strip_prefix(&[ENCRYPTED_EXTENSIONS])?)?;
    let (mut extensions, _) = block::<2>(extensions)?;
    loop {
        let (extension, rest) = extensions.split_first_chunk::<2>()?;
        let (body, rest) = block::<2>(rest)?;
        if u16::from_be_bytes(*extension) == QUIC_TRANSPORT_PARAMETERS {
            return TransportParameters::parse(body, Side::Server).ok();
        }
        extensions = rest;
    }
}

/// What follows type, length, version, random bytes and session ID of a hello.
fn after_session_id(hello: &[u8]) -> Option<&[u8]> {
    let rest = hello.get(1 + 3 + 2 + 32..)?;
    Some(block::<1>(rest)?.1)
}

/// A length of `LENGTH` bytes and as many bytes as it says; and the rest.
fn block<const LENGTH: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    let length = length
        .iter()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

const ENCRYPTED_EXTENSIONS: u8 = 8;
/// RFC 9001 §8.2.
const QUIC_TRANSPORT_PARAMETERS: u16 = 0x39;
