//! Work that gives way: on a thread of its own, which runs when nothing else wants the processor.
//!
//! Compiling lists takes seconds of processor time and must not be noticed by those who ask for names. A thread that
//! [`in_background`] starts has the lowest priority there is, for the processor (`nice` 19) and with it for the disk,
//! since Linux derives a thread's I/O priority from its nice value where none was set.
//!
//! `in_front` is for those who must not wait for such work to make a pause: the threads that answer.
//!
//! [`discard`] is the other half: giving a large index's memory back takes milliseconds, and whoever happens to hold
//! the last reference to it may be about to answer a question.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{OnceLock, mpsc},
    task::{Context, Poll},
    thread,
};

use tokio::sync::oneshot;
use tracing::warn;

/// The priority that gives way to every other.
const NICEST: i32 = 19;

/// Why work in the background has no result.
#[derive(Debug, thiserror::Error)]
pub enum BackgroundError {
    /// No thread could be started for it.
    #[error("{name}: no thread can be started for it: {source}")]
    Start {
        /// Which work.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// It panicked; the message was logged as any panic's.
    #[error("{name}: it broke off with an internal error: {message}")]
    Panicked {
        /// Which work.
        name: String,
        /// What the panic said.
        message: String,
    },
}

/// Work that was started; awaited, it gives the result.
///
/// Dropped, it leaves the work running to its end.
#[derive(Debug)]
#[must_use = "what fails in the background is only told to who asks"]
pub struct Background<T> {
    name: String,
    result: oneshot::Receiver<thread::Result<T>>,
    /// Why the thread could not be started.
    refused: Option<io::Error>,
}

/// Starts work on a thread of its own, of the lowest priority.
///
/// `name` is what errors call it; of the thread's name in the system's lists, the first 15 bytes are shown.
pub fn in_background<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Background<T> {
    let (send, result) = oneshot::channel();
    let refused = spawn(name, move || {
        // Who waited may be gone; the work was done all the same.
        let _ = send.send(catch_unwind(AssertUnwindSafe(work)));
    })
    .err();
    Background { name: name.to_owned(), result, refused }
}

impl<T> Background<T> {
    /// Waits for the result on a thread that may block; not for use within an async runtime's threads.
    ///
    /// # Errors
    ///
    /// When the thread could not be started, or the work panicked.
    ///
    /// # Panics
    ///
    /// When it is called within an async context.
    pub fn wait(self) -> Result<T, BackgroundError> {
        let Self { name, result, refused } = self;
        let outcome = result.blocking_recv();
        finished(&name, refused, outcome)
    }
}

impl<T> Future for Background<T> {
    type Output = Result<T, BackgroundError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result).poll(context).map(|outcome| {
            let refused = self.refused.take();
            finished(&self.name, refused, outcome)
        })
    }
}

fn finished<T>(
    name: &str,
    refused: Option<io::Error>,
    outcome: Result<thread::Result<T>, oneshot::error::RecvError>,
) -> Result<T, BackgroundError> {
    let panicked = |message: &str| BackgroundError::Panicked { name: name.into(), message: message.into() };
    match (outcome, refused) {
        (Ok(Ok(result)), _) => Ok(result),
        (Ok(Err(panic)), _) => Err(panicked(said(&*panic))),
        (Err(_), Some(source)) => Err(BackgroundError::Start { name: name.into(), source }),
        (Err(_), None) => Err(panicked("it ended without a result")),
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // A name with a zero byte is the one thing that a thread can't be called.
    let name = name.replace('\0', " ");
    thread::Builder::new()
        .name(name.clone())
        .spawn(move || {
            // On Linux a nice value is the thread's own, and no process of threads is left without leave to lower it.
            if let Err(error) = rustix::process::setpriority_process(None, NICEST) {
                warn!(%error, work = name, "Work in the background has the priority of all other work");
            }
            work();
        })
        .map(drop)
}

/// Has the thread that calls it take the processor as soon as it wakes, before threads that have it, as far as it had less than its share.
///
/// Linux lets a thread run on for up to three milliseconds although another one woke, and to a client those are the difference between
/// an answer at once and a slow one. From 6.12 on a thread that asks for short turns does not wait so long. Its share of the
/// processor stays what it was, so it can take nothing from others. Older systems, and others, go on as before.
pub(crate) fn in_front() {
    #[cfg(target_os = "linux")]
    {
        /// The shortest turn that Linux gives, in nanoseconds.
        const TURN: u64 = 100_000;
        let attributes = libc::sched_attr {
            size: size_of::<libc::sched_attr>() as u32,
            sched_policy: libc::SCHED_OTHER as u32,
            sched_flags: 0,
            // As it is: the call sets it too.
            sched_nice: rustix::process::getpriority_process(None).unwrap_or(0),
            sched_priority: 0,
            sched_runtime: TURN,
            sched_deadline: 0,
            sched_period: 0,
        };
        #[expect(unsafe_code, reason = "neither the standard library nor rustix has this call")]
        // SAFETY: sched_setattr(2) reads as many bytes of what the pointer points at as its first field says, which is its size, and
        // writes nothing. 0 is the thread that calls. What it refuses leaves the thread as it was.
        let refused = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } != 0;
        if refused {
            tracing::debug!(error = %io::Error::last_os_error(), "this system gives no short turns");
        }
    }
}

