//! Tokens that run out and relays that are killed, with the real kernel programs, in namespaces of the test's own.
//! RFC 7519 §4.1.4; RFC 9000 §10.3.
//!
//! ```text
//! publisher, a subscriber      relay                        a relay below
//! pub0 10.74.1.2 ───────────── 10.74.1.1 to-pub
//!                              to-sub 10.74.2.1 ─────────── 10.74.2.2 sub0
//! ```
//!
//! What subscribes behind the relay is another relay: it stays connected when its right is over, so that nothing but
//! the right can have taken its slot away. Says SKIP and why where there are no rights for all of this.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::processes::{Directory, Program, pause, within};
use super::status;
use super::tokens::token;

/// Three namespaces, which go with all that runs in them when this is dropped.
struct Net {
    tag: String,
    /// Where the relay answers `status`.
    control: String,
    directory: Directory,
}

impl Net {
    /// Makes the namespaces for `test`, or says SKIP and why.
    fn build(test: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIP {test}: network namespaces need root");
            return None;
        }
        remove_leftovers();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = Directory::new(&format!("kernel-{count}"));
        let net = Self {
            tag: format!("{}-{count}", std::process::id()),
            control: directory.path("control"),
            directory,
        };
        for place in PLACES {
            let name = net.name(place);
            if let Err(reason) = ip(&format!("netns add {name}")) {
                eprintln!("SKIP {test}: no network namespaces: {reason}");
                return None;
            }
            net.set(place, "link set lo up");
        }
        net.connect(1, "pub", ("pub0", "to-pub"));
        net.connect(2, "sub", ("sub0", "to-sub"));
        Some(net)
    }

    fn name(&self, place: &str) -> String {
        format!("{PREFIX}-{place}-{}", self.tag)
    }

    #[track_caller]
    fn set(&self, place: &str, words: &str) {
        let words = format!("-n {} {words}", self.name(place));
        ip(&words).unwrap_or_else(|reason| panic!("ip {words}: {reason}"));
    }

    /// A veth pair, one packet at a time: what goes in at one end comes out of the other as it is.
    fn connect(&self, leg: u8, place: &str, (client, relay): (&str, &str)) {
        let peer = format!("peer name {relay} netns {}", self.name("relay"));
        self.set(place, &format!("link add {client} type veth {peer}"));
        for (place, device, host) in [("relay", relay, 1), (place, client, 2)] {
            self.set(
                place,
                &format!("addr add 10.74.{leg}.{host}/24 dev {device}"),
            );
            self.set(place, &format!("link set {device} gso_max_segs 1 up"));
        }
    }

    /// Starts the program in a namespace.
    fn start(&self, place: &str, words: &[&str]) -> Program {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(place)]);
        command.arg(env!("CARGO_BIN_EXE_quic-relay")).args(words);
        Program::spawn(command)
    }

    /// Starts the relay with its programs; `None`, with SKIP, where the kernel does not take them.
    fn relay(&self, test: &str, words: &[&str]) -> Option<Program> {
        let own = [
            "serve",
            "--bind",
            "0.0.0.0:4443",
            "--control",
            &self.control,
        ];
        let fast = ["--fast-path", "require"];
        let mut relay = self.start("relay", &[&own, &fast[..], words].concat());
        if relay.next("listening").is_none() {
            eprintln!("SKIP {test}: {}", relay.said().trim_end());
            return None;
        }
        Some(relay)
    }

    /// Starts a relay that takes the track from the other one, and who makes it do that.
    fn below(&self, words: &[&str]) -> [Program; 2] {
        let control = self.directory.path("below");
        let own = ["serve", "--bind", "0.0.0.0:4444", "--control", &control];
        let upstream = [
            "--upstream",
            "moqt://10.74.2.1:4443",
            "--tls-disable-verify",
        ];
        let plain = ["--tls-generate", "localhost", "--fast-path", "off"];
        let words = [&own[..], &plain, &upstream, words].concat();
        let mut below = self.start("sub", &words);
        below.event("listening");
        let leaf = client(
            "subscribe",
            "moqt://127.0.0.1:4444",
            &["--output", "/dev/null"],
        );
        [below, self.start("sub", &leaf)]
    }

    /// A publisher that sends half a megabyte a second for half a minute.
    fn publisher(&self, words: &[&str]) -> Program {
        let words = client("publish", ABOVE, &[words, &["-"]].concat());
        let mut publisher = self.start("pub", &words);
        let mut input = publisher.child.stdin.take().expect("a pipe");
        let mut send = move |_: &u32| {
            pause(Duration::from_millis(5));
            input.write_all(&[7; 2500]).is_ok()
        };
        thread::spawn(move || (0..6000).take_while(&mut send).count());
        publisher
    }

    /// How many packets have left the relay towards the relay below.
    fn sent(&self) -> u64 {
        let path = "/sys/class/net/to-sub/statistics/tx_packets";
        let output = Command::new("ip")
            .args(["netns", "exec", &self.name("relay"), "cat", path])
            .output();
        let text = String::from_utf8(output.expect("ip is there").stdout);
        text.expect("digits").trim().parse().expect("a number")
    }

    /// What the relay says, and of it who has an address that begins like this.
    fn served(&self, address: &str) -> (Value, Value) {
        let status = status(&self.control);
        let all = status["connections"].as_array().expect("a list");
        let is_it = |it: &&Value| {
            let peer = it["peer"].as_str().expect("an address");
            peer.starts_with(address) && it["role"] == "subscriber"
        };
        let found = all.iter().find(is_it).cloned().unwrap_or_default();
        (status, found)
    }

    /// Waits until the kernel has sent a hundred packets to the relay below.
    fn until_the_kernel_serves(&self) {
        within(Duration::from_secs(25), || {
            let (_, below) = self.served("10.74.2.2:");
            below["in_kernel"] == true && below["packets_from_kernel"].as_u64() > Some(100)
        });
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        PLACES.iter().for_each(|place| remove(&self.name(place)));
    }
}

