//! The bus of a cluster keeps what its contract says, within a node and between nodes.

use tidings_bus::contract;
use tidings_cluster::simulated::{Cluster, Plan};

#[test]
fn nodes_keep_what_a_network_can_give() {
    for seed in 1..=4 {
        contract::between_nodes(|hubs| Cluster::new(Plan::new(hubs, seed)));
    }
}

#[test]
fn a_node_of_a_cluster_keeps_all_that_a_node_that_is_alone_keeps() {
    for seed in 1..=3 {
        contract::within_a_node(|hubs| Cluster::new(Plan::new(&[hubs], seed)));
    }
}
