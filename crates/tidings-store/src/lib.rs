//! The store of what must survive: contract, contract suite, in-memory and embedded store.
