//! Whether a message reaches the safeguarding lead: a code goes to their address, and whoever types it here has read it.

use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::{People, SchoolFile};

/// How long a code is good, in hours.
pub const CODE_HOURS: i64 = 24;

/// How many wrong codes end one that was sent.
pub const MOST_GUESSES: u8 = 5;

/// How many codes there are.
const CODES: u32 = 1_000_000;

/// What is known of the safeguarding lead's address. It is about the name and the address that stand in [`People`], and is
/// forgotten when either changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeadContact {
    /// When somebody typed the code that was sent there; none where nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Timestamp>,
    /// The code that was sent last and that nobody typed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<SentCode>,
}

/// A code on its way.
///
/// It stands as it is: who can read this file can write in it that the address was confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentCode {
    /// Six digits.
    code: String,
    /// When it was sent.
    pub at: Timestamp,
    /// How often another one was typed.
    wrong: u8,
}

/// Why an address was not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// None was sent, or the contact was changed since.
    #[error("no code was sent to this contact: send one first")]
    NotSent,
    /// It is too old, or others were typed too often.
    #[error("the code is not good any more: send another one")]
    Ended,
    /// It is another one.
    #[error("this is not the code that was sent: look at the newest message")]
    Wrong,
}

impl SentCode {
    /// Whether it is still good.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        // One from the future was sent before the clock was put right.
        let age = now.duration_since(self.at).abs();
        self.wrong < MOST_GUESSES && age < SignedDuration::from_hours(CODE_HOURS)
    }
}

/// Six digits that nobody can guess; none when the system gives no random bytes.
#[must_use]
pub fn new_code() -> Option<String> {
    let random = SystemRandom::new();
    loop {
        let mut bytes = [0; 4];
        random.fill(&mut bytes).ok()?;
        let number = u32::from_be_bytes(bytes);
        // The rest of the numbers would make some codes likelier than others.
        if number < u32::MAX - u32::MAX % CODES {
            return Some(format!("{:06}", number % CODES));
        }
    }
}

impl SchoolFile {
    /// Writes down who answers for what. Another name or address of the safeguarding lead is not confirmed.
    pub fn set_people(&mut self, people: People) {
        let (old, new) = (&self.people.safeguarding_lead, &people.safeguarding_lead);
        if (&old.name, &old.email) != (&new.name, &new.email) {
            self.lead_contact = LeadContact::default();
        }
        self.people = people;
    }

    /// When the safeguarding lead's address was confirmed; none where it was not, or there is none.
    #[must_use]
    pub fn lead_confirmed(&self) -> Option<Timestamp> {
        self.lead_contact.confirmed.filter(|_| !self.people.safeguarding_lead.email.is_empty())
    }

    /// Writes down which code was sent to an address; nothing, where that is the lead's no longer.
    pub fn code_sent(&mut self, email: &str, code: &str, at: Timestamp) {
        if self.people.safeguarding_lead.email == email {
            self.lead_contact.sent = Some(SentCode { code: code.to_owned(), at, wrong: 0 });
        }
    }

    /// Confirms the safeguarding lead's address, if this is the code that was sent there.
    ///
    /// # Errors
    ///
    /// When it is not, or is not good any more. A wrong guess is counted.
    pub fn confirm_lead(&mut self, typed: &str, now: Timestamp) -> Result<(), CodeError> {
        let sent = self.lead_contact.sent.as_mut().ok_or(CodeError::NotSent)?;
        if !sent.is_good(now) {
            return Err(CodeError::Ended);
        }
        let typed: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
        if typed != sent.code {
            sent.wrong += 1;
            return Err(CodeError::Wrong);
        }
        self.lead_contact = LeadContact { confirmed: Some(now), sent: None };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::school::Person;

    fn moment(hours: i64) -> Timestamp {
        "2026-11-26T10:15:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hours)
    }

    fn people(name: &str, email: &str, phone: &str) -> People {
        People { safeguarding_lead: Person::new(name, email, phone).unwrap(), ..People::default() }
    }

    fn asked() -> SchoolFile {
        let mut file = SchoolFile::default();
        file.set_people(people("Ms Obi", "obi@school.example", ""));
        file.code_sent("obi@school.example", "042137", moment(0));
        file
    }

    #[test]
    fn the_code_that_was_sent_confirms_and_is_good_once() {
        let mut file = asked();
        assert_eq!(file.confirm_lead(" 042 137 ", moment(1)), Ok(()));
        assert_eq!(file.lead_confirmed(), Some(moment(1)));
        assert_eq!(file.confirm_lead("042137", moment(1)), Err(CodeError::NotSent));
        let text = toml::to_string(&file).unwrap();
        assert_eq!(toml::from_str::<SchoolFile>(&text).unwrap(), file);
    }

    #[test]
    fn a_code_ends_after_a_day_and_after_wrong_guesses() {
        let mut file = asked();
        assert_eq!(file.confirm_lead("042137", moment(24)), Err(CodeError::Ended));
        for _ in 0..MOST_GUESSES {
            assert_eq!(file.confirm_lead("000000", moment(1)), Err(CodeError::Wrong));
        }
        assert_eq!(file.confirm_lead("042137", moment(1)), Err(CodeError::Ended));
        assert_eq!(file.lead_confirmed(), None);
    }

    #[test]
    fn another_name_or_address_is_not_confirmed_and_another_telephone_is_the_same_person() {
        let confirmed = || {
            let mut file = asked();
            file.confirm_lead("042137", moment(1)).unwrap();
            file
        };
        let mut file = confirmed();
        file.set_people(people("Ms Obi", "obi@school.example", "01632 960001"));
        assert!(file.lead_confirmed().is_some());
        for (name, email) in
            [("Mr Ray", "obi@school.example"), ("Ms Obi", "ray@school.example"), ("Ms Obi", "")]
        {
            let mut file = confirmed();
            file.set_people(people(name, email, ""));
            file.set_people(people("Ms Obi", "obi@school.example", ""));
            assert_eq!(file.lead_confirmed(), None, "{name} {email}");
            // A message that was on its way to who it was before confirms nothing.
            file.code_sent("old@school.example", "111111", moment(1));
            assert_eq!(file.confirm_lead("111111", moment(1)), Err(CodeError::NotSent));
        }
    }

    #[test]
    fn codes_have_six_digits() {
        for _ in 0..50 {
            let code = new_code().unwrap();
            assert!(code.len() == 6 && code.chars().all(|c| c.is_ascii_digit()), "{code}");
        }
    }
}
