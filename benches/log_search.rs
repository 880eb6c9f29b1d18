//! How long a page of the query log takes to find, and how many bytes a question takes on the disk:
//! `cargo bench --bench log_search`.
//!
//! It makes the file of a day with ten million questions below `target/` once (a minute), and ninety links to it for
//! the searches over ninety days. `SCHOOLGATE_LIST_DATA` names a folder of real lists, of which the popular names are
//! taken; without it, names are made up. `SCHOOLGATE_LOG_ROWS` says how many questions instead of ten million.

#![expect(clippy::print_stdout, reason = "this is a program of its own")]

use std::{
    collections::HashSet,
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, params};
use schoolgate::{
    category::Categories,
    clock::Day,
    policy::{Knowledge, Policy, PolicyFile},
    querylog::{
        AskedLately, LogFolder, busy_names,
        search::{Asked, Query, search},
    },
};

/// 2026-11-23, a Monday.
const DAY: u16 = 20_780;

/// How many days the longest search covers.
const DAYS: u16 = 90;

const CLIENTS: u64 = 1_000;

const PROFILES: [&str; 5] = ["ks1", "ks2", "ks3", "ks4", "staff"];

/// The categories of which something is blocked.
const BLOCKED: [&str; 15] = [
    "ads-trackers",
    "gambling",
    "adult",
    "games",
    "social",
    "vpn-proxy",
    "malware",
    "phishing",
    "dating",
    "drugs",
    "weapons",
    "messaging",
    "video",
    "file-sharing",
    "crypto-trading",
];

fn main() {
    let rows: u64 =
        std::env::var("SCHOOLGATE_LOG_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(10_000_000);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/log-search-{rows}"));
    let (one, many) = (LogFolder::in_data(&data.join("one")), LogFolder::in_data(&data.join("many")));
    let file = one.day(Day::from_number(DAY));
    if !file.exists() {
        println!("Making a day of {rows} questions in {}", file.display());
        make(&file, rows).expect("the day can be written");
    }
    let _ = fs::remove_dir_all(many.path());
    fs::create_dir_all(many.path()).expect("a folder");
    for back in 0..DAYS {
        fs::hard_link(&file, many.day(Day::from_number(DAY - back))).expect("a link");
    }
    let connection = Connection::open(&file).expect("it opens");
    println!("\n{}", sizes(&connection, &file, rows));
    let policy = policy();
    println!("{:<44} {:>6}  {:>12}  {:>12}", "the first 100 of", "found", "one day", format!("{DAYS} days"));
    for (what, asked) in searches(&connection) {
        let query = Query::understand(&asked, &policy, &one, "2026-11-24T00:00:00Z".parse().expect("a time"))
            .expect("it makes sense");
        let (found, day) = time(&one, &query, &policy);
        let (_, days) = time(&many, &query, &policy);
        println!("{what:<44} {found:>6}  {:>12}  {:>12}", said(day), said(days));
    }
    habits(&many);
}

/// What lists are judged by.
fn habits(folder: &LogFolder) {
    let today = Day::from_number(DAY);
    let start = Instant::now();
    let busy = busy_names(folder, today, 7, 1_000).expect("it can be read");
    println!("\nthe {} busiest names of 7 days: {}", busy.len(), said(start.elapsed()));
    let start = Instant::now();
    let lately = AskedLately::open(folder, today, 7).expect("it can be read");
    println!("which names were asked in 7 days: {}", said(start.elapsed()));
    let start = Instant::now();
    let asked: u64 = busy.iter().map(|name| lately.count(&name.name)).sum();
    println!("how often each of the busiest was ({asked} times in all): {}", said(start.elapsed()));
}

fn said(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}

/// How many are found, and the median of some runs, warm.
fn time(folder: &LogFolder, query: &Query, policy: &Policy) -> (usize, Duration) {
    let mut found = 0;
    let mut times: Vec<Duration> = Vec::new();
    let begun = Instant::now();
    for run in 0..21 {
        let start = Instant::now();
        let page = search(folder, query, policy).expect("it can be read");
        assert!(page.unreadable.is_empty(), "{:?}", page.unreadable);
        found = page.entries.len();
        // The first run warms it up.
        if run > 0 {
            times.push(start.elapsed());
        }
        if begun.elapsed() > Duration::from_secs(6) && !times.is_empty() {
            break;
        }
    }
    times.sort_unstable();
    (found, times[times.len() / 2])
}

