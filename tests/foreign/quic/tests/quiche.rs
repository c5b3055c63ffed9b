//! quic-lite and quiche, each as client and as server of the other. RFC 9000, 9001, 9221.
//! quiche has no call that starts a key update, so it only follows ours.

use foreign_quic::{CLOSE_CODE, Demands, Identity, Plan, Report, ours, quiche_peer};

fn we_connect(demands: Demands, plan: Plan) {
    let identity = Identity::generate();
    let (address, served) = quiche_peer::serve(&identity, demands).expect("quiche serves");
    assert_eq!(ours::exchange(address, &identity, plan).expect("our client ends well"), Report::complete(&plan));
    assert_eq!(served.join().expect("no panic").expect("quiche ends well"), CLOSE_CODE);
}

fn quiche_connects(demands: Demands, plan: Plan) {
    let identity = Identity::generate();
    let (address, served) = ours::serve(&identity, demands).expect("we serve");
    assert_eq!(quiche_peer::exchange(address, plan).expect("quiche ends well"), Report::complete(&plan));
    assert_eq!(served.join().expect("no panic").expect("our server ends well"), CLOSE_CODE);
}

#[test]
fn our_client_has_streams_and_datagrams_echoed_by_quiche() {
    we_connect(Demands::default(), Plan::default());
}

#[test]
fn our_client_answers_the_retry_of_quiche() {
    we_connect(Demands { retry: true, ..Demands::default() }, Plan::default());
}

#[test]
fn our_client_updates_keys_with_quiche() {
    we_connect(Demands::default(), Plan { key_update: true, ..Plan::default() });
}

#[test]
fn our_server_echoes_streams_and_datagrams_of_quiche() {
    quiche_connects(Demands::default(), Plan::default());
}

#[test]
fn quiche_answers_the_retry_of_our_server() {
    quiche_connects(Demands { retry: true, ..Demands::default() }, Plan::default());
}

#[test]
fn our_server_updates_keys_with_quiche() {
    quiche_connects(Demands { key_update: true, ..Demands::default() }, Plan::default());
}
