//! What a whole message holds, against the thing model: posted properties are sifted, events and
//! calls fit or are refused (seed 001 §6.5).

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::value::{fit_fields, millis, shown};
use super::{Access, CallType, DataType, EventKind, Misfit, Tsl, fit};

/// A property value that fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Name on the wire: `identifier` or `block:identifier`.
    pub identifier: String,
    /// Value in the form it is kept in, see [`fit`].
    pub value: Value,
    /// When it was so, UTC milliseconds: as the device said, else when it arrived.
    pub time_ms: i64,
}

/// A property post, sifted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sifted {
    /// What fits.
    pub kept: Vec<Kept>,
    /// What does not, and why. Dropping all of a post is still success (seed 001 §6.5, 6313).
    pub dropped: Vec<(String, Misfit)>,
}

/// Sifts a property post, `{k: v}` or `{k: {value, time}}`, mixed as the device likes. How many
/// properties one post may hold is the caller's rule.
pub fn sift_properties(tsl: &Tsl, params: &Map<String, Value>, received_ms: i64) -> Sifted {
    let mut sifted = Sifted::default();
    for (name, sent) in params {
        match property(tsl, name, sent, received_ms) {
            Ok((value, time_ms)) => {
                sifted.kept.push(Kept {
                    identifier: name.clone(),
                    value,
                    time_ms,
                });
            }
            Err(misfit) => sifted.dropped.push((shown(name), misfit)),
        }
    }
    sifted
}

fn property(tsl: &Tsl, name: &str, sent: &Value, received_ms: i64) -> Result<(Value, i64), Misfit> {
    let property = tsl.property(name).ok_or(Misfit::Unknown)?;
    // A property the cloud may only write is not reported: nobody may read the report.
    if !property.access.readable() {
        return Err(Misfit::WriteOnly);
    }
    let Some((value, time)) = wrapped(sent) else {
        return Ok((fit(&property.data, sent)?, received_ms));
    };
    // The fields of a struct may themselves be called `value` and `time`.
    if declares_value(&property.data)
        && let Ok(bare) = fit(&property.data, sent)
    {
        return Ok((bare, received_ms));
    }
    Ok((fit(&property.data, value)?, time_of(time, received_ms)?))
}

fn declares_value(data: &DataType) -> bool {
    matches!(data, DataType::Struct(fields) if fields.iter().any(|f| f.identifier == "value"))
}

/// The parts of `{value}` or `{value, time}`; an object with any other key is not a wrapping.
fn wrapped(sent: &Value) -> Option<(&Value, Option<&Value>)> {
    let object = sent.as_object()?;
    let value = object.get("value")?;
    let time = object.get("time");
    (object.len() == 1 + usize::from(time.is_some())).then_some((value, time))
}

fn time_of(time: Option<&Value>, received_ms: i64) -> Result<i64, Misfit> {
    match time {
        None | Some(Value::Null) => Ok(received_ms),
        Some(time) => millis(time).ok_or(Misfit::BadTime),
    }
}

/// An event that fits.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedEvent {
    /// How serious it is.
    pub kind: EventKind,
    /// Display name.
    pub name: String,
    /// What it carries, in the form it is kept in.
    pub output: Map<String, Value>,
    /// When it happened, UTC milliseconds: as the device said, else when it arrived.
    pub time_ms: i64,
}

/// Checks an event post, `{value: {..}, time}` or the bare object; an event that does not fit is
/// refused whole (seed 001 §6.5).
pub fn fit_event(
    tsl: &Tsl,
    identifier: &str,
    params: &Value,
    received_ms: i64,
) -> Result<FittedEvent, Misfit> {
    let event = tsl.event(identifier).ok_or(Misfit::Unknown)?;
    // No parameter of an event may be called `value`, so the wrapping is never ambiguous.
    let (value, time) = wrapped(params).unwrap_or((params, None));
    let output = fit_fields(&event.output, object(value)?)?;
    let time_ms = time_of(time, received_ms)?;
    Ok(FittedEvent {
        kind: event.kind,
        name: event.name.clone(),
        output,
        time_ms,
    })
}

static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// An object; null and nothing at all stand for an empty one.
fn object(value: &Value) -> Result<&Map<String, Value>, Misfit> {
    match value {
        Value::Null => Ok(&NOTHING),
        Value::Object(object) => Ok(object),
        _ => Err(Misfit::WrongType {
            wanted: "an object",
        }),
    }
}

/// Checks the arguments of a service call and gives them in the form the device gets them, with
/// the way the service is called.
pub fn fit_service_input(
    tsl: &Tsl,
    identifier: &str,
    args: &Value,
) -> Result<(CallType, Map<String, Value>), Misfit> {
    let service = tsl.service(identifier).ok_or(Misfit::Unknown)?;
    Ok((service.call, fit_fields(&service.input, object(args)?)?))
}

