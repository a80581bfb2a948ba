"""paho-mqtt 1.6 or 2.x on the plain listener, led by a test; the orders and events that all
plain clients (plain_*.py, plain.js, rumqtt.rs) have in common.

Orders: {"do": "connect", host, port, ca?, ws?, version, client_id, clean, expiry?, will?},
{"do": "subscribe", topic, qos, no_local?, as_published?, handling?, id?},
{"do": "unsubscribe", topic}, {"do": "publish", topic, text | size, qos, retain?, properties?},
{"do": "many", topic, count, qos}, {"do": "end"}.
Events: connect {session, code, properties}, subscribed {granted}, unsubscribed, published,
message {topic, size, sum, text, qos, retain, properties}, ended. Properties are those of
`NAMES` below, and "user", a list of pairs.
"""

import ssl

from lines import orders, tell
from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

NAMES = {
    "content_type": "ContentType",
    "response_topic": "ResponseTopic",
    "correlation": "CorrelationData",
    "expiry": "MessageExpiryInterval",
    "format": "PayloadFormatIndicator",
    "alias": "TopicAlias",
    "user": "UserProperty",
    "ids": "SubscriptionIdentifier",
    "assigned": "AssignedClientIdentifier",
    "delay": "WillDelayInterval",
}


def written(values, kind):
    """Properties of an order as paho's."""
    properties = Properties(kind)
    for name, value in (values or {}).items():
        if name == "user":
            properties.UserProperty = [tuple(pair) for pair in value]
        elif name == "correlation":
            properties.CorrelationData = value.encode()
        else:
            setattr(properties, NAMES[name], value)
    return properties


def read(properties):
    """Properties as an event tells them."""
    told = {}
    for name, theirs in NAMES.items():
        value = getattr(properties, theirs, None) if properties is not None else None
        if value is not None:
            told[name] = value.decode() if isinstance(value, bytes) else value
    return told


def payload(order):
    if "size" in order:
        return bytes(at % 251 for at in range(order["size"]))
    return order.get("text", "")


def message(m, qos, properties):
    told = bytes(m.payload)
    tell(
        event="message",
        topic=str(m.topic),
        size=len(told),
        sum=sum(told),
        text=told[:100].decode(errors="replace"),
        qos=qos,
        retain=bool(m.retain),
        properties=properties,
    )


def code(rc):
    return getattr(rc, "value", rc)


def connect(order):
    five = order["version"] == 5
    options = {
        "client_id": order["client_id"],
        "protocol": order["version"],
        "transport": "websockets" if order.get("ws") else "tcp",
    }
    if not five:
        options["clean_session"] = order["clean"]
    if hasattr(mqtt, "CallbackAPIVersion"):
        options["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
    client = mqtt.Client(**options)
    if order.get("ws"):
        client.ws_set_options(path="/mqtt")
    if order.get("ca"):
        client.tls_set(ca_certs=order["ca"])
        client.tls_insecure_set(True)
    if will := order.get("will"):
        properties = written(will.get("properties"), PacketTypes.WILLMESSAGE) if five else None
        client.will_set(
            will["topic"], will["text"], will["qos"], will.get("retain", False), properties
        )

    def on_connect(c, u, flags, rc, properties=None):
        tell(
            event="connect",
            code=code(rc),
            session=bool(flags["session present"]),
            properties=read(properties),
        )

    client.on_connect = on_connect
    client.on_message = lambda c, u, m: message(m, m.qos, read(getattr(m, "properties", None)))
    client.on_subscribe = lambda c, u, mid, granted, *_: tell(
        event="subscribed",
        granted=[code(g) for g in (granted if isinstance(granted, (list, tuple)) else [granted])],
    )
    client.on_unsubscribe = lambda c, u, mid, *_: tell(event="unsubscribed")
    client.on_publish = lambda c, u, mid, *_: tell(event="published")
    extra = {}
    if five:
        extra["clean_start"] = order["clean"]
        extra["properties"] = Properties(PacketTypes.CONNECT)
        if "expiry" in order:
            extra["properties"].SessionExpiryInterval = order["expiry"]
    client.connect(order["host"], order["port"], 60, **extra)
    client.loop_start()
    return client


def subscribe(client, order, five):
    if not five:
        client.subscribe(order["topic"], order["qos"])
        return
    properties = Properties(PacketTypes.SUBSCRIBE)
    if "id" in order:
        properties.SubscriptionIdentifier = order["id"]
    options = SubscribeOptions(
        order["qos"],
        order.get("no_local", False),
        order.get("as_published", False),
        order.get("handling", 0),
    )
    client.subscribe(order["topic"], options=options, properties=properties)


def publish(client, order, five):
    properties = written(order.get("properties"), PacketTypes.PUBLISH) if five else None
    client.publish(
        order["topic"], payload(order), order["qos"], order.get("retain", False), properties
    )


if __name__ == "__main__":
    client, five = None, False
    for order in orders():
        do = order["do"]
        if do == "connect":
            client, five = connect(order), order["version"] == 5
        elif do == "subscribe":
            subscribe(client, order, five)
        elif do == "unsubscribe":
            client.unsubscribe(order["topic"])
        elif do == "publish":
            publish(client, order, five)
        elif do == "many":
            for number in range(order["count"]):
                client.publish(order["topic"], str(number), order["qos"])
        elif do == "end":
            client.on_disconnect = lambda *_: tell(event="ended")
            client.disconnect()
