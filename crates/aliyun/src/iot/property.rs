//! Properties: set, and read with their history ([AL-6.3]).

use super::{
    Action, Answer, Ask, Refusal, device_key, fields, nothing,
    page::{next, span},
    parameter::{DEVICE_NAME, IOT_ID, PRODUCT_KEY, integer, list, text},
    product_key, shown,
};
use crate::codes::business::{self, Business, Family};
use futures_util::future::{join_all, try_join_all};
use hub::{
    account::Permit,
    property::{Page, PageWanted},
};
use model::{error::DeviceError, id::DeviceKey, id::Time};
use serde_json::{Map, Value, json};

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "SetDeviceProperty",
        Family::PropertySet,
        &[
            text("Items").needed(),
            PRODUCT_KEY,
            DEVICE_NAME,
            IOT_ID,
            integer("Qos"),
        ],
        |ask| Box::pin(set(ask)),
    ),
    Action::changes(
        "SetDevicesProperty",
        Family::PropertySet,
        &[
            PRODUCT_KEY.needed(),
            text("Items").needed(),
            list("DeviceName", 500).needed(),
            integer("Qos"),
        ],
        |ask| Box::pin(set_many(ask)),
    ),
    Action::reads(
        "QueryDevicePropertyData",
        Family::PropertyRead,
        &[
            text("Identifier").needed(),
            integer("StartTime").needed(),
            integer("EndTime").needed(),
            integer("Asc").needed(),
            integer("PageSize").needed(),
            PRODUCT_KEY,
            DEVICE_NAME,
            IOT_ID,
        ],
        |ask| Box::pin(history(ask)),
    ),
    Action::reads(
        "QueryDevicePropertiesData",
        Family::PropertyRead,
        &[
            list("Identifier", 10).needed(),
            integer("StartTime").needed(),
            integer("EndTime").needed(),
            integer("Asc").needed(),
            integer("PageSize").needed(),
            PRODUCT_KEY,
            DEVICE_NAME,
            IOT_ID,
        ],
        |ask| Box::pin(histories(ask)),
    ),
    Action::reads(
        "QueryDevicePropertyStatus",
        Family::PropertyRead,
        &[PRODUCT_KEY, DEVICE_NAME, IOT_ID, text("FunctionBlockId")],
        |ask| Box::pin(latest(ask)),
    ),
];

/// The properties in `Items`.
pub(super) fn items(ask: &Ask<'_>) -> Result<Map<String, Value>, Business> {
    let items: Map<String, Value> =
        serde_json::from_str(ask.params.needed("Items")).map_err(|error| {
            let code = "iot.device.InvalidFormattedDevicePropertiesString";
            Business::new(code, format!("Items is not a JSON object: {error}"))
        })?;
    if items.is_empty() {
        let code = "iot.device.NoneDeviceProperties";
        return Err(Business::new(code, "Items has no property"));
    }
    Ok(items)
}

async fn set(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.device().await?;
    let command = ask.hub.property_set(&permit, &device, items(ask)?).await?;
    fields(json!({ "Data": { "MessageId": command.to_string() } }))
}

async fn set_many(ask: &Ask<'_>) -> Answer {
    let items = items(ask)?;
    let devices = devices(ask).await?;
    let set = |(permit, key)| ask.hub.property_set(permit, key, items.clone());
    let done = join_all(devices.iter().map(parts).map(set)).await;
    told(&devices, done, ask.action.family)
}

/// The devices of `DeviceName.N`, with permits: one that the caller may not touch is an error
/// before any other is touched.
pub(super) async fn devices(ask: &Ask<'_>) -> Result<Vec<(Permit, DeviceKey)>, Refusal> {
    let product = product_key(ask.params.text("ProductKey"))?;
    let names = ask.params.list("DeviceName").iter();
    let keys = names
        .map(|name| device_key(&product, Some(name)))
        .collect::<Result<Vec<_>, _>>()?;
    let permits = try_join_all(keys.iter().map(|key| ask.permit(key))).await?;
    Ok(permits.into_iter().zip(keys).collect())
}

pub(super) fn parts((permit, key): &(Permit, DeviceKey)) -> (&Permit, &DeviceKey) {
    (permit, key)
}

/// An empty result; or, where it did not work for some devices, the code of the first one, with
/// a message that names them all.
pub(super) fn told<T>(
    devices: &[(Permit, DeviceKey)],
    done: Vec<Result<T, DeviceError>>,
    family: Family,
) -> Answer {
    let names = devices.iter().map(|(_, key)| key.name.as_str());
    let failed: Vec<_> = names
        .zip(done)
        .filter_map(|(name, done)| Some((name, done.err()?)))
        .collect();
    match failures(&failed, family) {
        Some(error) => Err(error.into()),
        None => nothing(),
    }
}

fn failures(failed: &[(&str, DeviceError)], family: Family) -> Option<Business> {
    let (_, first) = failed.first()?;
    let code = business::device(first, family).code;
    let names = failed.iter();
    let names: Vec<_> = names
        .map(|(name, error)| format!("{name}: {error}"))
        .collect();
    Some(Business::new(code, names.join("; ")))
}

