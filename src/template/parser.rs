//! Tokens become a tree, or a fault with its place.
//!
//! Always true: every function of the tree is known, every variable that is read stands in a part before it, and no
//! part lies deeper than [`NESTING_MAX`].

use std::collections::BTreeMap;

use super::functions::{self, Dialect};
use super::lexer::{Keyword, Kind, Token, tokens};
use super::tree::{Branch, BranchKind, Command, List, Node, Operand, Pipeline, TemplateCall, Term};
use super::{TEXT_BYTES_MAX, TemplateError, literal};

/// How deep actions, parentheses and definitions may lie in each other.
const NESTING_MAX: usize = 60;

/// A text that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    pub root: List,
    /// What `define` and `block` gave a name.
    pub defined: BTreeMap<String, List>,
}

/// Reads a text in which the given variables are known.
pub(super) fn parse(text: &str, variables: &[&str], dialect: Dialect) -> Result<Tree, TemplateError> {
    if text.len() > TEXT_BYTES_MAX {
        let what = format!("a template of {} bytes is longer than {TEXT_BYTES_MAX}", text.len());
        return Err(TemplateError::at(text, 0, what));
    }
    let mut known = vec!["$".to_owned()];
    known.extend(variables.iter().map(|name| format!("${name}")));
    let mut parser = Parser {
        text,
        dialect,
        tokens: tokens(text),
        next: 0,
        variables: known,
        defined: BTreeMap::new(),
        depth: 0,
        range_depth: 0,
        action_line: 0,
    };
    let root = parser.top()?;
    Ok(Tree { root, defined: parser.defined })
}

/// How a list ends.
enum Ending {
    End,
    Else,
}

enum Item {
    Node(Node),
    Ending(Ending),
}

struct Parser<'a> {
    text: &'a str,
    dialect: Dialect,
    tokens: Vec<Token<'a>>,
    next: usize,
    /// Those in sight, with their dollar signs; the innermost last.
    variables: Vec<String>,
    defined: BTreeMap<String, List>,
    depth: usize,
    range_depth: usize,
    /// Of the opening that was read last; 0 outside of actions.
    action_line: usize,
}

type Parsed<T> = Result<T, TemplateError>;

impl<'a> Parser<'a> {
    fn token(&self) -> &Token<'a> {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn advance(&mut self) -> Token<'a> {
        let token = self.token().clone();
        self.next += 1;
        token
    }

    fn peek_past_space(&mut self) -> Kind {
        if self.token().kind == Kind::Space {
            self.next += 1;
        }
        self.token().kind
    }

