"""The unmodified Python device SDK (aliyun-iot-linkkit), led by a test.

Orders: {"do": "start", host, port, ca?, product, device, secret?, product_secret?, auth?, tsl?,
clean?, protocol?, names?}, {"do": "post", params}, {"do": "event", identifier, params},
{"do": "publish", topic, payload, qos?}, {"do": "subscribe", topic}, {"do": "answer", code, data},
{"do": "shadow", reported, version}, {"do": "get_shadow"}, {"do": "tag", tags}, {"do": "untag", names},
{"do": "calls", topic},
{"do": "ota_report", module?, version}, {"do": "ota_query", module?},
{"do": "ota_download", url, path, sign_method, sign}, {"do": "stop"}.
Events: what the SDK's callbacks were called with.
"""

from lines import lead_names, orders, tell
from linkkit import linkkit

answers = {"code": 200, "data": {}}


def start(order):
    ca = order.get("ca")
    kit = linkkit.LinkKit(
        host_name=order.get("region", order["host"]),
        product_key=order["product"],
        device_name=order["device"],
        device_secret=order.get("secret", ""),
        product_secret=order.get("product_secret"),
        auth_type=order.get("auth"),
        client_id=order.get("client_id"),
        username=order.get("username"),
        password=order.get("password"),
    )
    kit.config_mqtt(
        endpoint=order["host"],
        port=order["port"],
        secure="TLS" if ca else "",
        cadata=open(ca).read() if ca else None,
        clean_session=order.get("clean", True),
        protocol=order.get("protocol", "MQTTv311"),
    )
    if order.get("names"):
        lead_names(order["names"], (order["host"], order["https"]))
    if order.get("tsl"):
        assert kit.thing_setup(order["tsl"]) == 0, "the SDK does not read this TSL"

    kit.on_connect = lambda flag, rc, _: tell(event="connect", rc=rc)
    kit.on_disconnect = lambda rc, _: tell(event="disconnect", rc=rc)
    kit.on_device_dynamic_register = lambda rc, value, _: tell(event="registered", rc=rc, value=value)
    kit.on_device_dynamic_register_nwl_reply = lambda code, client_id, username, password: tell(
        event="registered_open", code=code, client_id=client_id, username=username, password=password
    )
    kit.on_thing_enable = lambda _: tell(event="enable")
    kit.on_thing_disable = lambda _: tell(event="disable")
    kit.on_thing_prop_post = lambda id, code, data, message, _: tell(
        event="prop_post", id=id, code=code, data=data, message=message
    )
    kit.on_thing_event_post = lambda name, id, code, data, message, _: tell(
        event="event_post", name=name, id=id, code=code, data=data, message=message
    )
    kit.on_thing_prop_changed = lambda params, _: tell(event="prop_changed", params=params)
    kit.on_topic_message = lambda topic, payload, qos, _: tell(
        event="message", topic=topic, payload=payload.decode(), qos=qos
    )
    kit.on_ota_message_arrived = lambda kind, version, size, url, sign_method, sign, module, extra: tell(
        event="ota", kind=kind, version=version, size=size, url=url, sign_method=sign_method, sign=sign,
        module=module, extra=extra,
    )
    kit.on_subscribe_topic = lambda mid, granted, _: tell(event="subscribed", granted=list(granted))
    kit.on_publish_topic = lambda mid, _: tell(event="published", mid=mid)

    def called(identifier, request_id, params, _):
        tell(event="service", identifier=identifier, id=request_id, params=params)
        kit.thing_answer_service(identifier, request_id, answers["code"], answers["data"])

    kit.on_thing_call_service = called
    kit.on_thing_shadow_get = lambda payload, _: tell(event="shadow", payload=payload)
    kit.on_thing_device_info_update = lambda id, code, data, message, _: tell(event="tagged", code=code)
    kit.on_thing_device_info_delete = lambda id, code, data, message, _: tell(event="untagged", code=code)

    def rrpc(id, topic, payload, qos, _):
        tell(event="called", topic=topic, payload=payload.decode())
        kit.thing_answer_rrpc(id, "heard " + payload.decode())

    kit.on_topic_rrpc_message = rrpc
    kit.connect_async()
    return kit


def code(rc):
    return getattr(rc, "value", rc)


kit = None
for order in orders():
    do = order["do"]
    if do == "start":
        kit = start(order)
    elif do == "post":
        rc, id = kit.thing_post_property(order["params"])
        tell(event="posting", rc=rc, id=id)
    elif do == "event":
        rc, id = kit.thing_trigger_event((order["identifier"], order["params"]))
        tell(event="triggering", rc=rc, id=id)
    elif do == "publish":
        rc, mid = kit.publish_topic(order["topic"], order["payload"], order.get("qos", 1))
        tell(event="publishing", rc=rc, mid=mid)
    elif do == "subscribe":
        rc, mid = kit.subscribe_topic(order["topic"], order.get("qos", 1))
        tell(event="subscribing", rc=rc, mid=mid)
    elif do == "answer":
        answers.update(code=order["code"], data=order["data"])
        tell(event="answering")
    elif do == "shadow":
        rc, _ = kit.thing_update_shadow(order["reported"], order["version"])
        tell(event="shadowing", rc=rc)
    elif do == "get_shadow":
        rc, _ = kit.thing_get_shadow()
        tell(event="shadowing", rc=rc)
    elif do == "tag":
        rc, _ = kit.thing_update_tags(order["tags"])
        tell(event="tagging", rc=rc)
    elif do == "untag":
        rc, _ = kit.thing_remove_tags(order["names"])
        tell(event="tagging", rc=rc)
    elif do == "calls":
        rc, _ = kit.subscribe_rrpc_topic(order["topic"])
        tell(event="subscribing", rc=rc)
    elif do == "ota_report":
        tell(event="ota_reported", rc=code(kit.ota_report_version(order.get("module"), order["version"])))
    elif do == "ota_query":
        tell(event="ota_queried", rc=code(kit.query_ota_firmware(order.get("module"))))
    elif do == "ota_download":
        rc = kit.download_ota_firmware(order["url"], order["path"], order["sign_method"], order["sign"])
        tell(event="ota_downloaded", rc=code(rc))
    elif do == "stop":
        kit.destruct()
        tell(event="stopped")
