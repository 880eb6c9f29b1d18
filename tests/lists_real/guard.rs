//! What the guard says of real lists, and of accidents that really happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
};

use schoolgate::{
    lists::{
        catalogue::Catalogue,
        diff::{Version, diff},
        format::{Format, MatchMode},
        guard::{Limits, Previous, Trip, judge},
        source::Source,
        survey::{FindingKind, Fingerprints, Reading, References, Survey, survey},
    },
    policy::Tables,
};

use super::{data, read, reading};

fn look(file: &str, category: &str) -> Survey {
    let source = Source::at(data().expect("checked before").join(file));
    let essential = Tables::shipped().essential.iter().map(|(_, pattern)| pattern.key.clone());
    let references = References::of_category(category, essential, []);
    survey(&reading(&source), &references).unwrap_or_else(|error| panic!("{error}"))
}

/// A trip in a word and a figure, for tables.
fn short(trip: &Trip) -> String {
    match trip {
        Trip::NotAList { what } => format!("{what:?}"),
        Trip::WebPage { lines } => format!("web-page {lines}"),
        Trip::TooFew { entries, .. } => format!("too-few {entries}"),
        Trip::Shrank { before, now, .. } => format!("shrank {before} {now}"),
        Trip::Grew { before, now, .. } => format!("grew {before} {now}"),
        Trip::Unusual { entries, .. } => format!("unusual {entries}"),
        Trip::Incomplete { found, .. } => format!("incomplete {found}"),
        Trip::Opens { allow, .. } => format!("opens {allow}"),
        Trip::Format { before, now } => format!("format {before} {now}"),
        Trip::Damaged { damaged, .. } => format!("damaged {damaged}"),
        Trip::Names { kind, count, .. } => format!("{kind:?} {count}"),
    }
}

fn shorts(survey: &Survey, previous: Option<&Previous>, limits: &Limits) -> Vec<String> {
    judge(survey, previous, limits).iter().map(short).collect()
}

/// The category that each folder's lists would feed. Lists for allowing, of URLs or of expressions are left out.
const FOLDERS: &[(&str, &str)] = &[
    ("ads", "ads-trackers"),
    ("adult", "adult"),
    ("chat", "messaging"),
    ("crypto", "crypto-trading"),
    ("drugs", "drugs"),
    ("gambling", "gambling"),
    ("games", "games"),
    ("malware", "malware"),
    ("piracy", "piracy"),
    ("search", "unsafe-search"),
    ("services", "social"),
    ("social", "social"),
    ("updates", "ads-trackers"),
    ("video", "video"),
    ("vpn", "vpn-proxy"),
];

/// Lists of single services whose category is another one than their folder's.
const SERVICES: &[(&str, &str)] = &[
    ("amazon", "shopping"),
    ("blizzard", "games"),
    ("chatgpt", "ai-chat"),
    ("dailymotion", "video"),
    ("discord", "messaging"),
    ("disneyplus", "video"),
    ("ebay", "shopping"),
    ("fortnite", "games"),
    ("google-chat", "messaging"),
    ("google-youtube", "video"),
    ("hbomax", "video"),
    ("hulu", "video"),
    ("leagueoflegends", "games"),
    ("messenger", "messaging"),
    ("minecraft", "games"),
    ("netflix", "video"),
    ("playstation-network", "games"),
    ("primevideo", "video"),
    ("roblox", "games"),
    ("signal", "messaging"),
    ("skype", "messaging"),
    ("spotify", "music"),
    ("steam", "games"),
    ("telegram", "messaging"),
    ("tinder", "dating"),
    ("twitch", "video"),
    ("vimeo", "video"),
    ("whatsapp", "messaging"),
    ("xboxlive", "games"),
    ("youtube", "video"),
    ("zoom", "messaging"),
];

