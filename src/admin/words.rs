//! The sentences that people read, from the catalogues under `web-admin/words/`: a translation is a folder of files there.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use rust_embed::Embed;
use tracing::error;
use unic_langid::LanguageIdentifier;

/// The language that has every sentence.
const FIRST: &str = "en-GB";

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
        let first = Arc::new(Words::new(FIRST, texts.remove(FIRST).unwrap_or_default(), None));
        let mut languages = BTreeMap::from([(FIRST.to_owned(), Arc::clone(&first))]);
        for (language, texts) in texts {
            let words = Words::new(&language, texts, Some(Arc::clone(&first)));
            languages.insert(language, Arc::new(words));
        }
        Self { languages: Arc::new(languages) }
    }

    /// The first language of an `Accept-Language` header that there is a catalogue of.
    pub(super) fn choose(&self, accepted: &str) -> Arc<Words> {
        let wanted = accepted.split(',').filter_map(|part| part.split(';').next()).map(str::trim);
        let known = |tag: &str| {
            self.languages.iter().find(|(language, _)| {
                let short = language.split('-').next().unwrap_or_default();
                language.eq_ignore_ascii_case(tag)
                    || tag.split('-').next().is_some_and(|tag| tag.eq_ignore_ascii_case(short))
            })
        };
        let found = wanted.filter(|tag| tag.len() <= 35).find_map(known);
        // The first language is always there: `shipped` puts it in.
        found
            .or_else(|| self.languages.get_key_value(FIRST))
            .map(|(_, words)| Arc::clone(words))
            .unwrap_or_else(|| Arc::new(Words::new(FIRST, Vec::new(), None)))
    }
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

    #[test]
    fn a_browser_gets_the_first_language_that_there_is() {
        let catalogue = Catalogue::shipped();
        for accepted in ["", "*", "cy;q=0.1, en", "en-US,en;q=0.5", "\u{7f}\u{0};,,;", "xx-yy"] {
            assert_eq!(catalogue.choose(accepted).language(), "en-GB", "{accepted}");
        }
    }
}