fn policy() -> Policy {
    let categories = Arc::new(Categories::shipped());
    Policy::build(&PolicyFile::shipped(), &Knowledge { categories, indexes: Vec::new() })
        .expect("it is valid")
}

/// What is searched for, by how often it occurs in the file.
fn searches(connection: &Connection) -> Vec<(String, Asked)> {
    let text =
        |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).expect("there is one") };
    let client = |order: &str| {
        text(&format!(
            "SELECT client FROM asker JOIN asker_span ON asker = id GROUP BY id ORDER BY count(*) {order} LIMIT 1"
        ))
    };
    let domain = |order: &str, offset: u64| {
        let reversed = text(&format!(
            "SELECT reversed FROM name JOIN name_span ON name = id WHERE reversed LIKE 'com.%'
                GROUP BY id ORDER BY count(*) {order}, id DESC LIMIT 1 OFFSET {offset}"
        ));
        reversed.split('.').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(".")
    };
    let (frequent, seldom) = (client("DESC"), client("ASC"));
    let (popular, rare) = (domain("DESC", 0), domain("ASC", 0));
    let some = |text: &str| Some(text.to_owned());
    let asked = Asked::default;
    vec![
        (String::from("all questions"), asked()),
        (String::from("a client that asks much"), Asked { client: some(&frequent), ..asked() }),
        (String::from("a client that asks seldom"), Asked { client: some(&seldom), ..asked() }),
        (String::from("a client that never asked"), Asked { client: some("192.0.2.1"), ..asked() }),
        (String::from("a profile"), Asked { profile: some("ks2"), ..asked() }),
        (String::from("a subnet of 250 clients"), Asked { client: some("10.20.1.0/24"), ..asked() }),
        (format!("a popular domain (*.{popular})"), Asked { name: some(&format!("*.{popular}")), ..asked() }),
        (format!("a rare domain (*.{rare})"), Asked { name: some(&format!("*.{rare}")), ..asked() }),
        (String::from("a domain that nobody asked for"), Asked { name: some("*.nobody.example"), ..asked() }),
        (String::from("*.com"), Asked { name: some("*.com"), ..asked() }),
        (String::from("*.co.uk"), Asked { name: some("*.co.uk"), ..asked() }),
        (String::from("*a*"), Asked { name: some("*a*"), ..asked() }),
        (String::from("*tok*"), Asked { name: some("*tok*"), ..asked() }),
        (String::from("*zzqx* (in no name)"), Asked { name: some("*zzqx*"), ..asked() }),
        (String::from("a category often blocked"), Asked { category: some("ads-trackers"), ..asked() }),
        (String::from("a category seldom blocked"), Asked { category: some("weapons"), ..asked() }),
        (
            String::from("a category that nobody asked for"),
            Asked { category: some("stalkerware"), ..asked() },
        ),
        (String::from("what was blocked"), Asked { action: some("blocked"), ..asked() }),
        (String::from("alerts"), Asked { alert: true, ..asked() }),
        (
            String::from("a client and a popular domain"),
            Asked { client: some(&frequent), name: some(&format!("*.{popular}")), ..asked() },
        ),
        (
            String::from("a client and a seldom category"),
            Asked { client: some(&frequent), category: some("weapons"), ..asked() },
        ),
        (
            String::from("a profile, *tok*, blocked"),
            Asked { profile: some("ks2"), name: some("*tok*"), action: some("blocked"), ..asked() },
        ),
        (
            String::from("a client from 09:00 to 09:30"),
            Asked {
                client: some(&frequent),
                from: some("2026-11-23 09:00"),
                to: some("2026-11-23 09:30"),
                ..asked()
            },
        ),
    ]
}

