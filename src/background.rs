//! Work beside the answering threads.

use tokio::sync::oneshot;

/// Work that broke off, which it does only by a fault of the program.
#[derive(Debug, thiserror::Error)]
#[error("{name} broke off")]
pub struct BrokeOff {
    /// What the work was called.
    pub name: &'static str,
}

/// Does work on a thread of its own.
///
/// # Errors
///
/// When the work panicked, or no thread can be had.
pub async fn run<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BrokeOff> {
    let (done, wait) = oneshot::channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Nobody waits any more when this fails.
            let _ = done.send(work());
        })
        .map_err(|_| BrokeOff { name })?;
    wait.await.map_err(|_| BrokeOff { name })
}
