"""Asks each service once: LocalStack loads them when they are first asked, and nobody's first order waits for that."""

import boto3

for service, ask in {
    "cloudformation": "list_stacks",
    "kms": "list_keys",
    "secretsmanager": "list_secrets",
    "sqs": "list_queues",
}.items():
    client = boto3.client(
        service,
        endpoint_url="http://127.0.0.1:4566",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    getattr(client, ask)()
