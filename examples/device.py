"""A thermometer that registers itself, posts, and obeys, with the vendor's device SDK alone.

usage: device.py HOST PORT CA_FILE PRODUCT_KEY PRODUCT_SECRET DEVICE_NAME
"""
import os, sys, threading
from linkkit import linkkit

host, port, ca, product, product_secret, name = sys.argv[1:]
kept, tsl = f"{name}.secret", os.path.join(os.path.dirname(__file__), "thermometer.json")

def kit(**credentials):
    kit = linkkit.LinkKit(host, product, name, **credentials)
    kit.config_mqtt(port=int(port), endpoint=host, cadata=open(ca).read())
    return kit

if not os.path.exists(kept):  # the first time: trade the product's secret for one of its own
    answer, done = [], threading.Event()
    register = kit(device_secret="", product_secret=product_secret, auth_type="register")
    register.on_device_dynamic_register = lambda rc, secret, _: (answer.extend([rc, secret]), done.set())
    register.connect_async()
    if not done.wait(20) or answer[0] != 0:
        sys.exit(f"{name}: registration was refused; is dynamic registration on, and the name registered?")
    open(kept, "w").write(answer[1])
    print(f"{name}: registered itself", flush=True)

device = kit(device_secret=open(kept).read())
device.thing_setup(tsl)
device.on_connect = lambda *_: print(f"{name}: connected over TLS", flush=True)
device.on_thing_prop_changed = lambda items, _: (print(f"{name}: asked to set", items, flush=True), device.thing_post_property(items))
device.on_thing_call_service = lambda service, id, args, _: (print(f"{name}: asked to {service}", args, flush=True), device.thing_answer_service(service, id, 200, {"count": 1}))
device.on_thing_prop_post = lambda id, code, *_: print(f"{name}: post {id} answered {code}", flush=True)
device.on_thing_enable = lambda _: (device.thing_post_property({"temperature": 21.5}), device.thing_trigger_event(("overheated", {"peak": 99.5})))
device.connect_async()
threading.Event().wait()
