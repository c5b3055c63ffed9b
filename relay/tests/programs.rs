//! serve, publish and subscribe as separate processes, the way the README shows them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

#[path = "programs/kernel.rs"]
mod kernel;
#[path = "programs/processes.rs"]
mod processes;
#[path = "programs/tokens.rs"]
mod tokens;

use processes::{Directory, Program, Relay, go, held, program, said, same, send, within};

const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/media/clip.ivf");

#[test]
fn subscriber_that_comes_first_waits_and_gets_the_whole_file() {
    let (relay, directory) = (Relay::generated(), Directory::new("first"));
    let out = directory.path("out.ivf");
    let subscriber = Program::start(&relay.client("subscribe", &["--output", &out]));
    go(held(&relay, &[]), subscriber);
    same(out, CLIP);
}

#[test]
fn output_to_a_pipe_is_the_file_and_nothing_else() {
    let (relay, directory) = (Relay::generated(), Directory::new("pipe"));
    let report = directory.path("report");
    let subscriber = program(&relay.client("subscribe", &["--report", &report]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built");
    let publisher = held(&relay, &[]);
    within(Duration::from_secs(10), || {
        let report = fs::read_to_string(&report);
        report.is_ok_and(|text| text.contains("subscribed"))
    });
    send(publisher);
    let output = subscriber.wait_with_output().expect("our own child");
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stdout == fs::read(CLIP).expect("the clip is there"));
    assert!(
        output.stderr.is_empty(),
        "not silent in a pipe: {}",
        said(&output)
    );
}

#[test]
fn standard_input_is_published_as_it_comes() {
    let (relay, directory) = (Relay::generated(), Directory::new("stdin"));
    let out = directory.path("out");
    let subscriber = Program::start(&relay.client("subscribe", &["--output", &out]));
    let mut publisher = Program::start(&relay.client("publish", &["-"]));
    let mut input = publisher
        .child
        .stdin
        .take()
        .expect("standard input is a pipe");
    let text: Vec<u8> = (0..200_000_u32).map(|i| (i % 253) as u8).collect();
    for part in text.chunks(7000) {
        input.write_all(part).expect("the publisher reads");
    }
    drop(input);
    publisher.ends_well();
    subscriber.ends_well();
    assert!(fs::read(out).expect("it was written") == text);
}

#[test]
fn late_subscriber_begins_with_the_newest_group_and_gets_a_playable_file() {
    let (relay, directory) = (Relay::generated(), Directory::new("late"));
    let (first, late) = (directory.path("first.ivf"), directory.path("late.ivf"));
    let watching = Program::start(&relay.client("subscribe", &["--output", &first]));
    let publisher = Program::start(&relay.client("publish", &[CLIP]));
    // Two groups and a half of the first subscriber's file: the third is under way.
    while fs::metadata(&first).map_or(0, |file| file.len()) < 85_000 {
        #[expect(
            clippy::disallowed_methods,
            reason = "the file of another process grows"
        )]
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let late_one = Program::start(&relay.client("subscribe", &["--output", &late]));
    publisher.ends_well();
    watching.ends_well();
    late_one.ends_well();
    same(first, CLIP);
    let (all, tail) = (
        fs::read(CLIP).expect("the clip"),
        fs::read(late).expect("it was written"),
    );
    assert_eq!(all[..32], tail[..32], "the file header");
    assert!(
        all.ends_with(&tail[32..]) && tail.len() < all.len(),
        "{} bytes",
        tail.len()
    );
    assert_eq!(tail[32 + 12] & 1, 0, "a key frame comes first");
}

#[test]
fn raw_subscriber_that_comes_late_begins_with_the_next_group() {
    let relay = Relay::start(&["--tls-generate", "localhost", "--raw"]);
    let directory = Directory::new("raw");
    let (first, late) = (directory.path("first.ivf"), directory.path("late.ivf"));
    let raw = |command, words: &[&str]| {
        let start = [command, relay.url.as_str(), "--protocol", "raw"];
        Program::start(&[&start, &["--tls-disable-verify"][..], words].concat())
    };
    let mut watching = raw("subscribe", &["--output", &first]);
    watching.event("subscribed");
    let publisher = raw("publish", &[CLIP]);
    while fs::metadata(&first).map_or(0, |file| file.len()) < 50_000 {
        #[expect(
            clippy::disallowed_methods,
            reason = "the file of another process grows"
        )]
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let late_one = raw("subscribe", &["--output", &late]);
    publisher.ends_well();
    watching.ends_well();
    late_one.ends_well();
    same(first, CLIP);
    let (all, tail) = (
        fs::read(CLIP).expect("the clip"),
        fs::read(late).expect("it was written"),
    );
    assert_eq!(all[..32], tail[..32], "the file header");
    assert!(all.ends_with(&tail[32..]) && tail.len() < all.len());
    assert_eq!(tail[32 + 12] & 1, 0, "a key frame comes first");
}

