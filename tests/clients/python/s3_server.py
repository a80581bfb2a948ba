"""An object store of the S3 kind that checks signatures (moto), with one bucket and one key."""

import os

# So many calls are free; the rest has to be signed by somebody who may.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "4"

import boto3  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

from lines import orders, tell  # noqa: E402

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
address = f"http://127.0.0.1:{port}"


def client(service, key="free", secret="free"):
    return boto3.client(
        service,
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


iam = client("iam")
client("s3").create_bucket(Bucket="muster")
iam.create_user(UserName="muster")
policy = (
    '{"Version": "2012-10-17", "Statement":'
    ' [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
)
iam.put_user_policy(UserName="muster", PolicyName="all", PolicyDocument=policy)
made = iam.create_access_key(UserName="muster")["AccessKey"]
key, secret = made["AccessKeyId"], made["SecretAccessKey"]
tell(event="ready", url=f"{address}/muster/files", key=key, secret=secret)

s3 = client("s3", key, secret)
for order in orders():
    if order["do"] == "list":
        found = s3.list_objects_v2(Bucket="muster").get("Contents", [])
        parts = s3.list_multipart_uploads(Bucket="muster").get("Uploads", [])
        names = [{"name": one["Key"], "size": one["Size"]} for one in found]
        tell(answer={"files": names, "half": len(parts)})
    elif order["do"] == "stop":
        server.stop()
        tell(answer="stopped")
