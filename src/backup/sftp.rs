//! A server for SFTP, to which archives are brought by the system's own program.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use super::{
    BackupError, SftpServer,
    room::{enough, no_more},
};
use crate::disk;

/// The box's key, in the data folder.
const SFTP_KEY: &str = "sftp.key";

/// As `sftp` writes them, whatever the language.
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Makes the box's key for SFTP, unless there is one, and gives its public half.
///
/// # Errors
///
/// When `ssh-keygen` is not there, or can't write.
pub async fn make_sftp_key(data: &Path) -> Result<String, BackupError> {
    let key = data.join(SFTP_KEY);
    if !key.is_file() {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", "schoolgate backup", "-f"]).arg(&key);
        run(command, String::new())
            .await
            .map_err(|why| BackupError::Setting(format!("no key could be made: {why}")))?;
    }
    sftp_public_key(data)
        .await
        .ok_or_else(|| BackupError::Setting(String::from("the key for SFTP can't be read")))
}

/// The public half of the box's key for SFTP, as an `authorized_keys` has it; none while there is no key.
pub async fn sftp_public_key(data: &Path) -> Option<String> {
    let key = data.join(SFTP_KEY);
    if !key.is_file() {
        return None;
    }
    let mut command = Command::new("ssh-keygen");
    command.arg("-y").arg("-f").arg(&key);
    run(command, String::new()).await.ok().map(|said| said.trim().to_owned())
}

/// A server for SFTP, reached by the system's program.
pub(super) struct Sftp<'a> {
    server: &'a SftpServer,
    key: PathBuf,
    known_hosts: PathBuf,
}

impl<'a> Sftp<'a> {
    pub(super) fn new(server: &'a SftpServer, data: &Path) -> Result<Self, String> {
        let key = data.join(SFTP_KEY);
        if !key.is_file() {
            return Err(String::from("the box has no key for SFTP yet: make one on the page of backups"));
        }
        let host = if server.port == 22 {
            server.host.clone()
        } else {
            format!("[{}]:{}", server.host, server.port)
        };
        let known_hosts = data.join("sftp.known_hosts");
        disk::replace(&known_hosts, format!("{host} {}\n", server.host_key.trim()).as_bytes())
            .map_err(|error| error.to_string())?;
        Ok(Self { server, key, known_hosts })
    }

    /// Runs commands; the first that fails ends it, but for those that begin with `-`.
    async fn batch(&self, commands: &str) -> Result<String, String> {
        let mut command = Command::new("sftp");
        command.arg("-b").arg("-").arg("-P").arg(self.server.port.to_string());
        command.arg("-i").arg(&self.key);
        let known = format!("UserKnownHostsFile={}", self.known_hosts.display());
        for option in [
            known.as_str(),
            "GlobalKnownHostsFile=/dev/null",
            // The key that the school wrote down, or nothing.
            "StrictHostKeyChecking=yes",
            "BatchMode=yes",
            // Not -q, which also keeps to itself why there was no connection.
            "LogLevel=ERROR",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "PreferredAuthentications=publickey",
            "ConnectTimeout=20",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
            "ForwardAgent=no",
            "ProxyCommand=none",
            "UpdateHostKeys=no",
        ] {
            command.arg("-o").arg(option);
        }
        // Settings of whoever runs the server are none of ours.
        command.arg("-F").arg("/dev/null");
        let host = if self.server.host.contains(':') {
            format!("[{}]", self.server.host)
        } else {
            self.server.host.clone()
        };
        command.arg("--").arg(format!("{}@{host}", self.server.user));
        run(command, commands.to_owned()).await
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.server.folder.trim_end_matches('/'))
    }

    pub(super) async fn put(&self, name: &str, archive: &Path) -> Result<(), String> {
        let from = plain(archive)?;
        let (part, whole) = (self.at(&format!("{name}.part")), self.at(name));
        let commands = format!("put \"{from}\" \"{part}\"\nrename \"{part}\" \"{whole}\"\n");
        let put = self.batch(&commands).await.map(drop);
        if put.is_err() {
            // Each try has a name of its own, so what this one left would stay, and the next one's beside it.
            let _ = self.batch(&format!("rm \"{part}\"\n")).await;
        }
        put
    }

    /// Has a file, as far as there is room for it.
    pub(super) async fn get(
        &self,
        name: &str,
        into: &Path,
        room: impl Fn() -> io::Result<u64>,
    ) -> Result<(), String> {
        let (from, to) = (self.at(name), plain(into)?);
        let said = self.batch(&format!("ls -l \"{from}\"\n")).await?;
        // One whose size is not said is stopped while it comes.
        let bytes = size_in(&said).unwrap_or_default();
        let free = room().map_err(|error| error.to_string())?;
        enough(bytes, free).map_err(|error| error.to_string())?;
        let command = format!("get \"{from}\" \"{to}\"\n");
        tokio::select! {
            got = self.batch(&command) => got.map(drop),
            full = no_more(room) => Err(full.to_string()),
        }
    }

    pub(super) async fn names(&self) -> Result<Vec<String>, String> {
        let said = self.batch(&format!("ls -1 \"{}\"\n", self.at(""))).await?;
        Ok(said
            .lines()
            .filter(|line| !line.starts_with("sftp>"))
            .filter_map(|line| line.trim().rsplit('/').next())
            .map(str::to_owned)
            .collect())
    }

    pub(super) async fn remove(&self, names: &[String]) -> Result<(), String> {
        let commands: String = names.iter().map(|name| format!("rm \"{}\"\n", self.at(name))).collect();
        self.batch(&commands).await.map(drop)
    }
}

