//! Lines to tokens.

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// Anything without a space. `is_tight` = no space follows it.
    Word { text: String, is_tight: bool },
    /// A quoted text.
    Text(String),
    /// `|`, between two columns.
    Bar,
    /// `->`, before what follows from it.
    Arrow,
}

/// Splits a line into tokens.
///
/// # Errors
/// What is wrong, for the author of the line.
pub(crate) fn tokens(line: &str) -> Result<Vec<Token>, String> {
    let mut list = vec![];
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('"') {
            let (text, after) = quoted(after)?;
            list.push(Token::Text(text));
            rest = after;
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || c == '"')
                .unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            list.push(match word {
                "|" => Token::Bar,
                "->" => Token::Arrow,
                _ => Token::Word {
                    text: word.to_owned(),
                    is_tight: after.starts_with('"'),
                },
            });
            rest = after;
        }
        rest = rest.trim_start();
    }
    Ok(list)
}

/// Reads a text up to its closing quote; `rest` starts with the opening one.
fn quoted(rest: &str) -> Result<(String, &str), String> {
    let mut text = String::new();
    let mut chars = rest.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Ok((text, &rest[index + 1..])),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => text.push('\n'),
                Some(c @ ('"' | '\\')) => text.push(c),
                Some('u') => text.push(code_point(&mut chars)?),
                other => return Err(format!("unknown escape {other:?} in a text")),
            },
            _ => text.push(c),
        }
    }
    Err("a text has no closing quote".to_owned())
}

fn code_point(chars: &mut std::str::CharIndices<'_>) -> Result<char, String> {
    let wrong = || "an escape is \\u{…} with hexadecimal digits".to_owned();
    if chars.next().map(|(_, c)| c) != Some('{') {
        return Err(wrong());
    }
    let digits: String = chars
        .by_ref()
        .map(|(_, c)| c)
        .take_while(|c| *c != '}')
        .collect();
    u32::from_str_radix(&digits, 16)
        .ok()
        .and_then(char::from_u32)
        .ok_or_else(wrong)
}

/// A reader over the tokens of one column.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    tokens: &'a [Token],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(tokens: &'a [Token]) -> Self {
        Self { tokens }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The next word, without taking it.
    pub(crate) fn peek(&self) -> Option<&'a str> {
        match self.tokens.first() {
            Some(Token::Word { text, .. }) => Some(text),
            _ => None,
        }
    }

    /// Takes the word if it comes next.
    pub(crate) fn take(&mut self, word: &str) -> bool {
        let is_next = self.peek() == Some(word);
        if is_next {
            self.tokens = &self.tokens[1..];
        }
        is_next
    }

    /// Takes these words, which must come next.
    pub(crate) fn expect(&mut self, words: &str) -> Result<(), String> {
        for word in words.split(' ') {
            if !self.take(word) {
                return Err(format!("expected {word:?}, found {}", self.found()));
            }
        }
        Ok(())
    }

    /// Takes any word.
    pub(crate) fn word(&mut self, what: &str) -> Result<&'a str, String> {
        let Some(word) = self.peek() else {
            return Err(format!("expected {what}, found {}", self.found()));
        };
        self.tokens = &self.tokens[1..];
        Ok(word)
    }

    /// Takes a text: quoted, or `<n>`.
    pub(crate) fn text(&mut self) -> Result<String, String> {
        match self.tokens.split_first() {
            Some((Token::Text(text), rest)) => {
                self.tokens = rest;
                Ok(text.clone())
            }
            Some((Token::Word { text, .. }, rest)) => {
                let bytes = sized(text)
                    .ok_or_else(|| format!("expected a text, found {}", self.found()))?;
                self.tokens = rest;
                Ok("x".repeat(bytes))
            }
            _ => Err(format!("expected a text, found {}", self.found())),
        }
    }

    /// Takes a name: a word or a quoted text.
    pub(crate) fn name(&mut self, what: &str) -> Result<String, String> {
        if let Some((Token::Text(text), rest)) = self.tokens.split_first() {
            self.tokens = rest;
            return Ok(text.clone());
        }
        Ok(self.word(what)?.to_owned())
    }

    /// Whether a channel comes next.
    pub(crate) fn is_at_channel(&self) -> bool {
        self.peek().is_some_and(|word| word.starts_with('#'))
    }

    /// Takes a channel and returns its name.
    pub(crate) fn channel(&mut self) -> Result<String, String> {
        match self.tokens {
            [
                Token::Word {
                    text: hash,
                    is_tight: true,
                },
                Token::Text(name),
                rest @ ..,
            ] if hash == "#" => {
                self.tokens = rest;
                Ok(name.clone())
            }
            _ => {
                let found = self.found();
                let word = self.word("a channel")?;
                let name = word.strip_prefix('#').filter(|name| !name.is_empty());
                name.map(str::to_owned)
                    .ok_or(format!("expected a channel, found {found}"))
            }
        }
    }

    /// The next token, for an error.
    pub(crate) fn found(&self) -> String {
        match self.tokens.first() {
            None => "the end of the column".to_owned(),
            Some(Token::Word { text, .. }) => format!("{text:?}"),
            Some(Token::Text(text)) => format!("the text {text:?}"),
            Some(Token::Bar) => "|".to_owned(),
            Some(Token::Arrow) => "->".to_owned(),
        }
    }

    /// Takes `key="value"` or `key=<n>`.
    pub(crate) fn pair(&mut self) -> Result<(String, String), String> {
        let word = self.word("key=\"value\"")?;
        let Some((key, value)) = word.split_once('=') else {
            return Err(format!("expected key=\"value\", found {word:?}"));
        };
        if value.is_empty() {
            return Ok((key.to_owned(), self.text()?));
        }
        let bytes = sized(value).ok_or(format!("the value of {key:?} is not in quotes"))?;
        Ok((key.to_owned(), "x".repeat(bytes)))
    }
}

/// The number of `<n>`.
pub(crate) fn sized(word: &str) -> Option<usize> {
    word.strip_prefix('<')?.strip_suffix('>')?.parse().ok()
}

/// A name or a range of names: `u1..u9`.
pub(crate) fn range(word: &str) -> Result<Vec<String>, String> {
    let Some((from, to)) = word.split_once("..") else {
        return Ok(vec![word.to_owned()]);
    };
    let split = |name: &str| {
        let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (stem, number) = name.split_at(name.len() - digits);
        number
            .parse::<u32>()
            .ok()
            .map(|number| (stem.to_owned(), number))
    };
    match (split(from), split(to)) {
        (Some((stem, first)), Some((other, last))) if stem == other && first <= last => Ok((first
            ..=last)
            .map(|number| format!("{stem}{number}"))
            .collect()),
        _ => Err(format!("{word:?} is not a range such as u1..u9")),
    }
}

/// A duration in milliseconds.
pub(crate) fn duration(word: &str) -> Option<u64> {
    let digits = word.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = word.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}
