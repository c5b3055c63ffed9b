//! MOQT by the kernel: a film that moq-pub sends and moq-sub plays. draft-ietf-moq-transport-18.
//!
//! The relay is `$QUIC_RELAY`, the programs stand in `$QUIC_RELAY_PEERS`; `make foreign` sets both. Needs root and ffmpeg;
//! says SKIP and why where namespaces or kernel programs are not to be had.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use foreign_raw::process::required;
use foreign_raw::relay::Relay;
use foreign_raw::scenario::assert_by_kernel;
use foreign_raw::world::{Family, Place, World};

/// What a film needs to be sent as it is made.
const FRAGMENTS: &str = "-f mp4 -movflags cmaf+frag_keyframe+empty_moov+default_base_moof";

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a shell prints.
#[track_caller]
fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().expect("a shell");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The hash of each frame of a file, in order.
fn frames(file: &Path) -> Vec<String> {
    let said = shell(&format!("ffmpeg -v error -i {} -map 0:v -c copy -f framemd5 -", file.display()));
    let hash = |line: &str| line.rsplit(", ").next().unwrap_or_default().to_owned();
    said.lines().filter(|line| !line.starts_with('#')).map(hash).collect()
}

#[test]
fn moq_sub_plays_what_the_kernel_forwards_of_moq_pub() {
    let test = "moq_sub_plays_what_the_kernel_forwards_of_moq_pub";
    let Some(world) = World::build(test) else {
        return;
    };
    let Some(relay) = Relay::start(test, &world, "--fast-path require") else {
        return;
    };
    let (sent, received) = (world.folder().join("sent.mp4"), world.folder().join("received.mp4"));
    shell(&format!(
        "ffmpeg -v error -y -f lavfi -i testsrc=size=320x240:rate=24 -t 5 -c:v libx264 -tune zerolatency -g 24 -pix_fmt yuv420p {FRAGMENTS} {}",
        sent.display()
    ));
    let program = |place, name: &str| {
        let mut command = world.command(place, required("QUIC_RELAY_PEERS").join(name));
        let relay = world.relay_address(place, Family::V4);
        command.args(["--tls-disable-verify", "--name", "film", &format!("moqt://{relay}")]).stderr(Stdio::null());
        command
    };
    // In real time, as from a camera; the pipe stays open for a while behind the film, for moq-pub leaves with its end.
    let film = format!("ffmpeg -v error -re -i {} -c copy {FRAGMENTS} -; sleep 2", sent.display());
    let camera = Command::new("sh").args(["-c", &film]).stdout(Stdio::piped()).spawn().expect("a shell");
    let mut camera = Running(camera);
    let film = camera.0.stdout.take().expect("piped");
    let _publisher = Running(program(Place::Publisher, "moq-pub").stdin(film).spawn().expect("moq-pub"));
    std::thread::sleep(Duration::from_millis(1500));
    let screens: Vec<_> = ["one.mp4", "received.mp4"]
        .map(|name| {
            let screen = std::fs::File::create(world.folder().join(name)).expect("a file of ours");
            Running(program(Place::Subscribers, "moq-sub").stdout(screen).spawn().expect("moq-sub"))
        })
        .into();
    assert!(camera.0.wait().expect("our own child").success(), "the film was not sent");
    let packets = relay.packets();
    eprintln!("packets from the kernel {}, from userspace {}\n{:#}", packets.0, packets.1, relay.status());
    drop::<Vec<Running>>(screens);
    let (sent, mut received) = (frames(&sent), frames(&received));
    // moq-sub never ends by itself, and holds back some bytes of what it wrote last.
    received.pop();
    // It joined late, so it has an end of the film that begins with a group.
    assert!(received.len() >= 47, "{} of {} frames arrived", received.len(), sent.len());
    assert!(sent.windows(received.len()).any(|part| part == received), "{} frames arrived altered", received.len());
    // They join in the middle: a group that is under way is finished by userspace.
    assert_by_kernel(packets, 0.3);
}
