//! The template against the code that it deploys.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::Value;
use shared::catalog::Catalog;
use shared::domain::ids::{JobId, TenantId};
use shared::domain::tenant::{ENRICH_CONCURRENCY, fast_chunks};
use shared::jobs::Ports;
use shared::lambda::api::Api;
use shared::lambda::config::{Config, MAX_WAIT};
use shared::lambda::http::ApiRequest;
use shared::maintenance::tenants;
use shared::net::PlainHttp;
use shared::ports::{Clock, QueueName};
use shared::providers::kinds::READERS;
use shared::schema;
use shared::surfaces::SURFACES;
use testkit::sim::{Sim, mapping};

use crate::{root, source};

pub(crate) const FUNCTIONS: [&str; 5] = ["Submit", "Enrich", "Status", "Dispatch", "Sweep"];

/// The template as JSON, its short forms written out (`{"Ref": …}`, `{"Fn::GetAtt": […]}`), by the
/// reader that sam has.
static TEMPLATE: LazyLock<Value> = LazyLock::new(|| {
    let python = root().join(".local/tools/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `make test`, or `make tools` once",
        python.display()
    );
    let read = "import json, sys; from samcli.yamlhelper import yaml_parse; \
        json.dump(yaml_parse(sys.stdin.read()), sys.stdout)";
    let done = Command::new(python)
        .args(["-c", read])
        .stdin(std::fs::File::open(root().join("infra/template.yaml")).unwrap())
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    serde_json::from_slice(&done.stdout).unwrap()
});

fn properties(resource: &str) -> &'static Value {
    let found = &TEMPLATE["Resources"][resource]["Properties"];
    assert!(found.is_object(), "no resource {resource}");
    found
}

fn of_type(kind: &str) -> Vec<(&'static str, &'static Value)> {
    let resources = TEMPLATE["Resources"].as_object().unwrap();
    let found: Vec<_> = resources
        .iter()
        .filter(|(_, r)| r["Type"] == kind)
        .map(|(name, r)| (name.as_str(), &r["Properties"]))
        .collect();
    assert!(!found.is_empty(), "no {kind}");
    found
}

/// The resource that `!GetAtt NAME.Arn` or `!Ref NAME` names.
fn target(value: &Value) -> &str {
    value["Fn::GetAtt"][0]
        .as_str()
        .or(value["Ref"].as_str())
        .unwrap_or_else(|| panic!("{value} names no resource"))
}

pub(crate) fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .or_else(|| value.as_str()?.parse().ok())
        .unwrap_or_else(|| panic!("{value} is not a number"))
}

/// A number for every value that the parameter `EnrichTimeout` can have; the same one where it does
/// not depend on it.
fn seconds(value: &Value) -> Vec<u64> {
    let choices = &TEMPLATE["Parameters"]["EnrichTimeout"]["AllowedValues"];
    let choices = choices
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c.as_str().unwrap());
    if value["Ref"] == "EnrichTimeout" {
        return choices.map(|c| c.parse().unwrap()).collect();
    }
    if let Some(find) = value["Fn::FindInMap"].as_array() {
        assert_eq!(find[1]["Ref"], "EnrichTimeout");
        let map = &TEMPLATE["Mappings"][find[0].as_str().unwrap()];
        return choices
            .map(|c| number(&map[c][find[2].as_str().unwrap()]))
            .collect();
    }
    choices.map(|_| number(value)).collect()
}

/// A value under a profile.
fn under<'v>(profile: &str, value: &'v Value) -> &'v Value {
    let small = &TEMPLATE["Conditions"]["IsSmall"]["Fn::Equals"];
    assert_eq!(
        (&small[0]["Ref"], &small[1]),
        (&"Profile".into(), &"small".into())
    );
    match value["Fn::If"].as_array() {
        Some(either) if either[0] == "IsSmall" => {
            under(profile, &either[if profile == "small" { 1 } else { 2 }])
        }
        _ => value,
    }
}

