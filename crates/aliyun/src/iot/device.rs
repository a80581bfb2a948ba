//! Devices, one by one and listed ([AL-2.1]).

use super::{
    Action, Answer, Ask, Refusal, device_key, fields, nothing,
    page::Sheet,
    parameter::{DEVICE_NAME, IOT_ID, PRODUCT_KEY, integer, list, records, text},
    product::{all, node_type},
    product_key, time,
};
use crate::{
    codes::business::{Business, Family},
    device::tell_enabled,
};
use futures_util::future::try_join_all;
use hub::{account::Permit, device::DeviceView};
use model::{
    account::Resource,
    device::DeviceState,
    error::DeviceError,
    id::{DeviceKey, ProductKey},
    port::DeviceFilter,
    product::Product,
};
use serde_json::{Map, Value, json};

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "RegisterDevice",
        Family::DeviceCreate,
        &[
            PRODUCT_KEY.needed(),
            DEVICE_NAME,
            text("Nickname"),
            text("DevEui"),
            text("PinCode"),
            text("JoinEui"),
            text("AppKey"),
            text("LoraNodeType"),
        ],
        |ask| Box::pin(register(ask)),
    ),
    Action::reads(
        "QueryDevice",
        Family::DeviceRead,
        &[
            PRODUCT_KEY.needed(),
            integer("PageSize"),
            integer("CurrentPage"),
            text("NextToken"),
        ],
        |ask| Box::pin(list_of(ask)),
    ),
    Action::reads(
        "QueryDeviceInfo",
        Family::DeviceRead,
        &[PRODUCT_KEY, DEVICE_NAME, IOT_ID],
        |ask| Box::pin(info(ask)),
    ),
    Action::reads(
        "QueryDeviceDetail",
        Family::DeviceRead,
        &[PRODUCT_KEY, DEVICE_NAME, IOT_ID],
        |ask| Box::pin(detail(ask)),
    ),
    Action::reads(
        "BatchQueryDeviceDetail",
        Family::DeviceRead,
        &[PRODUCT_KEY.needed(), list("DeviceName", 100).needed()],
        |ask| Box::pin(details(ask)),
    ),
    Action::reads(
        "GetDeviceStatus",
        Family::DeviceRead,
        &[PRODUCT_KEY, DEVICE_NAME, IOT_ID],
        |ask| Box::pin(status(ask)),
    ),
    Action::reads(
        "BatchGetDeviceState",
        Family::DeviceRead,
        &[PRODUCT_KEY, list("DeviceName", 51), list("IotId", 51)],
        |ask| Box::pin(states(ask)),
    ),
    Action::reads(
        "QueryDeviceByStatus",
        Family::DeviceRead,
        &[
            integer("Status").needed(),
            PRODUCT_KEY,
            integer("CurrentPage"),
            integer("PageSize"),
            text("ResourceGroupId"),
        ],
        |ask| Box::pin(by_status(ask)),
    ),
    Action::reads(
        "QueryDeviceStatistics",
        Family::DeviceRead,
        &[PRODUCT_KEY, text("GroupId")],
        |ask| Box::pin(statistics(ask)),
    ),
    Action::changes(
        "BatchUpdateDeviceNickname",
        Family::DeviceChange,
        &[records(
            "DeviceNicknameInfo",
            &["ProductKey", "DeviceName", "Nickname", "IotId"],
            50,
        )
        .needed()],
        |ask| Box::pin(nicknames(ask)),
    ),
    Action::changes(
        "DisableThing",
        Family::DeviceDisable,
        &[PRODUCT_KEY, DEVICE_NAME, IOT_ID],
        |ask| Box::pin(disable(ask, true)),
    ),
    Action::changes(
        "EnableThing",
        Family::DeviceEnable,
        &[PRODUCT_KEY, DEVICE_NAME, IOT_ID],
        |ask| Box::pin(disable(ask, false)),
    ),
    Action::changes(
        "ResetThing",
        Family::DeviceChange,
        &[PRODUCT_KEY, DEVICE_NAME, IOT_ID],
        |ask| Box::pin(reset(ask)),
    ),
    Action::changes(
        "DeleteDevice",
        Family::DeviceDelete,
        &[PRODUCT_KEY, DEVICE_NAME, IOT_ID],
        |ask| Box::pin(delete(ask)),
    ),
];

