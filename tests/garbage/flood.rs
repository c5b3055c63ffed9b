//! Who floods: one datagram from each of very many addresses, at an even pace. RFC 9000 §21.5.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use integration::forge::stranger;
use quic_lite::rng::Rng;

/// What strangers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Random bytes.
    Garbage,
    /// Authentic Initials of clients that never answer.
    Initials,
}

impl Kind {
    /// As a word of the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Initials => "initials",
        }
    }
}

/// `flood KIND TARGET FIRST-ADDRESS COUNT RATE`: COUNT addresses from the first on must be this machine's.
#[expect(clippy::disallowed_methods, reason = "a program that paces itself")]
pub fn run(words: &[String]) -> io::Result<()> {
    let [kind, target, first, count, rate] = words else {
        return Err(io::Error::other(
            "flood KIND TARGET FIRST-ADDRESS COUNT RATE",
        ));
    };
    let wrong = |_| io::Error::other("not a number or an address");
    let target: SocketAddr = target.parse().map_err(|_| wrong(()))?;
    let first: Ipv4Addr = first.parse().map_err(|_| wrong(()))?;
    let [count, rate] = [count, rate].map(|word| word.parse::<u32>());
    let (count, rate) = (count.map_err(|_| wrong(()))?, rate.map_err(|_| wrong(()))?);
    let kind = [Kind::Garbage, Kind::Initials]
        .into_iter()
        .find(|it| it.name() == kind);
    let datagrams = datagrams(kind.ok_or_else(|| wrong(()))?);
    let start = Instant::now();
    let mut sent: u32 = 0;
    while sent < count {
        let due = start.elapsed().as_secs_f64() * f64::from(rate);
        while f64::from(sent) < due && sent < count {
            // 60 thousand addresses, with as many ports as it takes.
            let address = Ipv4Addr::from(u32::from(first) + sent % ADDRESSES);
            let socket = UdpSocket::bind((IpAddr::V4(address), 0))?;
            // What the target cannot take is its own way to be flooded.
            let _ = socket.send_to(&datagrams[sent as usize % datagrams.len()], target);
            sent += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
    println!("{sent} in {:?}", start.elapsed());
    Ok(())
}

/// A few hundred different ones, sent in turn.
fn datagrams(kind: Kind) -> Vec<Vec<u8>> {
    let mut rng = Rng::from_number(1);
    let one = |number: u64| match kind {
        Kind::Garbage => {
            let mut bytes = vec![0; rng.below(1473) as usize];
            rng.fill(&mut bytes);
            bytes
        }
        Kind::Initials => stranger(number),
    };
    (0..499).map(one).collect()
}

const ADDRESSES: u32 = 60_000;
