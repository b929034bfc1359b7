use super::*;

fn delivery() -> Delivery {
    let job = JobId::new(Timestamp(0), [0; 10]);
    let tenant = TenantId::parse("t").unwrap();
    Delivery::new(
        job.delivery(0),
        tenant,
        "native",
        EventType::JobCompleted,
        Timestamp(0),
        "https://a.example/",
        Timestamp(i64::MAX),
    )
}

fn answered(number: u32, status: u16) -> Attempt {
    let error = (!(200..300).contains(&status)).then(|| "status".to_owned());
    Attempt {
        number,
        at: Timestamp(0),
        latency_ms: Some(1),
        status: Some(status),
        error,
        detail: None,
        response: None,
    }
}

#[test]
fn the_schedule_is_walked_once_and_then_exhausted() {
    let (rules, delivery) = (DeliveryRules::native(), delivery());
    for (n, delay) in (1..).zip(NATIVE_DELAYS) {
        assert_eq!(
            delivery.after(&answered(n, 500), None, &rules, Timestamp(0), 0.5),
            Next::Retry(Timestamp(0).plus(delay))
        );
    }
    let last = delivery.after(&answered(10, 500), None, &rules, Timestamp(0), 0.5);
    assert_eq!(
        last,
        Next::Exhausted {
            reason: "attempts_used_up",
            disable_endpoint: false
        }
    );
}

#[test]
fn an_attempt_past_the_deliverys_own_end_is_never_planned() {
    let (rules, mut delivery) = (DeliveryRules::native(), delivery());
    delivery.expires_at = Timestamp(5_000);
    let next = delivery.after(&answered(1, 500), None, &rules, Timestamp(0), 0.5);
    assert_eq!(
        next,
        Next::Exhausted {
            reason: "expired",
            disable_endpoint: false
        }
    );
}

#[test]
fn a_test_event_is_given_up_early() {
    let (rules, mut delivery) = (DeliveryRules::native(), delivery());
    delivery.event = EventType::WebhookTest;
    assert!(matches!(
        delivery.after(&answered(2, 500), None, &rules, Timestamp(0), 0.5),
        Next::Retry(_)
    ));
    assert!(matches!(
        delivery.after(&answered(3, 500), None, &rules, Timestamp(0), 0.5),
        Next::Exhausted { .. }
    ));
}

#[test]
fn a_wait_too_long_for_32_bits_was_taken_for_none() {
    let longest = Some(Duration::from_secs(u32::MAX.into()));
    for text in ["4294967295", "4294967296", "99999999999999999999999"] {
        assert_eq!(retry_after(text, Timestamp(0)), longest, "{text}");
    }
    for text in ["", "+5", "-1", "5.0", "5s"] {
        assert_eq!(retry_after(text, Timestamp(0)), None, "{text}");
    }
}

#[test]
fn a_replay_walks_the_schedule_again() {
    let (rules, mut delivery) = (DeliveryRules::native(), delivery());
    delivery.attempts = 10;
    delivery.replay(Timestamp(7));
    assert_eq!(
        delivery.after(&answered(11, 500), None, &rules, Timestamp(7), 0.5),
        Next::Retry(Timestamp(5007))
    );
}

#[test]
fn gone_disables_only_where_the_rules_say_so() {
    let (rules, delivery) = (DeliveryRules::native(), delivery());
    let gone = delivery.after(&answered(1, 410), None, &rules, Timestamp(0), 0.5);
    assert_eq!(
        gone,
        Next::Exhausted {
            reason: "endpoint_gone",
            disable_endpoint: true
        }
    );
    let rules = DeliveryRules {
        gone_disables: false,
        ..rules
    };
    assert!(matches!(
        delivery.after(&answered(1, 410), None, &rules, Timestamp(0), 0.5),
        Next::Retry(_)
    ));
}

#[test]
fn retry_after_lengthens_but_only_to_the_cap_and_only_for_429_and_503() {
    let (rules, delivery) = (DeliveryRules::native(), delivery());
    let ask = |status, seconds| {
        delivery.after(
            &answered(1, status),
            Some(Duration::from_secs(seconds)),
            &rules,
            Timestamp(0),
            0.5,
        )
    };
    assert_eq!(ask(429, 60), Next::Retry(Timestamp(60_000)));
    assert_eq!(ask(503, 1), Next::Retry(Timestamp(5_000)));
    assert_eq!(ask(503, 999_999), Next::Retry(Timestamp(3_600_000)));
    assert_eq!(ask(500, 60), Next::Retry(Timestamp(5_000)));
}

