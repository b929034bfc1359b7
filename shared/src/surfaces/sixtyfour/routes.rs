//! The routes of Sixtyfour's API.

use super::request::read;
use super::response::{accepted, records, show};
use crate::surfaces::{Call, Route};

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/find-email-async",
        call: SUBMIT,
    },
    Route {
        method: "POST",
        path: "/find-email-bulk-async",
        call: SUBMIT,
    },
    Route {
        method: "POST",
        path: "/find-phone-async",
        call: SUBMIT,
    },
    Route {
        method: "POST",
        path: "/find-phone-bulk-async",
        call: SUBMIT,
    },
    Route {
        method: "POST",
        path: "/people-intelligence-async",
        call: SUBMIT,
    },
    Route {
        method: "POST",
        path: "/company-intelligence-async",
        call: SUBMIT,
    },
    Route {
        method: "POST",
        path: "/research-agent-async",
        call: SUBMIT,
    },
    Route {
        method: "POST",
        path: "/qa-agent-async",
        call: SUBMIT,
    },
    Route {
        method: "GET",
        path: "/job-status/{task_id}",
        call: Call::Job { records, show },
    },
];

const SUBMIT: Call = Call::Submit {
    read,
    answer: accepted,
};
