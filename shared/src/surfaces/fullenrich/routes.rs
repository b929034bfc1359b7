//! The routes of `FullEnrich`'s API.

use super::request::{REVERSE, read_enrich, read_reverse};
use super::response::{
    accepted, is, show_balance, show_enriched, show_reversed, show_workspace, wants_enriched,
};
use crate::surfaces::{Call, Route};

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
];
