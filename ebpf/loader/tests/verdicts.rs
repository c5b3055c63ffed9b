//! Every decision of the programs has a packet that brings it about: in the kernel (with root; SKIP without)
//! and in its stand-in, IPv4 and IPv6. No RFC.

#[path = "support/case.rs"]
mod case;
#[path = "support/network.rs"]
mod network;
#[path = "support/verdicts.rs"]
mod table;
#[path = "support/world.rs"]
mod world;

use case::{Cable, Case, Rig, SIZES};
use network::on_a_network;
use relay_ebpf_loader::Twin;
use relay_ebpf_loader::layout::{MARK, PADS};
use relay_ebpf_loader::verdict::Reason;
use table::{Family, Rigs, TABLE, Verdict};

/// Brings about one decision, and looks that nothing else changed.
fn check(rig: &dyn Rig, verdict: &Verdict, is_ipv4: bool) -> Vec<Vec<u8>> {
    let Verdict {
        name,
        reason,
        copies,
        change,
        ..
    } = *verdict;
    let name = format!("{name} ({reason:?}, {})", if is_ipv4 { 4 } else { 6 });
    let mut case = Case::new(rig.engine(), is_ipv4);
    change(&mut case);
    let (counted, subscriber) = (case.counted(reason), case.subscriber());
    let numbers = subscriber.next_number.load();
    let spent = subscriber.spent.load();
    let frames = rig.send(&case, copies);
    assert_eq!(case.counted(reason), counted + 1, "{name}");
    assert_eq!(frames.len(), copies, "{name}");
    for slot in case.world.memory.slots() {
        assert_eq!(slot.busy.load(), 0, "{name}");
    }
    let taken = subscriber.next_number.load() - numbers;
    if copies == 0 && reason != Reason::Burnt {
        assert_eq!(taken, 0, "{name}");
        assert_eq!(subscriber.spent.load(), spent, "{name}");
        assert_eq!(case.publisher().packets.load(), 0, "{name}");
    }
    if subscriber.refused.load() != 0 {
        assert_eq!(subscriber.last_refusal.load(), reason as u64, "{name}");
    }
    frames
}

/// All rows of the table that a rig can bring about.
fn check_all(rig: &dyn Rig, rigs: &[Rigs]) -> Vec<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for is_ipv4 in [true, false] {
        let other = if is_ipv4 { Family::Six } else { Family::Four };
        let rows = TABLE.iter().filter(|row| row.family != other);
        all.extend(
            rows.filter(|row| rigs.contains(&row.rigs))
                .map(|row| check(rig, row, is_ipv4)),
        );
    }
    all
}

#[test]
fn the_stand_in_decides_as_the_table_says() {
    let twin = Twin::new(SIZES).expect("memory");
    check_all(&twin, &[Rigs::Both, Rigs::StandIn]);
}

#[test]
fn the_kernel_decides_as_the_table_says_and_sends_the_same_bytes() {
    on_a_network(|| {
        let (cable, twin) = (Cable::new(), Twin::new(SIZES).expect("memory"));
        check_all(&cable, &[Rigs::Both, Rigs::Kernel]);
        // The same once more with those that both can bring about, for what they sent.
        let same = |rig| check_all(rig, &[Rigs::Both]);
        assert!(same(&cable) == same(&twin), "frames differ");
    });
}

#[test]
fn every_reason_but_a_few_is_in_the_table() {
    // They have tests of their own below.
    let others = [Reason::ForeignMark, Reason::Candidate];
    for reason in Reason::ALL {
        let is_here = TABLE.iter().any(|row| row.reason == reason);
        assert_eq!(is_here, !others.contains(&reason), "{reason:?}");
    }
}

