//! mosquitto_pub, mosquitto_sub and mosquitto_rr, as scripts use them.

use std::{
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Command, Output, Stdio},
};
use tests::Server;

/// A tool, whose lines come when they are written and not when a pipe is full.
fn tool(name: &str, server: &Server, version: &str) -> Command {
    let address = server.address("plain");
    let mut command = Command::new("stdbuf");
    command
        .args(["-oL", name])
        .args(["-h", &address.ip().to_string()])
        .args(["-p", &address.port().to_string()])
        .args(["-V", version]);
    command
}

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("installed by tools/setup");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {err}");
    output
}

/// A mosquitto_sub that has subscribed: it says so when it is told to be chatty.
struct Sub {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Sub {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .args(["-d", "-F", "message %t %q %r %p"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("installed by tools/setup");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut sub = Self { child, lines };
        sub.line("received SUBACK");
        sub
    }

    /// The next line that has this in it.
    fn line(&mut self, what: &str) -> String {
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.contains(what))
            .unwrap_or_else(|| panic!("no {what}"))
    }

    fn message(&mut self) -> String {
        self.line("message ")["message ".len()..].to_owned()
    }
}

impl Drop for Sub {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// [MQTT-4.3.3-1] and what scripts rely on: every QoS in every version, retained messages, a will,
/// a session that waits, TLS, and request and response.
#[test]
fn mosquitto_tools() {
    let server = super::server();
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let topic = format!("tools/{version}");
        let mut sub = tool("mosquitto_sub", &server, version);
        sub.args(["-t", &topic, "-q", "2"]);
        let mut sub = Sub::start(sub);
        for qos in ["0", "1", "2"] {
            let mut publish = tool("mosquitto_pub", &server, version);
            run(publish.args(["-t", &topic, "-q", qos, "-m", "hello"]));
            assert_eq!(sub.message(), format!("{topic} {qos} 0 hello"));
        }
        drop(sub);

        let kept = format!("kept/{version}");
        let mut publish = tool("mosquitto_pub", &server, version);
        run(publish.args(["-t", &kept, "-q", "1", "-r", "-m", "stays"]));
        let mut look = tool("mosquitto_sub", &server, version);
        let out = run(look.args(["-t", &kept, "-C", "1", "-F", "%r %p"])).stdout;
        assert_eq!(String::from_utf8_lossy(&out), "1 stays\n");
        let mut publish = tool("mosquitto_pub", &server, version);
        run(publish.args(["-t", &kept, "-r", "-n"]));

        let wills = format!("wills/{version}");
        let mut heir = tool("mosquitto_sub", &server, version);
        heir.args(["-t", &wills]);
        let mut heir = Sub::start(heir);
        let mut mortal = tool("mosquitto_sub", &server, version);
        mortal.args(["-t", "x", "--will-topic", &wills, "--will-payload", "gone"]);
        drop(Sub::start(mortal));
        assert_eq!(heir.message(), format!("{wills} 0 0 gone"));

        // A session that waits: subscribed once, then gone, then back (-c: for ever in version 5).
        let waits = format!("waits/{version}");
        let id = format!("sleeper-{version}");
        let sleeper = || {
            let mut sub = tool("mosquitto_sub", &server, version);
            sub.args(["-t", &waits, "-q", "2", "-c", "-i", &id]);
            sub
        };
        drop(Sub::start(sleeper()));
        for qos in ["1", "2"] {
            let mut publish = tool("mosquitto_pub", &server, version);
            run(publish.args(["-t", &waits, "-q", qos, "-m", qos]));
        }
        let out = run(sleeper().args(["-C", "2", "-F", "%q %p"])).stdout;
        assert_eq!(String::from_utf8_lossy(&out), "1 1\n2 2\n");

        let mut secure = tool("mosquitto_sub", &server, version);
        let ca = server.ca();
        secure.arg("--cafile").arg(&ca).arg("--insecure");
        secure.args(["-t", &topic]);
        let mut secure = Sub::start(secure);
        let mut publish = tool("mosquitto_pub", &server, version);
        publish.arg("--cafile").arg(&ca).arg("--insecure");
        run(publish.args(["-t", &topic, "-q", "1", "-m", "sealed"]));
        assert_eq!(secure.message(), format!("{topic} 0 0 sealed"));
    }
}

/// Request and response of version 5, through properties, and a file as large as there is room for.
#[test]
fn mosquitto_rr_asks_and_is_answered() {
    let server = super::server();
    let mut asked = tool("mosquitto_sub", &server, "mqttv5");
    asked.args(["-t", "ask", "-q", "1"]);
    let mut asked = Sub::start(asked);
    let mut ask = tool("mosquitto_rr", &server, "mqttv5");
    ask.args(["-t", "ask", "-e", "answers/1", "-m", "how much?", "-q", "1"]);
    let asking = ask
        .args(["-W", "50"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("installed by tools/setup");
    assert_eq!(asked.message(), "ask 1 0 how much?");
    let mut answer = tool("mosquitto_pub", &server, "mqttv5");
    run(answer.args(["-t", "answers/1", "-q", "1", "-m", "42"]));
    let out = asking.wait_with_output().expect("it ends").stdout;
    assert_eq!(String::from_utf8_lossy(&out), "42\n");
}
