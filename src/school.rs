//! Who answers for filtering at the school, of which type it is, and how far its set-up came: `school.toml` in the data
//! folder.
//!
//! None of it decides about a name, so it is no part of the policy, and a change of it makes no revision.

mod contact;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tracing::error;

pub use self::contact::{CODE_HOURS, CodeError, LeadContact, MOST_GUESSES, SentCode, new_code};
use crate::{disk, policy::Mode};

/// The file's name in the data folder.
pub const FILE: &str = "school.toml";

/// How long a name or an address of a person can be, in characters.
pub const LONGEST: usize = 100;

/// What the box knows of the school beside its policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SchoolFile {
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// What of the set-up was done.
    pub set_up: BTreeSet<Step>,
    /// Who answers for what.
    pub people: People,
    /// The trial that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// Whether the safeguarding lead can be reached by e-mail.
    pub lead_contact: LeadContact,
}

/// A time in which profiles only watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Its first day.
    pub began: Date,
    /// The day on which filtering begins by itself.
    pub ends: Date,
    /// How each profile that watches for it decided before.
    #[serde(default)]
    pub modes: BTreeMap<String, Mode>,
}

/// Who answers for filtering and monitoring.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct People {
    /// The designated safeguarding lead.
    pub safeguarding_lead: Person,
    /// The member of the senior leadership who is responsible.
    pub senior_leader: Person,
    /// The governor who is responsible.
    pub governor: Person,
}

/// Somebody, and how to reach them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Person {
    /// Their name; empty where nobody is named.
    pub name: String,
    /// An e-mail address; may be empty.
    pub email: String,
    /// A telephone number; may be empty.
    pub phone: String,
}

/// A type of school.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// 4 to 7 years.
    Infant,
    /// 7 to 11 years.
    Junior,
    /// 4 to 11 years.
    Primary,
    /// 11 to 18 years.
    Secondary,
    /// For pupils with special needs, of any age.
    Special,
    /// From the youngest to the oldest.
    AllThrough,
}

/// A step of the set-up that comes after the first user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The sealed code for the head teacher's safe.
    BreakGlass,
    /// The school's name, type and time zone.
    School,
    /// Through which server messages leave.
    Mail,
    /// Who answers for what.
    People,
    /// Who supplies the lists of illegal content.
    Suppliers,
    /// Which subnet has which profile.
    Networks,
    /// Active Directory.
    Directory,
    /// How names are resolved.
    Resolving,
    /// What is blocked for whom.
    Categories,
    /// Filter, or only watch at first.
    Start,
    /// Sending the network's questions here.
    Finish,
}

/// What can't be written down of a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonError {
    /// A text is too long or has more than one line.
    #[error("“{0}” can't be kept: write one line of at most {LONGEST} characters")]
    Text(String),
    /// It is no e-mail address.
    #[error("“{0}” is no e-mail address: write it as name@school.sch.uk")]
    Email(String),
    /// It is no telephone number.
    #[error("“{0}” is no telephone number: write digits, spaces, + and brackets")]
    Phone(String),
    /// There are ways to reach somebody who is not named.
    #[error("there is an e-mail address or a telephone number without a name: write whose it is")]
    Nameless,
}

impl Kind {
    /// Every type.
    pub const ALL: [Self; 6] =
        [Self::Infant, Self::Junior, Self::Primary, Self::Secondary, Self::Special, Self::AllThrough];

    /// The word in files and forms.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Infant => "infant",
            Self::Junior => "junior",
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Special => "special",
            Self::AllThrough => "all-through",
        }
    }

    /// The type of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The shipped profiles that such a school needs, by their identifiers.
    #[must_use]
    pub fn profiles(self) -> &'static [&'static str] {
        match self {
            Self::Infant => &["ks1", "staff", "staff-byod", "guest"],
            Self::Junior => &["ks2", "staff", "staff-byod", "guest"],
            Self::Primary => &["ks1", "ks2", "staff", "staff-byod", "guest"],
            Self::Secondary => &["secondary", "staff", "staff-byod", "pupil-byod", "guest"],
            Self::Special | Self::AllThrough => {
                &["ks1", "ks2", "secondary", "staff", "staff-byod", "pupil-byod", "guest"]
            }
        }
    }
}

