//! The routes of `FullEnrich`'s API.

use super::first;
use super::request::{
    COMPANY_INSTEAD, PEOPLE_INSTEAD, read_enrich, read_first_enrich, read_first_reverse,
    read_reverse, read_unanswered,
};
use super::response::{
    accepted, show_balance, show_enriched, show_reversed, show_workspace, wants_enriched,
};
use super::version::{REVERSE, is};
use crate::surfaces::{Call, Route};

/// An operation that is refused.
macro_rules! unanswered {
    ($path:literal, $operation:literal, $instead:expr) => {
        Route {
            method: "POST",
            path: $path,
            call: Call::Submit {
                read: |_, _| read_unanswered($operation, $instead),
                answer: accepted,
            },
        }
    };
}

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/api/v2/contact/enrich/bulk",
        call: Call::Submit {
            read: read_enrich,
            answer: accepted,
        },
    },
    Route {
        method: "GET",
        path: "/api/v2/contact/enrich/bulk/{id}",
        call: Call::Job {
            records: wants_enriched,
            show: show_enriched,
        },
    },
    Route {
        method: "POST",
        path: "/api/v2/contact/reverse/email/bulk",
        call: Call::Submit {
            read: read_reverse,
            answer: accepted,
        },
    },
    Route {
        method: "GET",
        path: "/api/v2/contact/reverse/email/bulk/{id}",
        call: Call::Job {
            records: |_, view| is(view, REVERSE),
            show: show_reversed,
        },
    },
    Route {
        method: "GET",
        path: "/api/v2/account/keys/verify",
        call: Call::Account {
            show: show_workspace,
        },
    },
    Route {
        method: "GET",
        path: "/api/v2/account/credits",
        call: Call::Account { show: show_balance },
    },
    unanswered!("/api/v2/people/search", "people_search", PEOPLE_INSTEAD),
    unanswered!("/api/v2/people/lookup", "people_lookup", PEOPLE_INSTEAD),
    unanswered!("/api/v2/company/search", "company_search", COMPANY_INSTEAD),
    unanswered!("/api/v2/company/lookup", "company_lookup", COMPANY_INSTEAD),
    Route {
        method: "POST",
        path: "/api/v1/contact/enrich/bulk",
        call: Call::Submit {
            read: read_first_enrich,
            answer: accepted,
        },
    },
    Route {
        method: "GET",
        path: "/api/v1/contact/enrich/bulk/{id}",
        call: Call::Job {
            records: first::wants_enriched,
            show: first::show_enriched,
        },
    },
    Route {
        method: "POST",
        path: "/api/v1/contact/reverse/email/bulk",
        call: Call::Submit {
            read: read_first_reverse,
            answer: accepted,
        },
    },
    Route {
        method: "GET",
        path: "/api/v1/contact/reverse/email/bulk/{id}",
        call: Call::Job {
            records: first::wants_reversed,
            show: first::show_reversed,
        },
    },
    Route {
        method: "GET",
        path: "/api/v1/account/keys/verify",
        call: Call::Account {
            show: show_workspace,
        },
    },
    Route {
        method: "GET",
        path: "/api/v1/account/credits",
        call: Call::Account { show: show_balance },
    },
];
