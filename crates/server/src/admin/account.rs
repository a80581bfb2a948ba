//! Accounts, sub-users, access keys and policies ([FS-8]).

use super::{
    Answer,
    call::Call,
    error::{AdminError, ErrorView},
    view::{AccountView, DocumentView, KeyView, PolicyView, UserView},
};
use axum::{Json, extract::Path, http::StatusCode};
use hub::account::{NewAccessKey, Permit};
use model::{
    account::Resource,
    id::{AccessKeyId, AccountId, PolicyName, UserName},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAccountBody {
    name: String,
}

/// An access key with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct NewKeyView {
    #[serde(flatten)]
    key: KeyView,
    access_key_secret: String,
}

impl From<NewAccessKey> for NewKeyView {
    fn from(new: NewAccessKey) -> Self {
        Self {
            key: new.key.into(),
            access_key_secret: new.secret,
        }
    }
}

/// A new account with its first key.
#[derive(Serialize, ToSchema)]
pub(super) struct NewAccountView {
    #[serde(flatten)]
    account: AccountView,
    key: NewKeyView,
}

/// Accounts.
#[derive(Serialize, ToSchema)]
pub(super) struct AccountList {
    items: Vec<AccountView>,
}

/// A new sub-user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUserBody {
    name: String,
    #[serde(default)]
    display: String,
}

/// Sub-users.
#[derive(Serialize, ToSchema)]
pub(super) struct UserList {
    items: Vec<UserView>,
}

/// A new access key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKeyBody {
    /// The sub-user that it is for; the account itself when it is left out.
    user: Option<String>,
}

/// Access keys.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyList {
    items: Vec<KeyView>,
}

/// A policy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PolicyBody {
    #[serde(default)]
    description: String,
    document: DocumentView,
}

/// Policies.
#[derive(Serialize, ToSchema)]
pub(super) struct PolicyList {
    items: Vec<PolicyView>,
}

/// The hub keeps this rule; here it gets the status that says "you may not".
fn operators_only(permit: &Permit) -> Result<(), AdminError> {
    if permit.caller().operator {
        return Ok(());
    }
    Err(AdminError::new(
        StatusCode::FORBIDDEN,
        "NotAllowed",
        "only an operator's account manages accounts",
        "ask the operator of this server, whose data folder's socket always may",
    ))
}

/// Makes an account with a key (operators only).
#[utoipa::path(post, path = "/accounts", tag = "account", request_body = NewAccountBody,
    responses((status = 201, body = NewAccountView), (status = "4XX", body = ErrorView)))]
pub(super) async fn create(call: Call) -> Result<(StatusCode, Json<NewAccountView>), AdminError> {
    let permit = call
        .allow("muster:CreateAccount", Resource::Any, true)
        .await?;
    operators_only(&permit)?;
    let body: NewAccountBody = call.read()?;
    let (account, key) = call.admin.hub.account_create(&permit, &body.name).await?;
    let view = NewAccountView {
        account: account.into(),
        key: key.into(),
    };
    Ok((StatusCode::CREATED, Json(view)))
}

/// Lists accounts: all for an operator, the caller's own for others.
#[utoipa::path(get, path = "/accounts", tag = "account",
    responses((status = 200, body = AccountList), (status = "4XX", body = ErrorView)))]
pub(super) async fn list(call: Call) -> Answer<AccountList> {
    let permit = call
        .allow("muster:ListAccounts", Resource::Any, false)
        .await?;
    let accounts = call.admin.hub.account_list(&permit).await?;
    let items = accounts.into_iter().map(Into::into).collect();
    Ok(Json(AccountList { items }))
}

async fn switch(call: &Call, account: &str, disabled: bool) -> Answer<AccountView> {
    let id = AccountId::parse(account)?;
    let resource = Resource::Account(id.clone());
    let permit = call.allow("muster:UpdateAccount", resource, true).await?;
    operators_only(&permit)?;
    let hub = &call.admin.hub;
    let account = hub.account_disable(&permit, &id, disabled).await?;
    Ok(Json(account.into()))
}

/// Accepts an account's keys again (operators only).
#[utoipa::path(post, path = "/accounts/{account}/enable", tag = "account",
    params(("account" = String, Path)),
    responses((status = 200, body = AccountView), (status = "4XX", body = ErrorView)))]
pub(super) async fn enable(Path(account): Path<String>, call: Call) -> Answer<AccountView> {
    switch(&call, &account, false).await
}

/// Refuses an account's keys (operators only; not their own).
#[utoipa::path(post, path = "/accounts/{account}/disable", tag = "account",
    params(("account" = String, Path)),
    responses((status = 200, body = AccountView), (status = "4XX", body = ErrorView)))]
