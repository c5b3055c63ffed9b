//! The verdict table: for each decision a packet, or a state of the world, that brings it about. No RFC.
//!
//! A row starts from a packet that would be forwarded to one subscriber, and changes one thing.

use relay_ebpf_loader::layout::{AliasKey, RECORDS, Source, flag, outlet_index, role, state};
use relay_ebpf_loader::verdict::Reason;

use crate::case::{Case, SUBSCRIBER};
use crate::world::{ALIAS, CID, GENERATION, PUBLISHER, TRACK, object, stream, subgroup};

/// Which version of IP a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Both,
    Four,
    Six,
}

/// Where a row can be brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rigs {
    Both,
    /// The stand-in has no devices.
    Kernel,
    /// The kernel gives every byte of a packet whose length is right, and a pad is replaced in the middle by chance
    /// only: `misfortune.rs` has those.
    StandIn,
}

/// A row.
pub struct Verdict {
    pub name: &'static str,
    pub reason: Reason,
    pub family: Family,
    /// Copies that are sent.
    pub copies: usize,
    /// Who can bring it about.
    pub rigs: Rigs,
    pub change: fn(&mut Case<'_>),
}

const fn row(name: &'static str, reason: Reason, change: fn(&mut Case<'_>)) -> Verdict {
    Verdict {
        name,
        reason,
        family: Family::Both,
        copies: 0,
        rigs: Rigs::Both,
        change,
    }
}

const fn row4(name: &'static str, reason: Reason, change: fn(&mut Case<'_>)) -> Verdict {
    Verdict {
        family: Family::Four,
        ..row(name, reason, change)
    }
}

const fn row6(name: &'static str, reason: Reason, change: fn(&mut Case<'_>)) -> Verdict {
    Verdict {
        family: Family::Six,
        ..row(name, reason, change)
    }
}

const fn sent(name: &'static str, reason: Reason, change: fn(&mut Case<'_>)) -> Verdict {
    Verdict {
        copies: 1,
        ..row(name, reason, change)
    }
}

const fn stand_in(name: &'static str, reason: Reason, change: fn(&mut Case<'_>)) -> Verdict {
    Verdict {
        rigs: Rigs::StandIn,
        ..row(name, reason, change)
    }
}

