"""paho-mqtt as a plain MQTT client, led by a test.

Orders: {"do": "connect", host, port, ca?, transport?, path?, protocol?, clean?, keepalive?,
client_id, username, password}, {"do": "subscribe", topic, qos}, {"do": "unsubscribe", topic},
{"do": "publish", topic, payload, qos}, {"do": "end"}.
"""

from lines import orders, tell
from paho.mqtt import client as mqtt

client = None
for order in orders():
    do = order["do"]
    if do == "connect":
        client = mqtt.Client(
            client_id=order["client_id"],
            clean_session=order.get("clean", True),
            protocol={3: mqtt.MQTTv31, 4: mqtt.MQTTv311}[order.get("protocol", 4)],
            transport=order.get("transport", "tcp"),
        )
        client.username_pw_set(order["username"], order["password"])
        if order.get("transport") == "websockets":
            client.ws_set_options(path=order.get("path", "/mqtt"))
        if order.get("ca"):
            client.tls_set(ca_certs=order["ca"])
        client.on_connect = lambda c, u, flags, rc: tell(
            event="connect", rc=rc, session=flags.get("session present", 0)
        )
        client.on_disconnect = lambda c, u, rc: tell(event="disconnect", rc=rc)
        client.on_message = lambda c, u, m: tell(
            event="message", topic=m.topic, payload=m.payload.decode(), qos=m.qos
        )
        client.on_subscribe = lambda c, u, mid, granted: tell(event="subscribed", granted=list(granted))
        client.on_unsubscribe = lambda c, u, mid: tell(event="unsubscribed")
        client.on_publish = lambda c, u, mid: tell(event="published", mid=mid)
        client.connect(order["host"], order["port"], order.get("keepalive", 60))
        client.loop_start()
    elif do == "subscribe":
        client.subscribe(order["topic"], order.get("qos", 1))
    elif do == "unsubscribe":
        client.unsubscribe(order["topic"])
    elif do == "publish":
        client.publish(order["topic"], order["payload"], order.get("qos", 1))
    elif do == "end":
        client.disconnect()
