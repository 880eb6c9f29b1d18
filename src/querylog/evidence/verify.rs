//! Checking a package: that it is whole, as it was signed, and by which box.

use std::{
    collections::BTreeSet,
    io::{self, Read, Seek, Write},
};

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::{
    package::{FORMAT, MANIFEST, Manifest, SIGNATURE, VERSION, read},
    zip::{ZipError, ZipReader},
};
use crate::vault::VerifyingKey;

/// More than any manifest has.
const LARGEST_MANIFEST: u64 = 1 << 20;

/// What was found out about a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// What is wrong, in plain words; nothing, when it is as it was signed.
    pub problems: Vec<String>,
    /// The manifest, when it could be read. Where there are problems, nothing that it says is known to be true.
    pub manifest: Option<Manifest>,
    /// The fingerprint of the key whose signature it has; none when the signature is not right.
    pub signed_by: Option<String>,
}

impl Findings {
    /// Whether every file is there and as it was when the key of [`signed_by`](Self::signed_by) signed it.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Why nothing can be said about a file.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is something else.
    #[error("this is no zip file; give an evidence.zip that `schoolgate log export` made")]
    NotAZip,
    /// It can't be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Checks a package: the shape of the archive, the signature of the manifest, and each file by its size and SHA-256.
///
/// Whatever the bytes are, it needs little memory, and unpacks no file further than it is said to go. A key that comes
/// with the package proves only that nothing was changed since somebody signed it with that key: whose it is, is known
/// by comparing [`Findings::signed_by`] with what the box says of itself.
///
/// # Errors
///
/// When it is no zip file, or can't be read.
pub fn verify<R: Read + Seek>(from: R) -> Result<Findings, VerifyError> {
    let mut findings = Findings { problems: Vec::new(), manifest: None, signed_by: None };
    match look(from, &mut findings) {
        Ok(()) => Ok(findings),
        Err(ZipError::NotAZip) => Err(VerifyError::NotAZip),
        Err(ZipError::Io(error)) => Err(error.into()),
        Err(ZipError::Wrong(what)) => {
            findings.problems.push(what);
            Ok(findings)
        }
    }
}

/// Unpacks a package to files that `make` opens, after all of it was [verified](verify).
///
/// # Errors
///
/// When it is not as it was signed, or can't be read or written.
pub fn unpack<R: Read + Seek, W: Write>(
    mut from: R,
    mut make: impl FnMut(&str) -> io::Result<W>,
) -> Result<(), VerifyError> {
    let findings = verify(&mut from)?;
    if let Some(problem) = findings.problems.first() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem.clone()).into());
    }
    let unpacked = ZipReader::new(from).and_then(|mut zip| {
        let names: Vec<String> = zip.names().map(str::to_owned).collect();
        for name in names {
            let mut to = make(&name)?;
            zip.unpack(&name, &mut to)?;
            to.flush()?;
        }
        Ok(())
    });
    unpacked.map_err(|error| match error {
        ZipError::NotAZip => VerifyError::NotAZip,
        ZipError::Wrong(what) => io::Error::new(io::ErrorKind::InvalidData, what).into(),
        ZipError::Io(error) => error.into(),
    })
}

fn look<R: Read + Seek>(from: R, findings: &mut Findings) -> Result<(), ZipError> {
    let wrong = |what: &str| Err(ZipError::Wrong(what.to_owned()));
    let mut zip = ZipReader::new(from)?;
    let mut text = Vec::new();
    match zip.size(MANIFEST) {
        None => return wrong("manifest.json is missing, so nothing can be checked"),
        Some(size) if size > LARGEST_MANIFEST => return wrong("manifest.json is larger than any manifest"),
        Some(_) => {
            zip.unpack(MANIFEST, &mut text)?;
        }
    }
    let version = serde_json::from_slice::<serde_json::Value>(&text)
        .ok()
        .filter(|value| value["format"] == FORMAT)
        .and_then(|value| value["version"].as_u64());
    match version {
        Some(version) if version == u64::from(VERSION) => {}
        Some(newer) if newer > u64::from(VERSION) => {
            return wrong("it was made by a newer Schoolgate; check it with that version");
        }
        _ => return wrong("manifest.json is not the manifest of an evidence package"),
    }
    let manifest: Manifest = match serde_json::from_slice(&text) {
        Ok(manifest) => manifest,
        Err(error) => return wrong(&format!("manifest.json can't be read: {error}")),
    };
    let manifest = findings.manifest.insert(manifest);
    let mut signature = Vec::new();
    match zip.size(SIGNATURE) {
        None => findings.problems.push(String::from("manifest.sig is missing: it is not signed")),
        Some(64) => {
            zip.unpack(SIGNATURE, &mut signature)?;
        }
        Some(size) => findings.problems.push(format!("manifest.sig has {size} bytes, a signature has 64")),
    }
    match read(&manifest.public_key) {
        None => findings.problems.push(String::from("manifest.json names no key that can be read")),
        Some(key) => {
            findings.signed_by = signed_by(&key, &text, &signature, manifest, &mut findings.problems)
        }
    }
    if !zip.is_of(manifest.made_at) {
        findings.problems.push(String::from("the dates of its files are not the date on which it was made"));
    }
    let mut known: BTreeSet<&str> = [MANIFEST, SIGNATURE].into();
    for file in &manifest.files {
        if !known.insert(&file.name) {
            findings.problems.push(format!("the manifest names {:?} twice", file.name));
            continue;
        }
        match zip.size(&file.name) {
            None => findings.problems.push(format!("{:?} is missing", file.name)),
            Some(size) if size != file.bytes => {
                findings.problems.push(format!(
                    "{} has {size} bytes, and had {} when it was signed",
                    file.name, file.bytes
                ));
            }
            Some(_) => match zip.unpack(&file.name, io::sink()) {
                Ok(contents) if HEXLOWER.encode(&contents.sha256) == file.sha256 => {}
                Ok(_) => findings.problems.push(format!("{} was changed after it was signed", file.name)),
                Err(ZipError::Wrong(what)) => findings.problems.push(what),
                Err(error) => return Err(error),
            },
        }
    }
    let added: Vec<String> = zip
        .names()
        .filter(|name| !known.contains(name))
        .map(|name| format!("{name} was added: the manifest does not name it"))
        .collect();
    findings.problems.extend(added);
    Ok(())
}

/// The fingerprint of the key that signed the manifest.
fn signed_by(
    key: &VerifyingKey,
    text: &[u8],
    signature: &[u8],
    manifest: &Manifest,
    problems: &mut Vec<String>,
) -> Option<String> {
    let fingerprint = key.fingerprint();
    if manifest.fingerprint != fingerprint {
        problems.push(format!(
            "the manifest says {:?}, but its key's fingerprint is {fingerprint}",
            manifest.fingerprint
        ));
    }
    if signature.is_empty() {
        // Told already.
        return None;
    }
    if !key.verifies(text, signature) {
        problems
            .push(String::from("the signature is wrong: the manifest was changed, or another key signed it"));
        return None;
    }
    Some(fingerprint)
}
