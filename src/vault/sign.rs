//! Signatures by which it can be told that a file left this box and was not changed since (Ed25519, RFC 8032).
//!
//! `ring` makes and checks them, which is the program's one provider of cryptography.

use std::fmt;

use ring::{
    digest,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};

/// The key with which a box signs. The same for as long as the box has its secret key.
pub struct SigningKey(Ed25519KeyPair);

/// The public half of a [`SigningKey`], which may be known to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey([u8; 32]);

impl SigningKey {
    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        // Any 32 bytes are a seed.
        Self(Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are a seed"))
    }

    /// What signatures of this key are checked with.
    #[must_use]
    pub fn public(&self) -> VerifyingKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        VerifyingKey(bytes)
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.0.sign(message).as_ref());
        signature
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public()).finish()
    }
}

impl VerifyingKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether the signature is this key's, and of this message.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }

    /// What people compare: the first 16 bytes of the key's SHA-256, in groups of four hexadecimal digits
    /// (`3fa9-c0ff-…`).
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hash = digest::digest(&digest::SHA256, &self.0);
        let groups: Vec<String> =
            hash.as_ref()[..16].chunks(2).map(|two| format!("{:02x}{:02x}", two[0], two[1])).collect();
        groups.join("-")
    }
}
