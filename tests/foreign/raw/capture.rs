//! A look at what passes a device of a world, and whether it is right: addresses, lengths, checksums. No RFC of ours: the
//! headers are those of RFC 791, RFC 8200 and RFC 768.
//!
//! A thread enters the namespace and reads from a packet socket; dropping the `Capture`, or `stop`, ends it. What stands
//! there is what a wire would carry, but for sums that the device was to complete: those hold the sum of the pseudo-header
//! alone.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, bind, setsockopt, socket, sockopt};
use nix::sys::time::TimeVal;

use crate::Failure;
use crate::world::{Place, World};

/// A UDP packet that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it was read.
    pub at: Instant,
    /// Where it came from.
    pub from: SocketAddr,
    /// Where it goes to.
    pub to: SocketAddr,
    /// Bytes of UDP payload.
    pub payload: usize,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// The two bits of ECN.
    pub ecn: u8,
    /// IPv4 must not be cut into fragments.
    pub dont_fragment: bool,
    /// The UDP checksum.
    pub sum: Sum,
}

/// What a UDP checksum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// That of the packet.
    Right,
    /// That of the pseudo-header: the rest is left to a device.
    Partial,
    /// Neither.
    Wrong,
}

/// A packet that passed, and its UDP payload.
pub type Whole = (Seen, Vec<u8>);

/// A running capture.
#[derive(Debug)]
pub struct Capture<T = Seen> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<T>>>,
}

impl Capture {
    /// Looks at `device` from when this returns.
    #[track_caller]
    pub fn start(world: &World, place: Place, device: &str) -> Self {
        Self::of(world, place, device, parse)
    }
}

impl Capture<Whole> {
    /// The same, and keeps what the packets carry.
    #[track_caller]
    pub fn whole(world: &World, place: Place, device: &str) -> Self {
        Self::of(world, place, device, |frame, at| {
            let seen = parse(frame, at)?;
            // Behind Ethernet, IP without options, UDP.
            let start = if seen.from.is_ipv4() { 14 + 20 + 8 } else { 14 + 40 + 8 };
            Some((seen, frame.get(start..start + seen.payload)?.to_vec()))
        })
    }
}

impl<T: Send + 'static> Capture<T> {
    #[track_caller]
    fn of(world: &World, place: Place, device: &str, parse: fn(&[u8], Instant) -> Option<T>) -> Self {
        let (namespace, device) = (world.namespace(place), device.to_owned());
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let (sender, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let opened = open(&namespace, &device);
            let mut socket = match opened {
                Ok(socket) => File::from(socket),
                Err(failure) => {
                    let _ = sender.send(Err(failure));
                    return Vec::new();
                }
            };
            let _ = sender.send(Ok(()));
            read(&mut socket, &is_over, parse)
        });
        let capture = Self { stop, thread: Some(thread) };
        ready.recv().expect("the thread answers").unwrap_or_else(|failure| panic!("capture: {failure}"));
        capture
    }

    /// Ends it: what it has seen.
    pub fn stop(mut self) -> Vec<T> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl<T> Drop for Capture<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A socket that sees all packets of a device, in both directions.
fn open(namespace: &str, device: &str) -> Result<OwnedFd, Failure> {
    // For this thread alone.
    setns(File::open(format!("/run/netns/{namespace}"))?, CloneFlags::CLONE_NEWNET)?;
    let mut addresses = getifaddrs()?.filter(|entry| entry.interface_name == device).filter_map(|entry| entry.address);
    let address = addresses.find(|address| address.as_link_addr().is_some()).ok_or("no such device")?;
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    bind(socket.as_raw_fd(), address.as_link_addr().ok_or("no such device")?)?;
    setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20))?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 50_000))?;
    Ok(socket)
}

fn read<T>(socket: &mut File, is_over: &AtomicBool, parse: fn(&[u8], Instant) -> Option<T>) -> Vec<T> {
    let mut seen = Vec::new();
    let mut buffer = vec![0; 1 << 17];
    // What is there when the end is asked for is still read, up to the next silence.
    while seen.len() < MOST {
        match socket.read(&mut buffer) {
            Ok(length) => seen.extend(parse(&buffer[..length], Instant::now())),
            Err(_) if is_over.load(Ordering::Relaxed) => break,
            Err(_) => {}
        }
    }
    seen
}

