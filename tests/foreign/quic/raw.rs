//! What the peers of the raw protocol have in common: messages that know what they are, and the judge of
//! what arrived. No RFC; the protocol is defined in `relay/src/raw.rs`.
//!
//! A message is a stream, or a datagram. It begins with its index; the rest follows from that. The last
//! stream says how many there were. Each program takes `ADDRESS:PORT` and options and says what it does on
//! standard output, one line each: `ready`, `subscribed`, `sent N`, and at last what the judge found.

pub mod quinn_client;

use crate::stream_bytes;
use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

/// The ALPN of a publisher.
pub const PUBLISHER: &[u8] = b"qr-raw-pub";
/// The ALPN of a subscriber.
pub const SUBSCRIBER: &[u8] = b"qr-raw-sub";
/// The longest message on a stream.
pub const MAX_STREAM: usize = 20_000;
/// The longest message in a datagram: with packet header and tag it fits a path of 1200 bytes.
pub const MAX_DATAGRAM: usize = 1000;
/// The index that no message has: the number of messages follows.
const END: u32 = u32::MAX;
/// How long after the end something may still be on its way, when not everything is asked for.
const QUIET: Duration = Duration::from_millis(700);

/// The command line of all three programs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The relay.
    pub address: std::net::SocketAddr,
    /// How many messages to send.
    pub messages: u32,
    /// The longest of them.
    pub max: usize,
    /// Send datagrams.
    pub datagrams: bool,
    /// Time between messages.
    pub pause: Duration,
    /// Wait for a line on standard input before sending.
    pub hold: bool,
    /// Update keys after each so many messages.
    pub update_keys: Option<u32>,
    /// Take another port after so many messages.
    pub rebind: Option<usize>,
    /// It is enough when nothing is wrong with what came, and something came.
    pub some: bool,
    /// Send packet by packet, without the help of the kernel.
    pub no_gso: bool,
}

impl Options {
    /// Reads the command line; the error is the usage.
    pub fn read() -> Result<Self, String> {
        let mut words = std::env::args().skip(1);
        let address = words.next().and_then(|word| word.parse().ok()).ok_or(USAGE)?;
        let mut options = Self {
            address,
            messages: 100,
            max: usize::MAX,
            datagrams: false,
            pause: Duration::from_millis(2),
            hold: false,
            update_keys: None,
            rebind: None,
            some: false,
            no_gso: false,
        };
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|word| word.parse().ok()).ok_or(USAGE);
            match word.as_str() {
                "--messages" => options.messages = number()?,
                "--max" => options.max = number()? as usize,
                "--pause" => options.pause = Duration::from_micros(number()?.into()),
                "--update-keys" => options.update_keys = Some(number()?),
                "--rebind" => options.rebind = Some(number()? as usize),
                "--datagrams" => options.datagrams = true,
                "--hold" => options.hold = true,
                "--some" => options.some = true,
                "--no-gso" => options.no_gso = true,
                _ => return Err(USAGE.into()),
            }
        }
        let limit = if options.datagrams { MAX_DATAGRAM } else { MAX_STREAM };
        options.max = options.max.clamp(8, limit);
        Ok(options)
    }

    /// Whether it is time for something that is done each `every` messages.
    pub fn is_time(every: Option<u32>, message: u32) -> bool {
        every.is_some_and(|every| message % every.max(1) == every.max(1) - 1)
    }
}

const USAGE: &str = "usage: ADDRESS:PORT [--messages N] [--max BYTES] [--datagrams] [--pause MICROSECONDS] [--hold] \
                     [--update-keys EVERY] [--rebind AFTER] [--some] [--no-gso]";

/// The message `index`: its length depends on the index, too.
pub fn message(index: u32, max: usize) -> Vec<u8> {
    let length = 8 + (index as usize).wrapping_mul(7919) % (max - 7);
    let mut bytes = stream_bytes(index as usize, length);
    bytes[..4].copy_from_slice(&index.to_be_bytes());
    bytes[4..8].copy_from_slice(&(max as u32).to_be_bytes());
    bytes
}

/// The last stream: how many messages there were.
pub fn end(messages: u32) -> Vec<u8> {
    [END.to_be_bytes(), messages.to_be_bytes()].concat()
}

/// What has arrived.
#[derive(Debug, Default)]
pub struct Judge {
    seen: BTreeSet<u32>,
    expected: Option<u32>,
    /// Messages that are not what was sent.
    altered: u32,
    /// Messages that came again.
    repeated: u32,
    /// Streams that were reset.
    resets: u32,
    last: Option<Instant>,
}

impl Judge {
    /// Takes a message, or the end.
    pub fn take(&mut self, bytes: &[u8]) {
        self.last = Some(Instant::now());
        let word = |at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_be_bytes);
        match (word(0), word(4)) {
            (Some(END), Some(count)) => self.expected = Some(count),
            (Some(index), Some(max)) if bytes == message(index, (max as usize).clamp(8, MAX_STREAM)) => {
                self.repeated += u32::from(!self.seen.insert(index));
            }
            _ => self.altered += 1,
        }
    }

    /// Takes note of a reset stream.
    pub fn reset(&mut self) {
        self.last = Some(Instant::now());
        self.resets += 1;
    }

    /// How many messages have come.
    pub fn count(&self) -> usize {
        self.seen.len()
    }

    /// Whether everything has come, or, when `some` is enough, nothing more comes.
    pub fn is_done(&self, some: bool) -> bool {
        let is_quiet = self.last.is_some_and(|last| last.elapsed() > QUIET);
        self.expected.is_some_and(|expected| self.seen.len() >= expected as usize || (some && is_quiet))
    }

    /// Whether it is what was asked for.
    pub fn is_good(&self, some: bool) -> bool {
        let is_right = self.altered == 0 && self.repeated == 0;
        let is_all = self.expected == Some(self.seen.len() as u32) && self.resets == 0;
        is_right && (is_all || (some && !self.seen.is_empty()))
    }
}

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.seen.first(), self.seen.last());
        write!(
            f,
            "{} of {} messages, {} altered, {} repeated, {} reset, {} to {}",
            self.seen.len(),
            self.expected.map_or("?".into(), |count| count.to_string()),
            self.altered,
            self.repeated,
            self.resets,
            first.map_or("?".into(), u32::to_string),
            last.map_or("?".into(), u32::to_string),
        )
    }
}
