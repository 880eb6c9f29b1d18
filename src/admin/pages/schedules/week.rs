//! Times of the week as they are drawn and typed.

use crate::{
    admin::form::Fields,
    policy::{ScheduleFile, WindowFile},
};

/// The words of the days in the policy, Monday first.
pub(super) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The keys of what people read for them.
pub(super) const DAY_KEYS: [&str; 7] = [
    "schedules-mon",
    "schedules-tue",
    "schedules-wed",
    "schedules-thu",
    "schedules-fri",
    "schedules-sat",
    "schedules-sun",
];

/// Where the drawing begins, and how large an hour and a day are in it.
pub(super) const LEFT: u32 = 44;
pub(super) const TOP: u32 = 18;
pub(super) const HOUR: u32 = 27;
pub(super) const ROW: u32 = 20;

/// The most times of one schedule that a form takes.
const MOST: usize = 24;

/// How many empty rows a form has at its end.
const SPARE: usize = 2;

/// A time of a day in the drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
}

/// The bars of some times.
pub(super) fn bars(windows: &[WindowFile]) -> Vec<Bar> {
    let spans = windows.iter().flat_map(WindowFile::spans);
    spans
        .map(|(day, from, to)| {
            let at = |minute: u16| u32::from(minute) * HOUR / 60;
            let y = TOP + ROW * u32::try_from(day).unwrap_or_default();
            Bar { x: LEFT + at(from), y, width: at(to).saturating_sub(at(from)).max(1) }
        })
        .collect()
}

/// A row of the form: the days that are ticked, and the times as they are typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) days: [bool; 7],
    pub(super) from: String,
    pub(super) to: String,
}

impl Row {
    fn of(window: &WindowFile) -> Self {
        let mut days = [false; 7];
        let whole = WindowFile { days: window.days.clone(), from: "00:00".into(), to: "24:00".into() };
        for (day, ..) in whole.spans() {
            days[day] = true;
        }
        let padded = |time: &str| if time.len() == 4 { format!("0{time}") } else { time.to_owned() };
        // Browsers know no 24:00.
        let to = if window.to == "24:00" { String::from("00:00") } else { padded(&window.to) };
        Self { days, from: padded(&window.from), to }
    }

    fn is_empty(&self) -> bool {
        self.from.is_empty() && self.to.is_empty() && !self.days.contains(&true)
    }

    fn window(&self) -> WindowFile {
        let days = match self.days {
            [true, true, true, true, true, true, true] => String::from("daily"),
            [true, true, true, true, true, false, false] => String::from("mon-fri"),
            days => {
                let ticked = DAYS.iter().zip(days).filter(|(_, ticked)| *ticked).map(|(day, _)| *day);
                ticked.collect::<Vec<_>>().join(",")
            }
        };
        let to = if self.to == "00:00" { String::from("24:00") } else { self.to.clone() };
        WindowFile { days, from: self.from.clone(), to }
    }
}

/// The rows of a form for a schedule, with some empty ones.
pub(super) fn rows(schedule: Option<&ScheduleFile>) -> Vec<Row> {
    let written = schedule.into_iter().flat_map(|schedule| &schedule.windows).map(Row::of);
    with_spare(written.collect())
}

fn with_spare(mut rows: Vec<Row>) -> Vec<Row> {
    rows.resize(rows.len() + SPARE, Row::default());
    rows
}

/// What somebody typed: the times, and the rows for showing the form again.
pub(super) fn typed(fields: &Fields) -> (Vec<WindowFile>, Vec<Row>) {
    let row = |place: usize| {
        let ticked: Vec<&str> = fields
            .0
            .iter()
            .filter(|(name, _)| *name == format!("day-{place}"))
            .map(|(_, day)| day.as_str())
            .collect();
        Row {
            days: DAYS.map(|day| ticked.contains(&day)),
            from: fields.get(&format!("from-{place}")).to_owned(),
            to: fields.get(&format!("to-{place}")).to_owned(),
        }
    };
    let rows: Vec<Row> = (0..MOST).map(row).filter(|row| !row.is_empty()).collect();
    (rows.iter().map(Row::window).collect(), with_spare(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_back_from_the_form() {
        let window = |days: &str, from: &str, to: &str| WindowFile {
            days: days.into(),
            from: from.into(),
            to: to.into(),
        };
        let windows = vec![
            window("mon-fri", "8:45", "13:15"),
            window("daily", "22:00", "24:00"),
            window("sat", "10:00", "11:00"),
        ];
        let schedule = ScheduleFile { id: "s".into(), windows, term_only: false };
        let rows = rows(Some(&schedule));
        assert_eq!(rows.len(), 5);
        let mut fields = Fields::default();
        for (place, row) in rows.iter().enumerate() {
            fields.0.push((format!("from-{place}"), row.from.clone()));
            fields.0.push((format!("to-{place}"), row.to.clone()));
            for (day, _) in DAYS.iter().zip(row.days).filter(|(_, ticked)| *ticked) {
                fields.0.push((format!("day-{place}"), (*day).to_owned()));
            }
        }
        let (found, again) = typed(&fields);
        assert_eq!(found[0], window("mon-fri", "08:45", "13:15"));
        assert_eq!(found[1..], schedule.windows[1..]);
        assert_eq!(again, rows);
    }

    #[test]
    fn a_time_is_drawn_on_each_of_its_days() {
        let window = WindowFile { days: "tue,wed".into(), from: "12:00".into(), to: "13:00".into() };
        let wanted = |day| Bar { x: LEFT + 12 * HOUR, y: TOP + ROW * day, width: HOUR };
        assert_eq!(bars(&[window]), [wanted(1), wanted(2)]);
    }
}
