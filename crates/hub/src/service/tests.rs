//! Commands and their answers, over the embedded engine.

use super::*;
use crate::{
    history::tests::{Lamp, connect, lamp},
    limits::Limits,
    stage::Stage,
};
use model::{command::Command, fact::What, id::Time, port::Signal};
use serde_json::json;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

fn answer(code: i64) -> Answer {
    Answer {
        code,
        data: json!({"done": true}),
        message: "ok".into(),
    }
}

async fn waiting(stage: &Stage, lamp: &Lamp) -> Vec<Command> {
    stage.hub.commands_waiting(&lamp.session).await.unwrap()
}

fn wanted() -> PageWanted {
    PageWanted {
        from: Time(0),
        to: Time(i64::MAX),
        oldest_first: true,
        most: 10,
    }
}

/// [AL-6.3] [AL-6.5] An order is stored and told of, handed over once, and its answer journalled.
#[tokio::test]
async fn an_asynchronous_call_is_accepted_and_answered_later() {
    let mut stage = Stage::set().await;
    let mut words = stage.words.take().unwrap();
    let lamp = lamp(&stage).await;
    let _reader = stage.read_journal();
    let (hub, session) = (&stage.hub, &lamp.session);
    let invoke = |name, input| hub.service_invoke(&lamp.permit, &session.device, name, input);
    let invoked = invoke("dim", object(json!({"to": 5}))).await.unwrap();
    let Invoked::Accepted(id) = invoked else {
        panic!("{invoked:?}");
    };
    let wake = Signal::CommandsWait {
        iot_id: session.iot_id.clone(),
    };
    assert_eq!(words.recv().await.unwrap(), wake);
    let set = object(json!({"bright": 7}));
    let second = hub
        .property_set(&lamp.permit, &session.device, set.clone())
        .await
        .unwrap();
    let list = waiting(&stage, &lamp).await;
    assert_eq!(list.iter().map(|c| c.id).collect::<Vec<_>>(), [id, second]);
    assert_eq!(list[1].order, Order::SetProperties(set));
    assert!(hub.command_sent(session, id).await.unwrap());
    assert!(!hub.command_sent(session, id).await.unwrap());
    assert_eq!(waiting(&stage, &lamp).await.len(), 1);

    // Not yet answered: not in the history.
    let history = async |name| {
        let page = hub
            .service_history(&lamp.permit, &session.device, name, wanted())
            .await;
        page.unwrap().points
    };
    assert!(history(None).await.is_empty());
    // Another device cannot answer for this one.
    let other = connect(&stage, &lamp.permit, &lamp.product, "lamp-2").await;
    assert!(!hub.command_answered(&other, id, answer(200)).await.unwrap());
    assert!(
        hub.command_answered(session, id, answer(200))
            .await
            .unwrap()
    );
    assert!(
        !hub.command_answered(session, id, answer(200))
            .await
            .unwrap()
    );
    assert!(
        hub.command_answered(session, second, answer(460))
            .await
            .unwrap()
    );
    let points = history(None).await;
    assert_eq!(points.len(), 1);
    let call = json!({"input": {"to": 5}, "output": {"done": true}, "code": 200, "message": "ok"});
    assert_eq!(
        (points[0].identifier.as_str(), &points[0].value),
        ("dim", &call)
    );
    assert_eq!(history(Some("dim")).await.len(), 1);
    assert!(history(Some("ping")).await.is_empty());
    let facts = stage.facts(&session.iot_id).await;
    let of = |id| {
        move |what: &&What| match what {
            What::CommandSent { command, .. } | What::CommandAnswered { command, .. } => {
                *command == id
            }
            _ => false,
        }
    };
    assert_eq!(facts.iter().filter(of(id)).count(), 2);
    assert_eq!(facts.iter().filter(of(second)).count(), 2);
}

