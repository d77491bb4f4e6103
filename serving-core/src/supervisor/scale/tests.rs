//! Numbers of replicas, for callers that come as they like.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;

const AFTER: Duration = Duration::from_secs(10);

fn rules(least: u32, most: u32) -> Rules {
    Rules {
        range: ReplicaRange::new(least, most).unwrap(),
        places: 2,
        scale_down_after: AFTER,
    }
}

fn ranges() -> impl Strategy<Value = Rules> {
    (0..4_u32, 1..6_u32).prop_map(|(least, most)| rules(least.min(most), most))
}

/// Milliseconds since the last look, and what is seen; replicas that are wanted are there, or are not.
type Look = (u64, Sight, bool);

fn looks() -> impl Strategy<Value = Vec<Look>> {
    let pause = prop_oneof![3 => 1..100_u64, 2 => 100..2_000_u64, 1 => 2_000..20_000_u64];
    let callers = prop_oneof![2 => proptest::strategy::Just((0, 0)), 3 => (0..9_u64, 0..5_u64)];
    let look = (
        pause,
        callers,
        any::<bool>(),
        any::<bool>(),
        proptest::bool::weighted(0.8),
    );
    vec(
        look.prop_map(|(pause, (working, waiting), has_come, is_missed, whole)| {
            let sight = Sight {
                waiting,
                inside: working + waiting,
                has_come,
                is_missed,
                live: 0,
            };
            (pause, sight, whole)
        }),
        1..200,
    )
}

/// Now and then a person changes the range.
fn looks_and_ranges() -> impl Strategy<Value = Vec<(Look, Option<Rules>)>> {
    let changes = vec(proptest::option::weighted(0.05, ranges()), 200);
    (looks(), changes).prop_map(|(looks, changes)| looks.into_iter().zip(changes).collect())
}

/// What settings alone make of a number.
fn bounded(target: u32, range: ReplicaRange) -> u32 {
    if target == 0 && range.may_sleep() {
        0
    } else {
        target.clamp(range.least_awake(), range.most())
    }
}

struct Player {
    scale: Scale,
    rules: Rules,
    now: Instant,
}

impl Player {
    fn new(rules: Rules) -> Self {
        let now = Instant::now();
        let scale = Scale::new(rules.range, now);
        Self { scale, rules, now }
    }

    /// Looks after so long, all replicas being there.
    fn after(&mut self, milliseconds: u64, waiting: u64, inside: u64) -> Option<Change> {
        self.now += Duration::from_millis(milliseconds);
        let sight = Sight {
            waiting,
            inside,
            has_come: inside > 0,
            is_missed: false,
            live: self.scale.target(),
        };
        self.scale.look(&self.rules, &sight, self.now)
    }

    /// Looks as often as it is asked for, for so long. Returns where it went to.
    fn watch(&mut self, seconds: u64, waiting: u64, inside: u64) -> Vec<u32> {
        let end = self.now + Duration::from_secs(seconds);
        let mut targets = Vec::new();
        while self.now < end {
            // Where it asks for no look, who begins to wait makes for one.
            let next = self.scale.next_look().unwrap_or(self.now + CLOSE_LOOK);
            let pause = next.duration_since(self.now).as_millis();
            let pause = u64::try_from(pause).unwrap().max(1);
            if self.after(pause, waiting, inside).is_some() {
                targets.push(self.scale.target());
            }
        }
        targets
    }
}

#[tokio::test(start_paused = true)]
async fn it_grows_one_at_a_time_up_to_the_most_and_shrinks_to_what_was_needed() {
    let mut player = Player::new(rules(1, 4));
    assert_eq!(player.watch(10, 5, 20), [2, 3, 4]);
    assert_eq!(player.watch(9, 0, 5), Vec::<u32>::new());
    assert_eq!(player.watch(2, 0, 3), [3]);
    assert_eq!(player.watch(8, 0, 1), Vec::<u32>::new());
    assert_eq!(player.watch(3, 0, 0), [2]);
    assert_eq!(player.watch(11, 0, 0), [1]);
    assert_eq!(player.watch(100, 0, 0), Vec::<u32>::new());
}

