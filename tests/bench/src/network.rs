//! The network of the bench: three namespaces, a veth pair from the first to the second and one from the second to the third.
//! No RFC.
//!
//! ```text
//! qb-pub               qb-relay                          qb-sub
//! pub0 10.75.1.2 ── 10.75.1.1 to-pub   to-sub 10.75.2.1 ── 10.75.2.2 sub0
//! ```
//!
//! The middle one routes, too: that is the path without a relay. Neighbours are known from the start. Interfaces send one
//! packet at a time (`gso_max_segs 1`), so that a packet here is a packet of a wire. Only these three names are touched: what
//! a killed bench has left is removed first, and dropping a `Network` removes them with every process in them. An abstract
//! socket, which cannot be left behind, says that a bench is running.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::Failure;

/// A namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where the publisher is.
    Publisher,
    /// Where the relay is.
    Relay,
    /// Where the subscribers are.
    Subscribers,
}

/// The namespaces; they are gone when this is dropped.
#[derive(Debug)]
pub struct Network {
    statistics: String,
    _only_bench: UnixListener,
}

/// Where the publisher finds the relay.
pub const RELAY_FOR_PUBLISHER: &str = "10.75.1.1:4443";
/// Where the subscribers find the relay.
pub const RELAY_FOR_SUBSCRIBERS: &str = "10.75.2.1:4443";
/// Where the publisher finds a subscriber if there is no relay.
pub const SUBSCRIBER: &str = "10.75.2.2:4444";
/// Where it sends what is to be copied on its way, to that subscriber (`ebpf/programs/src/bin/floor.rs`).
pub const FLOOR: &str = "10.75.3.1:4443";

impl Network {
    /// Makes it.
    pub fn create() -> Result<Self, Failure> {
        let address = SocketAddr::from_abstract_name("quic-relay-bench")?;
        let only_bench = UnixListener::bind_addr(&address)
            .map_err(|error| format!("another bench is running ({error})"))?;
        remove_all();
        // From here on, a failure drops this and removes what was made so far.
        let network = Self {
            statistics: fs::read_to_string(STATISTICS).unwrap_or_default(),
            _only_bench: only_bench,
        };
        for place in PLACES {
            ip(&format!("netns add {}", place.name()))?;
            ip(&format!("-n {} link set lo up", place.name()))?;
        }
        connect(1, (Place::Publisher, "pub0"), (Place::Relay, "to-pub"))?;
        connect(2, (Place::Subscribers, "sub0"), (Place::Relay, "to-sub"))?;
        ip("-n qb-pub route add 10.75.2.0/24 via 10.75.1.1")?;
        ip("-n qb-sub route add 10.75.1.0/24 via 10.75.2.1")?;
        // Nobody's address, with the subscribers' MAC: copies are to be taken in there.
        ip("-n qb-pub route add 10.75.3.1 dev pub0")?;
        let neighbour = mac(2, 2);
        ip(&format!(
            "-n qb-pub neigh replace 10.75.3.1 lladdr {neighbour} dev pub0 nud permanent"
        ))?;
        Place::Relay.shell("echo 1 > /proc/sys/net/ipv4/ip_forward")?;
        Ok(network)
    }

    /// Until the answer is dropped, threads of the kernel with names take in what arrives at each interface, and what the
    /// kernel's programs run for is measured; so it can be told whose work was whose. Waking a thread costs time, so not
    /// while delays are measured.
    ///
    /// They come before all processes, as interrupts do, and the receivers' have a processor beside the others': a veth
    /// holds 256 packets, and copies for a thousand subscribers come at once. Waking a thread on another processor costs the
    /// one who wakes it far more than a network card's queue would cost him; so the receivers' interfaces look for more by a
    /// timer before they want to be woken again, as cards do that moderate their interrupts.
    pub fn book_interrupts(&self) -> Booked<'_> {
        let booked = Booked(self);
        booked.switch("on", 1);
        for thread in threads() {
            prefer(&thread.id);
            let last = thread::available_parallelism().map_or(0, |count| count.get() - 1);
            pin(&thread, if thread.device == "sub0" { last } else { 0 });
        }
        let _ = fs::write(STATISTICS, "1");
        booked
    }

    /// Drops a percent of what the publisher sends, until the answer is dropped.
    pub fn lose(&self) -> Result<Losing, Failure> {
        ip_tool("tc", "-n qb-pub qdisc add dev pub0 clsact")?;
        let losing = Losing(());
        // A random number up to the threshold drops the packet (TC_ACT_SHOT, 2), any other lets it pass (TC_ACT_OK, 0).
        let program = format!(
            "4,32 0 0 {RANDOM},37 0 1 {},6 0 0 0,6 0 0 2",
            u32::MAX / 100
        );
        let filter = "-n qb-pub filter add dev pub0 egress protocol ip bpf da bytecode";
        let words: Vec<&str> = filter.split(' ').chain([program.as_str()]).collect();
        run("tc", &words)?;
        Ok(losing)
    }
}

/// As long as this lives, interrupts are booked.
#[derive(Debug)]
pub struct Booked<'a>(&'a Network);

