//! Topology: gateways and the sub-devices that are bound to them ([AL-6.1]).

use super::{
    Action, Answer, Ask, Refusal,
    device::{fold, secret},
    device_key, fields, nothing,
    parameter::{DEVICE_NAME, IOT_ID, PRODUCT_KEY, Record, integer, records, text},
    product_key,
};
use crate::codes::business::{Business, Family};
use credential::alink::{Channel as SignedAt, Signed};
use hub::{
    account::Permit,
    admit::Claim,
    edge::{Channel, Peer},
};
use model::id::DeviceKey;
use serde::Deserialize;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};

pub(super) const ROWS: &[Action] = &[
    Action::reads(
        "GetThingTopo",
        Family::TopoRead,
        &[
            integer("PageSize").needed(),
            integer("PageNo").needed(),
            PRODUCT_KEY,
            DEVICE_NAME,
            IOT_ID,
        ],
        |ask| Box::pin(list(ask)),
    ),
    Action::reads(
        "GetGatewayBySubDevice",
        Family::TopoRead,
        &[PRODUCT_KEY, DEVICE_NAME, IOT_ID],
        |ask| Box::pin(gateway(ask)),
    ),
    Action::changes(
        "NotifyAddThingTopo",
        Family::TopoAdd,
        &[
            text("DeviceListStr").needed(),
            text("GwIotId"),
            text("GwProductKey"),
            text("GwDeviceName"),
        ],
        |ask| Box::pin(ask_to_bind(ask)),
    ),
    Action::changes(
        "BatchAddThingTopo",
        Family::TopoAdd,
        &[
            text("GwProductKey").needed(),
            text("GwDeviceName").needed(),
            records(
                "TopoAddItem",
                &[
                    "ProductKey",
                    "DeviceName",
                    "Sign",
                    "Timestamp",
                    "SignMethod",
                    "ClientId",
                ],
                50,
            )
            .needed(),
        ],
        |ask| Box::pin(bind(ask)),
    ),
    Action::changes(
        "RemoveThingTopo",
        Family::TopoRemove,
        &[PRODUCT_KEY, DEVICE_NAME, IOT_ID],
        |ask| Box::pin(remove(ask)),
    ),
];

/// Rows on a page.
const MOST: u64 = 50;

async fn list(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.device().await?;
    let read = |name| u64::try_from(ask.params.integer(name).unwrap_or_default());
    let (number, size) = match (read("PageNo"), read("PageSize")) {
        (Ok(number), Ok(size)) if number >= 1 && (1..=MOST).contains(&size) => (number, size),
        _ => {
            let why = format!("PageNo starts at 1, and PageSize goes from 1 to {MOST}");
            return Err(Business::page(why).into());
        }
    };
    let skip = (number - 1).saturating_mul(size);
    let most = usize::try_from(size).unwrap_or(usize::MAX);
    let (rows, total) = ask.hub.topo_page(&permit, &key, skip, most).await?;
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "ProductKey": row.sub.product,
                "DeviceName": row.sub.name,
                "IotId": row.sub_id,
            })
        })
        .collect();
    fields(json!({ "Data": {
        "CurrentPage": number,
        "PageSize": size,
        "PageCount": total.div_ceil(size),
        "Total": total,
        "List": { "deviceInfo": rows },
    }}))
}

async fn gateway(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.device().await?;
    let Some(view) = ask.hub.topo_gateway(&permit, &key).await? else {
        let code = "iot.device.QueryTopoRelationFailed";
        return Err(Business::new(code, "the device is bound to no gateway").into());
    };
    let permit = ask.permit(&view.device.key).await?;
    let secret = secret(ask, &permit, &view.device.key).await?;
    let mut data = fold(ask, &permit, &view, &secret).await?;
    // This action spells two of them its own way.
    for (from, to) in [("IotId", "iotId"), ("Region", "region")] {
        if let Some(value) = data.remove(from) {
            data.insert(to.into(), value);
        }
    }
    fields(json!({ "Data": data }))
}

