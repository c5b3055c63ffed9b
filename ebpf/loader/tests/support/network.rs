//! A network of a test's own: two ends of a cable, and what arrives at one of them. No RFC.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test takes of it what it needs"
)]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, socket,
};
use relay_ebpf_loader::probe::probe;

/// Runs a test on a network of its own with a veth pair, if there are the rights for that.
pub fn on_a_network(test: impl FnOnce() + Send + 'static) {
    if let Err(why) = probe() {
        eprintln!("SKIP ({why})");
        return;
    }
    let run = || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            eprintln!("SKIP (no network namespace: {error})");
            return;
        }
        ip("link add left type veth peer name right");
        for end in ["left", "right"] {
            // Without an address of its own nothing but the test sends here: what is counted is the test's.
            ip(&format!("link set {end} addrgenmode none"));
            ip(&format!("link set {end} up"));
        }
        test();
    };
    thread::spawn(run).join().expect("the test passes");
}

pub fn ip(words: &str) {
    let status = Command::new("ip").args(words.split(' ')).status();
    assert!(status.expect("ip is there").success(), "ip {words}");
}

/// The index of an interface of this network.
pub fn index(name: &str) -> u32 {
    nix::net::if_::if_nametoindex(name).expect("it is there")
}

/// What arrives at an interface.
pub struct Capture {
    socket: OwnedFd,
    ifindex: usize,
}

impl Capture {
    pub fn at(interface: &str) -> Self {
        let (family, kind) = (AddressFamily::Packet, SockType::Raw);
        let socket = socket(family, kind, SockFlag::SOCK_NONBLOCK, SockProtocol::EthAll);
        Self {
            socket: socket.expect("root may"),
            ifindex: index(interface) as usize,
        }
    }

    /// The frames that `is_wanted`, until nothing has come for `patience` milliseconds or there are `most`.
    pub fn frames(
        &self,
        most: usize,
        patience: u16,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while frames.len() < most {
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(patience)) == Ok(0) {
                break;
            }
            let mut frame = [0; 2048];
            let received = recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut frame);
            let Ok((len, Some(from))) = received else {
                continue;
            };
            if from.ifindex() == self.ifindex && is_wanted(&frame[..len]) {
                frames.push(frame[..len].to_vec());
            }
        }
        frames
    }
}
