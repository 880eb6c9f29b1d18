//! What is told to who supervises the service (systemd): that it answers, that it stops, and, again and again, that it
//! answers still.
//!
//! The last is said only after the box has asked itself and got an answer, so that a service that runs and does not answer
//! is started again.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::dns::Pulse;

/// How long one question may take. A box that is so slow with a question that costs nothing is of no use to anybody, but
/// under a flood one or the other is lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often more time is asked for while the start takes long, and how much.
const STARTING: Duration = Duration::from_secs(20);
const MORE_TIME: Duration = Duration::from_secs(90);

/// How long telling may take: what can't be told is no reason to wait.
const TELLING: Duration = Duration::from_secs(1);

type Tell = dyn Fn(&str) -> io::Result<()> + Send + Sync;

/// Who supervises the service; perhaps nobody.
#[derive(Clone)]
pub(super) struct Supervisor {
    tell: Arc<Tell>,
    /// After how long a silence it starts the service again; none where it does not.
    watchdog: Option<Duration>,
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("watchdog", &self.watchdog).finish_non_exhaustive()
    }
}

impl Supervisor {
    /// The one that started this process, if one did.
    pub(super) fn of_the_process() -> Self {
        Self {
            tell: Arc::new(|text| sd_notify::notify(&[NotifyState::Custom(text)])),
            watchdog: sd_notify::watchdog_enabled(),
        }
    }

    /// Says something. It goes to a queue that another process empties, which no answer may wait for.
    async fn say(&self, states: &[NotifyState<'_>]) {
        let text = states.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let tell = Arc::clone(&self.tell);
        let told = tokio::task::spawn_blocking(move || tell(&text));
        match tokio::time::timeout(TELLING, told).await {
            Ok(Ok(Err(error))) => warn!(%error, "Who supervises the service can't be told how it is"),
            Ok(_) => {}
            Err(_) => warn!("Who supervises the service does not listen"),
        }
    }

    /// Says that questions are answered.
    pub(super) async fn ready(&self, status: &str) {
        self.say(&[NotifyState::Ready, NotifyState::Status(status)]).await;
    }

    /// Says that it stops.
    pub(super) async fn stopping(&self) {
        self.say(&[NotifyState::Stopping, NotifyState::Status("Stopping")]).await;
    }

    /// Asks for more time, for as long as the start takes.
    pub(super) async fn starting(&self) {
        let more = u32::try_from(MORE_TIME.as_micros()).unwrap_or(u32::MAX);
        loop {
            let why = NotifyState::Status("Compiling the lists of the school before the first answer");
            self.say(&[NotifyState::ExtendTimeoutUsec(more), why]).await;
            tokio::time::sleep(STARTING).await;
        }
    }

    /// Says again and again that questions are answered, as long as that is so.
    pub(super) async fn keep_watch(self, pulse: Pulse, served: Vec<SocketAddr>, stop: CancellationToken) {
        let Some(watchdog) = self.watchdog.filter(|watchdog| !watchdog.is_zero()) else { return };
        let round = watchdog / 3;
        let mut rounds = tokio::time::interval(round);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turn = 0;
        let mut answers = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = rounds.tick() => {}
            }
            let answered = tokio::select! {
                () = stop.cancelled() => return,
                answered = beats(&pulse, &served, &mut turn, round) => answered,
            };
            match answered {
                Ok(()) if answers => self.say(&[NotifyState::Watchdog]).await,
                Ok(()) => {
                    warn!("The box answers its own questions again");
                    self.say(&[NotifyState::Watchdog, NotifyState::Status("Answering")]).await;
                }
                Err(ref error) => {
                    error!(%error, "The box does not answer its own question");
                    self.say(&[NotifyState::Status("Does not answer its own questions")]).await;
                }
            }
            answers = answered.is_ok();
        }
    }
}

/// Whether one of the addresses that are served answers within the time. Each has its turn; where one is gone (an
/// interface that was unplugged), the next is asked.
async fn beats(pulse: &Pulse, served: &[SocketAddr], turn: &mut usize, within: Duration) -> io::Result<()> {
    let ends = Instant::now() + within;
    loop {
        let Some(at) = served.get(*turn % served.len().max(1)) else { return Ok(()) };
        *turn = turn.wrapping_add(1);
        let left = ends.saturating_duration_since(Instant::now());
        match pulse.beat(*at, PATIENCE.min(left)).await {
            Ok(()) => return Ok(()),
            // Not in a tight circle where a question can't even be sent.
            Err(error) if Instant::now() + PATIENCE / 4 >= ends => {
                return Err(io::Error::new(error.kind(), format!("{at}: {error}")));
            }
            Err(_) => tokio::time::sleep(PATIENCE / 8).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::{net::UdpSocket, sync::mpsc};

    use super::*;

    /// A supervisor that hands on what it is told.
    fn supervisor(watchdog: Option<Duration>) -> (Supervisor, mpsc::UnboundedReceiver<String>) {
        let (send, told) = mpsc::unbounded_channel();
        let send = Mutex::new(send);
        let tell = Arc::new(move |text: &str| {
            for line in text.lines() {
                let _ = send.lock().unwrap().send(line.to_owned());
            }
            Ok(())
        });
        (Supervisor { tell, watchdog }, told)
    }

    /// A server that answers every question with no error, as long as it is held.
    async fn answering() -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                buffer[2] |= 0x80;
                let _ = socket.send_to(&buffer[..length], from).await;
            }
        });
        (address, task)
    }

    #[tokio::test]
    async fn it_is_fed_while_the_box_answers_and_no_longer() {
        let (supervisor, mut told) = supervisor(Some(Duration::from_millis(300)));
        let (address, server) = answering().await;
        let stop = CancellationToken::new();
        let watch = tokio::spawn(supervisor.keep_watch(Pulse::new().unwrap(), vec![address], stop.clone()));
        for _ in 0..3 {
            assert_eq!(told.recv().await.unwrap(), "WATCHDOG=1");
        }
        server.abort();
        let _ = server.await;
        // At most one that was under way; then it is told, and never again that all is well.
        let said = told.recv().await.unwrap();
        let said = if said == "WATCHDOG=1" { told.recv().await.unwrap() } else { said };
        assert_eq!(said, "STATUS=Does not answer its own questions");
        assert_eq!(told.recv().await.unwrap(), "STATUS=Does not answer its own questions");
        stop.cancel();
        watch.await.unwrap();
    }

    #[tokio::test]
    async fn a_silent_address_is_made_up_for_by_one_that_answers() {
        let (supervisor, mut told) = supervisor(Some(Duration::from_secs(15)));
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (address, _server) = answering().await;
        let served = vec![silent.local_addr().unwrap(), address];
        let stop = CancellationToken::new();
        tokio::spawn(supervisor.keep_watch(Pulse::new().unwrap(), served, stop.clone()));
        assert_eq!(told.recv().await.unwrap(), "WATCHDOG=1");
        stop.cancel();
    }

    #[tokio::test]
    async fn without_a_watchdog_nothing_is_asked_and_nothing_said() {
        let (supervisor, mut told) = supervisor(None);
        supervisor.clone().keep_watch(Pulse::new().unwrap(), Vec::new(), CancellationToken::new()).await;
        supervisor.ready("Answering").await;
        assert_eq!(told.recv().await.unwrap(), "READY=1");
        assert_eq!(told.recv().await.unwrap(), "STATUS=Answering");
        supervisor.stopping().await;
        assert_eq!(told.recv().await.unwrap(), "STOPPING=1");
    }
}
