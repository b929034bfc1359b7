//! Words beside numbers: labels of phones and faxes, of extensions, and remarks.

/// Words that call what follows a phone number, in lower case.
const PHONE: &str = "\
    tel tel\u{e9} t\u{e9}l telf tlf tlfn tfno tfn telephone t\u{e9}l\u{e9}phone phone phones ph \
    telefon telefono tel\u{e9}fono telefone telefoon telefoni telefonnummer telefonn\u{ed} \
    telefonu t\u{e9}l\u{e9}phonez fon fono fone puhelin puh telefonsz\u{e1}m s\u{ed}mi \
    \u{442}\u{435}\u{43b} \u{442}\u{435}\u{43b}\u{435}\u{444}\u{43e}\u{43d} \
    \u{3c4}\u{3b7}\u{3bb} \u{3c4}\u{3b7}\u{3bb}\u{3ad}\u{3c6}\u{3c9}\u{3bd}\u{3bf} \
    \u{5d8}\u{5dc}\u{5e4}\u{5d5}\u{5df} \u{647}\u{627}\u{62a}\u{641} \
    \u{62a}\u{644}\u{641}\u{646} mobile mobil mob mobiel cell cellphone cellulare celular \
    m\u{f3}vil movil portable handy gsm hotline helpline switchboard zentrale durchwahl landline \
    whatsapp";
/// Such words of scripts without spaces, which may be part of a longer one.
const PHONE_WITHIN: [&str; 5] = [
    "\u{96fb}\u{8a71}",
    "\u{7535}\u{8bdd}",
    "\u{5ea7}\u{673a}",
    "\u{624b}\u{673a}",
    "\u{c804}\u{d654}",
];
/// Words for fax, in the same way.
const FAX: &str = "\
    fax telefax telfax efax faks telefaks \u{444}\u{430}\u{43a}\u{441} \
    \u{442}\u{435}\u{43b}\u{435}\u{444}\u{430}\u{43a}\u{441} \u{3c6}\u{3b1}\u{3be} \
    \u{3c4}\u{3b7}\u{3bb}\u{3b5}\u{3c6}\u{3b1}\u{3be}";
/// Endings of such a word, as cases and compounds do: `Faxnummer`, and not the towns of Faxe and
/// Halifax.
const FAX_ENDINGS: &str = "\
    s es a as u i y em om nr no num numb number numbers nummer nummern numer line lines \
    sz\u{e1}m sz\u{e1}ma anschluss anschlu\u{df} durchwahl zentrale bestellung empfang abruf \
    ger\u{e4}t \u{443} \u{430} \u{43e}\u{43c} \u{131}";
const FAX_WITHIN: [&str; 5] = [
    "\u{30d5}\u{30a1}\u{30c3}\u{30af}\u{30b9}",
    "\u{30d5}\u{30a1}\u{30af}\u{30b9}",
    "\u{4f20}\u{771f}",
    "\u{50b3}\u{771f}",
    "\u{d329}\u{c2a4}",
];
/// Where the scripts without spaces begin.
const WITHOUT_SPACES: char = '\u{2e80}';
/// Words between two labels that both apply.
const AND: &str = "& und and et e y i og och ja en ve oder or ou o \u{438}";
/// Words beside a label without a meaning of their own.
const NUMBER: &str = "nr no n num number nummer numero n\u{fa}mero n\u{b0} n\u{ba} nummar";

/// Words that ask to call a number, in lower case.
const CALLS: &str = "\
    call dial ring bel anrufen appelez llame ll\u{e1}menos llamar ligue chiama zadzwo\u{144} \
    zavolejte \u{437}\u{432}\u{43e}\u{43d}\u{438}\u{442}\u{435}";
/// Words before an extension, in lower case: those that libphonenumber reads, which finds its `x`
/// in `Fax` and `Box` too, and others.
const EXTENSIONS_READ: &str = "\
    ext extn extension extensi\u{f3}n x xt xtn xx int anexo \u{434}\u{43e}\u{431}";
