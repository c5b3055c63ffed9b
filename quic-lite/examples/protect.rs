//! How long packet protection takes here (RFC 9001 §5): seals and opens packets of 1200 bytes with each
//! suite and prints nanoseconds per packet. `cargo run --release --example protect`
#![expect(
    clippy::disallowed_methods,
    reason = "a program that measures reads the clock"
)]

use std::error::Error;
use std::time::Instant;

use quic_lite::protection::{CipherSuite, Keys, ProtectedPacket, Secret, TAG_LEN, seal_packet};
use quic_lite::wire::packet_number::PacketNumber;

const PACKETS: u32 = 20_000;
const PN_OFFSET: usize = 9;
const PN_LEN: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    println!("{:>30} {:>8} {:>8}", "1200-byte packets", "seal", "open");
    for suite in CipherSuite::ALL {
        let secret = Secret::new(&vec![7; suite.secret_len()]).ok_or("no such secret")?;
        let keys = Keys::from_secret(suite, &secret);
        let (mut seal, mut open) = (0, 0);
        let mut packet = [0; 1200];
        for number in 0..PACKETS {
            packet[0] = 0x43;
            packet[PN_OFFSET..PN_OFFSET + PN_LEN].copy_from_slice(&number.to_be_bytes());
            let number = PacketNumber::new(number.into());

            let start = Instant::now();
            seal_packet(&mut packet, PN_OFFSET, number, &keys)?;
            seal += start.elapsed().as_nanos();

            let start = Instant::now();
            let protected = ProtectedPacket {
                bytes: &mut packet,
                pn_offset: PN_OFFSET,
            };
            let opened = protected
                .unprotect(&keys.header)?
                .open(&keys.packet, Some(number))?;
            open += start.elapsed().as_nanos();
            assert_eq!(opened.payload.len(), 1200 - PN_OFFSET - PN_LEN - TAG_LEN);
        }
        let per_packet = |total: u128| total / u128::from(PACKETS);
        println!(
            "{suite:>30} {:>5} ns {:>5} ns",
            per_packet(seal),
            per_packet(open)
        );
    }
    Ok(())
}