/// Rows that are looked at in one go when no page of the registry is the page asked for.
const SCAN: usize = 500;

async fn register(ask: &Ask<'_>) -> Answer {
    let (permit, product) = ask.product().await?;
    let (name, nickname) = (ask.params.text("DeviceName"), ask.params.text("Nickname"));
    let (device, secret) = ask
        .hub
        .device_register(&permit, &product, name, nickname)
        .await?;
    fields(json!({ "Data": {
        "ProductKey": device.key.product,
        "DeviceName": device.key.name,
        "DeviceSecret": secret,
        "Nickname": device.nickname,
        "IotId": device.iot_id,
    }}))
}

async fn list_of(ask: &Ask<'_>) -> Answer {
    let (permit, product) = ask.product().await?;
    let sheet = Sheet::read(&ask.params, 10, 50)?;
    let skip = match ask.params.text("NextToken") {
        None => sheet.skip(),
        Some(token) => token
            .parse()
            .map_err(|_| Business::page("the NextToken is not one that was given"))?,
    };
    let (views, total) = ask
        .hub
        .device_page(
            &permit,
            &product,
            &DeviceFilter::default(),
            skip,
            sheet.most(),
        )
        .await?;
    let secrets = secrets(ask, &permit, &views).await?;
    let rows: Vec<_> = views
        .iter()
        .zip(secrets)
        .map(|(view, secret)| {
            let mut row = listed(view, &secret);
            row.insert("DeviceId".into(), json!(view.device.iot_id));
            row.insert("DeviceStatus".into(), word(view.state).into());
            row
        })
        .collect();
    let next = skip.saturating_add(rows.len() as u64);
    let mut tree = json!({
        "PageSize": sheet.size,
        "PageCount": sheet.pages(total),
        "Total": total,
        "Page": sheet.number,
        "Data": { "DeviceInfo": rows },
    });
    if next < total && !views.is_empty() {
        tree["NextToken"] = next.to_string().into();
    }
    fields(tree)
}

/// What rows of device lists have in common.
fn listed(view: &DeviceView, secret: &str) -> Map<String, Value> {
    let device = &view.device;
    let modified = [device.online, device.offline, device.activated]
        .into_iter()
        .flatten()
        .fold(device.created, Ord::max);
    let row = json!({
        "ProductKey": device.key.product,
        "DeviceName": device.key.name,
        "DeviceSecret": secret,
        "Nickname": device.nickname,
        "IotId": device.iot_id,
        "UtcCreate": time::utc(Some(device.created)),
        "GmtCreate": time::mail(Some(device.created)),
        "UtcModified": time::utc(Some(modified)),
        "GmtModified": time::mail(Some(modified)),
    });
    row.as_object().cloned().unwrap_or_default()
}

/// The right to see secrets of devices in what is queried. A right of its own, so that who may
/// only read can be nobody's device.
const READ_SECRET: &str = "iot:ReadDeviceSecret";

/// The secrets of devices, each read audited; together, so that the audit lines share their way
/// to the disk.
pub(super) async fn secrets(
    ask: &Ask<'_>,
    permit: &Permit,
    views: &[DeviceView],
) -> Result<Vec<String>, Refusal> {
    let keys = views.iter().map(|view| &view.device.key);
    try_join_all(keys.map(|key| secret(ask, permit, key))).await
}

