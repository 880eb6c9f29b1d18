//! Names to measure with: real lists, where a folder of them is given, and made-up names of the same shape.

#[allow(dead_code, reason = "only benches of the query log use it")]
pub(crate) mod mix;
pub(crate) mod names;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use schoolgate::lists::{
    compiler::{Compiler, Identity, Summary},
    format::MatchMode,
    source::Source,
};

/// Which names are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// All lists below the folder that `SCHOOLGATE_LIST_DATA` names.
    Real,
    /// About so many made-up names.
    MadeUp(u64),
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real => f.write_str("real lists"),
            Self::MadeUp(count) => write!(f, "{count} made-up names"),
        }
    }
}

impl Names {
    /// What there is to measure with: says where real lists are missing.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::MadeUp(1_700_000), Self::MadeUp(5_000_000)];
        if folder().is_some() {
            all.insert(0, Self::Real);
        } else {
            eprintln!("Real lists are not measured: set SCHOOLGATE_LIST_DATA to a folder of them.");
        }
        all
    }

    /// Makes lists of text in a folder: a file each, plain.
    pub(crate) fn write(self, to: &Path) -> io::Result<Vec<PathBuf>> {
        match self {
            Self::Real => real(to),
            Self::MadeUp(count) => names::made_up(count, to),
        }
    }
}

/// Compiles lists of text.
pub(crate) fn compile(files: &[PathBuf], index: &Path) -> Summary {
    let folder = index.parent().expect("a file in a folder");
    let mut compiler = Compiler::new(folder);
    for (i, file) in files.iter().enumerate() {
        let identity = identity(i, file);
        // Web pages, regular expressions and empty files are among real lists, and are left out.
        let _ = compiler.add_source(identity, &Source::at(file), None, MatchMode::Subdomains);
    }
    compiler.finish(index).expect("the index is written")
}

/// What a list is called in a bench.
pub(crate) fn identity(number: usize, file: &Path) -> Identity {
    let title = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Identity { id: format!("list-{number}"), title, category: String::from("games") }
}

/// The folder of real lists, if there is one.
pub(crate) fn folder() -> Option<PathBuf> {
    std::env::var_os("SCHOOLGATE_LIST_DATA").map(PathBuf::from).filter(|folder| folder.is_dir())
}

fn real(to: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(&folder().ok_or(io::ErrorKind::NotFound)?, &mut found)?;
    let mut files = Vec::new();
    for (i, file) in found.iter().enumerate() {
        if file.to_string_lossy().ends_with(".tar.gz") {
            let into = to.join(format!("{i}"));
            tar::Archive::new(flate2::read::MultiGzDecoder::new(fs::File::open(file)?)).unpack(&into)?;
            let mut members = Vec::new();
            collect(&into, &mut members)?;
            files.extend(members.into_iter().filter(|member| member.ends_with("domains")));
        } else if let Ok(mut text) = Source::at(file).text() {
            let plain = to.join(format!("{i}.txt"));
            io::copy(&mut text, &mut fs::File::create(&plain)?)?;
            files.push(plain);
        }
    }
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), files)?;
        } else if kind.is_file() && entry.path().extension().is_none_or(|end| end != "md" && end != "tsv") {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// What the system says of this process's memory: `VmHWM` (the most it had) or `VmRSS`, in MB.
pub(crate) fn memory(what: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}