/// What is held when it comes for the first time. Every other list passes.
const HELD: &[(&str, &[&str])] = &[
    ("ads/blp-adobe.hosts.zst", &["Essential 4", "Popular 12"]),
    ("ads/blp-ads.domains.zst", &["Essential 4", "Popular 3"]),
    ("ads/blp-tracking.domains.zst", &["Essential 8", "Popular 12"]),
    ("ads/disconnect-services.json.zst", &["Json"]),
    ("ads/hagezi-light-202206.hosts.zst", &["Popular 1"]),
    ("ads/hagezi-light.adblock.zst", &["Popular 2"]),
    ("ads/hagezi-light.wildcard.zst", &["Popular 2"]),
    ("ads/mmotti-regex.list.zst", &["Unknown"]),
    ("adult/4skin-HOSTS.txt.zst", &["PublicSuffix 1", "Popular 13"]),
    ("adult/chadmayfield-lists__pi_blocklist_porn_top1m.list.zst", &["Popular 4"]),
    ("adult/clefspeare13-download_here__mobile__hosts.zst", &["Popular 1"]),
    ("adult/clefspeare13-download_here__safesearch__0.0.0.0__hosts.zst", &["Popular 1"]),
    ("adult/sinfonietta-pornography-hosts.zst", &["Popular 1"]),
    ("drugs/blp-drugs.adguard.zst", &["Essential 1", "Popular 2"]),
    ("drugs/blp-drugs.dnsmasq.zst", &["Essential 1", "Popular 2"]),
    ("drugs/blp-drugs.domains.zst", &["Essential 1", "Popular 2"]),
    ("drugs/blp-drugs.hosts.zst", &["Essential 1", "Popular 2"]),
    ("gambling/blp-gambling-2020.hosts.zst", &["Popular 10"]),
    ("malware/blp-abuse.ip.zst", &["incomplete 19926"]),
    ("malware/blp-phishing.domains.zst", &["Popular 3"]),
    ("malware/blp-scam.adguard.zst", &["Popular 1"]),
    ("malware/blp-scam.dnsmasq.zst", &["Popular 1"]),
    ("malware/blp-scam.domains.zst", &["Popular 1"]),
    ("malware/blp-scam.hosts.zst", &["Popular 1"]),
    ("malware/hagezi-fake.adblock.zst", &["Popular 1"]),
    ("malware/hagezi-fake.dnsmasq.zst", &["Popular 1"]),
    ("malware/hagezi-fake.domains.zst", &["Popular 1"]),
    ("malware/hagezi-fake.hosts.zst", &["Popular 1"]),
    ("malware/hagezi-fake.unbound.zst", &["Popular 1"]),
    ("malware/hagezi-fake.wildcard.zst", &["Popular 1"]),
    ("malware/jarelllama-lists__adblock__scams_light.txt.zst", &["Popular 2"]),
    ("malware/jarelllama-lists__wildcard_domains__scams_light.txt.zst", &["Popular 2"]),
    ("malware/kadhosts-KADhole.txt.zst", &["Unknown"]),
    ("malware/ublock-urlhaus-online.txt.zst", &["too-few 0"]),
    ("piracy/blp-torrent.adguard.zst", &["Popular 5"]),
    ("piracy/blp-torrent.dnsmasq.zst", &["Popular 5"]),
    ("piracy/blp-torrent.domains.zst", &["Popular 5"]),
    ("piracy/blp-torrent.hosts.zst", &["Popular 5"]),
    ("piracy/nextdns-piracy-file-hosting.zst", &["Popular 1"]),
    ("services/jmdugan-google-all.zst", &["Essential 45", "Popular 182"]),
    ("services/jmdugan-google-youtube.easylist.zst", &["Essential 1"]),
    ("services/jmdugan-google-youtube.zst", &["Essential 1"]),
    ("services/jmdugan-microsoft-all.zst", &["Essential 39", "Popular 55"]),
    ("updates/windowsspyblocker-data__dnscrypt__update.txt.zst", &["Essential 5", "Popular 2"]),
    ("updates/windowsspyblocker-data__hosts__spy.txt.zst", &["Essential 1", "Popular 1"]),
    ("updates/windowsspyblocker-data__hosts__update.txt.zst", &["Essential 3", "Popular 1"]),
    ("updates/windowsspyblocker-data__openwrt__update__dnsmasq.conf.zst", &["Essential 3", "Popular 1"]),
    ("ut1/blacklists.tar.gz#audio-video", &["Popular 1"]),
    ("ut1/blacklists.tar.gz#blog", &["Popular 3"]),
    ("ut1/blacklists.tar.gz#celebrity", &["Essential 1", "Popular 3"]),
    ("ut1/blacklists.tar.gz#chat", &["Popular 9"]),
    ("ut1/blacklists.tar.gz#dating", &["Popular 3"]),
    ("ut1/blacklists.tar.gz#doh", &["Popular 2"]),
    ("ut1/blacklists.tar.gz#filehosting", &["Popular 2"]),
    ("ut1/blacklists.tar.gz#financial", &["Popular 3"]),
    ("ut1/blacklists.tar.gz#forums", &["Popular 3"]),
    ("ut1/blacklists.tar.gz#games", &["Essential 4", "Popular 20"]),
    ("ut1/blacklists.tar.gz#malware", &["Popular 2"]),
    ("ut1/blacklists.tar.gz#phishing", &["Popular 2"]),
    ("ut1/blacklists.tar.gz#publicite", &["Popular 1"]),
    ("ut1/blacklists.tar.gz#shortener", &["Popular 2"]),
    ("ut1/blacklists.tar.gz#social_networks", &["Popular 1"]),
    ("ut1/blacklists.tar.gz#webmail", &["Popular 4"]),
];

