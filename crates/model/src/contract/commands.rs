//! `Commands`: what waits for a device or for its answer.

use super::{Engine, Make, device_key, iot_id, race};
use crate::{
    command::{Answer, Command, CommandState, Order},
    id::{CommandId, Time},
    port::Commands,
};
use serde_json::{Map, Value, json};

/// Runs the suite.
pub async fn all(make: &dyn Make) {
    what_is_pushed_waits_oldest_first(make).await;
    the_bound_holds_whatever_races(make).await;
    numbers_differ_whatever_races(make).await;
    a_command_is_handed_over_once(make).await;
    of_many_racing_answers_one_sees_the_command(make).await;
    old_commands_are_not_sent_and_are_forgotten(make).await;
    what_is_done_survives_a_restart(make).await;
}

const BOUND: usize = 100;

fn order(number: usize) -> Order {
    Order::Invoke {
        identifier: "dim".into(),
        input: Map::from_iter([("level".into(), json!(number))]),
        sync: number.is_multiple_of(2),
    }
}

fn answer() -> Answer {
    Answer {
        code: 200,
        data: Value::Null,
        message: String::new(),
    }
}

async fn push(commands: &dyn Commands, device: &str, number: usize, until: i64) -> Option<Command> {
    let key = device_key("pk", device);
    let (order, id) = (order(number), iot_id(device));
    let pushed = commands.push(&key, &id, &order, Time(0), Time(until), BOUND);
    pushed.await.unwrap()
}

async fn waiting(commands: &dyn Commands, device: &str, now: i64) -> Vec<Command> {
    let waiting = commands.waiting(&iot_id(device), Time(now), 1_000).await;
    waiting.unwrap()
}

/// "Commands of the device that are still `Waiting` and not too old, oldest first."
pub async fn what_is_pushed_waits_oldest_first(make: &dyn Make) {
    let Engine {
        commands,
        data: _data,
        ..
    } = make.fresh().await;
    let mut pushed = Vec::new();
    for number in 0..10 {
        pushed.push(push(&*commands, "lamp", number, 100).await.unwrap());
        push(&*commands, "fan1", number, 100).await.unwrap();
    }
    for (number, command) in pushed.iter().enumerate() {
        let expected = Command {
            id: command.id,
            device: device_key("pk", "lamp"),
            iot_id: iot_id("lamp"),
            order: order(number),
            created: Time(0),
            until: Time(100),
            state: CommandState::Waiting,
        };
        assert_eq!(*command, expected);
        let found = commands.find(&iot_id("lamp"), command.id).await.unwrap();
        assert_eq!(found, Some(expected));
        let other = commands.find(&iot_id("fan1"), command.id).await.unwrap();
        assert_eq!(other, None);
    }
    assert_eq!(waiting(&*commands, "lamp", 1).await, pushed);
    let some = commands.waiting(&iot_id("lamp"), Time(1), 3).await.unwrap();
    assert_eq!(some, pushed[..3]);
    assert!(waiting(&*commands, "none", 1).await.is_empty());
}

/// "Refuses (`None`) when the device has `bound` commands waiting already."
pub async fn the_bound_holds_whatever_races(make: &dyn Make) {
    let Engine {
        commands,
        data: _data,
        ..
    } = make.fresh().await;
    let results = race(BOUND + 20, |i| {
        let commands = commands.clone();
        async move { push(&*commands, "lamp", i, 100).await.is_some() }
    })
    .await;
    assert_eq!(results.iter().filter(|pushed| **pushed).count(), BOUND);
    assert!(push(&*commands, "fan1", 0, 100).await.is_some());
    // One that was sent, is done, or is too old does not wait.
    let all = waiting(&*commands, "lamp", 1).await;
    assert!(commands.sent(&iot_id("lamp"), all[0].id).await.unwrap());
    assert!(push(&*commands, "lamp", 0, -1).await.is_some());
    assert!(push(&*commands, "lamp", 0, 100).await.is_some());
    assert!(push(&*commands, "lamp", 0, 100).await.is_none());
    let done = commands.done(&iot_id("lamp"), all[1].id, &answer()).await;
    assert!(done.unwrap().is_some());
    assert!(push(&*commands, "lamp", 0, 100).await.is_some());
}

/// "Gives it a number that no command still kept has."
pub async fn numbers_differ_whatever_races(make: &dyn Make) {
    let engine = make.fresh().await;
    let ids = race(64, |i| {
        let commands = engine.commands.clone();
        async move { push(&*commands, &format!("lamp-{}", i % 8), i, 100).await }
    })
    .await;
    let id = |command: &Option<Command>| command.as_ref().unwrap().id;
    let mut ids: Vec<_> = ids.iter().map(id).collect();
    let engine = make.reopen(engine).await;
    ids.push(id(&push(&*engine.commands, "lamp", 0, 100).await));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 65);
}

