//! The contract of parameters and objects.

use std::pin::Pin;

use serde_json::json;
use shared::ports::{AssetError, Assets, ObjectName};
use testkit::sim::{Sim, SimAssets};

use crate::emulator::{Emulator, EmulatorName};
use crate::wire;

/// The operator's side.
trait Bench {
    fn assets(&self) -> &dyn Assets;
    fn parameter(&self, name: &str, value: &str);
    fn put(&self, bucket: &str, key: &str, bytes: &[u8]);
}

type Case = for<'a> fn(&'a dyn Bench) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One list for both runs; on the simulation each case is a test.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        const CASES: &[(&str, Case)] = &[$((stringify!($name), |bench| Box::pin($name(bench)))),*];

        mod simulated {
            $(#[test]
            fn $name() {
                let sim = super::Sim::new(1);
                sim.finish(super::$name(&*sim.assets));
            })*
        }
    };
}

cases!(
    a_parameter_comes_as_it_was_put,
    a_parameter_that_was_changed_has_the_new_value,
    an_object_comes_whole_and_with_its_tag,
    an_object_that_is_the_same_is_not_read_again,
    an_object_that_is_too_large_is_refused,
    what_is_not_there_is_missing,
);

fn object(bucket: &str, key: &str) -> ObjectName {
    ObjectName {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
    }
}

async fn a_parameter_comes_as_it_was_put(bench: &dyn Bench) {
    for (name, value) in [("/some/a", "one \u{e9}\u{1f511}"), ("/some/b-c_d.e", "two")] {
        bench.parameter(name, value);
        assert_eq!(bench.assets().parameter(name).await.as_deref(), Ok(value));
    }
}

async fn a_parameter_that_was_changed_has_the_new_value(bench: &dyn Bench) {
    for value in ["one", "two"] {
        bench.parameter("/changed/a", value);
        assert_eq!(
            bench.assets().parameter("/changed/a").await.as_deref(),
            Ok(value)
        );
    }
}

async fn an_object_comes_whole_and_with_its_tag(bench: &dyn Bench) {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    bench.put("whole", "a folder/t \u{e9}.csv", &bytes);
    let read = bench
        .assets()
        .object(&object("whole", "a folder/t \u{e9}.csv"), None, bytes.len())
        .await
        .unwrap()
        .unwrap();
    assert!(read.bytes == bytes && !read.tag.is_empty());
}

async fn an_object_that_is_the_same_is_not_read_again(bench: &dyn Bench) {
    let name = object("same", "t.csv");
    bench.put("same", "t.csv", b"one");
    let first = bench
        .assets()
        .object(&name, None, 100)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        bench
            .assets()
            .object(&name, Some(&first.tag), 100)
            .await
            .unwrap(),
        None
    );
    bench.put("same", "t.csv", b"two");
    let second = bench
        .assets()
        .object(&name, Some(&first.tag), 100)
        .await
        .unwrap()
        .unwrap();
    assert!(second.bytes == b"two" && second.tag != first.tag);
}

async fn an_object_that_is_too_large_is_refused(bench: &dyn Bench) {
    bench.put("large", "t.csv", &[b'x'; 101]);
    assert_eq!(
        bench
            .assets()
            .object(&object("large", "t.csv"), None, 100)
            .await,
        Err(AssetError::TooLarge(100))
    );
    assert!(
        bench
            .assets()
            .object(&object("large", "t.csv"), None, 101)
            .await
            .is_ok()
    );
}

async fn what_is_not_there_is_missing(bench: &dyn Bench) {
    bench.put("there", "t.csv", b"x");
    assert_eq!(
        bench.assets().parameter("/nowhere").await,
        Err(AssetError::Missing)
    );
    for name in [object("there", "none.csv"), object("nowhere", "t.csv")] {
        assert_eq!(
            bench.assets().object(&name, None, 100).await,
            Err(AssetError::Missing)
        );
    }
}

impl Bench for SimAssets {
    fn assets(&self) -> &dyn Assets {
        self
    }

    fn parameter(&self, name: &str, value: &str) {
        Self::parameter(self, name, value);
    }

    fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        Self::put(self, bucket, key, bytes);
    }
}

/// An emulator.
struct Aws {
    assets: shared::aws::AwsAssets,
    port: u16,
}

impl Bench for Aws {
    fn assets(&self) -> &dyn Assets {
        &self.assets
    }

    fn parameter(&self, name: &str, value: &str) {
        let body = json!({"Name": name, "Value": value, "Type": "SecureString", "Overwrite": true});
        let (status, answer) = wire::call(self.port, "AmazonSSM.PutParameter", &body);
        assert_eq!(status, 200, "{answer}");
    }

    fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let key = key.replace(' ', "%20").replace('\u{e9}', "%C3%A9");
        for (path, bytes) in [
            (format!("/{bucket}"), &b""[..]),
            (format!("/{bucket}/{key}"), bytes),
        ] {
            let status = wire::put(self.port, &path, bytes);
            // The bucket may be there already.
            assert!(
                status == 200 || (status == 409 && bytes.is_empty()),
                "{path}: {status}"
            );
        }
    }
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(name, _)| *name)
}

#[test]
fn on_ministack() {
    on(EmulatorName::MiniStack);
}

#[test]
fn on_moto() {
    on(EmulatorName::Moto);
}

fn on(kind: EmulatorName) {
    let stack = Emulator::start(kind);
    let bench = Aws {
        assets: wire::clients(stack.port, false).assets(wire::clock(), wire::entropy()),
        port: stack.port,
    };
    stack.run_all(CASES, |_, case| wire::block_on(case(&bench)));
}

/// No emulator can produce these.
#[test]
fn a_long_answer_of_trouble_was_taken_for_content_that_is_too_large() {
    let long = json!({"__type": "InternalError", "message": "x".repeat(20_000)});
    let server = wire::serve(move |_, _| wire::json(500, &long));
    let assets = wire::clients_of(&server).assets(wire::clock(), wire::entropy());
    let answer = wire::block_on(assets.object(&object("b", "t.csv"), None, 1_000_000));
    assert!(
        matches!(answer, Err(AssetError::Unavailable(_))),
        "{answer:?}"
    );
    assert_eq!(server.got().len(), 4, "and asked again");
    let server = wire::serve(|n, _| match n {
        0 => wire::error(400, "ThrottlingException"),
        _ => wire::json(200, &json!({"Parameter": {"Value": "one"}})),
    });
    let assets = wire::clients_of(&server).assets(wire::clock(), wire::entropy());
    assert_eq!(wire::block_on(assets.parameter("/a")).as_deref(), Ok("one"));
}