const EXTENSIONS_UNREAD: &str = "\
    durchwahl dw interno nebenstelle poste ramal toestel \u{432}\u{43d}";
/// Those of them that the text of a page is not searched for.
const EXTENSIONS_UNSHOWN: &str = "xt xtn xx \u{434}\u{43e}\u{431} \u{432}\u{43d}";
/// Words for the purpose of a number, in lower case; never letters to dial.
const REMARKS: &str = "\
    cell celular cellulare central centrale desk direct direkt empfang ext fax faks firma frau \
    gratis handy herr home hotline kostenlos main mob mobil mobile movil office phone portable \
    privat private reception sekretariat service switchboard tel telefax telefon telephone work \
    zentrale";

/// Returns whether a word is one of a list separated by spaces.
pub(super) fn is(of: &str, word: &str) -> bool {
    of.split(' ').any(|known| known == word)
}

/// Returns whether a word in lower case is a label of a phone.
pub(super) fn is_phone(word: &str) -> bool {
    is(PHONE, word) || has_phone_within(word)
}

/// Returns whether a text has such a word of a script without spaces.
pub(super) fn has_phone_within(text: &str) -> bool {
    PHONE_WITHIN.iter().any(|label| text.contains(label))
}

/// Returns whether a word in lower case only announces a number.
pub(super) fn is_number(word: &str) -> bool {
    is(NUMBER, word)
}

/// Returns whether a word in lower case asks to call a number.
pub(super) fn is_call(word: &str) -> bool {
    is(CALLS, word)
}

/// Returns whether libphonenumber reads an extension behind a word in lower case.
pub(super) fn is_read_before_extension(word: &str) -> bool {
    is(EXTENSIONS_READ, word)
}

/// Returns whether a word in lower case is before an extension that libphonenumber does not know.
pub(super) fn is_unread_before_extension(word: &str) -> bool {
    is(EXTENSIONS_UNREAD, word)
}

/// Returns whether a word in lower case is before an extension in the text of a page.
pub(super) fn is_shown_before_extension(word: &str) -> bool {
    (is(EXTENSIONS_READ, word) || is(EXTENSIONS_UNREAD, word)) && !is(EXTENSIONS_UNSHOWN, word)
}

/// Returns whether a word in lower case is the purpose of a number, and is never dialled.
pub(super) fn is_remark(word: &str) -> bool {
    is(REMARKS, word)
}

/// Returns whether a text in lower case has a word for fax.
pub(super) fn says_fax(text: &str) -> bool {
    let is_fax = |word: &str| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        FAX.split(' ').any(|fax| {
            word.strip_prefix(fax)
                .is_some_and(|ending| ending.is_empty() || is(FAX_ENDINGS, ending))
        })
    };
    let mut words = text.split(|c: char| !c.is_alphanumeric() || c >= WITHOUT_SPACES);
    words.any(is_fax) || FAX_WITHIN.iter().any(|fax| text.contains(fax))
}

/// Returns whether the last labels of a text in lower case are of both: `tel./fax:`.
pub(super) fn is_for_both(text: &str) -> bool {
    let text = text.replace(['/', '&', '+', '\u{30fb}'], " & ");
    let is_phone = |word: &str| is_phone(word) || matches!(word, "t" | "p");
    let is_fax = |word: &str| says_fax(word) || word == "f";
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '&');
    let mut words = words
        .filter(|word| !word.is_empty() && !is_number(word))
        .rev()
        .skip_while(|word| !is_phone(word) && !is_fax(word))
        .peekable();
    let last = words.next().unwrap_or_default();
    let mut joined = false;
    while words.next_if(|word| is(AND, word)).is_some() {
        joined = true;
    }
    let first = words.next().unwrap_or_default();
    joined && ((is_phone(first) && is_fax(last)) || (is_fax(first) && is_phone(last)))
}
