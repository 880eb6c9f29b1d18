//! Extended DNS errors (RFC 8914): why an answer is what it is, in a number and a text.

/// One extended error of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ede {
    /// What kind of error.
    pub code: EdeCode,
    /// For people; may be empty.
    pub text: String,
}

impl Ede {
    /// An error with a text.
    pub fn new(code: EdeCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// The info codes of RFC 8914 (and of the registry since) that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[expect(missing_docs, reason = "the names are the registry's")]
pub enum EdeCode {
    Other = 0,
    UnsupportedDnskeyAlgorithm = 1,
    UnsupportedDsDigestType = 2,
    StaleAnswer = 3,
    ForgedAnswer = 4,
    DnssecIndeterminate = 5,
    DnssecBogus = 6,
    SignatureExpired = 7,
    SignatureNotYetValid = 8,
    DnskeyMissing = 9,
    RrsigsMissing = 10,
    NsecMissing = 12,
    CachedError = 13,
    NotReady = 14,
    Blocked = 15,
    Censored = 16,
    Filtered = 17,
    Prohibited = 18,
    StaleNxdomainAnswer = 19,
    NotAuthoritative = 20,
    NotSupported = 21,
    NoReachableAuthority = 22,
    NetworkError = 23,
    InvalidData = 24,
}
