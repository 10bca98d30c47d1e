//! What happened: the metric catalogue, the counters and histograms behind it, the Prometheus page and the access log.
//!
//! Every worker writes into series of its own and nobody else does, so a count is one relaxed load and one relaxed
//! store: no lock, no allocation, no shared cache line on the request path. [`Telemetry::page`] sums what the
//! workers counted when somebody asks. The access log follows the same rule: a worker formats into its own batch
//! and hands full batches to one thread, which alone waits for the disk.

pub mod access;
mod catalogue;
mod codes;
mod control;
mod counter;
mod histogram;
mod method;
mod number;
mod page;
mod process;
mod reference;
mod registry;
mod series;
mod telemetry;
mod totals;

pub use access::{AccessLog, AccessWriter, Client, Format, Record, Target};
pub use catalogue::{Kind, Metric, catalogue};
pub use control::{Capacity, ControlSeries, ControlTotals, EndpointReport, EndpointState, ProbeResult};
pub use histogram::HistogramSnapshot;
pub use method::Method;
pub use page::CONTENT_TYPE;
pub use reference::reference;
pub use registry::Labels;
pub use series::{EndpointSeries, ListenerSeries, RetryReason, RouteSeries, SessionSeries, UpstreamSeries};
pub use telemetry::{Telemetry, Writer};
pub use totals::{
    CodeCount, EndpointTotals, ListenerTotals, RouteTotals, SessionTotals, Totals, UpstreamTotals,
};
