//! A signed package: files, a manifest that says what they are, and the box's signature of the manifest.

use std::{
    collections::BTreeMap,
    io::{self, Seek, Write},
};

use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use ring::digest;
use serde::{Deserialize, Serialize};

use super::zip::ZipWriter;
use crate::vault::{SigningKey, VerifyingKey};

/// What the manifest says that it is.
pub const FORMAT: &str = "schoolgate-evidence";
/// The version of the manifest that this program writes and reads.
pub const VERSION: u32 = 1;
/// The manifest's name in the package.
pub const MANIFEST: &str = "manifest.json";
/// The name of its signature: the 64 bytes of Ed25519 over the bytes of the manifest.
pub const SIGNATURE: &str = "manifest.sig";

/// What stands before the 32 bytes of an Ed25519 key in the form that other programs read (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Rows of the log, to be preserved.
    Evidence,
    /// What is held about one device.
    Subject,
}

/// What stands in `manifest.json`: the one thing that is signed, and by which all else is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// What the package is.
    pub kind: Kind,
    /// The school's name.
    pub school: String,
    /// The name of the machine.
    pub machine: String,
    /// The program and its version.
    pub program: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The first moment that it speaks of.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
    /// The filters, by their names on the command line; none of them, when it has all rows of that time.
    pub filters: BTreeMap<String, String>,
    /// How many rows it has.
    pub rows: u64,
    /// Whether nothing is known to be missing; `summary.txt` says what is.
    pub complete: bool,
    /// The box's public key: the form of RFC 8410 in base64, as between the lines of a PEM file.
    pub public_key: String,
    /// Its fingerprint, for people to compare.
    pub fingerprint: String,
    /// Every other file, with what its bytes must be.
    pub files: Vec<FileEntry>,
}

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// How the manifest writes a key.
pub(super) fn written(key: &VerifyingKey) -> String {
    BASE64.encode(&[SPKI.as_slice(), key.as_bytes()].concat())
}

/// The key that a manifest names.
pub(super) fn read(text: &str) -> Option<VerifyingKey> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    let key = bytes.strip_prefix(SPKI.as_slice())?;
    Some(VerifyingKey::from_bytes(key.try_into().ok()?))
}

/// A package that is being written.
pub(in crate::querylog) struct Package<W> {
    zip: ZipWriter<W>,
    files: Vec<FileEntry>,
}

impl<W: Write + Seek> Package<W> {
    /// Begins a package that is made at this time.
    pub(in crate::querylog) fn new(to: W, made_at: Timestamp) -> Self {
        Self { zip: ZipWriter::new(to, made_at), files: Vec::new() }
    }

    /// Writes a file of it.
    pub(in crate::querylog) fn add<T>(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<T>,
    ) -> io::Result<T> {
        let (done, contents) = self.zip.add(name, |to| write(to))?;
        self.files.push(FileEntry {
            name: name.to_owned(),
            bytes: contents.bytes,
            sha256: HEXLOWER.encode(&contents.sha256),
        });
        Ok(done)
    }

    /// Writes a file that is a text.
    pub(in crate::querylog) fn add_text(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.add(name, |to| to.write_all(text.as_bytes()))
    }

    /// Ends the package with its manifest, in which the files and the key are filled in, and its signature.
    ///
    /// Gives what was written to, and the SHA-256 of the manifest in hexadecimal.
    pub(in crate::querylog) fn finish(
        mut self,
        manifest: Manifest,
        key: &SigningKey,
    ) -> io::Result<(W, String)> {
        let public = key.public();
        let manifest = Manifest {
            public_key: written(&public),
            fingerprint: public.fingerprint(),
            files: self.files,
            ..manifest
        };
        let mut text = serde_json::to_vec_pretty(&manifest)?;
        text.push(b'\n');
        self.zip.add(MANIFEST, |to| to.write_all(&text))?;
        self.zip.add(SIGNATURE, |to| to.write_all(&key.sign(&text)))?;
        let digest = HEXLOWER.encode(digest::digest(&digest::SHA256, &text).as_ref());
        Ok((self.zip.finish()?, digest))
    }
}

impl<W> std::fmt::Debug for Package<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Package").field("files", &self.files).finish_non_exhaustive()
    }
}