impl Booked<'_> {
    /// Kernels before 5.12 cannot: then there are no such threads to be found.
    fn switch(&self, word: &str, digit: u8) {
        for (place, device) in DEVICES {
            let (folder, again) = (format!("/sys/class/net/{device}"), u32::from(digit) * AGAIN);
            let timer = match place {
                Place::Relay => String::new(),
                _ => format!(
                    "echo {again} > {folder}/gro_flush_timeout; echo {digit} > {folder}/napi_defer_hard_irqs; "
                ),
            };
            let _ = place.shell(&format!(
                "{timer}ethtool -K {device} gro {word} && echo {digit} > {folder}/threaded"
            ));
        }
    }
}

impl Drop for Booked<'_> {
    fn drop(&mut self) {
        self.switch("off", 0);
        let _ = fs::write(STATISTICS, self.0.statistics.trim());
    }
}

/// A thread of the kernel that takes in what arrives at an interface.
#[derive(Clone, Debug)]
pub struct Thread {
    /// The interface.
    pub device: &'static str,
    /// The thread's number.
    pub id: String,
}

/// Those of our interfaces, if there are any.
pub fn threads() -> Vec<Thread> {
    let thread = |entry: fs::DirEntry| {
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        let (device, _) = name.strip_prefix("napi/")?.rsplit_once('-')?;
        let (_, device) = DEVICES.iter().find(|(_, ours)| *ours == device)?;
        let id = entry.file_name().into_string().ok()?;
        Some(Thread { device, id })
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(thread).collect()
}

/// From now on this process or thread comes before all others, as one does that has a machine of its own.
pub fn prefer(id: &str) {
    let _ = run("chrt", &["--fifo", "--pid", "1", id]);
}

/// Keeps a thread on a processor, if it lets itself.
fn pin(thread: &Thread, processor: usize) {
    let mut set = CpuSet::new();
    if let (Ok(()), Ok(id)) = (set.set(processor), thread.id.parse()) {
        let _ = sched_setaffinity(Pid::from_raw(id), &set);
    }
}

/// As long as this lives, packets are lost.
#[derive(Debug)]
pub struct Losing(());

impl Drop for Losing {
    fn drop(&mut self) {
        let _ = ip_tool("tc", "-n qb-pub qdisc del dev pub0 clsact");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = fs::write(STATISTICS, self.statistics.trim());
        remove_all();
    }
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::Publisher => "qb-pub",
            Self::Relay => "qb-relay",
            Self::Subscribers => "qb-sub",
        }
    }

    /// `program`, to be run there.
    pub fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.name()]).arg(program);
        command
    }

    fn shell(self, line: &str) -> Result<(), Failure> {
        run("ip", &["netns", "exec", self.name(), "sh", "-c", line])
    }
}

fn mac(leg: u8, host: u8) -> String {
    format!("02:75:00:00:{leg:02x}:{host:02x}")
}

/// A veth pair between a client's place and the relay's.
fn connect(leg: u8, client: (Place, &str), relay: (Place, &str)) -> Result<(), Failure> {
    let (at_client, at_relay) = (client.0.name(), relay.0.name());
    ip(&format!(
        "link add {} netns {at_client} type veth peer name {} netns {at_relay}",
        client.1, relay.1
    ))?;
    for ((place, device), host, other) in [(relay, 1, 2), (client, 2, 1)] {
        let name = place.name();
        ip(&format!(
            "-n {name} link set {device} address {}",
            mac(leg, host)
        ))?;
        ip(&format!(
            "-n {name} addr add 10.75.{leg}.{host}/24 dev {device}"
        ))?;
        // A veth's peer meets its packets in a thread of its own only if it cannot do TSO (`veth_skb_is_eligible_for_gro`).
        place.shell(&format!("ethtool -K {device} tso off"))?;
        // Where interrupts are booked, nothing may be merged.
        ip(&format!(
            "-n {name} link set {device} gso_max_segs 1 gro_max_size 1 txqueuelen 1000 up"
        ))?;
        ip(&format!(
            "-n {name} neigh replace 10.75.{leg}.{other} lladdr {} dev {device} nud permanent",
            mac(leg, other)
        ))?;
    }
    Ok(())
}

/// Ends every process in the namespaces and removes them. Failing is normal: they may not exist.
fn remove_all() {
    for place in PLACES {
        let name = place.name();
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

fn ip(words: &str) -> Result<(), Failure> {
    ip_tool("ip", words)
}

fn ip_tool(program: &str, words: &str) -> Result<(), Failure> {
    run(program, &words.split(' ').collect::<Vec<_>>())
}

fn run(program: &str, words: &[&str]) -> Result<(), Failure> {
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run `{program}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or("no reason given");
    Err(format!("`{program} {}` failed: {said}", words.join(" ")).into())
}

const PLACES: [Place; 3] = [Place::Publisher, Place::Relay, Place::Subscribers];

const DEVICES: [(Place, &str); 4] = [
    (Place::Publisher, "pub0"),
    (Place::Relay, "to-pub"),
    (Place::Relay, "to-sub"),
    (Place::Subscribers, "sub0"),
];

/// Whether the kernel measures how long its BPF programs run.
const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";
/// SKF_AD_OFF + SKF_AD_RANDOM of the classic BPF machine: loading from there gives a random 32-bit number.
const RANDOM: u32 = 0xffff_f000 + 56;
/// After so many ns an interface looks again whether something has come.
const AGAIN: u32 = 50_000;