#[tokio::test]
async fn what_does_not_fit_the_model_is_not_sent() {
    let stage = Stage::set().await;
    let lamp = lamp(&stage).await;
    let (hub, device) = (&stage.hub, &lamp.session.device);
    let set = async |items| hub.property_set(&lamp.permit, device, object(items)).await;
    for bad in [
        json!({"bright": 101}),
        json!({"hue": "red"}),
        json!({"odd": 1}),
    ] {
        assert!(matches!(set(bad).await, Err(DeviceError::Misfit(_))));
    }
    assert!(matches!(
        set(json!({})).await,
        Err(DeviceError::BadRequest(_))
    ));
    let invoke = |name, input| hub.service_invoke(&lamp.permit, device, name, object(input));
    assert!(matches!(
        invoke("odd", json!({})).await,
        Err(DeviceError::Misfit(_))
    ));
    assert!(matches!(
        invoke("dim", json!({"to": "x"})).await,
        Err(DeviceError::Misfit(_))
    ));
    let other = stage.other_permit().await;
    let refused = hub
        .property_set(&other, device, object(json!({"bright": 1})))
        .await;
    assert!(matches!(refused, Err(DeviceError::NotFound)));
    assert!(waiting(&stage, &lamp).await.is_empty());
}

/// [AL-6.5] A synchronous call gives the device's answer to its caller.
#[tokio::test]
async fn a_synchronous_call_is_answered_on_the_call() {
    let mut stage = Stage::set().await;
    let mut words = stage.words.take().unwrap();
    let lamp = lamp(&stage).await;
    let (hub, session) = (&stage.hub, &lamp.session);
    let device = async {
        words.recv().await.unwrap();
        let command = waiting(&stage, &lamp).await.pop().unwrap();
        assert!(matches!(command.order, Order::Invoke { sync: true, .. }));
        assert_eq!(command.until, hub.now().plus(hub.limits().call_wait));
        hub.command_sent(session, command.id).await.unwrap();
        hub.command_answered(session, command.id, answer(200))
            .await
            .unwrap();
        command.id
    };
    let call = hub.service_invoke(&lamp.permit, &session.device, "ping", Map::new());
    let (invoked, id) = tokio::join!(call, device);
    assert_eq!(invoked.unwrap(), Invoked::Answered(id, answer(200)));
    assert!(hub.calls_idle());
}

/// [AL-6.5] A device that is away, or silent, is an error of its own.
#[tokio::test]
async fn a_synchronous_call_ends_in_time() {
    let limits = Limits {
        call_wait: 30,
        ..Limits::default()
    };
    let stage = Stage::set_with(limits, |ports| ports).await;
    let lamp = lamp(&stage).await;
    let (hub, session) = (&stage.hub, &lamp.session);
    let call = || hub.service_invoke(&lamp.permit, &session.device, "ping", Map::new());
    assert!(matches!(call().await, Err(DeviceError::TimedOut)));
    assert!(hub.calls_idle());
    assert_eq!(waiting(&stage, &lamp).await.len(), 1);
    // Nobody waits for it any more, so it is not handed over later.
    stage.clock.move_by(31);
    assert!(waiting(&stage, &lamp).await.is_empty());
    stage.close(session, "bye").await;
    assert!(matches!(call().await, Err(DeviceError::Offline)));
    let stored = stage.facts(&session.iot_id).await;
    let sent = stored
        .iter()
        .filter(|what| matches!(what, What::CommandSent { .. }));
    assert_eq!(sent.count(), 1);
}

/// Commands that nobody fetches are bounded, and too old ones are not sent.
#[tokio::test]
async fn waiting_commands_are_bounded_in_number_and_age() {
    let limits = Limits {
        commands: 2,
        ..Limits::default()
    };
    let stage = Stage::set_with(limits, |ports| ports).await;
    let lamp = lamp(&stage).await;
    let hub = &stage.hub;
    let set = || {
        let items = object(json!({"bright": 1}));
        hub.property_set(&lamp.permit, &lamp.session.device, items)
    };
    set().await.unwrap();
    let last = set().await.unwrap();
    assert!(matches!(set().await, Err(DeviceError::TooMuch(_))));
    hub.command_sent(&lamp.session, last).await.unwrap();
    set().await.unwrap();
    stage.clock.move_by(hub.limits().command_life + 1);
    assert!(waiting(&stage, &lamp).await.is_empty());
}
