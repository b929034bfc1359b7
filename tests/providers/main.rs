//! Providers against servers on loopback that behave as sites and vendors do, well and badly.

mod http;
mod limits;
mod web;
