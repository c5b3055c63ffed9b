//! What stands in the shared maps, who writes it and when. Sizes are asserted at compile time. No RFC.
//!
//! All maps but the hash maps are arrays that userspace has mapped (`BPF_F_MMAPABLE`), so neither side
//! needs a system call. A *slot* is one direction of one connection: it either receives from a
//! publisher or sends to a subscriber. Its fixed part is written only while the slot is not active and
//! nobody is inside it (see [`Slot::busy`]), so nothing is ever read half written.

use crate::word::Word;

/// Entries of the sent log of one slot; a power of two.
pub const RECORDS: u64 = 512;
/// The kernel stops sending when so few records are free, or more where there are many CPUs: see
/// [`crate::room::log_room`].
pub const RECORD_MARGIN: u64 = 64;
/// Key pads of one slot; a power of two.
pub const PADS: u64 = 256;
/// Bytes of keystream in a pad: no longer payload is sealed or opened in the kernel.
pub const PAD_BYTES: usize = 1472;
/// Streams under way that one subscriber slot can have in the kernel; a power of two.
pub const OUTLETS: u64 = 64;
/// Streams of one publisher that the kernel remembers; a power of two.
pub const SOURCES: u64 = 256;
/// Packet numbers of one publisher in the replay window; a power of two.
pub const REPLAY: u64 = 1024;
/// STREAM or DATAGRAM frames that one packet may bring into the kernel path.
pub const UNITS: usize = 4;
/// Bytes of the connection IDs that we choose, and by which a publisher's packet is recognised.
pub const LOCAL_CID_LEN: usize = 8;
/// At most so many members of a track are served in the kernel.
pub const MAX_MEMBERS: u64 = 1024;
/// How long after [`Config::alive_until`] was last set nothing is forwarded any more.
pub const LEASE_NANOS: u64 = 500_000_000;
/// `mark` of a copy on its way from ingress to egress; the slot's index stands below.
pub const MARK: u32 = 0x51b0_0000;
/// The part of `mark` that is the slot's index.
pub const MARK_SLOT: u32 = 0x0000_ffff;

/// Map names, as the kernel shows them; programs are called `qrelay_` too.
pub mod map {
    /// Array of one [`super::Config`].
    pub const CONFIG: &str = "qrelay_config";
    /// Array of [`super::Slot`].
    pub const SLOTS: &str = "qrelay_slots";
    /// Array of [`super::Publisher`], by slot.
    pub const PUBLISHERS: &str = "qrelay_publish";
    /// Array of [`super::Record`]: `slot * RECORDS + number % RECORDS`.
    pub const RECORDS: &str = "qrelay_records";
    /// Array of [`super::Pad`]: `slot * PADS + number % PADS`.
    pub const PADS: &str = "qrelay_pads";
    /// Array of [`super::Outlet`]: `slot * OUTLETS + outlet`.
    pub const OUTLETS: &str = "qrelay_outlets";
    /// Array of [`super::Track`].
    pub const TRACKS: &str = "qrelay_tracks";
    /// Array of [`super::Member`]: `track * slots + member`.
    pub const MEMBERS: &str = "qrelay_members";
    /// Hash: connection ID of ours ([`super::LOCAL_CID_LEN`] bytes, as a little-endian u64) to slot (u64).
    pub const CIDS: &str = "qrelay_cids";
    /// Hash: [`super::AliasKey`] to track (u64).
    pub const ALIASES: &str = "qrelay_aliases";
    /// LRU hash: [`super::Flow`] to [`super::Candidate`].
    pub const CANDIDATES: &str = "qrelay_seen";
    /// Per-CPU array of u64, by [`crate::verdict::Reason`].
    pub const COUNTERS: &str = "qrelay_counters";
    /// Program array: where the programs go on, by [`super::step`].
    pub const STEPS: &str = "qrelay_steps";
}

/// Indexes of the program array. A hook's program goes on in another, because the verifier follows each for
/// itself, and because of the stack.
pub mod step {
    /// There is no pad for a packet: one is made.
    pub const FILL: u32 = 0;
    /// A publisher's packet is opened.
    pub const OPEN: u32 = 1;
    /// It is copied.
    pub const FAN_OUT: u32 = 2;
    /// A copy is sealed.
    pub const SEAL: u32 = 3;
    /// How many there are.
    pub const COUNT: u32 = 4;
}

