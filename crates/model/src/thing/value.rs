//! Whether one value fits its type, and what it looks like once it does.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::{DataType, Field, NumberSpec};

/// Why something a device or caller sent does not fit the thing model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Misfit {
    /// The model has nothing of that name.
    #[error("is not in the thing model")]
    Unknown,
    /// The cloud may not set this property.
    #[error("is read-only")]
    ReadOnly,
    /// Devices do not report this property.
    #[error("is write-only")]
    WriteOnly,
    /// It must be there and is not.
    #[error("is missing")]
    Missing,
    /// The JSON type cannot become this type.
    #[error("must be {wanted}")]
    WrongType {
        /// What was wanted, in words.
        wanted: &'static str,
    },
    /// The number does not fit 32 bits, or single or double precision.
    #[error("is too large a number for its type")]
    Unrepresentable,
    /// Below the minimum.
    #[error("is below its minimum {min}")]
    BelowMinimum {
        /// The minimum.
        min: f64,
    },
    /// Above the maximum.
    #[error("is above its maximum {max}")]
    AboveMaximum {
        /// The maximum.
        max: f64,
    },
    /// Not an item of the enum.
    #[error("has no item {value}")]
    NotInEnum {
        /// What was sent.
        value: i64,
    },
    /// The text is too long.
    #[error("is longer than {limit} characters")]
    TooLong {
        /// Longest allowed.
        limit: u32,
    },
    /// Not UTC milliseconds in text.
    #[error("must be UTC milliseconds as text")]
    NotADate,
    /// Too many elements.
    #[error("has more than {limit} elements")]
    TooMany {
        /// Most allowed.
        limit: u32,
    },
    /// The `time` beside a value is not milliseconds before the year 10000.
    #[error("has a time that is not UTC milliseconds")]
    BadTime,
    /// A field or parameter does not fit.
    #[error("{name} {cause}")]
    In {
        /// Its identifier; of an array's element, its index in brackets.
        name: String,
        /// What is wrong with it.
        cause: Box<Misfit>,
    },
}

impl Misfit {
    fn inside(self, name: impl Into<String>) -> Self {
        Self::In {
            name: name.into(),
            cause: Box::new(self),
        }
    }
}

/// Checks a value against its type and gives it in the form it is kept in: numbers as JSON
/// numbers, bools as 0 or 1, dates as text.
///
/// Seed 001 §6.5 itself writes numbers as texts (`"temperature": "30.5"`), so a text that is a
/// number is taken for one; and JSON `true` and `false` for 1 and 0. `step` is not enforced, see
/// [`NumberSpec::step`].
pub fn fit(data: &DataType, value: &Value) -> Result<Value, Misfit> {
    match data {
        DataType::Int(spec) => {
            let number = int32(value)?;
            in_range(
                f64::from(number),
                spec.min.map(f64::from),
                spec.max.map(f64::from),
            )?;
            Ok(number.into())
        }
        DataType::Float(spec) => float(spec, value),
        DataType::Double(spec) => {
            let (number, real) = real(value)?;
            in_range(real, spec.min, spec.max)?;
            Ok(Value::Number(number))
        }
        DataType::Enum(items) => enumerated(items, value),
        DataType::Bool { .. } => boolean(value),
        DataType::Text { length, .. } => text(*length, value),
        DataType::Date => date(value),
        DataType::Struct(fields) => {
            let wanted = "an object";
            let object = value.as_object().ok_or(Misfit::WrongType { wanted })?;
            Ok(Value::Object(fit_fields(fields, object)?))
        }
        DataType::Array { size, item } => array(*size, item, value),
    }
}

/// Checks named values against fields. An undeclared name is a misfit; an absent one only when
/// the field is required, for the documents let devices leave out what they do not know.
pub(super) fn fit_fields(
    fields: &[Field],
    object: &Map<String, Value>,
) -> Result<Map<String, Value>, Misfit> {
    let mut fitted = Map::new();
    for (name, value) in object {
        let field = fields.iter().find(|field| field.identifier == *name);
        let field = field.ok_or_else(|| Misfit::Unknown.inside(shown(name)))?;
        let value = fit(&field.data, value).map_err(|misfit| misfit.inside(name))?;
        fitted.insert(name.clone(), value);
    }
    let missing = fields
        .iter()
        .find(|f| f.required && !object.contains_key(&f.identifier));
    match missing {
        Some(field) => Err(Misfit::Missing.inside(&field.identifier)),
        None => Ok(fitted),
    }
}

