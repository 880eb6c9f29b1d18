//! Any bytes as an archive of a backup, once it is decrypted and uncompressed: no panic, and nothing is taken that no backup has, nor more
//! than there is room for.
#![no_main]

use std::{
    cell::RefCell,
    io::{self, Write},
    path::{Component, Path},
    rc::Rc,
};

use libfuzzer_sys::fuzz_target;
use schoolgate::backup::{BackupError, read_foreign};

const ROOM: u64 = 1 << 20;

/// Counts what is written.
struct Counted(Rc<RefCell<u64>>);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        *self.0.borrow_mut() += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    let taken = Rc::new(RefCell::new(0));
    let mut take = |path: &str, _: u64| -> Result<Box<dyn Write>, BackupError> {
        let path = Path::new(path);
        assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
        Ok(Box::new(Counted(Rc::clone(&taken))))
    };
    let mut from = data;
    let _ = read_foreign(&mut from, ROOM, &mut take);
    assert!(*taken.borrow() <= ROOM);
});