/// A device as a list of them names it.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "productKey")]
    product: Option<String>,
    #[serde(rename = "deviceName")]
    name: Option<String>,
    #[serde(rename = "IotId", alias = "iotId")]
    id: Option<String>,
}

async fn ask_to_bind(ask: &Ask<'_>) -> Answer {
    let (permit, gateway) = gateway_of(ask).await?;
    let listed: Vec<Named> =
        serde_json::from_str(ask.params.needed("DeviceListStr")).map_err(|error| {
            let code = "iot.device.AddTopoRelationFailed";
            Business::new(
                code,
                format!("DeviceListStr is no list of devices: {error}"),
            )
        })?;
    let mut devices = Vec::with_capacity(listed.len());
    for named in listed {
        let key = match named.id {
            Some(id) => ask.by_id(&id).await?,
            None => {
                let product = product_key(named.product.as_deref())?;
                device_key(&product, named.name.as_deref())?
            }
        };
        ask.permit(&key).await?;
        devices.push(key);
    }
    let command = ask.hub.topo_ask(&permit, &gateway, devices).await?;
    fields(json!({ "Data": { "MessageId": command.to_string() } }))
}

/// The gateway of `GwIotId`, or else of `GwProductKey` and `GwDeviceName`, with a permit for it.
async fn gateway_of(ask: &Ask<'_>) -> Result<(Permit, DeviceKey), Refusal> {
    let key = match ask.params.text("GwIotId") {
        Some(id) => ask.by_id(id).await?,
        None => {
            let product = product_key(ask.params.text("GwProductKey"))?;
            device_key(&product, ask.params.text("GwDeviceName"))?
        }
    };
    let permit = ask.permit(&key).await?;
    Ok((permit, key))
}

async fn bind(ask: &Ask<'_>) -> Answer {
    let product = product_key(ask.params.text("GwProductKey"))?;
    let gateway = device_key(&product, ask.params.text("GwDeviceName"))?;
    let permit = ask.permit(&gateway).await?;
    let mut claims = Vec::new();
    for record in ask.params.records("TopoAddItem") {
        let claim = proof(ask, record)?;
        ask.permit(&claim.device).await?;
        claims.push(claim);
    }
    ask.hub.topo_bind_proven(&permit, &gateway, &claims).await?;
    nothing()
}

/// The same proof as a gateway's own request has (seed 001 §6.3).
fn proof(ask: &Ask<'_>, record: &Record<'_>) -> Result<Claim, Refusal> {
    let text = |name: &str| record.get(name).copied();
    let product = product_key(text("ProductKey"))?;
    let device = device_key(&product, text("DeviceName"))?;
    let mut signed = Vec::new();
    for (field, name) in [
        ("clientId", "ClientId"),
        ("deviceName", "DeviceName"),
        ("productKey", "ProductKey"),
        ("timestamp", "Timestamp"),
    ] {
        if let Some(value) = text(name) {
            signed.push((field.to_owned(), value.to_owned()));
        }
    }
    let sign = text("Sign").unwrap_or_default().to_owned();
    let evidence = Signed::new(SignedAt::TopoAdd, text("SignMethod"), signed, sign);
    let evidence = evidence
        .map_err(|error| Business::new("iot.device.AddTopoRelationFailed", error.to_string()))?;
    let address = ask.caller.address.parse();
    Ok(Claim {
        device,
        evidence: Box::new(evidence),
        says_secure: None,
        peer: Peer {
            address: address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            channel: Channel::Https,
        },
    })
}

async fn remove(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.device().await?;
    if !ask.hub.topo_remove(&permit, &key).await? {
        let code = "iot.device.RemoveTopoRelationFailed";
        return Err(Business::new(code, "the device is bound to no gateway").into());
    }
    fields(json!({ "Data": true }))
}
