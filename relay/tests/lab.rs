//! The lab, run as users run it: everything arrives bit for bit, and nothing is left behind.
//!
//! Runs one at a time: each is busy with all cores, and the namespaces have fixed names. Without the
//! rights for namespaces those tests say SKIP and why.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lab(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quic-relay"));
    command.arg("lab").args(words.split_whitespace());
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs the lab, which must end well, and gives back its figures.
#[track_caller]
fn runs(words: &str) -> Value {
    let output = lab(words)
        .arg("--json")
        .output()
        .expect("the program was built");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "lab {words}: {said}{}",
        text(&output)
    );
    let result: Value = serde_json::from_slice(&output.stdout).expect("--json prints one object");
    assert_eq!(result["ok"], true, "{result}");
    for subscriber in result["subscribers"].as_array().expect("a list") {
        assert_eq!(
            subscriber["sha256"], result["input"]["sha256"],
            "{subscriber}"
        );
        assert_eq!(
            subscriber["frames"], result["input"]["frames"],
            "{subscriber}"
        );
        assert!(subscriber["delay_us"]["p50"].as_u64() <= subscriber["delay_us"]["p99"].as_u64());
    }
    result
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether namespaces can be made here; says so when not.
fn has_namespaces(test: &str) -> bool {
    let may = nix::unistd::geteuid().is_root()
        && Command::new("ip")
            .args(["netns", "add", "qr-pub"])
            .output()
            .is_ok_and(|output| output.status.success());
    if may {
        let _ = Command::new("ip").args(["netns", "del", "qr-pub"]).output();
    } else {
        eprintln!("SKIP {test}: no rights for network namespaces");
    }
    may
}

fn namespaces() -> Vec<String> {
    let list = Command::new("ip")
        .args(["netns", "list"])
        .output()
        .expect("ip is there");
    let names = text(&list);
    let ours = names.lines().filter(|line| line.starts_with("qr-"));
    ours.map(str::to_owned).collect()
}

/// Processes of this very program that were started with `--die-with-parent`: children of a lab.
fn children() -> usize {
    let is_child = |entry: fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words.next() == Some(env!("CARGO_BIN_EXE_quic-relay").as_bytes())
            && words.next() == Some(b"--die-with-parent")
    };
    let processes = fs::read_dir("/proc").expect("this is Linux").flatten();
    processes.map(is_child).filter(|is_child| *is_child).count()
}

#[track_caller]
fn within(limit: Duration, mut holds: impl FnMut() -> bool) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test of processes runs in real time"
    )]
    let now = Instant::now;
    let end = now() + limit;
    while !holds() {
        assert!(now() < end, "not within {limit:?}");
        #[expect(clippy::disallowed_methods, reason = "there is nothing to wait on")]
        thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).expect("a process number");
    kill(Pid::from_raw(pid), signal).expect("our own child");
}

/// Starts the lab and waits until a relay, a publisher and three subscribers run.
fn started(words: &str) -> Child {
    let mut command = lab(words);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.expect("the program was built");
    within(Duration::from_secs(20), || children() == 5);
    child
}

/// The first child of a lab: its relay.
fn relay_of(lab: &Child) -> i32 {
    let path = format!("/proc/{0}/task/{0}/children", lab.id());
    let list = fs::read_to_string(path).expect("the lab runs");
    let first = list.split_whitespace().next().expect("it has children");
    first.parse().expect("a process number")
}

fn ends_with(mut child: Child, code: i32) -> String {
    let mut said = String::new();
    let mut pipe = child.stderr.take().expect("standard error is a pipe");
    pipe.read_to_string(&mut said)
        .expect("the lab speaks UTF-8");
    let status = child.wait().expect("our own child");
    assert_eq!(status.code(), Some(code), "{said}");
    said
}

