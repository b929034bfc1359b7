//! The routes of the native API.

use super::request::{read_rotation, read_submission, read_test};
use super::response::{
    accepted, canceling, delivery_page, job_page, job_state, replaying, rotated, show_account,
    show_delivery, show_job, testing,
};
use super::results::result_page;
use crate::surfaces::{Call, Route};

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/v1/jobs",
        call: Call::Submit {
            read: read_submission,
            answer: accepted,
        },
    },
    Route {
        method: "GET",
        path: "/v1/jobs",
        call: Call::Jobs { show: job_page },
    },
    Route {
        method: "GET",
        path: "/v1/jobs/{id}",
        call: Call::Watch {
            show: show_job,
            state: job_state,
        },
    },
    Route {
        method: "DELETE",
        path: "/v1/jobs/{id}",
        call: Call::Delete,
    },
    Route {
        method: "GET",
        path: "/v1/jobs/{id}/results",
        call: Call::Results { show: result_page },
    },
    Route {
        method: "POST",
        path: "/v1/jobs/{id}/cancel",
        call: Call::Cancel { show: canceling },
    },
    Route {
        method: "POST",
        path: "/v1/jobs/{id}/retry",
        call: Call::Retry { answer: accepted },
    },
    Route {
        method: "GET",
        path: "/v1/jobs/{id}/deliveries",
        call: Call::Deliveries {
            show: delivery_page,
        },
    },
    Route {
        method: "GET",
        path: "/v1/deliveries/{id}",
        call: Call::Delivery {
            show: show_delivery,
        },
    },
    Route {
        method: "POST",
        path: "/v1/deliveries/{id}/replay",
        call: Call::Replay { show: replaying },
    },
    Route {
        method: "POST",
        path: "/v1/webhooks/test",
        call: Call::TestWebhook {
            read: read_test,
            show: testing,
        },
    },
    Route {
        method: "POST",
        path: "/v1/webhooks/secret/rotate",
        call: Call::RotateSecret {
            read: read_rotation,
            show: rotated,
        },
    },
    Route {
        method: "GET",
        path: "/v1/account",
        call: Call::Account { show: show_account },
    },
];
