//! `muster account …`, `user …`, `key …` and `policy …`

use super::{
    Desk, Failure,
    ask::confirm,
    product::document,
    table::{card, table},
};
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum Account {
    /// Make an account with a key (operators only).
    Create {
        /// Its name.
        name: String,
    },
    /// List accounts.
    List,
    /// Accept an account's keys again.
    Enable {
        /// Account id.
        account: String,
    },
    /// Refuse an account's keys.
    Disable {
        /// Account id.
        account: String,
    },
}

#[derive(Subcommand)]
pub(super) enum User {
    /// Make a sub-user, who may do nothing until a policy is attached.
    #[command(after_help = "\
Example:
  muster user create reader
  muster policy list
  muster user attach reader POLICY
  muster key create --user reader")]
    Create {
        /// Its name.
        name: String,
        /// Its name for people.
        #[arg(long, default_value = "")]
        display: String,
    },
    /// List sub-users.
    List,
    /// Delete a sub-user and its keys.
    Delete {
        /// Its name.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Accept a sub-user's keys again.
    Enable {
        /// Its name.
        name: String,
    },
    /// Refuse a sub-user's keys.
    Disable {
        /// Its name.
        name: String,
    },
    /// Let a policy hold for a sub-user.
    Attach {
        /// Its name.
        name: String,
        /// The policy.
        policy: String,
    },
    /// Let a policy hold for a sub-user no longer.
    Detach {
        /// Its name.
        name: String,
        /// The policy.
        policy: String,
    },
}

#[derive(Subcommand)]
pub(super) enum Key {
    /// Make an access key and show its secret once.
    Create {
        /// For this sub-user instead of the account itself.
        #[arg(long)]
        user: Option<String>,
    },
    /// List access keys.
    List,
    /// Delete an access key.
    Delete {
        /// AccessKey id.
        id: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Accept an access key again.
    Enable {
        /// AccessKey id.
        id: String,
    },
    /// Refuse an access key.
    Disable {
        /// AccessKey id.
        id: String,
    },
}

#[derive(Subcommand)]
pub(super) enum Policy {
    /// Write a policy, in place of one of the same name.
    #[command(after_help = "\
Example:
  muster policy put read-only policy.json

where policy.json is
  {\"Version\": \"1\", \"Statement\": [
    {\"Effect\": \"Allow\", \"Action\": \"iot:Query*\", \"Resource\": \"*\"}]}")]
    Put {
        /// Its name.
        name: String,
        /// The policy document.
        file: PathBuf,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// List policies.
    List,
    /// Show a policy's document.
    Show {
        /// Its name.
        name: String,
    },
    /// Delete a policy.
    Delete {
        /// Its name.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

const ACCOUNT: &[(&str, &str)] = &[
    ("ACCOUNT", "account"),
    ("NAME", "name"),
    ("OPERATOR", "operator"),
    ("DISABLED", "disabled"),
    ("CREATED", "created"),
];

const USER: &[(&str, &str)] = &[
    ("USER", "name"),
    ("NAME", "display"),
    ("POLICIES", "policies"),
    ("DISABLED", "disabled"),
    ("CREATED", "created"),
];

const KEY: &[(&str, &str)] = &[
    ("ACCESS KEY ID", "access_key_id"),
    ("USER", "user"),
    ("DISABLED", "disabled"),
    ("CREATED", "created"),
];

const NEW_KEY: &[(&str, &str)] = &[
    ("AccessKey ID", "access_key_id"),
    ("AccessKey secret", "access_key_secret"),
    ("User", "user"),
];

const POLICY: &[(&str, &str)] = &[
    ("POLICY", "name"),
    ("BUILT IN", "built_in"),
    ("DESCRIPTION", "description"),
];

const ONCE: &str = "\nThe secret is shown this once; keep it.\n";

fn listed(desk: &mut Desk, noun: &str, columns: &[(&str, &str)]) -> Result<(), Failure> {
    let mut shown = desk.client()?.get(&[noun], &[])?;
    desk.show(&shown["items"].take(), |items| {
        table(items.as_array().map_or(&[], Vec::as_slice), columns)
    })
}

fn row(desk: &mut Desk, value: &Value, columns: &[(&str, &str)]) -> Result<(), Failure> {
    desk.show(value, |value| table(std::slice::from_ref(value), columns))
}

fn deleted(desk: &mut Desk, noun: &str, name: &str, yes: bool, what: &str) -> Result<(), Failure> {
    confirm(desk, yes, &format!("Delete {what} {name}?"))?;
    desk.client()?.delete(&[noun, name])?;
    desk.show(&json!({"deleted": name}), |_| format!("deleted {name}\n"))
}

pub(super) fn run(desk: &mut Desk, command: Account) -> Result<(), Failure> {
    match command {
        Account::Create { name } => {
            let made = desk.client()?.post(&["accounts"], &json!({"name": name}))?;
            desk.show(&made, |made| {
                let account = table(std::slice::from_ref(made), ACCOUNT);
                format!("{account}\n{}{ONCE}", card(&made["key"], NEW_KEY))
            })
        }
        Account::List => listed(desk, "accounts", ACCOUNT),
        Account::Enable { account } => {
            let path = ["accounts", &account, "enable"];
            let shown = desk.client()?.post(&path, &json!({}))?;
            row(desk, &shown, ACCOUNT)
        }
        Account::Disable { account } => {
            let path = ["accounts", &account, "disable"];
            let shown = desk.client()?.post(&path, &json!({}))?;
            row(desk, &shown, ACCOUNT)
        }
    }
}

pub(super) fn run_user(desk: &mut Desk, command: User) -> Result<(), Failure> {
    match command {
        User::Create { name, display } => {
            let body = json!({"name": name, "display": display});
            let made = desk.client()?.post(&["users"], &body)?;
            row(desk, &made, USER)
        }
        User::List => listed(desk, "users", USER),
        User::Delete { name, yes } => {
            deleted(desk, "users", &name, yes, "the sub-user and all keys of")
        }
        User::Enable { name } => {
            let shown = desk
                .client()?
                .post(&["users", &name, "enable"], &json!({}))?;
            row(desk, &shown, USER)
        }
        User::Disable { name } => {
            let shown = desk
                .client()?
                .post(&["users", &name, "disable"], &json!({}))?;
            row(desk, &shown, USER)
        }
        User::Attach { name, policy } => {
            let path = ["users", &name, "policies", &policy];
            let shown = desk.client()?.put(&path, &json!({}))?;
            row(desk, &shown, USER)
        }
        User::Detach { name, policy } => {
            let shown = desk
                .client()?
                .delete(&["users", &name, "policies", &policy])?;
            row(desk, &shown, USER)
        }
    }
}

pub(super) fn run_key(desk: &mut Desk, command: Key) -> Result<(), Failure> {
    match command {
        Key::Create { user } => {
            let made = desk.client()?.post(&["keys"], &json!({"user": user}))?;
            desk.show(&made, |made| format!("{}{ONCE}", card(made, NEW_KEY)))
        }
        Key::List => listed(desk, "keys", KEY),
        Key::Delete { id, yes } => deleted(desk, "keys", &id, yes, "the access key"),
        Key::Enable { id } => {
            let shown = desk.client()?.post(&["keys", &id, "enable"], &json!({}))?;
            row(desk, &shown, KEY)
        }
        Key::Disable { id } => {
            let shown = desk.client()?.post(&["keys", &id, "disable"], &json!({}))?;
            row(desk, &shown, KEY)
        }
    }
}

pub(super) fn run_policy(desk: &mut Desk, command: Policy) -> Result<(), Failure> {
    match command {
        Policy::Put {
            name,
            file,
            description,
        } => {
            let body = json!({"description": description, "document": document(&file)?});
            let put = desk.client()?.put(&["policies", &name], &body)?;
            row(desk, &put, POLICY)
        }
        Policy::List => listed(desk, "policies", POLICY),
        Policy::Show { name } => {
            let shown = desk.client()?.get(&["policies"], &[])?;
            let found = shown["items"]
                .as_array()
                .and_then(|items| items.iter().find(|item| item["name"] == name.as_str()))
                .ok_or_else(|| {
                    Failure::new(
                        super::REFUSED,
                        format!("there is no policy {name}"),
                        "`muster policy list` shows those that there are",
                    )
                })?;
            desk.show(found, |found| format!("{:#}\n", found["document"]))
        }
        Policy::Delete { name, yes } => deleted(desk, "policies", &name, yes, "the policy"),
    }
}