/// The secret of a device; empty for a caller who may not see it, and for a device that was
/// deleted just now.
pub(super) async fn secret(
    ask: &Ask<'_>,
    permit: &Permit,
    key: &DeviceKey,
) -> Result<String, Refusal> {
    if !ask.may(READ_SECRET, &Resource::Device(key.clone())).await? {
        return Ok(String::new());
    }
    match ask.hub.device_secret(permit, key).await {
        Err(DeviceError::NotFound) => Ok(String::new()),
        read => Ok(read?),
    }
}

async fn info(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.device().await?;
    let view = ask.hub.device_find(&permit, &key).await?;
    let secret = secret(ask, &permit, &key).await?;
    fields(json!({ "Data": {
        "ProductKey": key.product,
        "DeviceName": key.name,
        "DeviceSecret": secret,
        "Nickname": view.device.nickname,
        "IotId": view.device.iot_id,
    }}))
}

async fn detail(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.device().await?;
    let view = ask.hub.device_find(&permit, &key).await?;
    let secret = secret(ask, &permit, &key).await?;
    let mut data = fold(ask, &permit, &view, &secret).await?;
    data.insert("Owner".into(), true.into());
    fields(json!({ "Data": data }))
}

/// All that is told of one device.
pub(super) async fn fold(
    ask: &Ask<'_>,
    permit: &Permit,
    view: &DeviceView,
    secret: &str,
) -> Result<Map<String, Value>, Refusal> {
    let device = &view.device;
    let product = ask
        .hub
        .product_find(permit, &device.key.product)
        .await?
        .product;
    let mut data = detailed(ask, view, &product, secret);
    for (name, value) in [
        ("GmtOnline", time::local(device.online).into()),
        ("UtcOnline", time::utc(device.online).into()),
        ("IpAddress", device.address.as_str().into()),
    ] {
        data.insert(name.into(), value);
    }
    Ok(data)
}

/// What details of one and of several devices have in common.
fn detailed(
    ask: &Ask<'_>,
    view: &DeviceView,
    product: &Product,
    secret: &str,
) -> Map<String, Value> {
    let device = &view.device;
    let row = json!({
        "Status": word(view.state),
        "ProductKey": device.key.product,
        "ProductName": product.name,
        "DeviceName": device.key.name,
        "DeviceSecret": secret,
        "Nickname": device.nickname,
        "IotId": device.iot_id,
        "NodeType": node_type(product.node),
        "Region": ask.region,
        "FirmwareVersion": device.firmware,
        "UtcCreate": time::utc(Some(device.created)),
        "GmtCreate": time::local(Some(device.created)),
        "UtcActive": time::utc(device.activated),
        "GmtActive": time::local(device.activated),
    });
    row.as_object().cloned().unwrap_or_default()
}

async fn details(ask: &Ask<'_>) -> Answer {
    let (permit, views) = named(ask, &product_key(ask.params.text("ProductKey"))?).await?;
    let Some((permit, first)) = permit.zip(views.first()) else {
        return fields(json!({ "Data": { "Data": [] } }));
    };
    let product = ask.hub.product_find(&permit, &first.device.key.product);
    let product = product.await?.product;
    let secrets = secrets(ask, &permit, &views).await?;
    let rows: Vec<_> = views
        .iter()
        .zip(secrets)
        .map(|(view, secret)| detailed(ask, view, &product, &secret))
        .collect();
    fields(json!({ "Data": { "Data": rows } }))
}

/// The devices of `DeviceName.N` that exist, each of which the caller may touch.
async fn named(
    ask: &Ask<'_>,
    product: &ProductKey,
) -> Result<(Option<Permit>, Vec<DeviceView>), Refusal> {
    let (mut permit, mut names) = (None, Vec::new());
    for name in ask.params.list("DeviceName") {
        let key = device_key(product, Some(name))?;
        permit = Some(ask.permit(&key).await?);
        names.push(key.name);
    }
    let views = match &permit {
        Some(permit) => ask.hub.device_find_many(permit, product, &names).await?,
        None => Vec::new(),
    };
    Ok((permit, views))
}

