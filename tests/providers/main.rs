//! Providers against servers of our own on loopback.

mod limits;
