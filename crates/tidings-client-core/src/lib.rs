//! The client's connection machine: pure, inputs in, outputs out.
