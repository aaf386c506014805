//! AWS-managed policies: those a pod's role is likely to use, under their real names, paths, versions and dates.
//!
//! The documents are abbreviated to actions on all resources; `SimulatePrincipalPolicy` is all that reads them.

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::policies::{ManagedPolicy, PolicyVersion};

/// Path and name, default version, creation, last update, allowed actions (all but those, if marked with `!`).
struct Row(
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row("/AWSAppMeshEnvoyAccess", "v1", "2019-07-03T21:29:37Z", "2019-07-03T21:29:37Z", "appmesh:StreamAggregatedResources"),
    Row("/AWSCertificateManagerReadOnly", "v5", "2016-01-21T17:07:33Z", "2026-03-31T18:57:22Z", "acm:DescribeCertificate acm:ListCertificates acm:GetCertificate acm:ListTagsForCertificate acm:GetAccountConfiguration"),
    Row("/service-role/AWSGlueServiceRole", "v5", "2017-08-14T13:37:21Z", "2023-09-11T16:39:47Z", "glue:* s3:GetBucketLocation s3:ListBucket s3:ListAllMyBuckets s3:GetBucketAcl ec2:Describe* iam:ListRolePolicies iam:GetRole iam:GetRolePolicy cloudwatch:PutMetricData"),
    Row("/AWSKeyManagementServicePowerUser", "v2", "2015-02-06T18:40:40Z", "2017-03-07T00:55:11Z", "kms:CreateAlias kms:CreateKey kms:DeleteAlias kms:Describe* kms:GenerateRandom kms:Get* kms:List* kms:TagResource kms:UntagResource"),
    Row("/service-role/AWSLambdaBasicExecutionRole", "v1", "2015-04-09T15:03:43Z", "2015-04-09T15:03:43Z", "logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents"),
    Row("/AWSLambda_ReadOnlyAccess", "v5", "2020-11-17T21:10:32Z", "2026-02-12T18:02:55Z", "lambda:Get* lambda:List* cloudwatch:GetMetricData iam:GetRole logs:DescribeLogGroups"),
    Row("/AWSXRayDaemonWriteAccess", "v2", "2018-08-28T23:00:33Z", "2024-02-13T21:58:30Z", "xray:PutTraceSegments xray:PutTelemetryRecords xray:GetSamplingRules xray:GetSamplingTargets xray:GetSamplingStatisticSummaries"),
    Row("/AWSXrayWriteOnlyAccess", "v2", "2016-12-01T18:19:53Z", "2018-08-28T23:03:04Z", "xray:PutTraceSegments xray:PutTelemetryRecords xray:GetSamplingRules xray:GetSamplingTargets xray:GetSamplingStatisticSummaries"),
    Row("/AdministratorAccess", "v1", "2015-02-06T18:39:46Z", "2015-02-06T18:39:46Z", "*"),
    Row("/AmazonAthenaFullAccess", "v15", "2016-11-30T16:46:01Z", "2026-02-12T18:03:09Z", "athena:* glue:GetDatabase glue:GetDatabases glue:GetTable glue:GetTables glue:GetPartition glue:GetPartitions s3:GetBucketLocation s3:ListAllMyBuckets"),
    Row("/AmazonBedrockFullAccess", "v10", "2023-12-06T15:47:17Z", "2026-02-12T17:59:03Z", "bedrock:* kms:DescribeKey"),
    Row("/AmazonBedrockReadOnly", "v7", "2023-12-06T15:48:19Z", "2026-02-12T17:57:55Z", "bedrock:Get* bedrock:List*"),
    Row("/AmazonCognitoReadOnly", "v4", "2015-03-24T17:06:46Z", "2019-08-01T19:21:04Z", "cognito-identity:Describe* cognito-identity:Get* cognito-identity:List* cognito-idp:Describe* cognito-idp:List* cognito-sync:Describe* cognito-sync:Get* cognito-sync:List*"),
    Row("/AmazonDynamoDBFullAccess", "v15", "2015-02-06T18:40:11Z", "2021-01-29T17:38:30Z", "dynamodb:* dax:*"),
    Row("/AmazonDynamoDBFullAccess_v2", "v3", "2025-05-22T14:52:06Z", "2026-02-12T18:02:57Z", "dynamodb:* dax:*"),
    Row("/AmazonDynamoDBReadOnlyAccess", "v15", "2015-02-06T18:40:12Z", "2024-11-18T17:38:15Z", "cloudwatch:DescribeAlarms cloudwatch:GetMetricData dynamodb:BatchGetItem dynamodb:Describe* dynamodb:List* dynamodb:GetItem dynamodb:Query dynamodb:Scan dynamodb:PartiQLSelect kms:DescribeKey kms:ListAliases"),
    Row("/service-role/AmazonEBSCSIDriverPolicy", "v14", "2022-04-04T17:24:29Z", "2026-02-12T18:02:41Z", "ec2:CreateSnapshot ec2:AttachVolume ec2:DetachVolume ec2:ModifyVolume ec2:DescribeAvailabilityZones ec2:DescribeInstances ec2:DescribeSnapshots ec2:DescribeTags ec2:DescribeVolumes ec2:DescribeVolumesModifications ec2:CreateTags ec2:CreateVolume ec2:DeleteVolume ec2:DeleteSnapshot"),
    Row("/AmazonEC2ContainerRegistryPowerUser", "v3", "2015-12-21T17:05:33Z", "2019-12-10T20:48:08Z", "ecr:GetAuthorizationToken ecr:BatchCheckLayerAvailability ecr:GetDownloadUrlForLayer ecr:DescribeImages ecr:BatchGetImage ecr:InitiateLayerUpload ecr:UploadLayerPart ecr:CompleteLayerUpload ecr:PutImage"),
    Row("/AmazonEC2ContainerRegistryPullOnly", "v1", "2024-10-04T16:58:49Z", "2024-10-04T16:58:49Z", "ecr:GetAuthorizationToken ecr:BatchGetImage ecr:GetDownloadUrlForLayer ecr:BatchImportUpstreamImage"),
    Row("/AmazonEC2ContainerRegistryReadOnly", "v3", "2015-12-21T17:04:15Z", "2019-12-10T20:56:32Z", "ecr:GetAuthorizationToken ecr:BatchCheckLayerAvailability ecr:GetDownloadUrlForLayer ecr:GetRepositoryPolicy ecr:DescribeRepositories ecr:ListImages ecr:DescribeImages ecr:BatchGetImage"),
    Row("/AmazonEC2FullAccess", "v5", "2015-02-06T18:40:15Z", "2018-11-27T02:16:56Z", "ec2:* elasticloadbalancing:* cloudwatch:* autoscaling:*"),
    Row("/AmazonEC2ReadOnlyAccess", "v5", "2015-02-06T18:40:17Z", "2026-02-12T18:03:17Z", "ec2:Describe* elasticloadbalancing:Describe* cloudwatch:ListMetrics cloudwatch:GetMetricStatistics cloudwatch:Describe* autoscaling:Describe*"),
    Row("/service-role/AmazonEFSCSIDriverPolicy", "v1", "2023-07-25T20:10:04Z", "2023-07-25T20:10:04Z", "elasticfilesystem:DescribeAccessPoints elasticfilesystem:DescribeFileSystems elasticfilesystem:DescribeMountTargets elasticfilesystem:CreateAccessPoint elasticfilesystem:TagResource elasticfilesystem:DeleteAccessPoint ec2:DescribeAvailabilityZones"),
    Row("/AmazonEKSBlockStoragePolicy", "v1", "2024-10-30T20:18:13Z", "2024-10-30T20:18:13Z", "ec2:AttachVolume ec2:DetachVolume ec2:ModifyVolume ec2:CreateVolume ec2:CreateSnapshot ec2:CreateTags ec2:Describe*"),
    Row("/AmazonEKSClusterPolicy", "v10", "2018-05-27T21:06:14Z", "2026-02-12T17:58:15Z", "autoscaling:DescribeAutoScalingGroups autoscaling:UpdateAutoScalingGroup ec2:CreateRoute ec2:CreateSecurityGroup ec2:CreateTags ec2:Describe* elasticloadbalancing:* kms:DescribeKey"),
    Row("/AmazonEKSComputePolicy", "v6", "2024-11-01T21:46:52Z", "2026-04-17T21:27:07Z", "ec2:CreateFleet ec2:RunInstances ec2:CreateLaunchTemplate ec2:CreateTags iam:AddRoleToInstanceProfile"),
    Row("/AmazonEKSFargatePodExecutionRolePolicy", "v1", "2019-11-22T04:34:29Z", "2019-11-22T04:34:29Z", "ecr:GetAuthorizationToken ecr:BatchCheckLayerAvailability ecr:GetDownloadUrlForLayer ecr:BatchGetImage"),
    Row("/AmazonEKSLoadBalancingPolicy", "v7", "2024-10-30T20:18:06Z", "2026-04-27T22:12:10Z", "elasticloadbalancing:* ec2:Describe* acm:ListCertificates acm:DescribeCertificate"),
    Row("/AmazonEKSNetworkingPolicy", "v2", "2024-10-28T22:34:33Z", "2026-02-20T19:12:09Z", "ec2:CreateNetworkInterface ec2:CreateNetworkInterfacePermission ec2:CreateTags ec2:DeleteNetworkInterface"),
    Row("/AmazonEKSServicePolicy", "v7", "2018-05-27T21:08:21Z", "2024-10-14T21:12:40Z", "ec2:CreateNetworkInterface ec2:CreateNetworkInterfacePermission ec2:DeleteNetworkInterface ec2:Describe* eks:UpdateClusterVersion iam:ListAttachedRolePolicies logs:CreateLogGroup logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents route53:AssociateVPCWithHostedZone"),
    Row("/AmazonEKSVPCResourceController", "v1", "2020-08-12T00:55:34Z", "2020-08-12T00:55:34Z", "ec2:CreateNetworkInterfacePermission ec2:CreateNetworkInterface ec2:DetachNetworkInterface ec2:ModifyNetworkInterfaceAttribute ec2:DeleteNetworkInterface ec2:AttachNetworkInterface ec2:UnassignPrivateIpAddresses ec2:AssignPrivateIpAddresses"),
    Row("/AmazonEKSWorkerNodeMinimalPolicy", "v1", "2024-10-02T20:03:51Z", "2024-10-02T20:03:51Z", "eks-auth:AssumeRoleForPodIdentity"),
    Row("/AmazonEKSWorkerNodePolicy", "v3", "2018-05-27T21:09:01Z", "2023-11-27T00:06:13Z", "ec2:DescribeInstances ec2:DescribeInstanceTypes ec2:DescribeRouteTables ec2:DescribeSecurityGroups ec2:DescribeSubnets ec2:DescribeVolumes ec2:DescribeVolumesModifications ec2:DescribeVpcs eks:DescribeCluster eks-auth:AssumeRoleForPodIdentity"),
    Row("/AmazonEKS_CNI_Policy", "v6", "2018-05-27T21:07:42Z", "2026-03-04T19:12:14Z", "ec2:AssignPrivateIpAddresses ec2:AttachNetworkInterface ec2:CreateNetworkInterface ec2:DeleteNetworkInterface ec2:DescribeInstances ec2:DescribeTags ec2:DescribeNetworkInterfaces ec2:DescribeInstanceTypes ec2:DescribeSubnets ec2:DetachNetworkInterface ec2:ModifyNetworkInterfaceAttribute ec2:UnassignPrivateIpAddresses ec2:CreateTags"),
    Row("/AmazonElastiCacheReadOnlyAccess", "v1", "2015-02-06T18:40:21Z", "2015-02-06T18:40:21Z", "elasticache:Describe*"),
    Row("/AmazonFSxFullAccess", "v13", "2018-11-28T16:34:43Z", "2026-02-12T17:58:13Z", "fsx:* ds:DescribeDirectories ec2:DescribeSecurityGroups ec2:DescribeSubnets ec2:DescribeVpcs"),
    Row("/AmazonKinesisFullAccess", "v1", "2015-02-06T18:40:29Z", "2015-02-06T18:40:29Z", "kinesis:*"),
    Row("/AmazonKinesisReadOnlyAccess", "v1", "2015-02-06T18:40:30Z", "2015-02-06T18:40:30Z", "kinesis:Get* kinesis:List* kinesis:Describe*"),
    Row("/AmazonMSKReadOnlyAccess", "v1", "2019-01-14T22:28:45Z", "2019-01-14T22:28:45Z", "kafka:Describe* kafka:List* kafka:Get* ec2:DescribeSubnets ec2:DescribeVpcs ec2:DescribeSecurityGroups kms:DescribeKey"),
    Row("/AmazonOpenSearchServiceReadOnlyAccess", "v1", "2021-09-08T05:38:13Z", "2021-09-08T05:38:13Z", "es:Describe* es:Get* es:List*"),
    Row("/AmazonPrometheusQueryAccess", "v1", "2020-12-19T01:02:58Z", "2020-12-19T01:02:58Z", "aps:GetLabels aps:GetMetricMetadata aps:GetSeries aps:QueryMetrics"),
    Row("/AmazonPrometheusRemoteWriteAccess", "v1", "2020-12-19T01:04:32Z", "2020-12-19T01:04:32Z", "aps:RemoteWrite"),
    Row("/AmazonRDSReadOnlyAccess", "v7", "2015-02-06T18:40:53Z", "2023-04-14T12:32:09Z", "rds:Describe* rds:ListTagsForResource ec2:DescribeSecurityGroups ec2:DescribeVpcs cloudwatch:GetMetricStatistics logs:DescribeLogStreams logs:GetLogEvents"),
    Row("/AmazonRoute53FullAccess", "v7", "2015-02-06T18:40:54Z", "2026-02-12T18:00:40Z", "route53:* route53domains:* cloudfront:ListDistributions elasticloadbalancing:DescribeLoadBalancers"),
    Row("/AmazonRoute53ReadOnlyAccess", "v2", "2015-02-06T18:40:55Z", "2016-11-15T21:15:16Z", "route53:Get* route53:List* route53:TestDNSAnswer"),
    Row("/AmazonS3FullAccess", "v2", "2015-02-06T18:40:58Z", "2021-09-27T20:16:37Z", "s3:* s3-object-lambda:*"),
    Row("/AmazonS3ReadOnlyAccess", "v3", "2015-02-06T18:40:59Z", "2023-08-10T21:31:39Z", "s3:Get* s3:List* s3:Describe* s3-object-lambda:Get* s3-object-lambda:List*"),
    Row("/AmazonSESFullAccess", "v1", "2015-02-06T18:41:02Z", "2015-02-06T18:41:02Z", "ses:*"),
    Row("/AmazonSNSFullAccess", "v2", "2015-02-06T18:41:05Z", "2024-09-24T22:32:05Z", "sns:*"),
    Row("/AmazonSNSReadOnlyAccess", "v2", "2015-02-06T18:41:06Z", "2024-09-24T22:13:12Z", "sns:GetTopicAttributes sns:List*"),
    Row("/AmazonSQSFullAccess", "v1", "2015-02-06T18:41:07Z", "2015-02-06T18:41:07Z", "sqs:*"),
    Row("/AmazonSQSReadOnlyAccess", "v4", "2015-02-06T18:41:08Z", "2024-05-24T18:16:44Z", "sqs:GetQueueAttributes sqs:GetQueueUrl sqs:ListDeadLetterSourceQueues sqs:ListQueues sqs:ListMessageMoveTasks sqs:ListQueueTags"),
    Row("/AmazonSSMManagedInstanceCore", "v2", "2019-03-15T17:22:12Z", "2019-05-23T16:54:21Z", "ssm:DescribeAssociation ssm:GetDeployablePatchSnapshotForInstance ssm:GetDocument ssm:DescribeDocument ssm:GetManifest ssm:GetParameter ssm:GetParameters ssm:ListAssociations ssm:ListInstanceAssociations ssm:PutInventory ssm:UpdateInstanceInformation ssmmessages:* ec2messages:*"),
    Row("/AmazonSSMReadOnlyAccess", "v1", "2015-05-29T17:44:19Z", "2015-05-29T17:44:19Z", "ssm:Describe* ssm:Get* ssm:List*"),
    Row("/AmazonVPCFullAccess", "v13", "2015-02-06T18:41:16Z", "2026-02-12T18:00:44Z", "ec2:*"),
    Row("/AmazonVPCReadOnlyAccess", "v12", "2015-02-06T18:41:17Z", "2026-02-12T17:58:19Z", "ec2:Describe*"),
    Row("/AutoScalingFullAccess", "v2", "2017-01-12T19:31:58Z", "2018-02-06T21:59:13Z", "autoscaling:* cloudwatch:PutMetricAlarm ec2:Describe*"),
    Row("/CloudWatchAgentServerPolicy", "v3", "2018-03-07T01:06:44Z", "2024-02-06T16:37:37Z", "cloudwatch:PutMetricData ec2:DescribeVolumes ec2:DescribeTags logs:PutLogEvents logs:PutRetentionPolicy logs:DescribeLogStreams logs:DescribeLogGroups logs:CreateLogStream logs:CreateLogGroup xray:PutTraceSegments xray:PutTelemetryRecords xray:GetSamplingRules xray:GetSamplingTargets xray:GetSamplingStatisticSummaries"),
    Row("/CloudWatchFullAccess", "v4", "2015-02-06T18:40:00Z", "2022-11-27T13:23:49Z", "autoscaling:Describe* cloudwatch:* logs:* sns:* oam:ListSinks"),
    Row("/CloudWatchLogsFullAccess", "v8", "2015-02-06T18:40:02Z", "2026-02-12T18:00:33Z", "logs:* cloudwatch:GenerateQuery"),
    Row("/CloudWatchLogsReadOnlyAccess", "v12", "2015-02-06T18:40:03Z", "2026-02-12T17:59:13Z", "logs:Describe* logs:Get* logs:List* logs:StartQuery logs:StopQuery logs:TestMetricFilter logs:FilterLogEvents"),
    Row("/CloudWatchReadOnlyAccess", "v24", "2015-02-06T18:40:01Z", "2026-02-12T18:01:50Z", "cloudwatch:Describe* cloudwatch:Get* cloudwatch:List* logs:Describe* logs:Get* logs:FilterLogEvents sns:Get* sns:List* xray:Get*"),
    Row("/job-function/DatabaseAdministrator", "v5", "2016-11-10T17:25:43Z", "2026-02-12T18:02:20Z", "dynamodb:* elasticache:* rds:* redshift:*"),
    Row("/ElasticLoadBalancingReadOnly", "v3", "2018-09-20T20:17:09Z", "2023-11-26T18:15:46Z", "elasticloadbalancing:Describe* ec2:DescribeInstances ec2:DescribeSecurityGroups"),
    Row("/IAMFullAccess", "v2", "2015-02-06T18:40:38Z", "2019-06-21T19:40:00Z", "iam:* organizations:DescribeAccount organizations:DescribeOrganization organizations:DescribeOrganizationalUnit organizations:DescribePolicy organizations:ListChildren organizations:ListParents organizations:ListPoliciesForTarget organizations:ListPolicies organizations:ListRoots organizations:ListTargetsForPolicy"),
    Row("/IAMReadOnlyAccess", "v4", "2015-02-06T18:40:39Z", "2018-01-25T19:11:27Z", "iam:GenerateCredentialReport iam:GenerateServiceLastAccessedDetails iam:Get* iam:List* iam:SimulateCustomPolicy iam:SimulatePrincipalPolicy"),
    Row("/job-function/NetworkAdministrator", "v15", "2016-11-10T17:31:35Z", "2026-02-12T17:59:36Z", "ec2:* directconnect:* route53:* elasticloadbalancing:*"),
    Row("/PowerUserAccess", "v12", "2015-02-06T18:39:47Z", "2026-02-12T17:59:14Z", "!iam:* !organizations:* !account:*"),
    Row("/ReadOnlyAccess", "v182", "2015-02-06T18:39:48Z", "2026-04-03T15:27:12Z", "autoscaling:Describe* cloudwatch:Describe* cloudwatch:Get* cloudwatch:List* dynamodb:BatchGetItem dynamodb:Describe* dynamodb:GetItem dynamodb:List* dynamodb:Query dynamodb:Scan ec2:Describe* ecr:Describe* ecr:Get* ecr:List* eks:Describe* eks:List* iam:Get* iam:List* iam:Simulate* kms:Describe* kms:Get* kms:List* logs:Describe* logs:Get* rds:Describe* s3:Get* s3:List* sns:Get* sns:List* sqs:Get* sqs:List* sts:GetCallerIdentity"),
    Row("/SecretsManagerReadWrite", "v5", "2018-04-04T18:05:29Z", "2024-02-22T18:12:06Z", "secretsmanager:* kms:DescribeKey kms:ListAliases kms:ListKeys lambda:ListFunctions tag:GetResources"),
    Row("/SecurityAudit", "v86", "2015-02-06T18:41:01Z", "2026-05-01T03:12:13Z", "cloudtrail:Describe* cloudtrail:List* config:Describe* ec2:Describe* eks:DescribeCluster eks:List* iam:Get* iam:List* kms:Describe* kms:List* s3:GetBucket* s3:ListAllMyBuckets"),
    Row("/job-function/ViewOnlyAccess", "v45", "2016-11-10T17:20:15Z", "2026-04-22T18:12:21Z", "autoscaling:Describe* cloudwatch:List* dynamodb:List* ec2:Describe* eks:List* iam:List* logs:Describe* s3:ListAllMyBuckets sns:List* sqs:List*"),
];

