//! The kernel programs' code on the host against a plain reference: what becomes of the packets of a publisher's
//! life (RFC 9000 §12.4, §19, draft-ietf-moq-transport-18 §11). The reference is that of the loader's tests.

use std::cell::RefCell;

use relay_ebpf_loader::layout::{AliasKey, Member, state};
use relay_ebpf_loader::{Engine, Sizes, Twin};

use crate::bytes::Script;
use crate::reference::{Reference, Wish, given_up};
use crate::world::{ALIAS, NOW, PUBLISHER, TRACK, World};

thread_local! {
    /// Its memory is cleared for each input: to make it takes longer than to use it.
    static TWIN: RefCell<Twin> = RefCell::new(Twin::new(Sizes { slots: 2, tracks: 2 }).expect("memory"));
}

/// The input chooses the subscriber's wish, and is then the plaintext of one packet after the other. Each copy is
/// what the reference says, byte for byte, or there is none and the reference says so.
pub fn fastpath_diff(data: &[u8]) {
    TWIN.with_borrow(|twin| {
        twin.memory().clear();
        life(twin, Script::new(data));
    });
}

fn life(twin: &Twin, mut script: Script<'_>) {
    let flags = script.byte();
    let wish = Wish {
        groups: (u64::from(flags >> 3 & 3), 9),
        alias: [None, Some(9), Some(99), Some(1000)][usize::from(flags >> 1 & 3)],
    };
    let world = World::new(twin, flags & 1 == 0);
    let member = world.subscribe(1);
    member.alias.store(wish.alias.unwrap_or(Member::SAME_ALIAS));
    member.first_group.store(wish.groups.0);
    member.last_group.store(wish.groups.1);
    let (slot, alias) = (u64::from(PUBLISHER), ALIAS + 1);
    twin.set_alias(AliasKey { slot, alias }, TRACK + 1)
        .expect("room");
    let tracks = [(ALIAS, u64::from(TRACK)), (alias, u64::from(TRACK) + 1)];
    let mut reference = Reference::default();
    for number in 0..MAX_PACKETS {
        let payload = script.long_bytes();
        if payload.is_empty() || payload.len() > 1400 {
            return;
        }
        let packet = world.packet(number, payload);
        let before = given_up(twin);
        let copies = twin.ingress(NOW, world.local, world.remote(PUBLISHER), &packet);
        let subscriber = world.memory.slot(1);
        let next = subscriber.next_number.load();
        subscriber.consumed.store(next);
        subscriber.largest_acked.store(next);
        let copy = copies.first().map(|copy| {
            let opened = world.opened(1, &copy.datagram);
            opened.expect("it is authentic").1
        });
        for slot in world.memory.slots() {
            assert_eq!(slot.busy.load(), 0);
            assert_eq!(slot.state.load() & 0xff, state::ACTIVE);
        }
        assert_eq!(subscriber.spent.load(), subscriber.bytes.load());
        let expected = reference.copy(payload, &tracks, &wish);
        if given_up(twin) > before {
            // The reference has more room; from here on they know different streams.
            return assert_eq!(copy, None);
        }
        assert!(
            copy == expected,
            "packet {number}: {payload:x?}\n{copy:x?}\n{expected:x?}"
        );
    }
}

/// Packets of one life.
const MAX_PACKETS: u64 = 100;
