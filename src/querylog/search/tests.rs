//! The search against the plainest one there is: all rows, one by one.

use std::fs;

use jiff::Timestamp;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    category::Categories,
    name::Key,
    policy::{Knowledge, PolicyFile},
    querylog::{
        Action, Who,
        day::{
            rows::{AskerRow, FateRow, QuestionRow},
            write::DayWriter,
        },
    },
};

/// 2026-11-22, as a number.
const DAY: u16 = 20_779;

fn policy() -> Policy {
    policy_with(Vec::new())
}

fn policy_with(indexes: Vec<std::sync::Arc<crate::lists::DomainIndex>>) -> Policy {
    let categories = std::sync::Arc::new(Categories::shipped());
    let mut file = PolicyFile::shipped();
    let text = format!("{}\n[[device]]\nname = \"Trolley-iPad-3\"\naddress = \"10.1.0.3\"\n", file.to_toml());
    if let Ok(with_device) = PolicyFile::parse(&text) {
        file = with_device;
    }
    Policy::build(&file, &Knowledge { categories, indexes }).unwrap()
}

/// What a test says of a question.
#[derive(Debug, Clone)]
struct Asked1 {
    ms: i64,
    client: String,
    device: String,
    profile: String,
    name: String,
    action: Action,
    category: String,
    categories: String,
    alert: bool,
}

impl Default for Asked1 {
    fn default() -> Self {
        Self {
            ms: 9 * 3_600_000,
            client: String::from("10.1.0.1"),
            device: String::new(),
            profile: String::from("ks2"),
            name: String::from("www.example.com"),
            action: Action::Allowed,
            category: String::new(),
            categories: String::new(),
            alert: false,
        }
    }
}

fn write(writer: &mut DayWriter, row: &Asked1) {
    let asker = AskerRow {
        client: row.client.clone(),
        profile: row.profile.clone(),
        device: row.device.clone(),
        known_by: String::from("subnet"),
        confidence: String::from("low"),
        ..AskerRow::default()
    };
    let fate = FateRow {
        transport: String::from("udp"),
        qtype: String::from("A"),
        rcode: String::from("NOERROR"),
        action: row.action,
        reason: String::from(if row.category.is_empty() { "default" } else { "category" }),
        category: row.category.clone(),
        list: String::new(),
        rule: String::new(),
        detail: String::new(),
        would: String::new(),
        categories: row.categories.clone(),
        dnssec: String::new(),
        source: String::from("upstream"),
        alert: row.alert,
    };
    let reversed = match row.name.strip_prefix("locked:") {
        Some(_) => row.name.clone(),
        None => day::reversed(Key::parse(&row.name).unwrap().as_bytes()),
    };
    let asker = writer.asker(&asker).unwrap();
    let name = writer.name(&reversed, || None).unwrap();
    let fate = writer.fate(&fate).unwrap();
    writer.question(&QuestionRow { ms: row.ms, asker, name, fate, took: 150 }).unwrap();
}

struct Log {
    _data: TempDir,
    folder: LogFolder,
    policy: Policy,
}

impl Log {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let folder = LogFolder::in_data(data.path());
        Self { _data: data, folder, policy: policy() }
    }

    fn add(&self, day: u16, rows: &[Asked1]) {
        let day = Day::from_number(day);
        let mut writer = DayWriter::open(&self.folder.day(day), day).unwrap();
        writer.begin().unwrap();
        for row in rows {
            write(&mut writer, row);
        }
        writer.commit().unwrap();
        writer.close().unwrap();
    }

    fn search(&self, query: &Query) -> Page {
        search(&self.folder, query, &self.policy).unwrap()
    }

    fn understand(&self, asked: &Asked) -> Result<Query, LogError> {
        Query::understand(asked, &self.policy, &self.folder, "2026-11-22T12:00:00Z".parse().unwrap())
    }

    /// All pages of a query.
    fn all(&self, query: &Query) -> Vec<Entry> {
        let mut query = query.clone();
        let mut entries = Vec::new();
        loop {
            let page = self.search(&query);
            assert!(page.entries.len() <= query.limit);
            assert_eq!(page.unreadable, []);
            entries.extend(page.entries);
            let Some(next) = page.next else { return entries };
            query.after = Some(next);
        }
    }
}

