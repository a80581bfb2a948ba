"""The unmodified application SDK alibabacloud-iot20180120 (Tea), led by a test.

The same lines as app_core.py; {"signature": "v2"} in the first line picks the older signature.
"""

import re

from alibabacloud_iot20180120 import models
from alibabacloud_iot20180120.client import Client
from alibabacloud_tea_openapi.models import Config
from lines import orders, tell
from Tea.exceptions import TeaException


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


lines = orders()
setup = next(lines)
client = Client(
    Config(
        access_key_id=setup["id"],
        access_key_secret=setup["secret"],
        endpoint=setup["endpoint"],
        protocol="https" if setup.get("ca") else "http",
        ca=setup.get("ca"),
        signature_algorithm=setup.get("signature"),
        region_id="cn-shanghai",
    )
)
for order in lines:
    try:
        request = getattr(models, order["action"] + "Request")().from_map(order["params"])
        response = getattr(client, snake(order["action"]))(request)
        tell(answer=response.body.to_map())
    except TeaException as error:
        tell(error=error.code, message=str(error.message), status=(error.data or {}).get("statusCode"))
