//! The rows of one day that a query is for, the newest first.

use rusqlite::{CachedStatement, Row, params, params_from_iter, types::Value};

use super::{
    DayReader, Raw, Words,
    glob::{Glob, Kind},
    ids::Ids,
    query::Query,
};
use crate::querylog::{
    Place, Who,
    day::{LONGEST_SPAN, SPAN, SPAN_KEYS},
};

/// How many spans are looked at first; then eight times as many, and so on: whoever asks often is found within the
/// newest ones, and for whoever asks seldom few looks cover the day.
const FIRST_WINDOW: usize = 32;

/// In how many spans names are looked at as they come, before all names of the day are.
const PROBE: usize = 2;

/// How many rows are looked at all the same where the names of the first day were more than may be read.
const PROGRESS: u64 = 100_000;

/// A domain with more names than this is worth looking at its names as they come.
const BROAD: i64 = 2_000;

/// How many rows can be read in the time that it takes to look up one number's spans.
const ROWS_A_LOOK: u64 = 32;

/// A word of rows, and the numbers that it may have.
struct Filter {
    column: Column,
    ids: Ids,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Asker,
    Name,
    Fate,
}

impl Column {
    fn spans(self) -> &'static str {
        match self {
            Self::Asker => "SELECT span FROM asker_span WHERE asker = ?1 AND span BETWEEN ?2 AND ?3",
            Self::Name => "SELECT span FROM name_span WHERE name = ?1 AND span BETWEEN ?2 AND ?3",
            Self::Fate => "SELECT span FROM fate_span WHERE fate = ?1 AND span BETWEEN ?2 AND ?3",
        }
    }

    /// Its place in what [`Raw::read`] reads.
    fn place(self) -> usize {
        match self {
            Self::Asker => 1,
            Self::Name => 2,
            Self::Fate => 3,
        }
    }

    fn is(self) -> &'static str {
        match self {
            Self::Asker => " AND asker = ",
            Self::Name => " AND name = ",
            Self::Fate => " AND fate = ",
        }
    }
}

/// A stretch of rows.
#[derive(Debug, Clone, Copy)]
struct Span {
    number: i64,
    /// Its first key.
    first: i64,
    /// The first key beyond it.
    end: i64,
}

impl Span {
    /// How many rows it has, about: it was short of time only where there were many.
    fn rows(&self) -> u64 {
        let keys = self.end.saturating_sub(self.first).max(0) as u64;
        if keys <= 2 * SPAN_KEYS as u64 { keys.clamp(SPAN.into(), LONGEST_SPAN.into()) } else { SPAN.into() }
    }
}

/// What rows must be like.
struct Wanted<'a> {
    /// Those with the fewest numbers first.
    filters: Vec<Filter>,
    /// Names that are not turned into numbers: each is looked at as it comes.
    glob: Option<&'a Glob>,
    /// A pattern must not be a way to guess letter by letter a name that must not be shown.
    guards: bool,
    /// How many rows are left to find.
    most: usize,
    /// How many spans may be read.
    spans: usize,
}

/// How reading rows ended.
enum Ended {
    /// All are found that were wanted, or there are no more.
    Done,
    /// All was read down to this key, and no more spans may be read.
    At(i64),
}