/// A device's answer to a service call, sifted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SiftedOutput {
    /// Results that fit.
    pub kept: Map<String, Value>,
    /// Results that do not, and why; an answer that is no object is named by an empty text.
    pub dropped: Vec<(String, Misfit)>,
}

/// Sifts a device's answer to a service call. The service has been done whatever the answer looks
/// like, so nothing is refused: results that do not fit are told apart.
pub fn fit_service_output(
    tsl: &Tsl,
    identifier: &str,
    data: &Value,
) -> Result<SiftedOutput, Misfit> {
    let service = tsl.service(identifier).ok_or(Misfit::Unknown)?;
    let mut sifted = SiftedOutput::default();
    let results = match object(data) {
        Ok(results) => results,
        Err(misfit) => {
            sifted.dropped.push((String::new(), misfit));
            return Ok(sifted);
        }
    };
    for (name, value) in results {
        let field = service
            .output
            .iter()
            .find(|field| field.identifier == *name);
        match field.map_or(Err(Misfit::Unknown), |field| fit(&field.data, value)) {
            Ok(value) => {
                sifted.kept.insert(name.clone(), value);
            }
            Err(misfit) => sifted.dropped.push((shown(name), misfit)),
        }
    }
    Ok(sifted)
}

/// Why the cloud may not set what it was asked to set.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("property {identifier} {misfit}")]
pub struct Unsettable {
    /// The first property at fault.
    pub identifier: String,
    /// What is wrong with it.
    pub misfit: Misfit,
}

