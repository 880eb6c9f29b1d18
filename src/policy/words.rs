//! The words that stored records, JSON and files use for what was decided; they never change.

use super::{BlockResponse, Reason};

impl BlockResponse {
    /// The word of `block_with` in `policy.toml`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::BlockPage => "block-page",
            Self::NxDomain => "nxdomain",
            Self::NoData => "nodata",
            Self::NullAddress => "null-address",
            Self::Refused => "refused",
        }
    }
}

impl Reason {
    /// The reason in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Locked(_) => "locked",
            Self::Suspended => "suspended",
            Self::Lesson(_) => "lesson",
            Self::Canary => "canary",
            Self::BlockRule(_) => "block-rule",
            Self::AllowRule(_) => "allow-rule",
            Self::Exception(_) => "exception",
            Self::Essential => "essential",
            Self::AllowOnly => "allow-only",
            Self::Approved => "approved",
            Self::BlockService(_) => "block-service",
            Self::AllowService(_) => "allow-service",
            Self::Category(_) => "category",
            Self::Schedule(_) => "schedule",
            Self::Uncategorised => "uncategorised",
            Self::NewlySeen { .. } => "newly-seen",
            Self::SafeSearch(_) => "safe-search",
            Self::Alias { .. } => "alias",
            Self::Address { .. } => "address",
            Self::LockedAddress { .. } => "locked-address",
            Self::NameServer(by) if by.locked => "locked-name-server",
            Self::NameServer(_) => "name-server",
            Self::Rebinding(_) => "rebinding",
            Self::Default => "default",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_response_is_the_word_of_the_file() {
        for response in BlockResponse::ALL {
            assert_eq!(serde_json::to_value(response).unwrap(), response.word());
        }
    }
}