pub(super) async fn disable(Path(account): Path<String>, call: Call) -> Answer<AccountView> {
    switch(&call, &account, true).await
}

/// Makes a sub-user, who may do nothing until a policy is attached.
#[utoipa::path(post, path = "/users", tag = "account", request_body = NewUserBody,
    responses((status = 201, body = UserView), (status = "4XX", body = ErrorView)))]
pub(super) async fn user_create(call: Call) -> Result<(StatusCode, Json<UserView>), AdminError> {
    // The policies and the audit log want to know who it is; what is wrong with the body is for
    // those alone who may call.
    let read = call.read::<NewUserBody>();
    let name = read.as_ref().ok().map(|body| UserName::parse(&body.name));
    let named = name.and_then(Result::ok);
    let resource = named.map_or(Resource::Any, Resource::User);
    let permit = call.allow("ram:CreateUser", resource, true).await?;
    let body = read?;
    let name = UserName::parse(&body.name)?;
    let hub = &call.admin.hub;
    let user = hub.user_create(&permit, &name, &body.display).await?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

/// Lists sub-users.
#[utoipa::path(get, path = "/users", tag = "account",
    responses((status = 200, body = UserList), (status = "4XX", body = ErrorView)))]
pub(super) async fn user_list(call: Call) -> Answer<UserList> {
    let permit = call.allow("ram:ListUsers", Resource::Any, false).await?;
    let users = call.admin.hub.user_list(&permit).await?;
    let items = users.into_iter().map(Into::into).collect();
    Ok(Json(UserList { items }))
}

/// Removes a sub-user and its keys.
#[utoipa::path(delete, path = "/users/{user}", tag = "account", params(("user" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn user_delete(
    Path(user): Path<String>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let name = UserName::parse(&user)?;
    let resource = Resource::User(name.clone());
    let permit = call.allow("ram:DeleteUser", resource, true).await?;
    call.admin.hub.user_delete(&permit, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn user_switch(call: &Call, user: &str, disabled: bool) -> Answer<UserView> {
    let name = UserName::parse(user)?;
    let resource = Resource::User(name.clone());
    let permit = call.allow("ram:UpdateUser", resource, true).await?;
    let hub = &call.admin.hub;
    let user = hub.user_disable(&permit, &name, disabled).await?;
    Ok(Json(user.into()))
}

/// Accepts a sub-user's keys again.
#[utoipa::path(post, path = "/users/{user}/enable", tag = "account", params(("user" = String, Path)),
    responses((status = 200, body = UserView), (status = "4XX", body = ErrorView)))]
pub(super) async fn user_enable(Path(user): Path<String>, call: Call) -> Answer<UserView> {
    user_switch(&call, &user, false).await
}

/// Refuses a sub-user's keys.
#[utoipa::path(post, path = "/users/{user}/disable", tag = "account", params(("user" = String, Path)),
    responses((status = 200, body = UserView), (status = "4XX", body = ErrorView)))]
pub(super) async fn user_disable(Path(user): Path<String>, call: Call) -> Answer<UserView> {
    user_switch(&call, &user, true).await
}

async fn hold(call: &Call, user: &str, policy: &str, attach: bool) -> Answer<UserView> {
    let (name, policy) = (UserName::parse(user)?, PolicyName::parse(policy)?);
    let action = if attach {
        "ram:AttachPolicyToUser"
    } else {
        "ram:DetachPolicyFromUser"
    };
    let resource = Resource::User(name.clone());
    let permit = call.allow(action, resource, true).await?;
    let hub = &call.admin.hub;
    // Who may change a user's policies may not therefore give it any policy.
    let caller = permit.caller();
    let resource = Resource::Policy(policy.clone());
    hub.caller_allow(caller, action, &resource, true).await?;
    let user = hub.user_policy(&permit, &name, &policy, attach).await?;
    Ok(Json(user.into()))
}

/// Lets a policy hold for a sub-user.
#[utoipa::path(put, path = "/users/{user}/policies/{policy}", tag = "account",
    params(("user" = String, Path), ("policy" = String, Path)),
    responses((status = 200, body = UserView), (status = "4XX", body = ErrorView)))]
pub(super) async fn attach(
    Path((user, policy)): Path<(String, String)>,
    call: Call,
) -> Answer<UserView> {
    hold(&call, &user, &policy, true).await
}

/// Lets a policy hold for a sub-user no longer.
#[utoipa::path(delete, path = "/users/{user}/policies/{policy}", tag = "account",
    params(("user" = String, Path), ("policy" = String, Path)),
    responses((status = 200, body = UserView), (status = "4XX", body = ErrorView)))]
pub(super) async fn detach(
    Path((user, policy)): Path<(String, String)>,
    call: Call,
) -> Answer<UserView> {
    hold(&call, &user, &policy, false).await
}

