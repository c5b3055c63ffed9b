//! Scene of chapter 5: three ways to learn that a packet did not arrive. RFC 9002 §6.

use quic_lite::recovery::TimeoutAction;

use super::sender::Sender;

pub fn play() {
    let mut sender = Sender::new();
    sender.measure();
    println!(
        "round trip measured: {:?}",
        sender.recovery.rtt().smoothed()
    );

    println!("\nby packets: three later ones arrived");
    sent(&mut sender, 5);
    sender.now += 100;
    acked(&mut sender, 2, 4);
    acked(&mut sender, 5, 5);

    println!("\nby time: one later packet arrived, and nothing else does");
    sent(&mut sender, 2);
    sender.now += 100;
    acked(&mut sender, 7, 7);
    fire(&mut sender);

    println!("\nby nothing: no answer at all; a probe asks for one, and each waits twice as long");
    sent(&mut sender, 1);
    fire(&mut sender);
    sent(&mut sender, 1);
    fire(&mut sender);
    sent(&mut sender, 1);
    sender.now += 100;
    acked(&mut sender, 10, 10);
}

fn sent(sender: &mut Sender, packets: u64) {
    let numbers = sender.send(packets);
    say(
        sender,
        &format!("sent {}", range(*numbers.start(), *numbers.end())),
    );
}

fn acked(sender: &mut Sender, first: u64, last: u64) {
    let lost = sender.ack(&[first..=last]);
    say(
        sender,
        &format!("ACK {}{}", range(first, last), tell(&lost)),
    );
}

fn fire(sender: &mut Sender) {
    let (action, lost) = sender.timeout();
    match action {
        TimeoutAction::Probe(_) => say(sender, "timer: no answer, send a probe"),
        _ => say(sender, &format!("timer{}", tell(&lost))),
    }
}

fn say(sender: &Sender, what: &str) {
    let timer = sender
        .timer()
        .map_or("off".to_owned(), |at| format!("{at} ms"));
    let in_flight = sender.recovery.bytes_in_flight();
    println!(
        "{:5} ms  {what:34} in flight {in_flight:5}  timer {timer}",
        sender.now
    );
}

fn range(first: u64, last: u64) -> String {
    if first == last {
        format!("{first}")
    } else {
        format!("{first}-{last}")
    }
}

fn tell(lost: &[u64]) -> String {
    if lost.is_empty() {
        return String::new();
    }
    let lost: Vec<String> = lost.iter().map(u64::to_string).collect();
    format!(": lost {}", lost.join(", "))
}
