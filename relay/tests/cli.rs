//! The program's command line: every mistake gets one clear line and its exit code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/media/clip.ivf");

/// Runs the program to its end, and for half a minute at most.
fn quic_relay(words: &[&str]) -> Output {
    let child = Command::new(env!("CARGO_BIN_EXE_quic-relay"))
        .args(words)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process number"));
    let (done, is_done) = channel::<()>();
    let watch = thread::spawn(move || {
        if is_done.recv_timeout(Duration::from_secs(30)) == Err(RecvTimeoutError::Timeout) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    });
    let output = child.wait_with_output().expect("our own child");
    drop(done);
    watch.join().expect("it only waits");
    output
}

/// Runs the program, which must fail with `code` and exactly one line that holds all of `texts`.
#[track_caller]
fn fails(words: &[&str], code: i32, texts: &[&str]) {
    let output = quic_relay(words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("quic-relay: "))
        .collect();
    assert_eq!(
        (lines.len(), said.lines().count()),
        (1, 1),
        "{words:?}: {said}"
    );
    for text in texts {
        assert!(said.contains(text), "{words:?}: {said}");
    }
    assert!(
        output.stdout.is_empty(),
        "{words:?} wrote to standard output"
    );
}

/// A directory that is removed at the end of the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("quic-relay-cli-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self(path)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, bytes).expect("the temporary directory is writable");
        text(&path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(path: &Path) -> String {
    path.to_str()
        .expect("the temporary directory has a plain name")
        .to_owned()
}

const TRACK: [&str; 4] = ["--namespace", "live/demo", "--track", "video"];

fn publish<'a>(url: &'a str, input: &'a str) -> Vec<&'a str> {
    [
        &["publish", url][..],
        &TRACK,
        &["--tls-disable-verify", input],
    ]
    .concat()
}

#[test]
fn help_lists_commands_and_exit_codes() {
    let output = quic_relay(&["--help"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    for text in ["serve", "publish", "subscribe", "lab", "Exit codes:"] {
        assert!(said.contains(text), "{said}");
    }
}

#[test]
fn url_that_is_none_is_a_usage_error_that_shows_one() {
    let output = quic_relay(&publish("https://x", CLIP));
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("moqt://localhost:4443"), "{said}");
}

#[test]
fn input_that_cannot_be_read_is_named() {
    fails(
        &publish("moqt://127.0.0.1:1", "/none.ivf"),
        3,
        &["cannot read /none.ivf: No such file"],
    );
    fails(&publish("moqt://127.0.0.1:1", "/"), 3, &["cannot read /: "]);
    fails(
        &["lab", "--loopback", "--input", "/none.ivf"],
        3,
        &["cannot read /none.ivf"],
    );
}

#[test]
fn file_that_is_not_what_its_name_says_is_refused() {
    let directory = Directory::new("not-ivf");
    let path = directory.file("text.ivf", "hello");
    fails(
        &publish("moqt://127.0.0.1:1", &path),
        3,
        &["text.ivf: not an IVF file"],
    );
    let path = directory.file("short.ivf", "DKIF");
    fails(
        &publish("moqt://127.0.0.1:1", &path),
        3,
        &["ends after 4 of the 32 bytes"],
    );
}

#[test]
fn certificate_mistakes_are_told_apart() {
    let directory = Directory::new("certificates");
    let pair =
        || rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a valid name");
    let (a, b) = (pair(), pair());
    let cert = directory.file("cert.pem", a.cert.pem());
    let key = directory.file("key.pem", b.signing_key.serialize_pem());
    let serve = |cert: &str, key: &str, code, words: &[&str]| {
        let line = [
            "serve",
            "--bind",
            "127.0.0.1:0",
            "--tls-cert",
            cert,
            "--tls-key",
            key,
        ];
        fails(&line, code, words);
    };
    serve(
        &cert,
        &key,
        5,
        &["cert.pem and", "key.pem do not belong together"],
    );
    serve(&key, &key, 5, &["key.pem holds no certificate"]);
    serve(&cert, &cert, 5, &["cert.pem holds no private key"]);
    serve("/none.pem", &key, 3, &["cannot read /none.pem"]);
    let bind = ["serve", "--bind", "127.0.0.1:0"];
    fails(&bind, 2, &["--tls-cert", "--tls-generate"]);
    fails(
        &[&bind[..], &["--tls-generate", "no name"]].concat(),
        5,
        &["no name"],
    );
}

#[test]
fn address_that_is_taken_or_foreign_is_named() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let serve = ["serve", "--tls-generate", "localhost", "--bind"];
    fails(
        &[&serve[..], &[&address]].concat(),
        6,
        &[&address, "in use"],
    );
    fails(
        &[&serve[..], &["192.0.2.1:4443"]].concat(),
        6,
        &["192.0.2.1:4443"],
    );
}

#[test]
fn configuration_file_mistakes_have_a_line_number() {
    let directory = Directory::new("config");
    let path = directory.file("relay.toml", "bind = '127.0.0.1:0'\nbynd = 1\n");
    fails(
        &["serve", "--config", &path],
        2,
        &["relay.toml, line 2", "bynd"],
    );
    fails(
        &["serve", "--config", "/none.toml"],
        3,
        &["cannot read /none.toml"],
    );
    let path = directory.file("half.toml", "tls-cert = 'a.pem'");
    fails(
        &["serve", "--config", &path],
        2,
        &["tls-cert and tls-key go together"],
    );
}

#[test]
fn host_that_does_not_exist_and_relay_that_is_not_there_are_network_errors() {
    fails(
        &publish("moqt://does-not-exist.invalid:4443", CLIP),
        4,
        &["does-not-exist.invalid"],
    );
    let free = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let url = format!("moqt://{}", free.local_addr().expect("it is bound"));
    drop(free);
    fails(&publish(&url, CLIP), 4, &[&url]);
}

#[test]
fn trust_file_without_certificates_is_refused() {
    let directory = Directory::new("trust");
    let path = directory.file("ca.pem", "hello");
    let words = [
        &["subscribe", "moqt://127.0.0.1:1"][..],
        &TRACK,
        &["--tls-ca", &path],
    ]
    .concat();
    fails(&words, 5, &["ca.pem holds no certificate"]);
}

#[test]
fn fast_path_that_is_required_and_cannot_be_had_is_said_in_one_line() {
    let serve = [
        "serve",
        "--tls-generate",
        "localhost",
        "--bind",
        "127.0.0.1:0",
    ];
    let with = |words: &[&'static str]| [&serve[..], words].concat();
    fails(
        &with(&["--fast-path", "require"]),
        8,
        &["the fast path cannot be had: no network interface but loopback leads to 127.0.0.1:0"],
    );
    fails(
        &with(&["--interface", "nonexistent0"]),
        2,
        &["--interface nonexistent0: there is no such interface"],
    );
}

#[test]
fn status_of_nobody_says_so() {
    fails(
        &["status", "--control", "/nonexistent/relay.sock"],
        4,
        &["no relay answers at /nonexistent/relay.sock"],
    );
}

#[test]
fn fast_path_without_rights_names_those_that_are_missing() {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all"]);
    command.arg(env!("CARGO_BIN_EXE_quic-relay"));
    let serve = "serve --tls-generate localhost --bind 0.0.0.0:0 --fast-path require";
    let output = command
        .args(serve.split(' '))
        .env_remove("RUST_LOG")
        .output();
    let Ok(output) = output else {
        eprintln!("SKIP rights: there is no setpriv");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    // Where no programs were built in, or no interface leads out, that is said before.
    if said.contains("not built into") || said.contains("no network interface") {
        eprintln!("SKIP rights: {said}");
        return;
    }
    assert_eq!(output.status.code(), Some(8), "{said}");
    assert!(said.contains("cannot be had: CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN missing"));
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn keys_and_tokens_that_make_no_sense_are_refused() {
    let directory = Directory::new("tokens");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a valid name");
    let cert = directory.file("cert.pem", made.cert.pem());
    let short = directory.file("short", "secret\n");
    let secret = directory.file("secret", "a-secret-of-thirty-two-characters");
    let serve = [
        "serve",
        "--tls-generate",
        "localhost",
        "--bind",
        "127.0.0.1:0",
    ];
    let with = |key: &str| [&serve[..], &["--auth-key", key]].concat().join(" ");
    for (key, code, text) in [
        (&cert, 5, "cert.pem: PEM, but no P-256 or Ed25519 key"),
        (&short, 5, "short: a secret of fewer than 32 bytes"),
        (&"/none".to_owned(), 3, "cannot read /none"),
    ] {
        let line = with(key);
        fails(&line.split(' ').collect::<Vec<_>>(), code, &[text]);
    }
    let raw = directory.file("raw.toml", format!("raw = true\nauth-key = '{secret}'"));
    fails(&["serve", "--config", &raw], 2, &["carries no tokens"]);

    let token = ["token", "--key", &secret];
    fails(&token, 2, &["allows nothing", "--publish PREFIX"]);
    let with = |words: &[&'static str]| [&token[..], words].concat();
    fails(
        &with(&["--publish", "a", "--alg", "ES256"]),
        2,
        &["is a key for HS256", "cannot sign ES256"],
    );
    fails(
        &with(&["--publish", "a", "--generate"]),
        3,
        &["cannot write", "File exists"],
    );
    let public = directory.file("public", made.signing_key.public_key_pem());
    let words = ["token", "--key", &public, "--publish", "a"];
    fails(&words, 5, &["public: a public key, which cannot sign"]);
    let words = [
        &publish("moqt://127.0.0.1:1", CLIP)[..],
        &["--token", "@/none"],
    ]
    .concat();
    fails(&words, 3, &["cannot read /none"]);
}