/// Every mapping from a queue to a function: function, mapping, queue.
fn mappings() -> Vec<(&'static str, &'static Value, &'static str)> {
    let mut found = Vec::new();
    for (function, properties) in of_type("AWS::Serverless::Function") {
        for event in properties["Events"]
            .as_object()
            .into_iter()
            .flat_map(|events| events.values())
        {
            if event["Type"] == "SQS" {
                found.push((
                    function,
                    &event["Properties"],
                    target(&event["Properties"]["Queue"]),
                ));
            }
        }
    }
    assert_eq!(found.len(), 4);
    found
}

#[test]
fn a_message_stays_invisible_for_six_function_time_outs() {
    for (function, _, queue) in mappings() {
        let pairs = seconds(&properties(queue)["VisibilityTimeout"])
            .into_iter()
            .zip(seconds(&properties(function)["Timeout"]));
        for (visibility, timeout) in pairs {
            assert!(
                visibility >= 6 * timeout,
                "{queue}: {visibility} s for a function of {timeout} s"
            );
            assert!(
                visibility <= 12 * 3600,
                "{queue}: SQS takes at most 12 hours"
            );
        }
    }
}

#[test]
fn every_mapping_reports_failures_one_by_one_under_a_bound() {
    for (function, mapping, queue) in mappings() {
        let at = format!("{function} on {queue}");
        assert_eq!(
            mapping["FunctionResponseTypes"],
            serde_json::json!(["ReportBatchItemFailures"]),
            "{at}"
        );
        let bound =
            under("standard", &mapping["ScalingConfig"]["MaximumConcurrency"])["Ref"].as_str();
        let parameter =
            &TEMPLATE["Parameters"][bound.unwrap_or_else(|| panic!("{at} has no bound"))];
        assert!(
            number(&parameter["MinValue"]) >= 2,
            "{at}: Lambda takes 2 and more"
        );
        let batch = number(&mapping["BatchSize"]);
        assert!((1..=10).contains(&batch), "{at}: {batch}");
    }
}

/// The code gives up at the eighth attempt, which must be reached.
#[test]
fn a_message_is_received_more_than_eight_times_before_it_is_dead() {
    let mut letters = BTreeSet::new();
    for (_, _, queue) in mappings() {
        let policy = &properties(queue)["RedrivePolicy"];
        assert!(number(&policy["maxReceiveCount"]) > 8, "{queue}");
        let dead = target(&policy["deadLetterTargetArn"]);
        assert!(letters.insert(dead), "{dead} is used twice");
        let kept = |queue: &str| number(&properties(queue)["MessageRetentionPeriod"]);
        assert!(
            kept(dead) > kept(queue),
            "{dead}: a message keeps its age when it moves"
        );
        let watched = of_type("AWS::CloudWatch::Alarm")
            .iter()
            .any(|(_, a)| a["Dimensions"].to_string().contains(&format!("\"{dead}\"")));
        assert!(watched, "{dead} has no alarm");
    }
}

