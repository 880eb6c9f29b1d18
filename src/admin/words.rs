//! The sentences that people read, from the catalogues under `web-admin/words/`: a translation is a folder of files there.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use rust_embed::Embed;
use tracing::error;
use unic_langid::LanguageIdentifier;

/// The language that has every sentence.
const FIRST: &str = "en-GB";

/// How many languages of a header are looked at.
const MOST_TAGS: usize = 50;

/// The longest tag of a language.
const LONGEST_TAG: usize = 35;

#[derive(Embed)]
#[folder = "web-admin/words"]
struct Shipped;

/// The catalogues of all languages.
#[derive(Clone)]
pub(super) struct Catalogue {
    languages: Arc<BTreeMap<String, Arc<Words>>>,
}

/// The sentences of one language.
pub(super) struct Words {
    language: String,
    bundle: FluentBundle<FluentResource>,
    /// Where a sentence is looked for that this language lacks.
    otherwise: Option<Arc<Self>>,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words").field("language", &self.language).finish_non_exhaustive()
    }
}

impl Catalogue {
    /// The catalogues that ship with the program.
    pub(super) fn shipped() -> Self {
        let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in Shipped::iter() {
            let Some((language, _)) = file.split_once('/') else { continue };
            let text = Shipped::get(&file).map(|file| String::from_utf8_lossy(&file.data).into_owned());
            texts.entry(language.to_owned()).or_default().extend(text);
        }
        Self::of(texts)
    }

    /// Catalogues of these languages, each with its texts.
    fn of(mut texts: BTreeMap<String, Vec<String>>) -> Self {
        let first = Arc::new(Words::new(FIRST, texts.remove(FIRST).unwrap_or_default(), None));
        let mut languages = BTreeMap::from([(FIRST.to_owned(), Arc::clone(&first))]);
        for (language, texts) in texts {
            let words = Words::new(&language, texts, Some(Arc::clone(&first)));
            languages.insert(language, Arc::new(words));
        }
        Self { languages: Arc::new(languages) }
    }

    /// The language that an `Accept-Language` header likes best of those that there is a catalogue of.
    pub(super) fn choose(&self, accepted: &str) -> Arc<Words> {
        let mut wanted: Vec<(&str, u16)> = accepted.split(',').take(MOST_TAGS).filter_map(liked).collect();
        // Those that are liked alike stay in their order.
        wanted.sort_by_key(|(_, how_much)| std::cmp::Reverse(*how_much));
        let first = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
        let known = |tag: &str| {
            let exact = self.languages.iter().find(|(language, _)| language.eq_ignore_ascii_case(tag));
            exact.or_else(|| self.languages.iter().find(|(language, _)| first(language) == first(tag)))
        };
        let found = wanted.into_iter().find_map(|(tag, _)| known(tag));
        // The first language is always there: `shipped` puts it in.
        found
            .or_else(|| self.languages.get_key_value(FIRST))
            .map(|(_, words)| Arc::clone(words))
            .unwrap_or_else(|| Arc::new(Words::new(FIRST, Vec::new(), None)))
    }
}

/// One part of an `Accept-Language` header: the tag of a language, and how much it is liked, in thousandths; none where it
/// is not wanted, or that can't be read.
fn liked(part: &str) -> Option<(&str, u16)> {
    let mut parts = part.split(';').map(str::trim);
    let tag = parts.next().filter(|tag| (1..=LONGEST_TAG).contains(&tag.len()))?;
    let how_much = match parts.find_map(|part| part.strip_prefix("q=")) {
        None => 1.0,
        Some(text) => text.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q))?,
    };
    // Within 0 to 1000, so the cast keeps it.
    let thousandths = (how_much * 1000.0) as u16;
    (thousandths > 0).then_some((tag, thousandths))
}

impl Words {
    fn new(language: &str, texts: Vec<String>, otherwise: Option<Arc<Self>>) -> Self {
        let identifier: LanguageIdentifier = language.parse().unwrap_or_default();
        let mut bundle = FluentBundle::new_concurrent(vec![identifier]);
        // The marks that keep directions of writing apart would be in every page, and in what is copied from it.
        bundle.set_use_isolating(false);
        for text in texts {
            let resource = FluentResource::try_new(text).unwrap_or_else(|(resource, errors)| {
                error!(language, ?errors, "A catalogue of sentences has mistakes");
                resource
            });
            if let Err(errors) = bundle.add_resource(resource) {
                error!(language, ?errors, "A catalogue of sentences has a key twice");
            }
        }
        Self { language: language.to_owned(), bundle, otherwise }
    }

