//! What the matrix shows: which rows and columns, and each cell in words.

use super::super::super::{page::Page, visit::encoded};
use super::Asked;
use crate::{
    category::Audience,
    control::{Matrix, MatrixCell, MatrixRow},
    policy::{Cell, Mode},
};

/// The areas, in the order in which they are shown.
const AREAS: [&str; 5] = ["content", "contact", "conduct", "commerce", "technical"];

/// Which categories can be shown alone.
const SHOWS: [&str; 4] = ["own", "open", "closed", "different"];

/// What of the matrix is looked at, with words that mean nothing taken out.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) q: String,
    pub(super) area: String,
    pub(super) show: String,
    pub(super) a: String,
    pub(super) b: String,
    pub(super) one: String,
    pub(super) open: String,
}

impl Look {
    pub(super) fn new(asked: &Asked, matrix: &Matrix) -> Self {
        let known = |id: &str| {
            if matrix.profiles.iter().any(|profile| profile.id == id) { id.to_owned() } else { String::new() }
        };
        let (a, b) = (known(&asked.a), known(&asked.b));
        let compared = !a.is_empty() && !b.is_empty() && a != b;
        // A phone begins with what most pupils have: a profile of pupils that filters.
        let usual = matrix
            .profiles
            .iter()
            .find(|profile| profile.audience == Audience::Pupil && profile.mode == Mode::Filter)
            .or_else(|| matrix.profiles.first());
        let one = match known(&asked.one) {
            one if one.is_empty() => usual.map(|profile| profile.id.clone()).unwrap_or_default(),
            one => one,
        };
        let among = |word: &str, words: &[&str]| {
            if words.contains(&word) { word.to_owned() } else { String::new() }
        };
        Self {
            q: asked.q.trim().chars().take(80).collect(),
            area: among(&asked.area, &AREAS),
            show: among(&asked.show, &SHOWS),
            a,
            b: if compared { b } else { String::new() },
            one,
            open: asked.open.clone(),
        }
    }

    /// Whether two profiles are held against each other.
    pub(super) fn compares(&self) -> bool {
        !self.a.is_empty() && !self.b.is_empty()
    }

    /// The same look, as the query of an address, with the services of a category shown or (empty) none.
    pub(super) fn with_open(&self, open: &str) -> String {
        let Self { q, area, show, a, b, one, .. } = self;
        let pairs = [
            ("q", q.as_str()),
            ("area", area),
            ("show", show),
            ("a", a),
            ("b", b),
            ("one", one),
            ("open", open),
        ];
        let written = pairs.iter().filter(|(_, value)| !value.is_empty());
        written.map(|(key, value)| format!("{key}={}", encoded(value))).collect::<Vec<_>>().join("&")
    }

    /// The columns that are looked at.
    pub(super) fn columns(&self, p: &Page, matrix: &Matrix) -> Vec<Column> {
        let all = matrix.profiles.iter().enumerate();
        all.filter(|(_, profile)| !self.compares() || profile.id == self.a || profile.id == self.b)
            .map(|(place, profile)| Column {
                place,
                id: profile.id.clone(),
                title: profile.title.clone(),
                hint: match profile.mode {
                    Mode::Filter => String::new(),
                    Mode::AllowOnly => p.t("policy-mode-allow-only-short"),
                    Mode::Watch => p.t("policy-mode-watch-short"),
                },
                // Two fit beside each other.
                is_one: self.compares() || profile.id == self.one,
            })
            .collect()
    }

    fn has(&self, row: &MatrixRow, columns: &[Column]) -> bool {
        let cells = || columns.iter().filter_map(|column| row.cells.get(column.place));
        let is_open = |cell: &MatrixCell| !matches!(cell.state, Cell::Block | Cell::Locked);
        let words = self.q.to_lowercase();
        let found = |text: &str| text.to_lowercase().contains(&words);
        (words.is_empty()
            || found(&row.title)
            || found(&row.summary)
            || row.services.iter().any(|service| found(&service.title)))
            && (self.area.is_empty() || self.area == row.group)
            && match self.show.as_str() {
                "own" => cells().any(|cell| cell.state != cell.usual || !cell.why.is_empty()),
                "open" => cells().any(is_open),
                "closed" => cells().any(|cell| !is_open(cell)),
                "different" => {
                    cells().any(|cell| cells().next().is_some_and(|first| first.state != cell.state))
                }
                _ => true,
            }
    }
}

/// A profile.
#[derive(Debug)]
pub(super) struct Column {
    /// Its place among all profiles.
    pub(super) place: usize,
    pub(super) id: String,
    pub(super) title: String,
    /// What else should be known of it; may be empty.
    pub(super) hint: String,
    /// Whether a small screen shows it.
    pub(super) is_one: bool,
}

/// The categories that are about one thing.
#[derive(Debug)]
pub(super) struct Area {
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
}

/// A category or a service.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) summary: String,
    pub(super) cells: Vec<Square>,
    /// How many services it has.
    pub(super) count: usize,
    /// Whether they are shown.
    pub(super) is_open: bool,
    pub(super) services: Vec<Self>,
}