#[test]
fn the_table_expires_items_and_can_be_restored() {
    let table = properties("Table");
    let ttl = &table["TimeToLiveSpecification"];
    assert_eq!(
        (ttl["AttributeName"].as_str(), ttl["Enabled"].as_bool()),
        (Some(schema::EXPIRES_AT), Some(true))
    );
    assert_eq!(
        table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"],
        true
    );
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    let resource = &TEMPLATE["Resources"]["Table"];
    assert_eq!(
        (
            &resource["DeletionPolicy"],
            &resource["UpdateReplacePolicy"]
        ),
        (&"RetainExceptOnCreate".into(), &"Retain".into())
    );
    assert_eq!(
        table["DeletionProtectionEnabled"]["Ref"],
        "DeletionProtection"
    );
    assert_eq!(
        TEMPLATE["Parameters"]["DeletionProtection"]["Default"], "false",
        "a failed first deployment is undone"
    );
    let keys = |schema: &Value| -> Vec<String> {
        schema
            .as_array()
            .unwrap()
            .iter()
            .map(|k| k["AttributeName"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(keys(&table["KeySchema"]), ["pk", "sk"]);
    let indexes: BTreeMap<&str, Vec<String>> = table["GlobalSecondaryIndexes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|index| {
            (
                index["IndexName"].as_str().unwrap(),
                keys(&index["KeySchema"]),
            )
        })
        .collect();
    assert_eq!(indexes["due"], [schema::DUE_SHARD, schema::DUE]);
    assert_eq!(indexes["by_tenant"], ["tenant_jobs", "job_id"]);
}

/// Statements of a function's role that have this effect.
pub(crate) fn statements(function: &str, effect: &str) -> Vec<&'static Value> {
    let role = properties(target(&properties(function)["Role"]));
    assert!(
        role["ManagedPolicyArns"].is_null(),
        "{function}: managed policies are for all resources"
    );
    let policies = list(&role["Policies"]).into_iter();
    let all = policies.flat_map(|policy| list(&policy["PolicyDocument"]["Statement"]));
    // Some are there under a condition, and nothing else in their stead.
    let all = all.map(|statement| match statement["Fn::If"].as_array() {
        None => statement,
        Some(either) => {
            assert_eq!(either[2]["Ref"], "AWS::NoValue", "{function}: {statement}");
            &either[1]
        }
    });
    let known = |statement: &&Value| {
        ["Allow", "Deny"].contains(&statement["Effect"].as_str().unwrap_or_default())
    };
    all.inspect(|statement| assert!(known(statement), "{function}: {statement}"))
        .filter(|statement| statement["Effect"] == effect)
        .collect()
}

/// Returns the permissions of a function's role: actions and resources, statement by statement.
fn permissions(function: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let permission = |statement: &'static Value| {
        assert!(statement["Condition"].is_null(), "{function}: {statement}");
        let actions = list(&statement["Action"])
            .into_iter()
            .map(|a| a.as_str().unwrap().to_owned());
        let resources = list(&statement["Resource"]).into_iter().map(|r| {
            r["Fn::Sub"]
                .as_str()
                .map_or_else(|| target(r).to_owned(), str::to_owned)
        });
        (actions.collect(), resources.collect())
    };
    statements(function, "Allow")
        .into_iter()
        .map(permission)
        .collect()
}

#[test]
fn only_submit_and_dispatch_can_read_webhook_secrets() {
    let tenant = TenantId::parse("t").unwrap();
    let denied =
        serde_json::json!({"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": ["SECRET#*"]}});
    assert!(schema::secret_key(&tenant).pk.starts_with("SECRET#"));
    for function in FUNCTIONS {
        let denials = statements(function, "Deny");
        assert!(denials.len() <= 2, "{function}: {denials:?}");
        let secrets = denials.iter().any(|statement| {
            statement["Action"] == "dynamodb:*"
                && target(&statement["Resource"]) == "Table"
                && statement["Condition"] == denied
        });
        assert_eq!(
            secrets,
            !["Submit", "Dispatch"].contains(&function),
            "{function}: {denials:?}"
        );
    }
}

#[test]
fn roles_have_no_wildcards_and_status_has_no_write() {
    for function in FUNCTIONS {
        for (actions, resources) in permissions(function) {
            // An operator's secrets and tables for providers are known by their places.
            let below = match (function, actions.as_slice()) {
                ("Enrich", [action]) if action == "ssm:GetParameter" => {
                    ":parameter${SecretsPath}/*"
                }
                ("Enrich", [action]) if action == "s3:GetObject" => ":s3:::${TablesBucket}/*",
                _ => "",
            };
            for name in actions.iter().chain(&resources) {
                let fixed = name.strip_suffix(below).unwrap_or(name);
                assert!(!fixed.contains('*'), "{function}: {name}");
            }
        }
    }
    let assets = |function: &str| {
        let actions = permissions(function)
            .into_iter()
            .flat_map(|(actions, _)| actions);
        actions
            .filter(|action| {
                !["dynamodb:", "sqs:", "logs:"]
                    .iter()
                    .any(|own| action.starts_with(own))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        assets("Enrich"),
        [
            "ssm:GetParameter",
            "s3:GetObject",
            "s3:ListBucket",
            "kms:Decrypt"
        ]
    );
    assert!(
        FUNCTIONS
            .iter()
            .filter(|function| **function != "Enrich")
            .all(|function| assets(function).is_empty())
    );
    let reads = [
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    ];
    for action in permissions("Status")
        .into_iter()
        .flat_map(|(actions, _)| actions)
    {
        assert!(reads.contains(&action.as_str()), "status may {action}");
    }
}

fn variables(function: &str) -> BTreeMap<String, &'static Value> {
    let global = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
        .as_object()
        .unwrap();
    let own = properties(function)["Environment"]["Variables"].as_object();
    global
        .iter()
        .chain(own.into_iter().flatten())
        .map(|(name, value)| (name.clone(), value))
        .collect()
}

#[test]
fn every_parameter_is_in_one_group() {
    let groups = &TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"];
    let mut grouped: Vec<&str> = list(groups)
        .into_iter()
        .flat_map(|group| list(&group["Parameters"]))
        .map(|name| name.as_str().unwrap())
        .collect();
    grouped.sort_unstable();
    let parameters: BTreeSet<&str> = TEMPLATE["Parameters"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(grouped, parameters.into_iter().collect::<Vec<_>>());
}

/// Parameters that a value is made of, however deep.
fn parameters_in<'a>(template: &'a Value, value: &'a Value) -> Vec<&'a str> {
    let known = |name: &str| template["Parameters"].get(name).is_some();
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| match (name.as_str(), value.as_str()) {
                ("Ref", Some(name)) => vec![name],
                ("Fn::Sub", Some(text)) => text
                    .split("${")
                    .skip(1)
                    .filter_map(|rest| Some(rest.split_once('}')?.0))
                    .collect(),
                _ => parameters_in(template, value),
            })
            .filter(|name| known(name))
            .collect(),
        Value::Array(items) => items
            .iter()
            .flat_map(|item| parameters_in(template, item))
            .collect(),
        _ => Vec::new(),
    }
}

