//! What people read, and what clients are told.

use super::*;
use crate::ede::EdeCode;

const KS2: &str = "10.20.2.5";

fn said(name: &str, address: &str) -> (String, Vec<String>, Option<EdeCode>) {
    let policy = school();
    let client = policy.client(address);
    let decision = policy.decide(&ask(name), &client, time(MORNING));
    (
        policy.explain(&decision, &ask(name), &client),
        policy.advice(&decision, &ask(name), &client),
        policy.ede(&decision),
    )
}

#[test]
fn decisions_are_said_in_plain_english_with_what_would_change_them() {
    // The titles of categories are the table's own business.
    let categories = Categories::shipped();
    let title = |id: &str| categories.get(categories.find(id).unwrap()).title.clone();
    let games = title("games");
    let cases = [
        (
            "www.games.example",
            KS2,
            format!("Blocked: www.games.example belongs to games.example, which is on the list “The list games” of the category {games}, which Key Stage 2 may use only at lunch (12:00–13:15 on Mondays to Fridays, in term)."),
            "An allow rule for www.games.example would open it.".to_owned(),
            Some(EdeCode::Filtered),
        ),
        (
            "adult.example",
            KS2,
            format!("Blocked: adult.example is on the list “The list adults” of the category {}, which is always blocked.", title("adult")),
            "Nothing opens a locked category.".to_owned(),
            Some(EdeCode::Censored),
        ),
        (
            "shop.example",
            KS2,
            format!("Blocked: shop.example is on the list “The list shops” of the category {}, which Key Stage 2 may use only from the devices of the group office.", title("shopping")),
            "An allow rule for shop.example would open it.".to_owned(),
            Some(EdeCode::Filtered),
        ),
        (
            "noisy.example",
            KS2,
            "Blocked: the school blocks noisy.example.".to_owned(),
            "Taking out the block rule for noisy.example would leave it to the categories.".to_owned(),
            Some(EdeCode::Blocked),
        ),
        (
            "bets.example",
            KS2,
            "Allowed: the school allows bets.example until 2026-12-18T16:00:00Z (Assembly on gambling).".to_owned(),
            "Without the school's rule for bets.example, the categories would decide.".to_owned(),
            None,
        ),
        (
            "seek.example",
            KS2,
            "Answered as safe.seek.example: Key Stage 2 searches Seek with SafeSearch.".to_owned(),
            "Only the setting safe_search of Key Stage 2 changes it; rules do not.".to_owned(),
            Some(EdeCode::ForgedAnswer),
        ),
        (
            "www.tube.example",
            "10.20.1.5",
            "Blocked: Key Stage 1 may reach approved sites only, and www.tube.example is not one of them.".to_owned(),
            "An allow rule for www.tube.example would open it.".to_owned(),
            Some(EdeCode::Blocked),
        ),
        (
            "other.example",
            "10.20.2.77",
            "Blocked: Tablet 7 is suspended and may reach essential names only.".to_owned(),
            "Ending the suspension of the device would let it decide as usual.".to_owned(),
            Some(EdeCode::Blocked),
        ),
        (
            "other.example",
            "10.20.2.40",
            "Blocked: in the lesson “Romans” only the names chosen for it are open here.".to_owned(),
            "The lesson “Romans” would have to end, or to have other.example among its names.".to_owned(),
            Some(EdeCode::Blocked),
        ),
        (
            "noisy.example",
            "10.20.3.5",
            "Allowed: Trial room only watches for now. It would be blocked: the school blocks noisy.example.".to_owned(),
            "Taking out the block rule for noisy.example would leave it to the categories.".to_owned(),
            None,
        ),
        (
            "good.example",
            KS2,
            "Allowed: good.example is on no list.".to_owned(),
            "A block rule for good.example would block it.".to_owned(),
            None,
        ),
        (
            "canary.example",
            KS2,
            "Blocked: canary.example is how software asks whether it may go around the filter, and the answer is no.".to_owned(),
            "The setting canaries of Key Stage 2 decides.".to_owned(),
            Some(EdeCode::Blocked),
        ),
    ];
    for (name, address, sentence, first, code) in cases {
        let (explained, advice, ede) = said(name, address);
        assert_eq!(explained, sentence);
        assert_eq!(advice.first(), Some(&first));
        assert_eq!(ede, code, "{name}");
    }
}

#[test]
fn a_structured_error_has_contact_justification_and_organisation() {
    let policy = school();
    let client = policy.client(KS2);
    let structured = |name: &str| -> serde_json::Value {
        let decision = policy.decide(&ask(name), &client, time(MORNING));
        serde_json::from_str(&policy.structured_error(&decision, &ask(name), &client)).unwrap()
    };
    let blocked = structured("noisy.example");
    assert_eq!(
        blocked,
        serde_json::json!({
            "c": ["mailto:office@school.example"],
            "j": "Blocked: the school blocks noisy.example.",
            "s": 5,
            "o": "Elm Lane Primary",
        })
    );
    assert_eq!(structured("bad.example")["s"], 1);
    assert_eq!(structured("shop.example").get("s"), None);
}

#[test]
fn the_answer_of_the_resolvers_own_zone_is_no_error() {
    assert_eq!(said("_dns.resolver.arpa", KS2).2, None);
}