    fn advance_past_space(&mut self) -> Token<'a> {
        self.peek_past_space();
        self.advance()
    }

    fn fail<T>(&self, position: usize, what: String) -> Parsed<T> {
        Err(TemplateError::at(self.text, position, what))
    }

    fn unexpected<T>(&self, token: &Token<'_>, context: &str) -> Parsed<T> {
        if token.kind != Kind::Error {
            return self.fail(token.position, format!("unexpected {} in {context}", shown(token)));
        }
        let line = 1 + self.text[..token.position].matches('\n').count();
        let mut what = token.fault.clone();
        if self.action_line != 0 && self.action_line != line {
            let start = format!(" started at line {}", self.action_line);
            what += &if what.ends_with(" action") { start } else { format!(" in action{start}") };
        }
        self.fail(token.position, what)
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token<'a>> {
        let token = self.advance_past_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    /// Runs what reads something that lies one deeper.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == NESTING_MAX {
            let position = self.token().position;
            return self
                .fail(position, format!("actions and parentheses lie in each other more than {NESTING_MAX} deep"));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// The whole text. Only here something can be defined.
    fn top(&mut self) -> Parsed<List> {
        let mut root = List::new();
        while self.token().kind != Kind::End {
            if self.token().kind == Kind::Open && self.is_definition() {
                self.definition()?;
                continue;
            }
            let position = self.token().position;
            match self.item()? {
                Item::Node(node) => root.push(node),
                Item::Ending(Ending::End) => return self.fail(position, "unexpected {{end}}".to_owned()),
                Item::Ending(Ending::Else) => return self.fail(position, "unexpected {{else}}".to_owned()),
            }
        }
        Ok(root)
    }

    fn is_definition(&self) -> bool {
        let mut ahead = self.tokens[self.next + 1..].iter();
        ahead.find(|token| token.kind != Kind::Space).is_some_and(|token| token.kind == Kind::Keyword(Keyword::Define))
    }

    fn definition(&mut self) -> Parsed<()> {
        let context = "define clause";
        self.open();
        self.advance_past_space();
        let token = self.advance_past_space();
        let name = self.template_name(&token, context)?;
        self.expect(Kind::Close, context)?;
        self.named_body(name, token.position, context)
    }

    /// A body that sees no variable but `$`.
    fn named_body(&mut self, name: String, position: usize, context: &str) -> Parsed<()> {
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let outer_ranges = std::mem::take(&mut self.range_depth);
        let (body, ending) = self.deeper(Self::list)?;
        (self.variables, self.range_depth) = (outer, outer_ranges);
        if let Ending::Else = ending {
            return self.fail(position, format!("unexpected {{{{else}}}} in {context}"));
        }
        match self.defined.get(&name) {
            Some(earlier) if !is_blank(earlier) => {
                if is_blank(&body) {
                    return Ok(());
                }
                self.fail(position, format!("template: multiple definition of template {name:?}"))
            }
            _ => {
                self.defined.insert(name, body);
                Ok(())
            }
        }
    }

    fn template_name(&self, token: &Token<'_>, context: &str) -> Parsed<String> {
        match token.kind {
            Kind::String | Kind::RawString => {
                literal::unquoted(token.text).map_or_else(|what| self.fail(token.position, what), Ok)
            }
            _ => self.unexpected(token, context),
        }
    }

    /// Up to an `end` or `else`, which is read too.
    fn list(&mut self) -> Parsed<(List, Ending)> {
        let mut list = List::new();
        while self.peek_past_space() != Kind::End {
            match self.item()? {
                Item::Node(node) => list.push(node),
                Item::Ending(ending) => return Ok((list, ending)),
            }
        }
        let position = self.token().position;
        self.fail(position, "unexpected EOF".to_owned())
    }

    fn open(&mut self) {
        let token = self.advance_past_space();
        self.action_line = 1 + self.text[..token.position].matches('\n').count();
    }

    fn item(&mut self) -> Parsed<Item> {
        match self.peek_past_space() {
            Kind::Text => Ok(Item::Node(Node::Text(self.advance().text.into()))),
            Kind::Open => {
                self.open();
                let item = self.deeper(Self::action);
                self.action_line = 0;
                item
            }
            _ => {
                let token = self.advance();
                self.unexpected(&token, "input")
            }
        }
    }

    /// What stands after an opening.
    fn action(&mut self) -> Parsed<Item> {
        let Kind::Keyword(keyword) = self.peek_past_space() else { return self.plain_action() };
        let position = self.token().position;
        if matches!(keyword, Keyword::Nil | Keyword::Define) {
            return self.plain_action();
        }
        self.advance();
        match keyword {
            Keyword::Block => self.block(),
            Keyword::Break => self.leave(position, "break", Node::Break),
            Keyword::Continue => self.leave(position, "continue", Node::Continue),
            Keyword::Else => self.else_ending(),
            Keyword::End => self.expect(Kind::Close, "end").map(|_| Item::Ending(Ending::End)),
            Keyword::If => self.branch(BranchKind::If),
            Keyword::Range => self.branch(BranchKind::Range),
            Keyword::Template => self.template_call(),
            Keyword::With => self.branch(BranchKind::With),
            Keyword::Nil | Keyword::Define => unreachable!("these were sent elsewhere above"),
        }
    }

    /// Its variables are in sight up to the next `end`.
    fn plain_action(&mut self) -> Parsed<Item> {
        Ok(Item::Node(Node::Action(self.pipeline("command", Kind::Close)?)))
    }

    fn leave(&mut self, position: usize, word: &str, node: Node) -> Parsed<Item> {
        self.expect(Kind::Close, &format!("{{{{{word}}}}}"))?;
        if self.range_depth == 0 {
            return self.fail(position, format!("{{{{{word}}}}} outside {{{{range}}}}"));
        }
        Ok(Item::Node(node))
    }

    /// Leaves an `if` or a `with` that follows to the branch.
    fn else_ending(&mut self) -> Parsed<Item> {
        if !matches!(self.peek_past_space(), Kind::Keyword(Keyword::If | Keyword::With)) {
            self.expect(Kind::Close, "else")?;
        }
        Ok(Item::Ending(Ending::Else))
    }

    fn branch(&mut self, kind: BranchKind) -> Parsed<Item> {
        let in_sight = self.variables.len();
        let word = match kind {
            BranchKind::If => "if",
            BranchKind::With => "with",
            BranchKind::Range => "range",
        };
        let pipeline = self.pipeline(word, Kind::Close)?;
        self.range_depth += usize::from(kind == BranchKind::Range);
        let (body, ending) = self.list()?;
        self.range_depth -= usize::from(kind == BranchKind::Range);
        let otherwise = match ending {
            Ending::End => None,
            Ending::Else => Some(self.otherwise(kind)?),
        };
        self.variables.truncate(in_sight);
        Ok(Item::Node(Node::Branch(Box::new(Branch { kind, pipeline, body, otherwise }))))
    }

    /// `else if a` is `else` with `if a` in it, and one `end` for both.
    fn otherwise(&mut self, kind: BranchKind) -> Parsed<List> {
        let next = self.token().kind;
        for (keyword, chained) in [(Keyword::If, BranchKind::If), (Keyword::With, BranchKind::With)] {
            if next == Kind::Keyword(keyword) {
                if kind != chained {
                    let token = self.advance();
                    return self.unexpected(&token, "input");
                }
                self.advance();
                let Item::Node(node) = self.deeper(|parser| parser.branch(chained))? else {
                    unreachable!("a branch is a node");
                };
                return Ok(vec![node]);
            }
        }
        let position = self.token().position;
        match self.list()? {
            (list, Ending::End) => Ok(list),
            (_, Ending::Else) => self.fail(position, "expected end; found {{else}}".to_owned()),
        }
    }

    /// A definition and its call in one.
    fn block(&mut self) -> Parsed<Item> {
        let context = "block clause";
        let token = self.advance_past_space();
        let name = self.template_name(&token, context)?;
        let pipeline = self.pipeline(context, Kind::Close)?;
        self.named_body(name.clone(), token.position, context)?;
        Ok(Item::Node(Node::Call(TemplateCall { position: token.position, name, pipeline: Some(pipeline) })))
    }

    fn template_call(&mut self) -> Parsed<Item> {
        let context = "template clause";
        let token = self.advance_past_space();
        let name = self.template_name(&token, context)?;
        let pipeline = if self.peek_past_space() == Kind::Close {
            self.advance();
            None
        } else {
            Some(self.pipeline(context, Kind::Close)?)
        };
        Ok(Item::Node(Node::Call(TemplateCall { position: token.position, name, pipeline })))
    }

    /// Up to `close`, which is read too.
    fn pipeline(&mut self, context: &str, close: Kind) -> Parsed<Pipeline> {
        self.peek_past_space();
        let position = self.token().position;
        let mut pipeline = Pipeline { position, variables: Vec::new(), is_assignment: false, commands: Vec::new() };
        self.declarations(&mut pipeline, context)?;
        loop {
            let token = self.advance_past_space();
            match token.kind {
                kind if kind == close => break,
                Kind::Bool
                | Kind::CharacterConstant
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Keyword(Keyword::Nil)
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParenthesis => {
                    self.next -= 1;
                    pipeline.commands.push(self.command()?);
                }
                _ => return self.unexpected(&token, context),
            }
        }
        if pipeline.commands.is_empty() {
            return self.fail(self.tokens[self.next - 1].position, format!("missing value for {context}"));
        }
        for (index, command) in pipeline.commands.iter().enumerate().skip(1) {
            let first = &command.operands[0];
            if matches!(first.term, Term::Bool(_) | Term::Dot | Term::Nil | Term::Number { .. } | Term::Text { .. }) {
                return self.fail(first.position, format!("non executable command in pipeline stage {}", index + 1));
            }
        }
        Ok(pipeline)
    }

    /// `$x :=`, `$x =`, and in a range `$i, $x :=`.
    fn declarations(&mut self, pipeline: &mut Pipeline, context: &str) -> Parsed<()> {
        while self.peek_past_space() == Kind::Variable {
            let (before, variable) = (self.next, self.advance());
            match self.peek_past_space() {
                kind @ (Kind::Assign | Kind::Declare) => {
                    self.advance();
                    pipeline.is_assignment = kind == Kind::Assign;
                    pipeline.variables.push(variable.text.to_owned());
                    break;
                }
                Kind::Character if self.token().text == "," => {
                    self.advance();
                    pipeline.variables.push(variable.text.to_owned());
                    if context != "range" || pipeline.variables.len() > 1 {
                        return self.fail(variable.position, format!("too many declarations in {context}"));
                    }
                    if !matches!(self.peek_past_space(), Kind::Variable | Kind::Close | Kind::RightParenthesis) {
                        let position = self.token().position;
                        return self.fail(position, "range can only initialize variables".to_owned());
                    }
                }
                _ => {
                    self.next = before;
                    break;
                }
            }
        }
        self.variables.extend(pipeline.variables.iter().cloned());
        Ok(())
    }

    fn command(&mut self) -> Parsed<Command> {
        self.peek_past_space();
        let mut command = Command { position: self.token().position, operands: Vec::new() };
        loop {
            self.peek_past_space();
            if let Some(operand) = self.operand()? {
                command.operands.push(operand);
            }
            match self.token().kind {
                Kind::Space => {
                    self.advance();
                }
                Kind::Pipe => {
                    self.advance();
                    break;
                }
                Kind::Close | Kind::RightParenthesis => break,
                _ => {
                    let token = self.advance();
                    return self.unexpected(&token, "operand");
                }
            }
        }
        if command.operands.is_empty() {
            return self.fail(command.position, "empty command".to_owned());
        }
        Ok(command)
    }

    /// A term with the fields that follow it.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(mut operand) = self.term()? else { return Ok(None) };
        if self.token().kind != Kind::Field {
            return Ok(Some(operand));
        }
        let position = self.token().position;
        let mut further = Vec::new();
        while self.token().kind == Kind::Field {
            further.push(self.advance().text[1..].to_owned());
        }
        match &mut operand.term {
            Term::Field(fields) | Term::Variable { fields, .. } => fields.extend(further),
            Term::Bool(_) | Term::Dot | Term::Nil | Term::Number { .. } | Term::Text { .. } => {
                return self.fail(position, format!("unexpected . after term {:?}", operand.to_string()));
            }
            Term::Function(_) | Term::Chain { .. } | Term::Pipeline(_) => {
                operand = Operand { position, term: Term::Chain { of: Box::new(operand), fields: further } };
            }
        }
        // An error is said to be where the first of the further fields stands.
        operand.position = position;
        Ok(Some(operand))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.token().clone();
        let (position, written) = (token.position, token.text.to_owned());
        let term = match token.kind {
            Kind::Identifier => match functions::known(token.text, self.dialect) {
                Some(name) => Term::Function(name),
                None => return self.fail(position, format!("function {:?} not defined", token.text)),
            },
            Kind::Dot => Term::Dot,
            Kind::Keyword(Keyword::Nil) => Term::Nil,
            Kind::Variable => {
                if !self.variables.contains(&written) {
                    return self.fail(position, format!("undefined variable {written:?}"));
                }
                Term::Variable { name: written, fields: Vec::new() }
            }
            Kind::Field => Term::Field(vec![written[1..].to_owned()]),
            Kind::Bool => Term::Bool(token.text == "true"),
            Kind::CharacterConstant | Kind::Number => match literal::number(token.text) {
                Ok(number) => Term::Number { written, number },
                Err(what) => return self.fail(position, what),
            },
            Kind::String | Kind::RawString => match literal::unquoted(token.text) {
                Ok(text) => Term::Text { written, text: text.into() },
                Err(what) => return self.fail(position, what),
            },
            Kind::LeftParenthesis => {
                self.advance();
                let inner = self.deeper(|parser| parser.pipeline("parenthesized pipeline", Kind::RightParenthesis))?;
                let term = Term::Pipeline(Box::new(inner));
                return Ok(Some(Operand { position: position + 1, term }));
            }
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(Operand { position, term }))
    }
}

/// A token as an error names it.
fn shown(token: &Token<'_>) -> String {
    match token.kind {
        Kind::End => "EOF".to_owned(),
        Kind::Dot | Kind::Keyword(_) => format!("<{}>", token.text),
        _ if token.text.len() > 10 => format!("{:?}...", token.text.chars().take(10).collect::<String>()),
        _ => format!("{:?}", token.text),
    }
}

/// Whether a body comes to nothing but spaces.
fn is_blank(list: &[Node]) -> bool {
    list.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}
