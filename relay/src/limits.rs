//! Every limit of the relay in one place: what a peer, or a local user, can make it keep, send or do (MOQT
//! draft-18 §13.1).
//!
//! Limits that an application may move are fields of [`RelayConfig`](crate::serve::RelayConfig),
//! [`RawConfig`](crate::raw::RawConfig) and [`SessionConfig`](crate::session::SessionConfig), whose defaults stand
//! here. `doc/limits.md` has a row for each with the tests that cross it; a test compares. Not here: what the
//! draft fixes for everybody (sizes of names, reasons, messages), what only makes things faster, and what the
//! transport bounds ([`quic_lite::limits`]).

use core::time::Duration;

// A session.

/// Requests that one peer may have open: a viewer has a handful, a relay below one for each track.
pub const REQUESTS: usize = 4096;
/// Requests of ours that wait for the peer's stream credit.
pub const QUEUED_REQUESTS: usize = 1024;
/// Bytes of control messages of one request that may wait for the peer's acknowledgement: it does not read.
pub const REQUEST_BACKLOG: u64 = 256 << 10;
/// Ranges of the peer's Request IDs (draft §10.1): requests overtake each other a little, a hostile peer leaves
/// a gap each time.
pub const REQUEST_ID_RANGES: usize = 64;
/// Aliases of ended subscriptions that are remembered, so that late data is not kept (draft §11.1).
pub const RETIRED_ALIASES: usize = 64;
/// Streams and datagrams that wait for the message that names their track (draft §11.4.2).
pub const HELD: usize = 64;
/// How long they wait: a few round trips, with a loss in them.
pub const HOLD_TIME: Duration = Duration::from_secs(1);
/// Bytes of an object's properties: as many as a control message may have.
pub const PROPERTIES: usize = 65_535;

// Tracks and what is kept of them.

/// Tracks known at a time, of all peers.
pub const TRACKS: usize = 65_536;
/// Namespaces told of in answer to one SUBSCRIBE_NAMESPACE (draft §10.16).
pub const NAMESPACES: usize = 4096;
/// Namespaces in the table from which on those that the relay above knows are not taken up.
pub const PUBLISHED_NAMESPACES: usize = 65_536;
/// FETCHes of one track that wait at a time.
pub const FETCHES: usize = 1024;
/// Bytes kept of all tracks together, with what it costs to keep them; the latest group of a track goes last.
pub const CACHE: usize = 256 << 20;
/// Bytes kept of one group: ten seconds at 25 Mbit/s. What is longer is forwarded and not kept.
pub const GROUP: usize = 32 << 20;
/// Bytes that wait for one subscriber before its oldest groups are given up: some seconds of video.
pub const PENDING: u64 = 8 << 20;
/// Streams that wait for the stream credit of one subscriber; older ones are given up.
pub const BLOCKED_STREAMS: usize = 256;
/// Delivery timeouts are looked at no more often, however short they are.
pub const TIMEOUT_CHECK: Duration = Duration::from_millis(20);
/// The longest RENDEZVOUS_TIMEOUT that is granted (draft §10.2.6).
pub const RENDEZVOUS_TIME: Duration = Duration::from_secs(30);
/// How long subscribers wait for a publisher that was lost: it reconnects.
pub const PUBLISHER_GRACE: Duration = Duration::from_secs(3);
/// How long a track without subscribers is still taken from its publisher: somebody changes the channel.
pub const LINGER: Duration = Duration::from_secs(5);
/// How long a publisher may take to answer a SUBSCRIBE.
pub const ASK_TIME: Duration = Duration::from_secs(10);
/// How long after PUBLISH_DONE streams may come that it has counted (draft §10.11).
pub const DONE_TIME: Duration = Duration::from_secs(2);
/// How long a FETCH waits for objects that are on their way.
pub const FETCH_TIME: Duration = Duration::from_secs(1);

// The relay above.

/// Scopes with a connection of their own to the relay above: a client chooses its scope.
pub const UPSTREAM_SCOPES: usize = 64;
/// The first wait before dialing again; it doubles up to the last.
pub const FIRST_BACKOFF: Duration = Duration::from_millis(250);
/// The last one: a relay above that is down is not flooded, and is found again within this.
pub const LAST_BACKOFF: Duration = Duration::from_secs(30);
/// A connection that lasted so long was a good one, after which the waits begin anew.
pub const STEADY_CONNECTION: Duration = Duration::from_secs(5);

// Tokens, with a key only.

/// Bytes of a token: far above what claims of this kind take, and read before anything is proved.
pub const TOKEN: usize = 4096;
/// Prefixes in one token: each is compared with every name.
pub const PREFIXES: usize = 64;
/// Tokens that one message may use: each costs a signature.
pub const MESSAGE_TOKENS: usize = 8;
/// Different good tokens of one peer that are remembered.
pub const KNOWN_TOKENS: usize = 64;
/// Bad tokens of one peer, after which it is closed: it guesses.
pub const REFUSED_TOKENS: u32 = 16;
/// Bytes of registered tokens kept for one peer, with 16 for each (draft §10.3.1.3).
pub const TOKEN_CACHE: u64 = 16 << 10;
/// How long a peer may stay without any token that counts.
pub const BARE_TIME: Duration = Duration::from_secs(10);

// The raw protocol; PENDING counts for it, too.

/// Publishers at a time: whatever they send goes to everybody.
pub const RAW_PUBLISHERS: usize = 64;
/// Streams that wait for the stream credit of one subscriber.
pub const RAW_BLOCKED_STREAMS: usize = 1024;
/// Bytes kept, for all together, of streams that a subscriber has no stream credit for.
pub const RAW_KEPT: u64 = 32 << 20;

// Forwarding in the kernel.

/// Slots that may be asked for: half a gigabyte of shared memory.
pub const KERNEL_SLOTS: u32 = 1024;
/// Datagrams that the kernel has sent, and of which the relay has not yet asked: more than a socket's buffer holds.
pub const FORWARDED_DATAGRAMS: usize = 4096;

// The program.

/// Who gets an answer on the control socket at a time.
pub const CONTROL_CLIENTS: usize = 8;
/// Bytes of a line on the control socket: longer than any request.
pub const CONTROL_LINE: usize = 32;
/// How long a client of the control socket may take to say what it wants.
pub const CONTROL_LISTENING: Duration = Duration::from_millis(200);
/// And then to read the answer.
pub const CONTROL_WRITING: Duration = Duration::from_secs(2);
/// Subscribers that went and are remembered one by one for the report; of the others the sums are.
pub const COUNTED_SUBSCRIBERS: usize = 8192;
/// Bytes of a connection's qlog that wait to be written.
pub const QLOG_BUFFER: usize = 32 << 10;
/// Frames of one packet in a qlog, and ranges of one ACK: a byte of a peer makes forty of a record.
pub const QLOG_FRAMES: usize = 512;
/// Bytes of a connection's qlog, from which on nothing more is written: some three million packets.
pub const QLOG_FILE: u64 = 1 << 30;
/// Bytes of a request of the interop runner: names of its files have up to 250 characters.
pub const INTEROP_REQUEST: usize = 1024;

// A subscriber, `quic-relay subscribe`.

/// Bytes of an object that is taken: the largest frame that an IVF file may hold, and its properties.
pub const OBJECT: usize = 17 << 20;
/// Bytes of objects that wait behind a hole: more than a few seconds of any video.
pub const BEHIND_HOLE: usize = 64 << 20;
/// Bytes that the pieces of one unit may be announced to have.
pub const UNIT: u64 = 64 << 20;
