//! The lab's network: namespaces `qr-pub`, `qr-relay` and `qr-sub`, a veth pair from the first to the
//! second and one from the second to the third.
//!
//! ```text
//! qr-pub               qr-relay                          qr-sub
//! pub0 10.71.1.2 ── 10.71.1.1 to-pub   to-sub 10.71.2.1 ── 10.71.2.2 sub0
//! ```
//!
//! No RFC. Built with `ip` and `tc` of iproute2. Only these three names are ever touched: what an
//! earlier, killed lab left under them is removed first, and dropping a `Namespaces` removes them
//! again, with every process in them. An abstract socket says that a lab is running; the kernel
//! takes it away with the process, so it cannot be left behind.
//!
//! Interfaces send one packet at a time (`gso_max_segs 1`, which has the effect of `ethtool -K DEVICE
//! tx-udp-segmentation off`): what the counters, the loss program and the relay's kernel programs see are
//! then the packets that a wire would carry. Nothing merges them again: a veth pair has no GRO unless told.
//!
//! Loss happens where packets arrive, before anybody sees them. The one exception is what the publisher
//! sends, if the relay forwards in the kernel: its programs come before the loss program of the same
//! device, so those packets are lost as they leave the publisher.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{Failure, Kind, Result};

/// The three namespaces; they are gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Namespaces {
    _only_lab: UnixListener,
}

/// Where the publisher finds the relay.
pub(crate) const RELAY_FOR_PUBLISHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 71, 1, 1));
/// Where the subscribers find the relay.
pub(crate) const RELAY_FOR_SUBSCRIBERS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 71, 2, 1));
/// The publisher's namespace.
pub(crate) const PUBLISHER: &str = "qr-pub";
/// The relay's namespace.
pub(crate) const RELAY: &str = "qr-relay";
/// The subscribers' namespace.
pub(crate) const SUBSCRIBERS: &str = "qr-sub";

impl Namespaces {
    /// Makes the network, dropping `loss` percent of the packets that arrive at either end of
    /// either leg. `fast_path`: the relay may forward in the kernel.
    pub(crate) fn create(loss: f64, fast_path: bool) -> Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Failure::new(Kind::Rights, "network namespaces need root").advise(ADVICE));
        }
        let only_lab = lock()?;
        remove_all();
        // From here on, a failure drops this and removes what was made so far.
        let namespaces = Self {
            _only_lab: only_lab,
        };
        for name in [PUBLISHER, RELAY, SUBSCRIBERS] {
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        connect(
            (PUBLISHER, "pub0", "10.71.1.2"),
            (RELAY, "to-pub", "10.71.1.1"),
        )?;
        connect(
            (SUBSCRIBERS, "sub0", "10.71.2.2"),
            (RELAY, "to-sub", "10.71.2.1"),
        )?;
        if loss > 0.0 {
            for (namespace, device) in ENDS {
                tc(&format!("-n {namespace} qdisc add dev {device} clsact"))?;
            }
            let at_relay = match fast_path {
                true => (PUBLISHER, "pub0", "egress"),
                false => (RELAY, "to-pub", "ingress"),
            };
            drop_packets(at_relay, loss)?;
            for (namespace, device) in [ENDS[0], ENDS[2], ENDS[3]] {
                drop_packets((namespace, device, "ingress"), loss)?;
            }
        }
        Ok(namespaces)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        remove_all();
    }
}

/// The program and the words before `program`'s own arguments that make it run in `namespace`.
pub(crate) fn prefix(namespace: &str) -> [&str; 4] {
    ["ip", "netns", "exec", namespace]
}

/// One lab at a time: the namespaces have fixed names.
fn lock() -> Result<UnixListener> {
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => Failure::new(Kind::Rights, "another lab is running")
            .advise("wait for its end, or use `lab --loopback`"),
        _ => Failure::new(Kind::Rights, format!("cannot make a lock: {error}")),
    };
    let address = SocketAddr::from_abstract_name(LOCK).map_err(cannot)?;
    UnixListener::bind_addr(&address).map_err(cannot)
}

