//! Promise 5: clients that were written for other brokers work here, unmodified, in every version
//! that they speak. docs/guide/clients.md is the table of what is shown here.

mod mosquitto;
mod peer;
mod scenario;

use peer::{Kind, Trial};
use tests::Server;

/// A server with a plain listener.
fn server() -> Server {
    Server::start_with(&[
        "listen.plain.off=false",
        "listen.plain.anonymous=true",
        "listen.plain.refuse=[\"secret/#\"]",
    ])
}

type Scenario = fn(&Trial<'_>);

/// Every scenario that the client can play, in every version.
fn play(kind: Kind) {
    let server = server();
    for &version in kind.versions() {
        let trial = Trial {
            server: &server,
            kind,
            version,
        };
        let mut scenarios: Vec<(&str, Scenario)> = vec![
            ("echo", scenario::echo),
            ("many", scenario::many),
            ("retained", scenario::retained),
            ("will", scenario::will),
            ("session", scenario::session),
            ("roads", scenario::roads),
            ("refused", scenario::refused),
            ("shared", scenario::shared),
        ];
        if version == 5 {
            scenarios.extend([
                ("properties", scenario::properties as Scenario),
                ("options", scenario::options),
                ("will delay", scenario::will_delay),
            ]);
        }
        // npm mqtt refuses to publish without a topic; paho, aiomqtt and rumqttc send the alias.
        if version == 5 && !matches!(kind, Kind::Npm | Kind::Gmqtt) {
            scenarios.push(("alias", scenario::alias));
        }
        // gmqtt makes an id up by itself.
        if version == 5 && kind != Kind::Gmqtt {
            scenarios.push(("assigned", scenario::assigned));
        }
        for (name, scenario) in scenarios {
            println!("{kind:?}, version {version}: {name}");
            scenario(&trial);
        }
    }
    assert!(!server.log().contains("panic"), "{}", server.log());
}

#[test]
fn paho_mqtt_of_the_first_generation() {
    play(Kind::Paho1);
}

#[test]
fn paho_mqtt_of_the_second_generation() {
    play(Kind::Paho2);
}

#[test]
fn gmqtt() {
    play(Kind::Gmqtt);
}

#[test]
fn aiomqtt() {
    play(Kind::Aiomqtt);
}

#[test]
fn npm_mqtt() {
    play(Kind::Npm);
}

#[test]
fn rumqttc() {
    play(Kind::Rumqtt);
}
