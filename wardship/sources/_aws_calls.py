"""What AWS's own operations and parameters mean to CloudTrail's reader: tables of facts, for both of its ways to read.

From the CloudTrail user guide ("CloudTrail record contents", "userIdentity element") and the API references, read
2026-11. Names of parameters are CloudTrail's: the API's with a small first letter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wardship.model.activity import ActivityClass

_IAM, _STS = "iam.amazonaws.com", "sts.amazonaws.com"
S3 = "s3.amazonaws.com"

DATA_STORES = (S3, "dynamodb.amazonaws.com")
"""Their data events are OCSF's Datastore Activity."""

CLASSES: Sequence[tuple[str, Sequence[str], ActivityClass]] = (
    (
        _STS,
        (
            "AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot", "GetFederationToken",
            "GetSessionToken",
        ),
        ActivityClass.AUTHENTICATION,
    ),
    (
        _IAM,
        (
            "ChangePassword", "CreateAccessKey", "CreateLoginProfile", "CreateRole", "CreateServiceLinkedRole",
            "CreateServiceSpecificCredential", "CreateUser", "CreateVirtualMFADevice", "DeactivateMFADevice",
            "DeleteAccessKey", "DeleteLoginProfile", "DeleteRole", "DeleteServiceSpecificCredential", "DeleteUser",
            "DeleteVirtualMFADevice", "EnableMFADevice", "ResetServiceSpecificCredential", "UpdateAccessKey",
            "UpdateLoginProfile", "UpdateRole", "UpdateUser", "UploadSSHPublicKey", "UploadSigningCertificate",
        ),
        ActivityClass.ACCOUNT_CHANGE,
    ),
    (
        _IAM,
        (
            "AttachRolePolicy", "AttachUserPolicy", "DeleteRolePermissionsBoundary", "DeleteRolePolicy",
            "DeleteUserPermissionsBoundary", "DeleteUserPolicy", "DetachRolePolicy", "DetachUserPolicy",
            "PutRolePermissionsBoundary", "PutRolePolicy", "PutUserPermissionsBoundary", "PutUserPolicy",
            "UpdateAssumeRolePolicy",
        ),
        ActivityClass.USER_ACCESS_MANAGEMENT,
    ),
    (
        _IAM,
        (
            "AddUserToGroup", "AttachGroupPolicy", "CreateGroup", "DeleteGroup", "DeleteGroupPolicy",
            "DetachGroupPolicy", "PutGroupPolicy", "RemoveUserFromGroup", "UpdateGroup",
        ),
        ActivityClass.GROUP_MANAGEMENT,
    ),
)  # fmt: skip

RESOURCES: Mapping[str, Sequence[tuple[str, str]]] = {
    _STS: (("roleArn", "AWS::IAM::Role"),),
    _IAM: (
        ("roleName", "AWS::IAM::Role"),
        ("userName", "AWS::IAM::User"),
        ("groupName", "AWS::IAM::Group"),
        ("policyArn", "AWS::IAM::ManagedPolicy"),
    ),
    "secretsmanager.amazonaws.com": (
        ("secretId", "AWS::SecretsManager::Secret"),
        ("name", "AWS::SecretsManager::Secret"),
    ),
    "ssm.amazonaws.com": (
        ("name", "AWS::SSM::Parameter"),
        ("documentName", "AWS::SSM::Document"),
        ("instanceId", "AWS::EC2::Instance"),
    ),
    "lambda.amazonaws.com": (("functionName", "AWS::Lambda::Function"),),
    "kms.amazonaws.com": (("keyId", "AWS::KMS::Key"),),
    "ec2.amazonaws.com": (
        ("instanceId", "AWS::EC2::Instance"),
        ("snapshotId", "AWS::EC2::Snapshot"),
        ("imageId", "AWS::EC2::Image"),
        ("volumeId", "AWS::EC2::Volume"),
        ("groupId", "AWS::EC2::SecurityGroup"),
    ),
    "rds.amazonaws.com": (
        ("dBInstanceIdentifier", "AWS::RDS::DBInstance"),
        ("dBClusterIdentifier", "AWS::RDS::DBCluster"),
        ("dBSnapshotIdentifier", "AWS::RDS::DBSnapshot"),
    ),
    "cloudtrail.amazonaws.com": (("trailName", "AWS::CloudTrail::Trail"), ("name", "AWS::CloudTrail::Trail")),
    "dynamodb.amazonaws.com": (("tableName", "AWS::DynamoDB::Table"),),
    "sns.amazonaws.com": (("topicArn", "AWS::SNS::Topic"),),
    "sqs.amazonaws.com": (("queueUrl", "AWS::SQS::Queue"),),
    "logs.amazonaws.com": (("logGroupName", "AWS::Logs::LogGroup"),),
    "ecr.amazonaws.com": (("repositoryName", "AWS::ECR::Repository"),),
    "ec2-instance-connect.amazonaws.com": (("instanceId", "AWS::EC2::Instance"),),
}  # fmt: skip
"""Service -> the request parameters that name what is acted upon, the first that is there; buckets are told apart."""