#[test]
fn retry_after_is_read_in_every_form() {
    let now = Timestamp::parse("1994-11-06T08:49:00Z").unwrap();
    for (text, seconds) in [
        (" 120 ", 120),
        ("\t007", 7),
        ("0", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 37),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 37),
        ("Sun Nov  6 08:49:37 1994", 37),
        ("  Sun Nov  6 08:49:37 1994 ", 37),
        ("Wed Nov 16 08:49:00 1994", 10 * 86_400),
        ("Wednesday, 16-Nov-94 08:49:00 GMT", 10 * 86_400),
        // A day of the week that is another one's is a slip that says nothing about the wait.
        ("Mon, 06 Nov 1994 08:49:37 GMT", 37),
        ("Sun, 06 Nov 1994 08:49:60 GMT", 59),
        // What has passed is now.
        ("Sun, 06 Nov 1994 08:48:37 GMT", 0),
        ("Saturday, 06-Nov-93 08:49:37 GMT", 0),
        ("Thu Jan  1 00:00:00 1970", 0),
        ("Tue, 01 Jan 0001 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", u32::MAX.into()),
    ] {
        assert_eq!(
            retry_after(text, now),
            Some(Duration::from_secs(seconds)),
            "{text}"
        );
    }
    for bad in [
        "",
        " ",
        "-1",
        "1.5",
        "1e3",
        "soon",
        "١٢",
        "1 2",
        "Sun, 99 Nov 1994 08:49:37 GMT",
        "Wed, 30 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37 GMT GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Xyz, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday, 06-Nov-9 08:49:37 GMT",
        "Sunday, 6-Nov-94 08:49:37 GMT",
        "Sunday, 06-11-94 08:49:37 GMT",
        "Sunday, 06-Nov-94 8:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov   6 08:49:37 1994",
        "Sun Nov  06 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "Sun Nov  6 08:49:37 1994 GMT",
        "1994-11-06T08:49:37Z",
        "Sun, ０６ Nov 1994 08:49:37 GMT",
    ] {
        assert_eq!(retry_after(bad, now), None, "{bad}");
    }
}

/// "More than 50 years in the future" is the most recent year in the past with the same last two
/// digits.
#[test]
fn a_year_of_two_digits_is_at_most_fifty_years_ahead() {
    let now = Timestamp::parse("2026-11-30T12:00:00Z").unwrap();
    let year = |date: &str| {
        http_date(&format!("Monday, {date} 12:00:00 GMT"), now).map(Timestamp::rfc3339)
    };
    for (date, wanted) in [
        ("01-Dec-26", "2026-12-01"),
        ("29-Nov-26", "2026-11-29"),
        ("01-Jan-70", "2070-01-01"),
        ("30-Nov-76", "2076-11-30"),
        ("01-Dec-76", "1976-12-01"),
        ("01-Jan-77", "1977-01-01"),
        ("31-Dec-99", "1999-12-31"),
        ("29-Feb-76", "2076-02-29"),
        ("29-Feb-00", "2000-02-29"),
    ] {
        assert_eq!(
            year(date),
            Some(format!("{wanted}T12:00:00.000Z")),
            "{date}"
        );
    }
    assert_eq!(year("29-Feb-75"), None);
    let late = Timestamp::parse("2090-01-01T00:00:00Z").unwrap();
    let next = http_date("Monday, 06-Nov-05 08:49:37 GMT", late).unwrap();
    assert_eq!(
        next.rfc3339(),
        "2105-11-06T08:49:37.000Z",
        "the next century is fifteen years ahead"
    );
}

#[test]
fn late_attempts_are_left_to_the_sweep_fourteen_minutes_before() {
    let mut delivery = delivery();
    delivery.next_attempt_at = Timestamp(2 * 3_600_000);
    assert_eq!(delivery.due(Timestamp(0)), Timestamp((120 - 14) * 60_000));
    delivery.next_attempt_at = Timestamp(5_000);
    assert_eq!(delivery.due(Timestamp(0)), Timestamp(65_000));
}

#[test]
fn the_log_is_bounded() {
    let mut delivery = delivery();
    for n in 1..=100 {
        delivery.record(answered(n, 500));
    }
    assert_eq!(
        (delivery.log.len(), delivery.log[0].number),
        (LOG_LENGTH, 61)
    );
}