/// A name from outside, short enough for a message.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

fn int32(value: &Value) -> Result<i32, Misfit> {
    let wanted = Misfit::WrongType {
        wanted: "a whole number",
    };
    let whole = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => return Err(wanted),
    };
    if let Some(whole) = whole {
        return i32::try_from(whole).map_err(|_| Misfit::Unrepresentable);
    }
    // Some JSON writers know no integers and send 30.0.
    let (_, real) = real(value).map_err(|misfit| match misfit {
        Misfit::WrongType { .. } => wanted.clone(),
        other => other,
    })?;
    if real.fract() != 0.0 {
        return Err(wanted);
    }
    if !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&real) {
        return Err(Misfit::Unrepresentable);
    }
    // Checked above, so the cast is exact.
    Ok(real as i32)
}

/// The number as it is kept, and as it is compared.
fn real(value: &Value) -> Result<(Number, f64), Misfit> {
    let wanted = "a number";
    let number = match value {
        Value::Number(number) => number.clone(),
        Value::String(text) => {
            if let Ok(whole) = text.parse::<i64>() {
                whole.into()
            } else {
                let real: f64 = text.parse().map_err(|_| Misfit::WrongType { wanted })?;
                // Rust reads "nan" and "inf" as numbers; JSON has no such values.
                if !text.bytes().any(|byte| byte.is_ascii_digit()) {
                    return Err(Misfit::WrongType { wanted });
                }
                Number::from_f64(real).ok_or(Misfit::Unrepresentable)?
            }
        }
        _ => return Err(Misfit::WrongType { wanted }),
    };
    let real = number
        .as_f64()
        .filter(|real| real.is_finite())
        .ok_or(Misfit::Unrepresentable)?;
    Ok((number, real))
}

/// A single-precision number is compared in single precision: a device that sends the float
/// nearest to its maximum 0.1 sends 0.10000000149 and means 0.1. It is kept as it was sent.
fn float(spec: &NumberSpec<f64>, value: &Value) -> Result<Value, Misfit> {
    let single = |real: f64| f64::from(real as f32);
    let (number, real) = real(value)?;
    if !single(real).is_finite() {
        return Err(Misfit::Unrepresentable);
    }
    let real = single(real);
    let min = spec.min.filter(|min| real < single(*min));
    let max = spec.max.filter(|max| real > single(*max));
    match (min, max) {
        (Some(min), _) => Err(Misfit::BelowMinimum { min }),
        (_, Some(max)) => Err(Misfit::AboveMaximum { max }),
        (None, None) => Ok(Value::Number(number)),
    }
}

fn in_range(real: f64, min: Option<f64>, max: Option<f64>) -> Result<(), Misfit> {
    match (min, max) {
        (Some(min), _) if real < min => Err(Misfit::BelowMinimum { min }),
        (_, Some(max)) if real > max => Err(Misfit::AboveMaximum { max }),
        _ => Ok(()),
    }
}

fn enumerated(items: &BTreeMap<i32, String>, value: &Value) -> Result<Value, Misfit> {
    let number = int32(value)?;
    if items.contains_key(&number) {
        Ok(number.into())
    } else {
        Err(Misfit::NotInEnum {
            value: number.into(),
        })
    }
}

fn boolean(value: &Value) -> Result<Value, Misfit> {
    let number = match value {
        Value::Bool(flag) => i32::from(*flag),
        other => int32(other).map_err(|_| Misfit::WrongType { wanted: "0 or 1" })?,
    };
    match number {
        0 | 1 => Ok(number.into()),
        _ => Err(Misfit::WrongType { wanted: "0 or 1" }),
    }
}

/// One page of the documents counts a text's length in bytes, another in characters. Characters
/// are counted here: no text that either reading allows is lost.
fn text(length: u32, value: &Value) -> Result<Value, Misfit> {
    let text = value
        .as_str()
        .ok_or(Misfit::WrongType { wanted: "a text" })?;
    let limit = usize::try_from(length).unwrap_or(usize::MAX);
    if text.len() > limit && text.chars().take(limit.saturating_add(1)).count() > limit {
        return Err(Misfit::TooLong { limit: length });
    }
    Ok(text.into())
}

fn date(value: &Value) -> Result<Value, Misfit> {
    let millis = millis(value).ok_or(Misfit::NotADate)?;
    Ok(millis.to_string().into())
}