/// A veth pair with an address at each end.
fn connect(a: (&str, &str, &str), b: (&str, &str, &str)) -> Result<()> {
    ip(&format!(
        "link add {} netns {} type veth peer name {} netns {}",
        a.1, a.0, b.1, b.0
    ))?;
    for (namespace, device, address) in [a, b] {
        ip(&format!(
            "-n {namespace} addr add {address}/24 dev {device}"
        ))?;
        ip(&format!(
            "-n {namespace} link set {device} gso_max_segs 1 txqueuelen 1000 up"
        ))?;
    }
    Ok(())
}

/// A four-instruction program of the classic BPF machine, so no compiler is needed: a random number
/// up to the threshold drops the packet (TC_ACT_SHOT, 2), any other lets it pass (TC_ACT_OK, 0).
/// Only IPv4 meets it: losing ARP would test patience, not recovery.
fn drop_packets((namespace, device, hook): (&str, &str, &str), percent: f64) -> Result<()> {
    let program = format!(
        "4,32 0 0 {RANDOM},37 0 1 {},6 0 0 0,6 0 0 2",
        threshold(percent)
    );
    let filter =
        format!("-n {namespace} filter add dev {device} {hook} protocol ip bpf da bytecode");
    let mut words: Vec<&str> = filter.split(' ').collect();
    words.push(&program);
    run("tc", &words)
}

fn threshold(percent: f64) -> u32 {
    // A cast from float saturates.
    (percent / 100.0 * 2_f64.powi(32)) as u32
}

/// Ends every process in the namespaces and removes them. Failing is normal: they may not exist.
fn remove_all() {
    for name in [PUBLISHER, RELAY, SUBSCRIBERS] {
        let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() else {
            return;
        };
        let pids = String::from_utf8_lossy(&output.stdout);
        for pid in pids.lines().filter_map(|line| line.trim().parse().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = Command::new("ip").args(["netns", "del", name]).output();
    }
}

fn ip(words: &str) -> Result<()> {
    run("ip", &words.split(' ').collect::<Vec<_>>())
}

fn tc(words: &str) -> Result<()> {
    run("tc", &words.split(' ').collect::<Vec<_>>())
}

fn run(program: &str, words: &[&str]) -> Result<()> {
    match Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
    {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(refused(program, words, &output)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::new(
            Kind::Rights,
            format!("there is no program `{program}`"),
        )
        .advise("install iproute2 (apt-get install iproute2), or use `lab --loopback`")),
        Err(error) => Err(Failure::new(
            Kind::Rights,
            format!("cannot run `{program}`: {error}"),
        )),
    }
}

fn refused(program: &str, words: &[&str], output: &Output) -> Failure {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said
        .lines()
        .next()
        .unwrap_or("no reason given")
        .trim()
        .to_owned();
    let what = format!("`{program} {}` failed: {said}", words.join(" "));
    Failure::new(Kind::Rights, what).advise(ADVICE)
}

const ADVICE: &str = "run it with sudo on a machine that lets you, or use `lab --loopback`";

const ENDS: [(&str, &str); 4] = [
    (PUBLISHER, "pub0"),
    (RELAY, "to-pub"),
    (RELAY, "to-sub"),
    (SUBSCRIBERS, "sub0"),
];

const LOCK: &str = "quic-relay-lab";

/// SKF_AD_OFF + SKF_AD_RANDOM: loading from there gives a random 32-bit number.
const RANDOM: u32 = 0xffff_f000 + 56;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threshold_is_the_share_of_all_32_bit_numbers() {
        assert_eq!(threshold(50.0), 1 << 31);
        assert_eq!(threshold(0.0), 0);
        assert_eq!(threshold(100.0), u32::MAX);
    }

    #[test]
    fn random_load_is_the_documented_one() {
        assert_eq!(RANDOM, 4_294_963_256);
    }
}
