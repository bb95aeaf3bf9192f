//! Text to scenario. The grammar is in `proof/scenarios/README.md`.

use crate::fact::{self, Shape, times};
use crate::model::{
    Action, Conversation, Expectation, ExpectedAnswer, Party, Permission, Scenario, Step,
    TokenKind, Write,
};
use crate::token::{Cursor, Token, duration, range, tokens};

/// Time allowed for a call's answer, in milliseconds: the SDK's 10 s and one more second.
const ANSWER_MS: u64 = 11_000;
/// Time allowed for an answer that its step does not wait for, in milliseconds.
const LATER_MS: u64 = 60_000;
/// Time allowed for a fact, in milliseconds.
const FACT_MS: u64 = 1_000;

/// Why a text is not a scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {detail}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub detail: String,
}

/// Parses a scenario.
///
/// # Errors
/// [`ParseError`] names the first line that is not valid.
pub fn parse(text: &str) -> Result<Scenario, ParseError> {
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line));
    let at = |line| move |detail| ParseError { line, detail };
    let (clauses, sentence) = heading(lines.next().map_or("", |(_, line)| line)).map_err(at(1))?;
    let mut scenario = Scenario {
        clauses,
        sentence,
        has_certificate: false,
        parties: vec![],
        steps: vec![],
    };
    for (number, line) in lines {
        let line = line.trim();
        if line.is_empty() || line == "#" || line.starts_with("# ") {
            continue;
        }
        if line == "given a certificate" {
            if !scenario.steps.is_empty() {
                let detail = "\"given\" stands before all steps".to_owned();
                return Err(ParseError {
                    line: number,
                    detail,
                });
            }
            scenario.has_certificate = true;
            continue;
        }
        add_line(&mut scenario, number, line).map_err(at(number))?;
    }
    if scenario.steps.is_empty() {
        return Err(ParseError {
            line: 1,
            detail: "the scenario has no steps".to_owned(),
        });
    }
    scenario.parties = parties(&scenario.steps);
    Ok(scenario)
}

fn heading(line: &str) -> Result<(Vec<String>, String), String> {
    let wrong = || "the first line is \"# CLAUSE, …  sentence\", with two spaces".to_owned();
    let (clauses, sentence) = line
        .strip_prefix("# ")
        .and_then(|rest| rest.split_once("  "))
        .ok_or_else(wrong)?;
    let clauses: Vec<_> = clauses
        .split(',')
        .map(|clause| clause.trim().to_owned())
        .collect();
    if sentence.trim().is_empty() || clauses.iter().any(String::is_empty) {
        return Err(wrong());
    }
    Ok((clauses, sentence.trim().to_owned()))
}

fn add_line(scenario: &mut Scenario, line: usize, text: &str) -> Result<(), String> {
    let tokens = tokens(text)?;
    let mut columns = tokens.split(|token| *token == Token::Bar);
    let action = columns.next().unwrap_or_default();
    if !action.is_empty() {
        scenario.steps.extend(steps(line, action)?);
    }
    let Some(step) = scenario.steps.last_mut() else {
        return Err("the first step has no action".to_owned());
    };
    for column in columns {
        step.expectations.push(expectation(line, column)?);
    }
    Ok(())
}

fn expectation(line: usize, column: &[Token]) -> Result<Expectation, String> {
    let mut cursor = Cursor::new(column);
    let word = cursor.word("\"client: fact\"")?;
    let client = word
        .strip_suffix(':')
        .ok_or(format!("expected \"client:\", found {word:?}"))?;
    client_name(client)?;
    let is_optional = cursor.take("maybe");
    let event = fact::fact(&mut cursor)?.sorted();
    let times = times(&mut cursor, FACT_MS)?;
    Ok(Expectation {
        line,
        client: client.to_owned(),
        event,
        is_optional,
        after_ms: times.after_ms,
        within_ms: times.within_ms,
    })
}

fn client_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(is_plain) {
        Ok(())
    } else {
        Err(format!("{name:?} is not a client: use a-z, 0-9, - and _"))
    }
}