#[test]
fn raw_protocol_is_carried_by_those_who_offer_it_only() {
    let relay = Relay::generated();
    let words = ["subscribe", &relay.url, "--protocol", "raw"];
    let words = [
        &words[..],
        &["--tls-disable-verify", "--output", "/dev/null"],
    ]
    .concat();
    let output = program(&words).output().expect("the program was built");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let said = said(&output);
    assert!(said.contains("does not speak qr-raw-sub"), "{said}");
}

#[test]
fn track_can_be_published_again_after_its_end() {
    let (relay, directory) = (Relay::generated(), Directory::new("again"));
    for run in ["one", "two"] {
        let out = directory.path(run);
        let subscriber = Program::start(&relay.client("subscribe", &["--output", &out]));
        let publish = relay.client("publish", &["--rate", "max", "--hold", CLIP]);
        let mut publisher = Program::start(&publish);
        publisher.event("ready");
        let mut subscriber = subscriber;
        subscriber.event("subscribed");
        writeln!(publisher.child.stdin.as_ref().expect("a pipe"), "go").expect("it waits");
        publisher.ends_well();
        subscriber.ends_well();
        same(out, CLIP);
    }
}

#[test]
fn unknown_track_is_told_with_its_name_and_exit_code() {
    let relay = Relay::generated();
    let words = relay.client("subscribe", &["--wait", "0", "--output", "/dev/null"]);
    let output = program(&words).output().expect("the program was built");
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert!(
        said(&output).contains("nobody publishes live/demo/video"),
        "{}",
        said(&output)
    );
}

#[test]
fn certificate_is_checked_unless_told_otherwise() {
    let directory = Directory::new("ca");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("an address");
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("an address");
    let path = |name: &str, text: String| {
        fs::write(directory.path(name), text).expect("the directory is writable");
        directory.path(name)
    };
    let cert = path("cert.pem", made.cert.pem());
    let key = path("key.pem", made.signing_key.serialize_pem());
    let other = path("other.pem", other.cert.pem());
    let relay = Relay::start(&["--tls-cert", &cert, "--tls-key", &key]);
    let subscribe = |ca: &str| {
        let names = [
            "--namespace",
            "a",
            "--track",
            "b",
            "--wait",
            "0",
            "--output",
            "/dev/null",
        ];
        let words = [&["subscribe", &relay.url, "--tls-ca", ca], &names[..]].concat();
        program(&words).output().expect("the program was built")
    };
    assert_eq!(
        subscribe(&cert).status.code(),
        Some(7),
        "trusted, and the track is unknown"
    );
    let refused = subscribe(&other);
    assert_eq!(refused.status.code(), Some(5), "{}", said(&refused));
    assert!(said(&refused).contains("--tls-ca"), "{}", said(&refused));
}

/// Row 16 of doc/attacks.md, RFC 9000 §10.3: who comes back with the same key ends what its past self has begun.
#[test]
fn row_16_a_relay_that_was_killed_resets_its_clients_when_it_is_back() {
    let directory = Directory::new("back");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("an address");
    let (cert, key) = (directory.path("cert.pem"), directory.path("key.pem"));
    fs::write(&cert, made.cert.pem()).expect("the directory is writable");
    fs::write(&key, made.signing_key.serialize_pem()).expect("the directory is writable");
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    let relay = Relay::start(&tls);
    let mut publisher = Program::start(&relay.client("publish", &["--hold", CLIP]));
    publisher.event("ready");
    let bind = relay.url.replace("moqt://", "");
    drop(relay);
    let _back = Program::start(&[&["serve", "--bind", &bind][..], &tls].concat());
    // Its next keep-alive is answered by a reset, long before the idle timeout.
    let status = publisher.child.wait().expect("our own child");
    let said = publisher.said();
    assert!(
        !status.success() && said.contains("stateless reset"),
        "{said}"
    );
}

