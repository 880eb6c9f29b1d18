//! What is written of a question, and what is not.

use super::*;

#[test]
fn a_question_is_written_with_who_asked_and_why_it_was_answered_so() {
    let school = School::new();
    school.ask("10.2.0.33", "www.bet365.com");
    let line = school.lines(
        "SELECT time || ' ' || client || ' ' || device || ' ' || profile || ' ' || known_by || ' ' || confidence
            || ' ' || reversed || ' ' || qtype || ' ' || rcode || ' ' || action || ' ' || reason || ' ' || category
            || ' ' || source || ' ' || transport || ' ' || took_us FROM log",
    );
    assert_eq!(
        line,
        [
            "2026-11-23T10:00:00.000Z 10.2.0.33 library-pc-3 ks2 address medium com.bet365.www A NOERROR blocked category \
          gambling cache udp 70"
        ]
    );
}

#[test]
fn the_schedule_that_is_in_force_is_written_whether_it_opens_or_closes() {
    let school = School::new();
    school.ask_at("10.2.0.1", "roblox.com", MORNING.parse().unwrap());
    school.ask_at("10.2.0.1", "roblox.com", "2026-11-23T12:30:00Z".parse().unwrap());
    assert_eq!(
        school.lines("SELECT action || ' ' || reason || ' ' || rule FROM log ORDER BY time"),
        ["blocked schedule lunch", "allowed default lunch"]
    );
}

#[test]
fn a_profile_under_pseudonyms_has_no_address_anywhere_in_the_file() {
    let school = School::new();
    school.ask("10.3.0.7", "staff-room.example");
    school.ask("10.3.0.7", "bet365.com");
    school.ask("10.3.0.8", "staff-room.example");
    let clients = school.lines("SELECT DISTINCT client FROM log ORDER BY client");
    assert_eq!(clients.len(), 2);
    assert!(clients.iter().all(|client| client.starts_with("device-") && client.len() == 19), "{clients:?}");
    let day = crate::clock::Day::of(school.clock.now());
    let sealed: Vec<u8> = Connection::open(school.file())
        .unwrap()
        .query_row("SELECT sealed FROM asker WHERE client = (SELECT client FROM log LIMIT 1)", [], |row| {
            row.get(0)
        })
        .unwrap();
    let key = privacy::DayKey::load(school.log.folder(), day).unwrap().unwrap();
    assert!(key.open(&sealed).unwrap().address.starts_with("10.3.0."));
    school.log.stop();
    let bytes = std::fs::read(school.file()).unwrap();
    for address in ["10.3.0.7", "10.3.0.8"] {
        assert!(!bytes.windows(address.len()).any(|part| part == address.as_bytes()), "{address}");
    }
}

#[test]
fn of_guests_only_what_was_blocked_is_written_and_the_rest_is_counted() {
    let school = School::new();
    school.ask("10.4.0.9", "weather.example");
    school.ask("10.4.0.9", "bet365.com");
    assert_eq!(school.lines("SELECT reversed FROM log"), ["com.bet365"]);
    assert_eq!(school.lines("SELECT reversed FROM name"), ["com.bet365"]);
    assert_eq!(
        school.lines(
            "SELECT action || ' ' || sum(questions) FROM hour_count WHERE profile = 'guest' GROUP BY action"
        ),
        ["allowed 1", "blocked 1"]
    );
}

#[test]
fn help_lines_are_counted_and_not_written_down_for_pupils() {
    let school = School::new();
    school.ask("10.2.0.1", "www.childline.org.uk");
    school.ask("10.3.0.1", "www.childline.org.uk");
    assert_eq!(school.lines("SELECT profile FROM log"), ["staff"]);
    assert_eq!(
        school
            .lines("SELECT CAST(sum(questions) AS TEXT) FROM hour_count WHERE profile = 'ks2' AND hour = 10"),
        ["1"]
    );
}

#[test]
fn who_was_turned_away_is_written_a_few_times_and_then_counted() {
    let school = School::new();
    for _ in 0..25 {
        school.turn_away("10.2.0.5", "flood.example", Refusal::Rate);
        school.turn_away("203.0.113.9", "flood.example", Refusal::Network);
    }
    assert_eq!(
        school.lines(
            "SELECT action || ' ' || profile || ' ' || known_by || ' ' || count(*) FROM log GROUP BY action"
        ),
        ["limited ks2 subnet 10", "refused  nothing 10"]
    );
    assert_eq!(
        school.lines("SELECT reason || ' ' || sum(questions) FROM unkept GROUP BY reason"),
        ["flood 30"]
    );
    assert_eq!(
        school
            .lines("SELECT action || ' ' || sum(questions) FROM hour_count GROUP BY action ORDER BY action"),
        ["limited 25", "refused 25"]
    );
}

