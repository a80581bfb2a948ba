"""What a gateway's sub-devices are: a Modbus/TCP server (pymodbus) and an OPC UA server (asyncua)
with one user, led by a test.

Orders: {"do": "start", holding, input, coils, user, password, ovens: {name: value}},
{"do": "oven", name, value}. Events: {"event": "started", modbus: port, opc: port}, {"event": "set"}.
"""

import asyncio
import logging
import sys

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from lines import orders, tell
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

logging.basicConfig(level=logging.ERROR, stream=sys.stderr)


class One:
    """Lets one user in, by name and password, and nobody else."""

    def __init__(self, name, password):
        self.pair = (name, password)

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if isinstance(password, bytes):
            password = password.decode()
        return User(role=UserRole.User) if (username, password) == self.pair else None


async def modbus(order):
    registers = lambda values: [SimData(0, values=values, datatype=DataType.REGISTERS)]
    bits = lambda values: [SimData(0, values=values, datatype=DataType.BITS)]
    blocks = (bits(order["coils"]), bits([False] * 16), registers(order["holding"]), registers(order["input"]))
    server = ModbusTcpServer(SimDevice(7, simdata=blocks), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    return server, server.transport.sockets[0].getsockname()[1]


async def opc(order):
    server = Server(user_manager=One(order["user"], order["password"]))
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    server.set_identity_tokens([ua.UserNameIdentityToken])
    await server.start()
    port = server.bserver._server.sockets[0].getsockname()[1]
    space = await server.register_namespace("urn:muster:test")
    folder = await server.nodes.objects.add_folder(space, "Ovens")
    ovens = {}
    for name, value in order["ovens"].items():
        oven = await folder.add_object(space, name)
        ovens[name] = await oven.add_variable(space, "Actual", value)
    return server, port, ovens


async def main():
    loop, lines = asyncio.get_running_loop(), orders()
    order = await loop.run_in_executor(None, next, lines)
    bus, modbus_port = await modbus(order)
    server, opc_port, ovens = await opc(order)
    tell(event="started", modbus=modbus_port, opc=opc_port)
    while order := await loop.run_in_executor(None, next, lines, None):
        await ovens[order["name"]].write_value(order["value"])
        tell(event="set")
    await server.stop()
    await bus.shutdown()


asyncio.run(main())
