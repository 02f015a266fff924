//! The grammar of today: names and values are words or quoted texts of any characters.
//!
//! ```text
//! matchers = [ "{" ] [ matcher { "," matcher } [ "," ] ] [ "}" ]        both braces or none
//! matcher  = text ( "=" | "!=" | "=~" | "!~" ) text
//! text     = word | '"' … '"'                                           a word has no space and none of {}!=~,\"'`
//! ```

use crate::model::{MatchOp, Matcher, unquoted};

#[derive(Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Op(MatchOp),
    Text(String),
}

/// Whether a character has a meaning of its own, so that a text with it needs quotes.
pub(super) fn is_reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

/// Fails with what is wrong, for people.
pub(super) fn parse(text: &str) -> Result<Vec<Matcher>, String> {
    let mut tokens = tokens(text)?.into_iter().peekable();
    let mut matchers = Vec::new();
    let is_open = tokens.next_if_eq(&Token::Open).is_some();
    while let Some(token) = tokens.next_if(|token| *token != Token::Close) {
        let Token::Text(name) = token else {
            return Err(format!("{}: a label's name is expected", shown(Some(&token))));
        };
        matchers.push(matcher(name, &mut tokens)?);
        if tokens.next_if_eq(&Token::Comma).is_none() {
            break;
        }
    }
    match (is_open, tokens.next(), tokens.next()) {
        (false, None, _) | (true, Some(Token::Close), None) => Ok(matchers),
        (true, None, _) => Err("the closing brace is missing".to_owned()),
        (false, Some(Token::Close), _) => Err("there is a closing brace and no opening one".to_owned()),
        (_, Some(Token::Close), rest) => Err(format!("{} behind the closing brace", shown(rest.as_ref()))),
        (_, token, _) => Err(format!("{}: a comma is expected, or the end", shown(token.as_ref()))),
    }
}

fn matcher(name: String, tokens: &mut impl Iterator<Item = Token>) -> Result<Matcher, String> {
    let op = match tokens.next() {
        Some(Token::Op(op)) => op,
        other => return Err(format!("{}: one of = != =~ !~ is expected behind {name:?}", shown(other.as_ref()))),
    };
    match tokens.next() {
        Some(Token::Text(value)) => Matcher::new(name, op, value).map_err(|error| error.to_string()),
        other => Err(format!("{}: a value for {name:?} is expected", shown(other.as_ref()))),
    }
}

fn shown(token: Option<&Token>) -> String {
    match token {
        None => "the end".to_owned(),
        Some(Token::Open) => "\"{\"".to_owned(),
        Some(Token::Close) => "\"}\"".to_owned(),
        Some(Token::Comma) => "\",\"".to_owned(),
        Some(Token::Op(op)) => format!("{:?}", super::sign(*op)),
        Some(Token::Text(text)) => format!("{text:?}"),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, bytes) = match first {
            '{' => (Token::Open, 1),
            '}' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '"' => quoted_text(rest)?,
            '=' | '!' => operator(rest)?,
            _ if first.is_whitespace() => {
                rest = &rest[first.len_utf8()..];
                continue;
            }
            _ if is_reserved(first) => return Err(format!("{first:?} must stand in double quotes")),
            _ => {
                let bytes = rest.find(is_reserved).unwrap_or(rest.len());
                (Token::Text(rest[..bytes].to_owned()), bytes)
            }
        };
        tokens.push(token);
        rest = &rest[bytes..];
    }
    Ok(tokens)
}

fn operator(rest: &str) -> Result<(Token, usize), String> {
    for op in [MatchOp::Matches, MatchOp::NotMatches, MatchOp::NotEqual, MatchOp::Equal] {
        let sign = super::sign(op);
        if rest.starts_with(sign) {
            return Ok((Token::Op(op), sign.len()));
        }
    }
    Err("behind \"!\" there must be = or ~".to_owned())
}

fn quoted_text(rest: &str) -> Result<(Token, usize), String> {
    let mut is_escaped = false;
    let end = rest[1..].find(|c| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    let end = end.ok_or("a double quote is missing")?;
    let inside = &rest[1..=end];
    let text = unquoted(inside, '"').and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| format!("\"{inside}\" has an escape that does not exist"))?;
    Ok((Token::Text(text), end + 2))
}