/// RFC 7519 §4.1.4: not "on or after" that second, by whomever it would be sent.
#[test]
fn a_token_that_runs_out_takes_the_kernels_slot_away() {
    let test = "a_token_that_runs_out_takes_the_kernels_slot_away";
    let Some(net) = Net::build(test) else { return };
    let key = net.directory.path("key");
    token(&["--generate", "--key", &key, "--alg", "HS256"]);
    let words = ["--tls-generate", "localhost", "--auth-key", &key];
    let Some(_relay) = net.relay(test, &words) else {
        return;
    };
    let mint = |direction, time| token(&["--key", &key, direction, "live", "--expires", time]);
    let _publisher = net.publisher(&["--token", &mint("--publish", "1h")]);
    let long = mint("--subscribe", "1h");
    let steady = ["--output", "/dev/null", "--token", &long];
    let _steady = net.start("pub", &client("subscribe", ABOVE, &steady));
    let _below = net.below(&["--upstream-token", &mint("--subscribe", "12s")]);
    net.until_the_kernel_serves();
    assert_eq!(net.served("").0["fast_path"]["slots_used"], 3);

    within(Duration::from_secs(13), || {
        net.served("10.74.2.2:").1["in_kernel"] == false
    });
    // What the relay itself has to say about it.
    pause(Duration::from_millis(300));
    let (all, gone) = net.served("10.74.2.2:");
    assert_eq!(all["fast_path"]["slots_used"], 2, "{all}");
    assert!(
        gone["peer"].is_string(),
        "it is not connected any more: {all}"
    );
    let (sent, steady) = (net.sent(), net.served("10.74.1.2:").1);
    pause(Duration::from_secs(2));
    let (still, goes_on) = (net.served("10.74.2.2:").1, net.served("10.74.1.2:").1);
    for packets in ["packets_from_kernel", "packets_from_userspace"] {
        assert_eq!(still[packets], gone[packets], "{still}");
    }
    // Nothing but an acknowledgement or a keep-alive.
    let sent = net.sent() - sent;
    let count = |it: &Value| it["packets_from_kernel"].as_u64().expect("a count");
    let others = count(&goes_on) - count(&steady);
    eprintln!("in two seconds after it: {sent} packets to it, {others} of the kernel to another");
    assert!(sent < 20 && others > 200);
}

/// Its kernel's tables are new, and so are the connections: nothing is taken up where a killed relay left it.
#[test]
fn a_relay_that_was_killed_serves_who_comes_back_by_the_kernel_again() {
    let test = "a_relay_that_was_killed_serves_who_comes_back_by_the_kernel_again";
    let Some(net) = Net::build(test) else { return };
    let made = rcgen::generate_simple_self_signed(["10.74.1.1".to_owned()]).expect("an address");
    let (cert, key) = (
        net.directory.path("cert.pem"),
        net.directory.path("key.pem"),
    );
    fs::write(&cert, made.cert.pem()).expect("the directory is writable");
    fs::write(&key, made.signing_key.serialize_pem()).expect("the directory is writable");
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    let Some(relay) = net.relay(test, &tls) else {
        return;
    };
    let publisher = net.publisher(&[]);
    let _below = net.below(&[]);
    net.until_the_kernel_serves();
    drop(relay);
    drop(publisher);
    let _relay = net.relay(test, &tls).expect("the first one did start");
    let (fresh, below) = net.served("10.74.2.2:");
    assert_eq!(
        (&fresh["fast_path"]["slots_used"], below),
        (&0.into(), Value::Null)
    );
    let _publisher = net.publisher(&[]);
    net.until_the_kernel_serves();
    assert_eq!(net.served("").0["fast_path"]["slots_used"], 2);
}

/// The words of a client: the track's names behind the URL.
fn client<'a>(command: &'a str, url: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    let names = ["--namespace", "live/demo", "--track", "video"];
    [&[command, url, "--tls-disable-verify"][..], &names, words].concat()
}

/// What tests left that were killed.
fn remove_leftovers() {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut parts = name.split('-');
        let is_ours = parts.next() == Some(PREFIX);
        let process = parts.nth(1).unwrap_or_default();
        if is_ours && !Path::new(&format!("/proc/{process}")).exists() {
            remove(&name);
        }
    }
}

/// Failing is normal: it may not exist. Interfaces go with it; processes were killed before.
fn remove(name: &str) {
    let _ = ip(&format!("netns del {name}"));
}

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).output();
    let output = output.map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

const PREFIX: &str = "qrk";
const PLACES: [&str; 3] = ["pub", "relay", "sub"];
/// The relay, as its publisher sees it.
const ABOVE: &str = "moqt://10.74.1.1:4443";
