//! The way of one message to the server: who it is, over which way, as whom, and what it says of each step.

use std::{
    error::Error as _,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use data_encoding::BASE64;
use jiff::Timestamp;
use lettre::transport::smtp::{
    Error,
    authentication::{Credentials, Mechanism},
    client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
    commands::{Data, Mail, Rcpt},
    extension::ClientId,
};
use rustls::CertificateError;

use super::{Encryption, Letter, SendError, Settings, error::Said};
use crate::policy::is_private;

/// How long all of it may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long one of the server's addresses may take to answer, while there may be others.
const EACH: Duration = Duration::from_secs(6);

/// How long a server may take to say goodbye, when it has taken the message.
const FAREWELL: Duration = Duration::from_secs(1);

/// How much of what a server says is told, in characters.
const LONGEST_SAID: usize = 300;

/// What was asked of the server when it refused.
#[derive(Debug, Clone, Copy)]
enum Step {
    SignIn,
    Sender,
    Recipient,
    Message,
}

/// Sends a message.
pub(super) async fn deliver<L>(
    settings: &Settings,
    letter: &Letter,
    now: Timestamp,
    look: impl FnOnce(String) -> L,
) -> Result<(), SendError>
where
    L: Future<Output = io::Result<Vec<IpAddr>>>,
{
    let silent = || SendError::Silent { server: settings.server.clone(), port: settings.port };
    tokio::time::timeout(PATIENCE, talk(settings, letter, now, look)).await.unwrap_or_else(|_| Err(silent()))
}

async fn talk<L>(
    settings: &Settings,
    letter: &Letter,
    now: Timestamp,
    look: impl FnOnce(String) -> L,
) -> Result<(), SendError>
where
    L: Future<Output = io::Result<Vec<IpAddr>>>,
{
    let from = settings.sender().map_err(|_| SendError::Address(settings.from.clone()))?;
    let message = letter.written(&from, now).ok_or(SendError::Busy)?;
    let addresses = find(settings, look).await?;
    let mut connection = connect(settings, &addresses).await?;
    let refused = |step, error: &Error| refused(settings, letter, step, error);
    if !settings.user.is_empty() {
        let password = settings.password.as_ref().ok_or(SendError::PasswordLost)?;
        let credentials = Credentials::new(settings.user.clone(), password.expose().to_owned());
        let signed_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
        signed_in.map_err(|error| refused(Step::SignIn, &error))?;
    }
    let sender = connection.command(Mail::new(Some(from), Vec::new())).await;
    sender.map_err(|error| refused(Step::Sender, &error))?;
    let recipient = connection.command(Rcpt::new(letter.to().clone(), Vec::new())).await;
    recipient.map_err(|error| refused(Step::Recipient, &error))?;
    connection.command(Data).await.map_err(|error| refused(Step::Message, &error))?;
    connection.message(&message).await.map_err(|error| refused(Step::Message, &error))?;
    // The server has the message, however it says goodbye.
    let _ = tokio::time::timeout(FAREWELL, connection.quit()).await;
    Ok(())
}

/// Where the server is.
async fn find<L>(settings: &Settings, look: impl FnOnce(String) -> L) -> Result<Vec<SocketAddr>, SendError>
where
    L: Future<Output = io::Result<Vec<IpAddr>>>,
{
    let server = &settings.server;
    let found = match server.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => look(server.clone()).await.unwrap_or_default(),
    };
    if found.is_empty() {
        return Err(SendError::NotFound(server.clone()));
    }
    // Looked at here, and connected to below: another answer can't come between.
    let outside = found.iter().find(|address| !is_private(**address));
    if let (Encryption::None, Some(address)) = (settings.encryption, outside) {
        return Err(SendError::Outside { server: server.clone(), address: *address });
    }
    Ok(found.into_iter().map(|address| SocketAddr::new(address, settings.port)).collect())
}

async fn connect(settings: &Settings, addresses: &[SocketAddr]) -> Result<AsyncSmtpConnection, SendError> {
    let hello = hello(addresses);
    let failed = |error: Error| unconnected(settings, &error);
    let tls = match settings.encryption {
        Encryption::None => None,
        Encryption::Tls | Encryption::StartTls => Some(parameters(settings).map_err(failed)?),
    };
    let (first, later) = match settings.encryption {
        Encryption::StartTls => (None, tls),
        Encryption::Tls | Encryption::None => (tls, None),
    };
    let connected = AsyncSmtpConnection::connect_tokio1(addresses, Some(EACH), &hello, first, None).await;
    let mut connection = connected.map_err(failed)?;
    if let Some(tls) = later {
        if !connection.can_starttls() {
            return Err(SendError::NoStartTls(settings.server.clone()));
        }
        connection.starttls(tls, &hello).await.map_err(failed)?;
    }
    Ok(connection)
}

