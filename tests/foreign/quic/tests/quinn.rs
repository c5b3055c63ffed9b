//! quic-lite and quinn, each as client and as server of the other. RFC 9000, 9001, 9221.

use foreign_quic::{CLOSE_CODE, Demands, Identity, Plan, Report, ours, quinn_peer};

async fn we_connect(demands: Demands, plan: Plan) {
    let identity = Identity::generate();
    let (address, served) = quinn_peer::serve(&identity, demands).await.expect("quinn serves");
    let report = tokio::task::spawn_blocking(move || ours::exchange(address, &identity, plan));
    assert_eq!(report.await.expect("no panic").expect("our client ends well"), Report::complete(&plan));
    assert_eq!(served.await.expect("no panic").expect("quinn ends well"), CLOSE_CODE);
}

async fn quinn_connects(demands: Demands, plan: Plan) {
    let identity = Identity::generate();
    let (address, served) = ours::serve(&identity, demands).expect("we serve");
    let report = quinn_peer::exchange(address, &identity, plan).await.expect("quinn ends well");
    assert_eq!(report, Report::complete(&plan));
    let code = tokio::task::spawn_blocking(move || served.join().expect("no panic"));
    assert_eq!(code.await.expect("no panic").expect("our server ends well"), CLOSE_CODE);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_has_streams_and_datagrams_echoed_by_quinn() {
    we_connect(Demands::default(), Plan::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_answers_the_retry_of_quinn() {
    we_connect(Demands { retry: true, ..Demands::default() }, Plan::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_updates_keys_with_quinn() {
    we_connect(Demands::default(), Plan { key_update: true, ..Plan::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_follows_the_key_update_of_quinn() {
    we_connect(Demands { key_update: true, ..Demands::default() }, Plan::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_server_echoes_streams_and_datagrams_of_quinn() {
    quinn_connects(Demands::default(), Plan::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quinn_answers_the_retry_of_our_server() {
    quinn_connects(Demands { retry: true, ..Demands::default() }, Plan::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_server_follows_the_key_update_of_quinn() {
    quinn_connects(Demands::default(), Plan { key_update: true, ..Plan::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_server_updates_keys_with_quinn() {
    quinn_connects(Demands { key_update: true, ..Demands::default() }, Plan::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_streams_pass_a_limit_of_two_at_a_time() {
    quinn_connects(Demands::default(), Plan { bidi: 100, uni: 50, bytes: 500, ..Plan::default() }).await;
}
