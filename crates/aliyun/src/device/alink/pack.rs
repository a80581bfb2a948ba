//! Batches of properties and events, of a gateway with its sub-devices and of the past (seed 001
//! §6.5; spec/alink-wire.md §6.2).

use hub::pack::{Items, Parcel};
use model::id::DeviceKey;
use serde_json::{Map, Value};

/// Values in one parcel, whatever the hub allows; what is longer is not read.
const MOST: usize = 10_000;

/// What a gateway says of itself, and of others.
pub(crate) type Pack = (Parcel, Vec<(DeviceKey, Parcel)>);

/// Reads the parameters of `property/pack/post`.
///
/// # Errors
/// What cannot be read, in words.
pub(crate) fn read(params: &Value) -> Result<Pack, &'static str> {
    let params = params.as_object().ok_or("params is not an object")?;
    let own = parcel(params)?;
    let subs = match params.get("subDevices") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(subs)) => subs.iter().map(sub).collect::<Result<_, _>>()?,
        Some(_) => return Err("subDevices is not a list"),
    };
    Ok((own, subs))
}

/// Reads the parameters of `property/history/post`: a list of devices, each with lists of
/// properties and of events.
///
/// # Errors
/// What cannot be read, in words.
pub(crate) fn read_history(params: &Value) -> Result<Vec<(DeviceKey, Parcel)>, &'static str> {
    let list = params.as_array().ok_or("params is not a list")?;
    list.iter().map(sub).collect()
}

fn sub(sub: &Value) -> Result<(DeviceKey, Parcel), &'static str> {
    let sub = sub.as_object().ok_or("a device is not an object")?;
    let text = |name: &str| sub.get("identity")?.get(name)?.as_str();
    let key = text("productKey").zip(text("deviceName"));
    let key = key.and_then(|(product, name)| DeviceKey::parse(product, name).ok());
    let key = key.ok_or("identity lacks productKey or deviceName")?;
    Ok((key, parcel(sub)?))
}

fn parcel(object: &Map<String, Value>) -> Result<Parcel, &'static str> {
    Ok(Parcel {
        properties: items(object.get("properties"))?,
        events: items(object.get("events"))?,
    })
}

/// One object, or a list of objects; of each name one value, or a list of values with their times.
fn items(sent: Option<&Value>) -> Result<Items, &'static str> {
    let mut items = Vec::new();
    match sent {
        None | Some(Value::Null) => {}
        Some(Value::Object(object)) => add(&mut items, object)?,
        Some(Value::Array(list)) => {
            for object in list {
                let object = object.as_object();
                add(&mut items, object.ok_or("a list has what is no object")?)?;
            }
        }
        Some(_) => return Err("properties or events are not objects"),
    }
    Ok(items)
}

fn add(items: &mut Items, object: &Map<String, Value>) -> Result<(), &'static str> {
    for (name, sent) in object {
        let timed = |value: &Value| value.get("value").is_some();
        match sent {
            Value::Array(list) if !list.is_empty() && list.iter().all(timed) => {
                items.extend(list.iter().map(|value| (name.clone(), value.clone())));
            }
            one => items.push((name.clone(), one.clone())),
        }
        if items.len() > MOST {
            return Err("more values than one message may have");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// [AL-6.7] The form of the document, and lists of values as later pages have them.
    #[test]
    fn a_pack_is_read() {
        let (own, subs) = read(&json!({
            "properties": {"Power": {"value": "on", "time": 1524448722000_u64}, "WF": 7},
            "events": {"alarm": {"value": {"p": 1}, "time": 1}},
            "subDevices": [{
                "identity": {"productKey": "pk", "deviceName": "sub1"},
                "properties": [{"Power": [{"value": 1, "time": 1}, {"value": 2, "time": 2}]}],
            }],
        }))
        .unwrap();
        assert_eq!(own.properties.len(), 2);
        assert_eq!(own.events.len(), 1);
        let (key, parcel) = &subs[0];
        assert_eq!(key, &DeviceKey::parse("pk", "sub1").unwrap());
        let value = |value: i32| ("Power".to_owned(), json!({"value": value, "time": value}));
        assert_eq!(parcel.properties, [value(1), value(2)]);
        assert_eq!(read(&json!({})).unwrap(), (Parcel::default(), vec![]));
        let history = json!([{"identity": {"productKey": "pk", "deviceName": "dev1"},
            "properties": [{"Power": {"value": 1, "time": 5}}], "events": []}]);
        assert_eq!(read_history(&history).unwrap().len(), 1);
    }

    /// [AL-6.7]
    #[test]
    fn what_is_no_pack_is_refused() {
        for bad in [
            json!(null),
            json!([]),
            json!({"properties": 7}),
            json!({"events": [7]}),
            json!({"subDevices": {}}),
            json!({"subDevices": [7]}),
            json!({"subDevices": [{"identity": {"productKey": "pk"}}]}),
            json!({"subDevices": [{"identity": {"productKey": "", "deviceName": ""}}]}),
        ] {
            assert!(read(&bad).is_err(), "{bad}");
        }
        assert!(read_history(&json!({})).is_err());
    }
}