/// "Marks the command as handed to the device; false when it was so before, or is gone."
pub async fn a_command_is_handed_over_once(make: &dyn Make) {
    let Engine {
        commands,
        data: _data,
        ..
    } = make.fresh().await;
    let (lamp, fan) = (iot_id("lamp"), iot_id("fan1"));
    let command = push(&*commands, "lamp", 0, 100).await.unwrap();
    assert!(!commands.sent(&fan, command.id).await.unwrap());
    assert!(!commands.sent(&lamp, CommandId(u32::MAX)).await.unwrap());
    let id = command.id;
    let results = race(16, |_| {
        let (commands, lamp) = (commands.clone(), lamp.clone());
        async move { commands.sent(&lamp, id).await.unwrap() }
    })
    .await;
    assert_eq!(results.iter().filter(|sent| **sent).count(), 1);
    assert!(waiting(&*commands, "lamp", 1).await.is_empty());
    let found = commands.find(&lamp, id).await.unwrap().unwrap();
    assert_eq!(found.state, CommandState::Sent);
}

/// "Ends the command and gives it back; of two racing answers one sees the command."
pub async fn of_many_racing_answers_one_sees_the_command(make: &dyn Make) {
    let Engine {
        commands,
        data: _data,
        ..
    } = make.fresh().await;
    let lamp = iot_id("lamp");
    let id = push(&*commands, "lamp", 0, 100).await.unwrap().id;
    let stranger = commands.done(&iot_id("fan1"), id, &answer()).await;
    assert_eq!(stranger.unwrap(), None);
    let results = race(16, |_| {
        let (commands, lamp) = (commands.clone(), lamp.clone());
        async move { commands.done(&lamp, id, &answer()).await.unwrap() }
    })
    .await;
    let winners: Vec<_> = results.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!((winners[0].id, &winners[0].order), (id, &order(0)));
    assert_eq!(commands.find(&lamp, id).await.unwrap(), None);
    assert!(!commands.sent(&lamp, id).await.unwrap());
    assert!(waiting(&*commands, "lamp", 1).await.is_empty());
}

/// "After this time it is not sent any more"; "forgets commands whose time is before `now`, at
/// most `most`".
pub async fn old_commands_are_not_sent_and_are_forgotten(make: &dyn Make) {
    let Engine {
        commands,
        data: _data,
        ..
    } = make.fresh().await;
    let mut ids = Vec::new();
    for number in 0..6 {
        let until = if number < 4 { 10 } else { 20 };
        ids.push(push(&*commands, "lamp", number, until).await.unwrap().id);
    }
    assert_eq!(waiting(&*commands, "lamp", 10).await.len(), 6);
    assert_eq!(waiting(&*commands, "lamp", 11).await.len(), 2);
    let lamp = iot_id("lamp");
    assert!(commands.find(&lamp, ids[0]).await.unwrap().is_some());
    let expire = async |now, most| commands.expire(Time(now), most).await.unwrap();
    assert_eq!(expire(10, 100).await, 0);
    assert_eq!(expire(11, 3).await, 3);
    assert_eq!(expire(11, 3).await, 1);
    assert_eq!(expire(11, 3).await, 0);
    assert_eq!(commands.find(&lamp, ids[0]).await.unwrap(), None);
    assert_eq!(waiting(&*commands, "lamp", 11).await.len(), 2);
}

/// "When a method that changes something returns `Ok`, the change is on disk."
pub async fn what_is_done_survives_a_restart(make: &dyn Make) {
    let engine = make.fresh().await;
    let mut pushed = Vec::new();
    for number in 0..3 {
        pushed.push(push(&*engine.commands, "lamp", number, 100).await.unwrap());
    }
    let lamp = iot_id("lamp");
    assert!(engine.commands.sent(&lamp, pushed[0].id).await.unwrap());
    let done = engine.commands.done(&lamp, pushed[1].id, &answer()).await;
    assert!(done.unwrap().is_some());
    let engine = make.reopen(engine).await;
    assert_eq!(waiting(&*engine.commands, "lamp", 1).await, pushed[2..]);
    let sent = engine.commands.find(&lamp, pushed[0].id).await.unwrap();
    assert_eq!(sent.unwrap().state, CommandState::Sent);
    let done = engine.commands.find(&lamp, pushed[1].id).await.unwrap();
    assert_eq!(done, None);
}
