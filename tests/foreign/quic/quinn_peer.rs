//! quinn as client and as server of the exchange. No RFC.

use crate::{ALPN, CLOSE_CODE, Demands, Identity, PATIENCE, Plan, Report, stream_bytes};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinHandle;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Starts an echo server for one connection; the handle gives the application code it was closed with.
pub async fn serve(identity: &Identity, demands: Demands) -> Result<(SocketAddr, JoinHandle<Result<u64, Failure>>), Failure> {
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], identity.private_key())?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let endpoint = quinn::Endpoint::server(config, "127.0.0.1:0".parse()?)?;
    let address = endpoint.local_addr()?;
    let served = tokio::spawn(async move { tokio::time::timeout(PATIENCE, serve_one(endpoint, demands)).await? });
    Ok((address, served))
}

async fn serve_one(endpoint: quinn::Endpoint, demands: Demands) -> Result<u64, Failure> {
    let connection = loop {
        let incoming = endpoint.accept().await.ok_or("the endpoint was closed")?;
        if demands.retry && !incoming.remote_address_validated() {
            incoming.retry()?;
            continue;
        }
        break incoming.await?;
    };
    let mut update_keys = demands.key_update;
    loop {
        tokio::select! {
            stream = connection.accept_bi() => match stream {
                Ok((mut send, mut receive)) => {
                    let bytes = receive.read_to_end(1 << 24).await?;
                    if std::mem::take(&mut update_keys) {
                        connection.force_key_update();
                    }
                    send.write_all(&bytes).await?;
                    send.finish()?;
                }
                Err(quinn::ConnectionError::ApplicationClosed(close)) => return Ok(close.error_code.into_inner()),
                Err(error) => return Err(error.into()),
            },
            Ok(mut receive) = connection.accept_uni() => {
                let bytes = receive.read_to_end(1 << 24).await?;
                let mut send = connection.open_uni().await?;
                send.write_all(&bytes).await?;
                send.finish()?;
            }
            Ok(bytes) = connection.read_datagram() => connection.send_datagram(bytes)?,
        }
    }
}

/// Runs the client side of the exchange.
pub async fn exchange(server: SocketAddr, identity: &Identity, plan: Plan) -> Result<Report, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(identity.certificate.clone())?;
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse()?)?;
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)));
    let report = tokio::time::timeout(PATIENCE, async {
        let connection = endpoint.connect(server, "localhost")?.await?;
        let report = run(&connection, plan).await;
        connection.close(quinn::VarInt::from_u64(CLOSE_CODE)?, b"done");
        report
    })
    .await??;
    let _ = tokio::time::timeout(PATIENCE, endpoint.wait_idle()).await;
    Ok(report)
}

async fn run(connection: &quinn::Connection, plan: Plan) -> Result<Report, Failure> {
    let mut report = Report::default();
    for index in 0..plan.bidi {
        let bytes = stream_bytes(index, plan.bytes);
        let (mut send, mut receive) = connection.open_bi().await?;
        let (written, echoed) = tokio::join!(
            async {
                send.write_all(&bytes).await?;
                send.finish()?;
                Ok::<(), Failure>(())
            },
            receive.read_to_end(1 << 24)
        );
        written?;
        report.bidi += usize::from(echoed? == bytes);
        if index == 0 && plan.key_update {
            connection.force_key_update();
        }
    }
    for index in 0..plan.uni {
        let bytes = stream_bytes(100 + index, plan.bytes);
        let mut send = connection.open_uni().await?;
        send.write_all(&bytes).await?;
        send.finish()?;
        let echoed = connection.accept_uni().await?.read_to_end(1 << 24).await?;
        report.uni += usize::from(echoed == bytes);
    }
    for index in 0..plan.datagrams {
        let bytes = stream_bytes(200 + index, 100);
        connection.send_datagram(bytes.clone().into())?;
        report.datagrams += usize::from(connection.read_datagram().await? == bytes);
    }
    Ok(report)
}