#[test]
fn relay_asks_its_upstream_for_what_it_does_not_have() {
    let directory = Directory::new("chain");
    let out = directory.path("out.ivf");
    let origin = Relay::generated();
    let edge_words = [
        "--tls-generate",
        "localhost",
        "--upstream",
        &origin.url,
        "--tls-disable-verify",
    ];
    let edge = Relay::start(&edge_words);
    let mut publisher =
        Program::start(&origin.client("publish", &["--rate", "max", "--hold", CLIP]));
    publisher.event("ready");
    let mut subscriber = Program::start(&edge.client("subscribe", &["--output", &out]));
    subscriber.event("subscribed");
    writeln!(publisher.child.stdin.as_ref().expect("a pipe"), "go").expect("it waits");
    publisher.ends_well();
    subscriber.ends_well();
    same(out, CLIP);
}

#[test]
fn relay_ends_in_order_when_asked_to_and_tells_what_it_did() {
    let mut relay = Relay::generated();
    let pid = i32::try_from(relay.program.child.id()).expect("a process number");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("our own child");
    let served = relay.program.event("served");
    assert_eq!(served["forwarded_packets"], 0);
    relay.program.ends_well();
}

/// What `status` says, as JSON.
#[track_caller]
fn status(control: &str) -> Value {
    let output = program(&["status", "--json", "--control", control])
        .output()
        .expect("the program was built");
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).expect("--json prints one object")
}

#[test]
fn status_names_everybody_and_a_client_that_sleeps_holds_up_nothing() {
    let directory = Directory::new("status");
    let control = directory.path("control");
    let relay = Relay::start(&["--tls-generate", "localhost", "--control", &control]);
    let mut publisher = Program::start(&relay.client("publish", &["--hold", CLIP]));
    publisher.event("ready");
    let out = directory.path("out.ivf");
    let mut subscriber = Program::start(&relay.client("subscribe", &["--output", &out]));
    subscriber.event("subscribed");

    let _sleepers = [(); 20].map(|()| UnixStream::connect(&control).expect("the relay listens"));
    let answer = status(&control);
    let connections = answer["connections"].as_array().expect("a list");
    let mut roles: Vec<_> = connections.iter().map(|c| c["role"].as_str()).collect();
    roles.sort_unstable();
    assert_eq!(roles, [Some("publisher"), Some("subscriber")], "{answer}");
    assert_eq!(answer["fast_path"]["on"], false);
    assert_eq!(answer["relay"]["subscriptions"], 1);
    let table = program(&["status", "--control", &control]).output();
    let table = String::from_utf8(table.expect("it was built").stdout).expect("text");
    assert!(
        table.contains("fast path: off, no network interface but loopback"),
        "{table}"
    );
    let rows = table.lines().filter(|line| line.starts_with("127."));
    assert_eq!(
        rows.filter(|row| row.contains(" userspace ")).count(),
        2,
        "{table}"
    );
    let switched = program(&["fast-path", "off", "--control", &control]).output();
    let switched = switched.expect("it was built");
    assert_eq!(switched.status.code(), Some(7), "{}", said(&switched));
    assert!(said(&switched).contains("that relay has no fast path"));

    let input = publisher.child.stdin.as_mut();
    writeln!(input.expect("a pipe"), "go").expect("the publisher reads");
    publisher.ends_well();
    subscriber.ends_well();
    same(out, CLIP);
}

#[test]
fn control_socket_goes_with_the_relay_and_a_dead_one_is_replaced() {
    let directory = Directory::new("control");
    let control = directory.path("control");
    let words = ["--tls-generate", "localhost", "--control", &control];
    let killed = Relay::start(&words);
    let mode = fs::metadata(&control)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = ["serve", "--bind", "127.0.0.1:0"];
    let second = program(&[&second[..], &words].concat()).output();
    let second = second.expect("the program was built");
    assert_eq!(second.status.code(), Some(6), "{}", said(&second));
    assert!(
        said(&second).contains("another relay answers"),
        "{}",
        said(&second)
    );
    drop(killed);
    assert!(
        Path::new(&control).exists(),
        "a killed relay cannot clean up"
    );

    let mut relay = Relay::start(&words);
    status(&control);
    let pid = i32::try_from(relay.program.child.id()).expect("a process number");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("our own child");
    relay.program.event("served");
    relay.program.ends_well();
    assert!(!Path::new(&control).exists());
}
