//! The routes of Springbolt.

use super::request::read;
use super::response::answer;
use crate::surfaces::{Call, Route};

const SUBMIT: Call = Call::Submit { read, answer };

macro_rules! routes {
    ($($operation:literal),* $(,)?) => {
        &[$(
            Route { method: "POST", path: concat!("/", $operation), call: SUBMIT },
            Route { method: "POST", path: concat!("/lead/resolution/", $operation), call: SUBMIT },
        )*]
    };
}

/// Every operation in both spellings.
pub(super) const ROUTES: &[Route] = routes![
    "enrichment",
    "deanonymization",
    "linkedin_to_phone",
    "linkedin-to-phone",
    "linkedin_to_hem",
    "linkedin-to-hem",
    "email_to_hem",
    "email-to-hem",
    "ip_to_company",
    "ip-to-company",
    "organization_domain_finder",
    "organization-domain-finder",
    "keyword_to_lead",
    "keyword-to-lead",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::SURFACE;
    use super::*;

    #[test]
    fn every_operation_has_four_paths_or_two() {
        let routed: BTreeSet<String> = ROUTES
            .iter()
            .filter_map(|r| Some(r.path.rsplit('/').next()?.replace('-', "_")))
            .collect();
        assert_eq!(
            routed,
            SURFACE.operations.iter().map(|o| (*o).to_owned()).collect()
        );
        assert_eq!(ROUTES.len(), 28);
    }
}
