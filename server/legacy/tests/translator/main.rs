//! The translator: alone, and before real hubs, a real bus and a real store, in a time that the
//! test owns.

mod built_in;
mod endings;
mod fuzz;
mod invitations;
mod permissions;
mod properties;
mod queue;
mod sections;
mod special;
mod world;