/// Every AWS-managed policy, by name.
pub(super) fn all(partition: &str) -> impl Iterator<Item = ManagedPolicy> {
    ROWS.iter().map(move |row| policy(row, partition))
}

/// The AWS-managed policy of this ARN.
pub(super) fn by_arn(partition: &str, arn: &str) -> Option<ManagedPolicy> {
    let rest = arn
        .strip_prefix("arn:")?
        .strip_prefix(partition)?
        .strip_prefix(":iam::aws:policy")?;
    ROWS.iter()
        .find(|row| row.0 == rest)
        .map(|row| policy(row, partition))
}

fn policy(row: &Row, partition: &str) -> ManagedPolicy {
    let Row(path_and_name, version, created, updated, actions) = *row;
    let (path, name) = path_and_name.rsplit_once('/').unwrap_or_default();
    let digest = Sha256::digest(name.as_bytes());
    let suffix: String = digest
        .iter()
        .take(17)
        .map(|byte| char::from(b'A' + byte % 26))
        .collect();
    let updated = date(updated);
    ManagedPolicy {
        name: name.to_owned(),
        path: format!("{path}/"),
        arn: format!("arn:{partition}:iam::aws:policy{path_and_name}"),
        unique_id: format!("ANPA{suffix}"),
        description: None,
        created: date(created),
        updated,
        versions: vec![PolicyVersion {
            id: version.to_owned(),
            document: document(actions),
            created: updated,
        }],
        default_version: version.to_owned(),
        next_version: 0,
        tags: Vec::new(),
    }
}

fn document(actions: &str) -> String {
    let element = if actions.starts_with('!') {
        "NotAction"
    } else {
        "Action"
    };
    let actions: Vec<_> = actions
        .split(' ')
        .map(|action| action.trim_start_matches('!'))
        .collect();
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", element: actions, "Resource": "*" }],
    })
    .to_string()
}

fn date(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_are_sorted_dated_and_found_by_their_arn() {
        for policy in all("aws-cn") {
            assert!(
                policy.created > OffsetDateTime::UNIX_EPOCH && policy.updated >= policy.created,
                "{}",
                policy.arn
            );
            assert_eq!(
                by_arn("aws-cn", &policy.arn).unwrap().unique_id,
                policy.unique_id
            );
            super::super::identity_policy::check(&policy.versions[0].document).unwrap();
        }
        assert_eq!(
            by_arn(
                "aws",
                "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"
            )
            .unwrap()
            .path,
            "/service-role/"
        );
        assert!(by_arn("aws", "arn:aws:iam::aws:policy/AmazonEBSCSIDriverPolicy").is_none());
        assert!(by_arn("aws", "arn:aws-cn:iam::aws:policy/ReadOnlyAccess").is_none());
    }
}
