//! What a caller brings along in the header `traceparent`. Source: W3C Trace Context, level 1.

use std::fmt;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// A place in somebody's trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: TraceId,
    span: SpanId,
    flags: TraceFlags,
}

/// Length of a header of version 00.
const CHARS: usize = 55;

impl TraceContext {
    /// The name of the header.
    pub const HEADER: &'static str = "traceparent";

    /// Reads a header. `None`: it is none that this version understands, and is as if it were not
    /// there.
    pub fn parse(header: &str) -> Option<Self> {
        let is_lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let bytes = header.as_bytes();
        let (known, rest) = bytes.split_at_checked(CHARS)?;
        let has_shape = known.iter().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => *byte == b'-',
            _ => is_lower(*byte),
        });
        let is_of_version = match &known[..2] {
            b"00" => rest.is_empty(),
            b"ff" => false,
            // A later version adds fields behind these.
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        if !has_shape || !is_of_version {
            return None;
        }
        let trace = TraceId::from_hex(&header[3..35]).ok()?;
        let span = SpanId::from_hex(&header[36..52]).ok()?;
        let flags = u8::from_str_radix(&header[53..55], 16).ok()?;
        let is_valid = trace != TraceId::INVALID && span != SpanId::INVALID;
        is_valid.then_some(Self {
            trace,
            span,
            flags: TraceFlags::new(flags & TraceFlags::SAMPLED.to_u8()),
        })
    }
}

impl fmt::Display for TraceContext {
    /// As the header has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (self.trace, self.span);
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", self.flags.to_u8())
    }
}

impl From<&TraceContext> for SpanContext {
    fn from(of: &TraceContext) -> Self {
        Self::new(of.trace, of.span, of.flags, true, TraceState::default())
    }
}

impl From<TraceContext> for SpanContext {
    fn from(of: TraceContext) -> Self {
        Self::from(&of)
    }
}

impl From<&SpanContext> for TraceContext {
    fn from(of: &SpanContext) -> Self {
        Self {
            trace: of.trace_id(),
            span: of.span_id(),
            flags: of.trace_flags(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_strictly_and_written_as_it_came() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parsed = TraceContext::parse(good).map(|context| context.to_string());
        assert_eq!(parsed.as_deref(), Some(good));
        let later = format!("cc{}-what-may-come", &good[2..]);
        let parsed = TraceContext::parse(&later).map(|context| context.to_string());
        assert_eq!(parsed.as_deref(), Some(good));
        let unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe";
        let parsed = TraceContext::parse(unsampled).map(|context| context.to_string());
        assert_eq!(parsed, Some(format!("{}00", &unsampled[..53])));
    }

    #[test]
    fn what_is_no_header_is_not_understood() {
        for wrong in [
            "",
            "00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ü",
            "00-4bf92f3577b34da6a3ce929d0e0e47ü-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
    }
}