/// Makes an access key and shows its secret once.
#[utoipa::path(post, path = "/keys", tag = "account", request_body = NewKeyBody,
    responses((status = 201, body = NewKeyView), (status = "4XX", body = ErrorView)))]
pub(super) async fn key_create(call: Call) -> Result<(StatusCode, Json<NewKeyView>), AdminError> {
    // The body says whose key it is, which the policies want to know.
    let body: NewKeyBody = call.read()?;
    let user = body.user.as_deref().map(UserName::parse).transpose()?;
    let resource = user.clone().map_or(Resource::Any, Resource::User);
    let permit = call.allow("ram:CreateAccessKey", resource, true).await?;
    let hub = &call.admin.hub;
    let key = hub.access_key_create(&permit, user.as_ref()).await?;
    Ok((StatusCode::CREATED, Json(key.into())))
}

/// Lists the account's access keys, those of its sub-users too.
#[utoipa::path(get, path = "/keys", tag = "account",
    responses((status = 200, body = KeyList), (status = "4XX", body = ErrorView)))]
pub(super) async fn key_list(call: Call) -> Answer<KeyList> {
    let permit = call
        .allow("ram:ListAccessKeys", Resource::Any, false)
        .await?;
    let keys = call.admin.hub.access_key_list(&permit).await?;
    let items = keys.into_iter().map(Into::into).collect();
    Ok(Json(KeyList { items }))
}

/// Removes an access key.
#[utoipa::path(delete, path = "/keys/{key}", tag = "account", params(("key" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn key_delete(
    Path(key): Path<String>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let id = AccessKeyId::parse(&key)?;
    let resource = call.admin.hub.access_key_resource(&id).await?;
    let permit = call.allow("ram:DeleteAccessKey", resource, true).await?;
    call.admin.hub.access_key_delete(&permit, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn key_switch(call: &Call, key: &str, disabled: bool) -> Answer<KeyView> {
    let id = AccessKeyId::parse(key)?;
    let hub = &call.admin.hub;
    let resource = hub.access_key_resource(&id).await?;
    let permit = call.allow("ram:UpdateAccessKey", resource, true).await?;
    let key = hub.access_key_disable(&permit, &id, disabled).await?;
    Ok(Json(key.into()))
}

/// Accepts an access key again.
#[utoipa::path(post, path = "/keys/{key}/enable", tag = "account", params(("key" = String, Path)),
    responses((status = 200, body = KeyView), (status = "4XX", body = ErrorView)))]
pub(super) async fn key_enable(Path(key): Path<String>, call: Call) -> Answer<KeyView> {
    key_switch(&call, &key, false).await
}

/// Refuses an access key.
#[utoipa::path(post, path = "/keys/{key}/disable", tag = "account", params(("key" = String, Path)),
    responses((status = 200, body = KeyView), (status = "4XX", body = ErrorView)))]
pub(super) async fn key_disable(Path(key): Path<String>, call: Call) -> Answer<KeyView> {
    key_switch(&call, &key, true).await
}

/// Lists the account's policies and those that come with the product.
#[utoipa::path(get, path = "/policies", tag = "account",
    responses((status = 200, body = PolicyList), (status = "4XX", body = ErrorView)))]
pub(super) async fn policy_list(call: Call) -> Answer<PolicyList> {
    let permit = call.allow("ram:ListPolicies", Resource::Any, false).await?;
    let policies = call.admin.hub.policy_list(&permit).await?;
    let items = policies.into_iter().map(Into::into).collect();
    Ok(Json(PolicyList { items }))
}

/// Writes a policy of the account, in place of one of the same name.
#[utoipa::path(put, path = "/policies/{policy}", tag = "account",
    params(("policy" = String, Path)), request_body = PolicyBody,
    responses((status = 200, body = PolicyView), (status = "4XX", body = ErrorView)))]
pub(super) async fn policy_put(Path(policy): Path<String>, call: Call) -> Answer<PolicyView> {
    let name = PolicyName::parse(&policy)?;
    let resource = Resource::Policy(name.clone());
    let permit = call.allow("ram:CreatePolicy", resource, true).await?;
    let body: PolicyBody = call.read()?;
    let hub = &call.admin.hub;
    let policy = hub
        .policy_put(&permit, &name, &body.description, body.document.into())
        .await?;
    Ok(Json(policy.into()))
}

/// Removes a policy of the account.
#[utoipa::path(delete, path = "/policies/{policy}", tag = "account", params(("policy" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn policy_delete(
    Path(policy): Path<String>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let name = PolicyName::parse(&policy)?;
    let resource = Resource::Policy(name.clone());
    let permit = call.allow("ram:DeletePolicy", resource, true).await?;
    call.admin.hub.policy_delete(&permit, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