/// Settings of all programs. Written by userspace.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Config {
    /// [`crate::schema::SCHEMA`]. The first word, whatever else changes.
    pub schema: Word,
    /// Until this time (CLOCK_MONOTONIC, ns) the kernel forwards; set anew by each turn of the event loop.
    pub alive_until: Word,
    /// How many slots there are; also how many members a track has room for.
    pub slots: Word,
    /// How many tracks there are.
    pub tracks: Word,
    /// The UDP port of ours, host order; packets to other ports are none of our business.
    pub port: Word,
    /// How many records of a sent log may be unread when the kernel takes one more number:
    /// [`crate::room::log_room`].
    pub log_room: Word,
    /// Zero.
    pub spare: [Word; 2],
}

/// What a slot is doing: the low byte of [`Slot::state`]; above it stands the generation.
pub mod state {
    /// Nobody's.
    pub const FREE: u64 = 0;
    /// Somebody's, but the kernel must not use it now.
    pub const DISABLED: u64 = 1;
    /// The kernel uses it.
    pub const ACTIVE: u64 = 2;
}

/// [`Slot::role`].
pub mod role {
    /// Packets come from a publisher.
    pub const PUBLISHER: u64 = 1;
    /// Packets go to a subscriber.
    pub const SUBSCRIBER: u64 = 2;
}

/// Bits of [`Slot::flags`].
pub mod flag {
    /// No packet protection at all: for teaching and as a baseline. The relay never sets it.
    pub const CLEAR: u64 = 1;
    /// All uni streams and datagrams of this publisher belong to track [`super::Slot::raw_track`].
    pub const RAW: u64 = 2;
    /// Packets to this subscriber are marked ECT(0).
    pub const ECT0: u64 = 4;
    /// We are the client of this connection, so our uni streams have IDs of clients (RFC 9000 §2.1).
    pub const CLIENT: u64 = 8;
}

/// One direction of one connection.
///
/// Fixed part: userspace writes it while the state is not ACTIVE and `busy` is zero. The kernel adds one
/// to `busy`, then looks at `state`, and when it is done subtracts one.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Slot {
    /// [`state`] in the low byte, generation above. Userspace writes.
    pub state: Word,
    /// How many programs are inside. The kernel writes.
    pub busy: Word,

    // Fixed part.
    /// [`role`].
    pub role: Word,
    /// [`flag`]s.
    pub flags: Word,
    /// 4 or 6.
    pub family: Word,
    /// Our address, network order bytes; IPv4 in the first four.
    pub local_ip: [Word; 2],
    /// The peer's validated address.
    pub remote_ip: [Word; 2],
    /// Our port and the peer's, host order: `local << 16 | remote`.
    pub ports: Word,
    /// Interface to send on. Subscribers.
    pub ifindex: Word,
    /// Destination MAC, source MAC (12 bytes). Subscribers.
    pub macs: [Word; 2],
    /// Connection ID to send to, 20 bytes. Subscribers.
    pub cid: [Word; 3],
    /// Its length.
    pub cid_len: Word,
    /// Key Phase bit: 0 or 1.
    pub phase: Word,
    /// ChaCha20-Poly1305 key: the one to seal with, or to open with.
    pub key: [Word; 4],
    /// Its IV, 12 bytes.
    pub iv: [Word; 2],
    /// ChaCha20 header protection key.
    pub hp: [Word; 4],
    /// The largest UDP payload to send. Userspace may write at any time.
    pub max_udp_payload: Word,
    /// Track of a RAW publisher, plus one.
    pub raw_track: Word,

    // Subscribers: packet numbers. Both sides write.
    /// The next packet number; both sides take numbers by adding one. Never goes back under a key.
    pub next_number: Word,
    /// When the next number is at least this, the kernel wastes one on purpose and sets this to 0 (RFC 9000
    /// §21.4). Zero: no. Userspace sets it.
    pub skip_at: Word,
    /// The peer has acknowledged this number, plus one. Userspace writes.
    pub largest_acked: Word,
    /// Userspace has read the sent log up to here (exclusive).
    pub consumed: Word,

    // Subscribers: what the kernel may spend. `spent` only grows, but for refusals that are undone.
    /// Bytes of packets the kernel has sent.
    pub spent: Word,
    /// It may reach this much. Userspace writes.
    pub limit: Word,
    /// Bytes of connection flow control the kernel has spent.
    pub data_spent: Word,
    /// It may reach this much. Userspace writes.
    pub data_limit: Word,
    /// How many uni streams have been opened, by both; raised by compare-exchange only, so without holes.
    pub streams_opened: Word,
    /// How many may be. Userspace writes.
    pub streams_limit: Word,
    /// Flow control limit of a stream that has just been opened. Userspace writes.
    pub stream_limit: Word,

    // Counters; the kernel adds.
    /// Packets sent to this subscriber, or packets of this publisher that were forwarded at least once.
    pub packets: Word,
    /// Their bytes (UDP payload).
    pub bytes: Word,
    /// Packets sealed or opened without a pad.
    pub without_pad: Word,
    /// Times the kernel said no, so that userspace sends.
    pub refused: Word,
    /// The [`crate::layout`] reason of the last refusal.
    pub last_refusal: Word,
    /// Zero.
    pub spare: [Word; 2],
}

