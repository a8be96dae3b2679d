"""The demo's resources, as a CloudFormation stack."""

import json
import os

import boto3

TEMPLATE = {
    "Resources": {
        "OrdersFailed": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "orders-failed"}},
        "Orders": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "QueueName": "orders",
                "VisibilityTimeout": 10,
                "RedrivePolicy": {
                    "deadLetterTargetArn": {"Fn::GetAtt": ["OrdersFailed", "Arn"]},
                    "maxReceiveCount": 3,
                },
            },
        },
        "Key": {
            "Type": "AWS::KMS::Key",
            "Properties": {
                "KeyPolicy": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}
                    ],
                }
            },
        },
        "Database": {
            "Type": "AWS::SecretsManager::Secret",
            "Properties": {
                "Name": "database",
                "KmsKeyId": {"Ref": "Key"},
                "SecretString": json.dumps(
                    {"username": os.environ["DATABASE_USER"], "password": os.environ["DATABASE_PASSWORD"]}
                ),
            },
        },
    }
}

client = boto3.client(
    "cloudformation",
    endpoint_url="http://127.0.0.1:4566",
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
)
client.create_stack(StackName="echobase", TemplateBody=json.dumps(TEMPLATE))
client.get_waiter("stack_create_complete").wait(StackName="echobase", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
