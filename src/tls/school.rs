//! The school's own certificate: what it must be, and its two files.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use rustls::{
    CertificateError, Error, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
    sign::CertifiedKey,
};

use super::{clock_is_set, facts::Facts, warn_if_open};
use crate::disk;

const CHAIN: &str = "school.crt";
const KEY: &str = "school.key";
/// Where the two stand until both are whole.
const NEW_CHAIN: &str = "school.new.crt";
const NEW_KEY: &str = "school.new.key";

/// The largest file of a chain or a key that is read, in bytes.
const MOST: u64 = 256 * 1024;

/// What is wrong with a school's certificate or key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The text of the certificate has none.
    #[error(
        "there is no certificate in it: it has to be PEM text, which begins with -----BEGIN CERTIFICATE-----{}",
        hint(*.binary)
    )]
    NoCertificate {
        /// Whether it is no text at all.
        binary: bool,
    },
    /// A certificate of the chain can't be read.
    #[error("certificate {number} of the file can't be read: it is damaged; copy the file again")]
    DamagedCertificate {
        /// Which one, from 1.
        number: usize,
    },
    /// The text of the key has none.
    #[error(
        "there is no private key in it: it has to be PEM text with a line such as -----BEGIN PRIVATE KEY-----{}",
        hint(*.binary)
    )]
    NoKey {
        /// Whether it is no text at all.
        binary: bool,
    },
    /// The key is locked with a password.
    #[error(
        "the private key is locked with a password, which the box doesn't know; unlock it with: \
         openssl pkey -in locked.key -out school.key"
    )]
    LockedKey,
    /// The key is of a kind that the box can't use.
    #[error(
        "the box can't use this private key: it has to be RSA with 2048 to 4096 bits, ECDSA P-256 or P-384, or Ed25519"
    )]
    KindOfKey,
    /// The key belongs to another certificate.
    #[error(
        "the private key doesn't belong to the certificate: give the key that the certificate was asked for with"
    )]
    OtherKey,
    /// The key belongs to another certificate of the chain.
    #[error(
        "the private key belongs to certificate {number} of the file: put the school's own certificate first, then \
         the one that signed it"
    )]
    Order {
        /// Which one, from 2.
        number: usize,
    },
    /// The second certificate of the chain did not sign the first.
    #[error(
        "certificate 2 of the file did not sign certificate 1: after the school's own certificate comes the \
         intermediate certificate that its supplier gave with it"
    )]
    Chain,
    /// The certificate can't be used by a server.
    #[error("the certificate is not one for a web server: ask for one with server authentication")]
    Purpose,
    /// The certificate has no names that browsers look at.
    #[error(
        "the certificate is for no site: browsers look only at its subject alternative names, and it has none; ask \
         for one with the box's name in them"
    )]
    NoNames,
    /// The certificate, or the one that signed it, holds no more.
    #[error("certificate {number} of the file ended on {}; get a new one", day(*.ended))]
    Expired {
        /// Which one, from 1.
        number: usize,
        /// The last moment at which it held.
        ended: Timestamp,
    },
    /// The certificate, or the one that signed it, doesn't hold yet.
    #[error("certificate {number} of the file holds from {} on; look whether the box's clock is right", day(*.from))]
    Early {
        /// Which one, from 1.
        number: usize,
        /// The first moment at which it holds.
        from: Timestamp,
    },
}

fn hint(binary: bool) -> &'static str {
    if binary { " (this looks like a .pfx, .p12 or .der file: convert it to PEM)" } else { "" }
}

/// A day in words, in UTC.
pub(super) fn day(time: Timestamp) -> String {
    time.to_zoned(jiff::tz::TimeZone::UTC).strftime("%-d %B %Y").to_string()
}

/// A certificate that can be shown to browsers.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) facts: Facts,
}

/// Reads a chain and a key, and says what is wrong with them.
///
/// While the box's clock is not set, the dates are left to the browsers.
pub(super) fn read(chain_pem: &[u8], key_pem: &[u8], now: Timestamp) -> Result<Pair, Unfit> {
    let provider = ring::default_provider();
    let (chain, facts) = read_chain(chain_pem)?;
    let key = read_key(key_pem, &provider)?;
    let certified = CertifiedKey::new(chain, key);
    // All keys that this provider loads know their public key, so not to know whether they match is not to match.
    if certified.keys_match().is_err() {
        let public = certified.key.public_key();
        let other =
            facts.iter().position(|f| public.as_ref().is_some_and(|key| key.as_ref() == f.public_key));
        return Err(other.map_or(Unfit::OtherKey, |at| Unfit::Order { number: at + 1 }));
    }
    if facts[0].names.is_empty() {
        return Err(Unfit::NoNames);
    }
    if clock_is_set(now) {
        // Of what signed them, browsers may know another way up than the file has.
        for (at, facts) in facts.iter().take(2).enumerate() {
            if now > facts.not_after {
                return Err(Unfit::Expired { number: at + 1, ended: facts.not_after });
            }
            if now < facts.not_before {
                return Err(Unfit::Early { number: at + 1, from: facts.not_before });
            }
        }
    }
    if let [own, signer, ..] = certified.cert.as_slice() {
        verify(own, signer, facts[0].not_before, &provider)?;
    }
    let facts = facts.into_iter().next().ok_or(Unfit::NoCertificate { binary: false })?;
    Ok(Pair { key: Arc::new(certified), facts })
}

