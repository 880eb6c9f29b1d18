//! Versions that follow from the one before, and from the whole zone where they do not.

use super::*;

#[test]
fn changes_are_worked_into_the_version_that_we_have() {
    let subscriber = Subscriber::having(7, "a.example CNAME .\nc.example CNAME .\nd.example CNAME .\n");
    let changes = vec![
        vec![soa(9), soa(7), block("C.example"), block("d.example"), soa(8), block("b.example")],
        vec![block("d.example"), soa(8), block("b.example"), soa(9), block("e.example"), soa(9)],
    ];
    let primary = Primary::new(vec![says(vec![soa(9)]), says_in_messages(changes)]);
    assert_eq!(new(&subscriber.transfer(&[primary.address]).unwrap()), (9, 3, true));
    assert_eq!(primary.asked(), [(RecordType::SOA, None), (RecordType::IXFR, Some(7))]);
    let lines = "a.example CNAME .\nd.example CNAME .\ne.example CNAME .\n";
    assert_eq!(subscriber.text(), version_text(9, lines));
}

#[test]
fn a_compressed_version_takes_changes_too() {
    let subscriber = Subscriber::having(7, "a.example CNAME .\n");
    let file = &subscriber.have.as_ref().unwrap().1;
    let text = fs::read(file).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(File::create(file).unwrap(), flate2::Compression::fast());
    gzip.write_all(&text).unwrap();
    gzip.finish().unwrap();
    let changes = vec![soa(8), soa(7), soa(8), block("b.example"), soa(8)];
    assert_eq!(new(&subscriber.from(vec![says(vec![soa(8)]), says(changes)]).unwrap()), (8, 2, true));
    assert_eq!(subscriber.text(), version_text(8, "a.example CNAME .\nb.example CNAME .\n"));
}

#[test]
fn a_primary_without_changes_may_send_the_whole_zone() {
    let subscriber = Subscriber::having(7, "a.example CNAME .\n");
    // One record a message, as some primaries do, so that the first SOA stands alone.
    let zone = vec![vec![soa(8)], vec![block("b.example")], vec![soa(8)]];
    assert_eq!(
        new(&subscriber.from(vec![says(vec![soa(8)]), says_in_messages(zone)]).unwrap()),
        (8, 1, false)
    );
    assert_eq!(subscriber.text(), version_text(8, "b.example CNAME .\n"));
}

#[test]
fn a_zone_may_have_become_empty() {
    let subscriber = Subscriber::having(7, "a.example CNAME .\n");
    assert_eq!(
        new(&subscriber.from(vec![says(vec![soa(8)]), says(vec![soa(8), soa(8)])]).unwrap()),
        (8, 0, false)
    );
    assert_eq!(subscriber.text(), version_text(8, ""));
}

#[test]
fn changes_that_do_not_fit_lead_to_the_whole_zone() {
    let gone = vec![soa(8), soa(7), block("nowhere.example"), soa(8), soa(8)];
    let there = vec![soa(8), soa(7), soa(8), block("a.example"), soa(8)];
    let gap = vec![soa(9), soa(7), soa(8), soa(10), soa(9), soa(9)];
    let back = vec![soa(8), soa(7), soa(6), soa(8)];
    let other = vec![soa(8), soa(5), soa(8), soa(8)];
    for changes in [gone, there, gap, back, other] {
        let subscriber = Subscriber::having(7, "a.example CNAME .\n");
        let serial = match &changes[0].data {
            RData::SOA(soa) => soa.serial,
            other => panic!("{other:?}"),
        };
        let whole = says(vec![soa(serial), block("b.example"), soa(serial)]);
        let primary = Primary::new(vec![says(vec![soa(serial)]), says(changes), whole]);
        assert_eq!(new(&subscriber.transfer(&[primary.address]).unwrap()), (serial, 1, false));
        let asked: Vec<_> = primary.asked().into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(asked, [RecordType::SOA, RecordType::IXFR, RecordType::AXFR]);
        assert_eq!(subscriber.text(), version_text(serial, "b.example CNAME .\n"));
    }
}

#[test]
fn a_primary_that_does_no_changes_is_asked_for_the_whole_zone() {
    for step in [
        Box::new(|question: &[u8]| vec![refusal(question, ResponseCode::NotImp)]) as Step,
        Box::new(|_: &[u8]| Vec::new()),
    ] {
        let subscriber = Subscriber::having(7, "a.example CNAME .\n");
        let whole = says(vec![soa(8), block("b.example"), soa(8)]);
        assert_eq!(new(&subscriber.from(vec![says(vec![soa(8)]), step, whole]).unwrap()), (8, 1, false));
    }
}

#[test]
fn without_the_file_of_our_version_the_whole_zone_is_transferred() {
    for spoil in [
        |file: &Path| fs::write(file, version_text(6, "")).unwrap(),
        |file: &Path| fs::write(file, "bet.example\n").unwrap(),
    ] {
        let subscriber = Subscriber::having(7, "a.example CNAME .\n");
        spoil(&subscriber.have.as_ref().unwrap().1);
        let changes = says(vec![soa(8), soa(7), soa(8), block("b.example"), soa(8)]);
        let whole = says(vec![soa(8), block("b.example"), soa(8)]);
        let script = vec![says(vec![soa(8)]), changes, whole];
        assert_eq!(new(&subscriber.from(script).unwrap()), (8, 1, false));
    }
    // There is nothing that changes could be worked into.
    let subscriber = Subscriber { have: Some((7, PathBuf::from("/nonexistent"))), ..Subscriber::new() };
    let primary = Primary::new(vec![says(vec![soa(8)]), says(vec![soa(8), block("b.example"), soa(8)])]);
    assert_eq!(new(&subscriber.transfer(&[primary.address]).unwrap()), (8, 1, false));
    assert_eq!(primary.asked(), [(RecordType::SOA, None), (RecordType::AXFR, None)]);
}
