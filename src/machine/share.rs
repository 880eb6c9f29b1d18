//! A shared folder of a Windows server or NAS, as people type it, as the box keeps it, and as it is mounted.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _},
    path::Path,
    time::Duration,
};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Where SMB is served.
const PORT: u16 = 445;

/// The longest password, in bytes.
const LONGEST_PASSWORD: usize = 250;

/// How long a server may take to say anything.
const PATIENCE: Duration = Duration::from_secs(5);

/// A shared folder, by SMB 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MachineShare")]
pub struct Share {
    /// The server: its whole name, or its address.
    pub server: String,
    /// Its port.
    #[serde(default = "port")]
    pub port: u16,
    /// The name of the share.
    pub share: String,
    /// A folder in it; empty for the share itself.
    #[serde(default)]
    pub folder: String,
    /// Who the box signs in as.
    pub user: String,
    /// The user's domain, where the server wants it.
    #[serde(default)]
    pub domain: String,
}

fn port() -> u16 {
    PORT
}

impl Share {
    /// The same as the box keeps it.
    ///
    /// # Errors
    ///
    /// A sentence for each thing that is wrong.
    pub fn checked(&self) -> Result<Self, Vec<String>> {
        let text = |text: &str| text.trim().to_owned();
        let (mut user, mut domain) = (text(&self.user), text(&self.domain));
        // As Windows writes it.
        if let Some((of, name)) = user.clone().split_once('\\')
            && (domain.is_empty() || domain.eq_ignore_ascii_case(of))
        {
            (domain, user) = (of.to_owned(), name.to_owned());
        }
        let folder = self.folder.trim().replace('\\', "/").trim_matches('/').to_owned();
        let server = text(&self.server).trim_start_matches(['\\', '/']).to_owned();
        let server = server.trim_matches(['[', ']']).to_owned();
        let checked = Self { server, port: self.port, share: text(&self.share), folder, user, domain };
        let wrong = checked.wrong();
        if wrong.is_empty() { Ok(checked) } else { Err(wrong) }
    }

    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut need = |is_right: bool, sentence: &str| {
            if !is_right {
                wrong.push(sentence.to_owned());
            }
        };
        let server = &self.server;
        need(
            is_host(server) || server.parse::<Ipv6Addr>().is_ok_and(|_| !server.contains('.')),
            "the server is a name or an address, as fileserver.school.example or 10.20.0.5",
        );
        need(self.port != 0, "a port is 1 to 65535");
        need(
            is_plain(&self.share, 80, "\"\\/,:*?<>|="),
            "the name of the share has letters, digits, spaces and hyphens; a folder in it is typed beside",
        );
        let is_folder = self.folder.len() <= 200
            && self.folder.split('/').all(|part| is_plain(part, 200, "\"\\/,:*?<>|="));
        need(self.folder.is_empty() || is_folder, "the folder is written as backups/dns");
        need(is_plain(&self.user, 104, "\"\\/,:;*?<>|=+[]"), "the user name has signs in it that none has");
        let is_domain = self.domain.len() <= 64
            && self.domain.starts_with(|c: char| c.is_ascii_alphanumeric())
            && self.domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        need(self.domain.is_empty() || is_domain, "the domain is written as SCHOOL or school.example");
        wrong
    }

    /// The settings as the box keeps them.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("server={}\n", self.server);
        if self.port != PORT {
            text.push_str(&format!("port={}\n", self.port));
        }
        for (key, value) in
            [("share", &self.share), ("folder", &self.folder), ("user", &self.user), ("domain", &self.domain)]
        {
            if !value.is_empty() {
                text.push_str(&format!("{key}={value}\n"));
            }
        }
        text
    }

    /// Reads what [`Self::to_text`] wrote; none where it makes no sense.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut read = Self {
            server: String::new(),
            port: PORT,
            share: String::new(),
            folder: String::new(),
            user: String::new(),
            domain: String::new(),
        };
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (key, value) = line.split_once('=')?;
            match key {
                "server" => read.server = value.to_owned(),
                "port" => read.port = value.parse().ok()?,
                "share" => read.share = value.to_owned(),
                "folder" => read.folder = value.to_owned(),
                "user" => read.user = value.to_owned(),
                "domain" => read.domain = value.to_owned(),
                _ => return None,
            }
        }
        read.checked().ok()
    }

    /// Where it is, as Windows writes it.
    #[must_use]
    pub fn said(&self) -> String {
        let Self { server, share, folder, .. } = self;
        let folder =
            if folder.is_empty() { String::new() } else { format!("\\{}", folder.replace('/', "\\")) };
        format!("\\\\{server}\\{share}{folder}")
    }

    /// Whether the password for one is good for the other: it goes nowhere else than where it was typed for.
    #[must_use]
    pub fn has_same_user(&self, other: &Self) -> bool {
        (&self.server, self.port, &self.user, &self.domain)
            == (&other.server, other.port, &other.user, &other.domain)
    }

    /// What is asked of root's helper.
    ///
    /// # Errors
    ///
    /// When the password is none.
    pub fn request(&self, password: Option<&str>) -> Result<Zeroizing<String>, String> {
        let mut text = Zeroizing::new(self.to_text());
        if let Some(password) = password {
            check_password(password)?;
            text.push_str("password=");
            text.push_str(password);
            text.push('\n');
        }
        Ok(text)
    }

    /// Mounts it. Only root can.
    ///
    /// # Errors
    ///
    /// Says what is wrong, in words for who typed it.
    pub fn mount(&self, password: &str, at: &Path, owner: (u32, u32)) -> Result<(), String> {
        check_password(password)?;
        let address = self.address()?;
        // Encrypted where the server can; elsewhere signed, which every one can.
        let mut done = self.try_mount(password, at, &address, "seal", owner);
        if done == Err(Errno::EOPNOTSUPP) {
            done = self.try_mount(password, at, &address, "sign", owner);
        }
        done.map_err(|error| self.said_of(error))
    }

    /// The first address at which it answers.
    fn address(&self) -> Result<SocketAddr, String> {
        let Self { server, port, .. } = self;
        let found = (server.as_str(), *port).to_socket_addrs().map_err(|_| {
            format!("the name {server} can't be found: give its whole name, as fileserver.school.example, or its address")
        })?;
        let answers = |address: &SocketAddr| TcpStream::connect_timeout(address, PATIENCE).is_ok();
        found.take(3).find(answers).ok_or_else(|| {
            let by_name = if server.parse::<IpAddr>().is_ok() { "" } else { " Its address may do where its name does not." };
            format!(
                "{server} does not answer at port {port}: is it on, does it share folders, does a firewall stand between?{by_name}"
            )
        })
    }

    fn try_mount(
        &self,
        password: &str,
        at: &Path,
        address: &SocketAddr,
        guarded: &str,
        owner: (u32, u32),
    ) -> Result<(), Errno> {
        let Self { server, share, folder, .. } = self;
        let source = if folder.is_empty() {
            format!("//{server}/{share}")
        } else {
            format!("//{server}/{share}/{folder}")
        };
        let options = self.options(password, address, guarded, owner);
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOATIME;
        mount(Some(source.as_str()), at, Some("cifs"), flags, Some(options.as_str()))
    }

    /// What the kernel reads; a comma that is part of a value is there twice.
    fn options(
        &self,
        password: &str,
        address: &SocketAddr,
        guarded: &str,
        (user, group): (u32, u32),
    ) -> Zeroizing<String> {
        let mut options = Zeroizing::new(format!(
            // 3 is each of SMB 3. A server that is away gives errors soon, and nobody waits for it for ever.
            "ip={},port={},vers=3,{guarded},soft,retrans=1,echo_interval=10,nodfs,uid={user},forceuid,gid={group},forcegid,\
             file_mode=0600,dir_mode=0700,user={}",
            address.ip(),
            self.port,
            self.user
        ));
        if !self.domain.is_empty() {
            options.push_str(",domain=");
            options.push_str(&self.domain);
        }
        options.push_str(",pass=");
        for part in password.split_inclusive(',') {
            options.push_str(part);
            if part.ends_with(',') {
                options.push(',');
            }
        }
        options
    }

    fn said_of(&self, error: Errno) -> String {
        let Self { server, share, folder, user, .. } = self;
        match error {
            Errno::EACCES | Errno::EPERM => format!(
                "{server} refuses {user}: is the password right, does it want a domain, may this user use the share {share}?"
            ),
            Errno::EKEYEXPIRED | Errno::EKEYREVOKED | Errno::EKEYREJECTED => {
                format!(
                    "{server} says that the password of {user} has expired, or that this user is switched off"
                )
            }
            Errno::ENOENT | Errno::ENXIO | Errno::ENODEV if !folder.is_empty() => {
                format!("there is no share {share} on {server}, or no folder {folder} in it")
            }
            Errno::ENOENT | Errno::ENXIO | Errno::ENODEV => format!("there is no share {share} on {server}"),
            Errno::EREMOTE => format!(
                "the share {share} leads on to another server (DFS): give that server and its share instead"
            ),
            Errno::EOPNOTSUPP => format!("{server} does not speak SMB 3, which any Windows since 2012 does"),
            Errno::ETIMEDOUT
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
            | Errno::ENETUNREACH
            | Errno::EAGAIN => {
                format!("{server} does not answer in time")
            }
            other => format!(
                "{server} can't be spoken with ({}): is it a server of shared folders?",
                io::Error::from(other)
            ),
        }
    }
}