/// Parameters that become variables of a function other than our own settings, which are secrets of
/// providers, and are shown to everyone who may read the stack.
fn shown_secrets(template: &Value) -> Vec<String> {
    let globals = &template["Globals"]["Function"];
    let resources = template["Resources"]
        .as_object()
        .unwrap()
        .values()
        .map(|resource| &resource["Properties"]);
    std::iter::once(globals)
        .chain(resources)
        .filter_map(|owner| owner["Environment"]["Variables"].as_object())
        .flatten()
        .filter(|(variable, _)| !variable.starts_with("MILLRACE_"))
        .flat_map(|(_, value)| parameters_in(template, value))
        .filter(|parameter| template["Parameters"][*parameter]["NoEcho"] != true)
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_secret_that_is_a_variable_is_not_shown() {
    assert_eq!(shown_secrets(&TEMPLATE), Vec::<String>::new());
    let with = |parameter: &Value, variable: Value| {
        let mut template = TEMPLATE.clone();
        template["Parameters"]["MyApiKey"] = parameter.clone();
        template["Resources"]["Enrich"]["Properties"]["Environment"]["Variables"]["MY_API_KEY"] =
            variable;
        shown_secrets(&template)
    };
    // As the comments beside the variables say to do it.
    let text = source("infra/template.yaml");
    assert!(
        text.contains("MY_API_KEY: !Ref MyApiKey\n")
            && text.contains(" MyApiKey: { Type: String, NoEcho: true }\n")
    );
    let variable = serde_json::json!({"Ref": "MyApiKey"});
    assert_eq!(
        with(
            &serde_json::json!({"Type": "String", "NoEcho": true}),
            variable.clone()
        ),
        Vec::<String>::new()
    );
    let plain = serde_json::json!({"Type": "String"});
    for variable in [
        variable,
        serde_json::json!({"Fn::Sub": "Bearer ${MyApiKey}"}),
        serde_json::json!({"Fn::If": ["HasKey", {"Ref": "MyApiKey"}, ""]}),
        serde_json::json!({"Fn::Join": ["", ["a", {"Ref": "MyApiKey"}]]}),
    ] {
        assert_eq!(with(&plain, variable.clone()), ["MyApiKey"], "{variable}");
    }
}

/// Names that the code asks the environment for.
fn asked() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    let _ = Config::read(&|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    });
    asked.into_inner()
}

