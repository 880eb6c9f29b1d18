//! The archive: how it is written, and how one is read that anybody may have made.

use std::{
    fs::{self, File},
    io::{self, BufReader, ErrorKind, Read, Write},
    iter,
    path::Path,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use jiff::Timestamp;
use ring::digest::{Context, SHA256};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{
    BackupError, Extras, Of, Opener, Reserve,
    room::enough,
    what::{self, Kind},
};

/// The version of archives that this program writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// What is said of the archive, before its files.
const ABOUT: &str = "about.json";

/// What is said of its files, behind them.
const MANIFEST: &str = "manifest.json";

/// Where the files of the data folder are.
const DATA: &str = "data/";

/// The largest of the two that are about the others.
const LARGEST_TEXT: u64 = 16 << 20;

/// The most files that an archive can have: the days of ten years, and a thousand lists.
const MOST_FILES: usize = 100_000;

/// The longest beginning of an encrypted file, which says who can open it. `age` itself reads one to its end, however long,
/// and again from its start for each line.
const LONGEST_BEGINNING: u64 = 16 << 10;

/// What the last line of it begins with.
const END_OF_BEGINNING: &[u8] = b"\n---";

/// What is behind the last file: two empty blocks, and what fills a record of tar.
const MOST_BEHIND: u64 = 1 << 20;

/// What an archive is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "BackupAbout")]
pub struct About {
    /// The version of the archive.
    pub format: u32,
    /// The version of Schoolgate that made it.
    pub program: String,
    /// When it was made.
    pub made: Timestamp,
    /// The school's name; empty where it was not known.
    pub school: String,
    /// The number of the policy that was in force.
    pub revision: i64,
    /// What it has beside what each has.
    #[serde(default)]
    pub extras: Extras,
}

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "BackupEntry")]
pub struct Entry {
    /// Its place in the data folder.
    pub path: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// The SHA-256 of its text, in hex.
    pub sha256: String,
}

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "BackupManifest")]
pub struct Manifest {
    /// What it is.
    pub about: About,
    /// Its files.
    pub files: Vec<Entry>,
}

impl Manifest {
    /// How many bytes its files have.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Writes an archive in clear; who calls encrypts it.
pub(super) fn write<W: Write>(of: &Of<'_>, to: W) -> Result<(usize, W), BackupError> {
    let about = About {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        made: of.at,
        school: of.school.to_owned(),
        revision: of.revision,
        extras: of.extras,
    };
    let scratch = Scratch::new(of.folder)?;
    let mut out = tar::Builder::new(GzEncoder::new(to, Compression::default()));
    append_text(&mut out, ABOUT, &about, of.at)?;
    let mut files = Vec::new();
    for piece in what::pieces(of.folder, of.extras)? {
        let source = of.folder.join(&piece.path);
        let copied = match piece.kind {
            Kind::Plain => source.clone(),
            Kind::Database => match scratch.copy(&source, &piece.path, of.reserve) {
                Ok(copy) => copy,
                // A day of the log that is damaged is no reason to have no backup of anything. The log says so itself.
                Err(error) if piece.path.starts_with(what::LOG) && !is_of_the_box(&error) => {
                    warn!(%error, "A day of the query log is not in the backup");
                    continue;
                }
                Err(error) => return Err(error),
            },
        };
        let mut file = match File::open(&copied) {
            Ok(file) => file,
            // A day of the log or a version of a list whose time was over.
            Err(error) if error.kind() == ErrorKind::NotFound && piece.kind == Kind::Plain => continue,
            Err(source) => return Err(BackupError::file(&copied, source)),
        };
        let read = |source| BackupError::file(&copied, source);
        let bytes = file.metadata().map_err(read)?.len();
        let path = piece.path.to_string_lossy().into_owned();
        // What is being appended to is taken as far as it went.
        let mut hashing = Hashing::new((&mut file).take(bytes));
        let header = header(&format!("{DATA}{path}"), bytes, of.at)?;
        out.append(&header, &mut hashing).map_err(BackupError::Write)?;
        let (read, sha256) = hashing.done();
        if read != bytes {
            return Err(BackupError::file(&source, io::Error::other("it became shorter while it was read")));
        }
        files.push(Entry { path, bytes, sha256 });
        if piece.kind == Kind::Database {
            let _ = fs::remove_file(&copied);
        }
    }
    let number = files.len();
    append_text(&mut out, MANIFEST, &Manifest { about, files }, of.at)?;
    let gzip = out.into_inner().map_err(BackupError::Write)?;
    Ok((number, gzip.finish().map_err(BackupError::Write)?))
}

/// Whether a database could not be copied because of what the box lacks now, rather than of what it is.
fn is_of_the_box(error: &BackupError) -> bool {
    match error {
        BackupError::NoRoom { .. } => true,
        BackupError::Database { source, .. } => matches!(
            source.sqlite_error_code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::OutOfMemory
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
            )
        ),
        _ => false,
    }
}

