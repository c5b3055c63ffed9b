//! One run: a case with a peer. No RFC.

use crate::case::{Case, Peer};
use crate::folders::Folders;
use crate::link::Running;
use crate::{Failure, judge, ours, quiche_end, quinn_end};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;

/// Plays a case with a peer. `Err` says what was not as it should be.
pub async fn play(case: &Case, peer: Peer, seed: u64) -> Result<(), Failure> {
    // rustls goes through six authorities at most; whoever checks the runner's nine certificates refuses them.
    let chain = if peer == Peer::QuinnClient { case.chain.min(7) } else { case.chain };
    let folders = Folders::make(&format!("{}-{}", case.name, peer.name()), &case.files, chain)?;
    let trace = tokio::time::timeout(LIMIT, connect(case, peer, &folders, seed)).await;
    let trace = trace.map_err(|_| "it took too long")??;
    judge::judge(case, &folders, &trace)
}

async fn connect(
    case: &Case,
    peer: Peer,
    folders: &Folders,
    seed: u64,
) -> Result<Vec<crate::link::Entered>, Failure> {
    match peer {
        Peer::QuinnServer => {
            let server = quinn_end::serve(case, folders)?;
            let (link, at) = lay(case, server.local_addr()?, seed).await?;
            fetch(case, peer, folders, at).await?;
            Ok(traced(&link))
        }
        Peer::QuicheServer => {
            let server = quiche_end::serve(case, folders)?;
            let (link, at) = lay(case, server.address, seed).await?;
            fetch(case, peer, folders, at).await?;
            Ok(traced(&link))
        }
        Peer::QuinnClient | Peer::QuicheClient => {
            let server = ours::Server::start(case, folders)?;
            let (link, at) = lay(case, server.address, seed).await?;
            fetch(case, peer, folders, at).await?;
            // What was said at the end is still on its way.
            tokio::time::sleep(case.link.delay * 2).await;
            let trace = traced(&link);
            server.stop()?;
            Ok(trace)
        }
    }
}

async fn lay(case: &Case, server: SocketAddr, seed: u64) -> Result<(Option<Running>, SocketAddr), Failure> {
    if !case.link.exists {
        return Ok((None, server));
    }
    let link = Running::start(case.link.clone(), server, seed).await?;
    let address = link.address;
    Ok((Some(link), address))
}

async fn fetch(case: &Case, peer: Peer, folders: &Folders, server: SocketAddr) -> Result<(), Failure> {
    let until = Instant::now() + LIMIT;
    if peer == Peer::QuinnClient {
        return quinn_end::fetch(case, folders, server).await;
    }
    // Blocking work has threads of its own, and owns what it uses.
    let (case, root, files) = (case.clone(), folders.root.clone(), folders.files.clone());
    spawn_blocking(move || {
        let folders = std::mem::ManuallyDrop::new(Folders { root, files });
        match peer.is_server() {
            true => ours::fetch(&case, &folders, server, until),
            false => quiche_end::fetch(&case, &folders, server, until),
        }
    })
    .await?
}

fn traced(link: &Option<Running>) -> Vec<crate::link::Entered> {
    let trace = link.as_ref().map(|link| link.trace.lock().unwrap_or_else(|error| error.into_inner()).clone());
    trace.unwrap_or_default()
}

/// No run takes longer, or it has failed.
const LIMIT: Duration = Duration::from_secs(60);
