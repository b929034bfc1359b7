//! The tokenizer's input and the receiver of its tokens.

use std::cell::Cell;
use std::rc::Rc;

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Emitter, ForwardingEmitter, Token};

/// The most quoted attributes of one tag.
const MAX_QUOTED: usize = 300;

/// The default emitter, which learns from us whether a CDATA section is allowed here.
#[derive(Default)]
pub(super) struct Emitting {
    inner: DefaultEmitter,
    foreign: Rc<Cell<bool>>,
}

impl Emitting {
    pub(super) fn new(foreign: Rc<Cell<bool>>) -> Self {
        Self {
            inner: DefaultEmitter::default(),
            foreign,
        }
    }
}

impl ForwardingEmitter for Emitting {
    type Token = Token;

    fn inner(&mut self) -> &mut impl Emitter<Token = Token> {
        &mut self.inner
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&mut self) -> bool {
        self.foreign.get()
    }
}

/// A page that ends at a tag with more quoted attributes than any page needs: the tokenizer
/// recurses for each of them, and 1 MiB of them would overflow the stack, which ends the process.
pub(super) struct Bounded<'h> {
    rest: &'h [u8],
    quoted: usize,
}

impl<'h> Bounded<'h> {
    pub(super) fn new(html: &'h str) -> Self {
        Self {
            rest: html.as_bytes(),
            quoted: 0,
        }
    }
}

impl html5gum::Reader for Bounded<'_> {
    type Error = std::fmt::Error;

    fn read_byte(&mut self) -> Result<Option<u8>, Self::Error> {
        let Some((first, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        self.rest = rest;
        Ok(Some(*first))
    }

    /// Reads up to a needle, which tells where the tokenizer is: the end of a quoted value, or a
    /// tag in a text.
    fn read_until<'b>(
        &'b mut self,
        needle: &[u8],
        _: &'b mut [u8; 4],
    ) -> Result<Option<&'b [u8]>, Self::Error> {
        let Some(first) = self.rest.first() else {
            return Ok(None);
        };
        match (
            needle.contains(&b'"'),
            needle.contains(&b'<'),
            needle.contains(&b'='),
        ) {
            (true, _, false) if *first == b'"' => self.quoted += 1,
            (false, true, _) => self.quoted = 0,
            _ => {}
        }
        if self.quoted > MAX_QUOTED {
            return Err(std::fmt::Error);
        }
        let end = self
            .rest
            .iter()
            .position(|byte| needle.contains(byte))
            .unwrap_or(self.rest.len());
        let (read, rest) = self.rest.split_at(end.max(1));
        self.rest = rest;
        Ok(Some(read))
    }

    fn try_read_string(&mut self, text: &[u8], case_sensitive: bool) -> Result<bool, Self::Error> {
        let Some((read, rest)) = self.rest.split_at_checked(text.len()) else {
            return Ok(false);
        };
        let same = read == text || (!case_sensitive && read.eq_ignore_ascii_case(text));
        if same {
            self.rest = rest;
        }
        Ok(same)
    }
}
