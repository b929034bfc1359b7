//! Providers against servers on loopback that behave as sites and vendors do, well and badly.

mod http;
mod limits;
#[path = "../net/servers.rs"]
#[allow(
    dead_code,
    reason = "the same servers are those of the tests of the HTTP client, which need all of them"
)]
mod servers;
mod web;
