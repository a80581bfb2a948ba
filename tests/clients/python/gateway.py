"""A gateway as somebody builds one after document 001 §6.7: it fetches the file that it is told of,
reads its sub-devices over Modbus/TCP (pymodbus) and OPC UA (asyncua) as the file says, and posts
what it read for them.

Orders: {"do": "start", host, port, ca, product, device, secret, subs: [{product, device, secret}]}.
Events: {"event": "ready"} once its sub-devices are logged in,
{"event": "wired", topic, push, document, passwords},
{"event": "posted", device, params, code}, {"event": "trouble", text}.
"""

import asyncio
import hashlib
import hmac
import json
import queue
import ssl
import struct
import urllib.request

import paho.mqtt.client as mqtt
from asyncua import Client as OpcClient
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from base64 import b64decode
from lines import orders, tell
from pymodbus.client import AsyncModbusTcpClient

FORMATS = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
    "int64": "q", "uint64": "Q", "float": "f", "double": "d",
}


def sign(secret, fields):
    text = "".join(name + fields[name] for name in sorted(fields))
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class Line:
    """The gateway's own connection: requests with their replies, and orders of the server."""

    def __init__(self, order):
        self.order, self.number = order, 0
        self.replies, self.pushes = {}, queue.Queue()
        client = f"{order['product']}.{order['device']}"
        marks = "|securemode=3,signmethod=hmacsha256,timestamp=1,_ss=1|"
        fields = {"clientId": client, "deviceName": order["device"], "productKey": order["product"], "timestamp": "1"}
        self.mqtt = mqtt.Client(client + marks)
        self.mqtt.username_pw_set(f"{order['device']}&{order['product']}", sign(order["secret"], fields))
        self.mqtt.on_message = self.heard
        connected = queue.Queue()
        self.mqtt.on_connect = lambda *told: connected.put(told[3])
        self.mqtt.connect(order["host"], order["port"])
        self.mqtt.loop_start()
        assert connected.get(timeout=30) == 0, "the server refused the gateway"

    def heard(self, _client, _data, message):
        told = json.loads(message.payload)
        if message.topic.endswith("/thing/model/config/push"):
            self.pushed_on = message.topic
            self.pushes.put(told)
        elif told.get("id") in self.replies:
            self.replies.pop(told["id"]).put(told)

    def ask(self, topic, params):
        self.number += 1
        id, reply = str(self.number), queue.Queue()
        self.replies[id] = reply
        self.mqtt.publish(topic, json.dumps({"id": id, "version": "1.0", "params": params}), qos=1)
        return reply.get(timeout=30)

    def login(self, sub):
        client = f"{sub['product']}.{sub['device']}"
        fields = {"clientId": client, "deviceName": sub["device"], "productKey": sub["product"], "timestamp": "1"}
        params = dict(fields, signMethod="hmacSha256", cleanSession="true", sign=sign(sub["secret"], fields))
        own = f"{self.order['product']}/{self.order['device']}"
        reply = self.ask(f"/ext/session/{own}/combine/login", params)
        assert reply["code"] == 200, reply

    def answer(self, push, code):
        topic = f"/sys/{self.order['product']}/{self.order['device']}/thing/model/config/push_reply"
        self.mqtt.publish(topic, json.dumps({"id": push["id"], "code": code, "data": {}}), qos=1)


def fetch(push, ca):
    """The file behind the link, if it is the one that was told of."""
    data = push["data"]
    with urllib.request.urlopen(data["url"], context=ssl.create_default_context(cafile=ca)) as reply:
        text = reply.read()
    assert data["digestMethod"] == "sha256", data
    assert hashlib.sha256(text).hexdigest() == data["digest"], "the file is another one"
    return json.loads(text)


def opened(text, secret):
    """What aesDecrypt of the document makes of a password."""
    key = secret.encode()
    cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    unpad = PKCS7(128).unpadder()
    return (unpad.update(cipher.update(b64decode(text)) + cipher.finalize()) + unpad.finalize()).decode()


async def read_modbus(server, place, properties):
    client = AsyncModbusTcpClient(server["ip"], port=server["port"])
    assert await client.connect(), "no Modbus server"
    found = {}
    for one in properties:
        specs, kind = one["originalDataType"]["specs"], one["originalDataType"]["type"]
        read = {
            "coilStatus": client.read_coils, "inputStatus": client.read_discrete_inputs,
            "holdingRegister": client.read_holding_registers, "inputRegister": client.read_input_registers,
        }[one["operateType"]]
        answer = await read(int(one["registerAddress"], 16), count=specs["registerCount"], device_id=place["slaveId"])
        assert not answer.isError(), answer
        if kind == "bool":
            found[one["identifier"]] = int(answer.bits[0])
            continue
        registers = answer.registers[::-1] if specs["reverseRegister"] else answer.registers
        order = "<" if specs["swap16"] else ">"
        raw = b"".join(struct.pack(order + "H", register) for register in registers)
        value = struct.unpack(">" + FORMATS[kind], raw)[0] * one["scaling"]
        found[one["identifier"]] = round(value, 3)
    client.close()
    return found


async def read_opc(server, place, properties, secret):
    client = OpcClient(server["url"], timeout=server["timeout"])
    if "userName" in server:
        client.set_user(server["userName"])
        client.set_password(opened(server["password"], secret))
    found = {}
    async with client:
        node = client.nodes.objects
        for name in place["displayNamePath"].split("/"):
            node = await child(node, name)
        for one in properties:
            found[one["identifier"]] = await (await child(node, one["displayName"])).read_value()
    return found


async def child(node, name):
    for one in await node.get_children():
        if (await one.read_display_name()).Text == name:
            return one
    raise LookupError(name)


async def round_of(document, secret):
    """Reads every sub-device of the file once."""
    servers = {server["serverId"]: server for server in document["serverList"]}
    models = {model["profile"]["productKey"]: model for model in document["modelList"]}
    for device in document["deviceList"]:
        place, model = device["deviceConfig"], models[device["productKey"]]
        server = servers[place["serverId"]]
        if "slaveId" in place:
            found = await read_modbus(server, place, model["properties"])
        else:
            found = await read_opc(server, place, model["properties"], secret)
        yield device, found


async def work(line, push):
    order = line.order
    document = fetch(push, order["ca"])
    servers = document["serverList"]
    passwords = [opened(one["password"], order["secret"]) for one in servers if "password" in one]
    tell(
        event="wired", topic=line.pushed_on, push=push, document=document, passwords=passwords
    )
    async for device, found in round_of(document, order["secret"]):
        topic = f"/sys/{device['productKey']}/{device['deviceName']}/thing/event/property/post"
        reply = line.ask(topic, {name: {"value": value} for name, value in found.items()})
        tell(event="posted", device=device["deviceName"], params=found, code=reply["code"])


lines = orders()
line = Line(next(lines))
for sub in line.order["subs"]:
    line.login(sub)
tell(event="ready")
while True:
    push = line.pushes.get()
    try:
        asyncio.run(work(line, push))
        line.answer(push, 200)
    except Exception as error:
        tell(event="trouble", text=f"{type(error).__name__}: {error}")
        line.answer(push, 400)
