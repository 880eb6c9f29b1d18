//! Folders and tar archives: squidGuard categories, or a single file within.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use super::{
    Contents, Note, Place, Problem, Source, SourceError,
    keep::{Copying, Kept},
    open_file,
};
use crate::lists::format::{
    self, Format, HEAD, MatchMode, Rule, Skip, detect,
    squidguard::{File, Usage},
};

/// How much of a `usage` file is read, in bytes.
pub(super) const MAX_USAGE: u64 = 64 * 1024;
/// How much of `global_usage` is read, in bytes.
const MAX_GLOBAL_USAGE: u64 = 1024 * 1024;
/// How deep folders may lie in each other.
const MAX_DEPTH: usize = 8;
/// How many files are looked at.
const MAX_FILES: usize = 100_000;

/// What takes a rule or a skip with its place.
type Sink<'a> = &'a mut dyn FnMut(Place<'_>, Result<Rule, Skip<'_>>);

/// A folder or an archive, looked through once so that every `usage` is known before any name is read: in an archive
/// it comes after the names.
pub(super) struct Tree<'a> {
    source: &'a Source,
    /// The folder, if it is one.
    root: Option<PathBuf>,
    /// Categories by the folder that they are in.
    categories: BTreeMap<String, Category>,
    /// Which folder a linked folder stands for.
    links: BTreeMap<String, String>,
    /// Files that are not squidGuard's.
    others: Vec<String>,
    notes: Vec<Note>,
}

#[derive(Default)]
struct Category {
    usage: Option<Usage>,
    /// What `global_usage` says that the category is mainly for.
    mainly: Option<Usage>,
    names: bool,
}

/// One thing that walking comes by.
enum Node<'a> {
    File(&'a mut dyn BufRead),
    /// A link, and the path that it stands for.
    Link(String),
    /// A link that leads out of the folder.
    Stray,
}

impl<'a> Tree<'a> {
    pub(super) fn folder(source: &'a Source, root: &Path) -> Result<Self, SourceError> {
        // So that links can be told to stay within.
        let root = root.canonicalize().map_err(|error| source.error(Problem::Open(error)))?;
        Self::survey(source, Some(root))
    }

    pub(super) fn archive(source: &'a Source) -> Result<Self, SourceError> {
        Self::survey(source, None)
    }

    fn survey(source: &'a Source, root: Option<PathBuf>) -> Result<Self, SourceError> {
        let mut tree = Self {
            source,
            root,
            categories: BTreeMap::new(),
            links: BTreeMap::new(),
            others: Vec::new(),
            notes: Vec::new(),
        };
        let (mut categories, mut links, mut others) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut notes = Vec::new();
        let mut defaults = BTreeMap::new();
        let mut files = 0;
        tree.walk(&mut |path, node| {
            files += 1;
            if files > MAX_FILES {
                return Err(io::Error::other(format!("it holds more than {MAX_FILES} files")));
            }
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            match node {
                Node::Link(target) => {
                    links.insert(path.to_owned(), target);
                }
                Node::Stray => notes.push(Note::LinkLeftOut(path.to_owned())),
                Node::File(text) if name == "global_usage" => {
                    defaults = default_types(&read_some(text, MAX_GLOBAL_USAGE)?);
                }
                Node::File(text) => match File::of(name) {
                    Some(kind) => {
                        let category: &mut Category = categories.entry(folder.to_owned()).or_default();
                        category.names |= kind == File::Domains;
                        if kind == File::Usage {
                            category.usage = Some(Usage::parse(&read_some(text, MAX_USAGE)?));
                        }
                    }
                    None => others.push(path.to_owned()),
                },
            }
            Ok(())
        })?;
        // A `usage` alone, or a file by chance of the same name, makes no category.
        categories.retain(|_, category| category.names || category.usage.is_some());
        for (folder, category) in &mut categories {
            let name = folder.rsplit('/').next().unwrap_or_default();
            category.mainly = defaults.get(name).copied();
            category.usage = category.usage.or(category.mainly);
        }
        (tree.categories, tree.links, tree.others, tree.notes) = (categories, links, others, notes);
        Ok(tree)
    }