#[test]
fn questions_stand_in_the_order_of_time_whatever_the_order_in_which_they_come() {
    let school = School::new();
    let at = |ms: i64| MORNING.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_millis(ms);
    school.ask_at("10.2.0.1", "second.example", at(20));
    school.ask_at("10.2.0.1", "first.example", at(10));
    school.log.flush().unwrap();
    // Later than all, and written after them, it has its place before.
    school.ask_at("10.2.0.1", "early.example", at(-5_000));
    school.ask_at("10.2.0.1", "first-again.example", at(10));
    assert_eq!(
        school.lines("SELECT reversed FROM question JOIN name ON name.id = question.name ORDER BY at"),
        ["example.early", "example.first", "example.first-again", "example.second"]
    );
    assert_eq!(school.lines("SELECT DISTINCT CAST(span AS TEXT) FROM name_span"), ["1"]);
}

#[test]
fn each_day_has_its_file_and_midnight_loses_nothing() {
    let school = School::new();
    let midnight: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
    for ms in -3..3 {
        let at = midnight + jiff::SignedDuration::from_millis(ms);
        school.ask_at("10.2.0.1", &format!("n{}.example", ms + 3), at);
    }
    school.log.flush().unwrap();
    let names = |day: &str| {
        let file = school.log.folder().path().join(format!("{day}.db"));
        lines(&file, "SELECT reversed FROM question JOIN name ON name.id = question.name ORDER BY at")
    };
    assert_eq!(names("2026-11-23"), ["example.n0", "example.n1", "example.n2"]);
    assert_eq!(names("2026-11-24"), ["example.n3", "example.n4", "example.n5"]);
}

#[test]
fn more_questions_in_one_millisecond_than_have_a_place_in_it_are_all_kept() {
    let school = School::new();
    for n in 0..1_000 {
        school.ask("10.2.0.1", &format!("n{n}.example"));
    }
    school.log.flush().unwrap();
    // The millisecond is full, and so are the next ones.
    for n in 0..10 {
        school.ask("10.2.0.2", &format!("late{n}.example"));
    }
    assert_eq!(school.lines("SELECT CAST(count(*) AS TEXT) FROM question"), ["1010"]);
    assert_eq!(school.lines("SELECT CAST(max(at) / 256 - min(at) / 256 AS TEXT) FROM question"), ["3"]);
}

#[test]
fn the_index_names_the_spans_of_each_question() {
    let school = School::new();
    for n in 0..3_000i64 {
        let at = MORNING.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_millis(n);
        school.ask_at(&format!("10.2.0.{}", n % 7), &format!("n{}.example", n % 50), at);
    }
    school.log.flush().unwrap();
    let missing = "WITH placed AS (
            SELECT question.*, (SELECT max(number) FROM span WHERE first <= question.at) AS span FROM question)
        SELECT CAST(count(*) AS TEXT) FROM placed WHERE
            NOT EXISTS (SELECT 1 FROM asker_span AS s WHERE s.asker = placed.asker AND s.span = placed.span)
            OR NOT EXISTS (SELECT 1 FROM name_span AS s WHERE s.name = placed.name AND s.span = placed.span)
            OR NOT EXISTS (SELECT 1 FROM fate_span AS s WHERE s.fate = placed.fate AND s.span = placed.span)";
    assert_eq!(school.lines(missing), ["0"]);
    assert_eq!(school.lines("SELECT CAST(max(number) AS TEXT) FROM span"), ["3"]);
}

#[test]
fn a_decision_is_told_in_the_words_of_the_policy_that_made_it() {
    let mut school = School::new();
    school.ask("10.2.0.1", "bet365.com");
    // The same place in another policy is another profile.
    school.policy = policy(&SCHOOL.replace("\"ks2\"", "\"juniors\""));
    school.ask("10.2.0.1", "bet365.com");
    assert_eq!(school.lines("SELECT profile FROM log ORDER BY profile"), ["juniors", "ks2"]);
}

#[test]
fn a_full_queue_counts_what_it_loses_and_the_next_commit_says_so() {
    let school = School::new();
    // Another process has the file, so that nothing can be written for a while.
    school.ask("10.2.0.1", "first.example");
    school.log.flush().unwrap();
    let other = Connection::open(school.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut asked = 0u64;
    // The writer takes one queue full before it finds out.
    for _ in 0..2 {
        while school.log.status().queue_fill < 1.0 {
            school.turn_away("10.2.0.1", "waits.example", Refusal::Overload);
            asked += 1;
        }
    }
    let lost = 500;
    for _ in 0..lost {
        school.turn_away("10.2.0.1", "lost.example", Refusal::Overload);
    }
    other.execute_batch("COMMIT").unwrap();
    drop(other);
    while school.log.flush().is_err() {}
    school.log.flush().unwrap();
    let count = |sql: &str| school.lines(sql)[0].parse::<u64>().unwrap();
    let rows = count("SELECT CAST(count(*) AS TEXT) FROM question");
    let missing = count("SELECT CAST(ifnull(sum(questions), 0) AS TEXT) FROM unkept");
    assert_eq!(rows + missing, 1 + asked + lost, "nothing is lost silently");
    assert!(missing > 0);
    assert_eq!(school.log.status().lost.values().sum::<u64>(), missing);
}
