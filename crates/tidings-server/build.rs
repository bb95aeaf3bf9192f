//! The demo page and the SDK's files are built apart and embedded: a build of theirs is a change of this crate.

fn main() {
    println!("cargo:rerun-if-changed=../../demo/dist");
    println!("cargo:rerun-if-changed=../../sdk/js/rtm/dist");
    println!("cargo:rerun-if-changed=../../sdk/js/signaling/dist");
    println!("cargo:rerun-if-changed=../../sdk/js/pack");
    println!("cargo:rerun-if-changed=../../docs/guide/dist");
}
