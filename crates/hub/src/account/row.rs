//! How accounts, users, keys and policies lie in the catalog.
//!
//! Whoever adds something that has a quota, or takes something away that others rest on, writes
//! the row that stands above it (the account, the user, the policy) once more under the version
//! that it read. So of two such changes one has to look again.

use model::{
    account::{AccessKey, User},
    id::{AccountId, PolicyName, UserName},
};

/// `Account`, by id.
pub(super) const ACCOUNT: &str = "account";
/// Id of an account, by name.
pub(super) const ACCOUNT_NAME: &str = "account-name";
/// `User`, by account and name.
pub(super) const USER: &str = "user";
/// `AccessKey`, by id.
pub(super) const KEY: &str = "access-key";
/// Id of an access key, by account, user and id.
pub(super) const KEY_OF: &str = "access-key-of";
/// `Policy`, by account and name.
pub(super) const POLICY: &str = "policy";

/// Start of the keys of all that belongs to an account.
pub(super) fn of(account: &AccountId) -> String {
    format!("{account}/")
}

pub(super) fn user(account: &AccountId, name: &UserName) -> String {
    format!("{account}/{name}")
}

pub(super) fn user_of(user: &User) -> String {
    self::user(&user.account, &user.name)
}

pub(super) fn policy(account: &AccountId, name: &PolicyName) -> String {
    format!("{account}/{name}")
}

/// Start of the keys under `KEY_OF` of a user, or of the account itself.
pub(super) fn keys_of(account: &AccountId, user: Option<&UserName>) -> String {
    format!("{account}/{}/", user.map_or("", UserName::as_str))
}

pub(super) fn key_of(key: &AccessKey) -> String {
    format!("{}{}", keys_of(&key.account, key.user.as_ref()), key.id)
}