/// An Ethernet frame with UDP over IP in it.
pub fn parse(frame: &[u8], at: Instant) -> Option<Seen> {
    let (ethernet, packet) = frame.split_at_checked(14)?;
    let byte = |at: usize| packet.get(at).copied();
    let (from, to, udp, protocol, ttl, traffic, dont_fragment) = match ethernet.get(12..14)? {
        [0x08, 0x00] => {
            let header = usize::from(byte(0)? & 15) * 4;
            let length = usize::from(u16::from_be_bytes([byte(2)?, byte(3)?]));
            let address = |at: usize| Some(IpAddr::from(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?)));
            let udp = packet.get(header..length.min(packet.len()))?;
            (address(12)?, address(16)?, udp, byte(9)?, byte(8)?, byte(1)?, byte(6)? & 0x40 != 0)
        }
        [0x86, 0xdd] => {
            let address = |at: usize| Some(IpAddr::from(Ipv6Addr::from(*packet.get(at..)?.first_chunk::<16>()?)));
            let length = usize::from(u16::from_be_bytes([byte(4)?, byte(5)?]));
            let udp = packet.get(40..(40 + length).min(packet.len()))?;
            (address(8)?, address(24)?, udp, byte(6)?, byte(7)?, byte(0)? << 4 | byte(1)? >> 4, true)
        }
        _ => return None,
    };
    let (header, payload) = udp.split_first_chunk::<8>()?;
    if protocol != UDP {
        return None;
    }
    Some(Seen {
        at,
        from: SocketAddr::new(from, u16::from_be_bytes([header[0], header[1]])),
        to: SocketAddr::new(to, u16::from_be_bytes([header[2], header[3]])),
        payload: payload.len(),
        ttl,
        ecn: traffic & 3,
        dont_fragment,
        sum: judge(from, to, udp),
    })
}

/// RFC 768; zero is sent as all ones, and on IPv4 means that there is none.
fn judge(from: IpAddr, to: IpAddr, udp: &[u8]) -> Sum {
    let address = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let mut pseudo = [address(from), address(to)].concat();
    pseudo.extend((udp.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, UDP]);
    let field = udp.get(6..8).map_or([0, 0], |field| [field[0], field[1]]);
    let pseudo = add(0, &pseudo);
    match fold(add(pseudo, udp)) {
        _ if field == [0, 0] => Sum::Wrong,
        0xffff => Sum::Right,
        _ if u16::from_be_bytes(field) == fold(pseudo) => Sum::Partial,
        _ => Sum::Wrong,
    }
}

fn add(sum: u64, bytes: &[u8]) -> u64 {
    let words = bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0)));
    sum + words.sum::<u64>()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

const UDP: u8 = 17;
/// Bounds what a capture takes up.
const MOST: usize = 2_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Ethernet, IPv4 10.73.1.2 to 10.73.1.1, UDP 4 to 5, payload `hi!`, without its checksum.
    fn frame() -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([8, 0, 0x45, 2, 0, 31, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 73, 1, 2, 10, 73, 1, 1]);
        frame.extend([0, 4, 0, 5, 0, 11, 0, 0]);
        frame.extend(b"hi!");
        frame
    }

    #[test]
    fn sums_are_judged() {
        let mut frame = frame();
        let now = Instant::now();
        let seen = parse(&frame, now).unwrap();
        assert_eq!((seen.from.to_string(), seen.to.port(), seen.payload), ("10.73.1.2:4".into(), 5, 3));
        assert_eq!((seen.ttl, seen.ecn, seen.dont_fragment, seen.sum), (64, 2, true, Sum::Wrong));
        // 0a49 + 0102 + 0a49 + 0101 + 000b + 0011
        frame[40..42].copy_from_slice(&[0x16, 0xb1]);
        assert_eq!(parse(&frame, now).unwrap().sum, Sum::Partial);
        // The complement of that, the UDP header and 6869 + 2100.
        let sum = !fold(0x16b1 + 4 + 5 + 11 + 0x6869 + 0x2100);
        frame[40..42].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(parse(&frame, now).unwrap().sum, Sum::Right);
        frame[44] ^= 1;
        assert_eq!(parse(&frame, now).unwrap().sum, Sum::Wrong);
    }

    #[test]
    fn what_is_no_udp_is_passed_over() {
        let mut frame = frame();
        frame[23] = 6;
        assert_eq!(parse(&frame, Instant::now()), None);
        assert_eq!(parse(&frame[..20], Instant::now()), None);
        assert_eq!(parse(b"", Instant::now()), None);
    }
}
