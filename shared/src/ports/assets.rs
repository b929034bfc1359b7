//! The operator's secrets and tables outside of the bundle.

use async_trait::async_trait;

/// Where an object of Amazon S3 is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// The bucket's name.
    pub bucket: String,
    /// The object's name in the bucket.
    pub key: String,
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// An object as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    /// Another one whenever the content is another (an `ETag`).
    pub tag: String,
    /// The whole content.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Object {
    /// Leaves out the content: it may be personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object")
            .field("tag", &self.tag)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// The reason why something of the operator's could not be read. The texts hold error codes and
/// nothing of the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssetError {
    /// Neither a parameter nor an object has this name.
    #[error("it does not exist")]
    Missing,
    /// The service will not: most often a permission that the function's role does not have.
    #[error("reading it was refused ({0})")]
    Refused(String),
    /// The content exceeds the given limit, in bytes; nothing of it was kept.
    #[error("it is larger than {0} bytes")]
    TooLarge(usize),
    /// No answer, or too many questions. Asking again may help.
    #[error("it could not be read just now ({0})")]
    Unavailable(String),
}

/// The things that an operator keeps outside of the bundle for providers: secrets in parameters of
/// AWS Systems Manager, tables in Amazon S3. Reading changes nothing.
#[async_trait]
pub trait Assets: Send + Sync {
    /// The value of a parameter, decrypted.
    async fn parameter(&self, name: &str) -> Result<String, AssetError>;

    /// An object's content, `max_bytes` at most; `None` where it is still what it was when it had
    /// the tag `unless`.
    async fn object(
        &self,
        name: &ObjectName,
        unless: Option<&str>,
        max_bytes: usize,
    ) -> Result<Option<Object>, AssetError>;
}
