//! The kernel takes the programs, shares its maps and lets them go again. Needs root; says SKIP without. No RFC.
//!
//! Each test has a network of its own, which ends with its thread.

#[path = "support/network.rs"]
mod network;

use std::net::UdpSocket;

use network::{ip, on_a_network};
use relay_ebpf_loader::kernel::attach::{Hook, clean_up};
use relay_ebpf_loader::kernel::measure_run_time;
use relay_ebpf_loader::layout::{AliasKey, Flow};
use relay_ebpf_loader::verdict::Reason;
use relay_ebpf_loader::{Engine, Kernel, Sizes};

const SIZES: Sizes = Sizes {
    slots: 8,
    tracks: 4,
};

/// All that there are.
const HOOKS: [Hook; 2] = [Hook::Tcx, Hook::Netlink];
const NOTHING: [String; 0] = [];

fn loaded() -> Kernel {
    Kernel::load(SIZES).unwrap_or_else(|why| panic!("{why}"))
}

#[test]
fn memory_is_shared_and_hashes_take_what_they_are_told() {
    on_a_network(|| {
        let kernel = loaded();
        let memory = kernel.memory();
        assert_eq!(memory.config().slots.load(), 8);
        memory.pad(7, 255).number.store(1);
        memory.member(3, 7).slot.store(1);
        kernel.set_cid(*b"ourcid!!", 3).expect("room");
        kernel.remove_cid(*b"ourcid!!");
        let key = AliasKey { slot: 1, alias: 2 };
        for round in 0..100 {
            let key = AliasKey {
                alias: round,
                ..key
            };
            kernel.set_alias(key, 1).expect("room");
            kernel.remove_alias(key);
        }
        let flow = Flow {
            local_ip: [1; 16],
            remote_ip: [2; 16],
            ports: 3,
            family: 4,
        };
        assert_eq!(kernel.candidate(&flow), None);
        assert!(kernel.counters().iter().all(|(_, count)| *count == 0));
    });
}

#[test]
fn programs_for_another_layout_are_not_loaded() {
    on_a_network(|| {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../programs/target/bpfel-unknown-none/release/qrelay"
        );
        let mut object = std::fs::read(path).expect("it was built in");
        drop(Kernel::load_object(&object, SIZES).expect("our own"));
        let mark = b"qrelay's layout:";
        let at = object.windows(16).position(|bytes| bytes == mark);
        object[at.expect("a stamp") + 16] ^= 1;
        let why = Kernel::load_object(&object, SIZES).expect_err("another");
        assert!(why.to_string().contains("another version"), "{why}");
    });
}

#[test]
fn packets_that_pass_are_counted_and_measured() {
    on_a_network(|| {
        let mut kernel = loaded();
        let _measured = measure_run_time().expect("root may");
        kernel.attach(&["left".into()]).expect("it is a veth");
        // Any IPv4 packet to a port of nobody's.
        ip("addr add 10.9.0.1/24 dev left");
        let frame = [[0xff; 12].as_slice(), &[8, 6], &[0; 50]].concat();
        let (verdict, _) = kernel.run("qrelay_ingress", &frame, 10).expect("it runs");
        assert_eq!(verdict as i32, -1, "TCX_NEXT: others decide");
        let counters = kernel.counters();
        let not_ip = counters.iter().find(|(reason, _)| *reason == Reason::NotIp);
        assert_eq!(not_ip.map(|(_, count)| *count), Some(10));
        let programs = kernel.programs();
        let ingress = programs.iter().find(|it| it.name == "qrelay_ingress");
        let ingress = ingress.expect("it was loaded");
        assert!(ingress.verified_instructions > 100, "{ingress:?}");
    });
}

#[test]
fn a_second_relay_is_refused_and_nothing_stays_of_the_first() {
    on_a_network(|| {
        for (hook, others) in HOOKS
            .into_iter()
            .flat_map(|hook| HOOKS.map(|of| (hook, of)))
        {
            let mut first = loaded();
            let both = ["left".into(), "right".into()];
            first.attach_by(hook, &both).expect("veth");
            let mut second = loaded();
            let why = second.attach_by(others, &["left".into()]);
            let why = why.expect_err("one is there").to_string();
            assert!(why.contains("another relay"), "{why}");
            assert_eq!(clean_up().expect("interfaces"), NOTHING, "it is alive");
            drop(first);
            let mut third = loaded();
            let attached = third.attach_by(others, &["left".into()]);
            attached.expect("the first has gone");
            third.detach();
            assert_eq!(clean_up().expect("interfaces"), NOTHING);
        }
    });
}

#[test]
fn packets_meet_the_programs_by_either_hook() {
    on_a_network(|| {
        ip("addr add 10.9.0.1/24 dev left");
        ip("neigh replace 10.9.0.2 lladdr 02:00:00:00:00:01 dev left nud permanent");
        for hook in HOOKS {
            let mut kernel = loaded();
            let both = ["left".into(), "right".into()];
            kernel.attach_by(hook, &both).expect("veth");
            let socket = UdpSocket::bind("10.9.0.1:0").expect("our address");
            socket.send_to(&[0; 20], "10.9.0.2:9").expect("a neighbour");
            // Egress is part of the call that sends.
            let seen: u64 = kernel.counters().iter().map(|(_, count)| count).sum();
            assert_ne!(seen, 0, "{hook}: no program saw the packet");
        }
    });
}

#[test]
fn a_device_without_ethernet_frames_is_refused() {
    on_a_network(|| {
        if !std::path::Path::new("/dev/net/tun").exists() {
            return eprintln!("SKIP (no tunnel devices here)");
        }
        for words in [
            "tuntap add dev tun7 mode tun",
            "tuntap add dev tap7 mode tap",
        ] {
            ip(words);
        }
        let mut kernel = loaded();
        let why = kernel.attach(&["left".into(), "tun7".into()]);
        let why = why.expect_err("a tunnel").to_string();
        assert_eq!(why, "tun7: its packets have no Ethernet header");
        let with_ethernet = ["lo".into(), "left".into(), "tap7".into()];
        kernel.attach(&with_ethernet).expect("all have a header");
    });
}

#[test]
fn an_interface_that_does_not_exist_is_named() {
    on_a_network(|| {
        let mut kernel = loaded();
        let why = kernel.attach(&["left".into(), "none0".into()]);
        assert!(
            why.expect_err("no such device")
                .to_string()
                .contains("none0")
        );
        kernel.attach(&["left".into()]).expect("left is free again");
    });
}