#[test]
fn every_setting_is_set_and_every_variable_is_read() {
    // Lambda's own, and what is set by hand for a run outside Lambda.
    let by_hand = ["LAMBDA_TASK_ROOT", "MILLRACE_BUNDLE", "MILLRACE_LOCAL"];
    let elsewhere = |name: &str| name.starts_with("AWS_") || by_hand.contains(&name);
    let deployed: BTreeSet<String> = FUNCTIONS
        .iter()
        .flat_map(|f| variables(f).into_keys())
        .collect();
    let wanted: BTreeSet<String> = asked()
        .into_iter()
        .filter(|name| !elsewhere(name))
        .collect();
    assert!(wanted.len() >= 10, "{wanted:?}");
    assert_eq!(wanted, deployed);
}

/// Lambda must not open a machine's own addresses, which have the runtime API and the credentials.
#[test]
fn the_template_cannot_say_that_a_function_runs_elsewhere() {
    assert!(asked().contains("MILLRACE_LOCAL"));
    for function in FUNCTIONS {
        for name in variables(function).into_keys() {
            assert!(
                name != "MILLRACE_LOCAL" && !name.starts_with("AWS_"),
                "{function}: {name}"
            );
        }
    }
}

#[test]
fn a_function_knows_the_queues_that_it_may_use_and_no_others() {
    for function in FUNCTIONS {
        let known: BTreeSet<String> = variables(function)
            .into_iter()
            .filter(|(name, _)| name.starts_with("MILLRACE_QUEUE_"))
            .map(|(name, value)| {
                let queue = target(value).to_owned();
                let expected: String = name["MILLRACE_QUEUE_".len()..]
                    .split('_')
                    .map(|word| word[..1].to_owned() + &word[1..].to_lowercase())
                    .collect();
                assert_eq!(queue, format!("{expected}Queue"), "{function}: {name}");
                queue
            })
            .collect();
        let permitted: BTreeSet<String> = permissions(function)
            .into_iter()
            .filter(|(actions, _)| actions.iter().any(|a| a.starts_with("sqs:")))
            .flat_map(|(_, resources)| resources)
            .collect();
        assert_eq!(known, permitted, "{function}");
        // Failed messages shorten their own wait.
        for (_, _, queue) in mappings().into_iter().filter(|(f, ..)| *f == function) {
            let may = |action: &str| {
                permissions(function)
                    .iter()
                    .any(|(a, r)| a.iter().any(|a| a == action) && r.iter().any(|r| r == queue))
            };
            for action in [
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ChangeMessageVisibility",
            ] {
                assert!(may(action), "{function} may not {action} on {queue}");
            }
        }
    }
}

/// The functions that messages lead to from what a function sends, over however many functions.
fn leads_to(from: &'static str) -> BTreeSet<&'static str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(function) = open.pop() {
        let sends = permissions(function)
            .into_iter()
            .filter(|(actions, _)| actions.iter().any(|a| a == "sqs:SendMessage"));
        let queues: BTreeSet<String> = sends.flat_map(|(_, queues)| queues).collect();
        let next = mappings()
            .into_iter()
            .filter(|(_, _, queue)| queues.contains(*queue))
            .map(|(function, ..)| function);
        open.extend(next.filter(|function| reached.insert(*function)));
    }
    reached
}

/// Lambda stops a chain of runs and messages after about 16 runs of a function, unless the function
/// says that it is meant.
#[test]
fn every_function_whose_messages_lead_back_to_it_may_recur_and_no_other() {
    let recur: Vec<&str> = FUNCTIONS
        .into_iter()
        .filter(|function| leads_to(function).contains(function))
        .collect();
    assert_eq!(
        recur,
        ["Enrich", "Dispatch"],
        "what is derived, if this is right"
    );
    for function in FUNCTIONS {
        let wanted = if recur.contains(&function) {
            Value::from("Allow")
        } else {
            Value::Null
        };
        assert_eq!(properties(function)["RecursiveLoop"], wanted, "{function}");
        let watched = of_type("AWS::CloudWatch::Alarm").iter().any(|(_, alarm)| {
            alarm["MetricName"] == "RecursiveInvocationsDropped"
                && alarm["Namespace"] == "AWS/Lambda"
                && alarm["Dimensions"]
                    == serde_json::json!([{"Name": "FunctionName", "Value": {"Ref": function}}])
        });
        assert_eq!(
            watched,
            recur.contains(&function),
            "{function}: the alarm on what is dropped"
        );
    }
    // The simulation reads the same from the text.
    let readers = mapping::readers();
    let simulated: BTreeSet<&str> = readers
        .values()
        .filter(|r| r.may_recur)
        .map(|r| r.function.as_str())
        .collect();
    assert_eq!(simulated, recur.into_iter().collect());
    let by_name = |queue: &QueueName| format!("{queue:?}Queue");
    let simulated: BTreeSet<(String, &str)> = readers
        .iter()
        .map(|(q, r)| (by_name(q), r.function.as_str()))
        .collect();
    assert_eq!(
        simulated,
        mappings()
            .into_iter()
            .map(|(function, _, queue)| (queue.to_owned(), function))
            .collect()
    );
}