    /// The language, as pages and browsers name it: `en-GB`.
    pub(super) fn language(&self) -> &str {
        &self.language
    }

    /// Whether there is such a sentence.
    pub(super) fn has(&self, key: &str) -> bool {
        self.bundle.has_message(key) || self.otherwise.as_ref().is_some_and(|words| words.has(key))
    }

    /// A sentence; its key, where there is none, which a test keeps from happening.
    pub(super) fn get(&self, key: &str) -> String {
        self.say(key, None)
    }

    /// A sentence with what it speaks of.
    pub(super) fn with<const N: usize>(&self, key: &str, values: [(&str, Value); N]) -> String {
        let mut args = FluentArgs::with_capacity(N);
        for (name, Value(value)) in values {
            args.set(Cow::Owned(name.to_owned()), value);
        }
        self.say(key, Some(&args))
    }

    fn say(&self, key: &str, args: Option<&FluentArgs<'_>>) -> String {
        let Some(pattern) = self.bundle.get_message(key).and_then(|message| message.value()) else {
            debug_assert!(self.otherwise.is_some(), "no catalogue has {key}");
            return match &self.otherwise {
                Some(words) => words.say(key, args),
                None => key.to_owned(),
            };
        };
        let mut errors = Vec::new();
        let text = self.bundle.format_pattern(pattern, args, &mut errors).into_owned();
        if !errors.is_empty() {
            error!(key, ?errors, "A sentence lacks what it speaks of");
        }
        text
    }
}

/// What a sentence speaks of: a number, which chooses its plural, or a text.
pub(super) struct Value(FluentValue<'static>);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(FluentValue::from(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(FluentValue::from(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self(FluentValue::from(text.clone()))
    }
}

impl From<&&String> for Value {
    fn from(text: &&String) -> Self {
        Self(FluentValue::from((*text).clone()))
    }
}

impl From<&&str> for Value {
    fn from(text: &&str) -> Self {
        Self(FluentValue::from((*text).to_owned()))
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(
            impl From<$number> for Value {
                fn from(number: $number) -> Self {
                    Self(FluentValue::from(number))
                }
            }
            // Templates hand values on by reference, and in loops by two.
            impl From<&$number> for Value {
                fn from(number: &$number) -> Self {
                    Self(FluentValue::from(*number))
                }
            }
            impl From<&&$number> for Value {
                fn from(number: &&$number) -> Self {
                    Self(FluentValue::from(**number))
                }
            }
        )*
    };
}

