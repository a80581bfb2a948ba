//! `Series`: histories of what devices sent.

use super::{Engine, Make, iot_id, race};
use crate::{
    id::{Position, Time},
    port::{Point, Range, Series, Stream},
    thing::EventKind,
};
use serde_json::json;

/// Runs the suite.
pub async fn all(make: &dyn Make) {
    points_are_ordered_by_time_then_position(make).await;
    a_range_has_the_points_asked_for(make).await;
    events_and_calls_are_found_with_and_without_identifier(make).await;
    a_point_appended_twice_is_kept_once(make).await;
    a_later_point_becomes_the_latest_value(make).await;
    of_many_racing_points_the_latest_stays(make).await;
    a_device_is_forgotten_alone_and_wholly(make).await;
    old_points_are_forgotten_in_steps(make).await;
    what_is_done_survives_a_restart(make).await;
}

fn property(device: &str, identifier: &str, at: i64, position: u64) -> Point {
    Point {
        iot_id: iot_id(device),
        stream: Stream::Property,
        identifier: identifier.into(),
        kind: None,
        at: Time(at),
        position: Position(position),
        value: json!({"at": at, "position": position, "text": "ü"}),
    }
}

fn event(identifier: &str, kind: EventKind, at: i64, position: u64) -> Point {
    Point {
        stream: Stream::Event,
        kind: Some(kind),
        ..property("lamp", identifier, at, position)
    }
}

fn service(identifier: &str, at: i64, position: u64) -> Point {
    Point {
        stream: Stream::Service,
        ..property("lamp", identifier, at, position)
    }
}

/// Everything of a history, oldest first.
fn of(device: &str, stream: Stream, identifier: Option<&str>) -> Range {
    Range {
        iot_id: iot_id(device),
        stream,
        identifier: identifier.map(str::to_owned),
        kind: None,
        from: Time(i64::MIN),
        to: Time(i64::MAX),
        oldest_first: true,
        most: 1_000,
    }
}

async fn append(series: &dyn Series, points: &[Point]) {
    series.append(points.to_vec()).await.unwrap();
}

async fn read(series: &dyn Series, range: Range) -> Vec<Point> {
    series.range(&range).await.unwrap()
}

async fn latest(series: &dyn Series, device: &str) -> Vec<Point> {
    let mut points = series.latest(&iot_id(device)).await.unwrap();
    points.sort_by(|a, b| a.identifier.cmp(&b.identifier));
    points
}

/// "The points asked for, ordered by time, then by position", whatever order they came in.
pub async fn points_are_ordered_by_time_then_position(make: &dyn Make) {
    let Engine {
        series,
        data: _data,
        ..
    } = make.fresh().await;
    let mut points = vec![
        property("lamp", "Power", i64::MIN, 9),
        property("lamp", "Power", -1, 5),
        property("lamp", "Power", 0, 5),
        property("lamp", "Power", 7, 1),
        property("lamp", "Power", 7, 2),
        property("lamp", "Power", 7, 256),
        property("lamp", "Power", i64::MAX, 0),
    ];
    append(&*series, &[]).await;
    append(
        &*series,
        &[points[4].clone(), points[1].clone(), points[6].clone()],
    )
    .await;
    append(&*series, &[points[3].clone(), points[0].clone()]).await;
    append(&*series, &[points[5].clone(), points[2].clone()]).await;
    let forwards = of("lamp", Stream::Property, Some("Power"));
    let backwards = Range {
        oldest_first: false,
        ..forwards.clone()
    };
    assert_eq!(read(&*series, forwards).await, points);
    points.reverse();
    assert_eq!(read(&*series, backwards).await, points);
}

/// From and to are inclusive, `most` counts from the asked end, and neighbours are apart.
pub async fn a_range_has_the_points_asked_for(make: &dyn Make) {
    let Engine {
        series,
        data: _data,
        ..
    } = make.fresh().await;
    let points: Vec<_> = (0..20)
        .map(|i| property("lamp", "Power", i * 10, 1 + i.cast_unsigned()))
        .collect();
    append(&*series, &points).await;
    for (device, identifier) in [
        ("lamp", "Powe"),
        ("lamp", "Power2"),
        ("lamp2", "Power"),
        ("lam", "pPower"),
    ] {
        append(&*series, &[property(device, identifier, 50, 90)]).await;
    }
    let ask = async |from, to, oldest_first, most| {
        let range = Range {
            from: Time(from),
            to: Time(to),
            oldest_first,
            most,
            ..of("lamp", Stream::Property, Some("Power"))
        };
        let found = read(&*series, range).await;
        found.iter().map(|point| point.at.0).collect::<Vec<_>>()
    };
    assert_eq!(ask(30, 60, true, 99).await, [30, 40, 50, 60]);
    assert_eq!(ask(31, 59, true, 99).await, [40, 50]);
    assert_eq!(ask(30, 60, false, 99).await, [60, 50, 40, 30]);
    assert_eq!(ask(30, 60, true, 2).await, [30, 40]);
    assert_eq!(ask(30, 60, false, 2).await, [60, 50]);
    assert_eq!(ask(50, 50, true, 99).await, [50]);
    assert_eq!(ask(60, 30, true, 99).await, [0; 0]);
    assert_eq!(ask(0, 190, true, 0).await, [0; 0]);
    assert_eq!(ask(i64::MIN, i64::MAX, false, 99).await.len(), 20);
    let other = of("lamp", Stream::Event, Some("Power"));
    assert!(read(&*series, other).await.is_empty());
}

