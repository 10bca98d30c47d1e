//! The behaviour ring lives in `tests/`; this library is empty.
