//! The services of AWS by name.

/// A service that functions call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Amazon `DynamoDB`.
    Table,
    /// Amazon SQS.
    Queues,
    /// AWS Systems Manager.
    Parameters,
    /// Amazon S3.
    Objects,
}

impl Service {
    /// Its name in endpoints and signatures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Table => "dynamodb",
            Self::Queues => "sqs",
            Self::Parameters => "ssm",
            Self::Objects => "s3",
        }
    }

    /// Source: AWS general reference, service endpoints. China has a domain of its own.
    pub(super) fn endpoint(self, region: &str) -> String {
        let service = self.name();
        let domain = if region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        format!("https://{service}.{region}.{domain}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wrong one would be warmed in vain, and nothing would show it.
    #[test]
    fn the_endpoints_are_those_that_the_sdk_calls() {
        use aws_sdk_dynamodb::config::endpoint as dynamo;
        use aws_sdk_sqs::config::endpoint as sqs;
        let (of_table, of_queues) = (dynamo::DefaultResolver::new(), sqs::DefaultResolver::new());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        for region in ["us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1"] {
            let params = dynamo::Params::builder().region(region).build().unwrap();
            let found = dynamo::ResolveEndpoint::resolve_endpoint(&of_table, &params);
            assert_eq!(
                runtime.block_on(found).unwrap().url(),
                Service::Table.endpoint(region)
            );
            let params = sqs::Params::builder().region(region).build().unwrap();
            let found = sqs::ResolveEndpoint::resolve_endpoint(&of_queues, &params);
            assert_eq!(
                runtime.block_on(found).unwrap().url(),
                Service::Queues.endpoint(region)
            );
        }
    }
}