/// A new account has a quota of 10 runs at once. Nothing can be reserved of it: AWS keeps 100 for
/// the rest.
#[test]
fn the_small_profile_fits_a_new_account() {
    let queues: u64 = mappings()
        .iter()
        .map(|(_, m, _)| number(under("small", &m["ScalingConfig"]["MaximumConcurrency"])))
        .sum();
    assert!(
        queues < 10,
        "{queues} for the queues; requests and the sweep need some too"
    );
    for function in FUNCTIONS {
        let reserved = under(
            "small",
            &properties(function)["ReservedConcurrentExecutions"],
        );
        assert!(
            reserved.is_null() || reserved["Ref"] == "AWS::NoValue",
            "{function} reserves {reserved}"
        );
    }
    assert_eq!(
        number(under("small", variables("Status")["MILLRACE_MAX_WAIT_S"])),
        0,
        "no waits"
    );
}

#[test]
fn the_standard_profile_bounds_waiting_gets_by_parameters() {
    let parameter = |name: &str| &TEMPLATE["Parameters"][name];
    assert_eq!(parameter("Profile")["Default"], "standard");
    assert_eq!(
        under("standard", variables("Status")["MILLRACE_MAX_WAIT_S"])["Ref"],
        "MaxWaitSeconds"
    );
    let wait = parameter("MaxWaitSeconds");
    assert_eq!(
        (number(&wait["MinValue"]), number(&wait["MaxValue"])),
        (0, MAX_WAIT.as_secs())
    );
    assert!(number(&properties("Status")["Timeout"]) > MAX_WAIT.as_secs());
    let reserved = under(
        "standard",
        &properties("Status")["ReservedConcurrentExecutions"],
    );
    assert_eq!(
        (&reserved["Fn::If"][0], &reserved["Fn::If"][1]["Ref"]),
        (&"HasStatusConcurrency".into(), &"StatusConcurrency".into())
    );
    // The rest of 1,000 is for the others.
    assert!((1..=500).contains(&number(&parameter("StatusConcurrency")["Default"])));
    for (function, mapping, _) in mappings() {
        let bound = under("standard", &mapping["ScalingConfig"]["MaximumConcurrency"]);
        assert!(parameter(target(bound)).is_object(), "{function}: {bound}");
    }
}

/// The readers of what submit writes are updated first: `CloudFormation` updates a resource after
/// those that it depends on.
#[test]
fn submit_is_updated_after_the_readers_of_what_it_writes() {
    let depends = |resource: &str| -> BTreeSet<String> {
        list(&TEMPLATE["Resources"][resource]["DependsOn"])
            .iter()
            .map(|on| on.as_str().unwrap().to_owned())
            .collect()
    };
    let others: BTreeSet<String> = FUNCTIONS
        .into_iter()
        .filter(|f| *f != "Submit")
        .map(str::to_owned)
        .collect();
    assert!(
        leads_to("Submit")
            .iter()
            .all(|reader| others.contains(*reader))
    );
    assert_eq!(depends("Submit"), others);
    assert!(others.iter().all(|other| depends(other).is_empty()));
}

#[test]
fn every_alarm_notifies_the_topic() {
    for (name, alarm) in of_type("AWS::CloudWatch::Alarm") {
        let actions = &alarm["AlarmActions"]["Fn::If"];
        assert_eq!(
            (&actions[0], &actions[1][0]["Ref"]),
            (&"HasAlarmTopic".into(), &"AlarmTopicArn".into()),
            "{name}"
        );
    }
}