#[tokio::test(start_paused = true)]
async fn a_new_range_or_other_places_begin_with_what_is_seen_from_then_on() {
    for before in [rules(4, 4), rules(4, 6)] {
        let mut player = Player::new(before);
        assert_eq!(player.watch(60, 0, 3), Vec::<u32>::new());
        player.rules = rules(1, 4);
        assert_eq!(player.watch(9, 0, 3), Vec::<u32>::new());
        player.rules.places = 1;
        assert_eq!(player.watch(9, 0, 3), Vec::<u32>::new());
        assert_eq!(player.watch(2, 0, 1), [3]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_moment_is_no_reason() {
    let mut player = Player::new(rules(1, 4));
    for _ in 0..100 {
        assert_eq!(player.after(50, 3, 5), None);
        assert_eq!(player.after(100, 3, 5), None);
        assert_eq!(player.after(50, 0, 2), None);
    }
}

#[tokio::test(start_paused = true)]
async fn load_that_comes_and_goes_faster_than_replicas_go_does_not_make_them_come_and_go() {
    let mut player = Player::new(rules(1, 3));
    let mut changes = Vec::new();
    for _ in 0..100 {
        changes.extend(player.watch(1, 2, 8));
        changes.extend(player.watch(8, 0, 1));
    }
    assert_eq!(changes, [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn none_is_added_while_one_that_was_added_is_not_there() {
    let mut player = Player::new(rules(1, 3));
    assert_eq!(player.watch(1, 2, 8), [2, 3]);
    let mut scale = Scale::new(player.rules.range, player.now);
    let mut sight = Sight {
        waiting: 3,
        inside: 5,
        live: 1,
        ..Sight::default()
    };
    let mut targets = Vec::new();
    for _ in 0..100 {
        player.now += CLOSE_LOOK;
        scale.look(&player.rules, &sight, player.now);
        targets.push(scale.target());
    }
    assert_eq!(targets.last(), Some(&2));
    sight.live = 2;
    player.now += PATIENCE;
    assert_eq!(scale.look(&player.rules, &sight, player.now), None);
}

#[tokio::test(start_paused = true)]
async fn one_that_has_failed_does_not_fall_asleep() {
    let Player {
        mut scale,
        rules,
        now,
    } = Player::new(rules(0, 1));
    let gone = Sight::default();
    assert_eq!(scale.look(&rules, &gone, now + 10 * AFTER), None);
    let there = Sight { live: 1, ..gone };
    let change = scale.look(&rules, &there, now + 11 * AFTER);
    assert_eq!(change, Some(Change::Asleep { idle: AFTER }));
    assert_eq!(scale.next_look(), None);
}

proptest! {
    #[test]
    fn it_stays_in_its_range_has_reasons_and_does_not_flap(rules in ranges(), looks in looks_and_ranges()) {
        let mut rules = rules;
        let mut now = tokio::time::Instant::now();
        let start = now;
        let mut scale = Scale::new(rules.range, now);
        let (mut last_change, mut last_came, mut waited_since) = (start, start, None);
        for ((pause, mut sight, whole), changed) in looks {
            now += Duration::from_millis(pause);
            if let Some(changed) = changed.filter(|changed| changed.range != rules.range) {
                rules = changed;
                last_change = now;
            }
            let before = bounded(scale.target(), rules.range);
            sight.live = if whole { before } else { before.saturating_sub(1) };
            if sight.has_come {
                last_came = now;
            }
            let change = scale.look(&rules, &sight, now);
            let after = scale.target();
            let least = if rules.range.may_sleep() { 0 } else { rules.range.least() };
            prop_assert!((least..=rules.range.most()).contains(&after));
            prop_assert_eq!(change.is_some(), before != after);
            if sight.waiting == 0 {
                waited_since = None;
            } else {
                waited_since.get_or_insert(now);
            }
            match change {
                None => {}
                Some(Change::Woken) => {
                    prop_assert_eq!((before, after), (0, 1));
                    prop_assert!(sight.is_missed);
                    last_came = now;
                }
                Some(Change::Asleep { .. }) => {
                    prop_assert_eq!(after, 0);
                    prop_assert!(rules.range.may_sleep() && sight.inside == 0);
                    prop_assert!(now.duration_since(last_came) >= AFTER);
                }
                Some(Change::Scaled { from, to, .. }) => {
                    prop_assert_eq!((from, to), (before, after));
                    if to > from {
                        prop_assert_eq!(to, from + 1);
                        prop_assert!(now.duration_since(waited_since.unwrap()) >= PATIENCE);
                        prop_assert!(whole);
                    } else {
                        prop_assert!(to >= 1 && sight.waiting == 0);
                        prop_assert!(u64::from(to * rules.places) >= sight.inside);
                        prop_assert!(now.duration_since(last_change) >= AFTER);
                    }
                }
            }
            if before != after {
                last_change = now;
            }
        }
    }

    #[test]
    fn a_number_that_is_fixed_never_changes_and_asks_for_no_looks(count in 1..6_u32, looks in looks()) {
        let rules = rules(count, count);
        let mut now = tokio::time::Instant::now();
        let mut scale = Scale::new(rules.range, now);
        for (pause, sight, _) in looks {
            now += Duration::from_millis(pause);
            prop_assert_eq!(scale.look(&rules, &sight, now), None);
            prop_assert_eq!((scale.target(), scale.next_look()), (count, None));
        }
    }
}
