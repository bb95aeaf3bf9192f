//! Calls from outside: which goes where.

use tidings_wire::codes::Outcome;
use tidings_wire::limits::OVERLOADED_WAIT_MS;
use tidings_wire::proto::{Error, reply, request};

use crate::hub::Hub;
use crate::io::{Sink, Ticket};
use crate::kernel::reply::error;
use crate::outside::{OutsideAnswer, OutsideCall};

impl Hub {
    pub(crate) fn handle_outside(&mut self, ticket: Ticket, call: OutsideCall, out: &mut dyn Sink) {
        if let Err(error) = self.look_at_outside(&call) {
            let answer = OutsideAnswer::Call(reply::Result::Error(error));
            return self.kernel.answer_outside(ticket, answer, out);
        }
        match call {
            OutsideCall::AsUser { from, call } => {
                let caller = self.kernel.admit_outsider(ticket, from);
                match call {
                    request::Call::Logout(_) | request::Call::RenewToken(_) => {
                        let text = "this call is a session's; it cannot be made from outside";
                        let error = error(Outcome::Unsupported, text);
                        self.kernel.reply_error(caller, error, out);
                    }
                    call => self.pass_on_call(caller, call, out),
                }
            }
            _ => {
                let error = error(Outcome::Unsupported, "this call is not served yet");
                let answer = OutsideAnswer::Call(reply::Result::Error(error));
                self.kernel.answer_outside(ticket, answer, out);
            }
        }
    }

    /// Whether the hub takes calls, and knows the app.
    fn look_at_outside(&self, call: &OutsideCall) -> Result<(), Error> {
        if self.is_draining {
            let mut error = error(Outcome::Overloaded, "the server is about to end; try again");
            error.retry_after_ms = OVERLOADED_WAIT_MS as u32;
            return Err(error);
        }
        let app = call.app();
        if !self.kernel.config.apps.has(app) {
            let text = format!("app {app} is not known to this server");
            return Err(error(Outcome::UnknownApp, text));
        }
        Ok(())
    }
}