/// The size of a file, as `ls -l` says it. Names of users and groups may have several words, so it is what is before a month.
fn size_in(said: &str) -> Option<u64> {
    let mut lines = said.lines().filter(|line| !line.starts_with("sftp>"));
    lines.find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.windows(2).find_map(|pair| pair[0].parse::<u64>().ok().filter(|_| MONTHS.contains(&pair[1])))
    })
}

/// A path that `sftp` reads as it is meant.
fn plain(path: &Path) -> Result<&str, String> {
    let is_plain = |path: &&str| !path.contains(['"', '\\', '\n', '*', '?', '[']);
    path.to_str()
        .filter(is_plain)
        .ok_or_else(|| String::from("the data folder has a name that sftp can't read"))
}

/// A program that runs; killed when it is dropped before its end.
struct Program(Option<Child>);

impl Program {
    async fn ended(&mut self) -> io::Result<ExitStatus> {
        let gone = || io::Error::other("it is gone");
        loop {
            if let Some(status) = self.0.as_mut().ok_or_else(gone)?.try_wait()? {
                self.0 = None;
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            // Aside, since one that waits for a disk takes its time even to be killed.
            let _ = std::thread::Builder::new().spawn(move || child.wait());
        }
    }
}

/// All that comes out of a pipe.
async fn all_of(pipe: Option<impl io::Read + Send + 'static>) -> String {
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        // What came before it broke is what there is.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    });
    read.await.unwrap_or_default()
}

/// Runs a program to its end, and gives what it said. It does not outlive who waits for it.
async fn run(mut command: Command, input: String) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("SSH_AUTH_SOCK")
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC");
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{program} is not on this box (package openssh-client)"),
        _ => format!("{program}: {error}"),
    })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut child = Program(Some(child));
    let told = tokio::task::spawn_blocking(move || {
        // One that ended already says why itself.
        stdin.map(|mut stdin| stdin.write_all(input.as_bytes()))
    });
    let (stdout, stderr, status) = tokio::join!(all_of(stdout), all_of(stderr), child.ended());
    let _ = told.await;
    let status = status.map_err(|error| format!("{program}: {error}"))?;
    if status.success() {
        return Ok(stdout);
    }
    let said: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last: String = said.iter().rev().take(2).rev().copied().collect::<Vec<_>>().join("; ");
    Err(if last.is_empty() {
        format!("{program} failed ({status})")
    } else {
        last.chars().take(300).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_file_is_read_as_sftp_says_it() {
        let said = "sftp> ls -l \"/b/a-20261101-020000.backup.age\"\n\
                    -rw-r--r--    ? root     root      7340032 Nov  1 02:00 /b/a-20261101-020000.backup.age\n";
        assert_eq!(size_in(said), Some(7_340_032));
        assert_eq!(size_in(&said.replace('?', "1")), Some(7_340_032));
        assert_eq!(size_in(&said.replace("root     root", "1000 domain users")), Some(7_340_032));
        assert_eq!(size_in("sftp> ls -l \"/b\"\n"), None);
        assert_eq!(size_in("sftp> ls -l 5 Nov\nof something else\n"), None);
    }
}