/// The steps of a line: one, or one for each channel of a range.
fn steps(line: usize, tokens: &[Token]) -> Result<Vec<Step>, String> {
    let mut halves = tokens.splitn(2, |token| *token == Token::Arrow);
    let mut cursor = Cursor::new(halves.next().unwrap_or_default());
    let result = halves.next();
    let (client, actions, shape) = act(&mut cursor)?;
    if !cursor.is_at_end() {
        return Err(format!("{} is not understood here", cursor.found()));
    }
    let answer = match (shape, result) {
        (None, None) => None,
        (None, Some(_)) => return Err("this action has no result".to_owned()),
        (Some(shape), result) => Some(expected_answer(shape, result)?),
    };
    let step = |action| Step {
        line,
        client: client.clone(),
        action,
        answer: answer.clone(),
        expectations: vec![],
    };
    Ok(actions.into_iter().map(step).collect())
}

fn expected_answer(shape: Shape, result: Option<&[Token]>) -> Result<ExpectedAnswer, String> {
    let stated = "state the result of this action after \"->\"";
    let default = || shape.default_answer().ok_or_else(|| stated.to_owned());
    let mut cursor = Cursor::new(result.unwrap_or_default());
    let is_later = cursor.take("later");
    let is_stated = !cursor.is_at_end() && !matches!(cursor.peek(), Some("within" | "after"));
    let answer = if is_stated {
        fact::answer(&mut cursor, shape)?
    } else {
        default()?
    };
    let default_ms = if is_later { LATER_MS } else { ANSWER_MS };
    let times = times(&mut cursor, default_ms)?;
    Ok(ExpectedAnswer {
        answer: answer.sorted(),
        is_later,
        after_ms: times.after_ms,
        within_ms: times.within_ms,
    })
}

type Act = (Option<String>, Vec<Action>, Option<Shape>);

/// Parses an action, and the kind of answer that it has.
fn act(cursor: &mut Cursor<'_>) -> Result<Act, String> {
    let first = cursor.word("an action")?;
    if let Some(ms) = duration(first) {
        cursor.expect("pass")?;
        return Ok((None, vec![Action::Pass { ms }], None));
    }
    if first == "server" {
        cursor.expect("restarts")?;
        return Ok((None, vec![Action::RestartServer], None));
    }
    client_name(first)?;
    let (actions, shape) = client_act(cursor, first)?;
    Ok((Some(first.to_owned()), actions, shape))
}

/// Parses a client's action.
fn client_act(
    cursor: &mut Cursor<'_>,
    client: &str,
) -> Result<(Vec<Action>, Option<Shape>), String> {
    Ok(match cursor.word("a verb")? {
        "logs" => log(cursor, client)?,
        "renews" => {
            let token = token(cursor)?.ok_or("state the token: \"with valid token\"")?;
            one(Action::RenewToken { token }, Shape::Done)
        }
        "joins" => {
            let join = |channel| Action::Join { channel };
            (
                channels(cursor)?.into_iter().map(join).collect(),
                Some(Shape::Done),
            )
        }
        "leaves" => one(
            Action::Leave {
                channel: cursor.channel()?,
            },
            Shape::Done,
        ),
        "sends" => send(cursor)?,
        "lists" => list(cursor)?,
        "counts" => one(
            Action::GetMemberCounts {
                channels: channels(cursor)?,
            },
            Shape::MemberCounts,
        ),
        "queries" => one(
            Action::QueryPresence {
                user_ids: names(cursor)?,
            },
            Shape::Presence,
        ),
        "subscribes" => {
            cursor.expect("to")?;
            one(
                Action::SubscribePresence {
                    user_ids: names(cursor)?,
                },
                Shape::Done,
            )
        }
        "unsubscribes" => {
            cursor.expect("from")?;
            one(
                Action::UnsubscribePresence {
                    user_ids: names(cursor)?,
                },
                Shape::Done,
            )
        }
        "sets" => write(cursor, Write::Set)?,
        "merges" => write(cursor, Write::Merge)?,
        "deletes" => write(cursor, Write::Delete)?,
        "clears" => write(cursor, Write::Clear)?,
        "reads" => read(cursor)?,
        "invites" => {
            let callee_id = cursor.name("a user")?;
            let content = cursor.text()?;
            let channel = fact::in_channel(cursor)?;
            one(
                Action::Invite {
                    callee_id,
                    content,
                    channel,
                },
                Shape::Done,
            )
        }
        "cancels" => {
            let callee_id = cursor.name("a user")?;
            one(Action::CancelInvitation { callee_id }, Shape::Done)
        }
        "accepts" => {
            let (caller_id, response) = decision(cursor)?;
            let action = Action::AcceptInvitation {
                caller_id,
                response,
            };
            one(action, Shape::Done)
        }
        "refuses" => {
            let (caller_id, response) = decision(cursor)?;
            let action = Action::RefuseInvitation {
                caller_id,
                response,
            };
            one(action, Shape::Done)
        }
        "is" => {
            cursor.expect("cut")?;
            (vec![Action::Cut], None)
        }
        "comes" => {
            cursor.expect("back")?;
            (vec![Action::ComeBack], None)
        }
        "drops" => (vec![Action::Drop], None),
        other => {
            return Err(format!(
                "{other:?} is not an action; see proof/scenarios/README.md"
            ));
        }
    })
}

