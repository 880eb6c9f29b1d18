//! Times of the week, terms and holidays.

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Json, Tagged, call},
    doc::{Doc, Tag},
    edit::{Why, edit, in_force},
};
use crate::{
    admin::{access::Right, failure::Failure, routes::Routes, visit::Visit},
    control::{Days, Edit, EditReport},
    policy::{DateRange, ScheduleFile, WindowFile},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let (tag, see, change) = (Tag::Schedules, Right::SeePolicy, Right::ChangePolicy);
    let show = Doc::new(tag, "Schedules, terms and holidays");
    let put = Doc::new(tag, "Add a schedule, or write the one of that identifier anew")
        .conditional()
        .example(json!({
            "windows": [{ "days": "mon-fri", "from": "12:00", "to": "13:15" }],
            "term_only": true,
        }));
    let remove = Doc::new(tag, "Take a schedule out").conditional();
    let terms = Doc::new(tag, "Say when the school's terms are")
        .details("All of them, and all holidays.")
        .conditional()
        .example(json!({
            "terms": [{ "from": "2026-09-02", "to": "2026-12-18" }],
            "holidays": [{ "from": "2026-10-26", "to": "2026-10-30" }, { "from": "2026-11-27" }],
        }));
    routes
        .api(Method::GET, "/api/v1/schedules", see, show, call(schedules))
        .api(Method::PUT, "/api/v1/schedules/{schedule}", change, put, call(put_schedule))
        .api(Method::DELETE, "/api/v1/schedules/{schedule}", change, remove, call(remove_schedule))
        .api(Method::PUT, "/api/v1/terms", change, terms, call(set_terms))
}

/// Schedules, terms and holidays.
#[derive(Debug, Serialize, JsonSchema)]
struct Schedules {
    /// When the school day ends.
    day_ends: String,
    /// The time zone that they are read in, by its IANA name.
    timezone: String,
    /// Times of the week.
    schedules: Vec<ScheduleFile>,
    /// The terms.
    terms: Vec<SomeDays>,
    /// Days within terms without school.
    holidays: Vec<SomeDays>,
}

/// Some days, the first and the last included.
#[derive(Debug, Serialize, JsonSchema)]
struct SomeDays {
    /// The first day.
    from: String,
    /// The last day.
    to: String,
}

impl From<&DateRange> for SomeDays {
    fn from(range: &DateRange) -> Self {
        Self { from: range.from.to_string(), to: range.to.unwrap_or(range.from).to_string() }
    }
}

async fn schedules(visit: Visit, _: Asked) -> Result<Tagged<Schedules>, Failure> {
    let now = in_force(&visit)?;
    let schedules = Schedules {
        terms: now.file.terms.iter().map(SomeDays::from).collect(),
        holidays: now.file.holidays.iter().map(SomeDays::from).collect(),
        day_ends: now.file.end_of_day().strftime("%H:%M").to_string(),
        timezone: now.file.timezone,
        schedules: now.file.schedules,
    };
    Ok(Tagged(now.revision, schedules))
}

/// A schedule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewSchedule {
    /// The times.
    windows: Vec<WindowFile>,
    /// Whether they hold in terms only.
    #[serde(default)]
    term_only: bool,
}

async fn put_schedule(
    visit: Visit,
    asked: Asked<String, Why, Json<NewSchedule>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(NewSchedule { windows, term_only }) = asked.body;
    let schedule = ScheduleFile { id: asked.path, windows, term_only };
    edit(&visit, vec![Edit::PutSchedule(schedule)], asked.query, asked.expect).await
}

async fn remove_schedule(visit: Visit, asked: Asked<String, Why>) -> Result<Tagged<EditReport>, Failure> {
    edit(&visit, vec![Edit::RemoveSchedule { schedule: asked.path }], asked.query, asked.expect).await
}

/// The school's terms.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Terms {
    /// All terms.
    terms: Vec<Days>,
    /// Days within terms without school: half-terms, bank holidays, training days.
    holidays: Vec<Days>,
    /// When the school day ends, as `15:30`; 18:00, if empty. It stays as it is, if left out.
    day_ends: Option<String>,
}

async fn set_terms(visit: Visit, asked: Asked<(), Why, Json<Terms>>) -> Result<Tagged<EditReport>, Failure> {
    let Json(Terms { terms, holidays, day_ends }) = asked.body;
    edit(&visit, vec![Edit::SetTerms { terms, holidays, day_ends }], asked.query, asked.expect).await
}
