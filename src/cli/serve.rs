//! `schoolgate serve`: answer questions until told to stop.

use std::{io, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use super::{Context, Failure, print};
use crate::{appliance::Appliance, memory};

/// The variable that says how much the service tells of itself, as `tracing` filters are written.
const LOG_VARIABLE: &str = "SCHOOLGATE_LOG";

pub(super) fn run(context: &Context) -> Result<bool, Failure> {
    memory::give_back_large_blocks();
    let config = context.settings()?;
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| {
        // Of packets that others made wrongly, quinn_proto would warn as often as they come.
        EnvFilter::new(
            "warn,schoolgate=info,hickory_resolver=error,hickory_net=error,hickory_proto=error,quinn_proto=error",
        )
    });
    // A second call in one process (tests) keeps the first subscriber.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).try_init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("schoolgate")
        .build()
        .map_err(|e| Failure::could_not(format!("can't start: {e}")))?;
    let restart = runtime.block_on(async {
        let appliance = Appliance::start(config).await?;
        let could_not = |e: io::Error| Failure::could_not(format!("can't wait for signals: {e}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(could_not)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(could_not)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(could_not)?;
        appliance.tell_supervisor().await;
        // Only now: whoever read it may send a signal at once.
        print(&appliance.greeting())?;
        let mut restart = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = appliance.control().restart_asked() => {
                    info!("Restarting, as somebody asked on the pages");
                    restart = true;
                    break;
                }
                () = appliance.broken() => {
                    return Err(Failure::could_not("DNS can't be served; the line above says why"));
                }
                _ = hangup.recv() => {
                    info!("Reading the policy and the lists again");
                    if let Err(error) = appliance.control().refresh().await {
                        warn!(%error, "Nothing was changed");
                    }
                }
            }
        }
        info!("Stopping");
        appliance.stop().await;
        Ok::<bool, Failure>(restart)
    })?;
    runtime.shutdown_timeout(Duration::from_secs(2));
    // Who supervises it starts again what did not end well.
    Ok(!restart)
}
