//! `schoolgate user`: who may sign in, at the console of the box.
//!
//! It opens the database of accounts itself, beside a running server or without one, so that it also helps when nobody
//! can sign in. The server sees what changed at its next look; the audit is written by whoever has the data folder.

use clap::Subcommand;
use jiff::civil::Date;
use serde_json::json;

use super::{Context, Failure, policy::person};
use crate::{
    accounts::{AccountChange, Accounts, AccountsError, NewUser, Role, Settings, User, UserChange},
    clock::Clock,
    control::{Answer, Request},
    spelling,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add somebody; prints a password for the first sign-in, once
    Add {
        /// What they type to sign in: a short name or an e-mail address
        name: String,
        /// What people read
        #[arg(long, value_name = "TEXT")]
        full_name: String,
        /// What they are: head, safeguarding, policy-owner, technician, teacher, governor or auditor
        #[arg(long, value_name = "ROLE")]
        role: String,
        /// The last day on which they may sign in: 2026-12-18
        #[arg(long, value_name = "DAY")]
        ends: Option<String>,
    },
    /// Show everybody who may sign in, and who might
    List,
    /// Give somebody a new password for the next sign-in; prints it, once
    ResetPassword {
        /// What they type to sign in
        name: String,
        /// They lost their second factor as well; they set it up anew
        #[arg(long)]
        second_factor: bool,
    },
    /// Let somebody not sign in any more; what they do just now ends
    Disable {
        /// What they type to sign in
        name: String,
    },
    /// Let somebody sign in again
    Enable {
        /// What they type to sign in
        name: String,
    },
}

pub(super) fn run(context: &Context, command: Command) -> Result<bool, Failure> {
    let config = context.settings()?;
    // No second factor is set up or checked here, so the vault stays closed.
    let accounts = Accounts::open(&config.data, Clock::system(), None, Settings::default())?;
    match command {
        Command::Add { name, full_name, role, ends } => {
            let new = NewUser { name, full_name, role: role_of(&role)?, ends: ends.map(day).transpose()? };
            let (id, password, change) = accounts.add_with_made_password(&new)?;
            // As it was kept, since capitals are made small.
            let name = accounts.user(id)?.map_or(new.name, |user| user.name);
            let recorded = record(context, &[change]);
            print_password(context, &name, password.expose())?;
            recorded
        }
        Command::List => {
            let users = accounts.users()?;
            context.print(&users, || table(&users))?;
            Ok(true)
        }
        Command::ResetPassword { name, second_factor } => {
            let user = named(&accounts, &name)?;
            let (password, change) = accounts.reset_password(user.id)?;
            let mut changes = vec![change];
            if second_factor {
                changes.push(accounts.forget_second_factor(user.id)?);
            }
            let recorded = record(context, &changes);
            print_password(context, &user.name, password.expose())?;
            recorded
        }
        Command::Disable { name } => set_disabled(context, &accounts, &name, true),
        Command::Enable { name } => set_disabled(context, &accounts, &name, false),
    }
}

fn set_disabled(context: &Context, accounts: &Accounts, name: &str, disabled: bool) -> Result<bool, Failure> {
    let user = named(accounts, name)?;
    let wanted = UserChange { disabled: Some(disabled), ..UserChange::default() };
    let change = accounts.change(user.id, &wanted, None)?;
    let is_new = change.is_some();
    let recorded = record(context, change.as_slice());
    let state = if disabled { "disabled" } else { "enabled" };
    context.print(&json!({ "name": user.name, "disabled": disabled, "changed": is_new }), || {
        let already = if is_new { "" } else { " already" };
        format!("{} is {state}{already}.", user.name)
    })?;
    recorded
}

/// Has the audit say what was done. It was done all the same when that fails, so nothing is taken back.
fn record(context: &Context, changes: &[AccountChange]) -> Result<bool, Failure> {
    for AccountChange { action, detail } in changes {
        let request =
            Request::AccountChanged { action: (*action).to_owned(), detail: detail.clone(), by: person() };
        match context.ask(request) {
            Ok(Answer::Recorded) => {}
            Ok(_) => {
                return Err(Failure::could_not(
                    "it was done, but the server is of another version and the audit does not say so",
                ));
            }
            Err(failure) => {
                let message = format!("it was done, but the audit does not say so: {}", failure.message);
                return Err(Failure::could_not(message));
            }
        }
    }
    Ok(true)
}

fn print_password(context: &Context, name: &str, password: &str) -> Result<(), Failure> {
    context.print(&json!({ "name": name, "password": password }), || {
        format!(
            "{name} signs in with this password, and chooses another then:\n\n    {password}\n\nIt is not shown again."
        )
    })
}

fn named(accounts: &Accounts, name: &str) -> Result<User, Failure> {
    let found = accounts.user_named(name)?;
    if let Some(user) = found {
        return Ok(user);
    }
    let users = accounts.users()?;
    let error = AccountsError::NoUser(name.to_owned());
    let names = users.iter().map(|user| user.name.as_str());
    Err(Failure::bad(match spelling::nearest(name, names) {
        Some(near) => format!("{error}; did you mean “{near}”?"),
        None => error.to_string(),
    }))
}

fn role_of(word: &str) -> Result<Role, Failure> {
    Role::from_word(word).ok_or_else(|| {
        let all = Role::ALL.map(Role::word);
        Failure::bad(match spelling::nearest(word, all) {
            Some(near) => format!("--role: there is no role `{word}`; did you mean `{near}`?"),
            None => format!("--role: there is no role `{word}`; it is one of {}", all.join(", ")),
        })
    })
}

fn day(text: String) -> Result<Date, Failure> {
    text.parse().map_err(|_| Failure::bad(format!("--ends: `{text}` is no day; write it as 2026-12-18")))
}

fn table(users: &[User]) -> String {
    if users.is_empty() {
        return String::from(
            "Nobody can sign in yet. `schoolgate user add NAME --full-name TEXT --role head` adds somebody.",
        );
    }
    let width = users.iter().map(|user| user.name.chars().count()).max().unwrap_or(0);
    let line = |user: &User| {
        let mut notes = vec![user.full_name.clone()];
        if user.disabled {
            notes.push(String::from("disabled"));
        }
        if let Some(day) = user.ends {
            notes.push(format!("until {day}"));
        }
        notes.push(match user.last_seen {
            Some(at) => format!("last seen {}", at.strftime("%Y-%m-%d %H:%MZ")),
            None => String::from("never signed in"),
        });
        match (user.has_second_factor, user.role.needs_second_factor()) {
            (true, _) => notes.push(match user.security_keys {
                0 => String::from("second factor"),
                1 => String::from("second factor and a security key"),
                n => format!("second factor and {n} security keys"),
            }),
            (false, true) => notes.push(String::from("second factor not set up yet")),
            (false, false) => {}
        }
        format!("{:<width$}  {:<12}  {}", user.name, user.role.word(), notes.join(", "))
    };
    users.iter().map(line).collect::<Vec<_>>().join("\n")
}