    /// Reads the chosen category or file, or every category for blocking.
    pub(super) fn read(mut self, mode: MatchMode, sink: Sink<'_>) -> Result<Contents, SourceError> {
        if !self.categories.values().any(|category| category.names) {
            return self.read_file(mode, sink);
        }
        let chosen = self.choose()?;
        let mut parts = Vec::new();
        self.walk(&mut |path, node| {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let (Node::File(text), Some(kind)) = (node, File::of(name)) else { return Ok(()) };
            let Some((shown, allow)) = chosen.get(folder) else { return Ok(()) };
            if kind == File::Usage {
                return Ok(());
            }
            let part = format!("{shown}/{name}");
            let place = |line| Place { part: Some(&part), line };
            if let Some(reason) = kind.skipped() {
                return format::squidguard::skip_all(text, reason, &mut |line, skip| {
                    sink(place(line), Err(skip));
                });
            }
            format::read(text, Format::Squidguard, mode, &mut |line, outcome| {
                sink(place(line), outcome.map(|rule| Rule { allow: *allow, ..rule }));
            })?;
            parts.push(part);
            Ok(())
        })?;
        Ok(Contents { format: Format::Squidguard, parts, notes: self.notes })
    }

    /// Writes what [`read`](Self::read) would read as one text, file behind file.
    pub(super) fn copy(mut self, out: &mut Copying<'_>) -> Result<Kept, SourceError> {
        if !self.categories.values().any(|category| category.names) {
            let wanted = self.only_file()?;
            let mut found = false;
            self.walk(&mut |path, node| match node {
                Node::File(text) if path == wanted && !found => {
                    found = true;
                    out.text(text)
                }
                _ => Ok(()),
            })?;
            return Ok(Kept { format: None, allow: false });
        }
        let chosen = self.choose()?;
        let allow = chosen.values().all(|(_, allow)| *allow);
        self.walk(&mut |path, node| {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let (Node::File(text), Some(File::Domains)) = (node, File::of(name)) else { return Ok(()) };
            let Some((shown, _)) = chosen.get(folder) else { return Ok(()) };
            if chosen.len() > 1 {
                out.text(&mut format!("# {shown}/{name}\n").as_bytes())?;
            }
            out.text(text)
        })?;
        Ok(Kept { format: Some(Format::Squidguard), allow })
    }

    /// The folders to read, with what people call each and whether its names are allowed.
    fn choose(&mut self) -> Result<BTreeMap<String, (String, bool)>, SourceError> {
        let shown = self.shown_names();
        let known = || shown.values().cloned().collect::<Vec<_>>();
        let mut chosen = BTreeMap::new();
        if let Some(part) = self.source.part.as_deref().map(|part| part.trim_matches('/')) {
            let found = match self.find(part).as_slice() {
                [] => {
                    return Err(self.source.error(Problem::NoPart { part: part.to_owned(), known: known() }));
                }
                [only] => only.clone(),
                several => {
                    return Err(self.source.error(Problem::SeveralFiles { known: several.to_vec() }));
                }
            };
            let name = shown[&found].clone();
            let usage = self.categories[&found].usage;
            match usage {
                Some(Usage::White) => self.notes.push(Note::WhiteAllows(name.clone())),
                Some(Usage::Both) => self.notes.push(Note::BlackAndWhite(name.clone())),
                Some(Usage::Black) | None => {}
            }
            chosen.insert(found, (name, usage == Some(Usage::White)));
            return Ok(chosen);
        }
        for (folder, category) in &self.categories {
            let name = shown[folder].clone();
            match category.usage {
                Some(Usage::White) => {
                    self.notes.push(Note::WhiteLeftOut(name));
                    continue;
                }
                // UT1's banks and job offers: nobody who takes the whole archive means to block them.
                Some(Usage::Both) if category.mainly == Some(Usage::White) => {
                    self.notes.push(Note::MainlyWhite(name));
                    continue;
                }
                Some(Usage::Both) => self.notes.push(Note::BlackAndWhite(name.clone())),
                Some(Usage::Black) | None => {}
            }
            chosen.insert(folder.clone(), (name, false));
        }
        if chosen.is_empty() {
            return Err(self.source.error(Problem::AllWhite { known: known() }));
        }
        Ok(chosen)
    }

