//! The properties that CloudFormation knows of the types that have a short form.

/// A type of CloudFormation and its properties, with a space between.
pub struct Type {
    pub name: &'static str,
    properties: &'static str,
    /// Those of them that make another resource of it when they change.
    create_only: &'static str,
}

impl Type {
    pub fn properties(&self) -> impl Iterator<Item = &'static str> {
        self.properties.split(' ')
    }
}

pub const QUEUE: Type = Type {
    name: "AWS::SQS::Queue",
    properties: "ContentBasedDeduplication DeduplicationScope DelaySeconds FifoQueue \
        FifoThroughputLimit KmsDataKeyReusePeriodSeconds KmsMasterKeyId MaximumMessageSize \
        MessageRetentionPeriod QueueName ReceiveMessageWaitTimeSeconds RedriveAllowPolicy \
        RedrivePolicy SqsManagedSseEnabled Tags VisibilityTimeout",
    create_only: "QueueName FifoQueue",
};
pub const TOPIC: Type = Type {
    name: "AWS::SNS::Topic",
    properties: "ArchivePolicy ContentBasedDeduplication DataProtectionPolicy \
        DeliveryStatusLogging DisplayName FifoThroughputScope FifoTopic KmsMasterKeyId \
        SignatureVersion Tags TopicName TracingConfig",
    create_only: "TopicName FifoTopic",
};
pub const SUBSCRIPTION: Type = Type {
    name: "AWS::SNS::Subscription",
    properties: "DeliveryPolicy Endpoint FilterPolicy FilterPolicyScope Protocol \
        RawMessageDelivery RedrivePolicy Region ReplayPolicy SubscriptionRoleArn",
    create_only: "Endpoint Protocol TopicArn",
};
pub const BUCKET: Type = Type {
    name: "AWS::S3::Bucket",
    properties: "AccelerateConfiguration AccessControl AnalyticsConfigurations BucketEncryption \
        BucketName CorsConfiguration IntelligentTieringConfigurations InventoryConfigurations \
        LifecycleConfiguration LoggingConfiguration MetadataConfiguration \
        MetadataTableConfiguration MetricsConfigurations NotificationConfiguration \
        ObjectLockConfiguration ObjectLockEnabled OwnershipControls \
        PublicAccessBlockConfiguration ReplicationConfiguration Tags VersioningConfiguration \
        WebsiteConfiguration",
    create_only: "BucketName ObjectLockEnabled",
};
pub const SECRET: Type = Type {
    name: "AWS::SecretsManager::Secret",
    properties: "Description KmsKeyId Name ReplicaRegions Tags",
    create_only: "Name",
};
pub const KEY: Type = Type {
    name: "AWS::KMS::Key",
    properties: "BypassPolicyLockoutSafetyCheck Description EnableKeyRotation Enabled KeyPolicy \
        KeySpec KeyUsage MultiRegion Origin PendingWindowInDays RotationPeriodInDays Tags",
    create_only: "KeySpec KeyUsage MultiRegion Origin",
};
pub const ALIAS: Type =
    Type { name: "AWS::KMS::Alias", properties: "AliasName TargetKeyId", create_only: "AliasName" };
pub const PARAMETER: Type = Type {
    name: "AWS::SSM::Parameter",
    properties: "AllowedPattern DataType Description Name Policies Tags Tier Type Value",
    create_only: "Name",
};
pub const RULE: Type = Type {
    name: "AWS::Events::Rule",
    properties: "Description EventBusName EventPattern Name RoleArn ScheduleExpression State \
        Tags Targets",
    create_only: "Name EventBusName",
};
/// A rule's target, which is no resource of its own.
pub const TARGET: Type = Type {
    name: "AWS::Events::Rule.Target",
    properties: "DeadLetterConfig Input InputPath InputTransformer RetryPolicy RoleArn \
        SqsParameters",
    create_only: "",
};

/// Types of which LocalStack 4.14 says that it changed one, and leaves it as it was.
pub const FIXED: &str = "AWS::DynamoDB::GlobalTable AWS::DynamoDB::Table AWS::Events::ApiDestination \
    AWS::Events::Connection AWS::Events::EventBus AWS::Events::EventBusPolicy AWS::Events::Rule \
    AWS::IAM::Group AWS::IAM::InstanceProfile AWS::IAM::ManagedPolicy AWS::IAM::ServerCertificate \
    AWS::IAM::ServiceLinkedRole AWS::IAM::User AWS::KMS::Alias AWS::KMS::Key AWS::Logs::LogGroup \
    AWS::Logs::LogStream AWS::Logs::SubscriptionFilter AWS::S3::Bucket AWS::S3::BucketPolicy \
    AWS::SES::EmailIdentity AWS::SNS::TopicPolicy AWS::SSM::MaintenanceWindow \
    AWS::SSM::MaintenanceWindowTarget AWS::SSM::MaintenanceWindowTask AWS::SSM::PatchBaseline \
    AWS::SecretsManager::ResourcePolicy AWS::SecretsManager::RotationSchedule \
    AWS::SecretsManager::Secret AWS::SecretsManager::SecretTargetAttachment";

/// The properties that make another resource of one of this type when they change.
pub fn create_only(name: &str) -> impl Iterator<Item = &'static str> {
    let all = [QUEUE, TOPIC, SUBSCRIPTION, BUCKET, SECRET, KEY, ALIAS, PARAMETER, RULE];
    let found = all.into_iter().find(|of| of.name == name);
    found.into_iter().flat_map(|of| of.create_only.split(' '))
}
