//! The eight kinds of tasks, and what each of their requests may say.

/// One of the eight kinds of tasks.
pub(super) struct Operation {
    pub(super) path: &'static str,
    /// The vendor's word for the task; also the name that `providers.toml` maps to a type.
    pub(super) task: &'static str,
    pub(super) subject: Subject,
    /// The member of the request that says whom or what the task is about.
    pub(super) member: &'static str,
    pub(super) options: &'static [Field],
}

/// Whom or what a task is about, which decides what its fields' names mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Person,
    /// Several, each a record of its own.
    People,
    Company,
    Anything,
}

/// A member of a request beside its subject.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) need: Need,
}

/// The need for a member: whether it may be absent or null, and its value when it is absent.
pub(super) enum Need {
    Required,
    Nullable(Preset),
    /// May be absent but not null.
    Optional(Preset),
}

pub(super) enum Preset {
    None,
    Flag(bool),
    Whole(i64),
    Text(&'static str),
    Empty,
}

/// The form of a member's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Text,
    Flag,
    /// A number without a fraction, however it is written.
    Whole,
    Number,
    Object,
    OneOf(&'static [&'static str]),
    Texts,
    /// An object whose values are texts.
    TextMap,
    TextMaps,
    Criteria,
}

const fn option(name: &'static str, shape: Shape, need: Need) -> Field {
    Field { name, shape, need }
}

const PROVIDERS: Field = option("providers", Shape::Texts, Need::Nullable(Preset::None));

const RESEARCH_PLAN: Field = option("research_plan", Shape::Text, Need::Nullable(Preset::None));

const TIERS: &[&str] = &["low", "medium", "high"];

const PERSON_TIERS: &[&str] = &["low", "medium", "high", "xhigh"];

const MODES: &[&str] = &["PROFESSIONAL", "PERSONAL"];

const EMAIL_OPTIONS: &[Field] = &[
    option(
        "verify_emails",
        Shape::Flag,
        Need::Optional(Preset::Flag(true)),
    ),
    option(
        "mode",
        Shape::OneOf(MODES),
        Need::Optional(Preset::Text("PROFESSIONAL")),
    ),
    PROVIDERS,
];

/// The tasks of [`OPERATIONS`].
pub(super) const TASKS: [&str; OPERATIONS.len()] = {
    let mut tasks = [""; OPERATIONS.len()];
    let mut at = 0;
    while at < tasks.len() {
        tasks[at] = OPERATIONS[at].task;
        at += 1;
    }
    tasks
};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/find-email-async",
        task: "find_email",
        subject: Subject::Person,
        member: "lead",
        options: EMAIL_OPTIONS,
    },
    Operation {
        path: "/find-email-bulk-async",
        task: "find_email_bulk",
        subject: Subject::People,
        member: "leads",
        options: EMAIL_OPTIONS,
    },
    Operation {
        path: "/find-phone-async",
        task: "find_phone",
        subject: Subject::Person,
        member: "lead",
        options: &[PROVIDERS],
    },
    Operation {
        path: "/find-phone-bulk-async",
        task: "find_phone_bulk",
        subject: Subject::People,
        member: "leads",
        options: &[PROVIDERS],
    },
    Operation {
        path: "/people-intelligence-async",
        task: "enrich_lead",
        subject: Subject::Person,
        member: "lead_info",
        options: &[
            option("struct", Shape::Object, Need::Nullable(Preset::None)),
            RESEARCH_PLAN,
            option("max_iterations", Shape::Whole, Need::Nullable(Preset::None)),
            option("benchmark", Shape::Flag, Need::Nullable(Preset::Flag(true))),
            option(
                "tier",
                Shape::OneOf(PERSON_TIERS),
                Need::Nullable(Preset::None),
            ),
        ],
    },
    Operation {
        path: "/company-intelligence-async",
        task: "enrich_company",
        subject: Subject::Company,
        member: "target_company",
        options: &[
            option("struct", Shape::Object, Need::Required),
            option(
                "find_people",
                Shape::Flag,
                Need::Optional(Preset::Flag(false)),
            ),
            option(
                "people_focus_prompt",
                Shape::Text,
                Need::Nullable(Preset::None),
            ),
            option("lead_struct", Shape::Object, Need::Nullable(Preset::None)),
            RESEARCH_PLAN,
            option(
                "max_iterations",
                Shape::Whole,
                Need::Nullable(Preset::Whole(8)),
            ),
            option(
                "benchmark",
                Shape::Flag,
                Need::Nullable(Preset::Flag(false)),
            ),
            option("tier", Shape::OneOf(TIERS), Need::Nullable(Preset::None)),
            option(
                "full_org_chart",
                Shape::Flag,
                Need::Optional(Preset::Flag(false)),
            ),
        ],
    },
    Operation {
        path: "/research-agent-async",
        task: "research_agent",
        subject: Subject::Anything,
        member: "input_data",
        options: &[
            option("struct", Shape::Object, Need::Nullable(Preset::None)),
            RESEARCH_PLAN,
            option(
                "max_iterations",
                Shape::Whole,
                Need::Nullable(Preset::Whole(2)),
            ),
            option(
                "benchmark",
                Shape::Flag,
                Need::Nullable(Preset::Flag(false)),
            ),
        ],
    },
    Operation {
        path: "/qa-agent-async",
        task: "qa_agent",
        subject: Subject::Anything,
        member: "data",
        options: &[
            option("qualification_criteria", Shape::Criteria, Need::Required),
            option("references", Shape::TextMaps, Need::Nullable(Preset::Empty)),
            option("struct", Shape::TextMap, Need::Nullable(Preset::None)),
            option(
                "max_tool_calls",
                Shape::Whole,
                Need::Nullable(Preset::Whole(10)),
            ),
        ],
    },
];

/// The members of a criterion.
pub(super) const CRITERION: &[Field] = &[
    option("criteria_name", Shape::Text, Need::Required),
    option("description", Shape::Text, Need::Required),
    option("weight", Shape::Number, Need::Optional(Preset::None)),
    option("threshold", Shape::Number, Need::Nullable(Preset::None)),
];
