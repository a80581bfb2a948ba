//! Topic rights: a device uses its own topics and no others ([AL-3.12], spec/alink-wire.md §7).

use super::topics::{self, TOPIC_MAX, Whose, wild};
use hub::edge::Verb;
use model::{
    id::DeviceKey,
    product::{TopicClass, TopicRight},
};

/// Whether `device` may do this with a system topic; `None` for all others.
pub(crate) fn system(device: &DeviceKey, verb: Verb, topic: &str) -> Option<bool> {
    if topic.len() > TOPIC_MAX {
        return Some(false);
    }
    let Some((family, rest)) = topics::split(device, topic) else {
        return (verb == Verb::Subscribe && gateway_session(topic)).then_some(true);
    };
    Some(match (verb, family.whose()) {
        (Verb::Publish, _) => topics::route(device, topic).is_some(),
        // Clients subscribe to topics of theirs on which nothing ever comes, even to their own
        // requests, and take a refusal for a broken connection.
        (Verb::Subscribe, Whose::Device) if !wild(rest) => true,
        (Verb::Subscribe, Whose::Device) => family.has_pattern(rest) || rest == "/thing/service/#",
        (Verb::Subscribe, Whose::Product | Whose::Session) => family.sends(rest),
    })
}

/// Whether `device`, whose product has `classes`, may do this with a topic of the product's own.
pub(crate) fn custom(device: &DeviceKey, classes: &[TopicClass], verb: Verb, topic: &str) -> bool {
    let Some(suffix) = suffix(device, topic) else {
        return false;
    };
    classes.iter().any(|class| {
        let right = match verb {
            Verb::Publish => !wild(topic) && class.right != TopicRight::Subscribe,
            Verb::Subscribe => class.right != TopicRight::Publish,
        };
        right && covers(&class.suffix, suffix)
    })
}

/// Gateways subscribe to the session topics of their sub-devices; the server sends there through
/// the gateway's own connection only, so that nobody learns anything by it.
pub(crate) fn gateway_session(filter: &str) -> bool {
    let Some(rest) = filter.strip_prefix("/ext/session/") else {
        return false;
    };
    let levels: Vec<&str> = rest.split('/').collect();
    !wild(filter) && matches!(levels[..], [_, _, "combine", reply] if reply.ends_with("_reply"))
}

/// What follows `/{productKey}/{deviceName}/`.
fn suffix<'t>(device: &DeviceKey, topic: &'t str) -> Option<&'t str> {
    topic
        .strip_prefix('/')?
        .strip_prefix(device.product.as_str())?
        .strip_prefix('/')?
        .strip_prefix(device.name.as_str())?
        .strip_prefix('/')
        .filter(|suffix| !suffix.is_empty())
}

