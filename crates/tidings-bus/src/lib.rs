//! The bus between hubs: contract, contract suite and the in-memory router.