/// Parses `alice ["response"]`.
fn decision(cursor: &mut Cursor<'_>) -> Result<(String, String), String> {
    let caller_id = cursor.name("a user")?;
    let response = if cursor.is_at_end() {
        String::new()
    } else {
        cursor.text()?
    };
    Ok((caller_id, response))
}

fn one(action: Action, shape: Shape) -> (Vec<Action>, Option<Shape>) {
    (vec![action], Some(shape))
}

fn log(cursor: &mut Cursor<'_>, client: &str) -> Result<(Vec<Action>, Option<Shape>), String> {
    if cursor.take("out") {
        return Ok(one(Action::LogOut, Shape::Done));
    }
    cursor.expect("in")?;
    let user_id = if cursor.take("as") {
        cursor.name("a user")?
    } else {
        client.to_owned()
    };
    let token = token(cursor)?.unwrap_or(TokenKind::Valid);
    Ok(one(Action::LogIn { user_id, token }, Shape::Done))
}

fn token(cursor: &mut Cursor<'_>) -> Result<Option<TokenKind>, String> {
    if !cursor.take("with") {
        return Ok(None);
    }
    let kind = match cursor.word("a kind of token")? {
        "valid" => TokenKind::Valid,
        "expired" => TokenKind::Expired,
        "foreign" => TokenKind::Foreign,
        "damaged" => TokenKind::Damaged,
        "no" => TokenKind::No,
        "limited" => {
            cursor.expect("token")?;
            return Ok(Some(TokenKind::Limited(permissions(cursor)?)));
        }
        other => match duration(other) {
            Some(ms) if ms > 0 && ms.is_multiple_of(1_000) => {
                let seconds = u32::try_from(ms / 1_000);
                TokenKind::Lasting(seconds.map_err(|_| format!("{other:?} is too long"))?)
            }
            _ => return Err(format!("{other:?} is not a kind of token")),
        },
    };
    cursor.expect("token")?;
    Ok(Some(kind))
}

/// Parses `read #a bob write #b*` up to the end of the column.
fn permissions(cursor: &mut Cursor<'_>) -> Result<Vec<Permission>, String> {
    let mut list = vec![];
    let mut writes = false;
    while !cursor.is_at_end() {
        writes = match () {
            () if cursor.take("read") => false,
            () if cursor.take("write") => true,
            () if list.is_empty() => return Err("state what it permits: read #a".to_owned()),
            () => writes,
        };
        let is_channel = cursor.is_at_channel();
        let name = if is_channel {
            cursor.channel()?
        } else {
            cursor.name("a user or a channel")?
        };
        list.push(Permission {
            writes,
            is_channel,
            name,
        });
    }
    Ok(list)
}

fn send(cursor: &mut Cursor<'_>) -> Result<(Vec<Action>, Option<Shape>), String> {
    if cursor.is_at_channel() {
        let channel = cursor.channel()?;
        let message = fact::message(cursor)?;
        let history = cursor.take("history");
        let action = Action::SendToChannel {
            channel,
            message,
            history,
        };
        return Ok(one(action, Shape::Done));
    }
    let peer_id = cursor.name("a user or a channel")?;
    let message = fact::message(cursor)?;
    let offline = cursor.take("offline");
    let history = cursor.take("history");
    Ok(one(
        Action::SendToPeer {
            peer_id,
            message,
            offline,
            history,
        },
        Shape::PeerSent,
    ))
}