/// UTC milliseconds from 1970 to the end of the year 9999, as number or text.
pub(super) fn millis(value: &Value) -> Option<i64> {
    const LAST: i64 = 253_402_300_799_999;
    let millis = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    millis.filter(|millis| (0..=LAST).contains(millis))
}

fn array(size: u32, item: &DataType, value: &Value) -> Result<Value, Misfit> {
    let list = value
        .as_array()
        .ok_or(Misfit::WrongType { wanted: "a list" })?;
    if list.len() > usize::try_from(size).unwrap_or(usize::MAX) {
        return Err(Misfit::TooMany { limit: size });
    }
    let element = |(index, value)| {
        fit(item, value).map_err(|misfit: Misfit| misfit.inside(format!("[{index}]")))
    };
    list.iter().enumerate().map(element).collect()
}

#[cfg(test)]
mod tests {
    //! [AL-6.3] [AL-6.12] Every data type: what fits, in which form, and each specification broken.

    use serde_json::json;

    use super::*;

    fn good(data: &DataType, cases: &[(Value, Value)]) {
        for (sent, kept) in cases {
            assert_eq!(
                fit(data, sent).as_ref(),
                Ok(kept),
                "{sent} as {}",
                data.word()
            );
        }
    }

    fn bad(data: &DataType, cases: &[(Value, Misfit)]) {
        for (sent, misfit) in cases {
            assert_eq!(
                fit(data, sent).as_ref(),
                Err(misfit),
                "{sent} as {}",
                data.word()
            );
        }
    }

    fn wrong(wanted: &'static str) -> Misfit {
        Misfit::WrongType { wanted }
    }

    fn field(identifier: &str, data: DataType) -> Field {
        Field {
            identifier: identifier.into(),
            name: identifier.into(),
            desc: String::new(),
            required: false,
            data,
        }
    }

    #[test]
    fn ints_are_32_bit_and_within_their_range() {
        let spec = NumberSpec {
            min: Some(-5),
            max: Some(100),
            step: Some(5),
            ..Default::default()
        };
        let data = DataType::Int(spec);
        good(
            &data,
            &[
                (json!(-5), json!(-5)),
                (json!(100), json!(100)),
                (json!(7), json!(7)), // steps are for sliders
                (json!(30.0), json!(30)),
                (json!("42"), json!(42)),
            ],
        );
        bad(
            &data,
            &[
                (json!(-6), Misfit::BelowMinimum { min: -5.0 }),
                (json!(101), Misfit::AboveMaximum { max: 100.0 }),
                (json!(2_147_483_648_i64), Misfit::Unrepresentable),
                (json!(u64::MAX), Misfit::Unrepresentable),
                (json!(1e300), Misfit::Unrepresentable),
                (json!(1.5), wrong("a whole number")),
                (json!("warm"), wrong("a whole number")),
                (json!(""), wrong("a whole number")),
                (json!(true), wrong("a whole number")),
                (json!(null), wrong("a whole number")),
                (json!([1]), wrong("a whole number")),
            ],
        );
        good(
            &DataType::Int(NumberSpec::default()),
            &[(json!(i32::MIN), json!(i32::MIN))],
        );
    }

    #[test]
    fn floats_are_compared_in_single_precision() {
        let spec = NumberSpec {
            min: Some(0.0),
            max: Some(0.1),
            ..Default::default()
        };
        let data = DataType::Float(spec);
        let nearest = f64::from(0.1_f32);
        good(
            &data,
            &[(json!(nearest), json!(nearest)), (json!(0), json!(0))],
        );
        bad(
            &data,
            &[
                (json!(0.11), Misfit::AboveMaximum { max: 0.1 }),
                (json!(-0.5), Misfit::BelowMinimum { min: 0.0 }),
                (json!(1e39), Misfit::Unrepresentable),
                (json!("nan"), wrong("a number")),
                (json!(false), wrong("a number")),
            ],
        );
    }

    #[test]
    fn doubles_are_compared_exactly() {
        let spec = NumberSpec {
            min: Some(-1.5),
            max: Some(0.1),
            ..Default::default()
        };
        let data = DataType::Double(spec);
        good(
            &data,
            &[
                (json!(0.1), json!(0.1)),
                (json!("-1.5"), json!(-1.5)),
                (json!("-1"), json!(-1)),
            ],
        );
        bad(
            &data,
            &[
                (json!(f64::from(0.1_f32)), Misfit::AboveMaximum { max: 0.1 }),
                (json!(-2), Misfit::BelowMinimum { min: -1.5 }),
                (json!("inf"), wrong("a number")),
                (json!("1e999"), Misfit::Unrepresentable),
                (json!({}), wrong("a number")),
            ],
        );
    }

