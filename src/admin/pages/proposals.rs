//! Changes that wait for approval: what they would open, who proposed them, and what became of them.

use askama::Template;
use axum::{extract::Form, response::Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::super::{
    access::Right,
    failure::Failure,
    page::{Page, html, see},
    routes::Routes,
    visit::Visit,
};
use crate::{admin::when::When, control::Proposal};

/// How many that are decided are shown.
const DECIDED: usize = 30;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/proposals", Right::SeePolicy, show).post("/proposals/approve", Right::Approve, approve).post(
        "/proposals/turn-down",
        Right::ChangePolicy,
        turn_down,
    )
}

/// A proposal, as people read it.
struct Line {
    proposal: Proposal,
    at: String,
    decided: String,
    /// Whoever looks proposed it.
    own: bool,
}

#[derive(Template)]
#[template(path = "proposals.html")]
struct Show {
    p: Page,
    open: Vec<Line>,
    decided: Vec<Line>,
    may_approve: bool,
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    let control = &visit.admin.control;
    let (when, now) = (When::of(&control.policy().load()), visit.admin.clock.now());
    let time = |at: Timestamp| when.minute(at, now);
    let by = visit.by();
    let lines = control.proposals()?.into_iter().map(|proposal| Line {
        at: time(proposal.at),
        decided: proposal.decided.as_ref().map_or_else(String::new, |decided| time(decided.at)),
        own: proposal.by == by,
        proposal,
    });
    let (open, mut decided): (Vec<Line>, Vec<Line>) = lines.partition(|line| line.proposal.decided.is_none());
    decided.truncate(DECIDED);
    let p = visit.page("proposals-title", "/proposals");
    html(&Show { p, open, decided, may_approve: visit.may(Right::Approve) })
}

#[derive(Debug, Deserialize)]
struct DecideForm {
    number: u64,
    #[serde(default)]
    note: String,
}

async fn approve(visit: Visit, Form(form): Form<DecideForm>) -> Result<Response, Failure> {
    visit.admin.control.approve(form.number, visit.asked(&form.note, None)).await?;
    Ok(see("/proposals", "done-approved"))
}

async fn turn_down(visit: Visit, Form(form): Form<DecideForm>) -> Result<Response, Failure> {
    visit.turn_down(form.number, &form.note)?;
    Ok(see("/proposals", "done-turned-down"))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::{
        accounts::{Role, UserChange},
        admin::tests::TestBox,
        control::{ControlError, Edit},
        policy::Cell,
    };

    fn open_games() -> Vec<Edit> {
        let (profile, category) = (String::from("ks2"), String::from("games"));
        vec![Edit::SetCell { profile, category, cell: Some(Cell::Allow), why: None }]
    }

    fn games(school: &TestBox) -> Option<Cell> {
        let policy = school.admin.control.policy().load_full();
        let ks2 = policy.file().profiles.iter().find(|profile| profile.id == "ks2").unwrap();
        ks2.categories.get("games").cloned()
    }

    #[tokio::test]
    async fn what_a_technician_wants_to_open_waits_for_somebody_else() {
        let school = TestBox::new().await;
        let control = &school.admin.control;
        let asked = crate::control::EditAsked {
            by: "technician".into(),
            reason: "Year 6 <club>".into(),
            propose: true,
            ..Default::default()
        };
        let outcome = control.edit(open_games(), asked.clone()).await;
        assert!(matches!(outcome, Err(ControlError::Proposed { number: 1, .. })), "{outcome:?}");
        assert_ne!(games(&school), Some(Cell::Allow));
        let page = school.get(Role::Technician, "/proposals").await;
        assert!(page.has("Year 6 &#60;club&#62;") && page.has("Take it back"), "{}", page.body);
        let own = school.post(Role::Technician, "/proposals/approve", &[("number", "1")]).await;
        assert_eq!(own.status, StatusCode::FORBIDDEN);
        let approved = school
            .post(Role::Safeguarding, "/proposals/approve", &[("number", "1"), ("note", "until Easter")])
            .await;
        assert_eq!(approved.leads_to(), "/proposals?done=done-approved");
        assert_eq!(games(&school), Some(Cell::Allow));
        let again = school.post(Role::Head, "/proposals/approve", &[("number", "1")]).await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
        // What closes needs nobody's approval.
        let close = Edit::SetCell {
            profile: "ks2".into(),
            category: "games".into(),
            cell: Some(Cell::Block),
            why: None,
        };
        control
            .edit(vec![close], crate::control::EditAsked { reason: String::new(), ..asked })
            .await
            .unwrap();
        assert_eq!(games(&school), Some(Cell::Block));
    }

    #[tokio::test]
    async fn a_proposal_can_be_turned_down_and_taken_back() {
        let school = TestBox::new().await;
        let asked = crate::control::EditAsked {
            by: "technician".into(),
            reason: "a club".into(),
            propose: true,
            ..Default::default()
        };
        for _ in 0..2 {
            assert!(school.admin.control.edit(open_games(), asked.clone()).await.is_err());
        }
        let down = school
            .post(Role::PolicyOwner, "/proposals/turn-down", &[("number", "1"), ("note", "not now")])
            .await;
        assert_eq!(down.leads_to(), "/proposals?done=done-turned-down");
        let back = school.post(Role::Technician, "/proposals/turn-down", &[("number", "2")]).await;
        assert_eq!(back.leads_to(), "/proposals?done=done-turned-down");
        assert_ne!(games(&school), Some(Cell::Allow));
        assert!(school.get(Role::Auditor, "/proposals").await.has("not now"));
    }

    #[tokio::test]
    async fn a_technician_who_is_alone_with_a_box_waits_for_nobody() {
        let school = TestBox::new().await;
        let form = [("subnets", "10.20.2.0/24"), ("profile", "ks2"), ("reason", "new cabling")];
        let waits = school.post(Role::Technician, "/networks/add", &form).await;
        assert_eq!(waits.leads_to(), "/proposals?done=done-proposed");
        for role in [Role::Head, Role::Safeguarding, Role::PolicyOwner] {
            let gone = UserChange { disabled: Some(true), ..UserChange::default() };
            let _ = school.admin.accounts.change(school.user(role), &gone, None).unwrap();
        }
        let done = school.post(Role::Technician, "/networks/add", &form).await;
        assert_eq!(done.leads_to(), "/networks?changed=1&done=done-saved", "{}", done.body);
    }
}