fn names(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name.as_str()).collect()
}

fn named(name: &str) -> Asked1 {
    Asked1 { name: name.to_owned(), ..Asked1::default() }
}

#[test]
fn nothing_is_found_where_there_is_no_log() {
    assert_eq!(Log::new().search(&Query::default()), Page::default());
}

#[test]
fn the_newest_come_first_over_all_days_and_a_page_says_where_the_next_begins() {
    let log = Log::new();
    log.add(DAY - 1, &[named("a.example"), named("b.example")]);
    log.add(DAY, &[named("c.example"), named("d.example")]);
    let first = log.search(&Query { limit: 3, ..Query::default() });
    assert_eq!(names(&first.entries), ["d.example", "c.example", "b.example"]);
    assert_eq!(first.next, Some(first.entries[2].place));
    let second = log.search(&Query { limit: 3, after: first.next, ..Query::default() });
    assert_eq!((names(&second.entries), second.next), (vec!["a.example"], None));
    let exact = log.search(&Query { limit: 4, ..Query::default() });
    assert_eq!((exact.entries.len(), exact.next), (4, None), "there is no page without entries after it");
}

#[test]
fn what_arrives_between_two_pages_is_on_neither() {
    let log = Log::new();
    log.add(DAY, &[named("a.example"), named("b.example"), named("c.example")]);
    let query = Query { limit: 2, ..Query::default() };
    let first = log.search(&query);
    log.add(DAY, &[Asked1 { ms: 10 * 3_600_000, ..named("new.example") }]);
    log.add(DAY + 1, &[named("newer.example")]);
    let second = log.search(&Query { after: first.next, ..query });
    assert_eq!(names(&first.entries), ["c.example", "b.example"]);
    assert_eq!(names(&second.entries), ["a.example"]);
}

#[test]
fn a_question_that_came_late_stands_where_it_belongs() {
    let log = Log::new();
    let mut rows: Vec<Asked1> =
        (0..5_000).map(|at| Asked1 { ms: 1_000 * at, ..named(&format!("n{at}.example")) }).collect();
    rows.push(Asked1 { ms: 700, client: String::from("10.9.9.9"), ..named("late.example") });
    log.add(DAY, &rows);
    let query = Query { client: Some(Who::parse("10.9.9.9").unwrap()), ..Query::default() };
    assert_eq!(names(&log.search(&query).entries), ["late.example"]);
    let to = Some(Place { day: Day::from_number(DAY), at: 1_500 * PER_MILLISECOND }.time());
    assert_eq!(
        names(&log.search(&Query { to, ..Query::default() }).entries),
        ["n1.example", "late.example", "n0.example"]
    );
}

#[test]
fn a_category_finds_what_it_decided_and_all_names_that_are_in_it() {
    let log = Log::new();
    let decided = Asked1 {
        category: String::from("gambling"),
        categories: String::from("ads gambling"),
        ..named("a.example")
    };
    let among = Asked1 {
        category: String::from("ads"),
        categories: String::from("ads gambling"),
        ..named("b.example")
    };
    let other = Asked1 { categories: String::from("ads"), ..named("c.example") };
    log.add(DAY, &[decided, among, other]);
    let query =
        log.understand(&Asked { category: Some(String::from("gambling")), ..Asked::default() }).unwrap();
    assert_eq!(names(&log.search(&query).entries), ["b.example", "a.example"]);
}

