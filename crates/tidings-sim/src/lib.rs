//! The simulator: many hubs and clients over a simulated bus, store and network.
