//! Writes the names of an index as a response policy zone, for `benches/rpz`: `zone INDEX FILE RECORDS`.
//!
//! With one record a name, what is below it is not blocked, as it is here; with two, a wildcard does that.

#![expect(clippy::print_stdout, reason = "this is a program of its own")]

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use schoolgate::{lists::DomainIndex, name::dotted};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [index, to, records] = &arguments[..] else {
        println!("This bench is run by benches/rpz.");
        return Ok(());
    };
    let index = DomainIndex::open(Path::new(index)).map_err(io::Error::other)?;
    let mut zone = BufWriter::new(File::create(to)?);
    writeln!(zone, "$TTL 300\n@ SOA localhost. root.localhost. 1 3600 600 86400 300\n NS localhost.")?;
    for (name, _) in index.names().map_err(io::Error::other)?.iter() {
        let name = dotted(&name);
        // With the name of the zone behind them, a few would be longer than a name can be.
        if name.len() < 240 {
            writeln!(zone, "{name} CNAME .")?;
            if records == "2" {
                writeln!(zone, "*.{name} CNAME .")?;
            }
        }
    }
    zone.flush()
}
