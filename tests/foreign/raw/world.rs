//! A network of its own for each test: three namespaces, a veth pair from the first to the second and one from the second to
//! the third, IPv4 and IPv6. No RFC.
//!
//! ```text
//! publisher                    relay                          subscribers
//! pub0 10.73.1.2, fd73:1::2 ── 10.73.1.1, fd73:1::1 to-pub
//!                              to-sub 10.73.2.1, fd73:2::1 ── 10.73.2.2, fd73:2::2 sub0
//! ```
//!
//! The names carry the number of the test's process: dropping a `World` ends every process in them and removes them, and what
//! a killed test left is removed by the next. Interfaces send one packet at a time (`gso_max_segs 1`), so that a packet here is
//! a packet of a wire, until a test wants otherwise. Losing packets is left to programs of the classic BPF machine, on the
//! clients' sides: neighbours are known from the start, so that only what runs over IP can be lost.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

/// A namespace of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where the publisher is.
    Publisher,
    /// Where the relay is.
    Relay,
    /// Where the subscribers are.
    Subscribers,
}

/// The version of IP that peers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The namespaces, and a folder; they are gone when this is dropped. One at a time in a process: the tests are about
/// time, too.
#[derive(Debug)]
pub struct World {
    tag: String,
    folder: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The beginning of the names.
const PREFIX: &str = "qre";
/// The relay's port.
pub const PORT: u16 = 4443;

impl World {
    /// Makes a network for `test`, or says SKIP and why.
    pub fn build(test: &str) -> Option<Self> {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        if !geteuid().is_root() {
            eprintln!("SKIP {test}: network namespaces need root");
            return None;
        }
        remove_leftovers();
        let tag = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("{PREFIX}-{tag}"));
        std::fs::create_dir_all(&folder).expect("the temporary directory is writable");
        // From here on, a failure drops this and removes what was made so far.
        let world = Self { tag, folder, _alone: alone };
        for place in [Place::Publisher, Place::Relay, Place::Subscribers] {
            let name = world.namespace(place);
            if let Err(reason) = run("ip", &format!("netns add {name}")) {
                eprintln!("SKIP {test}: no network namespaces: {reason}");
                return None;
            }
            ip(&format!("-n {name} link set lo up"));
        }
        world.connect(1, Place::Publisher, "pub0", "to-pub");
        world.connect(2, Place::Subscribers, "sub0", "to-sub");
        Some(world)
    }

    /// A namespace's name.
    pub fn namespace(&self, place: Place) -> String {
        let part = match place {
            Place::Publisher => "pub",
            Place::Relay => "relay",
            Place::Subscribers => "sub",
        };
        format!("{PREFIX}-{part}-{}", self.tag)
    }

