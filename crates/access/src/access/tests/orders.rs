//! Orders while their device comes and goes: none is lost, and none is given to it twice.

use super::*;

const SET: &str = "lamp/set";

impl Notes {
    /// Returns once the hub knows that the device has this command.
    async fn marked(&self, id: u32) {
        loop {
            let marked = |command: &Command| {
                command.id == CommandId(id) && command.state == CommandState::Sent
            };
            if self.commands.lock().iter().any(marked) {
                return;
            }
            self.sent.notified().await;
        }
    }

    fn waits(&self, id: u32) -> bool {
        let waits = |command: &Command| {
            command.id == CommandId(id) && command.state == CommandState::Waiting
        };
        self.commands.lock().iter().any(waits)
    }
}

impl Client {
    /// The next packet, which is a PUBLISH with this payload and is not acknowledged.
    async fn order(&mut self, payload: &str) -> Publish {
        match self.next().await {
            Some(Packet::Publish(publish)) => {
                assert_eq!(
                    (&*publish.topic, &publish.payload[..]),
                    (SET, payload.as_bytes())
                );
                publish
            }
            other => panic!("{other:?}"),
        }
    }

    async fn acknowledge(&mut self, publish: &Publish) {
        let ack = Ack::new(publish.packet_id.unwrap(), ReasonCode::Success);
        self.send(&Packet::PubAck(ack)).await;
    }
}

fn lasting() -> Connect {
    Connect {
        clean_start: false,
        ..connect(Version::V311, "c", "lamp")
    }
}

/// [AL-6.5] At QoS 1 an order is the device's once it acknowledged it; until then whoever connects
/// gets it, in a new session too.
#[tokio::test]
async fn an_order_that_was_not_acknowledged_is_given_again() {
    let server = server();
    server.notes.command("lamp", 1);
    for _ in 0..2 {
        let mut client = server.device("c", "lamp").await;
        client.subscribe(SET).await;
        client.order("1").await;
        client.quiet().await;
        assert!(server.notes.waits(1));
    }
    let mut client = server.device("c", "lamp").await;
    client.subscribe(SET).await;
    let order = client.order("1").await;
    client.acknowledge(&order).await;
    drop(client);
    let mut client = server.device("c", "lamp").await;
    client.subscribe(SET).await;
    client.quiet().await;
    assert!(!server.notes.waits(1));
}

/// [AL-6.5] A session that outlives its connection gives an order again by itself; it does not come
/// a second time from the store, whenever the device acknowledges it.
#[tokio::test]
async fn an_order_in_a_session_that_goes_on_comes_once() {
    let server = server();
    let mut client = server.client(lasting()).await;
    client.subscribe(SET).await;
    server.notes.command("lamp", 1);
    let iot_id = IotId::parse("lamp").unwrap();
    let word = Signal::CommandsWait { iot_id };
    server.bus.send(word.into()).await.unwrap();
    assert!(!client.order("1").await.dup);
    drop(client);
    for round in 0..3 {
        let mut client = server.client(lasting()).await;
        let order = client.order("1").await;
        assert!(order.dup);
        client.quiet().await;
        client.subscribe(SET).await;
        client.quiet().await;
        assert!(server.notes.waits(1));
        if round == 2 {
            client.acknowledge(&order).await;
            server.notes.marked(1).await;
        }
    }
    let mut client = server.client(lasting()).await;
    client.quiet().await;
    // The same, where the acknowledgement comes with the CONNECT.
    server.notes.command("lamp", 2);
    client.subscribe(SET).await;
    client.order("2").await;
    drop(client);
    let mut client = Client::new(Box::new(server.tcp(0).await), Version::V311);
    let mut bytes = BytesMut::new();
    for packet in [
        Packet::Connect(Box::new(lasting())),
        Packet::PubAck(Ack::new(id(2), ReasonCode::Success)),
    ] {
        encode(&packet, Version::V311, &mut bytes).unwrap();
    }
    client.stream.write_all(&bytes).await.unwrap();
    assert_eq!(client.connack().await, ReasonCode::Success);
    client.order("2").await;
    server.notes.marked(2).await;
    client.quiet().await;
    let mut again = server.device("c", "lamp").await;
    again.subscribe(SET).await;
    again.quiet().await;
}

/// [AL-6.5] At QoS 0 an order is the device's once its bytes have left and the device said two things
/// since; the first it may have said before it read them.
#[tokio::test]
async fn an_order_that_nobody_acknowledges_is_given_until_the_device_speaks() {
    let server = server();
    server.notes.command("lamp", 1);
    for _ in 0..2 {
        let mut client = server.device("implicit", "lamp").await;
        assert_eq!(client.order("1").await.qos, QoS::AtMostOnce);
    }
    let mut client = server.device("implicit", "lamp").await;
    client.order("1").await;
    client.quiet().await;
    assert!(server.notes.waits(1));
    client.quiet().await;
    server.notes.marked(1).await;
    drop(client);
    server.device("implicit", "lamp").await.quiet().await;
}

/// [AL-6.5] A connection that takes another one's place knows what the device had there.
#[tokio::test]
async fn what_was_taken_is_not_given_to_the_next_connection() {
    let server = server();
    for round in 1..=20 {
        server.notes.command("lamp", round);
        let mut first = server.device("c", "lamp").await;
        first.subscribe(SET).await;
        let order = first.order(&round.to_string()).await;
        let ack = Packet::PubAck(Ack::new(order.packet_id.unwrap(), ReasonCode::Success));
        first.send(&ack).await;
        first.quiet().await;
        let mut second = server.device("c", "lamp").await;
        second.subscribe(SET).await;
        second.quiet().await;
        server.notes.marked(round).await;
    }
}

/// [AL-6.5] Orders that find no room wait until there is some, and keep their order.
#[tokio::test]
async fn orders_wait_for_room() {
    const COUNT: u32 = 60;
    let server = server_with(Bounds {
        outgoing: 64,
        ..Bounds::default()
    });
    for number in 1..=COUNT {
        server.notes.command("lamp", number);
    }
    let mut client = server.device("implicit", "lamp").await;
    for number in 1..=COUNT {
        client.order(&number.to_string()).await;
    }
    client.quiet().await;
    client.quiet().await;
    server.notes.marked(COUNT).await;
}
