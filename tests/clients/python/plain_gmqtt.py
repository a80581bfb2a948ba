"""gmqtt on the plain listener, led by a test; orders and events as in plain_paho.py."""

import asyncio
import ssl
import sys
import json

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from lines import tell
from plain_paho import payload

NAMES = {
    "content_type": "content_type",
    "response_topic": "response_topic",
    "correlation": "correlation_data",
    "expiry": "message_expiry_interval",
    "format": "payload_format_id",
    "alias": "topic_alias",
    "user": "user_property",
    "delay": "will_delay_interval",
    "ids": "subscription_identifier",
    "assigned": "assigned_client_identifier",
}


def written(values):
    told = {}
    for name, value in (values or {}).items():
        if name == "user":
            value = [tuple(pair) for pair in value]
        elif name == "correlation":
            value = value.encode()
        told[NAMES[name]] = value
    return told


def plain(value):
    return value.decode() if isinstance(value, bytes) else value


def read(properties):
    told = {}
    for name, theirs in NAMES.items():
        values = properties.get(theirs)
        if values:
            told[name] = values if name in ("user", "ids") else plain(values[0])
    return told


async def main():
    client, connection = None, {}
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    def on_connect(client, flags, rc, properties):
        tell(event="connect", code=rc, session=bool(flags & 1), properties=read(properties))

    def on_message(client, topic, body, qos, properties):
        body = bytes(body)
        tell(
            event="message",
            topic=topic,
            size=len(body),
            sum=sum(body),
            text=body[:100].decode(errors="replace"),
            qos=qos,
            retain=bool(properties.get("retain")),
            properties=read(properties),
        )
        return 0

    async def acknowledged():
        while not client._persistent_storage.is_empty:
            await asyncio.sleep(0.001)

    while line := await reader.readline():
        order = json.loads(line)
        do = order["do"]
        if do == "connect":
            extra = {}
            if "expiry" in order:
                extra["session_expiry_interval"] = order["expiry"]
            will = None
            if w := order.get("will"):
                will = gmqtt.Message(
                    w["topic"], w["text"], w["qos"], w.get("retain", False), **written(w.get("properties"))
                )
            client = gmqtt.Client(
                order["client_id"], clean_session=order["clean"], will_message=will, **extra
            )
            client.set_config({"reconnect_retries": 0})
            client.on_connect = on_connect
            client.on_message = on_message
            client.on_subscribe = lambda c, mid, qos, properties: tell(
                event="subscribed", granted=list(qos)
            )
            client.on_unsubscribe = lambda c, mid, *_: tell(event="unsubscribed")
            tls = False
            if order.get("ca"):
                tls = ssl.create_default_context(cafile=order["ca"])
                tls.check_hostname = False
            version = MQTTv50 if order["version"] == 5 else MQTTv311
            await client.connect(order["host"], order["port"], ssl=tls, version=version)
        elif do == "subscribe":
            subscription = gmqtt.Subscription(
                order["topic"],
                qos=order["qos"],
                no_local=order.get("no_local", False),
                retain_as_published=order.get("as_published", False),
                retain_handling_options=order.get("handling", 0),
            )
            extra = {"subscription_identifier": order["id"]} if "id" in order else {}
            client.subscribe([subscription], **extra)
        elif do == "unsubscribe":
            client.unsubscribe(order["topic"])
        elif do == "publish":
            body = payload(order)
            client.publish(
                gmqtt.Message(
                    order["topic"],
                    body,
                    order["qos"],
                    order.get("retain", False),
                    **written(order.get("properties")),
                )
            )
            # It tells nobody of acknowledgements, but forgets what was acknowledged.
            await acknowledged()
            tell(event="published")
        elif do == "many":
            # It keeps to the server's Receive Maximum by refusing to publish, so we wait.
            for number in range(order["count"]):
                if number % 50 == 0:
                    await acknowledged()
                client.publish(order["topic"], str(number), order["qos"])
        elif do == "end":
            await client.disconnect()
            tell(event="ended")


asyncio.run(main())