#[test]
fn real_lists_are_held_for_a_reason_or_not_at_all() {
    let Some(data) = data() else { return };
    // Unpacked once, rather than read through for each of its categories.
    let folder = tempfile::tempdir().unwrap();
    let archive = flate2::read::GzDecoder::new(File::open(data.join("ut1/blacklists.tar.gz")).unwrap());
    tar::Archive::new(archive).unpack(folder.path()).unwrap();
    let unpacked = format!("{}/blacklists#", folder.path().display());
    let mut lists: Vec<(String, &str, Option<u64>)> = Vec::new();
    for (folder, category) in FOLDERS {
        for entry in std::fs::read_dir(data.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let service = name.strip_suffix(".zst").unwrap().trim_end_matches(".easylist").split_once('-');
            let category = SERVICES
                .iter()
                .find(|(known, _)| *folder == "services" && service.is_some_and(|(_, name)| name == *known))
                .map_or(*category, |(_, category)| *category);
            lists.push((format!("{folder}/{name}"), category, None));
        }
    }
    for listing in Catalogue::shipped().iter() {
        let member = listing.url.rsplit('/').next().and_then(|file| file.strip_suffix(".tar.gz"));
        // The list of adult names is too large for the folder.
        if let Some(member) = member.filter(|member| *member != "adult") {
            let file = format!("ut1/blacklists.tar.gz#{member}");
            lists.push((file, &listing.category, Some(listing.typical_entries)));
        }
    }
    let mut expected: BTreeMap<&str, &[&str]> = HELD.iter().copied().collect();
    let mut wrong = Vec::new();
    for (file, category, typical) in &lists {
        // The unpacked folder is an absolute path, which joining leaves as it is.
        let survey = look(&file.replace("ut1/blacklists.tar.gz#", &unpacked), category);
        let trips = judge(&survey, None, &Limits { typical: *typical, ..Limits::default() });
        let found: Vec<String> = trips.iter().map(short).collect();
        if found != expected.remove(file.as_str()).unwrap_or_default() {
            let names = survey.hits.values().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
            wrong.push(format!("(\"{file}\", &{found:?}), // {category}: {names}"));
        }
        if let Some(previous) = Previous::of(&survey) {
            let limits = Limits { minimum: 0, ..Limits::default() };
            assert_eq!(judge(&survey, Some(&previous), &limits), [], "{file}: unchanged, it is held again");
        }
    }
    assert!(lists.len() > 180, "{}", lists.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(expected.is_empty(), "never looked at: {expected:?}");
}

#[test]
fn accidents_that_happened_are_held() {
    if data().is_none() {
        return;
    }
    let before = look("incidents/blp-gambling-20260623-before.hosts", "gambling");
    assert_eq!(judge(&before, None, &Limits::default()), []);
    let before = Previous::of(&before);
    let of = |format, entries| Previous { format, entries, ..before.clone().unwrap() };
    for (file, category, previous, typical, expected) in [
        ("blp-gambling-20260623-after.hosts", "gambling", before.clone(), None, &["Empty"][..]),
        ("blp-gambling-20260628-raw-idn.hosts", "gambling", before.clone(), None, &["shrank 2510 10"]),
        ("blp-abuse-20260624-shrunk.hosts", "malware", None, None, &["Empty"]),
        ("blp-porn-20260623-first-shrunk.hosts", "adult", None, None, &["Empty"]),
        ("mhhakim-list-20220126-header-only.domains", "ads-trackers", None, None, &["Empty"]),
        // Well formed and true to their headers: only what the list usually is gives them away.
        ("blp-porn-20260624-shrunk.hosts", "adult", None, Some(500_000), &["unusual 30"]),
        (
            "blp-porn-20260624-shrunk.hosts",
            "adult",
            Some(of(Format::Hosts, 500_282)),
            None,
            &["shrank 500282 30"],
        ),
        ("blp-malware-20260624-shrunk.hosts", "malware", None, Some(435_000), &["unusual 3"]),
        (
            "blp-malware-20260624-shrunk.hosts",
            "malware",
            Some(of(Format::Hosts, 435_221)),
            None,
            &["shrank 435221 3"],
        ),
        (
            "ut1-phishing-20260608-small.domains",
            "phishing",
            Some(of(Format::Domains, 216_476)),
            Some(218_000),
            &["shrank 216476 25216", "Popular 1"],
        ),
    ] {
        let survey = look(&format!("incidents/{file}"), category);
        let limits = Limits { typical, ..Limits::default() };
        assert_eq!(shorts(&survey, previous.as_ref(), &limits), expected, "{file}");
    }
}

#[test]
fn a_wrong_file_in_the_place_of_a_list_is_noticed() {
    if data().is_none() {
        return;
    }
    // 58,599 names of advertisers were the list of gambling for months in 2020.
    let swapped = look("gambling/blp-gambling-2020.hosts.zst", "gambling");
    let names = &swapped.hits[&FindingKind::Popular];
    assert!(names.contains("doubleclick.net") && names.contains("google-analytics.com"), "{names:?}");
    assert!(look("gambling/sinfonietta-gambling-hosts.zst", "gambling").hits.is_empty());
}

#[test]
fn every_name_that_a_person_found_out_of_place_is_found() {
    let Some(data) = data() else { return };
    for (file, category, names) in [
        ("drugs/blp-drugs.hosts.zst", "drugs", &["talktofrank.com"][..]),
        ("piracy/blp-torrent.domains.zst", "piracy", &["archive.org", "nasa.gov", "pbs.org"]),
        ("ads/blp-adobe.hosts.zst", "ads-trackers", &["amazonaws.com", "digicert.com", "okta.com"]),
        (
            "ut1/blacklists.tar.gz#games",
            "games",
            &[
                "ttrockstars.com",
                "sparxmaths.uk",
                "nationalgeographic.com",
                "play.google.com",
                "gravatar.com",
            ],
        ),
        ("ut1/blacklists.tar.gz#webmail", "webmail", &["login.live.com", "office365.com", "mail.google.com"]),
        ("ut1/blacklists.tar.gz#chat", "strangers", &["teams.microsoft.com"]),
        ("ut1/blacklists.tar.gz#shortener", "shorteners", &["forms.gle"]),
        (
            "services/jmdugan-google-all.zst",
            "social",
            &["google.com", "googleapis.com", "gstatic.com", "classroom.google.com", "docs.google.com"],
        ),
        (
            "services/jmdugan-microsoft-all.zst",
            "social",
            &["microsoft.com", "windowsupdate.com", "login.microsoftonline.com", "msftconnecttest.com"],
        ),
        ("updates/windowsspyblocker-data__hosts__update.txt.zst", "ads-trackers", &["windowsupdate.com"]),
    ] {
        assert!(data.join(file.split('#').next().unwrap()).exists(), "{file}");
        let survey = look(file, category);
        let found: BTreeSet<&str> = survey.hits.values().flatten().map(String::as_str).collect();
        for name in names {
            assert!(found.contains(name), "{file}: {name} in {found:?}");
        }
    }
}

#[test]
fn two_versions_of_a_real_list_are_compared() {
    let Some(data) = data() else { return };
    let paths =
        ["ads/hagezi-light-202206.hosts.zst", "ads/hagezi-light.adblock.zst"].map(|file| data.join(file));
    let sources = [Source::at(&paths[0]), Source::at(&paths[1])];
    let lists = [reading(&sources[0]), reading(&sources[1])];
    let prints = [Fingerprints::of(&lists[0]).unwrap(), Fingerprints::of(&lists[1]).unwrap()];
    let [old, new] = [0, 1].map(|n| Version { list: lists[n], prints: &prints[n] });
    let changes = diff(&old, &new, 20, &|_| None).unwrap();
    let (old, new) = (read(&paths[0]).block, read(&paths[1]).block);
    let added: Vec<String> = new.difference(&old).map(ToString::to_string).collect();
    assert_eq!(changes.added.count, added.len() as u64);
    assert_eq!(changes.removed.count, old.difference(&new).count() as u64);
    let named: Vec<_> = changes.added.first.iter().map(|change| change.entry.clone()).collect();
    assert_eq!(named, added[..20]);
}

#[test]
fn the_reading_of_a_real_list_can_be_given() {
    let Some(data) = data() else { return };
    let source = Source::at(data.join("adult/sinfonietta-pornography-hosts.zst"));
    let list = Reading { source: &source, format: Some(Format::Hosts), mode: MatchMode::Exact };
    let found = survey(&list, &References::none()).unwrap();
    assert_eq!(found.entries - found.duplicates, found.prints.len() as u64);
    assert!(found.prints.len() > 60_000);
}