    #[test]
    fn enums_hold_their_items_only() {
        let items = [(0, "off".to_owned()), (3, "eco".to_owned())];
        let data = DataType::Enum(items.into());
        good(&data, &[(json!(0), json!(0)), (json!("3"), json!(3))]);
        bad(
            &data,
            &[
                (json!(1), Misfit::NotInEnum { value: 1 }),
                (json!("eco"), wrong("a whole number")),
                (json!(3.5), wrong("a whole number")),
            ],
        );
    }

    #[test]
    fn bools_are_kept_as_zero_or_one() {
        let data = DataType::Bool {
            off: "off".into(),
            on: "on".into(),
        };
        good(
            &data,
            &[
                (json!(0), json!(0)),
                (json!(true), json!(1)),
                (json!("1"), json!(1)),
            ],
        );
        let misfit = wrong("0 or 1");
        bad(
            &data,
            &[
                (json!(2), misfit.clone()),
                (json!("on"), misfit.clone()),
                (json!("true"), misfit.clone()),
                (json!(null), misfit),
            ],
        );
    }

    #[test]
    fn texts_are_bounded_by_characters() {
        let data = DataType::Text {
            length: 4,
            default: None,
        };
        good(
            &data,
            &[
                (json!(""), json!("")),
                (json!("风扇警报"), json!("风扇警报")),
            ],
        );
        bad(
            &data,
            &[
                (json!("fives"), Misfit::TooLong { limit: 4 }),
                (json!(1), wrong("a text")),
            ],
        );
    }

    #[test]
    fn dates_are_kept_as_text() {
        let kept = json!("1524448722000");
        good(
            &DataType::Date,
            &[
                (kept.clone(), kept.clone()),
                (json!(1_524_448_722_000_i64), kept),
            ],
        );
        for sent in [
            json!("2018-04-23"),
            json!(""),
            json!(-1),
            json!("-1"),
            json!(1.5),
            json!([]),
        ] {
            bad(&DataType::Date, &[(sent, Misfit::NotADate)]);
        }
    }

    #[test]
    fn structs_hold_declared_fields_only() {
        let x = field(
            "x",
            DataType::Int(NumberSpec {
                max: Some(9),
                ..Default::default()
            }),
        );
        let y = Field {
            required: true,
            ..field("y", DataType::Date)
        };
        let data = DataType::Struct(vec![x, y]);
        good(
            &data,
            &[
                (json!({"x": "1", "y": 5}), json!({"x": 1, "y": "5"})),
                (json!({"y": "5"}), json!({"y": "5"})),
            ],
        );
        let inside = |name: &str, cause: Misfit| cause.inside(name);
        bad(
            &data,
            &[
                (
                    json!({"x": 10, "y": "5"}),
                    inside("x", Misfit::AboveMaximum { max: 9.0 }),
                ),
                (json!({"y": "5", "z": 1}), inside("z", Misfit::Unknown)),
                (json!({"x": 1}), inside("y", Misfit::Missing)),
                (json!([1]), wrong("an object")),
            ],
        );
    }

    #[test]
    fn arrays_are_bounded_and_of_one_type() {
        let data = DataType::Array {
            size: 2,
            item: Box::new(DataType::Int(NumberSpec::default())),
        };
        good(
            &data,
            &[(json!([]), json!([])), (json!([1, "2"]), json!([1, 2]))],
        );
        bad(
            &data,
            &[
                (json!([1, 2, 3]), Misfit::TooMany { limit: 2 }),
                (json!([1, "x"]), wrong("a whole number").inside("[1]")),
                (json!(1), wrong("a list")),
            ],
        );
        let item = DataType::Struct(vec![field("x", DataType::Date)]);
        let data = DataType::Array {
            size: 1,
            item: Box::new(item),
        };
        good(&data, &[(json!([{"x": "1"}]), json!([{"x": "1"}]))]);
        let misfit = Misfit::NotADate.inside("x").inside("[0]");
        assert_eq!(misfit.to_string(), "[0] x must be UTC milliseconds as text");
        bad(&data, &[(json!([{"x": "soon"}]), misfit)]);
    }
}