    /// The folders of categories whose name or end of the path this is, through links.
    fn find(&self, part: &str) -> Vec<String> {
        if self.categories.contains_key("") && self.shown_names().get("").is_some_and(|own| own == part) {
            return vec![String::new()];
        }
        let ends = |path: &&String| {
            path.strip_suffix(part).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        };
        if self.categories.contains_key(part) {
            return vec![part.to_owned()];
        }
        let found: Vec<String> = self.categories.keys().filter(ends).cloned().collect();
        if !found.is_empty() {
            return found;
        }
        self.links.keys().filter(ends).filter_map(|link| self.follow(link)).collect()
    }

    /// The category that a link stands for.
    fn follow(&self, link: &str) -> Option<String> {
        let mut path = link;
        // A circle of links ends somewhere.
        for _ in 0..MAX_DEPTH {
            path = self.links.get(path)?;
            if self.categories.contains_key(path) {
                return Some(path.to_owned());
            }
        }
        None
    }

    /// The name of the folder that was given.
    fn own_name(&self) -> Option<String> {
        Some(self.root.as_ref()?.file_name()?.to_string_lossy().into_owned())
    }

    /// What people call each category: its path without what all have in common.
    fn shown_names(&self) -> BTreeMap<String, String> {
        let mut common: Option<Vec<&str>> = None;
        for folder in self.categories.keys() {
            // The last component is the category's own.
            let mut above: Vec<&str> = folder.split('/').collect();
            above.pop();
            common = Some(match common {
                None => above,
                Some(common) => {
                    common.into_iter().zip(above).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
                }
            });
        }
        let depth = common.map_or(0, |common| common.len());
        let shown = |folder: &String| match folder.as_str() {
            // The folder that was given is the category itself.
            "" => self.own_name().unwrap_or_else(|| self.source.name()),
            folder => folder.split('/').skip(depth).collect::<Vec<_>>().join("/"),
        };
        self.categories.keys().map(|folder| (folder.clone(), shown(folder))).collect()
    }

    /// The only file, or the chosen one, of an archive without categories.
    fn only_file(&self) -> Result<String, SourceError> {
        let mut known = self.others.clone();
        known.sort();
        match (&self.source.part, known.as_slice()) {
            (Some(part), _) => known
                .iter()
                .find(|path| *path == part || path.ends_with(&format!("/{part}")))
                .cloned()
                .ok_or_else(|| {
                    self.source.error(Problem::NoPart { part: part.clone(), known: known.clone() })
                }),
            (None, [only]) => Ok(only.clone()),
            (None, []) => Err(self.source.error(Problem::NoCategories)),
            (None, _) if self.root.is_some() => Err(self.source.error(Problem::NoCategories)),
            (None, _) => Err(self.source.error(Problem::SeveralFiles { known })),
        }
    }

    /// Reads the only file, or the chosen one, of an archive without categories.
    fn read_file(self, mode: MatchMode, sink: Sink<'_>) -> Result<Contents, SourceError> {
        let wanted = self.only_file()?;
        let mut found = None;
        self.walk(&mut |path, node| {
            let Node::File(text) = node else { return Ok(()) };
            if path != wanted || found.is_some() {
                return Ok(());
            }
            let mut head = Vec::new();
            (&mut *text).take(HEAD as u64).read_to_end(&mut head)?;
            let format = match detect(&head) {
                Ok(format) => format,
                Err(not) => {
                    found = Some(Err(not));
                    return Ok(());
                }
            };
            let mut whole = BufReader::new(head.as_slice().chain(text));
            format::read(&mut whole, format, mode, &mut |line, outcome| {
                sink(Place { part: Some(&wanted), line }, outcome);
            })?;
            found = Some(Ok(format));
            Ok(())
        })?;
        match found {
            Some(Ok(format)) => Ok(Contents { format, parts: vec![wanted], notes: self.notes }),
            Some(Err(not)) => Err(self.source.error(Problem::NotAList(not))),
            None => Err(self.source.error(Problem::NoPart { part: wanted, known: self.others })),
        }
    }