fn header(path: &str, bytes: u64, at: Timestamp) -> Result<tar::Header, BackupError> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path).map_err(BackupError::Write)?;
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(at.as_second()).unwrap_or_default());
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

fn append_text<W: Write>(
    out: &mut tar::Builder<W>,
    name: &str,
    document: &impl Serialize,
    at: Timestamp,
) -> Result<(), BackupError> {
    let text = serde_json::to_vec_pretty(document).map_err(|error| BackupError::Write(error.into()))?;
    let header = header(name, text.len() as u64, at)?;
    out.append(&header, text.as_slice()).map_err(BackupError::Write)
}

/// Copies of databases while they are put in; gone when it is dropped.
struct Scratch(std::path::PathBuf);

impl Scratch {
    /// In the data folder, since that is where room is, and since nobody else can read there.
    fn new(folder: &Path) -> Result<Self, BackupError> {
        use std::os::unix::fs::DirBuilderExt as _;

        let path = folder.join(format!(".backup-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|source| BackupError::file(&path, source))?;
        Ok(Self(path))
    }

    /// A copy of a database as it is at one moment, whoever writes to it meanwhile.
    fn copy(
        &self,
        database: &Path,
        place: &Path,
        reserve: Reserve,
    ) -> Result<std::path::PathBuf, BackupError> {
        let problem = |source| BackupError::Database { path: database.to_owned(), source };
        let copy = self.0.join(place.to_string_lossy().replace('/', "-"));
        let wanted = fs::metadata(database).map_or(0, |file| file.len());
        enough(wanted, reserve.room(&self.0).map_err(|source| BackupError::file(&self.0, source))?)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let source = Connection::open_with_flags(database, flags).map_err(problem)?;
        source.busy_timeout(std::time::Duration::from_secs(30)).map_err(problem)?;
        source.execute("VACUUM INTO ?1", [copy.to_string_lossy()]).map_err(problem)?;
        if place == Path::new("accounts.db") {
            // Nobody is signed in on a box that was restored.
            let copied = Connection::open(&copy).map_err(problem)?;
            let has_sessions = copied.table_exists(None, "session").map_err(problem)?;
            if has_sessions {
                copied.execute_batch("DELETE FROM session; VACUUM").map_err(problem)?;
            }
        }
        Ok(copy)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed is removed by the next backup.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is read, with its digest and how much it was.
struct Hashing<R> {
    from: R,
    context: Context,
    bytes: u64,
}

impl<R> Hashing<R> {
    fn new(from: R) -> Self {
        Self { from, context: Context::new(&SHA256), bytes: 0 }
    }

    fn done(self) -> (u64, String) {
        (self.bytes, data_encoding::HEXLOWER.encode(self.context.finish().as_ref()))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.context.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Takes the files of an archive as they come: their place in the data folder and their size, to what they are written.
pub(super) type Take<'a> = dyn FnMut(&str, u64) -> Result<Box<dyn Write>, BackupError> + 'a;

/// Opens an archive and reads it to its end. What was taken counts only when this gives what it holds: until then it may
/// be cut short.
///
/// `room` is how many bytes its files can have.
pub(super) fn open(
    path: &Path,
    opener: &Opener,
    room: u64,
    take: &mut Take<'_>,
) -> Result<Manifest, BackupError> {
    let unreadable = |source| BackupError::file(path, source);
    let mut file = File::open(path).map_err(unreadable)?;
    let mut beginning = Vec::new();
    (&mut file).take(LONGEST_BEGINNING).read_to_end(&mut beginning).map_err(unreadable)?;
    if !beginning.windows(END_OF_BEGINNING.len()).any(|part| part == END_OF_BEGINNING) {
        return Err(BackupError::damaged("it does not begin as one"));
    }
    let whole = BufReader::with_capacity(1 << 16, io::Cursor::new(beginning).chain(file));
    let decryptor = age::Decryptor::new(whole).map_err(of_opening)?;
    let (by, given) = match (decryptor.is_scrypt(), opener) {
        (true, Opener::Identity(_)) => ("by a passphrase", "by a key"),
        (false, Opener::Passphrase(_)) => ("for a public key", "by a passphrase"),
        _ => ("", ""),
    };
    if !by.is_empty() {
        return Err(BackupError::OtherKind { by, given });
    }
    let identity = opener.identity()?;
    let opened = decryptor.decrypt(iter::once(identity.as_ref())).map_err(of_opening)?;
    let mut gzip = GzDecoder::new(opened);
    let manifest = read_foreign(&mut gzip, room, take)?;
    // The last chunk says that it is the last, so what is behind the files must be read as well.
    let mut rest = gzip.into_inner();
    match rest.read(&mut [0; 1]) {
        Ok(0) => Ok(manifest),
        Ok(_) => Err(BackupError::damaged("something follows its end")),
        Err(error) => Err(of_reading(&error)),
    }
}

fn of_opening(error: age::DecryptError) -> BackupError {
    use age::DecryptError as E;

    match error {
        E::DecryptionFailed | E::NoMatchingKeys | E::KeyDecryptionFailed => BackupError::WrongKey,
        E::ExcessiveWork { .. } => {
            BackupError::damaged("its passphrase would take more work than one of ours")
        }
        E::Io(error) => of_reading(&error),
        E::InvalidMac => BackupError::damaged("its beginning was changed"),
        _ => BackupError::damaged("it does not begin as one"),
    }
}

/// What can't be read of an archive is the archive's fault, but for what a disk says.
fn of_reading(error: &io::Error) -> BackupError {
    match error.raw_os_error() {
        Some(code) => BackupError::Write(io::Error::from_raw_os_error(code)),
        None => BackupError::damaged(error.to_string()),
    }
}

/// Reads the files of an archive that was opened, whoever made it: none but those that a backup has, at their places, no
/// links, no more than there is room for, and each as its digest says.
///
/// # Errors
///
/// When anything is not as it should be; then nothing of it is to be used.
pub fn read_foreign(from: &mut dyn Read, room: u64, take: &mut Take<'_>) -> Result<Manifest, BackupError> {
    let mut archive = tar::Archive::new(from);
    let mut about: Option<About> = None;
    let mut seen: Vec<Entry> = Vec::new();
    let mut said: Option<Manifest> = None;
    let mut left = room;
    // Raw: no header may say of the next what that does not say itself.
    for entry in archive.entries().map_err(|error| of_reading(&error))?.raw(true) {
        let mut entry = entry.map_err(|error| of_reading(&error))?;
        if said.is_some() {
            return Err(BackupError::damaged("a file follows the manifest"));
        }
        if !matches!(entry.header().entry_type(), tar::EntryType::Regular) {
            return Err(BackupError::damaged("it has something that is no file"));
        }
        let path = entry.header().path_bytes().into_owned();
        let path = String::from_utf8(path).map_err(|_| BackupError::damaged("a name is no text"))?;
        let bytes = entry.header().entry_size().map_err(|error| of_reading(&error))?;
        match (path.strip_prefix(DATA), &about) {
            (None, None) if path == ABOUT => about = Some(read_about(&mut entry, bytes)?),
            (None, Some(_)) if path == MANIFEST => said = Some(read_text(&mut entry, bytes)?),
            (Some(place), Some(_)) => {
                if !what::may_be(place) {
                    return Err(BackupError::damaged(format!("it has a file that no backup has: {place:?}")));
                }
                if seen.len() >= MOST_FILES || seen.iter().rev().take(64).any(|other| other.path == place) {
                    return Err(BackupError::damaged("it has too many files, or one of them twice"));
                }
                left = left.checked_sub(bytes).ok_or(BackupError::NoRoom { wanted: bytes, free: left })?;
                let mut to = take(place, bytes)?;
                let sha256 = copy(&mut entry, bytes, &mut *to, place)?;
                seen.push(Entry { path: place.to_owned(), bytes, sha256 });
            }
            _ => return Err(BackupError::damaged(format!("it has {path:?} where that should not be"))),
        }
    }
    let from = archive.into_inner();
    let behind = io::copy(&mut from.take(MOST_BEHIND + 1), &mut io::sink());
    if behind.map_err(|error| of_reading(&error))? > MOST_BEHIND {
        return Err(BackupError::damaged("something follows its end"));
    }
    let (Some(about), Some(manifest)) = (about, said) else {
        return Err(BackupError::damaged("it ends before its manifest"));
    };
    if manifest.about != about || manifest.files != seen {
        return Err(BackupError::damaged("its files are not those of its manifest"));
    }
    let mut paths: Vec<&str> = seen.iter().map(|entry| entry.path.as_str()).collect();
    paths.sort_unstable();
    if paths.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(BackupError::damaged("it has a file twice"));
    }
    Ok(manifest)
}

fn read_about(entry: &mut impl Read, bytes: u64) -> Result<About, BackupError> {
    /// What every version of archives says, whatever else it does.
    #[derive(Deserialize)]
    struct Version {
        format: u32,
        program: String,
    }
    let text: serde_json::Value = read_text(entry, bytes)?;
    let version: Version =
        serde_json::from_value(text.clone()).map_err(|error| BackupError::damaged(error.to_string()))?;
    if version.format > FORMAT {
        let program: String = version.program.chars().filter(|c| !c.is_control()).take(40).collect();
        return Err(BackupError::Newer(program));
    }
    serde_json::from_value(text).map_err(|error| BackupError::damaged(error.to_string()))
}

fn read_text<T: serde::de::DeserializeOwned>(entry: &mut impl Read, bytes: u64) -> Result<T, BackupError> {
    if bytes > LARGEST_TEXT {
        return Err(BackupError::damaged("what it says of itself is too long"));
    }
    let mut text = Vec::new();
    entry.take(bytes).read_to_end(&mut text).map_err(|error| of_reading(&error))?;
    serde_json::from_slice(&text).map_err(|error| BackupError::damaged(error.to_string()))
}

/// Copies one file, and gives its digest.
fn copy(from: &mut dyn Read, bytes: u64, to: &mut dyn Write, place: &str) -> Result<String, BackupError> {
    let mut from = Hashing::new(from);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut buffer).map_err(|error| of_reading(&error))?;
        if read == 0 {
            break;
        }
        to.write_all(&buffer[..read]).map_err(|source| BackupError::file(Path::new(place), source))?;
    }
    to.flush().map_err(|source| BackupError::file(Path::new(place), source))?;
    let (read, sha256) = from.done();
    if read != bytes {
        return Err(BackupError::damaged("a file is shorter than its header says"));
    }
    Ok(sha256)
}
