//! The manual page of the topics, written from the table.

use super::{Answer, Ask, EXCHANGES, Exchange, Starts, Up, Whose};
use std::fmt::Write as _;

const HEAD: &str = "\
# Topics of devices

Written from the table in `crates/aliyun/src/device/topics.rs`; a test keeps the two the same. `{pk}`
and `{dn}` are the product key and the name of the device, or of the sub-device for which its gateway
speaks. A `+` is one level, a `#` any number of levels. Who begins waits for the answer; payloads are
those of document 001, and a reply has `id`, `code`, `data` and `message`.
";

/// What is said there; nothing for what is not served.
fn words(exchange: &Exchange) -> Option<&'static str> {
    let words = match (exchange.at, exchange.rest) {
        ("/sys", "/thing/event/property/post") => {
            "values of properties; what does not fit the thing model is dropped"
        }
        ("/sys", "/thing/event/+/post") => {
            "an event by its identifier; refused when it does not fit"
        }
        ("/sys", "/thing/event/property/history/post") => {
            "values and events of the past, with their times"
        }
        ("/sys", "/thing/event/property/pack/post") => {
            "values and events of a gateway and sub-devices, all or none"
        }
        ("/sys", "/thing/event/property/ack/post") => "the same, as document 001 prints the topic",
        ("/sys", "/thing/service/property/set") => "values to set",
        ("/sys", "/thing/service/property/get") => "properties to tell now",
        ("/sys", "/thing/service/+") => "an asynchronous service by its identifier",
        ("/sys", "/rrpc/request/+") => "a synchronous service or a call by its number",
        ("/sys", "/thing/dsltemplate/get") => "its thing model",
        ("/sys", "/thing/dynamicTsl/get") => "the same",
        ("/sys", "/thing/property/desired/get") => "which values are wanted, with their versions",
        ("/sys", "/thing/property/desired/delete") => "values that need not be wanted any more",
        ("/sys", "/thing/deviceinfo/update") => "tags to set",
        ("/sys", "/thing/deviceinfo/delete") => "tags to remove",
        ("/sys", "/thing/status/update") => "what old C SDKs say of their module; without effect",
        ("/sys", "/thing/config/get") => "the remote configuration: a link, its size and digest",
        ("/sys", "/thing/config/push") => "there is a new remote configuration",
        ("/sys", "/thing/config/log/get") => "whether to send its log",
        ("/sys", "/thing/config/log/push") => "to send its log, or not to",
        ("/sys", "/thing/log/post") => "lines of its log",
        ("/sys", "/thing/config/log/post") => "the same",
        ("/sys", "/thing/reset") => "its user set it back; noted",
        ("/sys", "/thing/disable") => "it is disabled, and its connection ends",
        ("/sys", "/thing/enable") => "it is enabled",
        ("/sys", "/thing/delete") => "it is deleted, and its connection ends",
        ("/sys", "/thing/sub/register") => "a gateway asks for secrets of sub-devices",
        ("/sys", "/thing/proxy/provisioning/product_register") => {
            "the same, proven by the products' secrets"
        }
        ("/sys", "/thing/sub/unregister") => "a gateway gives sub-devices up",
        ("/sys", "/thing/topo/add") => "a gateway binds sub-devices",
        ("/sys", "/thing/topo/delete") => "a gateway unbinds sub-devices",
        ("/sys", "/thing/topo/get") => "which sub-devices are bound",
        ("/sys", "/thing/list/found") => "devices that a gateway found; noted",
        ("/sys", "/thing/topo/add/notify") => "sub-devices that the gateway is to bind",
        ("/sys", "/thing/topo/change") => {
            "sub-devices bound (0), unbound (1), enabled (2), disabled (8) by others"
        }
        ("/sys", "/thing/model/config/push") => "how sub-devices are reached: a link and a digest",
        ("/ext/session", "/combine/login") => "a gateway logs a sub-device in",
        ("/ext/session", "/combine/logout") => "a gateway logs a sub-device out",
        ("/ext/session", "/combine/batch_login") => "a gateway logs several in, all or none",
        ("/ext/session", "/combine/batch_logout") => "a gateway logs several out, all or none",
        ("/ext/error", "") => "what went wrong with a sub-device, for its gateway",
        ("/ota/device/inform", "") => "the firmware version of the device or of a module",
        ("/ota/device/upgrade", "") => "a package to fetch",
        ("/ota/device/request", "") => "whether there is a package",
        ("/ota/device/progress", "") => "how far an upgrade is in percent, or -1 to -4",
        ("/sys", "/thing/ota/firmware/get") => "whether there is a package",
        ("/sys", "/thing/file/download") => "a piece of a package, for devices without HTTP",
        ("/ext/ntp", "/request") => "what time it is",
        ("/shadow/update", "") => {
            "update, get or delete its shadow; what is wanted comes by itself, too"
        }
        ("/ext/rrpc", "/#") => {
            "a call on the application's own topic, or a service, behind its number"
        }
        ("/ext/register", "") => "the secret of a device that registers itself over MQTT",
        ("/ext/regnwl", "") => "the token of a device that nobody registered before",
        ("/broadcast", "/#") => "a message for all devices of the product",
        _ => return None,
    };
    Some(words)
}

