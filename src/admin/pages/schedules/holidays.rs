//! Bank holidays of England and Wales, so that nobody has to look them up.

use jiff::{
    ToSpan as _,
    civil::{Date, Weekday},
};

/// The bank holidays within a year from a day on, each with the day on which it is taken.
pub(super) fn ahead(from: Date) -> Vec<Date> {
    let end = from.checked_add(1.year()).unwrap_or(Date::MAX);
    let years = from.year()..=end.year();
    years.flat_map(of_year).filter(|day| (from..end).contains(day)).collect()
}

/// Those of a year, in the calendar's order; empty for a year that no calendar has.
fn of_year(year: i16) -> Vec<Date> {
    let day = |month: i8, day: i8| Date::new(year, month, day).ok();
    let mut found = Vec::new();
    found.extend(day(1, 1).map(|new_year| on_a_weekday(new_year, &[])));
    if let Some(easter) = easter(year) {
        found.extend(easter.checked_sub(2.days()).ok());
        found.extend(easter.checked_add(1.day()).ok());
    }
    let monday = |month: i8, nth: i8| day(month, 1)?.nth_weekday_of_month(nth, Weekday::Monday).ok();
    found.extend(monday(5, 1));
    found.extend(monday(5, -1));
    found.extend(monday(8, -1));
    if let (Some(christmas), Some(boxing)) = (day(12, 25), day(12, 26)) {
        // The day after Christmas stays where it is if it can; Christmas then takes the next that is free.
        if christmas.weekday() == Weekday::Sunday {
            found.extend([boxing, on_a_weekday(christmas, &[boxing])]);
        } else {
            let christmas = on_a_weekday(christmas, &[]);
            found.extend([christmas, on_a_weekday(boxing, &[christmas])]);
        }
    }
    found
}

/// The next day that is no Saturday, no Sunday and not taken.
fn on_a_weekday(day: Date, taken: &[Date]) -> Date {
    let mut day = day;
    while matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) || taken.contains(&day) {
        match day.tomorrow() {
            Ok(next) => day = next,
            Err(_) => break,
        }
    }
    day
}

/// Easter Sunday of the Gregorian calendar, by the anonymous algorithm (Meeus, Jones, Butcher).
fn easter(year: i16) -> Option<Date> {
    let y = i32::from(year);
    let (a, b, c) = (y % 19, y / 100, y % 100);
    let (d, e) = (b / 4, b % 4);
    let f = (b + 8) / 25;
    let g = (b - f + 1) / 3;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let all = h + l - 7 * m + 114;
    Date::new(year, i8::try_from(all / 31).ok()?, i8::try_from(all % 31 + 1).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bank_holidays_are_those_that_were_announced() {
        let days = |year: i16| of_year(year).iter().map(ToString::to_string).collect::<Vec<_>>();
        // As gov.uk has them.
        assert_eq!(
            days(2026),
            [
                "2026-01-01",
                "2026-04-03",
                "2026-04-06",
                "2026-05-04",
                "2026-05-25",
                "2026-08-31",
                "2026-12-25",
                "2026-12-28"
            ]
        );
        assert_eq!(
            days(2027),
            [
                "2027-01-01",
                "2027-03-26",
                "2027-03-29",
                "2027-05-03",
                "2027-05-31",
                "2027-08-30",
                "2027-12-27",
                "2027-12-28"
            ]
        );
        assert_eq!(days(2028)[0], "2028-01-03", "New Year's Day is a Saturday");
        assert_eq!(days(2022)[6..], ["2022-12-26", "2022-12-27"], "Christmas Day is a Sunday");
    }

    #[test]
    fn those_of_a_year_ahead_are_offered() {
        let days = ahead("2026-11-26".parse().unwrap());
        assert_eq!(days.len(), 8);
        assert_eq!(days[0].to_string(), "2026-12-25");
        assert!(days.iter().all(|day| day.to_string().as_str() < "2027-11-26"));
    }
}