impl Step {
    /// Every step, in its order.
    pub const ALL: [Self; 11] = [
        Self::BreakGlass,
        Self::School,
        Self::Mail,
        Self::People,
        Self::Suppliers,
        Self::Networks,
        Self::Directory,
        Self::Resolving,
        Self::Categories,
        Self::Start,
        Self::Finish,
    ];

    /// The word in files and addresses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::BreakGlass => "break-glass",
            Self::School => "school",
            Self::Mail => "mail",
            Self::People => "people",
            Self::Suppliers => "suppliers",
            Self::Networks => "networks",
            Self::Directory => "directory",
            Self::Resolving => "resolving",
            Self::Categories => "categories",
            Self::Start => "start",
            Self::Finish => "finish",
        }
    }

    /// The step after it; none after the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        let place = Self::ALL.iter().position(|step| *step == self)?;
        Self::ALL.get(place + 1).copied()
    }
}

impl Person {
    /// Somebody, with spaces around taken off.
    ///
    /// # Errors
    ///
    /// When the name, the address or the number can't be one.
    pub fn new(name: &str, email: &str, phone: &str) -> Result<Self, PersonError> {
        let text = |text: &str| {
            let text = text.trim();
            if text.chars().count() > LONGEST || text.chars().any(char::is_control) {
                return Err(PersonError::Text(text.chars().filter(|c| !c.is_control()).take(40).collect()));
            }
            Ok(text.to_owned())
        };
        let person = Self { name: text(name)?, email: text(email)?, phone: text(phone)? };
        let is_email = |email: &str| {
            email.split_once('@').is_some_and(|(user, host)| {
                !user.is_empty() && host.contains('.') && !host.contains('@') && !host.starts_with('.')
            }) && !email.contains([' ', '<', '>', '"', ',', ';'])
        };
        if !person.email.is_empty() && !is_email(&person.email) {
            return Err(PersonError::Email(person.email));
        }
        let is_sign = |c: char| c.is_ascii_digit() || " +()-.x".contains(c);
        let is_phone = |text: &str| text.chars().all(is_sign) && text.chars().any(|c| c.is_ascii_digit());
        if !person.phone.is_empty() && !is_phone(&person.phone) {
            return Err(PersonError::Phone(person.phone));
        }
        if person.name.is_empty() && !(person.email.is_empty() && person.phone.is_empty()) {
            return Err(PersonError::Nameless);
        }
        Ok(person)
    }
}

impl SchoolFile {
    /// The first step of the set-up that was not done; none when all were.
    #[must_use]
    pub fn next_step(&self) -> Option<Step> {
        Step::ALL.into_iter().find(|step| !self.set_up.contains(step))
    }
}

/// The file, read once and written at each change.
#[derive(Debug)]
pub struct School {
    path: PathBuf,
    file: Mutex<Arc<SchoolFile>>,
}