/// Events are found by identifier, by kind, by both and by neither; calls with and without.
pub async fn events_and_calls_are_found_with_and_without_identifier(make: &dyn Make) {
    let Engine {
        series,
        data: _data,
        ..
    } = make.fresh().await;
    let (info, alert, error) = (EventKind::Info, EventKind::Alert, EventKind::Error);
    let events = [
        event("hot", alert, 1, 1),
        event("start", info, 2, 2),
        event("hot", alert, 3, 3),
        event("hot", error, 3, 4),
        event("broken", error, 4, 5),
    ];
    let calls = [
        service("dim", 1, 11),
        service("on", 2, 12),
        service("dim", 3, 13),
    ];
    append(&*series, &events).await;
    append(&*series, &calls).await;

    let ask = async |identifier, kind| {
        let range = Range {
            kind,
            ..of("lamp", Stream::Event, identifier)
        };
        let backwards = Range {
            oldest_first: false,
            ..range.clone()
        };
        let found = read(&*series, range).await;
        let mut turned = read(&*series, backwards).await;
        turned.reverse();
        assert_eq!(found, turned);
        found
    };
    assert_eq!(ask(None, None).await, events);
    assert_eq!(
        ask(Some("hot"), None).await,
        [0, 2, 3].map(|i: usize| events[i].clone())
    );
    assert_eq!(ask(None, Some(error)).await, events[3..]);
    assert_eq!(ask(Some("hot"), Some(error)).await, events[3..4]);
    assert!(ask(Some("start"), Some(error)).await.is_empty());
    let page = Range {
        from: Time(2),
        to: Time(3),
        oldest_first: false,
        most: 2,
        ..of("lamp", Stream::Event, None)
    };
    let page = read(&*series, page).await;
    assert_eq!(page, [events[3].clone(), events[2].clone()]);

    assert_eq!(
        read(&*series, of("lamp", Stream::Service, None)).await,
        calls
    );
    let dims = read(&*series, of("lamp", Stream::Service, Some("dim"))).await;
    assert_eq!(dims, [calls[0].clone(), calls[2].clone()]);
    assert!(latest(&*series, "lamp").await.is_empty());
}

/// "A point that is appended twice for one fact is kept once."
pub async fn a_point_appended_twice_is_kept_once(make: &dyn Make) {
    let Engine {
        series,
        data: _data,
        ..
    } = make.fresh().await;
    let points = [
        property("lamp", "Power", 5, 1),
        property("lamp", "Level", 5, 1),
        property("lamp", "Level", 6, 1),
        event("hot", EventKind::Info, 5, 2),
        service("dim", 5, 3),
    ];
    append(&*series, &points).await;
    append(&*series, &points).await;
    append(&*series, &points[1..4]).await;
    let count =
        async |stream, identifier| read(&*series, of("lamp", stream, identifier)).await.len();
    assert_eq!(count(Stream::Property, Some("Power")).await, 1);
    assert_eq!(count(Stream::Property, Some("Level")).await, 2);
    assert_eq!(count(Stream::Event, None).await, 1);
    assert_eq!(count(Stream::Service, Some("dim")).await, 1);
    assert_eq!(series.expire(Time(100), 100).await.unwrap(), 5);
}

/// "A later point of a property becomes its latest value"; an older one that comes late does not.
pub async fn a_later_point_becomes_the_latest_value(make: &dyn Make) {
    let Engine {
        series,
        data: _data,
        ..
    } = make.fresh().await;
    assert!(latest(&*series, "lamp").await.is_empty());
    let power = |at, position| property("lamp", "Power", at, position);
    append(&*series, &[power(5, 1), property("lamp", "Level", 1, 1)]).await;
    append(&*series, &[power(4, 2)]).await;
    let expected = [property("lamp", "Level", 1, 1), power(5, 1)];
    assert_eq!(latest(&*series, "lamp").await, expected);
    append(&*series, &[power(5, 3)]).await;
    assert_eq!(latest(&*series, "lamp").await[1], power(5, 3));
    append(&*series, &[power(9, 4), power(7, 4)]).await;
    assert_eq!(latest(&*series, "lamp").await[1], power(9, 4));
    append(&*series, &[property("lamp2", "Power", 99, 5)]).await;
    assert_eq!(latest(&*series, "lamp").await[1], power(9, 4));
}

/// Appends that race leave the latest of all their points.
pub async fn of_many_racing_points_the_latest_stays(make: &dyn Make) {
    let Engine {
        series,
        data: _data,
        ..
    } = make.fresh().await;
    race(32, |i| {
        let series = series.clone();
        async move {
            let at = (i as i64 * 7) % 32;
            append(&*series, &[property("lamp", "Power", at, i as u64)]).await;
        }
    })
    .await;
    let all = read(&*series, of("lamp", Stream::Property, Some("Power"))).await;
    assert_eq!(all.len(), 32);
    assert_eq!(latest(&*series, "lamp").await, all[31..]);
}

