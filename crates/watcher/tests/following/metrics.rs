//! What is counted, under which names.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

use crate::world::{World, pay, settle};

type Shown = Arc<Mutex<BTreeMap<String, String>>>;

/// Keeps the last value of each metric as text: a gauge is a float by its trait, and no float is kept here.
#[derive(Debug, Default)]
struct Kept(Shown);

#[derive(Debug)]
struct One {
    name: String,
    shown: Shown,
}

impl CounterFn for One {
    fn increment(&self, value: u64) {
        let mut shown = self.shown.lock().expect("not poisoned");
        let count = shown.entry(self.name.clone()).or_insert_with(|| "0".to_owned());
        *count = (count.parse::<u64>().expect("a count") + value).to_string();
    }

    fn absolute(&self, value: u64) {
        self.shown.lock().expect("not poisoned").insert(self.name.clone(), value.to_string());
    }
}

#[expect(clippy::disallowed_types, reason = "the trait of gauges has floats")]
impl GaugeFn for One {
    fn increment(&self, value: f64) {
        self.set(value);
    }

    fn decrement(&self, value: f64) {
        self.set(value);
    }

    fn set(&self, value: f64) {
        self.shown.lock().expect("not poisoned").insert(self.name.clone(), value.to_string());
    }
}

#[expect(clippy::disallowed_types, reason = "the trait of histograms has floats")]
impl HistogramFn for One {
    fn record(&self, value: f64) {
        self.shown.lock().expect("not poisoned").insert(self.name.clone(), value.to_string());
    }
}

impl Kept {
    fn one(&self, key: &Key) -> Arc<One> {
        let labels: Vec<&str> = key.labels().map(metrics::Label::value).collect();
        Arc::new(One {
            name: format!("{} {}", key.name(), labels.join(" ")),
            shown: Arc::clone(&self.0),
        })
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.one(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.one(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.one(key))
    }
}

#[test]
fn head_tip_commits_reorgs_and_stalls_are_shown() {
    let recorder = Kept::default();
    let shown = Arc::clone(&recorder.0);
    let value =
        |name: &str| shown.lock().expect("not poisoned").get(name).cloned().unwrap_or_default();
    metrics::with_local_recorder(&recorder, || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runs");
        runtime.block_on(async {
            let world = World::new();
            for nonce in 0..6 {
                world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
            }
            let mut follower = world.follower();
            settle(&mut follower).await;
            world.chain.reorg(3, 1, vec![Vec::new(); 4]).expect("mines");
            settle(&mut follower).await;
            world.chain.change_faults(|faults| faults.unreachable = true);
            follower.step().await.expect_err("no node");
        });
    });
    assert_eq!(value("inspay_chain_head_number 31337"), "7");
    assert_eq!(value("inspay_follow_tip_number 31337"), "7");
    assert_eq!(value("inspay_follow_lag_blocks 31337"), "0");
    assert_eq!(value("inspay_follow_commits_total 31337"), "2");
    assert_eq!(value("inspay_follow_transfers_total 31337"), "6");
    assert_eq!(value("inspay_follow_reorgs_total 31337"), "1");
    assert_eq!(value("inspay_follow_reorg_depth_blocks 31337"), "3");
    assert_eq!(value("inspay_follow_stalled 31337"), "1");
    assert_eq!(value("inspay_follow_failures_total 31337 node"), "1");
}