#[test]
fn three_subscribers_on_loopback_get_the_clip_bit_for_bit() {
    let _alone = alone();
    let result = runs("--loopback --rate max");
    assert_eq!(result["input"]["frames"], 250);
    assert_eq!(result["subscribers"].as_array().map(Vec::len), Some(3));
    assert!(
        result["relay"]["forwarded_packets"].as_u64() > Some(250),
        "{result}"
    );
    assert_eq!(result["relay"]["fast_path"], false);
    let packets = |subscriber: &Value| subscriber["packets_from_userspace"].as_u64();
    let subscribers = result["subscribers"].as_array().expect("a list");
    let sum: Option<u64> = subscribers.iter().map(packets).sum();
    assert_eq!(result["relay"]["forwarded_packets"].as_u64(), sum);
    assert!(result["relay"]["syscalls_per_forwarded_packet"].as_f64() > Some(0.0));
}

#[test]
fn table_has_a_row_per_subscriber() {
    let _alone = alone();
    let output = lab("--loopback --rate max --subscribers 2")
        .output()
        .expect("it was built");
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(
        said.lines().filter(|line| line.contains(" equal ")).count(),
        2,
        "{said}"
    );
    assert!(
        said.trim_end()
            .ends_with("ok: 2 of 2 subscribers hold the input bit for bit")
    );
}

#[test]
fn lost_packets_on_both_legs_cost_time_and_nothing_else() {
    let _alone = alone();
    for seed in 1..=3 {
        runs(&format!("--loopback --rate max --loss 5 --seed {seed}"));
    }
}

#[test]
fn datagrams_carry_the_clip_where_nothing_is_lost() {
    let _alone = alone();
    runs("--loopback --datagrams");
}

#[test]
fn raw_protocol_carries_the_clip_in_streams_and_in_datagrams() {
    let _alone = alone();
    let result = runs("--protocol raw --loopback --rate max");
    assert_eq!(result["input"]["frames"], 250);
    assert_eq!(result["subscribers"].as_array().map(Vec::len), Some(3));
    assert!(
        result["relay"]["forwarded_packets"].as_u64() > Some(100),
        "{result}"
    );
    runs("--protocol raw --loopback --datagrams");
}

#[test]
fn raw_protocol_makes_up_for_lost_packets() {
    let _alone = alone();
    for seed in 1..=2 {
        let words = format!("--protocol raw --loopback --rate max --loss 5 --seed {seed}");
        runs(&words);
    }
}

#[test]
fn raw_protocol_in_namespaces_with_two_percent_loss() {
    let _alone = alone();
    if has_namespaces("raw protocol") {
        runs("--protocol raw --subscribers 10 --loss 2");
        let result = runs("--protocol raw --subscribers 10 --datagrams");
        let is_fast = result["relay"]["fast_path"] == true;
        for subscriber in result["subscribers"].as_array().expect("a list") {
            let from = |who: &str| subscriber[format!("packets_from_{who}")].as_u64();
            let (kernel, userspace) = (from("kernel"), from("userspace"));
            assert!(!is_fast || kernel > userspace, "{subscriber}");
        }
        assert!(namespaces().is_empty(), "{:?}", namespaces());
    }
}