impl School {
    /// Reads the file in the data folder. One that can't be understood is set aside as `school.damaged.toml`, with an
    /// error in the log, and nothing is known of the school.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        let path = folder.join(FILE);
        let file = match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).unwrap_or_else(|error| {
                let aside = folder.join("school.damaged.toml");
                error!(%error, file = %path.display(), aside = %aside.display(), "What is known of the school can't be read; it is set aside");
                if let Err(error) = fs::rename(&path, &aside) {
                    error!(%error, "It can't be set aside");
                }
                SchoolFile::default()
            }),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    error!(%error, file = %path.display(), "What is known of the school can't be read");
                }
                SchoolFile::default()
            }
        };
        Self { path, file: Mutex::new(Arc::new(file)) }
    }

    /// What is known of the school.
    #[must_use]
    pub fn file(&self) -> Arc<SchoolFile> {
        Arc::clone(&self.file.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what is known and writes it down; nothing is written where nothing changed.
    ///
    /// # Errors
    ///
    /// When the file can't be written; then nothing has changed.
    pub fn change(&self, change: impl FnOnce(&mut SchoolFile)) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = SchoolFile::clone(&file);
        change(&mut new);
        if new == **file {
            return Ok(());
        }
        let text = toml::to_string(&new).map_err(io::Error::other)?;
        disk::replace_secret(&self.path, text.as_bytes())?;
        *file = Arc::new(new);
        Ok(())
    }

    /// Writes down that a step of the set-up was done.
    ///
    /// # Errors
    ///
    /// When the file can't be written.
    pub fn done(&self, step: Step) -> io::Result<()> {
        self.change(|file| {
            file.set_up.insert(step);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Tables;

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let school = School::open(folder.path());
        assert_eq!(*school.file(), SchoolFile::default());
        assert_eq!(school.file().next_step(), Some(Step::BreakGlass));
        school
            .change(|file| {
                file.kind = Some(Kind::AllThrough);
                file.people.governor =
                    Person::new(" Ada Obi ", "ada@school.example", "01632 960 001").unwrap();
                file.trial = Some(Trial {
                    began: jiff::civil::date(2026, 11, 26),
                    ends: jiff::civil::date(2026, 12, 3),
                    modes: [(String::from("ks1"), Mode::AllowOnly)].into(),
                });
                file.set_up.extend(Step::ALL);
            })
            .unwrap();
        let again = School::open(folder.path());
        assert_eq!(again.file(), school.file());
        assert_eq!(again.file().people.governor.name, "Ada Obi");
        assert_eq!(again.file().next_step(), None);
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "kind = \"castle\"").unwrap();
        let school = School::open(folder.path());
        assert_eq!(*school.file(), SchoolFile::default());
        school.done(Step::School).unwrap();
        let aside = fs::read_to_string(folder.path().join("school.damaged.toml")).unwrap();
        assert_eq!(aside, "kind = \"castle\"");
    }

    #[test]
    fn contacts_are_checked_and_say_what_would_be_right() {
        for (name, email, phone) in [
            ("", "", ""),
            ("A", "", ""),
            ("A", "a@b.example", "+44 (0)1632 960001"),
            ("A", "o'n+x@b.example", ""),
        ] {
            Person::new(name, email, phone).unwrap();
        }
        let long = "a".repeat(LONGEST + 1);
        for (name, email, phone) in [
            ("", "a@b.example", ""),
            ("A", "a", ""),
            ("A", "a@b", ""),
            ("A", "a b@c.example", ""),
            ("A", "<a@b.example>", ""),
            ("A", "", "call me"),
            ("A", "", "+"),
            ("A\nB", "", ""),
            (&long, "", ""),
        ] {
            assert!(Person::new(name, email, phone).is_err(), "{name:?} {email:?} {phone:?}");
        }
    }

    #[test]
    fn each_type_of_school_has_shipped_profiles_for_pupils_and_staff() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_word(kind.word()), Some(kind));
            let has = |audience| {
                let shipped = &Tables::shipped().profiles;
                kind.profiles().iter().any(|id| shipped.iter().any(|p| p.id == *id && p.audience == audience))
            };
            assert!(
                has(crate::category::Audience::Pupil) && has(crate::category::Audience::Staff),
                "{kind:?}"
            );
            for id in kind.profiles() {
                assert!(Tables::shipped().profiles.iter().any(|profile| profile.id == *id), "{id}");
            }
        }
    }

    #[test]
    fn steps_follow_each_other_to_the_last() {
        let mut step = Step::BreakGlass;
        let mut seen = vec![step];
        while let Some(next) = step.next() {
            step = next;
            seen.push(step);
        }
        assert_eq!(seen, Step::ALL);
    }
}
