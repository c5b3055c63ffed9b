//! What the verdict table cannot have of the kernel: bytes that it does not give, and pads that userspace replaces while
//! a program uses them (RFC 8439 §2.8). Needs root and the test programs; says SKIP without.

#[path = "support/case.rs"]
mod case;
#[path = "support/network.rs"]
mod network;
#[path = "support/world.rs"]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use aya::EbpfLoader;
use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use case::{Cable, Case, Rig, SUBSCRIBER};
use network::on_a_network;
use relay_ebpf_loader::layout::{Pad, fate};
use relay_ebpf_loader::verdict::Reason;
use world::{ALIAS, PUBLISHER, object};

#[test]
fn bytes_behind_a_packets_end_are_refused_and_not_made_up() {
    on_a_network(|| {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../programs/target/bpfel-unknown-none/release/qrelay_shared"
        );
        let object = std::fs::read(path).expect("built with the others");
        let mut ebpf = EbpfLoader::new().load(&object).expect("maps");
        let program = ebpf.program_mut("qrelay_try_reach").expect("it is there");
        let program: &mut SchedClassifier = program.try_into().expect("TC");
        program.load().expect("the kernel takes it");
        // Ethernet's header, and two hundred bytes.
        let frame = [0; 14 + 200];
        let reach = |at: u32| {
            let mut context = [0; 192];
            context[8..12].copy_from_slice(&at.to_le_bytes());
            let options = TestRunOptions {
                data_in: Some(&frame),
                ctx_in: Some(&context),
                ..TestRunOptions::default()
            };
            program.test_run(options).expect("it runs").return_value
        };
        assert_eq!([reach(0), reach(100)], [0, 0]);
        for at in [101, 200, 1 << 20] {
            assert_eq!(reach(at), Reason::PullFailed as u32, "{at}");
        }
    });
}

/// Has userspace take a pad away and put it back, all the time, while `test` runs.
fn while_replaced(pad: &Pad, test: impl FnOnce()) {
    let number = pad.number.load();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                pad.number.store(0);
                pad.number.store(number);
            }
        });
        test();
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_publishers_pad_that_is_replaced_while_in_use_opens_nothing() {
    on_a_network(|| {
        let cable = Cable::new();
        let mut case = Case::new(cable.engine(), true);
        case.world.put_pad(PUBLISHER, 0);
        // Forged: whatever happens it opens nothing, so the same packet can come again and again.
        *case.frame.last_mut().expect("a tag") ^= 1;
        let pad = case.world.memory.pad(PUBLISHER, 0);
        while_replaced(pad, || {
            let happened = || case.counted(Reason::PadReplaced) > 0;
            assert!((0..ROUNDS).any(|_| {
                cable.run_often("qrelay_ingress", &case, 1000);
                happened()
            }));
        });
        let all = case.counted(Reason::PadReplaced) + case.counted(Reason::Forged);
        assert_eq!(all % 1000, 0, "each is one of both");
        assert_eq!(case.publisher().busy.load(), 0);
        assert_eq!(case.counted(Reason::Sent), 0);
    });
}

#[test]
fn a_subscribers_pad_that_is_replaced_while_in_use_burns_the_number() {
    on_a_network(|| {
        let cable = Cable::new();
        let mut case = Case::new(cable.engine(), true);
        case.world.put_pad(SUBSCRIBER, 0);
        let memory = Arc::clone(&case.world.memory);
        while_replaced(memory.pad(SUBSCRIBER, 0), || {
            let burnt = (0..ROUNDS).any(|number| !is_copied(&cable, &mut case, number));
            assert!(burnt, "never");
        });
        assert_eq!(case.counted(Reason::PadReplaced), 1);
        assert_eq!(case.counted(Reason::Burnt), 1);
        assert_eq!(case.subscriber().busy.load(), 0);
    });
}

/// Sends a publisher's packet for which the subscriber's number 0 is taken, again; false: it was burnt.
fn is_copied(cable: &Cable, case: &mut Case<'_>, number: u64) -> bool {
    let media = object(ALIAS, 7, &[9; 1000]);
    case.subscriber().next_number.store(0);
    case.frames(number, &media);
    let sent = cable.send(case, 1);
    let record = case.world.memory.record(SUBSCRIBER, 0);
    let fate = record.meta.load() >> 16 & 0xff;
    let Some(frame) = sent.first() else {
        assert_eq!(fate, fate::BURNT);
        return false;
    };
    assert_eq!(fate, fate::SENT);
    // Behind Ethernet, IPv4 and UDP.
    let opened = case.world.opened(SUBSCRIBER, &frame[42..]);
    assert_eq!(opened, Some((0, media)));
    true
}

/// Bounds how long chance is waited for.
const ROUNDS: u64 = 20_000;