/// Checks the values the cloud is asked to set (at once or as desired values): known, writable,
/// of the right type, in range. All or nothing. Gives them in the form the device gets them.
pub fn fit_settable(
    tsl: &Tsl,
    items: &Map<String, Value>,
) -> Result<Map<String, Value>, Unsettable> {
    let mut settable = Map::new();
    for (name, value) in items {
        let fitted = match tsl.property(name) {
            None => Err(Misfit::Unknown),
            Some(property) => match property.access {
                Access::Read => Err(Misfit::ReadOnly),
                Access::Write | Access::ReadWrite => fit(&property.data, value),
            },
        };
        let fitted = fitted.map_err(|misfit| Unsettable {
            identifier: shown(name),
            misfit,
        })?;
        settable.insert(name.clone(), fitted);
    }
    Ok(settable)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::thing::samples;

    const NOW: i64 = 1_600_000_000_000;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is no object"),
        }
    }

    fn kept(identifier: &str, value: Value, time_ms: i64) -> Kept {
        Kept {
            identifier: identifier.into(),
            value,
            time_ms,
        }
    }

    #[test]
    fn both_forms_of_a_property_post_are_read() {
        // [AL-6.3]
        let post = json!({
            "Level": { "value": 7, "time": 1_524_448_722_000_i64 },
            "Power": true,
            "Ratio": { "value": "0.5" },
            "room_1:Heat": { "value": 20.5, "time": "1524448722001" },
        });
        let sifted = sift_properties(&samples::rich(), &map(post), NOW);
        let mut all = sifted.kept;
        all.sort_by(|a, b| a.identifier.cmp(&b.identifier));
        let wanted = [
            kept("Level", json!(7), 1_524_448_722_000),
            kept("Power", json!(1), NOW),
            kept("Ratio", json!(0.5), NOW),
            kept("room_1:Heat", json!(20.5), 1_524_448_722_001),
        ];
        assert_eq!(all, wanted);
        assert_eq!(sifted.dropped, []);
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_the_rest_kept() {
        // [AL-6.3]
        let post = json!({
            "Level": 101,
            "Mode": 1,
            "Nobody": 1,
            "other:Level": 1,
            "Secret": "x",
            "When": { "value": "1", "time": "yesterday" },
            "Ratio": { "value": 0.5, "note": "not a wrapping" },
        });
        let sifted = sift_properties(&samples::rich(), &map(post), NOW);
        assert_eq!(sifted.kept, [kept("Mode", json!(1), NOW)]);
        let mut dropped = sifted.dropped;
        dropped.sort_by(|a, b| a.0.cmp(&b.0));
        let wanted = [
            ("Level".into(), Misfit::AboveMaximum { max: 100.0 }),
            ("Nobody".into(), Misfit::Unknown),
            ("Ratio".into(), Misfit::WrongType { wanted: "a number" }),
            ("Secret".into(), Misfit::WriteOnly),
            ("When".into(), Misfit::BadTime),
            ("other:Level".into(), Misfit::Unknown),
        ];
        assert_eq!(dropped, wanted);
    }

    #[test]
    fn a_struct_may_have_fields_called_value_and_time() {
        // [AL-6.3]
        let tsl = samples::rich();
        let sift = |sent: Value| {
            let sifted = sift_properties(&tsl, &map(json!({ "Sample": sent })), NOW);
            (
                sifted.kept.first().map(|k| (k.value.clone(), k.time_ms)),
                sifted.dropped,
            )
        };
        let bare = json!({ "value": 3, "time": "9" });
        assert_eq!(sift(bare.clone()), (Some((bare.clone(), NOW)), vec![]));
        assert_eq!(
            sift(json!({ "value": bare, "time": 5 })),
            (Some((bare.clone(), 5)), vec![])
        );
        assert_eq!(sift(json!({ "value": bare })), (Some((bare, NOW)), vec![]));
        let (none, dropped) = sift(json!({ "value": "x", "time": 5 }));
        assert_eq!((none, dropped.len()), (None, 1));
    }

    #[test]
    fn events_are_read_in_both_forms_and_refused_when_they_do_not_fit() {
        // [AL-6.4]
        let tsl = samples::rich();
        let event = fit_event(&tsl, "Alarm", &json!({ "Code": 3 }), NOW).expect("bare");
        assert_eq!((event.kind, event.time_ms), (EventKind::Alert, NOW));
        let wrapped = json!({ "value": { "Code": "3" }, "time": 7 });
        let event = fit_event(&tsl, "Alarm", &wrapped, NOW).expect("wrapped");
        assert_eq!(
            (Value::Object(event.output), event.time_ms),
            (json!({ "Code": 3 }), 7)
        );
        let event = fit_event(&tsl, "room_1:Opened", &Value::Null, NOW).expect("no output");
        assert_eq!(event.kind, EventKind::Info);
        assert_eq!(
            fit_event(&tsl, "Broken", &json!({}), NOW)
                .expect("empty")
                .kind,
            EventKind::Error
        );

        let refused = |name: &str, params: Value| {
            fit_event(&tsl, name, &params, NOW)
                .expect_err("refused")
                .to_string()
        };
        assert_eq!(refused("Nothing", json!({})), "is not in the thing model");
        assert_eq!(
            refused("Alarm", json!({ "Code": 300 })),
            "Code is above its maximum 255"
        );
        assert_eq!(
            refused("Alarm", json!({ "Kode": 3 })),
            "Kode is not in the thing model"
        );
        assert_eq!(refused("Alarm", json!([3])), "must be an object");
        let late = json!({ "value": {}, "time": "late" });
        assert_eq!(
            refused("Alarm", late),
            "has a time that is not UTC milliseconds"
        );
    }

    #[test]
    fn service_arguments_fit_or_are_refused_with_the_parameter_named() {
        // [AL-6.5]
        let tsl = samples::rich();
        let (call, args) =
            fit_service_input(&tsl, "SetWeight", &json!({ "NewWeight": "100.8" })).expect("fits");
        assert_eq!(
            (call, Value::Object(args)),
            (CallType::Async, json!({ "NewWeight": 100.8 }))
        );
        let (call, _) = fit_service_input(&tsl, "room_1:Open", &json!({})).expect("no arguments");
        assert_eq!(call, CallType::Sync);

        let refused = |name: &str, args: Value| {
            fit_service_input(&tsl, name, &args)
                .expect_err("refused")
                .to_string()
        };
        assert_eq!(refused("Nothing", json!({})), "is not in the thing model");
        assert_eq!(refused("SetWeight", json!({})), "NewWeight is missing");
        assert_eq!(
            refused("SetWeight", json!({ "NewWeight": 201 })),
            "NewWeight is above its maximum 200"
        );
        assert_eq!(refused("SetWeight", json!("{}")), "must be an object");
    }

    #[test]
    fn service_results_are_sifted_never_refused() {
        // [AL-6.5]
        let tsl = samples::rich();
        let answer = json!({ "OldWeight": 100.101, "CollectTime": 5, "Extra": 1 });
        let output = fit_service_output(&tsl, "SetWeight", &answer).expect("known");
        assert_eq!(Value::Object(output.kept), json!({ "OldWeight": 100.101 }));
        assert_eq!(output.dropped.len(), 2);
        let output = fit_service_output(&tsl, "SetWeight", &json!("{}")).expect("known");
        assert_eq!((output.kept.len(), output.dropped.len()), (0, 1));
        assert_eq!(
            fit_service_output(&tsl, "None", &answer),
            Err(Misfit::Unknown)
        );
    }

    #[test]
    fn only_writable_properties_are_set_and_the_error_names_the_property() {
        // [AL-6.3] r, w and rw
        let tsl = samples::rich();
        let items = json!({ "Level": "30", "Secret": "s", "room_1:Heat": 20 });
        let fitted = fit_settable(&tsl, &map(items)).expect("writable");
        assert_eq!(
            Value::Object(fitted),
            json!({ "Level": 30, "Secret": "s", "room_1:Heat": 20 })
        );
        let refused = |items: Value| {
            fit_settable(&tsl, &map(items))
                .expect_err("refused")
                .to_string()
        };
        assert_eq!(
            refused(json!({ "Ratio": 0.5 })),
            "property Ratio is read-only"
        );
        assert_eq!(
            refused(json!({ "Level": 101 })),
            "property Level is above its maximum 100"
        );
        assert_eq!(
            refused(json!({ "Lewel": 1 })),
            "property Lewel is not in the thing model"
        );
    }
}
