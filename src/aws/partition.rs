//! AWS partitions, as data.
//!
//! Source: botocore's `partitions.json`; service principal and console from the AWS documentation of each partition.

/// One AWS partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Partition {
    /// The second field of its ARNs.
    pub id: &'static str,
    /// How its region names begin. Empty: whatever no other partition claims.
    pub region_prefix: &'static str,
    /// DNS suffix of service endpoints.
    pub dns_suffix: &'static str,
    /// DNS suffix of dual-stack endpoints.
    pub dual_stack_dns_suffix: &'static str,
    /// The region in which global services such as IAM sign.
    pub global_region: &'static str,
    /// The service principal of EKS Pod Identity. The same string everywhere AWS has documented it, China included.
    pub pod_identity_service_principal: &'static str,
    /// Host of the management console, where it is public.
    pub console_host: Option<&'static str>,
}

/// The service principal of EKS Pod Identity in every partition known today.
pub const POD_IDENTITY_SERVICE_PRINCIPAL: &str = "pods.eks.amazonaws.com";

const fn partition(
    id: &'static str,
    region_prefix: &'static str,
    dns_suffix: &'static str,
    dual_stack_dns_suffix: &'static str,
    global_region: &'static str,
    console_host: Option<&'static str>,
) -> Partition {
    Partition {
        id,
        region_prefix,
        dns_suffix,
        dual_stack_dns_suffix,
        global_region,
        pod_identity_service_principal: POD_IDENTITY_SERVICE_PRINCIPAL,
        console_host,
    }
}

/// Every partition. The commercial one is last because it takes what the others leave.
#[rustfmt::skip]
pub static PARTITIONS: [Partition; 8] = [
    partition("aws-cn", "cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn", "cn-north-1", Some("console.amazonaws.cn")),
    partition("aws-us-gov", "us-gov-", "amazonaws.com", "api.aws", "us-gov-west-1", Some("console.amazonaws-us-gov.com")),
    partition("aws-eusc", "eusc-", "amazonaws.eu", "api.amazonwebservices.eu", "eusc-de-east-1", Some("console.amazonaws-eusc.eu")),
    partition("aws-iso", "us-iso-", "c2s.ic.gov", "api.aws.ic.gov", "us-iso-east-1", None),
    partition("aws-iso-b", "us-isob-", "sc2s.sgov.gov", "api.aws.scloud", "us-isob-east-1", None),
    partition("aws-iso-e", "eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", "eu-isoe-west-1", None),
    partition("aws-iso-f", "us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov", "us-isof-south-1", None),
    partition("aws", "", "amazonaws.com", "api.aws", "us-east-1", Some("console.aws.amazon.com")),
];

impl Partition {
    /// The partition of a region. A region nobody knows yet belongs to the commercial partition, as the AWS SDKs assume.
    #[must_use]
    pub fn of_region(region: &str) -> &'static Self {
        PARTITIONS
            .iter()
            .find(|p| region.starts_with(p.region_prefix))
            .unwrap_or(&PARTITIONS[PARTITIONS.len() - 1])
    }

    /// Host of a regional service endpoint: `sts.eu-west-1.amazonaws.com`.
    #[must_use]
    pub fn regional_host(&self, service: &str, region: &str) -> String {
        format!("{service}.{region}.{}", self.dns_suffix)
    }

    /// The partition with this id, if there is one.
    #[must_use]
    pub fn by_id(id: &str) -> Option<&'static Self> {
        PARTITIONS.iter().find(|p| p.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_belong_to_their_partition() {
        for (region, id, suffix) in [
            ("us-east-1", "aws", "amazonaws.com"),
            ("eu-central-2", "aws", "amazonaws.com"),
            ("mx-central-1", "aws", "amazonaws.com"),
            ("cn-northwest-1", "aws-cn", "amazonaws.com.cn"),
            ("us-gov-east-1", "aws-us-gov", "amazonaws.com"),
            ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"),
            ("us-iso-west-1", "aws-iso", "c2s.ic.gov"),
            ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
            ("eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk"),
            ("us-isof-south-1", "aws-iso-f", "csp.hci.ic.gov"),
            ("zz-nowhere-9", "aws", "amazonaws.com"),
        ] {
            let partition = Partition::of_region(region);
            assert_eq!(
                (partition.id, partition.dns_suffix),
                (id, suffix),
                "{region}"
            );
            assert_eq!(Partition::by_id(id), Some(partition), "{region}");
        }
        assert_eq!(Partition::by_id("aws-moon"), None);
        assert_eq!(
            Partition::of_region("cn-north-1").regional_host("sts", "cn-north-1"),
            "sts.cn-north-1.amazonaws.com.cn"
        );
    }

    #[test]
    fn global_regions_are_in_their_own_partition() {
        for partition in &PARTITIONS {
            assert_eq!(Partition::of_region(partition.global_region), partition);
        }
    }
}
