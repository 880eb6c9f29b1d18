//! The box's own authority, and the certificate that it signs for the box.
//!
//! `ca.key` and `ca.crt` are made once and kept; `server.pem` has the box's key and certificate in one file, so that
//! the two are of one making whatever moment the power goes at.

use std::{collections::BTreeSet, io, path::Path, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SanType, SerialNumber,
    date_time_ymd,
};
use ring::{
    digest,
    rand::{SecureRandom as _, SystemRandom},
};
use rustls::{
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::{EARLIEST, SubjectName, TlsError, clock_is_set, facts::Facts, school, warn_if_open};
use crate::disk;

const CA_KEY: &str = "ca.key";
const CA: &str = "ca.crt";
const SERVER: &str = "server.pem";

/// How long the authority holds.
const CA_HOLDS: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// How long the box's certificate holds; browsers take no longer one than 397 days.
const SERVER_HOLDS: SignedDuration = SignedDuration::from_hours(397 * 24);
/// What is left of either when it is made anew.
pub(super) const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How far the box's certificate reaches back, for browsers whose clocks are slow.
const SLOW_CLOCKS: SignedDuration = SignedDuration::from_hours(24);

/// The largest file that can be one of these, in bytes.
const MOST: u64 = 64 * 1024;

/// The box's own certificates, as they are in use.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) ca_pem: String,
    pub(super) ca: Facts,
    pub(super) server: school::Pair,
}

/// Reads the authority and the certificate, and makes what is missing, damaged, or due.
///
/// What went wrong, and a person should know, is added to `lasting` if it stays true after the next look, else to
/// `passing`.
pub(super) fn load(
    folder: &Path,
    names: &[SubjectName],
    now: Timestamp,
    lasting: &mut Vec<String>,
    passing: &mut Vec<String>,
) -> Result<Own, TlsError> {
    let authority = Authority::load(folder, now, lasting)?;
    let path = folder.join(SERVER);
    let bytes = read_secret(&path)?;
    let server = match bytes.as_ref().map(|bytes| authority.accept(bytes)) {
        Some(Some(server)) if is_due(&server.facts, names, now) => None,
        Some(Some(server)) => Some(server),
        Some(None) => {
            // After a new authority, what the old one signed is not damaged, but of no use all the same.
            let aside = disk::set_aside(&path, "damaged").map_err(|source| TlsError::write(&path, source))?;
            warn!(file = %path.display(), aside = %aside.display(), "The box's certificate is of no use and made anew");
            None
        }
        None => None,
    };
    let server = match server {
        Some(server) => server,
        None => {
            let (pem, server) = authority.sign(names, now)?;
            if let Err(error) = disk::replace_secret(&path, pem.as_bytes()) {
                // It serves as well from memory, and the next start makes another.
                passing.push(format!(
                    "The box's new certificate can't be written to {}: {error}.",
                    path.display()
                ));
            }
            info!(until = %server.facts.not_after, "A new certificate of the box is in use");
            server
        }
    };
    Ok(Own { ca_pem: authority.pem, ca: authority.facts, server })
}

fn is_due(facts: &Facts, names: &[SubjectName], now: Timestamp) -> bool {
    let wanted: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
    let has: BTreeSet<String> = facts.names.iter().cloned().collect();
    wanted != has || ends_soon(facts, now) || (clock_is_set(now) && now < facts.not_before)
}

fn ends_soon(facts: &Facts, now: Timestamp) -> bool {
    clock_is_set(now) && facts.not_after.duration_since(now) < RENEW_BEFORE
}

/// What signs the box's certificate.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    facts: Facts,
    pem: String,
}

impl Authority {
    fn load(folder: &Path, now: Timestamp, lasting: &mut Vec<String>) -> Result<Self, TlsError> {
        let [key_path, path] = [CA_KEY, CA].map(|file| folder.join(file));
        let key_pem = read_secret(&key_path)?;
        let pem = read(&path)?;
        let key = key_pem.as_ref().map(|pem| read_key(pem));
        let authority = match (&key, &pem) {
            (Some(Some(_)), Some(pem)) => key_pem.as_ref().and_then(|key| Self::read(key, pem)),
            _ => None,
        };
        let (was_there, ends) = match authority {
            Some(authority) if !ends_soon(&authority.facts, now) => return Ok(authority),
            Some(_) => (true, true),
            None => (key.is_some() || pem.is_some(), false),
        };
        let certified = pem.as_ref().and_then(|pem| Facts::read(&CertificateDer::from_pem_slice(pem).ok()?));
        // A good key whose certificate was lost signs another: browsers that trust the old one trust what it signs.
        let keeps_key = !ends && matches!(key, Some(Some(_)));
        let why = if ends { "expired" } else { "damaged" };
        let of_no_use = [(key.is_some() && !keeps_key).then_some(&key_path), pem.is_some().then_some(&path)];
        for file in of_no_use.into_iter().flatten() {
            let aside = disk::set_aside(file, why).map_err(|source| TlsError::write(file, source))?;
            warn!(
                file = %file.display(), aside = %aside.display(),
                "A file of the box's authority was {why} and lies aside"
            );
        }
        let key = match key.flatten() {
            Some(key) if keeps_key => key,
            _ => {
                let key = new_key()?;
                let pem = Zeroizing::new(key.serialize_pem());
                disk::replace_secret(&key_path, pem.as_bytes())
                    .map_err(|source| TlsError::write(&key_path, source))?;
                key
            }
        };
        let authority = Self::make(key, now)?;
        disk::replace(&path, authority.pem.as_bytes()).map_err(|source| TlsError::write(&path, source))?;
        let is_another =
            !keeps_key || certified.is_some_and(|old| old.public_key != authority.facts.public_key);
        if was_there && is_another {
            let what = if ends { "had come to its end" } else { "was damaged" };
            lasting.push(format!(
                "The box's own certificate authority {what} and was made anew: install the new one on the devices \
                 that trusted the old one."
            ));
        }
        info!(until = %authority.facts.not_after, "The box has a new certificate authority");
        Ok(authority)
    }

