//! What gateways are told of how to reach their sub-devices.

use super::{
    Answer,
    call::Call,
    device::one,
    error::{AdminError, ErrorView},
    topology::NamesBody,
    view::time,
};
use aliyun::device::wiring::write;
use axum::{Json, extract::Path, http::StatusCode};
use credential::Secret;
use hub::{
    account::Permit,
    wiring::{NewChannel, Placed, Pushed},
};
use model::{
    account::Resource,
    command::CommandState,
    id::ProductKey,
    wiring::{Channel, Link, Mapping, Place},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const READ: &str = "muster:ReadWiring";
const SET: &str = "muster:SetWiring";

/// A channel as it is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChannelBody {
    /// For people.
    name: String,
    /// `protocol` is `modbus-rtu` (`serial_port`, `baud_rate`, `byte_size`, `stop_bits`,
    /// `parity`), `modbus-tcp` (`address`, `port`) or `opc-ua` (`url`, `user`, `mode`, `policy`,
    /// `timeout`).
    #[schema(value_type = Object)]
    link: Link,
    /// Of the user of an OPC UA channel; left out, the one of before stays.
    password: Option<String>,
}

impl From<ChannelBody> for NewChannel {
    fn from(body: ChannelBody) -> Self {
        Self {
            name: body.name,
            link: body.link,
            password: body
                .password
                .map(|password| Secret::new(password.into_bytes())),
        }
    }
}

/// A channel of a gateway; its password is never shown.
#[derive(Serialize, ToSchema)]
pub(super) struct ChannelView {
    id: String,
    name: String,
    #[schema(value_type = Object)]
    link: Link,
    changed: String,
}

impl From<Channel> for ChannelView {
    fn from(channel: Channel) -> Self {
        Self {
            id: channel.id,
            name: channel.name,
            link: channel.link,
            changed: time(channel.changed),
        }
    }
}

/// Channels, oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct ChannelList {
    items: Vec<ChannelView>,
}

/// Where a sub-device is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlaceBody {
    product_key: String,
    device_name: String,
    /// `protocol` is `modbus` (`channel`, `slave`), `opc-ua` (`channel`, `path`) or `custom`
    /// (`settings`); null for nothing any more.
    #[schema(value_type = Option<Object>)]
    place: Option<Place>,
}

/// Where a sub-device is.
#[derive(Serialize, ToSchema)]
struct PlaceView {
    product_key: String,
    device_name: String,
    #[schema(value_type = Object)]
    place: Place,
}

impl From<Placed> for PlaceView {
    fn from(placed: Placed) -> Self {
        Self {
            product_key: placed.sub.product.to_string(),
            device_name: placed.sub.name.to_string(),
            place: placed.place,
        }
    }
}

/// Where the sub-devices of a gateway are.
#[derive(Serialize, ToSchema)]
pub(super) struct PlaceList {
    items: Vec<PlaceView>,
}

/// Where the functions of a product lie.
#[derive(Serialize, ToSchema)]
pub(super) struct MappingView {
    /// None when it was not said.
    #[schema(value_type = Option<Object>)]
    mapping: Option<Mapping>,
}

/// What a gateway was told last.
#[derive(Serialize, ToSchema)]
pub(super) struct PushedView {
    /// `waiting`, `sent`, `answered`, or `expired` when it never was answered.
    state: &'static str,
    /// Number of the command.
    command: String,
    at: String,
    /// Bytes of the file.
    size: u64,
    /// Of the file, in hexadecimal digits.
    sha256: String,
    /// The gateway's code; 200 when it took the file.
    code: Option<i64>,
    message: Option<String>,
    answered: Option<String>,
}

impl From<Pushed> for PushedView {
    fn from(pushed: Pushed) -> Self {
        let state = match (&pushed.reply, pushed.state) {
            (Some(_), _) => "answered",
            (None, Some(CommandState::Waiting)) => "waiting",
            (None, Some(CommandState::Sent)) => "sent",
            (None, None) => "expired",
        };
        let (code, message, answered) = match pushed.reply {
            Some(reply) => (Some(reply.code), Some(reply.message), Some(time(reply.at))),
            None => (None, None, None),
        };
        Self {
            state,
            command: pushed.command.to_string(),
            at: time(pushed.at),
            size: pushed.document.size,
            sha256: pushed.document.sha256,
            code,
            message,
            answered,
        }
    }
}

/// Whether a gateway was told something.
#[derive(Serialize, ToSchema)]
pub(super) struct LastPushView {
    /// None when it never was.
    push: Option<PushedView>,
}

async fn of(
    call: &Call,
    product: &str,
    action: &str,
    changing: bool,
) -> Result<(ProductKey, Permit), AdminError> {
    let key = ProductKey::parse(product)?;
    let resource = Resource::Product(key.clone());
    let permit = call.allow(action, resource, changing).await?;
    Ok((key, permit))
}

/// Lists the channels of a gateway.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/channels", tag = "gateway",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = ChannelList), (status = "4XX", body = ErrorView)))]
pub(super) async fn channels(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<ChannelList> {
    let (key, permit) = one(&call, &product, &device, READ, false).await?;
    let all = call.admin.hub.channels_of(&permit, &key).await?;
    let items = all.into_iter().map(Into::into).collect();
    Ok(Json(ChannelList { items }))
}

/// Gives a gateway another channel.
#[utoipa::path(post, path = "/products/{product}/devices/{device}/channels", tag = "gateway",
    params(("product" = String, Path), ("device" = String, Path)), request_body = ChannelBody,
    responses((status = 200, body = ChannelView), (status = "4XX", body = ErrorView)))]
