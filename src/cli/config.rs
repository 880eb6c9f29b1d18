//! `schoolgate config check`: whether the settings are right, before a restart finds out.

use clap::Subcommand;
use serde_json::json;

use super::{Context, Failure};
use crate::appliance;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say whether the settings are right
    Check,
}

pub(super) fn run(context: &Context, command: &Command) -> Result<bool, Failure> {
    match command {
        Command::Check => {
            let config = context.settings()?;
            appliance::check(&config)?;
            let source = context
                .config
                .as_ref()
                .map_or_else(|| String::from("the embedded default"), |f| f.display().to_string());
            context.print(&json!({ "ok": true, "config": source }), || format!("{source}: all right"))?;
            Ok(true)
        }
    }
}