/// Whether all that `filter` stands for is in `class`.
fn covers(class: &str, filter: &str) -> bool {
    let mut filter = filter.split('/');
    for level in class.split('/') {
        match (level, filter.next()) {
            ("#", _) => return true,
            ("+", Some(given)) if given != "#" => {}
            (_, Some(given)) if given == level && !wild(given) => {}
            _ => return false,
        }
    }
    filter.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hub::edge::Verb::{Publish, Subscribe};

    fn class(suffix: &str, right: TopicRight) -> TopicClass {
        TopicClass {
            id: 1,
            suffix: suffix.into(),
            right,
            description: String::new(),
        }
    }

    fn allowed(verb: Verb, topic: &str) -> bool {
        let classes = [
            class("user/update", TopicRight::Publish),
            class("user/get", TopicRight::Subscribe),
            class("user/both", TopicRight::Both),
            class("user/all/#", TopicRight::Subscribe),
            class("user/one/+", TopicRight::Subscribe),
            class("update", TopicRight::Publish),
        ];
        let device = DeviceKey::parse("a1pk", "dev1").unwrap();
        system(&device, verb, topic).unwrap_or_else(|| custom(&device, &classes, verb, topic))
    }

    /// [AL-3.12] Filters that captured clients send, spec/alink-wire.md §7.
    #[test]
    fn subscriptions_of_real_clients_are_granted() {
        for filter in [
            "/sys/a1pk/dev1/thing/event/property/post_reply",
            "/sys/a1pk/dev1/thing/event/+/post_reply",
            "/sys/a1pk/dev1/thing/service/property/set",
            "/sys/a1pk/dev1/thing/service/+",
            "/sys/a1pk/dev1/thing/service/#",
            "/sys/a1pk/dev1/thing/config/push_reply",
            "/sys/a1pk/dev1/thing/model/down_raw",
            "/sys/a1pk/dev1/something/newer",
            "/sys/a1pk/dev1/rrpc/request/+",
            "/ext/rrpc/+/a/b",
            "/ext/rrpc/+//a/b",
            "/ext/rrpc/#",
            "/ext/network/probe/+",
            "/ext/error/a1pk/dev1",
            "/ext/ntp/a1pk/dev1/response",
            "/ext/session/a1pk/dev1/combine/login_reply",
            "/ext/session/subpk/subdev/combine/login_reply",
            "/shadow/get/a1pk/dev1",
            "/ota/device/upgrade/a1pk/dev1",
            "/ota/device/request/a1pk/dev1",
            "/broadcast/a1pk/all",
            "/broadcast/a1pk/+",
        ] {
            assert!(allowed(Subscribe, filter), "{filter}");
        }
    }

    /// [AL-3.12] No topic of another device or product, no wildcard in the place of a name.
    #[test]
    fn topics_of_others_are_refused() {
        for topic in [
            "#",
            "+/#",
            "/#",
            "/+/+/#",
            "/sys/#",
            "/sys/+/+/thing/service/+",
            "/sys/a1pk/+/thing/service/+",
            "/sys/+/dev1/thing/service/property/set",
            "/sys/a1pk/dev1/#",
            "/sys/a1pk/dev1/+/service/property/set",
            "/sys/a1pk/dev2/thing/service/property/set",
            "/sys/a1pk/dev12/thing/service/property/set",
            "/sys/a1pq/dev1/thing/service/property/set",
            "/ext/session/+/+/combine/login_reply",
            "/ext/session/subpk/subdev/#",
            "/ext/session/subpk/subdev/combine/login",
            "/ext/error/a1pk/dev2",
            "/ext/error/a1pk/+",
            "/ext/#",
            "/shadow/get/a1pk/dev2",
            "/shadow/get/+/+",
            "/ota/device/upgrade/a1pk/dev2",
            "/broadcast/a1pq/all",
            "/broadcast/+/all",
            "/a1pk/dev1/#",
            "/a1pk/dev1/user/#",
            "/a1pk/+/user/get",
            "/a1pk/dev2/user/get",
            "$SYS/#",
            "$share/g//sys/a1pk/dev1/thing/service/+",
            "",
        ] {
            assert!(!allowed(Subscribe, topic), "{topic}");
            assert!(!allowed(Publish, topic), "{topic}");
        }
    }

    /// [AL-3.12] Topic classes of the product, each with its right.
    #[test]
    fn topic_classes_give_their_right_and_no_other() {
        for (topic, publish, subscribe) in [
            ("/a1pk/dev1/user/update", true, false),
            ("/a1pk/dev1/user/get", false, true),
            ("/a1pk/dev1/user/both", true, true),
            ("/a1pk/dev1/update", true, false),
            ("/a1pk/dev1/user/all", false, true),
            ("/a1pk/dev1/user/all/a/b", false, true),
            ("/a1pk/dev1/user/all/+", false, true),
            ("/a1pk/dev1/user/all/#", false, true),
            ("/a1pk/dev1/user/one/a", false, true),
            ("/a1pk/dev1/user/one/+", false, true),
            ("/a1pk/dev1/user/one/#", false, false),
            ("/a1pk/dev1/user/one/a/b", false, false),
            ("/a1pk/dev1/user/other", false, false),
            ("/a1pk/dev1/user/+", false, false),
            ("/a1pk/dev1/user", false, false),
            ("/a1pk/dev1/", false, false),
        ] {
            assert_eq!(allowed(Publish, topic), publish, "publish {topic}");
            assert_eq!(allowed(Subscribe, topic), subscribe, "subscribe {topic}");
        }
    }

    /// [AL-3.12] What only the server sends, a device cannot.
    #[test]
    fn downward_topics_are_not_for_publishing() {
        for topic in [
            "/sys/a1pk/dev1/thing/service/property/set",
            "/sys/a1pk/dev1/thing/event/property/post_reply",
            "/sys/a1pk/dev1/rrpc/request/1",
            "/ext/error/a1pk/dev1",
            "/ext/register",
            "/ext/ntp/a1pk/dev1/response",
            "/ota/device/upgrade/a1pk/dev1",
            "/shadow/get/a1pk/dev1",
            "/broadcast/a1pk/all",
        ] {
            assert!(!allowed(Publish, topic), "{topic}");
        }
        for topic in [
            "/sys/a1pk/dev1/thing/service/property/set_reply",
            "/sys/a1pk/dev1/thing/config/push_reply",
            "/sys/a1pk/dev1/rrpc/response/1",
            "/ext/rrpc/1/a/b",
            "/ota/device/progress/a1pk/dev1",
        ] {
            assert!(allowed(Publish, topic), "{topic}");
        }
    }

    #[test]
    fn huge_topics_are_refused() {
        let topic = format!("/sys/a1pk/dev1/{}", "x".repeat(TOPIC_MAX));
        assert!(!allowed(Subscribe, &topic));
        assert!(!allowed(Publish, &topic));
    }
}
