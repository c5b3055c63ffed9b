//! A hop on the publisher's side that marks packets as a congested router does (RFC 3168 §5). No RFC of ours.
//!
//! The publisher sends to it on its own loopback; it sends on from the publisher's address. Of the packets to the relay
//! every eighth is marked CE, all others ECT(0), as the publisher marks them.

use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{setsockopt, sockopt};

use crate::Failure;
use crate::world::{Family, Place, World, address};

const ECT0: i32 = 2;
const CE: i32 = 3;

/// Starts one; where the publisher finds the relay then. It ends with the test's process.
pub fn start(world: &World) -> SocketAddr {
    let (namespace, relay) = (world.namespace(Place::Publisher), world.relay_address(Place::Publisher, Family::V4));
    let (sender, ready) = channel();
    std::thread::spawn(move || {
        let sockets = open(&namespace, relay);
        let near = sockets.as_ref().map(|(near, _)| near.local_addr());
        let _ = sender.send(near.map_err(ToString::to_string));
        if let Ok((near, far)) = sockets {
            run(near, far);
        }
    });
    let near = ready.recv().expect("the thread answers").unwrap_or_else(|failure| panic!("hop: {failure}"));
    near.expect("it is bound")
}

fn open(namespace: &str, relay: SocketAddr) -> Result<(UdpSocket, UdpSocket), Failure> {
    // For this thread alone.
    setns(File::open(format!("/run/netns/{namespace}"))?, CloneFlags::CLONE_NEWNET)?;
    let near = UdpSocket::bind("127.0.0.1:0")?;
    let far = UdpSocket::bind((address(1, 2, Family::V4), 0))?;
    far.connect(relay)?;
    for socket in [&near, &far] {
        setsockopt(socket, sockopt::RcvBufForce, &(8 << 20))?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    }
    Ok((near, far))
}

/// Until nothing has come for a minute.
fn run(near: UdpSocket, far: UdpSocket) {
    let (near, far) = (Arc::new(near), Arc::new(far));
    let publisher: Arc<OnceLock<SocketAddr>> = Arc::default();
    let (back, back_from, back_to) = (Arc::clone(&near), Arc::clone(&far), Arc::clone(&publisher));
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok(length) = back_from.recv(&mut buffer) {
            if let Some(publisher) = back_to.get() {
                let _ = back.send_to(&buffer[..length], publisher);
            }
        }
    });
    let mut buffer = [0; 2048];
    for count in 1_u64.. {
        let Ok((length, from)) = near.recv_from(&mut buffer) else {
            return;
        };
        let _ = publisher.set(from);
        let mark = if count.is_multiple_of(8) { CE } else { ECT0 };
        if setsockopt(&far, sockopt::Ipv4Tos, &mark).is_err() {
            return;
        }
        let _ = far.send(&buffer[..length]);
    }
}
