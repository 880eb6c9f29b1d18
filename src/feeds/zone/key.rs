//! Keys that transfers are signed with.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::BASE64;
use ring::hmac;
use serde::Deserialize;

use super::wire::Name;
use crate::disk;

/// The largest file that can be a key's.
const MAX_FILE: u64 = 64 * 1024;
/// The shortest secret that is taken, in bytes: under 128 bits it can be guessed.
const MIN_SECRET: usize = 16;

/// A `[[lists.key]]` of the box's settings: which key signs, and where its secret is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The name of the key, as its primary knows it.
    pub name: String,
    /// How it signs; HMAC-SHA256, if left out.
    #[serde(default)]
    pub algorithm: KeyAlgorithm,
    /// The file with the secret: base64, or a `key` clause as BIND writes it.
    pub secret_file: PathBuf,
}

/// How a key signs. MD5 and SHA-1 are not among them: they are too weak by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
pub enum KeyAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// HMAC with SHA-384.
    #[serde(rename = "hmac-sha384")]
    HmacSha384,
    /// HMAC with SHA-512.
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
}

impl KeyConfig {
    /// Whether the settings are right, as far as that can be told without the file.
    ///
    /// # Errors
    ///
    /// When the name is no name.
    pub fn check(&self) -> Result<(), KeyError> {
        parse_name(&self.name).map(|_| ()).ok_or_else(|| self.wrong(KeyProblem::Name))
    }

    fn wrong(&self, why: KeyProblem) -> KeyError {
        KeyError { name: self.name.clone(), file: self.secret_file.clone(), why }
    }
}

impl KeyAlgorithm {
    const ALL: [Self; 3] = [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// As settings and zone servers write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    fn ring(self) -> hmac::Algorithm {
        match self {
            Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha384 => hmac::HMAC_SHA384,
            Self::HmacSha512 => hmac::HMAC_SHA512,
        }
    }
}

/// A key that signs zone transfers and the notices of new versions (TSIG, RFC 8945).
///
/// What is written for debugging has its name, never its secret.
#[derive(Clone)]
pub struct TsigKey(Arc<Inner>);

struct Inner {
    name: Name,
    algorithm: KeyAlgorithm,
    /// The algorithm as signatures name it.
    algorithm_name: Name,
    hmac: hmac::Key,
}

impl fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TsigKey")
            .field("name", &self.0.name)
            .field("algorithm", &self.0.algorithm.word())
            .finish_non_exhaustive()
    }
}

impl TsigKey {
    /// Reads the key that the settings describe.
    ///
    /// # Errors
    ///
    /// When its file can't be read, holds no secret or one that is too short, or holds a key of another name or
    /// algorithm than the settings say. Never repeats what the file holds.
    pub fn load(config: &KeyConfig) -> Result<Self, KeyError> {
        let wrong = |why| config.wrong(why);
        let text = read(&config.secret_file).map_err(|source| wrong(KeyProblem::Read(source)))?;
        let secret = secret(&text, config).map_err(wrong)?;
        Self::new(&config.name, config.algorithm, &secret).map_err(wrong)
    }

    /// A key from its parts.
    ///
    /// # Errors
    ///
    /// When the name is no name, or the secret is shorter than 16 bytes.
    pub fn new(name: &str, algorithm: KeyAlgorithm, secret: &[u8]) -> Result<Self, KeyProblem> {
        let name = parse_name(name).ok_or(KeyProblem::Name)?;
        if secret.len() < MIN_SECRET {
            return Err(KeyProblem::Short(secret.len()));
        }
        let algorithm_name = parse_name(algorithm.word()).ok_or(KeyProblem::Name)?;
        let hmac = hmac::Key::new(algorithm.ring(), secret);
        Ok(Self(Arc::new(Inner { name, algorithm, algorithm_name, hmac })))
    }

    /// Its name, with a last dot.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.name.text()
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.0.algorithm
    }

    pub(super) fn owner(&self) -> &Name {
        &self.0.name
    }

    pub(super) fn algorithm_name(&self) -> &Name {
        &self.0.algorithm_name
    }

    pub(super) fn begin(&self) -> hmac::Context {
        hmac::Context::with_key(&self.0.hmac)
    }
}

/// Why a key can't be used.
#[derive(Debug, thiserror::Error)]
#[error("key {name:?}, {file}: {why}", file = file.display())]
pub struct KeyError {
    /// The key's name in the settings.
    pub name: String,
    /// The file of its secret.
    pub file: PathBuf,
    /// What is wrong.
    #[source]
    pub why: KeyProblem,
}

/// What is wrong with a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyProblem {
    /// The file can't be read.
    #[error("can't be read ({0})")]
    Read(io::Error),
    /// The name is none.
    #[error("the key's name has to be a name like transfer.trust.example, as the zone's primary knows it")]
    Name,
    /// There is no secret.
    #[error("holds no secret; write the base64 text that the zone's operator gave you, or its key clause")]
    NoSecret,
    /// The secret is no base64.
    #[error("the secret is not base64; copy it again, whole and without anything else on its line")]
    NotBase64,
    /// The secret has so few bytes.
    #[error("the secret has {0} bytes, which can be guessed; ask the zone's operator for one of 32 or more")]
    Short(usize),
    /// The file is of another key.
    #[error("holds the key {0:?}; correct the name in the settings, or the file")]
    OtherName(String),
    /// The file is of another algorithm.
    #[error("the file says {0}; the settings have to say the same as algorithm, one of {known}", known = words())]
    OtherAlgorithm(String),
}

fn words() -> String {
    KeyAlgorithm::ALL.map(KeyAlgorithm::word).join(", ")
}