async fn status(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.device().await?;
    let view = ask.hub.device_find(&permit, &key).await?;
    fields(json!({ "Data": { "Status": word(view.state), "Timestamp": since(&view) } }))
}

async fn states(ask: &Ask<'_>) -> Answer {
    let ids = ask.params.list("IotId");
    let mut views = Vec::new();
    for id in ids {
        match ask.by_id(id).await {
            Ok(key) => {
                let permit = ask.permit(&key).await?;
                views.push(ask.hub.device_find(&permit, &key).await);
            }
            Err(Refusal::Device(DeviceError::NotFound)) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    let mut views: Vec<DeviceView> = present(views)?;
    if ids.is_empty() {
        if ask.params.list("DeviceName").is_empty() {
            let code = "iot.device.NoneDeviceNameElement";
            let message = "give DeviceName.N with ProductKey, or IotId.N";
            return Err(Business::new(code, message).into());
        }
        views = named(ask, &product_key(ask.params.text("ProductKey"))?)
            .await?
            .1;
    }
    let rows: Vec<_> = views
        .iter()
        .map(|view| {
            json!({
                "DeviceName": view.device.key.name,
                "DeviceId": view.device.iot_id,
                "IotId": view.device.iot_id,
                "Status": word(view.state),
                "Timestamp": since(view),
                "LastOnlineTime": time::local(view.device.online),
                "AsAddress": view.device.address,
            })
        })
        .collect();
    fields(json!({ "DeviceStatusList": { "DeviceStatus": rows } }))
}

/// Passes over devices that are not there.
fn present(found: Vec<Result<DeviceView, DeviceError>>) -> Result<Vec<DeviceView>, DeviceError> {
    let there = |view: &Result<_, _>| !matches!(view, Err(DeviceError::NotFound));
    found.into_iter().filter(there).collect()
}

/// Devices of one product or of all, by where they stand. The registry knows who was activated
/// and who is disabled; who is connected now has to be looked up row by row.
async fn by_status(ask: &Ask<'_>) -> Answer {
    let (wanted, activated, disabled) = match ask.params.integer("Status") {
        Some(0) => (DeviceState::Unactivated, Some(false), false),
        Some(1) => (DeviceState::Online, Some(true), false),
        Some(3) => (DeviceState::Offline, Some(true), false),
        Some(8) => (DeviceState::Disabled, None, true),
        _ => {
            let message = "Status is 0 inactive, 1 online, 3 offline or 8 disabled";
            return Err(Business::illegal(message).into());
        }
    };
    let filter = DeviceFilter {
        activated,
        disabled: Some(disabled),
    };
    let sheet = Sheet::read(&ask.params, 10, 50)?;
    let (permit, products) = match ask.params.text("ProductKey") {
        Some(_) => {
            let (permit, product) = ask.product().await?;
            (permit, vec![product])
        }
        None => {
            let mut keys = Vec::new();
            for view in all(ask).await? {
                // A product that is denied to the caller is left out.
                let key = view.product.key.clone();
                let resource = Resource::Product(key.clone());
                if ask.may(&ask.action.right(), &resource).await? {
                    keys.push(key);
                }
            }
            (ask.any().await?, keys)
        }
    };
    let (mut total, mut views) = (0_u64, Vec::new());
    for product in products {
        let mut skip = 0;
        loop {
            let (page, of) = ask
                .hub
                .device_page(&permit, &product, &filter, skip, SCAN)
                .await?;
            skip += page.len() as u64;
            let last = page.is_empty() || skip >= of;
            for view in page.into_iter().filter(|view| view.state == wanted) {
                if total >= sheet.skip() && views.len() < sheet.most() {
                    views.push(view);
                }
                total += 1;
            }
            if last {
                break;
            }
        }
    }
    let secrets = secrets(ask, &permit, &views).await?;
    let rows: Vec<_> = views
        .iter()
        .zip(secrets)
        .map(|(view, secret)| {
            let mut row = listed(view, &secret);
            row.insert("Status".into(), word(view.state).into());
            row
        })
        .collect();
    fields(json!({
        "PageSize": sheet.size,
        "PageCount": sheet.pages(total),
        "Total": total,
        "Page": sheet.number,
        "Data": { "SimpleDeviceInfo": rows },
    }))
}

async fn statistics(ask: &Ask<'_>) -> Answer {
    if let Some(group) = ask.params.text("GroupId") {
        let permit = ask.any().await?;
        let count = ask.hub.group_count(&permit, group).await?;
        return fields(json!({ "Data": {
            "deviceCount": count.devices,
            "activeCount": count.active,
            "onlineCount": count.online,
        }}));
    }
    let (permit, product) = match ask.params.text("ProductKey") {
        Some(_) => {
            let (permit, product) = ask.product().await?;
            (permit, Some(product))
        }
        None => (ask.any().await?, None),
    };
    let (count, online) = ask.hub.device_count(&permit, product.as_ref()).await?;
    fields(json!({ "Data": {
        "deviceCount": count.registered,
        "activeCount": count.activated,
        "onlineCount": online,
    }}))
}

async fn nicknames(ask: &Ask<'_>) -> Answer {
    let mut changes: Vec<(Permit, DeviceKey, &str)> = Vec::new();
    for record in ask.params.records("DeviceNicknameInfo") {
        let field = |name| record.get(name).copied().filter(|text| !text.is_empty());
        let key = match field("IotId") {
            Some(id) => ask.by_id(id).await?,
            None => device_key(&product_key(field("ProductKey"))?, field("DeviceName"))?,
        };
        let permit = ask.permit(&key).await?;
        ask.hub.device_find(&permit, &key).await?;
        changes.push((permit, key, field("Nickname").unwrap_or_default()));
    }
    for (permit, key, nickname) in changes {
        ask.hub.device_nickname(&permit, &key, nickname).await?;
    }
    nothing()
}

async fn disable(ask: &Ask<'_>, disabled: bool) -> Answer {
    let (permit, key) = ask.device().await?;
    let (_, turned) = ask.hub.device_disable(&permit, &key, disabled).await?;
    if turned && !disabled {
        tell_enabled(ask.hub, &permit, &key).await?;
    }
    nothing()
}

/// A gateway has too few sub-devices for the vendor's `JobId`, so there is none.
async fn reset(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.device().await?;
    ask.hub.device_reset(&permit, &key).await?;
    nothing()
}

async fn delete(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.device().await?;
    ask.hub.device_delete(&permit, &key).await?;
    nothing()
}

/// The vendor's word.
fn word(state: DeviceState) -> &'static str {
    match state {
        DeviceState::Unactivated => "UNACTIVE",
        DeviceState::Online => "ONLINE",
        DeviceState::Offline => "OFFLINE",
        DeviceState::Disabled => "DISABLE",
    }
}

/// Since when the device stands where it stands, in milliseconds, as far as that is known.
fn since(view: &DeviceView) -> i64 {
    let device = &view.device;
    let at = match view.state {
        DeviceState::Unactivated => None,
        DeviceState::Online => view.connected.or(device.online),
        DeviceState::Offline | DeviceState::Disabled => device.offline.or(device.online),
    };
    at.unwrap_or(device.created).0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [AL-2.1] Every state has the vendor's word.
    #[test]
    fn states_have_the_documented_words() {
        for (state, text) in [
            (DeviceState::Unactivated, "UNACTIVE"),
            (DeviceState::Online, "ONLINE"),
            (DeviceState::Offline, "OFFLINE"),
            (DeviceState::Disabled, "DISABLE"),
        ] {
            assert_eq!(word(state), text);
        }
    }
}
