//! A reader of the part of PromQL that rules and panels use, for tests: what it does not know is an
//! error. Source: prometheus.io/docs/prometheus/latest/querying.

/// A metric that an expression looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) name: String,
    /// Labels that are matched.
    pub(crate) labels: Vec<String>,
    /// It looks at a span of time.
    pub(crate) has_range: bool,
}

/// What an expression is, once read.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) selectors: Vec<Selector>,
    /// Labels that sums are made by.
    pub(crate) by: Vec<String>,
}

/// Functions with the number of their arguments, and whether the last one is a span.
const FUNCTIONS: [(&str, usize, bool); 5] = [
    ("histogram_quantile", 2, false),
    ("increase", 1, true),
    ("predict_linear", 2, false),
    ("rate", 1, true),
    ("time", 0, false),
];

const AGGREGATIONS: [&str; 6] = ["avg", "count", "max", "min", "sum", "topk"];

/// Operators, the weakest first.
const OPERATORS: [&[&str]; 5] = [
    &["or"],
    &["and", "unless"],
    &["==", "!=", ">=", "<=", ">", "<"],
    &["+", "-"],
    &["*", "/", "%"],
];

/// Reads an expression.
///
/// # Errors
/// What is wrong, with the rest of the text from there.
pub(crate) fn parse(text: &str) -> Result<Parsed, String> {
    let mut parser = Parser {
        rest: text,
        parsed: Parsed::default(),
    };
    parser.binary(0)?;
    parser.skip();
    if parser.rest.is_empty() {
        Ok(parser.parsed)
    } else {
        Err(parser.error("more than an expression"))
    }
}

struct Parser<'a> {
    rest: &'a str,
    parsed: Parsed,
}

impl<'a> Parser<'a> {
    fn error(&self, what: &str) -> String {
        format!("{what} at {:?}", self.rest)
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip();
        let Some(rest) = self.rest.strip_prefix(token) else {
            return false;
        };
        let is_word = token.ends_with(char::is_alphabetic);
        if is_word && rest.starts_with(is_of_word) {
            return false;
        }
        self.rest = rest;
        true
    }

    fn want(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) {
            Ok(())
        } else {
            Err(self.error(&format!("no {token:?}")))
        }
    }

    fn word(&mut self) -> Option<&'a str> {
        self.skip();
        let end = self
            .rest
            .find(|c| !is_of_word(c))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.rest = rest;
        Some(word)
    }

    fn binary(&mut self, level: usize) -> Result<(), String> {
        let Some(operators) = OPERATORS.get(level) else {
            return self.unary();
        };
        self.binary(level + 1)?;
        while operators.iter().any(|operator| self.eat(operator)) {
            self.binary(level + 1)?;
        }
        Ok(())
    }

    fn unary(&mut self) -> Result<(), String> {
        self.eat("-");
        if self.eat("(") {
            self.binary(0)?;
            return self.want(")");
        }
        self.skip();
        if self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '.');
            self.rest = &self.rest[end.unwrap_or(self.rest.len())..];
            return Ok(());
        }
        let word = self.word().ok_or_else(|| self.error("no operand"))?;
        if AGGREGATIONS.contains(&word) {
            return self.aggregation(word);
        }
        match FUNCTIONS.iter().find(|(name, ..)| *name == word) {
            Some((_, arguments, spans)) => self.call(*arguments, *spans),
            None => self.selector(word),
        }
    }

    fn aggregation(&mut self, name: &str) -> Result<(), String> {
        self.grouping()?;
        self.call(if name == "topk" { 2 } else { 1 }, false)?;
        self.grouping()
    }

    fn grouping(&mut self) -> Result<(), String> {
        if !self.eat("by") {
            return Ok(());
        }
        self.want("(")?;
        loop {
            let label = self.word().ok_or_else(|| self.error("no label"))?;
            self.parsed.by.push(label.to_owned());
            if !self.eat(",") {
                return self.want(")");
            }
        }
    }

    fn call(&mut self, arguments: usize, spans: bool) -> Result<(), String> {
        self.want("(")?;
        for argument in 0..arguments {
            if argument > 0 {
                self.want(",")?;
            }
            self.binary(0)?;
        }
        let has_range = self
            .parsed
            .selectors
            .last()
            .is_some_and(|last| last.has_range);
        if spans && !has_range {
            return Err(self.error("no span of time"));
        }
        self.want(")")
    }

    fn selector(&mut self, name: &str) -> Result<(), String> {
        let mut selector = Selector {
            name: name.to_owned(),
            labels: Vec::new(),
            has_range: false,
        };
        if self.eat("{") {
            loop {
                let label = self.word().ok_or_else(|| self.error("no label"))?;
                selector.labels.push(label.to_owned());
                if !["=~", "!~", "!=", "="].iter().any(|how| self.eat(how)) {
                    return Err(self.error("no matcher"));
                }
                self.text()?;
                if !self.eat(",") {
                    break;
                }
            }
            self.want("}")?;
        }
        if self.eat("[") {
            let span = self.rest.split(']').next().unwrap_or_default();
            if !is_duration(span) {
                return Err(self.error("no duration"));
            }
            self.rest = &self.rest[span.len()..];
            selector.has_range = true;
            self.want("]")?;
        }
        self.parsed.selectors.push(selector);
        Ok(())
    }

    fn text(&mut self) -> Result<(), String> {
        self.skip();
        let quote = self.rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let quote = quote.ok_or_else(|| self.error("no text"))?;
        let end = self.rest[1..].find(quote);
        let end = end.ok_or_else(|| self.error("a text without an end"))?;
        self.rest = &self.rest[end + 2..];
        Ok(())
    }
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Such as `5m`.
pub(crate) fn is_duration(text: &str) -> bool {
    let number = text.trim_end_matches(['s', 'm', 'h', 'd']);
    number.parse::<u32>().is_ok() && text.len() == number.len() + 1
}

#[test]
fn what_prometheus_would_not_take_is_an_error() {
    for good in [
        "a > 0 and b{c=\"d\",e!~'f'} < 1.5",
        "histogram_quantile(0.9, sum by (le) (rate(a_bucket[5m])))",
        "sum(a) by (b) / (c - time())",
        "topk(10, sum by (a, b) (increase(c[1h])))",
    ] {
        parse(good).unwrap_or_else(|error| panic!("{error}"));
    }
    for bad in [
        "",
        "a >",
        "(a",
        "a b",
        "a{b}",
        "a{b=c}",
        "a{b=\"c}",
        "a[5]",
        "rate(a)",
        "rate(a[5m]",
        "rate(a[5m], b)",
        "sum by a (b)",
        "histogram_quantile(a)",
        "nothing(a)",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}