    /// The authority of two files; none when they don't belong together, or are no authority's.
    fn read(key: &[u8], pem: &[u8]) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        let facts = Facts::read(&der)?;
        let key = read_key(key)?;
        if !facts.is_authority || facts.public_key != key.subject_public_key_info() {
            return None;
        }
        let issuer = Issuer::from_ca_cert_der(&der, key).ok()?;
        Some(Self { issuer, der, facts, pem: std::str::from_utf8(pem).ok()?.to_owned() })
    }

    fn make(key: KeyPair, now: Timestamp) -> Result<Self, TlsError> {
        let digest = digest::digest(&digest::SHA256, &key.subject_public_key_info());
        let short: String = digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let mut params = named(format!("Schoolgate box {short}"))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Made while the clock was ahead, it must hold when that is put right.
        holds(&mut params, EARLIEST, later(now.max(EARLIEST), CA_HOLDS));
        let certificate = params.self_signed(&key).map_err(TlsError::make)?;
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        let facts = Facts::read(&der).ok_or_else(|| TlsError::Make("it can't be read back".to_owned()))?;
        Ok(Self { issuer: Issuer::new(params, key), der, facts, pem })
    }

    /// A new key of the box, and a certificate for it; and both as text.
    fn sign(
        &self,
        names: &[SubjectName],
        now: Timestamp,
    ) -> Result<(Zeroizing<String>, school::Pair), TlsError> {
        let key = new_key()?;
        let common = names.iter().find(|name| name.address().is_none()).or_else(|| names.first());
        let mut params = named(common.map_or_else(|| "Schoolgate".to_owned(), ToString::to_string))?;
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.address() {
                Some(address) => Ok(SanType::IpAddress(address)),
                None => name.to_string().try_into().map(SanType::DnsName),
            })
            .collect::<Result<_, rcgen::Error>>()
            .map_err(TlsError::make)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let from = later(now.max(EARLIEST), -SLOW_CLOCKS).max(self.facts.not_before);
        holds(&mut params, from, later(from, SERVER_HOLDS).min(self.facts.not_after));
        let certificate = params.signed_by(&key, &self.issuer).map_err(TlsError::make)?;
        let mut pem = Zeroizing::new(key.serialize_pem());
        pem.push_str(&certificate.pem());
        let server = self
            .accept(pem.as_bytes())
            .ok_or_else(|| TlsError::Make("what was made is no certificate for the box".to_owned()))?;
        Ok((pem, server))
    }

    /// The box's key and certificate; none where they are damaged, or another authority's.
    fn accept(&self, pem: &[u8]) -> Option<school::Pair> {
        let provider = default_provider();
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        let key = PrivateKeyDer::from_pem_slice(pem).ok()?;
        let facts = Facts::read(&der)?;
        school::verify(&der, &self.der, facts.not_before, &provider).ok()?;
        let key = CertifiedKey::from_der(vec![der], key, &provider).ok()?;
        Some(school::Pair { key: Arc::new(key), facts })
    }
}

fn new_key() -> Result<KeyPair, TlsError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(TlsError::make)
}

fn read_key(pem: &[u8]) -> Option<KeyPair> {
    KeyPair::from_pem(std::str::from_utf8(pem).ok()?).ok()
}

/// A certificate's start: whose it is, and a number that no other has.
fn named(common: String) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    params.distinguished_name.push(DnType::OrganizationName, "Schoolgate");
    // Two certificates of one authority with one number are refused by browsers, and a key may get a second.
    let mut serial = [0; 16];
    SystemRandom::new()
        .fill(&mut serial)
        .map_err(|_| TlsError::Make("the system gives no random bytes".to_owned()))?;
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Writes down when a certificate holds; what lies before 1970 is that.
fn holds(params: &mut CertificateParams, from: Timestamp, until: Timestamp) {
    let since_1970 = |time: Timestamp| Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0));
    params.not_before = date_time_ymd(1970, 1, 1) + since_1970(from);
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(until);
}

fn read_secret(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, TlsError> {
    warn_if_open(path);
    read(path)
}

/// Reads one of the box's files: none where there is none, empty where what is there can't be one.
fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, TlsError> {
    match disk::read(path, MOST) {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // No file, or one that is too large.
        Err(error) if error.kind() == io::ErrorKind::Other => Ok(Some(Zeroizing::default())),
        Err(source) => Err(TlsError::Read { path: path.to_owned(), source }),
    }
}
