//! The loaded programs against their stand-in: the same packets through BPF_PROG_TEST_RUN and through the code on
//! the host (No RFC). Without root there is nothing to compare; it says so once.

use std::cell::OnceCell;

use nix::sched::{CloneFlags, unshare};
use relay_ebpf_loader::Twin;
use relay_ebpf_loader::probe::probe;
use relay_ebpf_loader::verdict::Reason;

use crate::bytes::Script;
use crate::case::{Cable, Case, Rig, SIZES, SUBSCRIBER};
use crate::network::ip;

thread_local! {
    static RIGS: OnceCell<Option<(Cable, Twin)>> = const { OnceCell::new() };
}

/// The input chooses IP version and alias, then each packet's plaintext and a change of its frame, if any. Kernel
/// and stand-in send the same frames, count the same decisions and leave the same numbers.
pub fn kernel_twin(data: &[u8]) {
    RIGS.with(|rigs| {
        if let Some((cable, twin)) = rigs.get_or_init(rigs_of_this_thread) {
            compare(cable, twin, data);
        }
    });
}

/// A network of this thread's own, with a cable; nothing without the rights for that.
fn rigs_of_this_thread() -> Option<(Cable, Twin)> {
    if let Err(why) = probe() {
        eprintln!("SKIP (kernel_twin: {why})");
        return None;
    }
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        eprintln!("SKIP (kernel_twin: no network namespace: {error})");
        return None;
    }
    ip("link add left type veth peer name right");
    for end in ["left", "right"] {
        ip(&format!("link set {end} addrgenmode none"));
        ip(&format!("link set {end} up"));
    }
    Some((Cable::new(), Twin::new(SIZES).expect("memory")))
}

fn compare(cable: &Cable, twin: &Twin, data: &[u8]) {
    let mut script = Script::new(data);
    let flags = script.byte();
    let is_ipv4 = flags & 1 == 0;
    let rigs: [&dyn Rig; 2] = [twin, cable];
    let mut cases = rigs.map(|rig| Case::new(rig.engine(), is_ipv4));
    let alias = [u64::MAX, 9, 99, 1000][usize::from(flags >> 1 & 3)];
    for case in &cases {
        case.world
            .memory
            .member(0, SUBSCRIBER - 1)
            .alias
            .store(alias);
    }
    let before = counters(rigs);
    for number in 0..MAX_PACKETS {
        let payload = script.bytes();
        let (at, flip) = (usize::from(script.byte()), script.byte());
        if payload.is_empty() {
            break;
        }
        let mut expected = 0;
        let frames = [0, 1].map(|which| {
            let case = &mut cases[which];
            case.frames(number, payload);
            if let Some(byte) = case.frame.get_mut(14 + at) {
                *byte ^= flip;
            }
            let frames = rigs[which].send(case, expected);
            expected = frames.len();
            frames
        });
        assert!(frames[0] == frames[1], "{payload:x?}: {frames:x?}");
        for case in &cases {
            let slot = case.subscriber();
            slot.consumed.store(slot.next_number.load());
            slot.largest_acked.store(slot.next_number.load());
            assert_eq!(slot.busy.load() + case.publisher().busy.load(), 0);
        }
        let numbers = [0, 1].map(|which| cases[which].subscriber().next_number.load());
        assert_eq!(numbers[0], numbers[1]);
    }
    let after = counters(rigs);
    let [here, there] = [0, 1].map(|which| {
        let counts = after[which].iter().zip(&before[which]);
        counts
            .map(|((reason, after), (_, before))| (*reason, after - before))
            .collect::<Vec<_>>()
    });
    assert_eq!(here, there);
}

fn counters(rigs: [&dyn Rig; 2]) -> [Vec<(Reason, u64)>; 2] {
    rigs.map(|rig| rig.engine().counters())
}

/// Packets of one input.
const MAX_PACKETS: u64 = 20;