/// What the kernel remembers of a publisher's connection.
#[derive(Debug)]
#[repr(C)]
pub struct Publisher {
    /// The largest packet number that was authentic, plus one; packet numbers are decoded by it.
    pub largest: Word,
    /// Replay window: `number % REPLAY` holds the largest authentic number of its residue, plus one. A packet is
    /// new if and only if its number is larger, and is entered by compare-exchange after its tag was verified.
    pub seen: [Word; REPLAY as usize],
    /// `number % REPLAY`: a packet that the whole audience of its track has got. See [`crate::carried`].
    pub carried: [Word; REPLAY as usize],
    /// Streams: `index % SOURCES`, where index is the uni stream's count (stream ID / 4).
    pub sources: [Source; SOURCES as usize],
}

/// A publisher's uni stream that the kernel forwards, or must not forward.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Source {
    /// Stream index plus one; zero: none yet. Taken by compare-exchange, and only by a larger index whose
    /// predecessor here is DONE (see `state`), so that an old stream is never begun anew.
    pub index: Word,
    /// Zero: being set up. Otherwise the track's index plus one, or [`Source::DONE`].
    pub state: Word,
}

impl Source {
    /// Userspace has the whole stream, or does not want the kernel to forward it.
    pub const DONE: u64 = u64::MAX;
}

/// A publisher's stream on its way to one subscriber. Index: see [`outlet_index`].
#[derive(Debug, Default)]
#[repr(C)]
pub struct Outlet {
    /// [`source_tag`] of the stream it comes from; zero: free. Taken by compare-exchange.
    pub source: Word,
    /// The subscriber's stream ID plus one; zero: being opened.
    pub id: Word,
    /// The peer's flow control limit. Userspace raises it.
    pub limit: Word,
    /// Where the furthest byte that the kernel has sent ends. The kernel writes.
    pub high: Word,
}

/// A track: its members follow each other in their map, with free places among them.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Track {
    /// One more than the last place that is taken.
    pub members: Word,
    /// Copies sent. The kernel adds.
    pub copies: Word,
    /// Of its audience: see [`crate::carried`]. Userspace writes.
    pub version: Word,
    /// Zero.
    pub spare: Word,
}

/// A subscriber of a track. Userspace writes `slot` last, and takes a member out by storing zero there;
/// the place is used again only after the publisher's slot was seen with `busy` zero.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Member {
    /// Slot plus one; zero: free.
    pub slot: Word,
    /// The generation that slot has.
    pub generation: Word,
    /// The track's alias there when it differs from the publisher's; [`Member::SAME_ALIAS`] otherwise. It is
    /// written with the length that the publisher's has, so userspace sees to it that it fits.
    pub alias: Word,
    /// Groups from here ...
    pub first_group: Word,
    /// ... to here pass.
    pub last_group: Word,
    /// The kernel leaves so many bytes of the subscriber's budget to its tracks of better priority.
    pub reserve: Word,
    /// Zero.
    pub spare: [Word; 2],
}

impl Member {
    /// The alias is the publisher's.
    pub const SAME_ALIAS: u64 = u64::MAX;
}

/// One packet number that the kernel took: what became of it. Written once, `number` last.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Record {
    /// The packet number plus one.
    pub number: Word,
    /// When (CLOCK_MONOTONIC, ns).
    pub time: Word,
    /// Low 16 bits: bytes of UDP payload. Bits 16-23: [`fate`]. Bits 24-30: how many frames. Bit 31: it
    /// had ECT(0). Bits 32-63: what was added to [`Slot::data_spent`] for it.
    pub meta: Word,
    /// The publisher's packet number.
    pub upstream: Word,
    /// What it carried.
    pub frames: [SentUnit; UNITS],
}