#[test]
fn functions_that_enqueue_chunks_know_how_many_run_at_once() {
    let default = &TEMPLATE["Parameters"]["EnrichConcurrency"]["Default"];
    assert_eq!(number(default), u64::from(ENRICH_CONCURRENCY));
    for function in FUNCTIONS {
        let variables = variables(function);
        let reported = variables.get("MILLRACE_ENRICH_CONCURRENCY").copied();
        assert_eq!(
            reported.is_some(),
            ["Submit", "Sweep"].contains(&function),
            "{function}"
        );
        let Some(reported) = reported else { continue };
        let (_, lane, _) = mappings()
            .into_iter()
            .find(|(_, _, queue)| *queue == "EnrichQueue")
            .unwrap();
        let effective = &lane["ScalingConfig"]["MaximumConcurrency"];
        assert_eq!(
            under("standard", reported),
            under("standard", effective),
            "{function}"
        );
        assert_eq!(
            number(under("small", reported)),
            number(under("small", effective)),
            "{function}"
        );
    }
}

#[test]
fn functions_that_judge_or_call_addresses_know_which_are_allowed() {
    for (function, needs) in [
        (
            "Submit",
            &[
                "MILLRACE_ALLOWED_CIDRS",
                "MILLRACE_ALLOW_HTTP",
                "MILLRACE_PUBLIC_URL",
            ][..],
        ),
        ("Status", &["MILLRACE_PUBLIC_URL"]),
        (
            "Enrich",
            &[
                "MILLRACE_ALLOWED_CIDRS",
                "MILLRACE_ALLOW_HTTP",
                "MILLRACE_NAMESERVER",
                "MILLRACE_PUBLIC_URL",
            ],
        ),
        (
            "Dispatch",
            &[
                "MILLRACE_ALLOWED_CIDRS",
                "MILLRACE_ALLOW_HTTP",
                "MILLRACE_NAMESERVER",
            ],
        ),
    ] {
        let set = variables(function);
        for name in needs {
            assert!(set.contains_key(*name), "{function} lacks {name}");
        }
    }
    let default = |name: &str| &TEMPLATE["Parameters"][name]["Default"];
    assert_eq!(
        (default("AllowedCidrs"), default("AllowHttp")),
        (&"".into(), &"surfaces".into()),
        "closed unless opened"
    );
    let choices = list(&TEMPLATE["Parameters"]["AllowHttp"]["AllowedValues"]);
    for choice in &choices {
        assert!(
            choice.as_str().unwrap().parse::<PlainHttp>().is_ok(),
            "{choice}"
        );
    }
    assert_eq!(choices, ["false", "surfaces", "true"]);
}

#[test]
fn time_outs_are_the_same_in_code_and_template() {
    for (function, main) in [
        ("Status", "status"),
        ("Dispatch", "dispatch"),
        ("Sweep", "sweep"),
    ] {
        let code = source(&format!("functions/{main}/src/main.rs"));
        let timeout = number(&properties(function)["Timeout"]);
        assert!(
            code.contains(&format!(
                "const TIMEOUT: Duration = Duration::from_secs({timeout});"
            )),
            "{function}: {timeout} s"
        );
    }
    for function in ["Submit", "Status"] {
        assert!(
            number(&properties(function)["Timeout"]) < 30,
            "API Gateway gives up after 30 s"
        );
    }
    assert!(
        number(&properties("Sweep")["Timeout"]) < 60,
        "over before the next one starts"
    );
}

/// Routes of the template: method, path with `{id}`, function.
fn routes() -> Vec<(String, String, &'static str)> {
    let mut found = Vec::new();
    for (name, route) in of_type("AWS::ApiGatewayV2::Route") {
        let integration = route["Target"]["Fn::Sub"].as_str().unwrap();
        let integration = integration
            .strip_prefix("integrations/${")
            .and_then(|i| i.strip_suffix('}'))
            .unwrap();
        let function = target(&properties(integration)["IntegrationUri"]);
        assert_eq!(
            properties(integration)["PayloadFormatVersion"],
            "2.0",
            "{name}"
        );
        match route["RouteKey"].as_str().unwrap().split_once(' ') {
            Some((method, path)) => found.push((method.to_owned(), path.to_owned(), function)),
            None => assert_eq!(
                (route["RouteKey"].as_str(), function),
                (Some("$default"), "Status")
            ),
        }
    }
    found
}

