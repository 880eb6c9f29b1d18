//! `schoolgate selftest`: whether the running service does what it is for. The updater asks before it keeps a new version.

use std::{
    fmt::Write as _,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RecordType, rdata::opt::EdnsOption},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

use super::{Context, Failure};
use crate::{
    clock::Clock,
    config::Config,
    control::{self, Answer, Asker, CheckReport, CheckRequest, Request, SelfCheck},
    disk,
};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long is waited between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// Names of the starter lists, of which a school blocks at least one for nearly everybody.
const LISTED: [&str; 3] = ["bet365.com", "pornhub.com", "nordvpn.com"];

/// Parts that `/readyz` names which an update can break; others are the line's, the disk's or the clock's.
const OWN_PARTS: [&str; 4] = ["lists", "log", "settings", "certificate"];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write down what is in force, to be compared with after an update; nothing else is looked at
    #[arg(long, value_name = "FILE", conflicts_with = "policy_before")]
    record: Option<PathBuf>,
    /// Compare with what was written down before
    #[arg(long, value_name = "FILE")]
    policy_before: Option<PathBuf>,
    /// Only look whether questions are answered, and listed names blocked
    #[arg(long, conflicts_with_all = ["record", "policy_before"])]
    answers: bool,
    /// How long to try again until everything is right, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    wait: u64,
}

/// What was in force before an update.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    program: String,
    policy: String,
    revision: i64,
    /// Whether the school's lists had names.
    had_lists: bool,
    /// What was blocked, of [`LISTED`].
    blocked: Vec<Blocked>,
    /// At what time. The same is asked of the new version, since an hour of the timetable may begin between the two.
    at: Timestamp,
}

/// A name that is blocked for a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Blocked {
    profile: String,
    name: String,
}

/// What was looked at.
#[derive(Debug, Serialize)]
struct Look {
    check: &'static str,
    ok: bool,
    said: String,
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    program: String,
    checks: Vec<Look>,
}

/// The addresses that the service wrote down.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Addresses {
    dns: Vec<SocketAddr>,
    admin: Vec<SocketAddr>,
}

/// Exit code 0 when everything is right, 1 when something is not.
pub(super) fn run(context: &Context, args: &Args) -> Result<bool, Failure> {
    let config = context.settings()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::could_not(format!("can't start: {error}")))?;
    if let Some(file) = &args.record {
        let before = runtime.block_on(in_force(&config.data)).map_err(Failure::could_not)?;
        let text =
            serde_json::to_vec_pretty(&before).map_err(|error| Failure::could_not(error.to_string()))?;
        disk::replace(file, &text)
            .map_err(|error| Failure::could_not(format!("{}: {error}", file.display())))?;
        context.print(&before, || {
            format!("Written to {}: policy revision {}", file.display(), before.revision)
        })?;
        return Ok(true);
    }
    let before = match &args.policy_before {
        None => None,
        Some(file) => {
            let text = disk::read(file, 64 * 1024)
                .map_err(|error| Failure::could_not(format!("{}: {error}", file.display())))?;
            let before: Before = serde_json::from_slice(&text)
                .map_err(|error| Failure::bad(format!("{}: {error}", file.display())))?;
            Some(before)
        }
    };
    let ends = Instant::now() + Duration::from_secs(args.wait);
    let report = loop {
        let report = runtime.block_on(look(&config, before.as_ref(), args.answers));
        if report.ok || Instant::now() + AGAIN >= ends {
            break report;
        }
        std::thread::sleep(AGAIN);
    };
    context.print(&report, || said(&report))?;
    Ok(report.ok)
}