fn parse_name(text: &str) -> Option<Name> {
    let mut name = hickory_proto::rr::Name::from_ascii(text).ok()?;
    name.set_fqdn(true);
    Name::of(&name).filter(|name| name.wire().len() > 1)
}

fn read(file: &Path) -> io::Result<String> {
    String::from_utf8(disk::read(file, MAX_FILE)?).map_err(|_| io::Error::other("it is no text"))
}

/// The secret of a file.
fn secret(text: &str, config: &KeyConfig) -> Result<Vec<u8>, KeyProblem> {
    let words = words_of(text);
    let encoded = match words.iter().position(|word| word == "key") {
        Some(at) if words.get(at + 2).is_some_and(|word| word == "{") => {
            let name = &words[at + 1];
            if parse_name(name) != parse_name(&config.name) {
                return Err(KeyProblem::OtherName(name.clone()));
            }
            let after = |keyword: &str| {
                let found = words.iter().skip(at).position(|word| word.eq_ignore_ascii_case(keyword))?;
                words.get(at + found + 1).filter(|word| *word != ";")
            };
            let algorithm = after("algorithm").map_or("hmac-sha256", String::as_str);
            if !algorithm.trim_end_matches('.').eq_ignore_ascii_case(config.algorithm.word()) {
                return Err(KeyProblem::OtherAlgorithm(algorithm.to_owned()));
            }
            after("secret").ok_or(KeyProblem::NoSecret)?.clone()
        }
        _ => text.split_ascii_whitespace().collect(),
    };
    if encoded.is_empty() {
        return Err(KeyProblem::NoSecret);
    }
    BASE64.decode(encoded.as_bytes()).map_err(|_| KeyProblem::NotBase64)
}

/// The words of a file in BIND's syntax: without comments and quotation marks, `{`, `}` and `;` for themselves.
fn words_of(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        // Base64 has slashes, so a comment begins only where a word would.
        if word.is_empty() && (rest.starts_with('#') || rest.starts_with("//")) {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        if word.is_empty() && rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
            continue;
        }
        rest = &rest[c.len_utf8()..];
        if c == '"' && word.is_empty() {
            let end = rest.find('"').unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            rest = rest.get(end + 1..).unwrap_or("");
        } else if c.is_whitespace() || matches!(c, '{' | '}' | ';') {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            if !c.is_whitespace() {
                words.push(c.to_string());
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SECRET: &str = "3q2+7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA8=";

    fn load(text: &str, name: &str) -> Result<TsigKey, String> {
        let folder = tempfile::tempdir().unwrap();
        let secret_file = folder.path().join("key");
        fs::write(&secret_file, text).unwrap();
        let config = KeyConfig { name: name.into(), algorithm: KeyAlgorithm::HmacSha256, secret_file };
        TsigKey::load(&config).map_err(|error| error.to_string())
    }

    fn sign(key: &TsigKey) -> Vec<u8> {
        key.begin().sign().as_ref().to_vec()
    }

    #[test]
    fn a_secret_is_read_alone_or_in_a_clause() {
        let plain = load(&format!("{SECRET}\n"), "transfer").unwrap();
        let clause = format!(
            "# from the trust\n/* a // b */ key \"Transfer.\" {{\n\talgorithm HMAC-SHA256;\n\tsecret \"{SECRET}\"; // s\n}};\n"
        );
        assert_eq!(sign(&load(&clause, "transfer").unwrap()), sign(&plain));
        let bare = format!("key transfer{{algorithm hmac-sha256;secret {SECRET};}};");
        assert_eq!(sign(&load(&bare, "transfer").unwrap()), sign(&plain));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_secret() {
        for (text, told) in [
            ("", "holds no secret"),
            ("key \"transfer\" { algorithm hmac-sha256; };", "holds no secret"),
            ("c2hvcnQ=", "5 bytes"),
            ("not base64!", "not base64"),
            (&format!("key other {{ secret \"{SECRET}\"; }};"), "holds the key \"other\""),
            (
                &format!("key transfer {{ algorithm hmac-md5; secret \"{SECRET}\"; }};"),
                "one of hmac-sha256, ",
            ),
        ] {
            let error = load(text, "transfer").unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
            assert!(error.starts_with("key \"transfer\", /"), "{error}");
            assert!(!error.contains(SECRET), "{error}");
        }
        assert!(load(SECRET, "no name").unwrap_err().contains("has to be a name"));
    }

    #[test]
    fn settings_name_the_algorithm_and_the_weak_ones_are_not_known() {
        let parse = |algorithm: &str| {
            toml::from_str::<KeyConfig>(&format!("name = \"a\"\nsecret_file = \"b\"\n{algorithm}"))
        };
        assert_eq!(parse("").unwrap().algorithm, KeyAlgorithm::HmacSha256);
        assert_eq!(parse("algorithm = \"hmac-sha512\"").unwrap().algorithm, KeyAlgorithm::HmacSha512);
        for weak in ["hmac-md5", "hmac-sha1", "hmac-md5.sig-alg.reg.int"] {
            let error = parse(&format!("algorithm = \"{weak}\"")).unwrap_err().to_string();
            assert!(error.contains("hmac-sha256"), "{error}");
        }
        assert!(parse("secret = \"x\"").is_err());
    }

    #[test]
    fn debugging_shows_no_secret() {
        let key = TsigKey::new("transfer", KeyAlgorithm::HmacSha256, b"sixteen bytes ok").unwrap();
        assert_eq!(format!("{key:?}"), "TsigKey { name: transfer., algorithm: \"hmac-sha256\", .. }");
    }
}