struct TestApi {
    api: Api,
    sim: Sim,
    key: String,
}

impl TestApi {
    fn new() -> Self {
        let sim = Sim::new(7);
        let ports = Ports {
            store: Arc::<testkit::sim::SimStore>::clone(&sim.store),
            queue: Arc::<testkit::sim::SimQueue>::clone(&sim.queue),
            http: Arc::<testkit::sim::SimHttp>::clone(&sim.http),
            dns: Arc::<testkit::sim::SimDns>::clone(&sim.dns),
            assets: Arc::<testkit::sim::SimAssets>::clone(&sim.assets),
            clock: Arc::<testkit::sim::SimClock>::clone(&sim.clock),
            entropy: Arc::<testkit::sim::SimEntropy>::clone(&sim.entropy),
            surfaces: SURFACES,
            public_url: None,
            fast_chunks: fast_chunks(ENRICH_CONCURRENCY),
            large: Arc::default(),
        };
        let key = sim
            .finish(tenants::create(&ports, &TenantId::parse("t").unwrap(), 10))
            .unwrap()
            .api_key;
        let catalog = Catalog::load(READERS, &root().join("infra")).unwrap();
        let (retention, enrich_timeout) = (Duration::from_secs(86_400), Duration::from_secs(120));
        Self {
            api: Api {
                ports,
                catalog,
                retention,
                enrich_timeout,
                max_wait: MAX_WAIT,
            },
            sim,
            key,
        }
    }

    /// Returns whether the function's own code has a route for this.
    fn takes(&self, function: &str, method: &str, path: &str) -> bool {
        let request = ApiRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            query: Vec::new(),
            headers: vec![
                ("authorization".to_owned(), format!("Bearer {}", self.key)),
                ("x-api-key".to_owned(), self.key.clone()),
            ],
            body: Vec::new(),
            request_id: "r".to_owned(),
        };
        let response = match function {
            "Submit" => self.sim.finish(self.api.write(&request)),
            _ => self.sim.finish(
                self.api
                    .read(&request, self.sim.clock.now().plus(Duration::from_secs(29))),
            ),
        };
        let nowhere = String::from_utf8_lossy(&response.body).contains("no such path");
        response.status != 405 && !nowhere
    }
}

/// The template leads every operation of every surface to the one function that serves it, by a
/// fitting role. Paths of no surface go to status.
#[test]
fn the_template_routes_what_the_functions_serve_and_to_the_right_one() {
    let routes = routes();
    let served = TestApi::new();
    let leads = |method: &str, path: &str| {
        routes
            .iter()
            .find(|(m, p, _)| m == method && fits(p, path))
            .map_or("Status", |(_, _, function)| *function)
    };
    let mut known = BTreeSet::new();
    for (surface, route) in SURFACES
        .iter()
        .flat_map(|s| s.routes.iter().map(move |r| (s, r)))
    {
        let path = route.path.replace(
            "{id}",
            &(surface.id)(&JobId::parse("job_01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap()),
        );
        let function = if route.method == "GET" {
            "Status"
        } else {
            "Submit"
        };
        assert_eq!(
            leads(route.method, &path),
            function,
            "{} {path}",
            route.method
        );
        for other in ["Submit", "Status"] {
            assert_eq!(
                served.takes(other, route.method, &path),
                other == function,
                "{} {path}: {other}",
                route.method
            );
        }
        assert!(
            known.insert((route.method, route.path)),
            "{} {path} is two surfaces'",
            route.method
        );
    }
    assert!(known.len() >= 13, "only {} operations", known.len());
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        assert!(
            !served.takes(leads(method, "/v1/nowhere"), method, "/v1/nowhere"),
            "{method}"
        );
    }
}

/// Returns whether a route's path takes this one. `{id}` takes any segment and `{proxy+}` all that
/// are left, as in API Gateway.
fn fits(route: &str, path: &str) -> bool {
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    let greedy = route.last() == Some(&"{proxy+}");
    let lengths = if greedy {
        path.len() >= route.len()
    } else {
        path.len() == route.len()
    };
    lengths
        && route
            .iter()
            .zip(&path)
            .all(|(r, p)| r == p || r.starts_with('{'))
}
