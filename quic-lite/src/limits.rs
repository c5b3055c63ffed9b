//! Every limit in one place: what a peer, or a stranger, can make us keep, send or do (RFC 9000 §21).
//!
//! Limits that an application may move are fields of [`Config`](crate::config::Config) and
//! [`EndpointConfig`](crate::endpoint::EndpointConfig), whose defaults stand here. `doc/limits.md` has a row
//! for each with the tests that cross it; a test compares. Not here: what the RFC fixes for everybody (sizes of
//! fields), and what only makes things faster.

use core::time::Duration;

// The handshake.

/// Bytes that a CRYPTO frame may reach ahead of the next one in order: a large certificate chain. RFC 9000 §7.5
/// wants 4096 at least.
pub const CRYPTO_AHEAD: u64 = 64 << 10;
/// CRYPTO bytes kept behind holes, in each space (RFC 9000 §7.5).
pub const CRYPTO_BUFFERED: usize = 64 << 10;
/// Pieces that they may be in: more are crumbs, made on purpose.
pub const CRYPTO_PIECES: usize = 128;
/// Packets kept until their keys come: a few, for what overtakes the handshake (RFC 9001 §5.7).
pub const KEPT_PACKETS: usize = 10;
/// Bytes of such a packet: more than any datagram that this side asks for.
pub const KEPT_PACKET_SIZE: usize = 2048;
/// A handshake that takes longer is over: a half-open connection must not stay (RFC 9000 §21.2).
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence that ends a connection (RFC 9000 §10.1): outlives what NATs and radio links do to a viewer.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

// Addresses and connection IDs.

/// An address that proved nothing gets at most so many times the bytes that came from it (RFC 9000 §8.1).
pub const AMPLIFICATION: u64 = 3;
/// Answers to PATH_CHALLENGE that wait: the newest of as many addresses. More between two sends are a flood.
pub const PATH_RESPONSES: usize = 4;
/// Packets with one PATH_CHALLENGE before its timeout: a lost one costs a timeout (RFC 9000 §8.2.1).
pub const CHALLENGE_COPIES: u8 = 3;
/// Changes of path that are followed without an acknowledgement: each takes a window of its own.
pub const MOVES_WITHOUT_ACK: u32 = 8;
/// Connection IDs of the peer that we offer to keep (RFC 9000 §5.1.1): each serves one path.
pub const CONNECTION_IDS: u64 = 4;
/// Connection IDs that we issue at most, whatever the peer offers: one for each path, and spares.
pub const ISSUED_CONNECTION_IDS: usize = 4;
/// RETIRE_CONNECTION_ID frames without acknowledgement (RFC 9000 §5.1.2: at least twice [`CONNECTION_IDS`]).
pub const RETIRED_CONNECTION_IDS: usize = 32;
/// Ranges of the peer's sequence numbers: losses make a few holes, a hostile peer makes many.
pub const CONNECTION_ID_RANGES: usize = 32;

/// Stateless reset tokens of the peer in the endpoint's table, for each connection: one for each connection ID that
/// it holds, and for those that it is letting go (RFC 9000 §10.3.1).
pub const RESET_TOKENS: usize = 16;

// Packets and acknowledgements.

/// Ranges of received numbers in each space: so many fit into most packets (RFC 9000 §13.2.3).
pub const ACK_RANGES: usize = 64;
/// Packets that ask for nothing, after which a PING makes the peer acknowledge ours (RFC 9000 §13.2.4).
pub const ACK_ONLY_PACKETS: u32 = 20;
/// Packets of bare acknowledgements that are remembered: a peer need not acknowledge them.
pub const UNACKED_ACKS: u32 = 128;
/// Lost packets whose late acknowledgement is still understood.
pub const LOST_PACKETS: usize = 256;
/// Packets beyond the congestion window that a peer gets without acknowledging any: more are a flood of
/// PATH_CHALLENGE frames, or of what makes us acknowledge.
pub const PACKETS_BEYOND_WINDOW: u32 = 16;
/// Probes of one timeout (RFC 9002 §6.2.4).
pub const PROBES: u8 = 2;
/// The probe timeout grows up to here (RFC 6298 §2.5 allows such a bound).
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(60);
/// Numbers left out on purpose that are remembered: acknowledgements reach back a round trip or so (RFC 9000
/// §21.4).
pub const SKIPPED_NUMBERS: usize = 8;
/// Packets before the end of a key, or of packet numbers, where a connection that cannot renew it ends: one call may
/// still seal so many, and another sender may have begun them (RFC 9001 §6.6).
pub const KEY_RESERVE: u64 = 4096;
/// Ranges of acknowledged numbers of which another sender has not told yet. A peer repeats its ranges, so that
/// one which is let go is missed for a while only.
pub const HELD_ACK_RANGES: usize = 64;
/// Bytes of the reason in our CONNECTION_CLOSE: a longer one says nothing more.
pub const CLOSE_REASON: usize = 256;
/// Bytes of a token that we send with NEW_TOKEN: it must fit into a packet beside other things.
pub const NEW_TOKEN: usize = 512;