fn said(report: &Report) -> String {
    let mut text = String::new();
    for look in &report.checks {
        let word = if look.ok { "ok    " } else { "FAILED" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{word}  {:<9} {}", look.check, look.said);
    }
    let _ = write!(text, "{}", if report.ok { "Everything works." } else { "Something does not work." });
    text
}

/// The looks at everything, one after the other.
#[derive(Default)]
struct Looks(Vec<Look>);

impl Looks {
    fn add(&mut self, check: &'static str, done: Result<String, String>) {
        let ok = done.is_ok();
        let (Ok(said) | Err(said)) = done;
        self.0.push(Look { check, ok, said });
    }
}

async fn look(config: &Config, before: Option<&Before>, answers_only: bool) -> Report {
    let data = config.data.as_path();
    let mut looks = Looks::default();
    let first = match self_check(data, before.map(|before| before.revision)).await {
        Ok(said) => said,
        Err(why) => {
            looks.add("service", Err(why));
            return Report { ok: false, program: String::new(), checks: looks.0 };
        }
    };
    looks.add("service", Ok(format!("Schoolgate {} answers commands", first.program)));
    if !answers_only {
        looks.add("policy", policy(&first, before));
        // Where somebody published another policy meanwhile, its profiles may be kept from other names.
        if let Some(before) = before.filter(|before| before.policy == first.policy) {
            looks.add("profiles", as_before(data, &first, before).await);
        }
        looks.add("lists", lists(&first, before));
        looks.add("databases", databases(&first));
    }
    let addresses: Addresses = fs::read(data.join("addresses.json"))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    // Those of the settings where none are written down: a full disk is no reason to call a box silent that answers.
    let or_settings = |written: Vec<SocketAddr>, settings: &[SocketAddr]| {
        if written.is_empty() { settings.to_vec() } else { written }
    };
    let dns_at = or_settings(addresses.dns, &config.dns.listen);
    let pages_at = or_settings(addresses.admin, &config.admin.listen);
    for at in &dns_at {
        let at = reached(*at);
        looks.add("dns", answers(at, false).await.map(|()| format!("answers over UDP at {at}")));
        looks.add("dns", answers(at, true).await.map(|()| format!("answers over TCP at {at}")));
    }
    if dns_at.is_empty() {
        looks.add("dns", Err(String::from("no address is served")));
    }
    if let Some(at) = dns_at.first() {
        looks.add("blocking", blocks(data, reached(*at)).await);
    }
    if answers_only {
        return Report { ok: looks.0.iter().all(|look| look.ok), program: first.program, checks: looks.0 };
    }
    looks.add("log", log(data, &first).await);
    for at in &pages_at {
        looks.add("pages", pages(reached(*at)).await);
    }
    Report { ok: looks.0.iter().all(|look| look.ok), program: first.program, checks: looks.0 }
}

/// Where the box itself reaches an address.
fn reached(at: SocketAddr) -> SocketAddr {
    let ip = match at.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, at.port())
}

async fn ask(data: &Path, request: Request) -> Result<Answer, String> {
    match control::socket::ask(data, &request).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(String::from("no service runs on this data folder")),
        Err(error) => Err(error.to_string()),
    }
}

async fn self_check(data: &Path, of: Option<i64>) -> Result<SelfCheck, String> {
    match ask(data, Request::SelfCheck { of }).await? {
        Answer::SelfCheck(said) => Ok(said),
        _ => Err(String::from("the service answered something else; is it of another version?")),
    }
}

fn policy(said: &SelfCheck, before: Option<&Before>) -> Result<String, String> {
    if !said.settings {
        return Err(String::from("the database of settings can't be read"));
    }
    if said.revision != said.published {
        return Err(format!(
            "revision {} was published last and revision {} is in force",
            said.published, said.revision
        ));
    }
    match before {
        // Going back would take away what somebody has just decided.
        Some(before) if said.published > before.revision && said.earlier.as_ref() == Some(&before.policy) => {
            Ok(format!(
                "revision {} was published since, and is in force; revision {} is there as before",
                said.revision, before.revision
            ))
        }
        Some(before) if before.policy != said.policy => Err(format!(
            "revision {} is another policy than revision {} before",
            said.revision, before.revision
        )),
        Some(_) => Ok(format!("revision {} is in force, as before", said.revision)),
        None => Ok(format!("revision {} is in force", said.revision)),
    }
}

/// What is in force now.
async fn in_force(data: &Path) -> Result<Before, String> {
    let said = self_check(data, None).await?;
    let at = Clock::system().now();
    let blocked = blocked(data, &said, at).await?;
    Ok(Before {
        program: said.program,
        policy: said.policy,
        revision: said.published,
        had_lists: said.names > 0,
        blocked,
        at,
    })
}

/// What the policy blocks for each profile at a time, of [`LISTED`].
async fn blocked(data: &Path, said: &SelfCheck, at: Timestamp) -> Result<Vec<Blocked>, String> {
    let mut blocked = Vec::new();
    for profile in &said.profiles {
        for name in LISTED {
            if on_paper(data, name, Asker::Profile(profile.clone()), Some(at)).await?.blocked() {
                blocked.push(Blocked { profile: profile.clone(), name: name.to_owned() });
            }
        }
    }
    Ok(blocked)
}

/// Whether each profile is still kept from what it was kept from before, whatever became of the lists that ship.
async fn as_before(data: &Path, said: &SelfCheck, before: &Before) -> Result<String, String> {
    let now = blocked(data, said, before.at).await?;
    match before.blocked.iter().find(|blocked| !now.contains(blocked)) {
        Some(Blocked { profile, name }) => {
            Err(format!("{name} was blocked for {profile} before, and is no more"))
        }
        None => Ok(format!("{} are kept from what they were kept from before", said.profiles.len())),
    }
}