/// All rows, in the order in which the programs look.
pub const TABLE: &[Verdict] = &[
    // What is all good.
    sent("all good", Reason::Forwarded, |_| {}),
    sent("all good", Reason::Sent, |_| {}),
    sent("clear", Reason::Sent, |case| {
        case.publisher().flags.store(flag::CLEAR);
        case.subscriber().flags.store(flag::CLEAR);
        case.frames(0, &object(ALIAS, 7, b"media of some length"));
    }),
    sent("ECT(0), stream", Reason::Sent, |case| {
        case.subscriber().flags.store(flag::ECT0);
        case.frames(0, &stream(2, 0, true, &subgroup(ALIAS, 7, b"media")));
    }),
    sent("raw", Reason::Sent, |case| {
        case.publisher().flags.store(flag::RAW);
        case.publisher().raw_track.store(u64::from(TRACK) + 1);
        case.frames(
            0,
            &[stream(6, 0, false, b"x"), stream(2, 0, true, b"")].concat(),
        );
    }),
    sent("a number is wasted", Reason::Skipped, |case| {
        case.subscriber().next_number.store(5);
        case.subscriber().consumed.store(5);
        case.subscriber().skip_at.store(5);
    }),
    // Layers below QUIC.
    row("ARP", Reason::NotIp, |case| case.packet(0x0806, &[0; 60])),
    row("VLAN in the frame", Reason::NotIp, |case| {
        case.packet(0x8100, &[0; 60])
    }),
    row6("version 5", Reason::NotIp, |case| case.ip()[0] = 0x50),
    row4("options", Reason::IpOptions, |case| case.ip()[0] = 0x46),
    row4("more fragments", Reason::Fragment, |case| {
        case.ip()[6] = 0x20
    }),
    row4("last fragment", Reason::Fragment, |case| case.ip()[7] = 1),
    row4("TCP", Reason::NotUdp, |case| case.ip()[9] = 6),
    row6("TCP", Reason::NotUdp, |case| case.ip()[6] = 6),
    row6("hop-by-hop options", Reason::NotUdp, |case| {
        case.ip()[6] = 0
    }),
    row6("fragment header", Reason::NotUdp, |case| case.ip()[6] = 44),
    row("another port", Reason::OtherPort, |case| case.udp()[3] ^= 1),
    row("segments", Reason::Gso, |case| case.is_gso = true),
    row4("IP longer than the frame", Reason::Length, |case| {
        case.ip()[3] += 1
    }),
    row6("IP longer than the frame", Reason::Length, |case| {
        case.ip()[5] += 1
    }),
    row("UDP shorter than IP", Reason::Length, |case| {
        case.udp()[5] -= 1
    }),
    row("bytes behind the packet", Reason::Length, |case| {
        case.frame.push(0)
    }),
    row6("no checksum", Reason::NoChecksum, |case| {
        case.udp()[6..8].fill(0)
    }),
    row("nothing in it", Reason::TooShort, |case| {
        case.frame.truncate(60)
    }),
    row6("no room for a sample", Reason::TooShort, |case| {
        case.datagram(&[&[0x40], &CID[..], &[0; 19]].concat());
    }),
    // QUIC.
    row("long header", Reason::NotShortHeader, |case| {
        case.udp()[8] |= 0x80
    }),
    row("no fixed bit", Reason::NotShortHeader, |case| {
        case.udp()[8] &= 0xbf
    }),
    row("nobody's connection ID", Reason::UnknownCid, |case| {
        case.udp()[9] ^= 1
    }),
    row("connection ID was given up", Reason::UnknownCid, |case| {
        case.engine.remove_cid(CID);
    }),
    row("another layout of the maps", Reason::OtherSchema, |case| {
        case.world.memory.config().schema.add(1);
    }),
    row("lease is over", Reason::LeaseExpired, |case| {
        case.world.memory.config().alive_until.store(NOW_BEFORE);
    }),
    row("disabled", Reason::NotActive, |case| {
        case.publisher()
            .state
            .store(GENERATION << 8 | state::DISABLED);
    }),
    row("a subscriber's", Reason::NotActive, |case| {
        case.publisher().role.store(role::SUBSCRIBER);
    }),
    row("from another port", Reason::OtherPath, |case| {
        case.udp()[1] ^= 1
    }),
    row4("from another address", Reason::OtherPath, |case| {
        case.ip()[15] ^= 1
    }),
    row4("to another address", Reason::OtherPath, |case| {
        case.ip()[19] ^= 1
    }),
    row6("from another address", Reason::OtherPath, |case| {
        case.ip()[23] ^= 1
    }),
    row6("to another address", Reason::OtherPath, |case| {
        case.ip()[39] ^= 1
    }),
    row("key phase", Reason::KeyPhase, |case| {
        case.publisher().phase.store(1)
    }),
    row("too long", Reason::TooLong, |case| {
        case.datagram(&[&[0x40], &CID[..], &[0; 1600]].concat());
        // Whatever the mask makes of the phase.
        let phase = case.phase_of_datagram();
        case.publisher().phase.store(phase);
    }),
    row("forged", Reason::Forged, |case| {
        *case.frame.last_mut().expect("a tag") ^= 1;
    }),
    row("another key", Reason::Forged, |case| {
        case.publisher().key[0].store(1);
    }),
    row("seen", Reason::Duplicate, |case| {
        case.world.memory.publisher(PUBLISHER).seen[0].store(1);
    }),
    row("too old to know", Reason::Duplicate, |case| {
        let publisher = case.world.memory.publisher(PUBLISHER);
        publisher.largest.store(1025);
        publisher.seen[0].store(1025);
    }),
    row("reserved bits", Reason::Malformed, |case| {
        let packet = case.world.sealed(0x48, 0, 1, &object(ALIAS, 7, b"media"));
        case.datagram(&packet);
    }),
    // What the kernel may not give, or userspace takes away.
    stand_in("header is out of reach", Reason::PullFailed, |case| {
        case.out_of_reach = case.frame.len() - 60;
    }),
    stand_in("payload is out of reach", Reason::PullFailed, |case| {
        case.frames(0, &object(ALIAS, 7, &[7; 100]));
        case.out_of_reach = 1;
    }),
    stand_in("publisher's pad is replaced", Reason::PadReplaced, |case| {
        case.world.put_pad(PUBLISHER, 0);
        case.replaced_at = 2;
    }),
    // Frames.
    row("unknown frame", Reason::Malformed, |case| {
        case.frames(0, &[0x21, 0, 0, 0])
    }),
    row("cut off", Reason::Malformed, |case| {
        case.frames(0, &[0x0a, 2, 9, 9])
    }),
    row("nothing for others", Reason::NoUnit, |case| {
        case.frames(0, &[1, 0, 0, 0, 0])
    }),
    row("bidirectional", Reason::NoUnit, |case| {
        case.frames(0, &stream(0, 0, false, b"control"));
    }),
    row("five units", Reason::TooManyFrames, |case| {
        case.frames(0, &[object(ALIAS, 7, b"x")].concat().repeat(5));
    }),
    row("many frames", Reason::TooManyFrames, |case| {
        case.frames(0, &[1; 100])
    }),
    row("middle of a stream", Reason::UnknownStream, |case| {
        case.frames(0, &stream(2, 100, false, b"media"));
    }),
    row("userspace's stream", Reason::UnknownStream, |case| {
        let source = &case.world.memory.publisher(PUBLISHER).sources[0];
        source.index.store(1);
        source.state.store(Source::DONE);
        case.frames(0, &stream(2, 0, false, &subgroup(ALIAS, 7, b"media")));
    }),
    row("part of the alias", Reason::UnknownStream, |case| {
        let source = &case.world.memory.publisher(PUBLISHER).sources[0];
        source.index.store(1);
        source.state.store(u64::from(TRACK) + 1);
        case.frames(0, &stream(2, 1, false, b"media"));
    }),
    row("unknown alias", Reason::UnknownTrack, |case| {
        case.frames(0, &object(ALIAS + 1, 7, b"media"));
    }),
    row("alias was given up", Reason::UnknownTrack, |case| {
        let (slot, alias) = (u64::from(PUBLISHER), ALIAS);
        case.engine.remove_alias(AliasKey { slot, alias });
    }),
    row("not MOQT's", Reason::UnknownTrack, |case| {
        case.frames(0, &stream(2, 0, false, &[5, 5, 7]));
    }),
    row(
        "another stream under way there",
        Reason::SourceTaken,
        |case| {
            let source = &case.world.memory.publisher(PUBLISHER).sources[0];
            source.index.store(257);
            source.state.store(u64::from(TRACK) + 1);
            case.frames(0, &stream(2, 0, false, &subgroup(ALIAS, 7, b"media")));
        },
    ),
    // Members.
    row("no members", Reason::NoMember, |case| {
        case.world.memory.track(TRACK).members.store(0);
    }),
    row("raw without a track", Reason::NoMember, |case| {
        case.publisher().flags.store(flag::RAW);
    }),
    row("subscriber is disabled", Reason::MemberGone, |case| {
        case.subscriber()
            .state
            .store(GENERATION << 8 | state::DISABLED);
    }),
    row("slot is another's", Reason::MemberGone, |case| {
        let next = GENERATION + 1;
        case.subscriber().state.store(next << 8 | state::ACTIVE);
    }),
    row("publisher's slot", Reason::MemberGone, |case| {
        case.subscriber().role.store(role::PUBLISHER);
    }),
    row("earlier group", Reason::OtherGroup, |case| {
        case.world
            .memory
            .member(TRACK, SUBSCRIBER - 1)
            .first_group
            .store(8);
    }),
    row("later group", Reason::OtherGroup, |case| {
        case.world
            .memory
            .member(TRACK, SUBSCRIBER - 1)
            .last_group
            .store(6);
    }),
    row("other version of IP", Reason::OtherFamily, |case| {
        let family = &case.subscriber().family;
        family.store(10 - family.load());
    }),
    row("stream that began before", Reason::NoOutlet, |case| {
        let source = &case.world.memory.publisher(PUBLISHER).sources[0];
        source.index.store(1);
        source.state.store(u64::from(TRACK) + 1);
        case.frames(0, &stream(2, 100, false, b"media"));
    }),
    row(
        "stream that userspace took back",
        Reason::NoOutlet,
        |case| {
            let tag = relay_ebpf_loader::layout::source_tag(PUBLISHER, GENERATION, 0);
            let outlet = case
                .world
                .memory
                .outlet(SUBSCRIBER, outlet_index(PUBLISHER, 0));
            outlet.source.store(tag);
            case.frames(0, &stream(2, 0, false, &subgroup(ALIAS, 7, b"media")));
        },
    ),
    row("outlet of another", Reason::OutletTaken, |case| {
        let outlet = case
            .world
            .memory
            .outlet(SUBSCRIBER, outlet_index(PUBLISHER, 0));
        outlet.source.store(1);
        case.frames(0, &stream(2, 0, false, &subgroup(ALIAS, 7, b"media")));
    }),
    row("no more streams", Reason::StreamsLimit, |case| {
        case.subscriber().streams_limit.store(0);
        case.frames(0, &stream(2, 0, false, &subgroup(ALIAS, 7, b"media")));
    }),
    row("stream ID too long", Reason::DoesNotFit, |case| {
        case.subscriber().streams_opened.store(16);
        let frame = [&[0x08, 2][..], &subgroup(ALIAS, 7, b"media")].concat();
        case.frames(0, &frame);
    }),
    row("alias too long", Reason::DoesNotFit, |case| {
        case.world
            .memory
            .member(TRACK, SUBSCRIBER - 1)
            .alias
            .store(128);
    }),
    row("path too narrow", Reason::Mtu, |case| {
        case.subscriber().max_udp_payload.store(30);
    }),
    row("log is full", Reason::LogFull, |case| {
        leave_unread(case, case.world.memory.config().log_room.load());
    }),
    sent("log has a last place", Reason::Sent, |case| {
        leave_unread(case, case.world.memory.config().log_room.load() - 1);
    }),
    row("log is full for many CPUs", Reason::LogFull, |case| {
        case.world.memory.config().log_room.store(RECORDS / 4);
        leave_unread(case, RECORDS / 4);
    }),
    row("window is full", Reason::NoBudget, |case| {
        case.subscriber().limit.store(30);
    }),
    row("the rest is for others", Reason::Reserved, |case| {
        case.subscriber().limit.store(100);
        case.world
            .memory
            .member(TRACK, SUBSCRIBER - 1)
            .reserve
            .store(90);
    }),
    row("connection's credit", Reason::NoCredit, |case| {
        case.subscriber().data_limit.store(7);
        case.frames(0, &stream(2, 0, false, &subgroup(ALIAS, 7, b"media")));
    }),
    row("stream's credit", Reason::NoStreamCredit, |case| {
        case.subscriber().stream_limit.store(7);
        case.frames(0, &stream(2, 0, false, &subgroup(ALIAS, 7, b"media")));
    }),
    row("numbers too far apart", Reason::NumbersSpent, |case| {
        case.subscriber().next_number.store(1 << 33);
        case.subscriber().consumed.store(1 << 33);
    }),
    row("numbers at their end", Reason::Burnt, |case| {
        let subscriber = case.subscriber();
        for word in [&subscriber.next_number, &subscriber.consumed] {
            word.store(1 << 62);
        }
        subscriber.largest_acked.store(1 << 62);
    }),
    stand_in("subscriber's pad is replaced", Reason::Burnt, |case| {
        case.world.put_pad(SUBSCRIBER, 0);
        // The publisher's is looked at once: there is none.
        case.replaced_at = 3;
    }),
    Verdict {
        rigs: Rigs::Kernel,
        ..row("no such interface", Reason::CloneFailed, |case| {
            case.subscriber().ifindex.store(1 << 20);
        })
    },
];

/// The subscriber's log has so many records that userspace has not read.
fn leave_unread(case: &Case<'_>, unread: u64) {
    case.subscriber().next_number.store(unread);
    case.subscriber().largest_acked.store(unread);
}

/// Earlier than any time that programs see.
const NOW_BEFORE: u64 = 0;
