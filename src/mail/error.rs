//! Why mail was not set up, and why a message did not leave.

use std::{io, net::IpAddr};

use super::{LONGEST_TEXT, MOST_AN_HOUR, PATIENCE};

/// Why mail can't be set up so.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// There is no such server.
    #[error("“{0}” is no name of a server: write it as smtp.school.sch.uk, or an address as 10.20.0.25")]
    Server(String),
    /// Port 0.
    #[error("there is no port 0: most servers have 465 or 587")]
    Port,
    /// The name of the user can't be one.
    #[error("the user name can't be kept: write one line of at most {LONGEST_TEXT} characters")]
    User,
    /// The password can't be one.
    #[error("the password can't be kept: write one line of at most {LONGEST_TEXT} characters")]
    Password,
    /// A password without a user.
    #[error("there is a password without a user name: write whose it is, or leave both empty")]
    PasswordAlone,
    /// A user without a password.
    #[error("type the password: it is not kept when the server, the way to it or the user name changes")]
    PasswordWanted,
    /// A password over a way that others can listen to.
    #[error(
        "a password is never sent without encryption: choose TLS or STARTTLS, or leave the user name empty"
    )]
    PasswordInClear,
    /// Messages over the internet that others can read.
    #[error(
        "{0} is outside of the school's network, where nothing is sent without encryption: choose TLS or STARTTLS"
    )]
    InClear(IpAddr),
    /// It is no address of e-mail.
    #[error("“{0}” is no e-mail address that messages can be sent with: write it as name@school.sch.uk")]
    Address(String),
    /// There is no certificate in it.
    #[error(
        "the certificate of the authority can't be read: paste the lines from BEGIN CERTIFICATE to END CERTIFICATE"
    )]
    Authority,
    /// No password can be sealed.
    #[error("the box's secret key can't be read, so no password can be kept; the server's log says why")]
    NoKey,
    /// The file can't be understood.
    #[error("{0}")]
    File(String),
    /// The file can't be written.
    #[error("the settings of mail can't be written down: {0}")]
    Write(#[from] io::Error),
}

impl MailError {
    /// Whether what was asked is wrong, rather than the box unable.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::NoKey | Self::File(_) | Self::Write(_))
    }
}

/// Why a message did not leave. Each says what was wrong and, where that is known, what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Mail is not set up.
    #[error("Mail is not set up on this box yet.")]
    NotSetUp,
    /// Several are being sent.
    #[error("Other messages are being sent just now. Try again in a minute.")]
    Busy,
    /// Too many were sent.
    #[error("{MOST_AN_HOUR} messages were sent within an hour, which is the most. Try again later.")]
    TooMany,
    /// The password can't be opened.
    #[error(
        "The password of the mail server is lost, as the box's secret key is another one. Type it again."
    )]
    PasswordLost,
    /// The address of the recipient or of the box is none.
    #[error("“{0}” is no e-mail address that messages can be sent with.")]
    Address(String),
    /// The server's name leads nowhere.
    #[error("The server “{0}” was not found. Is its name right, and does the box reach the internet?")]
    NotFound(String),
    /// The server is outside of the school, and nothing would be encrypted.
    #[error(
        "{server} is at {address}, outside of the school's network, where nothing is sent without encryption."
    )]
    Outside {
        /// The server.
        server: String,
        /// Where it is.
        address: IpAddr,
    },
    /// Nothing listens there.
    #[error(
        "{server} refuses connections at port {port}. Is the port right? Most servers have 465 for TLS and 587 for STARTTLS."
    )]
    Refused {
        /// The server.
        server: String,
        /// The port.
        port: u16,
    },
    /// There is no way there, or it broke off.
    #[error("{server} can't be reached at port {port}: {why}.")]
    Unreachable {
        /// The server.
        server: String,
        /// The port.
        port: u16,
        /// What the system says.
        why: String,
    },
    /// It says nothing.
    #[error("{server} did not answer at port {port} within {} seconds. A firewall may be in the way, or the encryption is another than the server's.", PATIENCE.as_secs())]
    Silent {
        /// The server.
        server: String,
        /// The port.
        port: u16,
    },
    /// Nobody that the box knows signed its certificate.
    #[error(
        "The certificate of {0} is not trusted: nobody that this box knows has signed it. If it is a server of the school's own, give the certificate of its authority."
    )]
    Untrusted(String),
    /// The certificate has ended, or has not begun.
    #[error(
        "The certificate of {0} is not trusted: it has ended, or is not in force yet. Is the clock of the box right?"
    )]
    Ended(String),
    /// The certificate is for another server.
    #[error(
        "The certificate of {0} is not trusted: it is for another name. Write the server's name as its certificate has it."
    )]
    OtherName(String),
    /// Something else is wrong with the encryption.
    #[error(
        "No encrypted connection to {server} at port {port}: {why}. Is the encryption the one that the server has at this port?"
    )]
    Tls {
        /// The server.
        server: String,
        /// The port.
        port: u16,
        /// What is wrong.
        why: String,
    },
    /// It can't encrypt.
    #[error("{0} does not offer STARTTLS at this port, so nothing was sent. Choose TLS, or another port.")]
    NoStartTls(String),
    /// It takes no passwords.
    #[error("{0} takes no user name and password at this port, or none in a way that this box knows.")]
    NoSignIn(String),
    /// It does not take the password.
    #[error("{server} does not take the user name and the password{said}")]
    SignIn {
        /// The server.
        server: String,
        /// What it says.
        said: Said,
    },
    /// It does not let the box send as this address.
    #[error("{server} does not let this box send as {from}{said}")]
    Sender {
        /// The server.
        server: String,
        /// The address.
        from: String,
        /// What it says.
        said: Said,
    },
    /// It does not take messages for this address.
    #[error("{server} does not take messages for {to}{said}")]
    Recipient {
        /// The server.
        server: String,
        /// The address.
        to: String,
        /// What it says.
        said: Said,
    },
    /// It does not take the message.
    #[error("{server} did not take the message{said}")]
    Message {
        /// The server.
        server: String,
        /// What it says.
        said: Said,
    },
    /// It asks to come back later.
    #[error("{server} can't take the message just now; try again in some minutes{said}")]
    Later {
        /// The server.
        server: String,
        /// What it says.
        said: Said,
    },
    /// It says something else.
    #[error("{0} does not speak as a mail server does. Are its name and its port right?")]
    Strange(String),
}

/// What a server said, short, on one line, and without the password.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said(pub(super) String);

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { f.write_str(".") } else { write!(f, ". It said: {}", self.0) }
    }
}
