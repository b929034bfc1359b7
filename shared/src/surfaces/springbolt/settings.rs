//! What a tenant may choose: the form of each operation's callbacks.

use crate::domain::job::Spec;
use crate::surfaces::SurfaceSetting;

/// The members beside each other, as in the vendor's document.
const FLAT: &str = "flat";
/// The members inside `lead`, as in the vendor's sample on its marketplace.
const NESTED: &str = "nested";

macro_rules! callbacks {
    ($($operation:literal),* $(,)?) => {
        &[$(SurfaceSetting {
            name: concat!("callback_", $operation),
            values: &[FLAT, NESTED],
            help: concat!("The form of the callbacks of ", $operation, "; nested puts all in `lead`"),
        }),*]
    };
}

/// One setting for each operation.
pub(super) const SETTINGS: &[SurfaceSetting] = callbacks![
    "enrichment",
    "deanonymization",
    "linkedin_to_phone",
    "linkedin_to_hem",
    "email_to_hem",
    "ip_to_company",
    "organization_domain_finder",
    "keyword_to_lead",
];

/// Returns whether a job's callback has the nested form.
pub(super) fn is_nested(spec: &Spec) -> bool {
    let operation = spec.operation.as_deref().unwrap_or_default();
    let mut settings = SETTINGS.iter();
    let setting =
        settings.find(|setting| setting.name.strip_prefix("callback_") == Some(operation));
    setting.is_some_and(|setting| setting.of(&spec.settings) == NESTED)
}

#[cfg(test)]
mod tests {
    use super::super::SURFACE;
    use super::*;

    #[test]
    fn every_operation_has_a_setting_that_is_flat_by_default() {
        let named = SETTINGS.iter().map(|s| s.name.strip_prefix("callback_"));
        assert!(named.eq(SURFACE.operations.iter().copied().map(Some)));
        assert!(SETTINGS.iter().all(|setting| setting.values[0] == FLAT));
    }
}
