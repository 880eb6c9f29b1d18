//! How commands reach a running server: one line of JSON each way, over a Unix socket in the data folder.
//!
//! The socket belongs to whoever runs the server; file permissions keep others out.

use std::{io, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::watch,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Answer, Control, ControlError, Request};
use crate::querylog::search::Asked;

/// The socket's name in the data folder.
const SOCKET: &str = "control.sock";

/// Longer than any policy that a person or a program would write.
const MAX_REQUEST: u64 = 64 << 20;

/// How often it is looked what is new in the log, for who follows it, when nothing says that something is.
const NEWS: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    Done(Box<Answer>),
    Failed { message: String, bad_input: bool },
}

/// Opens the socket for commands; one that a killed server left behind is replaced.
///
/// # Errors
///
/// When another server answers on it, or the folder can't be written.
pub async fn bind(folder: &Path) -> io::Result<UnixListener> {
    let path = folder.join(SOCKET);
    if UnixStream::connect(&path).await.is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("{}: another Schoolgate runs on this data folder", path.display()),
        ));
    }
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Answers commands until told to stop.
pub async fn serve(listener: UnixListener, control: Arc<Control>, stop: CancellationToken) {
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: the answering side must not suffer from a busy loop here.
                    warn!(%error, "A command could not be taken");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            },
        };
        let control = Arc::clone(&control);
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                done = converse(stream, control) => {
                    if let Err(error) = done {
                        warn!(%error, "A command broke off");
                    }
                }
            }
        });
    }
}

async fn converse(mut stream: UnixStream, control: Arc<Control>) -> io::Result<()> {
    let mut line = Vec::new();
    BufReader::new((&mut stream).take(MAX_REQUEST)).read_until(b'\n', &mut line).await?;
    let reply = match serde_json::from_slice::<Request>(&line) {
        Ok(Request::LogTail(asked)) => return tell_news(stream, control, asked).await,
        Ok(request) => match off_the_answering_threads(control, request).await {
            Ok(answer) => Reply::Done(Box::new(answer)),
            Err(error) => Reply::Failed { bad_input: error.is_bad_input(), message: error.to_string() },
        },
        Err(error) => {
            Reply::Failed { message: format!("not a command of this version: {error}"), bad_input: true }
        }
    };
    send(&mut stream, &reply).await?;
    stream.shutdown().await
}

async fn send<T: Serialize>(stream: &mut UnixStream, message: &T) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(message)?;
    bytes.push(b'\n');
    stream.write_all(&bytes).await
}

/// Waits until the running log has written something.
async fn written(commits: &mut Option<watch::Receiver<u64>>) {
    let written = match commits {
        Some(commits) => commits.changed().await.is_ok(),
        None => false,
    };
    if !written {
        std::future::pending::<()>().await;
    }
}

/// Tells what is new in the log, a line each time, until the other side goes away.
async fn tell_news(mut stream: UnixStream, control: Arc<Control>, asked: Asked) -> io::Result<()> {
    let failed =
        |error: ControlError| Reply::Failed { bad_input: error.is_bad_input(), message: error.to_string() };
    let mut following = match control.log_tail(asked).await {
        Ok(following) => following,
        Err(error) => {
            send(&mut stream, &failed(error)).await?;
            return stream.shutdown().await;
        }
    };
    let mut commits = control.log_commits();
    // At once, with nothing in it: the other side knows that from here on it misses nothing.
    let mut is_first = true;
    loop {
        let report = match control.log_news(following).await {
            Ok((next, report)) => {
                following = next;
                report
            }
            Err(error) => {
                send(&mut stream, &failed(error)).await?;
                return stream.shutdown().await;
            }
        };
        if is_first || !report.page.entries.is_empty() || !report.page.unkept.is_empty() {
            is_first = false;
            send(&mut stream, &Reply::Done(Box::new(Answer::Log(report)))).await?;
        }
        tokio::select! {
            // It says nothing more, so whatever comes is the end.
            _ = stream.read_u8() => return Ok(()),
            () = written(&mut commits) => {}
            () = tokio::time::sleep(NEWS) => {}
        }
    }
}

/// Commands read whole lists and write to the disk, which must not hold up a question.
async fn off_the_answering_threads(control: Arc<Control>, request: Request) -> Result<Answer, ControlError> {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(control.handle(request))).await.unwrap_or_else(|e| {
        Err(ControlError::Server { message: format!("an internal error: {e}"), bad_input: false })
    })
}

/// Asks the server that runs on a data folder; none when no server runs there.
///
/// # Errors
///
/// What the server says, or that it went away.
pub async fn ask(folder: &Path, request: &Request) -> Result<Option<Answer>, ControlError> {
    let Some(mut stream) = connect(folder).await? else { return Ok(None) };
    send(&mut stream, request).await.map_err(broken)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.map_err(broken)?;
    answer(&reply).map(Some)
}

/// Asks for what is answered again and again, and hands out each answer until `each` has had enough; none when no
/// server runs there.
///
/// # Errors
///
/// What the server says, or that it went away.
pub async fn follow(
    folder: &Path,
    request: &Request,
    mut each: impl FnMut(Answer) -> bool,
) -> Result<Option<()>, ControlError> {
    let Some(mut stream) = connect(folder).await? else { return Ok(None) };
    send(&mut stream, request).await.map_err(broken)?;
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).await.map_err(broken)? == 0 {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
        if !each(answer(&line)?) {
            return Ok(Some(()));
        }
    }
}

async fn connect(folder: &Path) -> Result<Option<UnixStream>, ControlError> {
    let path = folder.join(SOCKET);
    match UnixStream::connect(&path).await {
        Ok(stream) => Ok(Some(stream)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        // A server may well be there: a change beside it would not be seen.
        Err(e) => {
            let message = format!("{}: {e}", path.display());
            Err(ControlError::Server { message, bad_input: false })
        }
    }
}

fn answer(reply: &[u8]) -> Result<Answer, ControlError> {
    match serde_json::from_slice(reply).map_err(|e| broken(e.into()))? {
        Reply::Done(answer) => Ok(*answer),
        Reply::Failed { message, bad_input } => Err(ControlError::Server { message, bad_input }),
    }
}

fn broken(error: io::Error) -> ControlError {
    ControlError::Server { message: format!("the server went away: {error}"), bad_input: false }
}