/// Whether a password can be one.
///
/// # Errors
///
/// Says why not.
fn check_password(password: &str) -> Result<(), String> {
    if password.is_empty() || password.len() > LONGEST_PASSWORD || password.chars().any(char::is_control) {
        return Err(String::from("the password has 1 to 250 signs, and none that can't be typed"));
    }
    Ok(())
}

fn is_host(text: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        && is_edge(text.as_bytes().first())
        && is_edge(text.as_bytes().last())
}

/// A name that can't end an option, a line, or itself.
fn is_plain(text: &str, most: usize, without: &str) -> bool {
    !text.is_empty()
        && text.len() <= most
        && text != "."
        && text != ".."
        && text.trim() == text
        && !text.chars().any(|c| c.is_control() || without.contains(c))
}

#[cfg(test)]
mod tests {
    use std::{fs, net::TcpListener, process::Command};

    use proptest::prelude::*;

    use super::*;

    fn share() -> Share {
        Share {
            server: String::from("files.school.example"),
            port: PORT,
            share: String::from("Backups$"),
            folder: String::from("dns box/old"),
            user: String::from("schoolgate"),
            domain: String::new(),
        }
    }

    /// What the helper of the appliance says of a text.
    fn helper_says(text: &str) -> String {
        let helper = Path::new(env!("CARGO_MANIFEST_DIR")).join("image/overlay/usr/lib/schoolgate");
        let folder = tempfile::tempdir().unwrap();
        let (common, file) = (folder.path().join("common"), folder.path().join("asked"));
        fs::write(&common, "run=/nowhere\nsystem=/nowhere\n").unwrap();
        fs::write(&file, text).unwrap();
        let script = fs::read_to_string(helper.join("share")).unwrap();
        let script = script.replace(". /usr/lib/schoolgate/common", &format!(". {}", common.display()));
        let said =
            Command::new("bash").args(["-c", &script, "share", "--check"]).arg(&file).output().unwrap();
        assert_eq!(said.status.success(), said.stdout.is_empty(), "{said:?}");
        assert!(said.stderr.is_empty(), "{said:?}");
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    #[test]
    fn what_people_type_is_read_as_they_mean_it() {
        let typed = Share {
            server: String::from("\\\\files.school.example "),
            folder: String::from("\\dns box\\old\\"),
            user: String::from("SCHOOL\\schoolgate"),
            ..share()
        };
        let read = typed.checked().unwrap();
        assert_eq!(read, Share { domain: String::from("SCHOOL"), ..share() });
        assert_eq!(read.said(), "\\\\files.school.example\\Backups$\\dns box\\old");
        assert_eq!(Share::parse(&read.to_text()), Some(read));
    }

    #[test]
    fn nothing_that_could_be_an_option_or_a_line_gets_through_here_or_in_the_helper() {
        let odd = |change: fn(&mut Share, String), text: &str| {
            let mut odd = share();
            change(&mut odd, text.to_owned());
            assert!(odd.checked().is_err(), "{odd:?}");
            assert!(!helper_says(&odd.to_text()).is_empty(), "{odd:?}");
        };
        for text in ["a,uid=0", "a\nuser=b", "a\u{7}", "a/../b", "a\"b", "..", "a=b"] {
            odd(|share, text| share.server = text, text);
            odd(|share, text| share.user = text, text);
            odd(|share, text| share.domain = text, text);
            odd(|share, text| share.share = text, text);
        }
        for text in ["a,b", "a//b", "../b", "a/./b", "a\nb", " a /b"] {
            odd(|share, text| share.folder = text, text);
        }
        odd(|share, _| share.port = 0, "");
        for user in ["a[b", "a]b", "a;b", "a+b", "a*b"] {
            odd(|share, text| share.user = text, user);
        }
        assert!(share().request(Some("a\nserver=b")).is_err() && share().request(Some("")).is_err());
    }

    #[test]
    fn the_appliance_accepts_what_is_accepted_here() {
        let other = Share {
            server: String::from("fd00::5"),
            port: 8445,
            share: String::from("Sicherung Süd"),
            folder: String::new(),
            user: String::from("anna.müller@school.example"),
            domain: String::from("school.example"),
        };
        for settings in [share(), other] {
            assert_eq!(settings.checked().as_ref(), Ok(&settings));
            for password in ["a,b", " with spaces, and \"quotes\" ", "$(reboot) `x` \\ %n = ü"] {
                let asked = settings.request(Some(password)).unwrap();
                assert_eq!(helper_says(&asked), "", "{settings:?}");
            }
        }
    }

    #[test]
    fn a_comma_of_a_password_ends_no_option() {
        let address = "192.0.2.1:445".parse().unwrap();
        let options = share().options(",a,,uid=0,", &address, "seal", (800, 800));
        let (known, password) = options.split_once(",pass=").unwrap();
        assert!(known.contains("uid=800") && known.contains("vers=3,seal,soft"), "{known}");
        assert_eq!(password, ",,a,,,,uid=0,,");
    }

    #[test]
    fn a_server_that_is_not_there_is_told_at_once() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let gone = Share { server: String::from("127.0.0.1"), port, ..share() };
        let said = gone.mount("secret", Path::new("/nowhere"), (1, 1)).unwrap_err();
        assert!(said.contains("does not answer") && !said.contains("secret"), "{said}");
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_sound_stays_so(text in any::<String>(), name in ".{0,20}") {
            let _ = Share::parse(&text);
            let odd = Share { share: name.clone(), folder: name.clone(), user: name, server: text, ..share() };
            let _ = odd.said();
            if let Ok(checked) = odd.checked() {
                prop_assert_eq!(Share::parse(&checked.to_text()), Some(checked));
            }
        }
    }
}