/// How large the file is, and what takes how much of it.
fn sizes(connection: &Connection, file: &Path, rows: u64) -> String {
    let bytes = fs::metadata(file).expect("it is there").len();
    let count = |sql: &str| -> i64 { connection.query_row(sql, [], |row| row.get(0)).expect("it counts") };
    let mut text = format!(
        "{rows} questions of {} askers for {} names with {} fates in {} spans: {:.1} MB, {:.1} bytes each\n",
        count("SELECT count(*) FROM asker"),
        count("SELECT count(*) FROM name"),
        count("SELECT count(*) FROM fate"),
        count("SELECT count(*) FROM span"),
        bytes as f64 / 1e6,
        bytes as f64 / rows as f64
    );
    for table in ["asker_span", "name_span", "fate_span"] {
        let entries = count(&format!("SELECT count(*) FROM {table}"));
        text.push_str(&format!("  {table}: {:.2} entries a question\n", entries as f64 / rows as f64));
    }
    text
}

/// A small generator of numbers that are the same each time (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of some, by their weights added up.
    fn weighted(&mut self, sums: &[f64]) -> usize {
        let wanted = self.part() * sums.last().copied().unwrap_or(0.0);
        sums.partition_point(|sum| *sum <= wanted).min(sums.len() - 1)
    }
}

fn sums(weights: impl Iterator<Item = f64>) -> Vec<f64> {
    weights
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect()
}

/// The names that a school asks for, the most popular first, the last label first.
fn names() -> Vec<String> {
    let real = std::env::var_os("SCHOOLGATE_LIST_DATA").map(|folder| PathBuf::from(folder).join("popular"));
    let domains =
        real.as_deref().and_then(|folder| read(&folder.join("tranco-100k-2022-ranked.txt.zst")).ok());
    let hosts = real.as_deref().and_then(|folder| read(&folder.join("umbrella-top-2026-halfA.txt.zst")).ok());
    let (domains, hosts) = match (domains, hosts) {
        (Some(domains), Some(hosts)) => (domains, hosts),
        _ => {
            println!("Names are made up: set SCHOOLGATE_LIST_DATA to a folder of real lists.");
            let made_up = |prefix: &str| {
                (0..100_000_u64)
                    .map(|i| {
                        format!(
                            "{prefix}site-{:x}.{}",
                            i * 7_919,
                            ["com", "co.uk", "org", "net"][i as usize % 4]
                        )
                    })
                    .collect()
            };
            (made_up(""), made_up("cdn."))
        }
    };
    let mut known = HashSet::new();
    let mut names = Vec::new();
    let mut numbers = Numbers(3);
    let mut add = |name: &str| {
        let reversed: Vec<&str> = name.rsplit('.').collect();
        let reversed = reversed.join(".");
        if known.insert(reversed.clone()) {
            names.push(reversed);
        }
    };
    for (at, domain) in domains.iter().enumerate() {
        add(&format!("www.{domain}"));
        if at < hosts.len() {
            let any = numbers.below(hosts.len() as u64) as usize;
            add(hosts[any].trim_start_matches("*."));
        }
        if at % 2 == 0 {
            add(domain);
        }
    }
    names
}

fn read(file: &Path) -> io::Result<Vec<String>> {
    let mut text = String::new();
    ruzstd::decoding::StreamingDecoder::new(fs::File::open(file)?)
        .map_err(io::Error::other)?
        .read_to_string(&mut text)?;
    Ok(text.lines().map(|line| line.trim().to_lowercase()).filter(|line| !line.is_empty()).collect())
}

/// How many questions come in each hour of a school day, in parts of a hundred.
const HOURS: [f64; 24] = [
    0.6, 0.5, 0.5, 0.5, 0.5, 0.6, 1.0, 3.0, 9.0, 12.0, 11.0, 12.0, 9.0, 11.0, 12.0, 8.0, 3.0, 1.2, 0.9, 0.8,
    0.8, 0.7, 0.7, 0.7,
];

/// Makes the file of a day, as the log's writer would with questions in the order of time.
fn make(file: &Path, rows: u64) -> rusqlite::Result<()> {
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    let part = file.with_extension("part");
    let _ = fs::remove_file(&part);
    let mut connection = Connection::open(&part)?;
    connection.pragma_update(None, "journal_mode", "off")?;
    connection.pragma_update(None, "synchronous", "off")?;
    connection.pragma_update(None, "cache_size", -200_000)?;
    connection.execute_batch(include_str!("../src/querylog/day/schema-1.sql"))?;
    connection.pragma_update(None, "user_version", 1)?;
    connection.pragma_update(None, "application_id", 0x5347_6c67)?;
    let mut maker = Maker::new();
    let change = connection.transaction()?;
    maker.fill(&change, rows)?;
    change.commit()?;
    drop(connection);
    fs::rename(&part, file).expect("it has its name");
    Ok(())
}