#[test]
fn a_packet_that_has_our_mark_but_is_no_copy_passes_unchanged() {
    on_a_network(|| {
        let cable = Cable::new();
        let case = Case::new(cable.engine(), true);
        for mark in [MARK, MARK | 1] {
            let counted = case.counted(Reason::ForeignMark);
            assert_eq!(cable.run("qrelay_egress", &case, mark), -1);
            assert_eq!(case.counted(Reason::ForeignMark), counted + 1);
        }
        assert_eq!(cable.run("qrelay_egress", &case, 7), -1);
        assert_eq!(case.counted(Reason::ForeignMark), 2);
        assert_eq!(case.subscriber().next_number.load(), 0);
    });
}

#[test]
fn a_flipped_bit_makes_no_copy_and_a_replay_no_second_one() {
    on_a_network(|| {
        let cable = Cable::new();
        for is_ipv4 in [true, false] {
            let mut case = Case::new(cable.engine(), is_ipv4);
            let frame = case.frame.clone();
            let sent = case.counted(Reason::Sent);
            for bit in (if is_ipv4 { 42 } else { 62 } * 8)..frame.len() * 8 {
                case.frame[bit / 8] ^= 1 << (bit % 8);
                cable.run("qrelay_ingress", &case, 0);
                case.frame[bit / 8] = frame[bit / 8];
            }
            assert_eq!(case.counted(Reason::Sent), sent);
            assert_eq!(cable.send(&case, 1).len(), 1);
            let seen = case.counted(Reason::Duplicate);
            for _ in 0..100 {
                cable.run("qrelay_ingress", &case, 0);
            }
            assert_eq!(case.counted(Reason::Duplicate), seen + 100);
            assert_eq!(case.counted(Reason::Sent), sent + 1);
        }
    });
}

#[test]
fn a_pad_that_is_there_is_used_and_makes_the_same_bytes() {
    on_a_network(|| {
        let (cable, twin) = (Cable::new(), Twin::new(SIZES).expect("memory"));
        let frames = |rig: &dyn Rig, has_pads: bool| {
            let case = Case::new(rig.engine(), true);
            // The next number of the same place is another's.
            let number = u64::from(!has_pads) * PADS;
            for slot in [world::PUBLISHER, case::SUBSCRIBER] {
                case.world.put_pad(slot, number);
            }
            let frames = rig.send(&case, 1);
            let without = [case.publisher(), case.subscriber()].map(|it| it.without_pad.load());
            assert_eq!(without, [u64::from(!has_pads); 2]);
            frames
        };
        let expected = frames(&twin, true);
        assert_eq!(expected.len(), 1);
        assert_eq!(frames(&twin, false), expected);
        assert_eq!(frames(&cable, true), expected);
        assert_eq!(frames(&cable, false), expected);
    });
}

#[test]
fn a_client_is_noted_once_and_its_address_follows_it() {
    on_a_network(|| {
        for is_ipv4 in [true, false] {
            let cable = Cable::new();
            let mut case = Case::new(cable.engine(), is_ipv4);
            let flow = case.flow();
            assert_eq!(case.engine.candidate(&flow), None);
            for round in 1..=3 {
                case.frame[11] = round as u8;
                assert_eq!(cable.run("qrelay_clients", &case, 0), -1);
                let seen = case.engine.candidate(&flow).expect("it was noted");
                assert_eq!(seen.packets, round);
                let macs = [2, 0, 0, 0, 0, round as u8, 2, 0, 0, 0, 0, 1];
                assert_eq!(seen.macs, macs);
            }
            assert_eq!(case.counted(Reason::Candidate), 1);
            // Not for another layout, not when the lease is over, not to another port.
            case.world.memory.config().schema.add(1);
            cable.run("qrelay_clients", &case, 0);
            case.world.memory.config().schema.sub(1);
            case.world.memory.config().alive_until.store(0);
            cable.run("qrelay_clients", &case, 0);
            case.world.memory.config().alive_until.store(u64::MAX);
            case.world.memory.config().port.store(1);
            cable.run("qrelay_clients", &case, 0);
            let seen = case.engine.candidate(&flow).expect("it was noted");
            assert_eq!(seen.packets, 3);
        }
    });
}