/// "Forgets all of the device", and of no other.
pub async fn a_device_is_forgotten_alone_and_wholly(make: &dyn Make) {
    let Engine {
        series,
        data: _data,
        ..
    } = make.fresh().await;
    let kept = [
        property("lamp2", "Power", 5, 1),
        property("lam", "Power", 5, 1),
    ];
    append(&*series, &kept).await;
    let mut points = vec![event("hot", EventKind::Info, 5, 2), service("dim", 5, 3)];
    points.extend((0..100).map(|i| property("lamp", "Power", i, 1000)));
    points.push(property("lamp", "Level", 5, 1000));
    append(&*series, &points).await;
    series.forget(&iot_id("lamp")).await.unwrap();
    series.forget(&iot_id("lamp")).await.unwrap();
    let histories = [
        (Stream::Property, Some("Power")),
        (Stream::Property, Some("Level")),
        (Stream::Event, None),
        (Stream::Event, Some("hot")),
        (Stream::Service, None),
    ];
    for (stream, identifier) in histories {
        let left = read(&*series, of("lamp", stream, identifier)).await;
        assert!(left.is_empty(), "{left:?}");
    }
    assert!(latest(&*series, "lamp").await.is_empty());
    assert_eq!(latest(&*series, "lamp2").await, kept[..1]);
    assert_eq!(latest(&*series, "lam").await, kept[1..]);
    assert_eq!(series.expire(Time(i64::MAX), 1_000).await.unwrap(), 2);
}

/// "Forgets points of before `before`, at most `most`; gives back how many it was. Latest values
/// stay, however old they are."
pub async fn old_points_are_forgotten_in_steps(make: &dyn Make) {
    let engine = make.fresh().await;
    let series = &engine.series;
    let mut points = Vec::new();
    for i in 0..10_i64 {
        let position = i.cast_unsigned();
        points.push(property("lamp", "Power", i, position));
        points.push(property("lamp", "Level", i, position));
        points.push(property("lamp", "Mode", i, position));
        points.push(event("hot", EventKind::Alert, i, 100 + position));
        points.push(service("dim", i, 200 + position));
    }
    append(&**series, &points).await;
    let expire = async |before, most| series.expire(Time(before), most).await.unwrap();
    assert_eq!(expire(0, 100).await, 0);
    assert_eq!(expire(8, 0).await, 0);
    let mut left = 40;
    while left > 0 {
        let gone = expire(8, 7).await;
        assert!((1..=7).contains(&gone), "{gone}");
        left -= gone;
    }
    assert_eq!(expire(8, 7).await, 0);
    let rest = |stream| {
        points[40..]
            .iter()
            .filter(move |p| p.stream == stream)
            .cloned()
    };
    let events: Vec<_> = rest(Stream::Event).collect();
    let alerts = Range {
        kind: Some(EventKind::Alert),
        ..of("lamp", Stream::Event, None)
    };
    assert_eq!(
        read(&**series, of("lamp", Stream::Event, None)).await,
        events
    );
    assert_eq!(read(&**series, alerts).await, events);
    let calls: Vec<_> = rest(Stream::Service).collect();
    assert_eq!(
        read(&**series, of("lamp", Stream::Service, Some("dim"))).await,
        calls
    );
    let power = read(&**series, of("lamp", Stream::Property, Some("Power"))).await;
    assert_eq!(power.len(), 2);

    // A point that comes late with an old time is forgotten as well.
    append(&**series, &[property("lamp", "Power", 3, 999)]).await;
    assert_eq!(expire(8, 100).await, 1);
    assert_eq!(expire(i64::MAX, 100).await, 10);
    assert_eq!(latest(&**series, "lamp").await.len(), 3);
    let engine = make.reopen(engine).await;
    let again = engine.series.expire(Time(i64::MAX), 100).await;
    assert_eq!(again.unwrap(), 0);
}

/// "When a method that changes something returns `Ok`, the change is on disk."
pub async fn what_is_done_survives_a_restart(make: &dyn Make) {
    let engine = make.fresh().await;
    let points = [
        property("lamp", "Power", 1, 1),
        property("lamp", "Power", 2, 2),
    ];
    append(&*engine.series, &points).await;
    append(&*engine.series, &[property("fan1", "Power", 2, 3)]).await;
    engine.series.forget(&iot_id("fan1")).await.unwrap();
    let engine = make.reopen(engine).await;
    let series = &*engine.series;
    assert_eq!(
        read(series, of("lamp", Stream::Property, Some("Power"))).await,
        points
    );
    assert_eq!(latest(series, "lamp").await, points[1..]);
    assert!(latest(series, "fan1").await.is_empty());
    append(series, &[property("lamp", "Power", 1, 4)]).await;
    assert_eq!(latest(series, "lamp").await, points[1..]);
}
