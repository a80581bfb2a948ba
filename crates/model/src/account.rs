//! Who may call an API, and what they may do: accounts, sub-users, access keys, policies ([FS-8]).

use crate::id::{AccessKeyId, AccountId, PolicyName, Time, UserName};
use serde::{Deserialize, Serialize};

/// An account: owns products, and everything that hangs on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// For people; unlike any other account's.
    pub name: String,
    /// When it was made.
    pub created: Time,
    /// Whether its keys are refused.
    pub disabled: bool,
    /// May manage other accounts; the first account is an operator.
    pub operator: bool,
}

/// A sub-user of an account: may do what its policies say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its account.
    pub account: AccountId,
    /// Its name there.
    pub name: UserName,
    /// For people.
    pub display: String,
    /// When it was made.
    pub created: Time,
    /// Whether its keys are refused.
    pub disabled: bool,
    /// The policies that hold for it.
    pub policies: Vec<PolicyName>,
}

/// An access key; its secret is kept apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// The public half.
    pub id: AccessKeyId,
    /// Its account.
    pub account: AccountId,
    /// The sub-user that it belongs to; none for the account's own keys.
    pub user: Option<UserName>,
    /// When it was made.
    pub created: Time,
    /// Whether it is refused.
    pub disabled: bool,
}

/// A policy: statements that allow or deny.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// The account that wrote it; none for the policies that come with the product.
    pub account: Option<AccountId>,
    /// For people.
    pub description: String,
    /// What it says.
    pub document: PolicyDocument,
}

/// The text of a policy, in the form that seed 000 §1.2 (access control) shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// Always "1".
    #[serde(rename = "Version")]
    pub version: String,
    /// A denial wins over any permission; what nothing allows is denied.
    #[serde(rename = "Statement")]
    pub statements: Vec<Statement>,
}

/// One statement of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Allow or deny.
    #[serde(rename = "Effect")]
    pub effect: Effect,
    /// Action patterns such as `iot:Query*`; `*` stands for any run of characters.
    #[serde(rename = "Action")]
    pub actions: OneOrMany,
    /// Resource patterns such as `acs:iot:*:*:product/a1BwAGVabcd/device/*`.
    #[serde(rename = "Resource")]
    pub resources: OneOrMany,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Permits.
    Allow,
    /// Forbids, whatever else permits.
    Deny,
}

/// Policy documents write one text, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// A list.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The texts.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
        .iter()
        .map(String::as_str)
    }
}

/// What a call is about, for policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Nothing in particular: lists, creations.
    Any,
    /// A product and all in it.
    Product(crate::id::ProductKey),
    /// One device.
    Device(crate::id::DeviceKey),
    /// An account.
    Account(AccountId),
    /// A sub-user of the caller's account.
    User(UserName),
    /// An access key of a sub-user, or of the caller's account itself.
    AccessKey(Option<UserName>, AccessKeyId),
    /// A policy of the caller's account.
    Policy(PolicyName),
}

/// Who calls, once that is proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The account for which it acts.
    pub account: AccountId,
    /// Whether that account is an operator.
    pub operator: bool,
    /// The sub-user; none for the account itself.
    pub user: Option<UserName>,
    /// The key that it showed; none for the local operator (the owner of the data folder).
    pub key: Option<AccessKeyId>,
    /// Where the call came from, without the port.
    pub address: String,
}

/// One line of the audit log, before it is chained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: Time,
    /// Who: account, `account/user`, `device product/name`, or "?" when nobody was proven.
    pub who: String,
    /// From where.
    pub address: String,
    /// What was tried, such as `iot:DeleteDevice`, `device.login`.
    pub action: String,
    /// On what.
    pub resource: String,
    /// `ok`, or the name of the error.
    pub outcome: String,
    /// What else helps to understand it; never a secret.
    pub detail: String,
}

/// One line of the audit log as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Number, from 1 without gaps.
    pub seq: u64,
    /// The line.
    pub entry: AuditEntry,
    /// Keyed hash over the former line's hash and this line, 32 bytes as hex.
    pub hash: String,
}