/// Whom the box trusts to be the server.
fn parameters(settings: &Settings) -> Result<TlsParameters, Error> {
    let mut builder =
        TlsParameters::builder(settings.server.clone()).certificate_store(CertificateStore::WebpkiRoots);
    if !settings.authority.is_empty() {
        builder = builder.add_root_certificate(Certificate::from_pem(settings.authority.as_bytes())?);
    }
    builder.build_rustls()
}

/// How the box introduces itself: by its address on the way there, which is always right (RFC 5321, 4.1.4).
fn hello(addresses: &[SocketAddr]) -> ClientId {
    let own = addresses.first().and_then(|to| {
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        // Nothing is sent: the system only chooses the way.
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    });
    match own.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)) {
        IpAddr::V4(address) => ClientId::Ipv4(address),
        IpAddr::V6(address) => ClientId::Ipv6(address),
    }
}

/// The errors of the system and of TLS behind an error.
fn causes(error: &Error) -> (Option<&io::Error>, Option<&rustls::Error>) {
    let (mut system, mut tls) = (None, None);
    let mut inner: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = inner {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            system = Some(found);
            tls = found.get_ref().and_then(|behind| behind.downcast_ref::<rustls::Error>()).or(tls);
        }
        inner = error.source();
    }
    (system, tls)
}

/// Why there is no connection.
fn unconnected(settings: &Settings, error: &Error) -> SendError {
    let (server, port) = (settings.server.clone(), settings.port);
    if error.is_transient() {
        return SendError::Later { server, said: said(settings, error) };
    }
    if error.is_permanent() {
        return SendError::Message { server, said: said(settings, error) };
    }
    let (system, tls) = causes(error);
    match (tls, system) {
        (Some(rustls::Error::InvalidCertificate(why)), _) => untrusted(server, port, why),
        (Some(rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. }), _) => {
            SendError::Tls { server, port, why: String::from("the server does not speak TLS there") }
        }
        (Some(other), _) => SendError::Tls { server, port, why: other.to_string() },
        (None, Some(system)) => match system.kind() {
            io::ErrorKind::ConnectionRefused => SendError::Refused { server, port },
            io::ErrorKind::TimedOut => SendError::Silent { server, port },
            io::ErrorKind::InvalidData => SendError::Strange(server),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                SendError::Unreachable { server, port, why: String::from("the server ended the connection") }
            }
            _ => SendError::Unreachable { server, port, why: system.to_string() },
        },
        (None, None) if error.is_response() => SendError::Strange(server),
        (None, None) => SendError::Tls { server, port, why: error.to_string() },
    }
}

fn untrusted(server: String, port: u16, why: &CertificateError) -> SendError {
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => SendError::Untrusted(server),
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => SendError::Ended(server),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            SendError::OtherName(server)
        }
        other => SendError::Tls { server, port, why: format!("its certificate is not trusted ({other})") },
    }
}

/// Why the server did not do what it was asked.
fn refused(settings: &Settings, letter: &Letter, step: Step, error: &Error) -> SendError {
    let server = settings.server.clone();
    if error.status().is_none() {
        return match step {
            Step::SignIn if error.is_client() => SendError::NoSignIn(server),
            _ => unconnected(settings, error),
        };
    }
    let said = said(settings, error);
    if error.is_transient() {
        return SendError::Later { server, said };
    }
    match step {
        Step::SignIn => SendError::SignIn { server, said },
        Step::Sender => SendError::Sender { server, from: settings.from.clone(), said },
        Step::Recipient => SendError::Recipient { server, to: letter.to().to_string(), said },
        Step::Message => SendError::Message { server, said },
    }
}

/// What the server said, if that can be shown.
fn said(settings: &Settings, error: &Error) -> Said {
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    let line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_SAID).collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let repeats = settings.password.as_ref().is_some_and(|password| {
        // A server can repeat what it was sent, as it was or as it was written for the way.
        let sent = format!("\0{}\0{}", settings.user, password.expose());
        let written = [BASE64.encode(sent.as_bytes()), BASE64.encode(password.expose().as_bytes())];
        text.contains(password.expose()) || written.iter().any(|written| text.contains(written.as_str()))
    });
    Said(if repeats { String::new() } else { line })
}