// Streams and datagrams: RFC 9000 §4, RFC 9221 §5.

/// Bytes the peer may send on a stream at first: 10 Mbit/s at 50 ms.
pub const INITIAL_STREAM_WINDOW: u64 = 64 << 10;
/// How far a stream's window grows.
pub const STREAM_WINDOW: u64 = 6 << 20;
/// Bytes the peer may send on all streams together at first.
pub const INITIAL_CONNECTION_WINDOW: u64 = 256 << 10;
/// How far the connection's window grows: bounds memory per connection.
pub const CONNECTION_WINDOW: u64 = 15 << 20;
/// Bidirectional streams the peer may have open at a time.
pub const BIDI_STREAMS: u64 = 128;
/// Unidirectional streams the peer may have open at a time; media uses one per group.
pub const UNI_STREAMS: u64 = 1024;
/// Bytes that a stream takes from the application before they are acknowledged.
pub const SEND_BUFFER: u64 = 256 << 10;
/// Holes in received streams that any connection may have (RFC 9000 §21.7).
pub const GAPS: u64 = 256;
/// And one more for so many bytes of its window: a hole is left by a lost packet, between packets of at least
/// 1200 bytes, so that more of them are made on purpose.
pub const BYTES_PER_GAP: u64 = 2048;
/// The largest DATAGRAM frame that is taken.
pub const DATAGRAM_FRAME: u64 = 65_535;
/// Bytes of datagrams that wait, in each direction, with what it costs to keep them.
pub const DATAGRAM_BYTES: usize = 256 << 10;
/// Datagrams that wait, in each direction.
pub const QUEUED_DATAGRAMS: usize = 1024;

// Strangers, at an endpoint.

/// Connections.
pub const CONNECTIONS: usize = 16_384;
/// Unfinished handshakes from which on every new client gets a Retry: a flood, or worth a round trip.
pub const RETRY_ABOVE: usize = 256;
/// Unfinished handshakes (RFC 9000 §21.2).
pub const HALF_OPEN: usize = 4096;
/// Unfinished handshakes of one network: none can keep all others out.
pub const HALF_OPEN_PER_NETWORK: usize = 2048;
/// Version Negotiation packets in a second (RFC 9000 §6.1).
pub const VERSION_NEGOTIATIONS_PER_SECOND: u32 = 1_000;
/// Retry packets in a second: more than other answers, as they are what stands against a flood.
pub const RETRIES_PER_SECOND: u32 = 100_000;
/// Refusals in a second (RFC 9000 §5.2.2).
pub const CLOSES_PER_SECOND: u32 = 1_000;
/// Stateless resets in a second (RFC 9000 §10.3.3).
pub const RESETS_PER_SECOND: u32 = 1_000;
/// Such answers that wait to be sent: what one turn of a busy loop may cause.
pub const QUEUED_REPLIES: usize = 1024;
/// Bytes of such an answer: two connection IDs of 255 bytes and a few versions.
pub const REPLY_SIZE: usize = 600;
/// Used tokens that are remembered, so that none counts twice: 128 KiB.
pub const USED_TOKENS: usize = 4096;
/// Servers whose tokens a client keeps: a relay has few above it.
pub const SERVER_TOKENS: usize = 32;
/// How long a Retry token is good: a round trip, with time for losses (RFC 9000 §8.1.3).
pub const RETRY_LIFETIME: Duration = Duration::from_secs(15);
/// How long a NEW_TOKEN token is good: until the next visit.
pub const NEW_TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Datagrams that the loop reads before timers and senders get their turn.
pub const RECEIVE_BUDGET: usize = 1024;
/// And the time that it takes for them.
pub const RECEIVE_TIME: Duration = Duration::from_millis(4);
/// Batches that the loop sends before it reads again.
pub const SEND_BUDGET: usize = 16;
/// Datagrams, or runs of them that the kernel cuts, in such a batch.
pub const SEND_BATCH: usize = 64;
