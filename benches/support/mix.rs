//! A school day's questions, made up in the proportions of a real one: names by their popularity, a thousand devices in
//! five profiles, mostly answered from the cache, a few blocked.

use std::{collections::BTreeSet, fs, io::Read, net::IpAddr, sync::Arc};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use schoolgate::{
    category::{Categories, CategoryId, CategorySet},
    clients::Client,
    lists::shipped,
    name::Key,
    policy::{BlockResponse, Decision, Knowledge, Listed, Policy, PolicyFile, Reason, Verdict},
    querylog::{Fate, Transport},
    resolver::{AnswerSource, Security},
};

/// How many names are asked for.
const NAMES: usize = 120_000;

/// The categories that are blocked, by how often.
const BLOCKED: &[&str] = &[
    "ads-trackers",
    "ads-trackers",
    "ads-trackers",
    "ads-trackers",
    "ads-trackers",
    "games",
    "games",
    "social",
    "social",
    "messaging",
    "video",
    "music",
    "shopping",
    "vpn-proxy",
    "encrypted-dns",
    "gambling",
    "adult",
    "malware",
    "phishing",
    "dating",
    "ai-chat",
];

/// Numbers that look random and are the same each time.
#[derive(Debug, Clone)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * u128::from(end)) >> 64) as u64
    }
}

/// A school, and what its devices ask for.
pub(crate) struct Mix {
    pub(crate) policy: Arc<Policy>,
    clients: Vec<Client>,
    names: Vec<Name>,
    /// Where the weight of all names up to each ends; Zipf's law.
    weights: Vec<f64>,
}

struct Name {
    key: Key,
    decision: Decision,
    exists: bool,
    signed: bool,
}

/// One question of the mix.
pub(crate) struct Asked<'a> {
    pub(crate) client: &'a Client,
    pub(crate) name: &'a Key,
    pub(crate) fate: Fate<'a>,
    /// Microseconds.
    pub(crate) took: u32,
}

impl Mix {
    pub(crate) fn new() -> Self {
        let mut file = PolicyFile::shipped();
        for (profile, network) in file.profiles.iter_mut().zip(1..) {
            profile.subnets = vec![format!("10.{network}.0.0/16")];
            // The largest file is that of a school that keeps everything.
            profile.log = toml::Value::String("full".into()).try_into().expect("a level");
        }
        let categories = Arc::new(Categories::shipped());
        let starter = Arc::new(shipped::starter(&categories));
        let knowledge = Knowledge { categories: Arc::clone(&categories), indexes: vec![starter] };
        let policy = Arc::new(Policy::build(&file, &knowledge).expect("the shipped policy is valid"));
        let mut numbers = Numbers::new(7);
        let clients = (0..1_000u32)
            .map(|n| {
                // Most are pupils' devices.
                let network = [2, 3, 3, 3, 4, 4, 5, 6][n as usize % 8];
                let address = IpAddr::from([10, network, (n >> 8) as u8, n as u8]);
                policy.identify(address, None)
            })
            .collect();
        let names: Vec<Name> = popular()
            .into_iter()
            .map(|key| {
                let blocked = numbers.below(100) < 4;
                let id = BLOCKED[numbers.below(BLOCKED.len() as u64) as usize];
                let category = categories.find(id).expect("a shipped category");
                let listed = blocked || numbers.below(100) < 20;
                Name {
                    key,
                    decision: decision(blocked, listed, category, numbers.below(4) as u16),
                    exists: numbers.below(100) < 96,
                    signed: numbers.below(100) < 12,
                }
            })
            .collect();
        let mut sum = 0.0;
        let weights = (0..names.len())
            .map(|rank| {
                sum += 1.0 / (rank as f64 + 3.0);
                sum
            })
            .collect();
        Self { policy, clients, names, weights }
    }

    /// The next question.
    pub(crate) fn ask(&self, numbers: &mut Numbers) -> Asked<'_> {
        let all = self.weights.last().copied().unwrap_or(1.0);
        let wanted = numbers.below(1 << 53) as f64 / (1u64 << 53) as f64 * all;
        let rank = self.weights.partition_point(|end| *end <= wanted).min(self.names.len() - 1);
        let name = &self.names[rank];
        // Devices differ in how much they ask.
        let client = numbers.below(self.clients.len() as u64).min(numbers.below(self.clients.len() as u64));
        let client = &self.clients[client as usize];
        let qtype = match numbers.below(20) {
            0..=10 => RecordType::A,
            11..=16 => RecordType::AAAA,
            _ => RecordType::HTTPS,
        };
        let blocked = matches!(name.decision.verdict, Verdict::Block(_));
        let source = match numbers.below(100) {
            _ if blocked => AnswerSource::Policy,
            0..=74 => AnswerSource::Cache,
            75 => AnswerSource::Stale,
            _ => AnswerSource::Upstream,
        };
        let took = match source {
            AnswerSource::Policy => 15 + numbers.below(20),
            AnswerSource::Upstream => 2_000 + numbers.below(60_000),
            _ => 20 + numbers.below(100),
        };
        let fate = Fate {
            transport: if numbers.below(200) == 0 { Transport::Tcp } else { Transport::Udp },
            qtype,
            rcode: if name.exists { ResponseCode::NoError } else { ResponseCode::NXDomain },
            decision: Ok(&name.decision),
            source,
            security: match (blocked, name.signed) {
                (true, _) => None,
                (false, true) => Some(Security::Secure),
                (false, false) => Some(Security::Insecure),
            },
        };
        Asked { client, name: &name.key, fate, took: took as u32 }
    }

    /// How many names there are to ask for.
    pub(crate) fn names(&self) -> usize {
        self.names.len()
    }
}

fn decision(blocked: bool, listed: bool, category: CategoryId, list: u16) -> Decision {
    let categories = if listed { CategorySet::from_iter([category]) } else { CategorySet::EMPTY };
    let (verdict, reason) = if blocked {
        let listed = Listed { category, depth: 2, index: 0, list };
        (Verdict::Block(BlockResponse::BlockPage), Reason::Category(listed))
    } else {
        (Verdict::Allow, Reason::Default)
    };
    Decision { verdict, reason, categories, would_block: None, reported: CategorySet::EMPTY }
}

/// The most popular names, the most popular first: of the folder of real lists where it has them, else made up.
fn popular() -> Vec<Key> {
    let mut known = BTreeSet::new();
    let mut names: Vec<Key> = Vec::new();
    let file = super::folder().map(|folder| folder.join("popular/umbrella-top-2026-halfA.txt.zst"));
    if let Some(packed) = file.and_then(|file| fs::read(file).ok()) {
        let mut text = String::new();
        let mut unpacked = ruzstd::decoding::StreamingDecoder::new(&packed[..]).expect("zstd");
        unpacked.read_to_string(&mut text).expect("text");
        for line in text.lines() {
            let name = line.rsplit([',', ' ', '\t']).next().unwrap_or(line);
            if let Ok(key) = Key::parse(name)
                && known.insert(key.clone())
            {
                names.push(key);
            }
        }
    }
    let mut numbers = Numbers::new(3);
    while names.len() < NAMES {
        let n = names.len();
        let host = ["www", "api", "cdn", "img", "static", "login"][numbers.below(6) as usize];
        let text = format!("{host}.site-{:x}.{}", n / 3, ["com", "co.uk", "net", "org"][n % 4]);
        names.push(Key::parse(&text).expect("a name"));
    }
    names.truncate(NAMES);
    names
}
