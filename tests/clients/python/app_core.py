"""The unmodified application SDK aliyun-python-sdk-core with its -iot requests, led by a test.

Orders: {"action", "params", "format"?}; the first line sets up {"endpoint", "id", "secret", "ca"?}.
Answers: {"answer": …} for what the server answered, {"error": code, "message", "status"} for what
the SDK raised.
"""

import importlib
import json

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from lines import orders, tell


def typed(action, params):
    """The SDK's own class for the action, filled by its setters."""
    module = importlib.import_module(f"aliyunsdkiot.request.v20180120.{action}Request")
    request = getattr(module, f"{action}Request")()
    for name, value in params.items():
        setter = getattr(request, "set_" + name, None) or getattr(request, f"set_{name}s")
        setter(value)
    return request


lines = orders()
setup = next(lines)
client = AcsClient(setup["id"], setup["secret"], "cn-shanghai", verify=setup.get("ca"))
for order in lines:
    try:
        if order.get("common"):
            request = CommonRequest(
                domain=setup["endpoint"], version="2018-01-20", action_name=order["action"]
            )
            for name, value in order["params"].items():
                request.add_query_param(name, value)
        else:
            request = typed(order["action"], order["params"])
            request.set_endpoint(setup["endpoint"])
        if setup.get("ca"):
            request.set_protocol_type("https")
        if order.get("format") == "XML":
            # The newer call asks for JSON whatever the request says; this one does as told.
            request.set_accept_format("XML")
            tell(answer=client.do_action(request).decode())
        else:
            tell(answer=json.loads(client.do_action_with_exception(request)))
    except ServerException as error:
        tell(error=error.error_code, message=error.message, status=error.http_status)
    except ClientException as error:
        tell(error=error.error_code, message=error.message, status=0)