/// Drops a value on another thread, since it may take long.
///
/// Returns at once. Should no thread be there to do it, the value is dropped here.
pub fn discard(value: impl Send + 'static) {
    static TO_DROP: OnceLock<Option<mpsc::Sender<Box<dyn Send>>>> = OnceLock::new();
    let to_drop = TO_DROP.get_or_init(|| {
        let (send, receive) = mpsc::channel::<Box<dyn Send>>();
        let started = spawn("discard", move || {
            for value in receive {
                // A value whose drop panics must not take the thread along.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
            }
        });
        started.is_ok().then_some(send)
    });
    if let Some(to_drop) = to_drop {
        // An error has the value in it, which is dropped here then.
        let _ = to_drop.send(Box::new(value));
    }
}

#[cfg(test)]
mod tests {
    use std::thread::ThreadId;

    use super::*;

    #[tokio::test]
    async fn work_is_done_elsewhere_and_its_result_awaited() {
        let here = thread::current().id();
        let (there, name) = in_background("compile lists", || {
            (thread::current().id(), thread::current().name().map(str::to_owned))
        })
        .await
        .unwrap();
        assert_ne!(here, there);
        assert_eq!(name.as_deref(), Some("compile lists"));
    }

    #[test]
    fn work_gives_way_and_what_started_it_does_not() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        assert_eq!(in_background("work", priority).wait().unwrap(), NICEST);
        assert_eq!(priority(), before);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn who_is_in_front_takes_short_turns_at_the_priority_of_before() {
        /// In nanoseconds, where the kernel shows it.
        fn turn() -> Option<u64> {
            let shown = std::fs::read_to_string("/proc/thread-self/sched").ok()?;
            let line = shown.lines().find(|line| line.starts_with("se.slice"))?;
            line.rsplit(' ').next()?.parse().ok()
        }
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut version = release.split('.').map_while(|part| part.parse::<u32>().ok());
        let has_turns = (version.next(), version.next()) >= (Some(6), Some(12));
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let asked = in_background("work", move || {
            let before = (turn(), priority());
            in_front();
            (before, (turn(), priority()))
        });
        let (before, after) = asked.wait().unwrap();
        assert_eq!(after.1, before.1);
        assert_eq!(after.0, if has_turns { before.0.map(|_| 100_000) } else { before.0 });
    }

    #[tokio::test]
    async fn a_panic_is_an_error_with_its_message() {
        let list = "made-up";
        for (error, message) in [
            (
                in_background("one", || panic!("plain")).await,
                "one: it broke off with an internal error: plain",
            ),
            (
                in_background("two", move || panic!("list {list}")).await,
                "two: it broke off with an internal error: list made-up",
            ),
        ] {
            let error: Result<(), _> = error;
            assert_eq!(error.unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn work_that_nobody_waits_for_is_done() {
        let (send, receive) = mpsc::channel();
        drop(in_background("alone", move || send.send(()).unwrap()));
        receive.recv().unwrap();
    }

    #[test]
    fn a_value_is_dropped_on_another_thread() {
        struct Told(mpsc::Sender<ThreadId>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.send(thread::current().id()).unwrap();
            }
        }
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("while dropping");
            }
        }
        let (send, receive) = mpsc::channel();
        discard(Panics);
        discard(Told(send.clone()));
        assert_ne!(receive.recv().unwrap(), thread::current().id());
        // The thread outlives what it drops.
        discard(Told(send));
        assert_ne!(receive.recv().unwrap(), thread::current().id());
    }
}