numbers!(u8, u16, u32, u64, usize, i32, i64, f64);

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn files(folder: &Path, ending: &str, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, ending, found);
            } else if path.extension().is_some_and(|e| e == ending) {
                found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }

    /// The keys that a text asks for: the quoted word that these calls begin with.
    fn asked(text: &str) -> Vec<&str> {
        let calls = [
            "p.t(\"",
            "p.with(\"",
            "p.with2(\"",
            "words.get(\"",
            "words.with(\"",
            ".page(\"",
            "Failure::new(\"",
        ];
        let mut found = Vec::new();
        for call in calls {
            found.extend(text.split(call).skip(1).filter_map(|rest| rest.split('"').next()));
        }
        found
    }

    #[test]
    fn every_sentence_that_a_page_asks_for_is_there_and_every_one_there_is_asked_for() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut texts = Vec::new();
        files(&root.join("web-admin/templates"), "html", &mut texts);
        files(&root.join("src/admin"), "rs", &mut texts);
        let words = Catalogue::shipped().choose(FIRST);
        let is_key = |key: &&str| {
            key.contains('-') && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        for (file, text) in &texts {
            let template = file.ends_with(".html");
            for key in asked(text).into_iter().filter(|key| template || is_key(key)) {
                assert!(words.has(key) || key.is_empty(), "{file} asks for {key}");
            }
        }
        let mut catalogue = Vec::new();
        files(&root.join("web-admin/words").join(FIRST), "ftl", &mut catalogue);
        let all: String = texts.into_iter().map(|(_, text)| text).collect();
        let mut keys = BTreeSet::new();
        for (file, text) in &catalogue {
            for line in text.lines() {
                let Some((key, _)) = line.split_once(" =") else { continue };
                if !key.is_empty() && is_key(&key) {
                    assert!(keys.insert(key.to_owned()), "{file}: {key} is there twice");
                    // Keys that are put together from a word are written with their beginning, as in `role-{}`.
                    let mut stems = key.match_indices('-').map(|(at, _)| format!("\"{}{{", &key[..=at]));
                    let used = all.contains(&format!("\"{key}\"")) || stems.any(|stem| all.contains(&stem));
                    assert!(used, "{file}: nobody says {key}");
                }
            }
        }
        assert!(keys.len() > 20);
    }

    /// The sentences of texts, each with the names of what it speaks of.
    fn sentences<'a>(texts: impl IntoIterator<Item = &'a String>) -> BTreeMap<String, BTreeSet<String>> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut current = String::new();
        for line in texts.into_iter().flat_map(|text| text.lines()) {
            let is_new = line.starts_with(|c: char| c.is_ascii_alphabetic());
            if let Some((key, _)) = line.split_once('=').filter(|_| is_new) {
                key.trim().clone_into(&mut current);
                found.entry(current.clone()).or_default();
            }
            let name = |rest: &str| {
                rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().map(str::to_owned)
            };
            let names = line.split('$').skip(1).filter_map(name).filter(|name| !name.is_empty());
            found.entry(current.clone()).or_default().extend(names);
        }
        found.remove("");
        found
    }

    /// What is wrong with a translation: a sentence that English has not, or one that speaks of something else.
    fn mistakes(english: &[String], other: &[String]) -> Vec<String> {
        let english = sentences(english);
        let mut mistakes: Vec<String> = other
            .iter()
            .filter_map(|text| FluentResource::try_new(text.clone()).err())
            .map(|(_, errors)| format!("{errors:?}"))
            .collect();
        for (key, names) in sentences(other) {
            match english.get(&key) {
                None => mistakes.push(format!("nobody says {key}")),
                Some(known) => mistakes
                    .extend(names.difference(known).map(|name| format!("{key} does not speak of ${name}"))),
            }
        }
        mistakes
    }

    fn texts(language: &Path) -> Vec<String> {
        let mut found = Vec::new();
        files(language, "ftl", &mut found);
        found.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn translations_say_what_english_says_and_nothing_else() {
        let words = Path::new(env!("CARGO_MANIFEST_DIR")).join("web-admin/words");
        let english = texts(&words.join(FIRST));
        assert!(mistakes(&english, &english).is_empty());
        for language in fs::read_dir(&words).unwrap() {
            let language = language.unwrap().path();
            let tag = language.file_name().unwrap().to_str().unwrap();
            assert!(tag.parse::<LanguageIdentifier>().is_ok(), "{tag} is a tag of a language");
            assert_eq!(mistakes(&english, &texts(&language)), Vec::<String>::new(), "{tag}");
        }
        let wrong =
            ["nav-overview = { $what }\n", "nav-nowhere = Unman\n", "nav-lists = { $\n"].map(String::from);
        let told = mistakes(&english, &wrong);
        assert_eq!(told.len(), 3, "{told:?}");
    }

    #[test]
    fn a_language_is_a_folder_and_what_it_lacks_is_said_in_english() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("web-admin/words").join(FIRST);
        let welsh = vec![String::from("nav-overview = Trosolwg\n")];
        let catalogue = Catalogue::of([(FIRST.to_owned(), texts(&root)), (String::from("cy"), welsh)].into());
        let words = catalogue.choose("cy-GB, en;q=0.8");
        assert_eq!((words.language(), words.get("nav-overview")), ("cy", String::from("Trosolwg")));
        assert!(words.has("nav-lists"));
        assert_eq!(words.get("nav-lists"), catalogue.choose("en").get("nav-lists"));
        assert_eq!(words.with("overview-pace", [("number", 3.into())]), "3 questions a minute");
        for accepted in ["cy", "CY", "xx, cy;q=0.2", "en;q=0.3, cy;q=0.4", "cy;q=1.0,en;q=1.0"] {
            assert_eq!(catalogue.choose(accepted).language(), "cy", "{accepted}");
        }
        for accepted in ["en, cy", "cy;q=0.1, en", "cy;q=0", "cy;q=x", "cy;q=-1", "cy;q=nan", "cyx", "fr, *"]
        {
            assert_eq!(catalogue.choose(accepted).language(), FIRST, "{accepted}");
        }
    }

    #[test]
    fn a_browser_gets_the_first_language_that_there_is() {
        let catalogue = Catalogue::shipped();
        for accepted in ["", "*", "cy;q=0.1, en", "en-US,en;q=0.5", "\u{7f}\u{0};,,;", "xx-yy"] {
            assert_eq!(catalogue.choose(accepted).language(), "en-GB", "{accepted}");
        }
    }
}
