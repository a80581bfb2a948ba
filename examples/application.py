"""Reads a thermometer, sets it, calls it, with the vendor's server SDK alone.

usage: application.py ENDPOINT ACCESS_KEY_ID ACCESS_KEY_SECRET PRODUCT_KEY DEVICE_NAME
"""
import json, sys, time
from aliyunsdkcore.client import AcsClient
from aliyunsdkiot.request.v20180120 import (InvokeThingServiceRequest, QueryDevicePropertyStatusRequest,
    QueryDeviceServiceDataRequest, SetDevicePropertyRequest)

endpoint, key, secret, product, name = sys.argv[1:]
client = AcsClient(key, secret, "cn-shanghai")

def call(request, **params):
    request.set_endpoint(endpoint)
    request.set_ProductKey(product)
    request.set_DeviceName(name)
    for param, value in params.items():
        getattr(request, "set_" + param)(value)
    answer = json.loads(client.do_action_with_exception(request))
    return answer if answer["Success"] else sys.exit(answer["ErrorMessage"])

def properties():
    answer = call(QueryDevicePropertyStatusRequest.QueryDevicePropertyStatusRequest())
    return {p["Identifier"]: p["Value"] for p in answer["Data"]["List"]["PropertyStatusInfo"] if p.get("Value")}

print("properties:", properties())
call(SetDevicePropertyRequest.SetDevicePropertyRequest(), Items='{"target": 24}')
call(InvokeThingServiceRequest.InvokeThingServiceRequest(), Identifier="reboot", Args='{"delay": 5}')
until = time.time() + 20
while True:  # both go to the device; its answers come a moment later
    calls = call(QueryDeviceServiceDataRequest.QueryDeviceServiceDataRequest(), StartTime=0, EndTime=int(time.time() * 1000) + 60000)
    answers = [c["OutputData"] for c in calls["Data"]["List"]["ServiceInfo"]]
    if properties().get("target") == "24" and answers:
        break
    time.sleep(0.2) if time.time() < until else sys.exit("the device did not answer; is it running?")
print("reboot answered:", answers[0])
print("properties:", properties())
