//! The words and years of a sentence.

#[derive(Debug, Default)]
pub(super) struct Token {
    /// The text in lower case.
    pub(super) text: String,
    pub(super) capital: bool,
    /// Set if a comma or a bracket is before it.
    pub(super) comma: bool,
    pub(super) year: Option<i32>,
    pub(super) sorts: u32,
    /// Set if it continues the phrase of the token before.
    pub(super) goes_on: bool,
}

impl Token {
    pub(super) fn is(&self, sorts: u32) -> bool {
        self.sorts & sorts != 0
    }
}

/// Returns the words of a sentence; numbers with the signs around them, so that `1999-2005` and
/// `1.999` are not years.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens: Vec<Token> = Vec::new();
    let (mut at, mut comma) = (0, false);
    while at < chars.len() {
        let from = at;
        let c = chars[at];
        if c.is_ascii_digit() {
            let in_number = |at: usize| {
                let next = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
                next(at)
                    || (chars
                        .get(at)
                        .is_some_and(|c| ".,/-:\u{2013}'\u{2019}".contains(*c))
                        && next(at + 1))
            };
            while in_number(at) {
                at += 1;
            }
            let digits = at;
            while chars.get(at).is_some_and(|c| c.is_alphanumeric()) {
                at += 1;
            }
            let number: String = chars[from..digits].iter().collect();
            let behind: String = chars[digits..at].iter().collect();
            let sign = |at: Option<usize>| at.and_then(|at| chars.get(at)).copied().unwrap_or(' ');
            let before = sign(from.checked_sub(1));
            let tail = [sign(Some(at)), sign(Some(at + 1))];
            let is_price = "$\u{a3}\u{20ac}#+-/.".contains(before)
                && !(before == '.' && from > 1 && chars[from - 2].is_alphabetic())
                || matches!(
                    tail,
                    [',', '-' | '\u{2013}']
                        | ['\'' | '\u{2019}', 's']
                        | ['+' | '%' | '/' | '-' | '\u{2013}', _]
                )
                || "$\u{a3}\u{20ac}%".contains(tail[1]);
            let is_word = behind.is_empty() || matches!(behind.as_str(), "r" | "\u{433}");
            let year = (is_word && !is_price).then(|| year(&number)).flatten();
            tokens.push(Token {
                text: number + &behind,
                comma,
                year,
                ..Token::default()
            });
            comma = false;
        } else if c.is_alphabetic() {
            while chars
                .get(at)
                .is_some_and(|c| c.is_alphabetic() || ('\u{300}'..='\u{36f}').contains(c))
            {
                at += 1;
            }
            let word: String = chars[from..at].iter().collect();
            tokens.push(Token {
                text: word.to_lowercase(),
                capital: c.is_uppercase(),
                comma,
                ..Token::default()
            });
            comma = false;
        } else {
            comma |= ",()\u{3001}".contains(c);
            at += 1;
        }
    }
    tokens
}

/// Returns the year of `1999`, `01.05.1999` or `1999-05-01`.
pub(super) fn year(number: &str) -> Option<i32> {
    let parts: Vec<&str> = number.split(['.', '/', '-']).collect();
    let year = match parts[..] {
        [year] => year,
        [day, month, year] if day.len() <= 2 && month.len() <= 2 => year,
        [year, month, day] if day.len() == 2 && month.len() == 2 => year,
        _ => return None,
    };
    Some(year)
        .filter(|year| year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()))?
        .parse()
        .ok()
}
