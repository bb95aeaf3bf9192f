//! The server-side API of the real program: a test per row of rest 2 to 5 and 12, field by field,
//! on one hub and on four.

mod apps;
mod bans;
mod day;
mod decisions;
mod door;
mod events;
mod history;
mod hosted;
mod http;
mod keys;
mod metrics;
mod office;
mod openmetrics;
mod repeats;
mod replicas;
mod there;
mod traces;
mod upkeep;
mod v1;
mod webhooks;
mod world;
