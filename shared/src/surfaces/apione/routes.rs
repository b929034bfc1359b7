//! The routes of `ApiOne`.

use super::request::{STATUS_PATH, read};
use super::response::{accepted, fits, records_at_end, show_results, show_status};
use crate::surfaces::{Call, Route};

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/api/v1/async/enrich",
        call: Call::Submit {
            read,
            answer: accepted,
        },
    },
    Route {
        method: "GET",
        path: STATUS_PATH,
        call: Call::Job {
            records: records_at_end,
            show: show_status,
        },
    },
    Route {
        method: "GET",
        path: "/api/v1/async/results/{id}",
        call: Call::Job {
            records: |_, view| fits(view),
            show: show_results,
        },
    },
];