struct Maker {
    numbers: Numbers,
    names: Vec<String>,
    popularity: Vec<f64>,
    activity: Vec<f64>,
    /// The number of each name, client and fate in the file; 0 for none yet.
    name_ids: Vec<u32>,
    asker_ids: Vec<u32>,
    fates: std::collections::HashMap<[u16; 8], u32>,
    /// The span in which each number occurred last.
    last: [Vec<u32>; 3],
}

impl Maker {
    fn new() -> Self {
        let names = names();
        let mut numbers = Numbers(1);
        // Some devices stand in a cupboard; none asks more than a hundred times what another does, but for these.
        let activity = sums((0..CLIENTS).map(|client| match client {
            990.. => 0.000_2,
            _ => 0.1 + numbers.part() * numbers.part() * 5.0,
        }));
        Self {
            popularity: sums((0..names.len()).map(|rank| 1.0 / (rank as f64 + 3.0))),
            activity,
            name_ids: vec![0; names.len()],
            asker_ids: vec![0; CLIENTS as usize],
            fates: std::collections::HashMap::new(),
            last: [Vec::new(), Vec::new(), Vec::new()],
            names,
            numbers,
        }
    }

    fn fill(&mut self, connection: &Connection, rows: u64) -> rusqlite::Result<()> {
        let mut question = connection
            .prepare("INSERT INTO question (at, asker, name, fate, took) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let mut begin = connection.prepare("INSERT INTO span (number, first) VALUES (?1, ?2)")?;
        let mut enter = [
            connection.prepare("INSERT OR IGNORE INTO asker_span (asker, span) VALUES (?1, ?2)")?,
            connection.prepare("INSERT OR IGNORE INTO name_span (name, span) VALUES (?1, ?2)")?,
            connection.prepare("INSERT OR IGNORE INTO fate_span (fate, span) VALUES (?1, ?2)")?,
        ];
        let all: f64 = HOURS.iter().sum();
        let (mut last, mut span, mut filled, mut done) = (-1_i64, 0_u32, 1_024, 0);
        for (hour, share) in (0_u64..).zip(HOURS) {
            let end = if hour == 23 { rows } else { done + (rows as f64 * share / all) as u64 };
            let count = end - done;
            for nth in 0..count {
                let ms = hour * 3_600_000 + nth * 3_600_000 / count;
                let at = i64::try_from(ms * 256).expect("a day is short").max(last + 1);
                last = at;
                if filled >= 1_024 {
                    span += 1;
                    filled = 0;
                    begin.execute(params![span, if span == 1 { 0 } else { at }])?;
                }
                filled += 1;
                let ids = self.row(connection)?;
                let took = self.took();
                question.execute(params![at, ids[0], ids[1], ids[2], took])?;
                for (table, id) in ids.into_iter().enumerate() {
                    let known = &mut self.last[table];
                    if known.len() <= id as usize {
                        known.resize(id as usize * 2 + 16, 0);
                    }
                    if std::mem::replace(&mut known[id as usize], span) != span {
                        enter[table].execute([id, span])?;
                    }
                }
            }
            done = end;
        }
        Ok(())
    }

    /// Microseconds: most answers come from the cache.
    fn took(&mut self) -> i64 {
        let took = match self.numbers.below(10) {
            0..7 => 20 + self.numbers.below(150),
            7..9 => 4_000 + self.numbers.below(30_000),
            _ => 20_000 + self.numbers.below(200_000),
        };
        took as i64
    }

    fn row(&mut self, connection: &Connection) -> rusqlite::Result<[u32; 3]> {
        let client = self.numbers.weighted(&self.activity);
        let rank = self.numbers.weighted(&self.popularity);
        let asker = self.asker(connection, client)?;
        let name = match self.name_ids[rank] {
            0 => {
                connection
                    .prepare_cached("INSERT INTO name (reversed) VALUES (?1)")?
                    .execute([&self.names[rank]])?;
                let id = connection.last_insert_rowid() as u32;
                self.name_ids[rank] = id;
                id
            }
            id => id,
        };
        let fate = self.fate(connection, rank)?;
        Ok([asker, name, fate])
    }

    fn asker(&mut self, connection: &Connection, client: usize) -> rusqlite::Result<u32> {
        if self.asker_ids[client] > 0 {
            return Ok(self.asker_ids[client]);
        }
        let (net, host) = (client / 250, client % 250);
        let device = if client.is_multiple_of(10) { format!("trolley-{client}") } else { String::new() };
        connection
            .prepare_cached(
                "INSERT INTO asker (client, profile, device, mac, known_by, confidence, lease_from, lease_until)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0)",
            )?
            .execute(params![
                format!("10.20.{net}.{host}"),
                PROFILES[client % 5],
                device,
                format!("02:00:00:00:{:02x}:{:02x}", net, host),
                if device.is_empty() { "subnet" } else { "mac" },
                if device.is_empty() { "low" } else { "high" },
            ])?;
        self.asker_ids[client] = connection.last_insert_rowid() as u32;
        Ok(self.asker_ids[client])
    }

    fn fate(&mut self, connection: &Connection, rank: usize) -> rusqlite::Result<u32> {
        // A name is of the same categories whenever it is asked for.
        let mut of_name = Numbers(rank as u64);
        let blocked = if rank > 20 && of_name.below(1_000) < 55 {
            // Advertisements most, weapons least.
            1 + (of_name.part() * of_name.part() * 15.0) as u16
        } else {
            0
        };
        let other = (of_name.below(40) as u16).saturating_sub(20);
        let secure = u16::from(blocked == 0 && of_name.below(4) == 0);
        let nothing = u16::from(blocked == 0 && of_name.below(100) < 5);
        let numbers = &mut self.numbers;
        let qtype = match numbers.below(100) {
            0..60 => 0,
            60..82 => 1,
            82..95 => 2,
            95..97 => 3,
            97..99 => 4,
            _ => 5,
        };
        let transport = u16::from(numbers.below(50) == 0);
        let source = match numbers.below(100) {
            0..70 => 0,
            70..71 => 1,
            _ => 2,
        };
        let failed = u16::from(blocked + nothing == 0 && numbers.below(200) == 0);
        let key =
            [qtype, transport, if blocked > 0 { 3 } else { source }, failed, blocked, other, secure, nothing];
        if let Some(id) = self.fates.get(&key) {
            return Ok(*id);
        }
        let word = |words: &[&'static str], at: u16| words[usize::from(at)];
        let deciding = if blocked > 0 { BLOCKED[usize::from(blocked) - 1] } else { "" };
        let categories = match (blocked, other) {
            (0, 0) => String::new(),
            (0, other) => format!("own-kind-{other}"),
            (_, 0) => deciding.to_owned(),
            (_, other) => format!("{deciding} own-kind-{other}"),
        };
        connection
            .prepare_cached(
                "INSERT INTO fate (transport, qtype, rcode, action, reason, category, list, rule, detail, would,
                    categories, dnssec, source, alert)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, '', '', '', ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                word(&["udp", "tcp"], transport),
                word(&["A", "AAAA", "HTTPS", "PTR", "TXT", "SRV"], qtype),
                if failed == 1 { "SERVFAIL" } else { word(&["NOERROR", "NXDOMAIN"], nothing) },
                if blocked > 0 { "blocked" } else { word(&["allowed", "failed"], failed) },
                if blocked > 0 { "category" } else { "default" },
                deciding,
                if blocked > 0 { format!("{deciding}-list") } else { String::new() },
                categories,
                if blocked > 0 { "" } else { word(&["insecure", "secure"], secure) },
                word(&["cache", "stale", "upstream", "policy"], key[2]),
                i64::from(matches!(deciding, "weapons" | "drugs" | "malware")),
            ])?;
        let id = connection.last_insert_rowid() as u32;
        self.fates.insert(key, id);
        Ok(id)
    }
}