    /// A folder for files of the test.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// `program`, to be run in a namespace.
    pub fn command(&self, place: Place, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(place)]).arg(program).env_remove("RUST_LOG");
        command
    }

    /// The relay's address, as those at `place` see it.
    pub fn relay_address(&self, place: Place, family: Family) -> SocketAddr {
        let leg = if place == Place::Publisher { 1 } else { 2 };
        SocketAddr::new(address(leg, 1, family), PORT)
    }

    /// Drops `percent` of the packets on both legs and in both directions, on the clients' sides.
    pub fn lose(&self, percent: f64) {
        // A cast from float saturates.
        let threshold = (percent / 100.0 * 2_f64.powi(32)) as u32;
        // A random number up to the threshold drops the packet (TC_ACT_SHOT, 2), any other lets it pass (TC_ACT_OK, 0).
        let program = format!("4,32 0 0 {RANDOM},37 0 1 {threshold},6 0 0 0,6 0 0 2");
        for (place, device) in [(Place::Publisher, "pub0"), (Place::Subscribers, "sub0")] {
            for direction in ["ingress", "egress"] {
                self.filter(place, device, direction, &program);
            }
        }
    }

    /// Drops what arrives at the subscribers for UDP port `port`.
    pub fn block(&self, family: Family, port: u16) {
        // Behind the headers of Ethernet and IP, and the source port.
        let at = if family == Family::V4 { 14 + 20 + 2 } else { 14 + 40 + 2 };
        self.filter(Place::Subscribers, "sub0", "ingress", &format!("4,40 0 0 {at},21 0 1 {port},6 0 0 2,6 0 0 0"));
    }

    /// Lets everything pass again.
    pub fn unblock(&self) {
        ip_tool("tc", &format!("-n {} qdisc del dev sub0 clsact", self.namespace(Place::Subscribers)));
    }

    fn filter(&self, place: Place, device: &str, direction: &str, program: &str) {
        let name = self.namespace(place);
        // It may be there already.
        let _ = run("tc", &format!("-n {name} qdisc add dev {device} clsact"));
        let line = format!("-n {name} filter add dev {device} {direction} protocol all bpf da bytecode");
        let mut words: Vec<&str> = line.split(' ').collect();
        words.push(program);
        run_words("tc", &words).unwrap_or_else(|reason| panic!("tc {words:?}: {reason}"));
    }

    /// How many UDP packets the namespace has thrown away for their checksums.
    #[track_caller]
    pub fn bad_checksums(&self, place: Place) -> u64 {
        let output = self.command(place, "cat").args(["/proc/net/snmp", "/proc/net/snmp6"]).output().expect("cat");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // IPv4: a line of names and a line of numbers. IPv6: a name and a number a line.
        let mut udp = text.lines().filter(|line| line.starts_with("Udp: ")).map(str::split_whitespace);
        let names = udp.next().expect("names").zip(udp.next().expect("numbers"));
        let v6 = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
        let all = names.chain(v6).filter(|(name, _)| matches!(*name, "InCsumErrors" | "Udp6InCsumErrors"));
        let counts: Vec<u64> = all.filter_map(|(_, count)| count.trim().parse().ok()).collect();
        assert_eq!(counts.len(), 2, "{text}");
        counts.iter().sum()
    }

    /// Switches features of a device with `ethtool -K`; words such as `tx off`.
    pub fn offloads(&self, place: Place, device: &str, words: &str) {
        let line = format!("netns exec {} ethtool -K {device} {words}", self.namespace(place));
        ip(&line);
    }

    /// Sets a property of a device with `ip link set`; words such as `gso_max_segs 64`.
    pub fn link(&self, place: Place, device: &str, words: &str) {
        ip(&format!("-n {} link set {device} {words}", self.namespace(place)));
    }

    /// A veth pair between a client's place and the relay's.
    fn connect(&self, leg: u8, place: Place, client: &str, relay: &str) {
        let (at_client, at_relay) = (self.namespace(place), self.namespace(Place::Relay));
        ip(&format!("link add {client} netns {at_client} type veth peer name {relay} netns {at_relay}"));
        for (name, device, host) in [(&at_relay, relay, 1), (&at_client, client, 2)] {
            let other = 3 - host;
            ip(&format!("-n {name} link set {device} address {}", mac(leg, host)));
            ip(&format!("-n {name} addr add {}/24 dev {device}", address(leg, host, Family::V4)));
            ip(&format!("-n {name} addr add {}/64 dev {device} nodad", address(leg, host, Family::V6)));
            ip(&format!("-n {name} link set {device} gso_max_segs 1 txqueuelen 1000 up"));
            for family in [Family::V4, Family::V6] {
                let neighbour = address(leg, other, family);
                ip(&format!("-n {name} neigh replace {neighbour} lladdr {} dev {device} nud permanent", mac(leg, other)));
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for place in [Place::Publisher, Place::Relay, Place::Subscribers] {
            remove(&self.namespace(place));
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The address of host 1, the relay, or 2 on a leg.
pub fn address(leg: u8, host: u8, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 73, leg, host).into(),
        Family::V6 => Ipv6Addr::new(0xfd73, leg.into(), 0, 0, 0, 0, 0, host.into()).into(),
    }
}

fn mac(leg: u8, host: u8) -> String {
    format!("02:73:00:00:{leg:02x}:{host:02x}")
}

/// What tests left that were killed.
fn remove_leftovers() {
    for entry in std::fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut parts = name.split('-');
        let is_ours = parts.next() == Some(PREFIX);
        let process = parts.nth(1).unwrap_or_default();
        if is_ours && !PathBuf::from(format!("/proc/{process}")).exists() {
            remove(&name);
        }
    }
}

/// Ends every process in a namespace and removes it. Failing is normal: it may not exist.
fn remove(name: &str) {
    let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() else {
        return;
    };
    for pid in String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.trim().parse().ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let _ = run("ip", &format!("netns del {name}"));
}

#[track_caller]
fn ip(words: &str) {
    ip_tool("ip", words);
}

#[track_caller]
fn ip_tool(program: &str, words: &str) {
    run(program, words).unwrap_or_else(|reason| panic!("{program} {words}: {reason}"));
}

fn run(program: &str, words: &str) -> Result<(), String> {
    run_words(program, &words.split(' ').collect::<Vec<_>>())
}

fn run_words(program: &str, words: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// SKF_AD_OFF + SKF_AD_RANDOM: loading from there gives a random 32-bit number.
const RANDOM: u32 = 0xffff_f000 + 56;
