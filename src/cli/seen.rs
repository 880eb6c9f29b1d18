//! `schoolgate seen`: which names came up for the first time lately.

use super::{Context, Failure};
use crate::control::{Answer, Request};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// In so many days, today among them: 1 to 400
    #[arg(long, value_name = "N", default_value_t = 7)]
    days: u16,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<bool, Failure> {
    let Answer::Seen(report) = context.ask(Request::Seen { days: args.days })? else {
        return Err(Failure::could_not("the server answered something else; is it of another version?"));
    };
    context.print(&report, || report.to_string())?;
    Ok(true)
}