fn list(cursor: &mut Cursor<'_>) -> Result<(Vec<Action>, Option<Shape>), String> {
    if cursor.take("subscriptions") {
        Ok(one(Action::QueryPresenceSubscriptions, Shape::Users))
    } else {
        Ok(one(
            Action::GetMembers {
                channel: cursor.channel()?,
            },
            Shape::Users,
        ))
    }
}

fn write(cursor: &mut Cursor<'_>, how: Write) -> Result<(Vec<Action>, Option<Shape>), String> {
    cursor.expect("attributes")?;
    let channel = if cursor.take("of") {
        Some(cursor.channel()?)
    } else {
        None
    };
    let attributes = match how {
        Write::Set | Write::Merge => fact::pairs(cursor)?,
        Write::Delete => {
            let mut keys = vec![];
            while !cursor.is_at_end() && cursor.peek() != Some("notify") {
                keys.extend(range(&cursor.name("a key")?)?);
            }
            keys.into_iter().map(|key| (key, String::new())).collect()
        }
        Write::Clear => vec![],
    };
    let action = match channel {
        None => Action::WriteUserAttributes { how, attributes },
        Some(channel) => {
            let notify = cursor.take("notify");
            Action::WriteChannelAttributes {
                channel,
                how,
                attributes,
                notify,
            }
        }
    };
    Ok(one(action, Shape::Done))
}

fn read(cursor: &mut Cursor<'_>) -> Result<(Vec<Action>, Option<Shape>), String> {
    if cursor.take("history") {
        return read_history(cursor);
    }
    cursor.expect("attributes of")?;
    let action = if cursor.is_at_channel() {
        let channel = cursor.channel()?;
        Action::ReadChannelAttributes {
            channel,
            keys: names(cursor)?,
        }
    } else {
        let user_id = cursor.name("a user or a channel")?;
        Action::ReadUserAttributes {
            user_id,
            keys: names(cursor)?,
        }
    };
    Ok(one(action, Shape::Attributes))
}

fn read_history(cursor: &mut Cursor<'_>) -> Result<(Vec<Action>, Option<Shape>), String> {
    cursor.expect("of")?;
    let of = if cursor.is_at_channel() {
        Conversation::Channel(cursor.channel()?)
    } else {
        Conversation::Peer(cursor.name("a user or a channel")?)
    };
    let newest_first = cursor.take("newest");
    if !newest_first {
        cursor.take("oldest");
    }
    let count_max = match cursor.peek() {
        None => None,
        Some(word) => {
            let count = word.parse().map_err(|_| format!("{word:?} is no number"))?;
            cursor.take(word);
            Some(count)
        }
    };
    let action = Action::ReadHistory {
        of,
        newest_first,
        count_max,
    };
    Ok(one(action, Shape::History))
}

fn names(cursor: &mut Cursor<'_>) -> Result<Vec<String>, String> {
    let mut list = vec![];
    while !cursor.is_at_end() {
        list.extend(range(&cursor.name("a name")?)?);
    }
    Ok(list)
}

/// Parses channels, or a range such as `#c1..#c9`.
fn channels(cursor: &mut Cursor<'_>) -> Result<Vec<String>, String> {
    let mut list = vec![];
    while cursor.is_at_channel() {
        list.extend(range(&cursor.channel()?.replace("..#", ".."))?);
    }
    Ok(list)
}

/// Every client, in the order of appearance, and whether it is logged in before the first step.
fn parties(steps: &[Step]) -> Vec<Party> {
    let mut list: Vec<Party> = vec![];
    for step in steps {
        let logs_in = matches!(step.action, Action::LogIn { .. });
        let actor = step.client.iter().map(|name| (name, !logs_in));
        let seers = step
            .expectations
            .iter()
            .map(|expectation| (&expectation.client, true));
        for (name, is_logged_in_before) in actor.chain(seers) {
            if !list.iter().any(|party| party.name == *name) {
                list.push(Party {
                    name: name.clone(),
                    is_logged_in_before,
                });
            }
        }
    }
    // A client that sees something before a login step of its own must have been logged in before
    // the first step; any other client with a login step must not.
    for party in &mut list {
        let first = steps
            .iter()
            .find(|step| step.client.as_ref() == Some(&party.name));
        if first.is_some_and(|step| matches!(step.action, Action::LogIn { .. })) {
            party.is_logged_in_before = false;
        }
    }
    list
}
