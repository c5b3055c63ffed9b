//! Scene of chapter 15: one packet of a publisher, forwarded by the kernel programs' stand-in. RFC 9001 §5, RFC 9000 §12.4.

#[path = "../../ebpf/loader/tests/support/world.rs"]
mod world;

use quic_lite::wire::frame::{Frame, frames};
use quic_relay::moqt::SubgroupHeader;
use relay_ebpf_loader::layout::SentUnit;
use relay_ebpf_loader::{Engine, Sizes, Twin};
use world::{ALIAS, NOW, PUBLISHER, World, stream, subgroup};

pub fn play() {
    let sizes = Sizes {
        slots: 4,
        tracks: 1,
    };
    let twin = Twin::new(sizes).expect("memory for four slots");
    let world = World::new(&twin, true);
    for slot in 1..=3 {
        world.subscribe(slot);
        // Userspace has sent packets and opened streams of its own.
        let slot_memory = world.memory.slot(slot);
        slot_memory.next_number.store(u64::from(slot) * 10);
        slot_memory.streams_opened.store(u64::from(slot));
    }
    world.memory.member(0, 1).alias.store(99);
    world.memory.slot(3).limit.store(50);

    let acknowledgement = [0x02, 9, 1, 0, 3];
    let begin = stream(6, 0, false, &subgroup(ALIAS, 3, &[7; 97]));
    let more = stream(6, 100, true, &[7; 60]);
    let packets = [
        ("packet 0", 0, [&acknowledgement[..], &begin].concat()),
        ("packet 1", 1, more.clone()),
        ("packet 1 again", 1, more),
    ];
    for (name, number, payload) in packets {
        println!("{name} of the publisher: {}", describe(&payload));
        let packet = world.packet(number, &payload);
        let remote = world.remote(PUBLISHER);
        for copy in twin.ingress(NOW, world.local, remote, &packet) {
            let (number, frames) = world
                .opened(copy.slot, &copy.datagram)
                .expect("a copy is authentic");
            let (slot, len) = (copy.slot, copy.datagram.len());
            println!(
                "  to {slot}, packet {number}, {len} bytes: {}",
                describe(&frames)
            );
        }
    }

    println!("\nwhat userspace finds");
    for slot in 1..=3 {
        log(&world, slot);
    }
    let counters = twin.counters().into_iter().filter(|(_, count)| *count > 0);
    let counters = counters.map(|(reason, count)| format!("{} {count}", reason.name()));
    println!("  decisions: {}", counters.collect::<Vec<_>>().join(", "));
}

/// A slot's sent log.
fn log(world: &World, slot: u32) {
    let first = u64::from(slot) * 10;
    let next = world.memory.slot(slot).next_number.load();
    let records = (first..next).map(|number| {
        let record = world.memory.record(slot, number);
        let unit = &record.frames[0];
        let (stream, offset) = (unit.stream.load(), unit.offset.load());
        let end = offset + (unit.len.load() & !SentUnit::FIN);
        format!(
            "{number} carried bytes {offset} to {} of stream {stream}",
            end - 1
        )
    });
    let records: Vec<_> = records.collect();
    let text = match records.is_empty() {
        true => "nothing was sent".to_owned(),
        false => records.join(", "),
    };
    println!("  sent log of {slot}: {text}");
}

fn describe(payload: &[u8]) -> String {
    let frames = frames(payload).map(|frame| {
        let frame = frame.expect("our own frames are well formed");
        match &frame {
            Frame::Stream(stream) if stream.offset == 0 => {
                let header = SubgroupHeader::parse(stream.data).expect("it begins with a header");
                format!("{frame}, {}", header.1)
            }
            _ => frame.to_string(),
        }
    });
    frames.collect::<Vec<_>>().join("; ")
}