fn read_chain(pem: &[u8]) -> Result<(Vec<CertificateDer<'static>>, Vec<Facts>), Unfit> {
    let mut chain = Vec::new();
    let mut facts = Vec::new();
    for (at, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let damaged = Unfit::DamagedCertificate { number: at + 1 };
        let Ok(certificate) = certificate else { return Err(damaged) };
        facts.push(Facts::read(&certificate).ok_or(damaged)?);
        chain.push(certificate);
    }
    if chain.is_empty() {
        return Err(Unfit::NoCertificate { binary: is_binary(pem) });
    }
    // Facts are read by one parser and handshakes made by another: both must know what it is.
    ParsedCertificate::try_from(&chain[0]).map_err(|_| Unfit::DamagedCertificate { number: 1 })?;
    Ok((chain, facts))
}

fn read_key(pem: &[u8], provider: &CryptoProvider) -> Result<Arc<dyn rustls::sign::SigningKey>, Unfit> {
    let text = String::from_utf8_lossy(pem);
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(Unfit::LockedKey);
    }
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| Unfit::NoKey { binary: is_binary(pem) })?;
    provider.key_provider.load_private_key(key).map_err(|_| Unfit::KindOfKey)
}

fn is_binary(text: &[u8]) -> bool {
    text.first() == Some(&0x30) || std::str::from_utf8(text).is_err()
}

/// Whether `signer` signed `own`, as a certificate for a server; the dates are judged elsewhere, at `when` all hold.
pub(super) fn verify(
    own: &CertificateDer<'_>,
    signer: &CertificateDer<'_>,
    when: Timestamp,
    provider: &CryptoProvider,
) -> Result<(), Unfit> {
    let parsed = ParsedCertificate::try_from(own).map_err(|_| Unfit::DamagedCertificate { number: 1 })?;
    let mut roots = RootCertStore::empty();
    roots.add(signer.clone().into_owned()).map_err(|_| Unfit::DamagedCertificate { number: 2 })?;
    let seconds = u64::try_from(when.as_second()).unwrap_or(0);
    let when = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let algorithms = provider.signature_verification_algorithms.all;
    rustls::client::verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], when, algorithms).map_err(
        |error| match error {
            Error::InvalidCertificate(
                CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
            ) => Unfit::Purpose,
            _ => Unfit::Chain,
        },
    )
}

/// What the folder has of the school's.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// A certificate that can be used.
    Good(Pair),
    /// One that can't, with what is wrong.
    Bad(String),
}

/// Reads what the folder has.
pub(super) fn load(folder: &Path, now: Timestamp) -> Found {
    if let Err(error) = finish(folder) {
        return Found::Bad(format!("the new files can't be put in their place: {error}"));
    }
    let [chain, key] = [CHAIN, KEY].map(|file| folder.join(file));
    let chain = match disk::read(&chain, MOST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Nothing,
        Err(error) => return Found::Bad(format!("{}: {error}", chain.display())),
    };
    let key = match disk::read(&key, MOST) {
        Ok(bytes) => zeroize::Zeroizing::new(bytes),
        Err(error) => return Found::Bad(format!("{}: {error}", key.display())),
    };
    warn_if_open(&folder.join(KEY));
    match read(&chain, &key, now) {
        Ok(pair) => Found::Good(pair),
        Err(unfit) => Found::Bad(unfit.to_string()),
    }
}

/// Puts a chain and its key in the place of those that are there: after a power cut it is the old two or the new two.
pub(super) fn write(folder: &Path, chain: &[u8], key: &[u8]) -> io::Result<()> {
    disk::replace_secret(&folder.join(NEW_KEY), key)?;
    // From here on both are whole, and `finish` goes on whatever happens.
    disk::replace(&folder.join(NEW_CHAIN), chain)?;
    finish(folder)
}

/// Brings to its end what [`write()`] began, if it came so far that both new files are there.
fn finish(folder: &Path) -> io::Result<()> {
    let [chain, key, new_chain, new_key] = [CHAIN, KEY, NEW_CHAIN, NEW_KEY].map(|file| folder.join(file));
    if !new_chain.try_exists()? {
        return disk::remove(&new_key);
    }
    // The key moves first, so a new chain alone says that its key is in place already.
    if new_key.try_exists()? {
        fs::rename(new_key, key)?;
    }
    fs::rename(new_chain, chain)
}

/// Removes what is the school's; the chain first, since a key alone is nothing.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    [NEW_CHAIN, NEW_KEY, CHAIN, KEY]
        .map(|file| folder.join(file))
        .iter()
        .try_for_each(|file| disk::remove(file))
}
