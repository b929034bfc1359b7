//! The API surfaces over simulated ports: what each answers, sends and refuses, with the clock in
//! the test's hand.

mod apione;
mod blanks;
mod callbacks;
mod contract;
mod ecmascript;
mod fifth;
mod fullenrich;
mod native;
mod own_secrets;
mod plain_http;
mod receiver;
mod regressions;
mod sixtyfour;
mod sizes;
mod springbolt;
mod tenants;
mod wire;
