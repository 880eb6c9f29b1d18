//! Connections over TCP: taken in bounded number, and handed to who speaks on them, in clear or not.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{
    connections::{Connections, Seat},
    handler::Asked,
    seams::{Decide, Resolve},
    stream::{self, Limits, Talk},
    work::Work,
};
use crate::querylog::Transport;

/// How long it waits after a connection could not be taken.
const PAUSE: Duration = Duration::from_millis(20);

/// A connection that has a seat.
pub(super) struct Arrived {
    pub(super) stream: TcpStream,
    /// Who it is from.
    pub(super) from: SocketAddr,
    /// Our address that it came to.
    pub(super) at: IpAddr,
    pub(super) seat: Seat,
    /// It must go: the server stops, or others need its place.
    pub(super) close: CancellationToken,
}

/// Takes connections until it is stopped, each in a task of its own.
pub(super) async fn accept<P: Decide, R: Resolve, F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    connections: Arc<Connections>,
    work: Work<P, R>,
    converse: impl Fn(Arrived) -> F,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = work.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let arrived = accepted.and_then(|(stream, from)| arrive(stream, from, &connections, &work.stop));
        match arrived {
            Ok(Some(arrived)) => {
                work.tasks.spawn(converse(arrived));
            }
            Ok(None) => tracing::debug!("a connection was refused: too many are open"),
            Err(error) => {
                // Out of descriptors, or the asker left before we came: neither ends the service.
                tracing::debug!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn arrive(
    stream: TcpStream,
    from: SocketAddr,
    connections: &Arc<Connections>,
    stop: &CancellationToken,
) -> io::Result<Option<Arrived>> {
    let close = stop.child_token();
    let Some(seat) = connections.enter(from.ip().to_canonical(), close.clone()) else { return Ok(None) };
    let at = stream.local_addr()?.ip();
    // Answers are written whole, so there is nothing to gather.
    let _ = stream.set_nodelay(true);
    Ok(Some(Arrived { stream, from, at, seat, close }))
}

/// Answers the questions of one connection in clear.
pub(super) async fn converse<P: Decide, R: Resolve>(arrived: Arrived, limits: Limits, work: Work<P, R>) {
    let Arrived { stream, from, at, seat, close } = arrived;
    let asked = Asked { from, at, transport: Transport::Tcp };
    let (reading, writing) = stream.into_split();
    stream::converse(reading, writing, Talk { asked, seat, close }, limits, work).await;
}