async fn history(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.device().await?;
    let wanted = span(ask, 10, 50)?;
    let identifier = ask.params.needed("Identifier");
    let page = ask
        .hub
        .property_history(&permit, &device, identifier, wanted)
        .await?;
    let (more, at) = next(&page, &wanted);
    let rows: Vec<_> = page
        .points
        .iter()
        .map(|point| json!({ "Time": point.at.0.to_string(), "Value": shown(&point.value) }))
        .collect();
    fields(json!({ "Data": {
        "NextValid": more,
        "NextTime": at,
        "List": { "PropertyInfo": rows },
    }}))
}

async fn histories(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.device().await?;
    let wanted = span(ask, 10, 100)?;
    let mut pages = Vec::new();
    for identifier in ask.params.list("Identifier") {
        let page = ask
            .hub
            .property_history(&permit, &device, identifier, wanted)
            .await?;
        pages.push((*identifier, page));
    }
    let edge = align(&mut pages, &wanted);
    let rows: Vec<_> = pages
        .iter()
        .map(|(identifier, page)| {
            let points: Vec<_> = page
                .points
                .iter()
                .map(|point| json!({ "Time": point.at.0, "Value": shown(&point.value) }))
                .collect();
            json!({ "Identifier": identifier, "List": { "PropertyInfo": points } })
        })
        .collect();
    let end = if wanted.oldest_first {
        wanted.to
    } else {
        wanted.from
    };
    fields(json!({
        "NextValid": edge.is_some(),
        "NextTime": edge.unwrap_or(end).0,
        "PropertyDataInfos": { "PropertyDataInfo": rows },
    }))
}

/// One time has to lead to the next page of all properties: the nearest one. What lies behind it
/// is left to that page, so that it is neither skipped nor given twice.
fn align(pages: &mut [(&str, Page)], wanted: &PageWanted) -> Option<Time> {
    let times = pages.iter().filter_map(|(_, page)| page.next);
    let edge = if wanted.oldest_first {
        times.min()
    } else {
        times.max()
    }?;
    for (_, page) in pages {
        page.points.retain(|point| {
            if wanted.oldest_first {
                point.at < edge
            } else {
                point.at > edge
            }
        });
    }
    Some(edge)
}

async fn latest(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.device().await?;
    let block = ask.params.text("FunctionBlockId");
    let rows: Vec<_> = ask
        .hub
        .property_latest(&permit, &device, block)
        .await?
        .into_iter()
        .map(|latest| {
            let (value, time) = match &latest.value {
                Some((value, at)) => (shown(value), at.0.to_string()),
                None => (String::new(), String::new()),
            };
            json!({
                "Identifier": latest.identifier,
                "Name": latest.name,
                "DataType": latest.data_type,
                "Unit": latest.unit,
                "Value": value,
                "Time": time,
            })
        })
        .collect();
    fields(json!({ "Data": { "List": { "PropertyStatusInfo": rows } } }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{
        id::{IotId, Position},
        port::{Point, Stream},
    };

    fn page(times: &[i64], next: Option<i64>) -> Page {
        let point = |at: &i64| Point {
            iot_id: IotId::parse("id").expect("it is good"),
            stream: Stream::Property,
            identifier: "p".into(),
            kind: None,
            at: Time(*at),
            position: Position(1),
            value: json!(at),
        };
        Page {
            points: times.iter().map(point).collect(),
            next: next.map(Time),
        }
    }

    /// [AL-6.3] Paging several properties at once gives each point once.
    #[test]
    fn pages_of_several_properties_end_at_the_same_time() {
        let mut wanted = PageWanted {
            from: Time(0),
            to: Time(9),
            oldest_first: true,
            most: 3,
        };
        let times = |pages: &[(&str, Page)]| {
            let times = |page: &Page| page.points.iter().map(|p| p.at.0).collect::<Vec<_>>();
            pages
                .iter()
                .map(|(_, page)| times(page))
                .collect::<Vec<_>>()
        };
        let mut pages = [
            ("a", page(&[1, 2, 3], Some(4))),
            ("b", page(&[1, 5, 7], Some(8))),
        ];
        assert_eq!(align(&mut pages, &wanted), Some(Time(4)));
        assert_eq!(times(&pages), [vec![1, 2, 3], vec![1]]);
        wanted.oldest_first = false;
        let mut pages = [("a", page(&[9, 8, 7], Some(6))), ("b", page(&[6, 2], None))];
        assert_eq!(align(&mut pages, &wanted), Some(Time(6)));
        assert_eq!(times(&pages), [vec![9, 8, 7], vec![]]);
        let mut pages = [("a", page(&[9], None))];
        assert_eq!(align(&mut pages, &wanted), None);
        assert_eq!(times(&pages), [[9]]);
    }

    #[test]
    fn a_batch_names_the_devices_it_did_not_work_for() {
        let failed = [
            ("lamp2", DeviceError::NotFound),
            ("lamp3", DeviceError::NotModelled),
        ];
        let error = failures(&failed, Family::PropertySet).expect("two devices failed");
        assert_eq!(error.code, "iot.device.NotExistedDevice");
        assert!(error.message.contains("lamp2: ") && error.message.contains("lamp3: "));
        assert_eq!(failures(&[], Family::PropertySet), None);
    }
}