/// What became of a number: bits 16-23 of [`Record::meta`].
pub mod fate {
    /// It was handed to the device.
    pub const SENT: u64 = 1;
    /// It was wasted on purpose and never sent: an acknowledgement of it is a lie.
    pub const SKIPPED: u64 = 2;
    /// Something failed after it was taken; it was never sent.
    pub const BURNT: u64 = 3;
}

/// A frame of a sent packet.
#[derive(Debug, Default)]
#[repr(C)]
pub struct SentUnit {
    /// The subscriber's stream ID; [`SentUnit::DATAGRAM`] for a DATAGRAM frame.
    pub stream: Word,
    /// Offset in the stream. Of a DATAGRAM frame: the publisher's slot in the low half, the track above.
    pub offset: Word,
    /// Length, and in bit 63 whether it has FIN.
    pub len: Word,
}

impl SentUnit {
    /// Not a stream.
    pub const DATAGRAM: u64 = u64::MAX;
    /// The FIN bit of `len`.
    pub const FIN: u64 = 1 << 63;
}

/// What ChaCha20 gives for one packet number, computed ahead of time (RFC 8439 §2.6, §2.8).
///
/// Userspace sets `number` to zero, writes the rest, then `number`. The kernel looks at `number` before
/// and after it has used the pad. A pad is written only for a number that cannot be in use.
#[derive(Debug)]
#[repr(C)]
pub struct Pad {
    /// The packet number plus one.
    pub number: Word,
    /// Poly1305 r, clamped, and s, as in RFC 8439 §2.5: little-endian.
    pub one_time_key: [Word; 4],
    /// Zero; brings the keystream to a word divisible by four.
    pub spare: [Word; 7],
    /// Keystream from block 1 on.
    pub keystream: [Word; PAD_BYTES / 8],
}

/// Key of the alias map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct AliasKey {
    /// The publisher's slot.
    pub slot: u64,
    /// The alias.
    pub alias: u64,
}

/// Who talks to whom: the key of the map of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Flow {
    /// Our address, network order bytes; IPv4 in the first four, zeros behind.
    pub local_ip: [u8; 16],
    /// The peer's.
    pub remote_ip: [u8; 16],
    /// `local << 16 | remote`, host order.
    pub ports: u64,
    /// 4 or 6.
    pub family: u64,
}

/// Where a client's packets seem to come from. Not proved: userspace decides what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Candidate {
    /// The peer's MAC, then ours.
    pub macs: [u8; 12],
    /// The interface.
    pub ifindex: u32,
    /// Packets seen.
    pub packets: u64,
    /// When last (CLOCK_MONOTONIC, ns).
    pub seen: u64,
}

/// What says that a stream of a publisher is the source of an [`Outlet`]: never zero, and different for
/// each stream, slot and (mostly) generation.
#[inline(always)]
pub const fn source_tag(slot: u32, generation: u64, stream_index: u64) -> u64 {
    ((slot as u64).wrapping_add(1) << 48)
        | ((generation & 0xff) << 40)
        | (stream_index & 0xff_ffff_ffff)
}

/// Where the outlet for a stream of a publisher stands in a subscriber's [`OUTLETS`].
#[inline(always)]
pub const fn outlet_index(slot: u32, stream_index: u64) -> u64 {
    (stream_index.wrapping_add((slot as u64).wrapping_mul(7))) & (OUTLETS - 1)
}

const _: () = {
    assert!(size_of::<Config>() == 64 && core::mem::offset_of!(Config, schema) == 0);
    assert!(size_of::<Slot>() == 48 * 8);
    assert!(size_of::<Publisher>() == 8 + 2 * 8 * 1024 + 16 * 256);
    assert!(size_of::<Outlet>() == 32);
    assert!(size_of::<Member>() == 64);
    assert!(size_of::<Record>() == 128);
    assert!(size_of::<Pad>() == 196 * 8);
    assert!(size_of::<AliasKey>() == 16);
    assert!(size_of::<Flow>() == 48);
    assert!(size_of::<Candidate>() == 32);
    assert!(RECORDS.is_power_of_two() && PADS.is_power_of_two() && REPLAY.is_power_of_two());
};