async fn on_paper(data: &Path, name: &str, who: Asker, at: Option<Timestamp>) -> Result<CheckReport, String> {
    let request = CheckRequest { name: name.to_owned(), r#type: String::from("A"), who, at, resolve: false };
    match ask(data, Request::Check(request)).await? {
        Answer::Check(report) => Ok(report),
        _ => Err(String::from("the service answered something else; is it of another version?")),
    }
}

fn lists(said: &SelfCheck, before: Option<&Before>) -> Result<String, String> {
    if !said.lists {
        return Err(String::from("the lists of the policy are not in force"));
    }
    if before.is_some_and(|before| before.had_lists) && said.names == 0 {
        return Err(String::from("the school's lists have no names any more"));
    }
    if !said.key {
        return Err(String::from("the box's secret key can't be read"));
    }
    Ok(format!("{} names in lists of the school", said.names))
}

fn databases(said: &SelfCheck) -> Result<String, String> {
    for database in &said.databases {
        if database.version != Some(database.wanted) {
            let version = database
                .version
                .map_or_else(|| String::from("can't be read"), |version| format!("has version {version}"));
            return Err(format!(
                "{} {version}, this program writes version {}",
                database.file, database.wanted
            ));
        }
    }
    Ok(format!("{} are as this program writes them", said.databases.len()))
}

async fn log(data: &Path, before: &SelfCheck) -> Result<String, String> {
    let now = self_check(data, None).await?;
    let Some(log) = now.log else { return Err(String::from("questions are not recorded")) };
    if let Some(why) = log.failing {
        return Err(format!("nothing can be written: {why}"));
    }
    let was = before.log.as_ref().map_or(0, |log| log.written);
    let more = log.written.saturating_sub(was);
    if more == 0 {
        return Err(String::from("the questions of this test did not arrive"));
    }
    Ok(format!("{more} questions were written"))
}

/// Whether a name of a list is blocked, as the policy says that it is.
async fn blocks(data: &Path, at: SocketAddr) -> Result<String, String> {
    for name in LISTED {
        let report = on_paper(data, name, Asker::Address(at.ip()), None).await?;
        if !report.blocked() {
            continue;
        }
        let answer = exchange(at, name, false).await?;
        let codes = extended_errors(&answer);
        // Blocked, censored, filtered; prohibited is who is not served at all.
        return if codes.iter().any(|code| (15..=17).contains(code)) {
            Ok(format!("{name} is blocked, as the policy says"))
        } else if codes.contains(&18) {
            Ok(format!("{name} is blocked by the policy; the box itself is not among those who are served"))
        } else {
            Err(format!(
                "{name} is blocked by the policy and is answered with {}",
                answer.metadata.response_code
            ))
        };
    }
    Ok(format!("the policy blocks none of {} for the box itself", LISTED.join(", ")))
}

fn extended_errors(message: &Message) -> Vec<u16> {
    let Some(edns) = &message.edns else { return Vec::new() };
    edns.options()
        .as_ref()
        .iter()
        .filter_map(|(_, option)| match option {
            EdnsOption::Unknown(15, bytes) if bytes.len() >= 2 => {
                Some(u16::from_be_bytes([bytes[0], bytes[1]]))
            }
            _ => None,
        })
        .collect()
}

/// Whether a name that needs no internet is answered. One who is not served is answered as well.
async fn answers(at: SocketAddr, over_tcp: bool) -> Result<(), String> {
    let answer = exchange(at, "localhost.", over_tcp).await?;
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain | ResponseCode::Refused => Ok(()),
        other => Err(format!("{at} answers with {other}")),
    }
}

async fn exchange(at: SocketAddr, name: &str, over_tcp: bool) -> Result<Message, String> {
    let way = if over_tcp { "TCP" } else { "UDP" };
    let asked = async {
        let mut message = Message::new(0x5347, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).map_err(io::Error::other)?, RecordType::A));
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        message.set_edns(edns);
        let bytes = message.to_vec().map_err(io::Error::other)?;
        let answer = if over_tcp { by_tcp(at, &bytes).await? } else { by_udp(at, &bytes).await? };
        Message::from_vec(&answer).map_err(io::Error::other)
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("no answer over {way} at {at}: {error}")),
        Err(_) => Err(format!("no answer over {way} at {at} within {} s", PATIENCE.as_secs())),
    }
}

async fn by_udp(at: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = if at.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(at).await?;
    socket.send(bytes).await?;
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

async fn by_tcp(at: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(at).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], bytes].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// Whether the pages answer, and what they say of the box.
async fn pages(at: SocketAddr) -> Result<String, String> {
    // One that is there already is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Nothing secret is said, and the certificate is for names that the box may not know itself by here.
    let client = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .map_err(|error| error.to_string())?;
    let mut last = String::new();
    for scheme in ["https", "http"] {
        let response = match client.get(format!("{scheme}://{at}/readyz")).send().await {
            Ok(response) => response,
            Err(error) => {
                last = format!("no answer at {at}: {error}");
                continue;
            }
        };
        let status = response.status().as_u16();
        let text = response.text().await.unwrap_or_default();
        return match status {
            200 => Ok(format!("answer at {at}, and say that the box is ready")),
            503 => {
                let own = text
                    .lines()
                    .find(|line| OWN_PARTS.iter().any(|part| line.starts_with(&format!("{part}:"))));
                let all = text.lines().collect::<Vec<_>>().join("; ");
                match own {
                    Some(line) => Err(format!("say: {line}")),
                    None => Ok(format!("answer at {at}, and say: {all}")),
                }
            }
            status => Err(format!("answer with {status} at {at}")),
        };
    }
    Err(last)
}
