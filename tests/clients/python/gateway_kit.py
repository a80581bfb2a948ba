"""A gateway on the unmodified Python device SDK (aliyun-iot-linkkit), led by a test.

Orders: {"do": "start", host, port, product, device, secret}, {"do": "register", subs: [[pk, dn]]},
{"do": "add" or "login", subs: [[pk, dn, secret]]}, {"do": "delete" or "logout", subs: [[pk, dn]]},
{"do": "publish", topic, payload}.
Events: what the SDK's callbacks were called with.
"""

from lines import orders, tell
from linkkit import linkkit


def start(order):
    kit = linkkit.LinkKit(
        host_name=order["host"],
        product_key=order["product"],
        device_name=order["device"],
        device_secret=order["secret"],
    )
    kit.config_mqtt(endpoint=order["host"], port=order["port"], secure="")
    kit.on_connect = lambda flag, rc, _: tell(event="connect", rc=rc)
    kit.on_topic_message = lambda topic, payload, qos, _: tell(
        event="message", topic=topic, payload=payload.decode()
    )
    for what in ("register", "add", "delete", "login", "logout"):
        middle = f"{what}_subdev" + ("_topo" if what in ("add", "delete") else "")
        setattr(kit, f"on_gateway_{middle}_reply", told(what))
    kit.on_gateway_topo_change = lambda id, params, _: tell(event="change", params=params)
    kit.connect_async()
    return kit


def told(what):
    return lambda id, code, data, message, _: tell(event=what, code=code, data=data, message=message)


kit = None
for order in orders():
    do = order["do"]
    if do == "start":
        kit = start(order)
    elif do == "publish":
        rc, mid = kit.publish_topic(order["topic"], order["payload"], 1)
        tell(event="publishing", rc=rc)
    else:
        middle = f"{do}_subdev" + ("_topo" if do in ("add", "delete") else "")
        rc, id = getattr(kit, f"gateway_{middle}")(order["subs"])
        tell(event="asking", rc=rc)
