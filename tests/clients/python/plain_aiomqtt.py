"""aiomqtt on the plain listener, led by a test; orders and events as in plain_paho.py."""

import asyncio
import json
import ssl
import sys

import aiomqtt
from lines import tell
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions
from plain_paho import code, message, payload, read, written


async def main():
    client, five = None, False
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def listen():
        try:
            async for m in client.messages:
                message(m, m.qos, read(m.properties))
        except aiomqtt.MqttError:
            pass  # it says so when the connection ends, whoever ended it

    while line := await reader.readline():
        order = json.loads(line)
        do = order["do"]
        if do == "connect":
            five = order["version"] == 5
            extra = {}
            if five:
                extra["clean_start"] = order["clean"]
                extra["properties"] = Properties(PacketTypes.CONNECT)
                if "expiry" in order:
                    extra["properties"].SessionExpiryInterval = order["expiry"]
            else:
                extra["clean_session"] = order["clean"]
            if order.get("ca"):
                extra["tls_context"] = ssl.create_default_context(cafile=order["ca"])
                extra["tls_insecure"] = True
                extra["tls_context"].check_hostname = False
            if order.get("ws"):
                extra["transport"] = "websockets"
                extra["websocket_path"] = "/mqtt"
            if w := order.get("will"):
                properties = written(w.get("properties"), PacketTypes.WILLMESSAGE) if five else None
                extra["will"] = aiomqtt.Will(
                    w["topic"], w["text"], w["qos"], w.get("retain", False), properties
                )
            client = aiomqtt.Client(
                order["host"],
                order["port"],
                identifier=order["client_id"],
                protocol=aiomqtt.ProtocolVersion(order["version"]),
                **extra,
            )
            # What the library keeps to itself: the callback below is the one that it has set.
            inner = client._client.on_connect

            def on_connect(c, u, flags, rc, properties=None):
                tell(
                    event="connect",
                    code=code(rc),
                    session=bool(flags.session_present),
                    properties=read(properties),
                )
                return inner(c, u, flags, rc, properties)

            client._client.on_connect = on_connect
            await client.__aenter__()
            listening = asyncio.create_task(listen())
        elif do == "subscribe":
            extra = {"qos": order["qos"]}
            if five:
                extra = {}
                extra["options"] = SubscribeOptions(
                    order["qos"],
                    order.get("no_local", False),
                    order.get("as_published", False),
                    order.get("handling", 0),
                )
                if "id" in order:
                    extra["properties"] = Properties(PacketTypes.SUBSCRIBE)
                    extra["properties"].SubscriptionIdentifier = order["id"]
            granted = await client.subscribe(order["topic"], **extra)
            tell(event="subscribed", granted=[code(g) for g in granted])
        elif do == "unsubscribe":
            await client.unsubscribe(order["topic"])
            tell(event="unsubscribed")
        elif do == "publish":
            properties = written(order.get("properties"), PacketTypes.PUBLISH) if five else None
            await client.publish(
                order["topic"], payload(order), order["qos"], order.get("retain", False), properties
            )
            tell(event="published")
        elif do == "many":
            sending = [
                client.publish(order["topic"], str(number), order["qos"])
                for number in range(order["count"])
            ]
            for one in sending:
                await one
        elif do == "end":
            await client.__aexit__(None, None, None)
            tell(event="ended")


asyncio.run(main())