    fn walk(&self, each: &mut dyn FnMut(&str, Node<'_>) -> io::Result<()>) -> Result<(), SourceError> {
        match &self.root {
            Some(root) => walk_folder(root, root, &mut String::new(), 0, each),
            None => walk_archive(self.source.text()?, each),
        }
        .map_err(|error| self.source.read_error(error))
    }
}

fn walk_archive(text: super::Text, each: &mut dyn FnMut(&str, Node<'_>) -> io::Result<()>) -> io::Result<()> {
    let mut archive = tar::Archive::new(text);
    // Raw: the long names of extension headers are of any length, and squidGuard's are short.
    for entry in archive.entries()?.raw(true) {
        let entry = entry?;
        let Some(path) = clean(&entry.path_bytes()) else { continue };
        let kind = entry.header().entry_type();
        if kind.is_file() || kind.is_contiguous() {
            each(&path, Node::File(&mut BufReader::with_capacity(64 * 1024, entry)))?;
        } else if kind.is_symlink() {
            let Some(target) = entry.link_name_bytes() else { continue };
            let node = beside(&path, &String::from_utf8_lossy(&target)).map_or(Node::Stray, Node::Link);
            each(&path, node)?;
        }
    }
    Ok(())
}

fn walk_folder(
    root: &Path,
    folder: &Path,
    prefix: &mut String,
    depth: usize,
    each: &mut dyn FnMut(&str, Node<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    // The same order everywhere.
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let before = prefix.len();
        if !prefix.is_empty() {
            prefix.push('/');
        }
        prefix.push_str(&name);
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < MAX_DEPTH {
            walk_folder(root, &entry.path(), prefix, depth + 1, each)?;
        } else if kind.is_file() {
            each(prefix, Node::File(&mut open_file(&entry.path())?))?;
        } else if kind.is_symlink() {
            walk_link(root, &entry.path(), prefix, each)?;
        }
        prefix.truncate(before);
    }
    Ok(())
}

fn walk_link(
    root: &Path,
    link: &Path,
    shown: &str,
    each: &mut dyn FnMut(&str, Node<'_>) -> io::Result<()>,
) -> io::Result<()> {
    // A link to nothing is as good as none.
    let Ok(target) = link.canonicalize() else { return each(shown, Node::Stray) };
    let Ok(inside) = target.strip_prefix(root) else { return each(shown, Node::Stray) };
    if target.is_dir() {
        let inside = inside.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        each(shown, Node::Link(inside))
    } else {
        each(shown, Node::File(&mut open_file(&target)?))
    }
}

/// A path of an archive without `.` and empty components; none if it leads out of it.
fn clean(path: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(path);
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// The path that a link at `path` stands for; none if it leads out of the archive.
fn beside(path: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn read_some(text: &mut dyn BufRead, most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    text.take(most).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The `DEFAULT_TYPE` of each `NAME` of UT1's `global_usage`, for categories without a `usage` of their own.
fn default_types(text: &str) -> BTreeMap<String, Usage> {
    let mut types = BTreeMap::new();
    let mut name = None;
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        match (key.trim(), &name) {
            ("NAME", _) => name = Some(value.trim().to_owned()),
            ("DEFAULT_TYPE", Some(name)) => {
                types.insert(name.clone(), Usage::parse(value.trim()));
            }
            _ => {}
        }
    }
    types
}