/// Who takes the rows that are found.
pub(super) type Found<'a> = &'a mut dyn FnMut(&mut Words<'_>, &Raw) -> rusqlite::Result<()>;

impl DayReader<'_> {
    /// Hands out the rows between two keys, the newest first, until so many are found or too much is read. Gives the key
    /// down to which all was read in the latter case.
    pub(super) fn rows(
        &self,
        low: i64,
        high: i64,
        most: usize,
        words: &mut Words<'_>,
        found: Found<'_>,
    ) -> rusqlite::Result<Option<i64>> {
        let Some(mut filters) = self.filters()? else { return Ok(None) };
        let glob = self.query.name.as_ref();
        let guards = glob.is_some_and(|glob| !self.names_it(glob));
        let mut wanted = Wanted { filters: Vec::new(), glob: None, guards, most, spans: usize::MAX };
        let mut high = high;
        if let Some(glob) = glob {
            // Of what half of all names are, a page is found in a few hundred rows.
            if self.probe.get() && guards && self.is_broad(glob)? {
                (wanted.filters, wanted.glob, wanted.spans) = (filters, Some(glob), PROBE);
                high = match self.walk(&mut wanted, low, high, words, found)? {
                    Ended::Done => return Ok(None),
                    Ended::At(reached) => reached,
                };
                self.probe.set(false);
                filters = std::mem::take(&mut wanted.filters);
                (wanted.glob, wanted.spans) = (None, usize::MAX);
            }
            let ids = Ids::new(self.names(glob)?);
            if ids.len() == 0 {
                return Ok(None);
            }
            filters.push(Filter { column: Column::Name, ids });
        }
        filters.sort_by_key(|filter| filter.ids.len());
        wanted.filters = filters;
        match self.walk(&mut wanted, low, high, words, found)? {
            Ended::Done => Ok(None),
            Ended::At(reached) => Ok(Some(reached)),
        }
    }

    fn walk(
        &self,
        wanted: &mut Wanted<'_>,
        low: i64,
        high: i64,
        words: &mut Words<'_>,
        found: Found<'_>,
    ) -> rusqlite::Result<Ended> {
        let mut scan = self.scan(&wanted.filters)?;
        let mut before = i64::MAX;
        let mut end = high;
        let mut width = FIRST_WINDOW;
        loop {
            let window = self.window(before, end, low, width)?;
            let Some(oldest) = window.last().copied() else { return Ok(Ended::Done) };
            let candidates = self.candidates(&window, &wanted.filters)?;
            for (span, _) in window.iter().zip(&candidates).filter(|(_, candidate)| **candidate) {
                if self.left.get() == 0 || wanted.spans == 0 {
                    return Ok(Ended::At(span.end.min(high)));
                }
                self.reads(span.rows());
                wanted.spans -= 1;
                let mut values =
                    vec![Value::Integer(span.first.max(low)), Value::Integer(span.end.min(high))];
                values
                    .extend(wanted.filters.iter().filter_map(|filter| filter.ids.only()).map(Value::Integer));
                let mut rows = scan.query(params_from_iter(values))?;
                while let Some(row) = rows.next()? {
                    if !self.is_wanted(wanted, row, words)? {
                        continue;
                    }
                    found(words, &Raw::read(row)?)?;
                    wanted.most -= 1;
                    if wanted.most == 0 {
                        return Ok(Ended::Done);
                    }
                }
            }
            if oldest.first <= low {
                return Ok(Ended::Done);
            }
            (before, end) = (oldest.number, oldest.first);
            width = width.saturating_mul(8);
        }
    }

    fn is_wanted(&self, wanted: &Wanted<'_>, row: &Row<'_>, words: &mut Words<'_>) -> rusqlite::Result<bool> {
        for filter in &wanted.filters {
            // What has only one number was left to the database.
            if filter.ids.only().is_none() && !filter.ids.contains(row.get(filter.column.place())?) {
                return Ok(false);
            }
        }
        if let Some(glob) = wanted.glob
            && !words.is_of(row.get(Column::Name.place())?, glob)?
        {
            return Ok(false);
        }
        if wanted.guards && words.is_masked(row.get(Column::Name.place())?)? {
            return Ok(false);
        }
        Ok(match self.skip {
            Some(skip) => !skip.contains(&Place { day: self.day, at: row.get(0)? }),
            None => true,
        })
    }

    /// Counts what is read.
    fn reads(&self, rows: u64) {
        self.left.set(self.left.get().saturating_sub(rows));
    }

    /// The statement that reads the rows of a span; what has only one number is left to the database.
    fn scan(&self, filters: &[Filter]) -> rusqlite::Result<CachedStatement<'_>> {
        let mut sql =
            String::from("SELECT at, asker, name, fate, took FROM question WHERE at >= ?1 AND at < ?2");
        for (filter, place) in filters.iter().filter(|filter| filter.ids.only().is_some()).zip(3..) {
            sql.push_str(filter.column.is());
            sql.push_str(&format!("?{place}"));
        }
        sql.push_str(" ORDER BY at DESC");
        self.connection.prepare_cached(&sql)
    }

    /// The next spans, the newest first: at most `width`, and none that ends before `low`.
    fn window(&self, before: i64, end: i64, low: i64, width: usize) -> rusqlite::Result<Vec<Span>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT number, first FROM span WHERE number < ?1 AND first < ?2 ORDER BY number DESC LIMIT ?3",
        )?;
        let mut rows = statement.query(params![before, end, i64::try_from(width).unwrap_or(i64::MAX)])?;
        let mut spans: Vec<Span> = Vec::new();
        while let Some(row) = rows.next()? {
            let end = spans.last().map_or(end, |newer| newer.first);
            let span = Span { number: row.get(0)?, first: row.get(1)?, end };
            spans.push(span);
            if span.first <= low {
                break;
            }
        }
        Ok(spans)
    }

    /// Which of some spans can have rows that all filters admit.
    fn candidates(&self, window: &[Span], filters: &[Filter]) -> rusqlite::Result<Vec<bool>> {
        let mut candidates = vec![true; window.len()];
        let (Some(newest), Some(oldest)) = (window.first(), window.last()) else { return Ok(candidates) };
        for filter in filters {
            let rows: u64 = window
                .iter()
                .zip(&candidates)
                .filter(|(_, candidate)| **candidate)
                .map(|(span, _)| span.rows())
                .sum();
            if filter.ids.len() as u64 * ROWS_A_LOOK > rows {
                continue;
            }
            let mut has = vec![false; window.len()];
            let mut statement = self.connection.prepare_cached(filter.column.spans())?;
            for id in filter.ids.iter() {
                let mut spans = statement.query([id, oldest.number, newest.number])?;
                while let Some(span) = spans.next()? {
                    let number: i64 = span.get(0)?;
                    // They are numbered without gaps, but for what was taken out of the file.
                    let place = usize::try_from(newest.number - number).unwrap_or(usize::MAX);
                    let place = match window.get(place) {
                        Some(span) if span.number == number => Some(place),
                        _ => window.binary_search_by(|span| number.cmp(&span.number)).ok(),
                    };
                    if let Some(place) = place {
                        has[place] = true;
                    }
                }
            }
            for (candidate, has) in candidates.iter_mut().zip(has) {
                *candidate &= has;
            }
        }
        Ok(candidates)
    }

    /// The numbers of what is searched for, but for names; none when the day has none of something.
    fn filters(&self) -> rusqlite::Result<Option<Vec<Filter>>> {
        let mut filters = Vec::new();
        for (column, numbers) in [(Column::Asker, self.askers()?), (Column::Fate, self.fates()?)] {
            if let Some(numbers) = numbers {
                if numbers.is_empty() {
                    return Ok(None);
                }
                filters.push(Filter { column, ids: Ids::new(numbers) });
            }
        }
        Ok(Some(filters))
    }

    fn askers(&self) -> rusqlite::Result<Option<Vec<i64>>> {
        let Query { client, profile, .. } = self.query;
        if client.is_none() && profile.is_none() {
            return Ok(None);
        }
        // By an address an index leads there, and by a pseudonym that no other device can have; the others are looked for
        // among all.
        let client_is = match client {
            Some(Who::Address(address)) => Some(address.to_string()),
            Some(Who::Pseudonym(pseudonym)) if self.key.is_none() => Some(pseudonym.clone()),
            _ => None,
        };
        let of_client = if client_is.is_some() { "client = ?1" } else { "?1 IS NULL" };
        let sql = format!(
            "SELECT id, client, device, mac FROM asker WHERE {of_client} AND (?2 IS NULL OR profile = ?2)"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![client_is, profile])?;
        let mut numbers: Vec<i64> = Vec::new();
        while let Some(row) = rows.next()? {
            let text = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str()?);
            let admits = match client {
                Some(who) => who.is_shown(text(1)?, text(2)?, text(3)?, self.key),
                None => true,
            };
            if admits {
                numbers.push(row.get(0)?);
            }
        }
        Ok(Some(numbers))
    }

    fn fates(&self) -> rusqlite::Result<Option<Vec<i64>>> {
        let Query { category, action, alert, reason, list, .. } = self.query;
        if category.is_none() && action.is_none() && !alert && reason.is_none() && list.is_none() {
            return Ok(None);
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT id FROM fate WHERE (?1 IS NULL OR action = ?1) AND (?2 IS NULL OR reason = ?2)
                AND (?3 IS NULL OR list = ?3) AND (?4 = 0 OR alert = 1) AND (?5 IS NULL OR category = ?5
                    OR instr(' ' || categories || ' ', ' ' || ?5 || ' ') > 0)",
        )?;
        let numbers = statement
            .query_map(params![action.map(|action| action.word()), reason, list, alert, category], |row| {
                row.get(0)
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Some(numbers))
    }

    /// Whether so many names may be meant that looking at each as it comes is quicker.
    fn is_broad(&self, glob: &Glob) -> rusqlite::Result<bool> {
        match glob.kind() {
            Kind::Exact(_) => Ok(false),
            Kind::Pattern(_) => Ok(true),
            Kind::Below(domain) => {
                let count: i64 = self
                    .connection
                    .prepare_cached(
                        "SELECT count(*) FROM (SELECT 1 FROM name WHERE reversed > ?1 || '.' AND reversed < ?1 || '/'
                            LIMIT ?2)",
                    )?
                    .query_row(params![domain, BROAD + 1], |row| row.get(0))?;
                Ok(count > BROAD)
            }
        }
    }

    /// The numbers of names.
    fn names(&self, glob: &Glob) -> rusqlite::Result<Vec<i64>> {
        // Whoever names a name that must not be shown may know what became of it; the day may have it as a digest.
        let digests = glob
            .key()
            .and_then(|key| self.policy.sealed_name(&key).map(|listed| self.policy.digests(&key, listed)));
        let mut numbers: Vec<i64> = Vec::new();
        match glob.kind() {
            Kind::Exact(name) => {
                let mut statement =
                    self.connection.prepare_cached("SELECT id FROM name WHERE reversed IN (?1, ?2)")?;
                let found = statement.query_map(params![name, digests], |row| row.get::<_, i64>(0))?;
                numbers.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
            }
            Kind::Below(domain) => {
                // A slash comes after the dot, and a nought after the slash. What is below a listed name has the digest of
                // that in front.
                let mut statement = self.connection.prepare_cached(
                    "SELECT id FROM name WHERE reversed IN (?1, ?2)
                        UNION ALL SELECT id FROM name WHERE reversed > ?1 || '.' AND reversed < ?1 || '/'
                        UNION ALL SELECT id FROM name WHERE reversed > ?2 || '/' AND reversed < ?2 || '0'",
                )?;
                let found = statement.query_map(params![domain, digests], |row| row.get::<_, i64>(0))?;
                numbers.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
            }
            Kind::Pattern(pattern) => {
                let mut statement = self
                    .connection
                    .prepare_cached("SELECT id, reversed FROM name WHERE instr(reversed, ?1) > 0")?;
                let mut rows = statement.query([pattern.core()])?;
                while let Some(row) = rows.next()? {
                    if row.get_ref(1)?.as_str().is_ok_and(|reversed| pattern.matches(reversed)) {
                        numbers.push(row.get(0)?);
                    }
                }
                let last: Option<i64> =
                    self.connection.query_row("SELECT max(id) FROM name", [], |row| row.get(0))?;
                self.reads(last.and_then(|last| u64::try_from(last).ok()).unwrap_or(0));
                // However many names a day has, whoever goes on with a search gets on with it.
                if self.is_first {
                    self.left.set(self.left.get().max(PROGRESS));
                }
            }
        }
        Ok(numbers)
    }

    /// Whether whoever wrote the pattern named what it finds, if it is a name that must not be shown.
    fn names_it(&self, glob: &Glob) -> bool {
        glob.key().is_some_and(|key| self.policy.sealed_name(&key).is_some())
    }
}