impl Row {
    pub(super) fn new(p: &Page, look: &Look, columns: &[Column], matrix: &Matrix, row: &MatrixRow) -> Self {
        let squares = |id: &str, title: &str, cells: &[MatrixCell]| -> Vec<Square> {
            let of = |column: &Column| {
                let cell = cells.get(column.place)?;
                let profile = matrix.profiles.get(column.place)?;
                Some(Square::new(p, (id, title), (&profile.id, &profile.title), cell, column.is_one))
            };
            columns.iter().filter_map(of).collect()
        };
        let is_open = look.open == row.id && !row.services.is_empty();
        let services = row.services.iter().filter(|_| is_open).map(|service| Self {
            id: service.id.clone(),
            title: service.title.clone(),
            summary: service.note.clone(),
            cells: squares(&service.id, &service.title, &service.cells),
            count: 0,
            is_open: false,
            services: Vec::new(),
        });
        Self {
            id: row.id.clone(),
            title: row.title.clone(),
            summary: row.summary.clone(),
            cells: squares(&row.id, &row.title, &row.cells),
            count: row.services.len(),
            is_open,
            services: services.collect(),
        }
    }
}

/// A cell.
#[derive(Debug)]
pub(super) struct Square {
    /// The identifier of the category or service.
    pub(super) row: String,
    /// The identifier of the profile.
    pub(super) profile: String,
    /// What people call it.
    pub(super) label: String,
    /// Its state, in a word for styles.
    pub(super) state: &'static str,
    /// Its state, as it is shown.
    pub(super) said: String,
    /// Its state in full, so that a change of what somebody has not seen is noticed.
    pub(super) seen: String,
    /// Nothing opens it.
    pub(super) is_locked: bool,
    /// The school decided otherwise than what ships.
    pub(super) is_own: bool,
    pub(super) is_one: bool,
    /// Whether it takes the place of the one that is shown.
    pub(super) swaps: bool,
}

impl Square {
    pub(super) fn new(
        p: &Page,
        (row, title): (&str, &str),
        (profile, whom): (&str, &str),
        cell: &MatrixCell,
        is_one: bool,
    ) -> Self {
        let state = state(&cell.state);
        Self {
            row: row.to_owned(),
            profile: profile.to_owned(),
            label: format!("{title}: {whom}"),
            state,
            said: p.t(&format!("policy-state-{state}")),
            seen: written(&cell.state),
            is_locked: cell.locked,
            is_own: cell.state != cell.usual,
            is_one,
            swaps: false,
        }
    }

    /// Whether a click can give it a state.
    pub(super) fn takes(&self, state: &str) -> bool {
        self.state != state && self.state != "locked"
    }
}

/// A state in a word.
pub(super) fn state(cell: &Cell) -> &'static str {
    match cell {
        Cell::Allow => "allow",
        Cell::Report => "report",
        Cell::AllowDuring(_) => "times",
        Cell::AllowFor(_) => "for",
        Cell::Block => "block",
        Cell::Locked => "locked",
    }
}

/// A state in full, without spaces.
pub(super) fn written(cell: &Cell) -> String {
    match cell {
        Cell::AllowDuring(schedule) => format!("times:{schedule}"),
        Cell::AllowFor(group) => format!("for:{group}"),
        other => state(other).to_owned(),
    }
}

/// A state in a few words: `At certain times (lunch)`.
pub(super) fn said(p: &Page, cell: &Cell) -> String {
    match cell {
        Cell::AllowDuring(schedule) => p.with("policy-long-times", "schedule", schedule),
        Cell::AllowFor(group) => p.with("policy-long-for", "group", group),
        Cell::Report => p.t("policy-long-report"),
        other => p.t(&format!("policy-state-{}", state(other))),
    }
}

/// The matrix as it is shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) revision: i64,
    pub(super) columns: Vec<Column>,
    pub(super) areas: Vec<Area>,
    /// Every profile, to choose from: its identifier and title.
    pub(super) profiles: Vec<(String, String)>,
    /// What categories can be about.
    pub(super) area_choices: Vec<(String, String)>,
    /// Which categories can be shown alone.
    pub(super) show_choices: Vec<(String, String)>,
}

impl Shown {
    pub(super) fn new(p: &Page, look: &Look, matrix: &Matrix) -> Self {
        let columns = look.columns(p, matrix);
        let rows_of = |area: &str| -> Vec<Row> {
            let of = matrix.rows.iter().filter(|row| row.group == area && look.has(row, &columns));
            of.map(|row| Row::new(p, look, &columns, matrix, row)).collect()
        };
        let areas = AREAS
            .iter()
            .map(|area| Area { title: p.t(&format!("policy-area-{area}")), rows: rows_of(area) })
            .filter(|area| !area.rows.is_empty())
            .collect();
        let profiles =
            matrix.profiles.iter().map(|profile| (profile.id.clone(), profile.title.clone())).collect();
        let choice = |key: String, id: &str| (id.to_owned(), p.t(&key));
        Self {
            revision: matrix.revision,
            columns,
            areas,
            profiles,
            area_choices: AREAS.iter().map(|id| choice(format!("policy-area-{id}"), id)).collect(),
            show_choices: SHOWS.iter().map(|id| choice(format!("policy-show-{id}"), id)).collect(),
        }
    }
}
