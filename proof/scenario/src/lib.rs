//! Parses scenario files and judges what each party saw.
//!
//! A scenario (grammar: `proof/scenarios/README.md`) says who does what and who must see what.
//! [`parse`] turns a text into a [`Scenario`]; a [`Judge`] tells a runner what to do next and
//! compares what it observed. Both are pure: time is a number that the runner supplies, so the same
//! judge serves the simulator with virtual time and the SDKs with real time. How an action is
//! carried out is up to the runner; actions, answers and events can be serialised for a runner in
//! another language.
//!
//! Reading order: [`Scenario`] (`model`), `token`, `parse` and `fact` (text to model), `show`
//! (model to text), [`Judge`]. [`files`] and [`words`] are what runners in Rust share: the
//! project's scenarios, and the client's types in a scenario's words.
//!
//! ```
//! use tidings_scenario::{Answer, Judge, Next, Seen, parse};
//!
//! let text = "# DEL-3  nobody answers a join of an empty channel\nalice joins #a";
//! let scenario = parse(text).expect("well-formed");
//! let mut judge = Judge::new(&scenario, "example.txt");
//! let mut now_ms = 0;
//! let passed = loop {
//!     match judge.next(now_ms) {
//!         Next::Do(order) => {
//!             let answer = Answer::Done;
//!             judge.observe(now_ms, Seen::Answer { order: order.id, answer });
//!         }
//!         Next::Wait { until_ms } => now_ms = until_ms,
//!         Next::Passed => break true,
//!         Next::Failed(failure) => panic!("{failure}"),
//!     }
//! };
//! assert!(passed);
//! ```

mod expect;
mod fact;
pub mod files;
mod judge;
mod model;
mod parse;
mod show;
mod token;
pub mod words;

pub use judge::{Failure, Judge, Next, Order, Seen};
pub use model::{
    Action, Answer, Conversation, Event, Expectation, ExpectedAnswer, File, InvitationNews,
    Message, Party, Permission, PresenceState, Scenario, Step, TokenKind, Write,
};
pub use parse::{ParseError, parse};
