//! One message, which can't have a header or a recipient that nobody meant.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use lettre::{
    Address, Message,
    message::{
        Mailbox, MessageBuilder,
        header::{ContentType, Header, HeaderName, HeaderValue, MIME_VERSION_1_0},
    },
};
use ring::rand::{SecureRandom, SystemRandom};

use super::{MailError, settings::shown};

/// How long an address can be, in characters: what SMTP allows.
const LONGEST_ADDRESS: usize = 254;

/// How long a name or a subject can be, in characters.
const LONGEST_HEADER: usize = 200;

/// A message of plain text to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    to: Mailbox,
    from_name: String,
    subject: String,
    body: String,
}

impl Letter {
    /// A message to somebody, who may have a name. Control characters in names and the subject become spaces.
    ///
    /// # Errors
    ///
    /// When it is no e-mail address.
    pub fn new(name: &str, email: &str, subject: &str, body: &str) -> Result<Self, MailError> {
        let to = Mailbox::new(named(name), address(email)?);
        let is_kept = |c: char| c == '\n' || c == '\t' || !c.is_control();
        let body = body.chars().filter(|c| is_kept(*c)).collect();
        Ok(Self { to, from_name: String::new(), subject: one_line(subject), body })
    }

    /// As whom it is sent, beside the address: the name of the school.
    #[must_use]
    pub fn from_name(self, name: &str) -> Self {
        Self { from_name: one_line(name), ..self }
    }

    /// The address that it is to.
    #[must_use]
    pub fn address(&self) -> &str {
        self.to.email.as_ref()
    }

    /// Whom it is to.
    pub(super) fn to(&self) -> &Address {
        &self.to.email
    }

    /// The message as it is sent, from an address; none when the system gives no random bytes for its identifier.
    pub(super) fn written(&self, from: &Address, now: Timestamp) -> Option<Vec<u8>> {
        let mut id = [0; 16];
        SystemRandom::new().fill(&mut id).ok()?;
        MessageBuilder::new()
            .date(now.into())
            .message_id(Some(format!("<{}@{}>", HEXLOWER.encode(&id), from.domain())))
            .from(Mailbox::new(named(&self.from_name), from.clone()))
            .to(self.to.clone())
            .subject(self.subject.clone())
            .header(AutoSubmitted)
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(self.body.clone())
            .ok()
            .map(|message: Message| message.formatted())
    }
}

/// A program wrote it, so no program need answer that somebody is on holiday (RFC 3834).
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), String::from("auto-generated"))
    }
}

fn one_line(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    spaced.take(LONGEST_HEADER).collect::<String>().trim().to_owned()
}

fn named(name: &str) -> Option<String> {
    Some(one_line(name)).filter(|name| !name.is_empty())
}

/// An address that any server takes: letters of ASCII before the @, and after it what the name of a domain has in the DNS.
pub(super) fn address(text: &str) -> Result<Address, MailError> {
    let wrong = || MailError::Address(shown(text));
    let (user, domain) = text.trim().rsplit_once('@').ok_or_else(wrong)?;
    let domain = idna::domain_to_ascii(domain).map_err(|_| wrong())?;
    let is_plain = |c: char| c.is_ascii_graphic() && !"\"(),:;<>[\\]@".contains(c);
    let is_name =
        domain.contains('.') && domain.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    if !user.chars().all(is_plain) || !is_name || user.len() + domain.len() >= LONGEST_ADDRESS {
        return Err(wrong());
    }
    Address::new(user, domain).map_err(|_| wrong())
}
