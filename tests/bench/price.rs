//! List prices of AWS in us-east-1, US dollars, without free tiers and volume steps. They were not
//! read off the pages named: check them there before relying on a figure made from them.

/// A write request unit of a table on demand. Source: aws.amazon.com/dynamodb/pricing/on-demand
/// (the price since November 2024, by a third party's page).
pub(crate) const WRITE_UNIT: f64 = 0.625e-6;
/// A read request unit of a table on demand. Source as above.
pub(crate) const READ_UNIT: f64 = 0.125e-6;
/// A GB of table or index stored for a month, standard class. Source as above.
pub(crate) const STORED_GB_MONTH: f64 = 0.25;
/// A request to a standard queue, of up to 64 KiB. Source: aws.amazon.com/sqs/pricing.
pub(crate) const SQS_REQUEST: f64 = 0.40e-6;
/// A second of one GB of memory, arm64. Source: aws.amazon.com/lambda/pricing.
pub(crate) const LAMBDA_GB_SECOND: f64 = 0.000_013_333_4;
/// An invocation. Source as above.
pub(crate) const LAMBDA_REQUEST: f64 = 0.20e-6;
/// A request to an HTTP API, of up to 512 KB. Source: aws.amazon.com/api-gateway/pricing.
pub(crate) const HTTP_REQUEST: f64 = 1.00e-6;
