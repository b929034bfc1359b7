//! The kinds of provider, a file or a folder each, and what several of them read.

pub(crate) mod charset;
pub mod chat;
pub mod dataset;
pub mod email;
pub mod hem;
pub mod http;
pub mod ip;
pub mod phone;
pub(crate) mod suffix;
pub mod web;
