//! `interop-client` and `interop-server` against each other, told what to do as the interop runner tells
//! it: environment, folders, exit codes. Against other stacks: `tests/foreign/interop`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The folders of one run, removed at its end.
struct Folders(PathBuf);

impl Folders {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("quic-relay-{name}-{}", std::process::id()));
        for folder in ["www", "downloads", "certs", "client", "server"] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(path.join("certs/cert.pem"), made.cert.pem()).unwrap();
        fs::write(
            path.join("certs/priv.key"),
            made.signing_key.serialize_pem(),
        )
        .unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Makes files of these sizes, each with bytes of its own.
    fn make(&self, sizes: &[usize]) -> Vec<String> {
        let make = |(at, size): (usize, &usize)| {
            let bytes: Vec<u8> = (0..*size).map(|i| (i ^ (i >> 8) ^ at) as u8).collect();
            fs::write(self.0.join(format!("www/file-{at}")), bytes).unwrap();
            format!("file-{at}")
        };
        sizes.iter().enumerate().map(make).collect()
    }

    fn assert_equal(&self, files: &[String]) {
        for file in files {
            let [sent, got] = ["www", "downloads"].map(|it| fs::read(self.0.join(it).join(file)));
            assert!(sent.unwrap() == got.unwrap(), "{file} differs");
        }
    }

    /// The names of all events in the qlog of one side, and how many files they stand in.
    fn qlog(&self, side: &str) -> (usize, String) {
        let files: Vec<_> = fs::read_dir(self.0.join(side))
            .unwrap()
            .map(|it| it.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "sqlog"))
            .collect();
        let text = files.iter().map(|path| fs::read_to_string(path).unwrap());
        (files.len(), text.collect())
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn command(role: &str, case: &str, folders: &Folders) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quic-relay"));
    command
        .arg(format!("interop-{role}"))
        .env_remove("RUST_LOG")
        .env("TESTCASE", case)
        .env("QLOGDIR", folders.path(role))
        .env("SSLKEYLOGFILE", folders.path(&format!("{role}/keys.log")))
        .stdin(Stdio::null());
    command
}

/// A server that ends with the test.
struct Server(Child, SocketAddr);

impl Server {
    fn start(case: &str, folders: &Folders) -> Self {
        let mut child = command("server", case, folders)
            .args(["--www", &folders.path("www"), "--bind", "127.0.0.1:0"])
            .args(["--certs", &folders.path("certs")])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.ok()?;
            line.split_once("listening on ")?.1.trim().parse().ok()
        });
        // Somebody must read what it says until it ends.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child, address.expect("it says where it listens"))
    }

    fn stop(mut self) -> ExitStatus {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        self.0.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Plays a case to its end; all files must have come.
fn play(server_case: &str, client_case: &str, sizes: &[usize]) -> Folders {
    let folders = Folders::new(&format!("interop-{client_case}"));
    let files = folders.make(sizes);
    let server = Server::start(server_case, &folders);
    let port = server.1.port();
    let requests: Vec<_> = files
        .iter()
        .map(|file| format!("https://localhost:{port}/{file}"))
        .collect();
    let status = command("client", client_case, &folders)
        .args(["--downloads", &folders.path("downloads")])
        .env("REQUESTS", requests.join(" "))
        .status()
        .unwrap();
    assert!(status.success(), "{client_case}: {status}");
    folders.assert_equal(&files);
    assert!(server.stop().success(), "SIGTERM is an orderly end");
    folders
}

#[test]
fn files_over_one_connection_with_its_logs_on_both_sides() {
    // More than there may be streams at a time.
    let mut sizes = vec![32; 300];
    sizes.extend([200_000, 0, 300_000]);
    let folders = play("transfer", "transfer", &sizes);
    for side in ["client", "server"] {
        let (files, text) = folders.qlog(side);
        assert_eq!(files, 1, "{side}: one connection");
        assert!(text.contains("\"trigger\":\"clean\""), "closed with code 0");
        assert!(text.contains("\"frame_type\":\"max_streams\""));
        let keys = fs::read_to_string(folders.0.join(side).join("keys.log")).unwrap();
        assert!(keys.contains("CLIENT_TRAFFIC_SECRET_0"));
    }
}

#[test]
fn one_connection_for_each_file_of_multiconnect() {
    let folders = play("multiconnect", "multiconnect", &[1024; 5]);
    assert_eq!(folders.qlog("server").0, 5);
}

#[test]
fn retry_chacha20_and_key_update_happen_where_they_are_asked_for() {
    let retry = play("retry", "retry", &[1024]).qlog("client").1;
    assert!(retry.contains("\"packet_type\":\"retry\""));
    let chacha20 = play("transfer", "chacha20", &[1024]).qlog("server").1;
    assert!(chacha20.contains("TLS_CHACHA20_POLY1305_SHA256"));
    let update = play("transfer", "keyupdate", &[500_000]).qlog("server").1;
    assert!(update.contains("\"trigger\":\"remote_update\""));
}

#[test]
fn an_unknown_case_ends_with_127_in_both_roles_and_a_missing_file_with_7() {
    let folders = Folders::new("interop-127");
    for role in ["client", "server"] {
        for case in ["qwfpgj", "zerortt", "http3", "v2"] {
            let output = command(role, case, &folders).output().unwrap();
            assert_eq!(output.status.code(), Some(127), "{role} {case}");
        }
    }
    let server = Server::start("handshake", &folders);
    let url = format!("https://localhost:{}/../secret", server.1.port());
    let output = command("client", "handshake", &folders).arg(&url).output();
    assert_eq!(
        output.unwrap().status.code(),
        Some(2),
        "refused before it is sent"
    );
    let url = format!("https://localhost:{}/nothing", server.1.port());
    let output = command("client", "handshake", &folders)
        .args(["--downloads", &folders.path("downloads"), &url])
        .output();
    assert_eq!(output.unwrap().status.code(), Some(7));
    assert!(!Path::new("/downloads/nothing").exists());
}