DETAILS: Sequence[tuple[str, str]] = (
    ("policy_arn", "policyArn"),
    ("user", "userName"),
    ("role", "roleName"),
    ("group", "groupName"),
    ("key", "accessKeyId"),
    ("role_arn", "roleArn"),
    ("role_session", "roleSessionName"),
    ("document", "documentName"),
)
"""Request parameters that go into `detail`, and their names there. Each is a public name or id, never a value."""

_NAMING = tuple(name for rules in RESOURCES.values() for name, _ in rules)
PARAMETERS = tuple(dict.fromkeys(("bucketName", "key", *_NAMING, *(name for _, name in DETAILS))))
"""Every request parameter that is read as one text."""

OUTCOME_KEYS = (
    "ConsoleLogin", "CheckMfa", "SwitchRole", "ExitRole", "RenewRole", "CredentialVerification", "CredentialChallenge",
    "UserAuthentication", "PasswordUpdated",
)  # fmt: skip
"""Sign-ins: their responseElements say "Success" or "Failure" under the operation's own name."""

SHARING = frozenset(
    {
        "AddLayerVersionPermission", "AddLayerVersionPermission20181031", "AddPermission", "AddPermission20150331",
        "AddPermission20150331v2", "AuthorizeSecurityGroupEgress", "AuthorizeSecurityGroupIngress", "CreateDomain",
        "CreateElasticsearchDomain", "CreateRole", "ModifyDBClusterSnapshotAttribute", "ModifyDBSnapshotAttribute",
        "ModifyImageAttribute", "ModifySnapshotAttribute", "PutAccessPointPolicy", "PutBackupVaultAccessPolicy",
        "PutBucketAcl", "PutBucketPolicy", "PutFileSystemPolicy", "PutKeyPolicy", "PutObjectAcl", "PutResourcePolicy",
        "SetQueueAttributes", "SetRepositoryPolicy", "UpdateAssumeRolePolicy", "UpdateDomainConfig",
        "UpdateElasticsearchDomainConfig",
    }
)  # fmt: skip
"""Operations whose lists and policies say who was let in."""

SETTINGS = frozenset(
    {"ModifyDBCluster", "ModifyDBInstance", "ModifyInstanceAttribute", "PutBucketLogging", "PutBucketVersioning"}
)
"""Operations that protect or lay bare, by what they set."""

BY_HAND = frozenset({"BatchGetSecretValue", "CopyObject", "CreateAccessKey", *OUTCOME_KEYS}) | SHARING | SETTINGS
"""Rare operations that need more of a record than the fast way decodes."""

CONSOLE_AGENTS = ("console.", "signin.amazonaws.com", "S3Console/", "Mozilla/", "Opera/")
"""How user agents of the console and of browsers begin."""
