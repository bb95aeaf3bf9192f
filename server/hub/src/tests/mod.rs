//! Hubs among themselves: what only shows with two of them, or with a client that misbehaves.

mod asks;
mod bans;
mod bounds;
mod costs;
mod events;
mod logins;
mod moves;
pub(crate) mod node;
mod nodes;
pub(crate) mod outside;
mod overload;
mod quotas;
mod rates;
mod replicas;
mod restart;
mod rights;
mod services;
mod slow;
mod time;
mod traces;
mod traces_written;
