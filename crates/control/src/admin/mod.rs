//! The admin address: metrics, health, the API and the dashboard, for operators and their machines only.
//!
//! A request passes `server` (connections, limits), `guard` (who may ask at all) and `api` (what is asked);
//! `answer` is how answers look.

mod answer;
mod api;
mod dashboard;
mod guard;
mod path;
mod server;

pub(crate) use server::serve;
