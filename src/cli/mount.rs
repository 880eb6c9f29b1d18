//! `schoolgate mount-share`: mounts a shared folder for backups. The appliance's helper calls it as root; it is for nobody else.

use std::{path::PathBuf, str};

use zeroize::Zeroizing;

use super::{Failure, print};
use crate::{disk, machine::Share};

/// The largest file of settings that is read.
const LARGEST: u64 = 4 << 10;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The settings of the share
    #[arg(long, value_name = "FILE")]
    settings: PathBuf,
    /// The password; a file, since arguments are seen by everybody
    #[arg(long, value_name = "FILE")]
    password: PathBuf,
    /// Where to
    #[arg(long, value_name = "FOLDER")]
    at: PathBuf,
    /// The user that its files belong to
    #[arg(long, value_name = "NUMBER")]
    uid: u32,
    /// The group that its files belong to
    #[arg(long, value_name = "NUMBER")]
    gid: u32,
}

/// Exit code 0, and 1 where it can't be mounted; what is wrong is on the standard output.
pub(super) fn run(args: &Args) -> Result<bool, Failure> {
    match mount(args) {
        Ok(()) => Ok(true),
        Err(why) => {
            print(&why)?;
            Ok(false)
        }
    }
}

fn mount(args: &Args) -> Result<(), String> {
    let read = |path: &PathBuf| {
        disk::read(path, LARGEST).map(Zeroizing::new).map_err(|error| format!("{}: {error}", path.display()))
    };
    let (settings, password) = (read(&args.settings)?, read(&args.password)?);
    let settings = str::from_utf8(&settings).ok().and_then(Share::parse);
    let settings = settings.ok_or("the settings of the share can't be read: set them anew")?;
    let password =
        str::from_utf8(&password).map_err(|_| "the password can't be read: type it again".to_owned())?;
    settings.mount(password, &args.at, (args.uid, args.gid))
}