#[test]
fn file_of_any_kind_is_carried() {
    let _alone = alone();
    let path = std::env::temp_dir().join(format!("quic-relay-lab-test-{}", std::process::id()));
    let bytes: Vec<u8> = (0..3_000_000_u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    fs::write(&path, &bytes).expect("the temporary directory is writable");
    let result = runs(&format!("--loopback --rate max --input {}", path.display()));
    let _ = fs::remove_file(&path);
    assert_eq!(result["input"]["bytes"], 3_000_000);
}

#[test]
fn five_hundred_subscribers_on_loopback() {
    let _alone = alone();
    let result = runs("--loopback --subscribers 500");
    assert_eq!(result["subscribers"].as_array().map(Vec::len), Some(500));
}

#[test]
fn fifty_subscribers_in_namespaces_with_two_percent_loss() {
    let _alone = alone();
    if has_namespaces("fifty subscribers") {
        runs("--subscribers 50 --loss 2");
        assert!(namespaces().is_empty(), "{:?}", namespaces());
    }
}

#[test]
fn interrupted_lab_leaves_nothing_behind() {
    let _alone = alone();
    let words = if has_namespaces("interrupt") {
        ""
    } else {
        "--loopback"
    };
    let child = started(words);
    signal(&child, Signal::SIGINT);
    assert!(ends_with(child, 130).contains("interrupted"));
    assert_eq!((children(), namespaces()), (0, Vec::new()));
}

#[test]
fn children_of_a_killed_lab_end_and_the_next_lab_clears_up() {
    let _alone = alone();
    let with_namespaces = has_namespaces("kill");
    let words = if with_namespaces { "" } else { "--loopback" };
    let mut child = started(words);
    signal(&child, Signal::SIGKILL);
    child.wait().expect("our own child");
    within(Duration::from_secs(5), || children() == 0);
    if with_namespaces {
        assert_eq!(namespaces().len(), 3);
        runs("--rate max");
        assert!(namespaces().is_empty(), "{:?}", namespaces());
    }
}

#[test]
fn relay_that_dies_ends_the_lab_with_a_reason() {
    let _alone = alone();
    let child = started("--loopback");
    let pid = relay_of(&child);
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("a child of our child");
    let said = ends_with(child, 1);
    assert!(said.contains("the relay failed: signal: 9"), "{said}");
    assert_eq!(children(), 0);
}

#[test]
fn second_lab_in_namespaces_is_refused() {
    let _alone = alone();
    if !has_namespaces("second lab") {
        return;
    }
    let first = started("");
    let second = lab("").output().expect("it was built");
    assert_eq!(second.status.code(), Some(8));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("another lab is running"), "{said}");
    signal(&first, Signal::SIGINT);
    ends_with(first, 130);
}

/// A counter of the relay's interface towards the publisher.
fn arrived(what: &str) -> u64 {
    let path = format!("/sys/class/net/to-pub/statistics/rx_{what}");
    let output = Command::new("ip")
        .args(["netns", "exec", "qr-relay", "cat", &path])
        .output();
    let count = output.map(|output| text(&output).trim().parse());
    count.ok().and_then(Result::ok).unwrap_or(0)
}

#[test]
fn what_the_publisher_sends_in_one_call_reaches_the_relay_as_single_packets() {
    let _alone = alone();
    if !has_namespaces("single packets") {
        return;
    }
    let path = std::env::temp_dir().join(format!("quic-relay-lab-bursts-{}", std::process::id()));
    fs::write(&path, vec![7; 100_000_000]).expect("the temporary directory is writable");
    let child = started(&format!(
        "--rate max --subscribers 3 --input {}",
        path.display()
    ));
    within(Duration::from_secs(20), || arrived("bytes") > 3_000_000);
    let (bytes, packets) = (arrived("bytes"), arrived("packets"));
    assert!(bytes / packets < 1515, "{bytes} bytes in {packets} packets");
    signal(&child, Signal::SIGINT);
    ends_with(child, 130);
    let _ = fs::remove_file(&path);
}

/// Whether the kernel takes the programs here; says so when not.
fn has_fast_path(test: &str) -> bool {
    if !has_namespaces(test) {
        return false;
    }
    let output = lab("--subscribers 1 --rate max --fast-path require").output();
    let output = output.expect("the program was built");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        eprintln!("SKIP {test}: {}", said.trim_end());
    }
    output.status.success()
}

#[test]
fn kernel_sends_nearly_all_packets_after_the_first_group() {
    let _alone = alone();
    if !has_fast_path("kernel") {
        return;
    }
    // The clip has ten groups of about the same size.
    const GROUPS: u64 = 10;
    for words in ["", "--datagrams"] {
        let result = runs(&format!("--subscribers 10 --fast-path require {words}"));
        assert_eq!(result["relay"]["fast_path"], true, "{result}");
        for subscriber in result["subscribers"].as_array().expect("a list") {
            let from = |who: &str| subscriber[format!("packets_from_{who}")].as_u64();
            let (kernel, userspace) = (from("kernel"), from("userspace"));
            let (kernel, userspace) = (kernel.expect("a count"), userspace.expect("a count"));
            let later = (kernel + userspace) * (GROUPS - 1) / GROUPS;
            assert!(kernel * 100 >= later * 95, "{subscriber}");
        }
    }
}