#[test]
fn clients_are_found_by_address_subnet_name_and_pseudonym() {
    let log = Log::new();
    let by = |client: &str, device: &str, name: &str| Asked1 {
        client: client.to_owned(),
        device: device.to_owned(),
        ..named(name)
    };
    log.add(
        DAY,
        &[
            by("10.1.0.3", "Trolley-iPad-3", "a.example"),
            by("10.1.0.30", "", "b.example"),
            by("2001:db8::7", "", "c.example"),
            by("device-3fa9c0ffee12", "", "d.example"),
        ],
    );
    let find = |client: &str| {
        let query = log.understand(&Asked { client: Some(client.to_owned()), ..Asked::default() }).unwrap();
        log.search(&query).entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(find("10.1.0.3"), "a.example");
    assert_eq!(find("::ffff:10.1.0.3"), "a.example");
    assert_eq!(find("trolley-ipad-3"), "a.example");
    assert_eq!(find("10.1.0.0/24"), "b.example a.example");
    assert_eq!(find("2001:db8::/32"), "c.example");
    assert_eq!(find("2001:DB8:0:0::7"), "c.example");
    assert_eq!(find("device-3fa9c0ffee12"), "d.example");
    assert_eq!(find("192.0.2.1"), "");
}

#[test]
fn wrong_words_are_refused_by_their_argument_with_what_was_perhaps_meant() {
    let log = Log::new();
    log.add(
        DAY,
        &[Asked1 { profile: String::from("gone"), category: String::from("own-gone"), ..named("a.example") }],
    );
    let text = |text: &str| Some(text.to_owned());
    for (asked, says) in [
        (Asked { from: text("noon"), ..Asked::default() }, "--from: \"noon\" is no time"),
        (Asked { to: text("2026-11-31"), ..Asked::default() }, "--to: \"2026-11-31\" is no time"),
        (
            Asked { from: text("2026-11-22"), to: text("2026-11-20"), ..Asked::default() },
            "--from: 2026-11-22 00:00:00 is not before --to",
        ),
        (Asked { name: text("**"), ..Asked::default() }, "--name: \"**\" is every name"),
        (Asked { limit: Some(0), ..Asked::default() }, "--limit: 0 questions"),
        (Asked { limit: Some(MOST + 1), ..Asked::default() }, "--limit: 10001 questions"),
        (Asked { category: text("gambing"), ..Asked::default() }, "did you mean gambling?"),
        (Asked { profile: text("stafff"), ..Asked::default() }, "did you mean staff?"),
        (
            Asked { action: text("block"), ..Asked::default() },
            "--action: there is no action \"block\"; did you mean blocked?",
        ),
        (Asked { reason: text("categori"), ..Asked::default() }, "did you mean category?"),
        (Asked { list: text("no-such-list"), ..Asked::default() }, "--list: there is no list"),
        (Asked { client: text("Trolley-iPad-33"), ..Asked::default() }, "--client: no device is called"),
        (Asked { client: text(" "), ..Asked::default() }, "--client: write an address"),
        (Asked { after: text("yesterday"), ..Asked::default() }, "--after: \"yesterday\" is not a place"),
    ] {
        let error = log.understand(&asked).unwrap_err();
        assert!(error.is_bad_input(), "{error}");
        assert!(error.to_string().contains(says), "{asked:?}: {error}");
    }
    // What only the log knows any more can be searched for.
    for asked in [
        Asked { profile: text("gone"), ..Asked::default() },
        Asked { category: text("own-gone"), ..Asked::default() },
    ] {
        assert_eq!(log.search(&log.understand(&asked).unwrap()).entries.len(), 1);
    }
}

#[test]
fn what_must_not_be_shown_is_a_digest_and_found_by_who_names_it() {
    let mut log = Log::new();
    let meta = crate::lists::ListMeta {
        id: String::from("feed"),
        title: String::from("A feed"),
        category: String::from("illegal-child-abuse"),
        version: String::new(),
        entries: 1,
    };
    let subject = crate::lists::format::Subject::Name {
        key: Key::parse("worst.test").unwrap(),
        mode: crate::lists::format::MatchMode::Subdomains,
    };
    let rule = crate::lists::format::Rule { subject, allow: false };
    let index = crate::lists::DomainIndex::from_rules(vec![(meta, vec![rule])]);
    let folder = tempfile::tempdir().unwrap();
    let mask = crate::vault::Vault::open(folder.path()).unwrap().mask().clone();
    log.policy = policy_with(vec![std::sync::Arc::new(index)]).with_mask(mask.clone());
    let key = |name: &str| Key::parse(name).unwrap();
    let digests = |name: &str| log.policy.digests(&key(name), mask.name(key("worst.test").as_bytes()));
    let (worst, below) = (digests("worst.test"), digests("www.worst.test"));
    // One was logged before its list came, the others after.
    log.add(DAY, &[named("www.worst.test"), named(&worst), named(&below), named("www.better.test")]);
    let find = |name: &str| {
        let asked = Asked { name: Some(name.to_owned()), ..Asked::default() };
        let page = log.search(&log.understand(&asked).unwrap());
        let names: Vec<String> = page.entries.into_iter().map(|entry| entry.name).collect();
        names
    };
    let all = log.search(&Query::default());
    assert_eq!(names(&all.entries), ["www.better.test", below.as_str(), worst.as_str(), below.as_str()]);
    assert_eq!(find("worst.test"), [worst.as_str()]);
    assert_eq!(find("www.worst.test"), [below.as_str(), below.as_str()]);
    assert_eq!(find("*.worst.test"), [below.as_str(), worst.as_str(), below.as_str()]);
    assert_eq!(find(&worst), [worst.as_str()]);
    assert_eq!(find(&format!("{worst}*")), [below.as_str(), worst.as_str()]);
    // Nobody finds it out letter by letter.
    for glob in ["*worst*", "w*", "*.test", "*st.test", "*orst*"] {
        assert!(find(glob).iter().all(|name| name == "www.better.test"), "{glob}");
    }
}

#[test]
fn a_damaged_day_is_a_warning_and_the_others_are_searched() {
    let log = Log::new();
    for day in [DAY - 2, DAY - 1, DAY] {
        log.add(day, &[named(&format!("d{day}.example"))]);
    }
    fs::write(log.folder.day(Day::from_number(DAY - 1)), vec![7; 20_000]).unwrap();
    let page = log.search(&Query::default());
    assert_eq!(names(&page.entries), ["d20779.example", "d20777.example"]);
    assert_eq!(page.unreadable.len(), 1);
    assert_eq!(page.unreadable[0].day.to_string(), "2026-11-21");
}

#[test]
fn a_day_of_a_newer_program_is_refused_by_its_name() {
    let log = Log::new();
    log.add(DAY, &[named("a.example")]);
    let file = log.folder.day(Day::from_number(DAY));
    let connection = Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = search(&log.folder, &Query::default(), &log.policy).unwrap_err();
    assert!(error.is_bad_input());
    assert!(error.to_string().contains("2026-11-22.db was made by a newer Schoolgate"), "{error}");
}

#[test]
fn what_was_not_kept_is_told_once_on_the_page_of_its_time() {
    let log = Log::new();
    let day = Day::from_number(DAY);
    let midnight = i64::from(DAY) * DAY_MS;
    let mut writer = DayWriter::open(&log.folder.day(day), day).unwrap();
    writer.begin().unwrap();
    for second in 0..10 {
        write(&mut writer, &Asked1 { ms: second * 1_000, ..named(&format!("n{second}.example")) });
    }
    for second in [1_500, 6_000, 20_000] {
        writer.unkept(midnight + second - 100, midnight + second, 5, "queue-full").unwrap();
    }
    writer.commit().unwrap();
    writer.close().unwrap();
    let mut query = Query { limit: 3, ..Query::default() };
    // A day of before, where something was lost too, is told of once as well.
    let before = Day::from_number(DAY - 1);
    let mut writer = DayWriter::open(&log.folder.day(before), before).unwrap();
    writer.begin().unwrap();
    writer.unkept(midnight - 2_000, midnight - 1_000, 5, "queue-full").unwrap();
    writer.commit().unwrap();
    writer.close().unwrap();
    log.add(DAY - 2, &[named("old.example"), named("older.example")]);
    let mut told = Vec::new();
    loop {
        let page = log.search(&query);
        let lows = page.entries.last().map(|entry| entry.time);
        told.extend(page.unkept.iter().map(|unkept| (unkept.until.as_millisecond() - midnight, lows)));
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    let whens: Vec<i64> = told.iter().map(|(when, _)| *when).collect();
    assert_eq!(whens, [20_000, 6_000, 1_500, -1_000]);
}

#[test]
fn a_search_that_takes_long_says_what_it_has_and_goes_on_from_there() {
    let log = Log::new();
    for day in [DAY - 1, DAY] {
        let rows: Vec<Asked1> = (0..9_000)
            .map(|at| Asked1 {
                ms: at * 100,
                client: String::from(if at % 2_000 == 7 { "10.9.9.9" } else { "10.1.0.1" }),
                // Both occur in each span, never in one row but for a few.
                name: String::from(if at % 2_000 == 7 && at > 5_000 || at % 2 == 0 {
                    "a.example"
                } else {
                    "b.example"
                }),
                ..Asked1::default()
            })
            .collect();
        log.add(day, &rows);
    }
    let query = Query {
        client: Some(Who::parse("10.9.9.9").unwrap()),
        name: Some(Glob::parse("a.example").unwrap()),
        ..Query::default()
    };
    let mut query = query;
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let page = search_some(&log.folder, &query, &log.policy, 1_500, None).unwrap();
        assert_eq!(page.unfinished, page.next.is_some());
        found.extend(page.entries);
        pages += 1;
        let Some(next) = page.next else { break };
        assert!(query.after.is_none_or(|after| next < after), "it gets on");
        query.after = Some(next);
    }
    assert!(pages > 3, "{pages}");
    assert_eq!(found, log.search(&Query { after: None, ..query }).entries);
    assert_eq!(found.len(), 4);
}

#[test]
fn a_search_gets_on_however_many_names_a_day_has() {
    let log = Log::new();
    for day in [DAY - 1, DAY] {
        let rows: Vec<Asked1> = (0..5_000)
            .map(|at| Asked1 {
                ms: at * 100,
                name: if at == 7 { String::from("rarest.example") } else { format!("n{at}.example") },
                ..Asked1::default()
            })
            .collect();
        log.add(day, &rows);
    }
    let mut query = Query { name: Some(Glob::parse("*rares*").unwrap()), ..Query::default() };
    // Fewer than a day has names; nothing of the kind is among the newest.
    let page = search_some(&log.folder, &query, &log.policy, 3_000, None).unwrap();
    assert_eq!(page.entries.len(), 2, "{page:?}");
    query.name = Some(Glob::parse("*nowhere*").unwrap());
    let page = search_some(&log.folder, &query, &log.policy, 3_000, None).unwrap();
    assert_eq!((page.entries.len(), page.unfinished), (0, false));
}

#[test]
fn the_words_that_decide_are_all_known() {
    let text = include_str!("../../policy/words.rs");
    let said: Vec<&str> = text
        .lines()
        .filter(|line| line.trim_start().starts_with("Self::") && line.contains("=> \""))
        .skip(crate::policy::BlockResponse::ALL.len())
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    assert_eq!(said, REASONS);
}

#[test]
fn a_tail_tells_each_new_question_once_also_one_that_came_late() {
    let log = Log::new();
    let at = |ms: i64| Timestamp::from_millisecond(i64::from(DAY) * DAY_MS + ms).unwrap();
    let row = |ms: i64, name: &str| Asked1 { ms, ..named(name) };
    log.add(DAY, &[row(1_000, "before.example")]);
    let query = Query { name: Some(Glob::parse("*.example").unwrap()), ..Query::default() };
    let mut tail = Tail::new(query, at(2_000));
    let mut news = |now: i64| {
        let page = tail.news(&log.folder, &log.policy, at(now)).unwrap();
        page.entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(news(2_000), "");
    log.add(DAY, &[row(2_500, "a.example"), row(3_000, "b.example"), row(3_100, "other.test")]);
    assert_eq!(news(3_200), "a.example b.example");
    log.add(DAY, &[row(2_700, "slow.example"), row(3_300, "c.example")]);
    assert_eq!(news(3_400), "slow.example c.example");
    assert_eq!(news(3_500), "");
    log.add(DAY + 1, &[row(10, "d.example")]);
    assert_eq!(news(DAY_MS + 300), "d.example");
    assert_eq!(news(DAY_MS + 40_000), "");
}

fn some_row() -> impl Strategy<Value = Asked1> {
    let word = |words: &'static [&'static str]| proptest::sample::select(words).prop_map(str::to_owned);
    (
        (0_i64..40_000, word(&["10.1.0.1", "10.1.0.2", "10.2.0.1", "2001:db8::1"]), word(&["", "iPad-3"])),
        word(&["ks1", "ks2", "staff"]),
        word(&[
            "example.com",
            "www.example.com",
            "a.b.example.com",
            "tiktok.com",
            "tok.example.org",
            "com.example",
        ]),
        proptest::sample::select(&Action::ALL[..]),
        (word(&["", "gambling", "ads"]), word(&["", "gambling", "ads gambling", "ads"])),
        proptest::bool::weighted(0.1),
    )
        .prop_map(|((ms, client, device), profile, name, action, (category, categories), alert)| {
            Asked1 { ms, client, device, profile, name, action, category, categories, alert }
        })
}

fn some_query() -> impl Strategy<Value = Query> {
    fn word(words: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
        proptest::option::weighted(0.3, proptest::sample::select(words).prop_map(str::to_owned))
    }
    let time = || {
        let at = (0_i64..2 * DAY_MS + 40_000)
            .prop_map(|ms| ms % 40_000 + (ms / DAY_MS) * DAY_MS + i64::from(DAY) * DAY_MS);
        proptest::option::weighted(0.3, at.prop_map(|ms| Timestamp::from_millisecond(ms).unwrap()))
    };
    (
        (time(), time()),
        word(&["10.1.0.1", "10.1.0.0/16", "::/0", "ipad-3", "10.9.9.9"]),
        word(&["ks1", "staff", "nobody"]),
        word(&["example.com", "*.example.com", "*tok*", "tok*", "*.com", "*a*", "nothing.example"]),
        (
            word(&["gambling", "ads", "games"]),
            proptest::option::weighted(0.3, proptest::sample::select(&Action::ALL[..])),
        ),
        proptest::bool::weighted(0.2),
        1_usize..30,
    )
        .prop_map(|((from, to), client, profile, name, (category, action), alert, limit)| Query {
            from,
            to,
            client: client.map(|client| Who::parse(&client).unwrap()),
            profile,
            name: name.map(|name| Glob::parse(&name).unwrap()),
            category,
            action,
            alert,
            limit,
            ..Query::default()
        })
}

/// Whether a question is searched for, said in the plainest way.
fn is_wanted(query: &Query, time: Timestamp, row: &Asked1) -> bool {
    let of_client = match &query.client {
        None => true,
        Some(Who::Address(address)) => row.client == address.to_string(),
        Some(Who::Net(net)) => net.contains(&row.client.parse::<std::net::IpAddr>().unwrap()),
        Some(Who::Name(name)) => row.device.to_lowercase() == *name,
        Some(Who::Mac(_) | Who::Pseudonym(_)) => false,
    };
    let of_name = query.name.as_ref().is_none_or(|glob| match glob.to_string().as_str() {
        "*.example.com" => row.name == "example.com" || row.name.ends_with(".example.com"),
        "*tok*" => row.name.contains("tok"),
        "tok*" => row.name.starts_with("tok"),
        "*.com" => row.name.ends_with(".com"),
        "*a*" => row.name.contains('a'),
        exact => row.name == exact,
    });
    of_client
        && of_name
        && query.from.is_none_or(|from| time >= from)
        && query.to.is_none_or(|to| time < to)
        && query.profile.as_ref().is_none_or(|profile| row.profile == *profile)
        && query.action.is_none_or(|action| row.action == action)
        && (!query.alert || row.alert)
        && query.category.as_ref().is_none_or(|category| {
            row.category == *category || row.categories.split(' ').any(|c| c == category)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_pages_are_what_all_rows_one_by_one_would_give(
        days in proptest::collection::vec(proptest::collection::vec(some_row(), 0..80), 1..4),
        // Rows in the order of time with some that come late, and enough of them for several spans.
        repeats in proptest::sample::select(&[1_usize, 3, 40][..]),
        queries in proptest::collection::vec(some_query(), 1..6),
        more in proptest::collection::vec(some_row(), 0..20),
    ) {
        let log = Log::new();
        let mut all: Vec<(Timestamp, Asked1)> = Vec::new();
        let time = |day: u16, ms: i64| Timestamp::from_millisecond(i64::from(day) * DAY_MS + ms).unwrap();
        for (day, rows) in (DAY..).zip(&days) {
            let rows: Vec<Asked1> = (0..repeats as i64)
                .flat_map(|round| rows.iter().map(move |row| Asked1 { ms: row.ms / 30 + round * 1_300, ..row.clone() }))
                .collect();
            log.add(day, &rows);
            all.extend(rows.into_iter().map(|row| (time(day, row.ms), row)));
        }
        for query in &queries {
            let mut expected: Vec<_> = all.iter().filter(|(time, row)| is_wanted(query, *time, row)).collect();
            expected.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
            let mut query = query.clone();
            let mut found: Vec<Entry> = Vec::new();
            loop {
                let page = log.search(&query);
                prop_assert!(page.entries.len() <= query.limit);
                found.extend(page.entries);
                let Some(next) = page.next else { break };
                prop_assert!(query.after.is_none_or(|after| next < after));
                query.after = Some(next);
            }
            // More questions of one millisecond than it has places go on in the next, so times are not compared but
            // the order is.
            prop_assert_eq!(found.len(), expected.len());
            prop_assert!(found.is_sorted_by(|newer, older| newer.place > older.place));
            let word = |client: &str, name: &str, profile: &str, action: Action| format!("{client} {name} {profile} {action:?}");
            let mut got: Vec<_> = found.iter().map(|e| (e.time, word(&e.client, &e.name, &e.profile, e.action))).collect();
            let mut want: Vec<_> =
                expected.iter().map(|(time, row)| (*time, word(&row.client, &row.name, &row.profile, row.action))).collect();
            got.sort();
            want.sort();
            prop_assert_eq!(got, want);
        }
        // What arrives while somebody pages changes nothing of what was there before.
        let query = Query { limit: 7, ..Query::default() };
        let before = log.all(&query);
        let first = log.search(&query);
        let last = all.iter().map(|(_, row)| row.ms).max().unwrap_or(0) + 10;
        let more: Vec<Asked1> = more.iter().map(|row| Asked1 { ms: last + row.ms, ..row.clone() }).collect();
        log.add(DAY + days.len() as u16 - 1, &more);
        let mut pages = first.entries;
        if let Some(next) = first.next {
            pages.extend(log.all(&Query { after: Some(next), ..query }));
        }
        prop_assert_eq!(pages, before);
    }
}