pub(super) async fn channel_add(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<ChannelView> {
    let (key, permit) = one(&call, &product, &device, SET, true).await?;
    let body: ChannelBody = call.read()?;
    let put = call.admin.hub.channel_put(&permit, &key, None, body.into());
    Ok(Json(put.await?.into()))
}

/// Changes a channel.
#[utoipa::path(put, path = "/products/{product}/devices/{device}/channels/{channel}",
    tag = "gateway", request_body = ChannelBody,
    params(("product" = String, Path), ("device" = String, Path), ("channel" = String, Path)),
    responses((status = 200, body = ChannelView), (status = "4XX", body = ErrorView)))]
pub(super) async fn channel_set(
    Path((product, device, channel)): Path<(String, String, String)>,
    call: Call,
) -> Answer<ChannelView> {
    let (key, permit) = one(&call, &product, &device, SET, true).await?;
    let body: ChannelBody = call.read()?;
    let hub = &call.admin.hub;
    let put = hub.channel_put(&permit, &key, Some(&channel), body.into());
    Ok(Json(put.await?.into()))
}

/// Removes a channel on which no sub-device is.
#[utoipa::path(delete, path = "/products/{product}/devices/{device}/channels/{channel}",
    tag = "gateway",
    params(("product" = String, Path), ("device" = String, Path), ("channel" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn channel_remove(
    Path((product, device, channel)): Path<(String, String, String)>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let (key, permit) = one(&call, &product, &device, SET, true).await?;
    let hub = &call.admin.hub;
    hub.channel_remove(&permit, &key, &channel).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows where the sub-devices of a gateway are.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/places", tag = "gateway",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = PlaceList), (status = "4XX", body = ErrorView)))]
pub(super) async fn places(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<PlaceList> {
    let (key, permit) = one(&call, &product, &device, READ, false).await?;
    let all = call.admin.hub.places_of(&permit, &key).await?;
    let items = all.into_iter().map(Into::into).collect();
    Ok(Json(PlaceList { items }))
}

/// Says where a sub-device of a gateway is.
#[utoipa::path(put, path = "/products/{product}/devices/{device}/places", tag = "gateway",
    params(("product" = String, Path), ("device" = String, Path)), request_body = PlaceBody,
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn place(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let (key, permit) = one(&call, &product, &device, SET, true).await?;
    let PlaceBody {
        product_key,
        device_name,
        place,
    } = call.read()?;
    let sub = NamesBody::new(product_key, device_name).key()?;
    let hub = &call.admin.hub;
    hub.place_put(&permit, &key, &sub, place).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows where the functions of a product lie.
#[utoipa::path(get, path = "/products/{product}/mapping", tag = "gateway",
    params(("product" = String, Path)),
    responses((status = 200, body = MappingView), (status = "4XX", body = ErrorView)))]
pub(super) async fn mapping(Path(product): Path<String>, call: Call) -> Answer<MappingView> {
    let (key, permit) = of(&call, &product, READ, false).await?;
    let mapping = call.admin.hub.mapping_of(&permit, &key).await?;
    Ok(Json(MappingView { mapping }))
}

/// Says where the functions of a product lie: `protocol` is `modbus` (`properties`), `opc-ua`
/// (`properties`, `services`, `events`) or `custom` (`properties`).
#[utoipa::path(put, path = "/products/{product}/mapping", tag = "gateway",
    params(("product" = String, Path)), request_body = Object,
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn map(Path(product): Path<String>, call: Call) -> Result<StatusCode, AdminError> {
    let (key, permit) = of(&call, &product, SET, true).await?;
    let mapping: Mapping = call.read()?;
    let hub = &call.admin.hub;
    hub.mapping_put(&permit, &key, Some(mapping)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says nothing any more of where the functions of a product lie.
#[utoipa::path(delete, path = "/products/{product}/mapping", tag = "gateway",
    params(("product" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn unmap(
    Path(product): Path<String>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let (key, permit) = of(&call, &product, SET, true).await?;
    call.admin.hub.mapping_put(&permit, &key, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows what a gateway was told last, and what it answered.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/wiring", tag = "gateway",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = LastPushView), (status = "4XX", body = ErrorView)))]
pub(super) async fn pushed(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<LastPushView> {
    let (key, permit) = one(&call, &product, &device, READ, false).await?;
    let push = call.admin.hub.wiring_pushed(&permit, &key).await?;
    let push = push.map(Into::into);
    Ok(Json(LastPushView { push }))
}

/// Tells a gateway how to reach its sub-devices, now or when it is there.
#[utoipa::path(post, path = "/products/{product}/devices/{device}/wiring", tag = "gateway",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = PushedView), (status = "4XX", body = ErrorView)))]
pub(super) async fn push(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<PushedView> {
    let (key, permit) = one(&call, &product, &device, "muster:PushWiring", true).await?;
    let pushed = call.admin.hub.wiring_push(&permit, &key, write).await?;
    Ok(Json(pushed.into()))
}
