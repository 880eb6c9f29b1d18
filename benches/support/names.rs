//! Made-up names of the shape of real ones, the same in each run. Needs nothing but the standard library.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Writes names to forty lists of one name a line; each name is on two of them, as in real lists.
pub(crate) fn made_up(count: u64, to: &Path) -> io::Result<Vec<PathBuf>> {
    use io::Write;
    const LISTS: u64 = 40;
    let files: Vec<_> = (0..LISTS).map(|i| to.join(format!("{i}.txt"))).collect();
    let mut outputs = files
        .iter()
        .map(|file| Ok(io::BufWriter::new(fs::File::create(file)?)))
        .collect::<io::Result<Vec<_>>>()?;
    for i in 0..count {
        let name = name(i);
        // A few lists have most of the names, and most names of a list are on the same other list.
        let draw = mix(i ^ 0x5eed) % (LISTS * LISTS);
        let (first, second) = (draw.isqrt(), (draw.isqrt() * 7 + draw % 2) % LISTS);
        for list in [first, second] {
            writeln!(outputs[list as usize], "{name}")?;
        }
    }
    outputs.iter_mut().try_for_each(|output| output.flush())?;
    Ok(files)
}

/// The made-up name of a number.
///
/// Of real names 47 % have two labels, 39 % three, 9.5 % four, the rest more; they have 20.5 characters on average,
/// and those of more labels share their parents.
pub(crate) fn name(i: u64) -> String {
    let mut random = Random(mix(i));
    let labels = match random.below(1000) {
        0..470 => 2,
        470..860 => 3,
        860..955 => 4,
        955..972 => 5,
        _ => 6 + random.below(4),
    };
    // About eight names share a parent, by the same draw from a number of their own.
    let mut parent = if labels > 2 { Random(mix((i / 8) ^ 0xfa11)) } else { Random(random.next()) };
    let end = match parent.below(100) {
        0..52 => ".com",
        52..60 => ".net",
        60..65 => ".org",
        65..69 => ".ru",
        69..73 => ".de",
        73..77 => ".co.uk",
        77..80 => ".info",
        80..83 => ".xyz",
        83..86 => ".fr",
        86..88 => ".top",
        88..90 => ".com.br",
        90..92 => ".online",
        92..94 => ".io",
        94..96 => ".nl",
        96..98 => ".it",
        _ => ".cn",
    };
    let mut name = String::new();
    for _ in 2..labels {
        let words = if random.below(3) == 0 { 2 } else { 1 };
        word(&mut random, words, &mut name);
        name.push('.');
    }
    // Real names are made of words that others have too.
    let words = 1 + parent.below(3);
    word(&mut parent, words, &mut name);
    if parent.below(4) != 0 {
        name.push_str(WORDS[parent.below(32) as usize]);
    }
    name.push_str(end);
    name
}

const WORDS: [&str; 32] = [
    "online", "shop", "games", "media", "click", "track", "play", "bet", "casino", "live", "video", "stream",
    "tube", "chat", "market", "news", "app", "web", "cloud", "mail", "host", "best", "free", "deal", "cash",
    "pay", "store", "zone", "world", "link", "data", "net",
];

fn word(random: &mut Random, syllables: u64, to: &mut String) {
    const STARTS: [&str; 24] = [
        "b", "c", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "tr", "st",
        "ch", "pl", "cl", "sh", "",
    ];
    const ENDS: [&str; 20] = [
        "a", "e", "i", "o", "u", "an", "en", "in", "on", "er", "ar", "or", "es", "at", "et", "it", "ing",
        "ack", "ow", "ee",
    ];
    for _ in 0..syllables {
        to.push_str(STARTS[random.below(24) as usize]);
        to.push_str(ENDS[random.below(20) as usize]);
    }
    match random.below(12) {
        0 => to.push_str(&random.below(1000).to_string()),
        1 => to.push_str("-x"),
        _ => {}
    }
}

/// Numbers that look random and are the same in each run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// The next number under `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Spreads a number over all bits (splitmix64).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
