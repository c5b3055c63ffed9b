//! quinn as server and as client of the runner's cases. No RFC.

use crate::case::Case;
use crate::folders::Folders;
use crate::{ALPN, Failure, file_of};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Starts a server, which lives as long as the endpoint that is returned.
pub fn serve(case: &Case, folders: &Folders) -> Result<quinn::Endpoint, Failure> {
    let certs = folders.root.join("certs");
    let chain = CertificateDer::pem_file_iter(certs.join("cert.pem"))?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(certs.join("priv.key"))?;
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let endpoint = quinn::Endpoint::server(config, local(case))?;
    let (accepting, retry, folder) = (endpoint.clone(), case.server == "retry", folders.root.join("www"));
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            if retry && !incoming.remote_address_validated() {
                let _ = incoming.retry();
                continue;
            }
            tokio::spawn(serve_one(incoming, folder.clone()));
        }
    });
    Ok(endpoint)
}

async fn serve_one(incoming: quinn::Incoming, folder: PathBuf) -> Result<(), Failure> {
    let connection = incoming.await?;
    while let Ok((send, receive)) = connection.accept_bi().await {
        let folder = folder.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(send, receive, &folder).await {
                eprintln!("quinn cannot answer: {error}");
            }
        });
    }
    Ok(())
}

async fn answer(mut send: quinn::SendStream, mut receive: quinn::RecvStream, folder: &Path) -> Result<(), Failure> {
    let request = receive.read_to_end(1024).await?;
    let bytes = std::fs::read(folder.join(file_of(&request).ok_or("not a request")?))?;
    send.write_all(&bytes).await?;
    send.finish()?;
    // Until all of it is acknowledged: a stream that is dropped earlier would do as well.
    let _ = send.stopped().await;
    Ok(())
}

/// Fetches all files.
pub async fn fetch(case: &Case, folders: &Folders, server: SocketAddr) -> Result<(), Failure> {
    let mut endpoint = quinn::Endpoint::client(local(case))?;
    endpoint.set_default_client_config(client_config(case, folders)?);
    let groups: Vec<&[String]> =
        if case.is_multiconnect() { folders.files.chunks(1).collect() } else { vec![&folders.files] };
    for files in groups {
        let connection = endpoint.connect(server, &server.ip().to_string())?.await?;
        let mut fetching = tokio::task::JoinSet::new();
        for file in files {
            let (connection, file, folder) = (connection.clone(), file.clone(), folders.root.join("downloads"));
            fetching.spawn(async move { fetch_one(&connection, &file, &folder).await });
        }
        if case.client == "keyupdate" {
            // RFC 9001 §6.1: not before the handshake is confirmed.
            while connection.stats().frame_rx.handshake_done == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            connection.force_key_update();
        }
        while let Some(done) = fetching.join_next().await {
            done??;
        }
        connection.close(0_u32.into(), b"");
    }
    endpoint.wait_idle().await;
    Ok(())
}

async fn fetch_one(connection: &quinn::Connection, file: &str, folder: &Path) -> Result<(), Failure> {
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(format!("GET /{file}\r\n").as_bytes()).await?;
    send.finish()?;
    std::fs::write(folder.join(file), receive.read_to_end(1 << 24).await?)?;
    Ok(())
}

fn client_config(case: &Case, folders: &Folders) -> Result<quinn::ClientConfig, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(folders.root.join("certs/ca.pem"))? {
        roots.add(authority?)?;
    }
    let mut provider = default_provider();
    if case.client == "chacha20" {
        provider.cipher_suites = vec![cipher_suite::TLS13_CHACHA20_POLY1305_SHA256];
    }
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // RFC 9001 §5.2: Initial packets are protected with this suite, whatever is offered.
    let initial = cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().and_then(|suite| suite.quic_suite());
    let initial = initial.ok_or("ring has no suite for Initial packets")?;
    let crypto = QuicClientConfig::with_initial(Arc::new(tls), initial)?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = quinn::TransportConfig::default();
    // Whoever only receives does not notice that its address has changed.
    transport.keep_alive_interval(Some(Duration::from_secs(1)));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

fn local(case: &Case) -> SocketAddr {
    let address = if case.ipv6 { "[::1]:0" } else { "127.0.0.1:0" };
    address.parse().expect("a literal")
}
