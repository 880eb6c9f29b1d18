use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn merged(runs: &Runs) -> BTreeMap<Vec<u8>, Vec<Code>> {
    let mut found = BTreeMap::new();
    let mut last: Option<Vec<u8>> = None;
    runs.merge(&mut |name, codes| {
        assert!(last.as_deref() < Some(name), "in order, each once");
        last = Some(name.to_vec());
        found.insert(name.to_vec(), codes.to_vec());
        Ok(())
    })
    .unwrap();
    found
}

fn on_disk(runs: &Runs) -> usize {
    runs.runs.iter().filter(|run| matches!(run.at, At::File { .. })).count()
}

proptest! {
    #[test]
    fn entries_come_back_sorted_from_memory_and_disk(
        entries in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..24), 0..400_u16), 0..300),
        run in 1..100_usize,
    ) {
        let mut wanted: BTreeMap<Vec<u8>, Vec<Code>> = BTreeMap::new();
        let folder = tempfile::tempdir().unwrap();
        let mut memory = Runs::new(None, 200);
        let mut disk = Runs::new(Some(folder.path().into()), 200);
        for entries in entries.chunks(run) {
            for runs in [&mut memory, &mut disk] {
                let mut buffer = Buffer::default();
                entries.iter().for_each(|(name, code)| buffer.push(name, *code));
                runs.add_buffer(&mut buffer).unwrap();
                prop_assert!(buffer.is_empty());
            }
        }
        for (name, code) in &entries {
            wanted.entry(name.clone()).or_default().push(*code);
        }
        wanted.values_mut().for_each(|codes| codes.sort_unstable());
        prop_assert_eq!(on_disk(&memory), 0);
        prop_assert_eq!(&merged(&memory), &wanted);
        prop_assert_eq!(&merged(&disk), &wanted);
        prop_assert_eq!(&merged(&disk), &wanted, "a second time");
    }

    #[test]
    fn what_was_written_is_read(
        entries in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..255), any::<u32>()), 0..40),
        limit in 0..2000_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = RunWriter::new(Spool::new(Some(folder.path().into()), limit));
        for (name, value) in &entries {
            writer.push(name, *value).unwrap();
        }
        let run = writer.into_inner().into_run().unwrap();
        let mut cursor = run.cursor().unwrap();
        for (name, value) in &entries {
            prop_assert!(cursor.advance().unwrap());
            prop_assert_eq!((cursor.name(), cursor.value()), (name.as_slice(), *value));
        }
        prop_assert!(!cursor.advance().unwrap());
    }

    #[test]
    fn bytes_that_are_no_run_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let run = Run::memory(bytes).of_list(4);
        let mut cursor = run.cursor().unwrap();
        while let Ok(true) = cursor.advance() {}
    }
}

#[test]
fn a_list_of_its_own_place_has_its_own_codes() {
    let mut all = Runs::new(None, 100);
    for base in [0, 4] {
        let mut own = Runs::new(None, 100);
        let mut buffer = Buffer::default();
        buffer.push(b"test.name", 1);
        own.add_buffer(&mut buffer).unwrap();
        all.push_list(own, base);
    }
    assert_eq!(merged(&all)[b"test.name".as_slice()], [1, 5]);
}

#[test]
fn runs_go_to_disk_over_the_limit_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Runs::new(Some(folder.path().into()), 100);
    let mut buffer = Buffer::default();
    for i in 0..6000 {
        buffer.push(format!("test.name{i}").as_bytes(), 1);
        if i % 10 == 9 {
            runs.add_buffer(&mut buffer).unwrap();
        }
        assert!(runs.held <= runs.limit && on_disk(&runs) <= MAX_FILES);
    }
    assert_eq!(merged(&runs).len(), 6000);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_run_that_was_cut_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = RunWriter::new(Vec::new());
    writer.push(b"test.name", 300).unwrap();
    let good = writer.into_inner();
    for length in 1..good.len() {
        let run = Run::memory(good[..length].to_vec());
        assert!(run.cursor().unwrap().advance().is_err(), "{length}");
    }
    let short = unnamed_file(folder.path()).unwrap();
    let run = Run::file(short, 0..good.len() as u64);
    assert!(run.cursor().unwrap().advance().is_err());
}