fn manual() -> String {
    let mut page = HEAD.to_owned();
    let mut write = |title: &str, served: bool| {
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "\n{title}\n\n| topic | begins | answer | |\n| --- | --- | --- | --- |"
        );
        for exchange in EXCHANGES {
            let words = words(exchange);
            if words.is_some() != served {
                continue;
            }
            let topic = |at: &str, rest: &str| match exchange.whose {
                Whose::Device => format!("`{at}/{{pk}}/{{dn}}{rest}`"),
                Whose::Product => format!("`{at}/{{pk}}{rest}`"),
                Whose::Session => format!("`{at}{rest}`"),
            };
            let begins = match exchange.starts {
                Starts::Device(_) => "device",
                Starts::Server(_) => "server",
            };
            let answer = match exchange.answer {
                Answer::None => String::new(),
                Answer::Reply => "`…_reply`".to_owned(),
                Answer::Same => "the same topic".to_owned(),
                Answer::On(at, rest) => topic(at, rest),
            };
            let words = words.unwrap_or(match exchange.starts {
                Starts::Device(Up::Ask(Ask::Unserved)) => "turned down",
                Starts::Device(_) => "taken, without effect",
                Starts::Server(_) => "never sent",
            });
            let topic = topic(exchange.at, exchange.rest);
            let _ = writeln!(page, "| {topic} | {begins} | {answer} | {words} |");
        }
    };
    write("## Served", true);
    let there =
        "## Known\n\nClients use or subscribe to these; they are let, and nothing is behind them.";
    write(there, false);
    page
}

/// The manual page says what the table says. `MUSTER_WRITE=1` writes the page again.
#[test]
fn the_manual_page_is_that_of_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/topics.md");
    let page = manual();
    if std::env::var_os("MUSTER_WRITE").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == page,
        "run this test with MUSTER_WRITE=1 and commit docs/topics.md"
    );
}

/// What is served has words of its own, and what has words is in the table.
#[test]
fn every_topic_that_is_served_is_described() {
    for exchange in EXCHANGES {
        let nothing = matches!(
            exchange.starts,
            Starts::Device(Up::Ask(Ask::Unserved) | Up::Notice) | Starts::Server(Up::Notice)
        );
        assert!(
            nothing || words(exchange).is_some(),
            "{}{}",
            exchange.at,
            exchange.rest
        );
    }
    let described = EXCHANGES.iter().filter(|one| words(one).is_some()).count();
    assert_eq!(
        described, 53,
        "there are words for what is not in the table"
    );
}
