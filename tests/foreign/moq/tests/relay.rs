//! MOQT clients nobody here wrote, through a running relay: moq-test-client, moq-pub with moq-sub, moq-net.
//! draft-ietf-moq-transport-18.
//!
//! The relay is `$QUIC_RELAY`, the programs stand in `$QUIC_RELAY_PEERS`; `make foreign` sets both.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// No program here takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

fn required(variable: &str) -> PathBuf {
    PathBuf::from(std::env::var_os(variable).unwrap_or_else(|| panic!("set {variable}, as `make foreign` does")))
}

fn peer(program: &str) -> Command {
    Command::new(required("QUIC_RELAY_PEERS").join(program))
}

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Whether it ended well, in time.
    fn ends_well(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().expect("a child of ours") {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Our relay, on a port of its own.
struct Relay {
    url: String,
    _process: Running,
}

impl Relay {
    fn start() -> Self {
        let mut command = Command::new(required("QUIC_RELAY"));
        command.args(["serve", "--bind", "127.0.0.1:0", "--tls-generate", "localhost", "--report", "-"]);
        let mut process = Running::start(command.stdout(Stdio::piped()));
        let mut line = String::new();
        let output = process.0.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("the relay says where it listens");
        let address = line.split("\"address\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        Self { url: format!("moqt://{address}"), _process: process }
    }
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn moq_test_client_passes_all_its_scenarios() {
    let relay = Relay::start();
    let output = run(peer("moq-test-client").args(["-r", &relay.url, "--tls-disable-verify"]));
    let report = text(&output.stdout);
    let count = |start: &str| report.lines().filter(|line| line.trim_start().starts_with(start)).count();
    let (passed, failed) = (count("ok "), count("not ok "));
    assert!(failed == 0 && passed == 18, "{passed} passed, {failed} failed:\n{report}\n{}", text(&output.stderr));
}

/// The frames of a file as ffmpeg sees them: one line per packet with its size and hash.
fn frames(file: &Path) -> Vec<String> {
    let output = run(Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(file).args(["-map", "0:v", "-c", "copy", "-f", "framemd5", "-"]));
    assert!(output.status.success(), "{}: {}", file.display(), text(&output.stderr));
    let packet = |line: &str| line.rsplit(", ").take(2).map(str::trim).collect::<Vec<_>>().join(" ");
    text(&output.stdout).lines().filter(|line| !line.starts_with('#')).map(packet).collect()
}

#[test]
fn moq_sub_plays_what_moq_pub_sends_as_fragmented_mp4() {
    let folder = std::env::temp_dir().join(format!("foreign-moq-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let (sent, received) = (folder.join("sent.mp4"), folder.join("received.mp4"));
    let source = ["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=24", "-t", "5", "-c:v", "libx264"];
    let shape = ["-tune", "zerolatency", "-g", "24", "-pix_fmt", "yuv420p", "-f", "mp4", "-movflags"];
    let made = run(Command::new("ffmpeg").args(source).args(shape).arg("cmaf+frag_keyframe+empty_moov+default_base_moof").arg(&sent));
    assert!(made.status.success(), "ffmpeg: {}", text(&made.stderr));

    let relay = Relay::start();
    // Real time, as from a camera. The pipe stays open for a while behind the film: moq-pub leaves at its
    // end without waiting for its last bytes to arrive.
    let film = format!(
        "ffmpeg -v error -re -i {} -c copy -f mp4 -movflags cmaf+frag_keyframe+empty_moov+default_base_moof -; sleep 2",
        sent.display()
    );
    let mut camera = Command::new("sh");
    camera.args(["-c", &film]);
    let mut camera = Running::start(camera.stdout(Stdio::piped()));
    let film = camera.0.stdout.take().expect("piped");
    let mut publisher = peer("moq-pub");
    publisher.args(["--tls-disable-verify", "--name", "film", &relay.url]).stdin(film);
    let _publisher = Running::start(&mut publisher);
    std::thread::sleep(Duration::from_millis(1500));
    let screen = std::fs::File::create(&received).expect("a file of ours");
    let mut subscriber = peer("moq-sub");
    subscriber.args(["--tls-disable-verify", "--name", "film", &relay.url]).stdout(screen);
    let subscriber = Running::start(&mut subscriber);
    assert!(camera.ends_well(), "ffmpeg ends with the film");
    drop(subscriber);

    let (sent, mut received) = (frames(&sent), frames(&received));
    // moq-sub never ends by itself, and holds back some bytes of what it wrote last.
    received.pop();
    std::fs::remove_dir_all(&folder).expect("our folder");
    // The subscriber joined late, so it has an end of the film that begins with a group.
    assert!(received.len() >= 47, "{} of {} frames arrived", received.len(), sent.len());
    assert!(sent.windows(received.len()).any(|part| part == received), "{} frames arrived altered", received.len());
}

fn moq_net(role: &str, relay: &Relay, broadcast: &str, groups: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreign-moq"));
    command.args([role, &relay.url, broadcast, groups]);
    command
}

#[test]
fn moq_net_subscriber_that_waits_gets_every_group_whole() {
    let relay = Relay::start();
    let mut subscriber = Running::start(&mut moq_net("subscribe", &relay, "live/a", "4"));
    std::thread::sleep(Duration::from_millis(500));
    let mut publisher = Running::start(&mut moq_net("publish", &relay, "live/a", "6"));
    assert!(subscriber.ends_well(), "the subscriber checks every byte");
    assert!(publisher.ends_well(), "the publisher ends by itself");
}

#[test]
fn moq_net_late_joiner_gets_the_groups_from_its_joining_on() {
    let relay = Relay::start();
    let mut publisher = Running::start(&mut moq_net("publish", &relay, "live/b", "8"));
    std::thread::sleep(Duration::from_millis(1200));
    let mut subscriber = Running::start(&mut moq_net("subscribe", &relay, "live/b", "3"));
    assert!(subscriber.ends_well(), "the late joiner checks every byte of what it gets");
    assert!(publisher.ends_well(), "the publisher ends by itself");
}
