//! Lists must be those of scoring every row and sorting, to the bit: the bytes may cost time, never a row.

use super::*;
use crate::random::CounterRng;

/// A table, queries as columns, priorities.
struct Case {
    table: Matrix,
    queries: Matrix,
    count: usize,
    priorities: Vec<u64>,
}

impl Case {
    /// Normal-looking rows of sizes that differ by orders of magnitude; some rows are equal, some zero, and every query
    /// but the first ends with a 1 as a bias asks for.
    fn random(rows: usize, width: usize, count: usize, seed: u64) -> Self {
        let rng = CounterRng::new(seed, 0);
        let number = |i: usize| rng.unit_f32(2 * i as u64) + rng.unit_f32(2 * i as u64 + 1) - 1.0;
        let mut table = Matrix::zeros(rows, width);
        for r in 0..rows {
            // One row in nine differs in size from all others.
            let size =
                [1e-42, 1e-30, 1e-3, 0.0, 30.0, 1.2].get(rng.below(r as u64, 54) as usize).unwrap_or(&1.0);
            let from = if r % 5 == 4 { r - 3 } else { r };
            (0..width).for_each(|j| table.row_mut(r)[j] = size * number(from * width + j));
        }
        let mut queries = Matrix::zeros(width, crate::padded(count));
        for q in 0..count {
            (0..width).for_each(|j| queries.row_mut(j)[q] = number((rows + q) * width + j));
            queries.row_mut(width - 1)[q] = if q == 0 { 0.5 } else { 1.0 };
        }
        let priorities = (0..rows as u64).map(|r| rng.below(r + 7, 3)).collect();
        Self { table, queries, count, priorities }
    }

    fn scan<'a>(&'a self, isa: Isa, bytes: &'a ScanTable, activation: Activation) -> Scan<'a> {
        Scan { isa, table: &self.table, bytes, priorities: &self.priorities, activation }
    }

    /// All rows scored by one product, sorted.
    fn plain(
        &self,
        isa: Isa,
        activation: Activation,
        k: usize,
        keep: impl Fn(usize, u32) -> bool,
    ) -> Vec<Vec<(u32, u32)>> {
        let (n, width, lanes) = (self.table.rows(), self.table.width(), crate::padded(self.count));
        let mut scores = vec![0.0; n * lanes];
        let (rows, columns) = (self.table.view(n), self.queries.view(width));
        product(isa, (n, lanes, width), rows, columns, &mut scores, lanes, false);
        activate(isa, activation, &mut scores);
        (0..self.count)
            .map(|q| {
                let mut rows: Vec<u32> = (0..n as u32).filter(|&r| keep(q, r)).collect();
                let score = |r: u32| scores[r as usize * lanes + q];
                rows.sort_by(|&a, &b| {
                    let priority = |r: u32| self.priorities[r as usize];
                    score(b)
                        .partial_cmp(&score(a))
                        .expect("finite scores")
                        .then(priority(b).cmp(&priority(a)))
                        .then(a.cmp(&b))
                });
                rows.into_iter().take(k).map(|r| (r, score(r).to_bits())).collect()
            })
            .collect()
    }
}

fn found(lists: &TopLists, count: usize) -> Vec<Vec<(u32, u32)>> {
    let list = |q| lists.list(q).expect("finite scores").iter().map(|x| (x.row, x.score.to_bits())).collect();
    (0..count).map(list).collect()
}

const ACTIVATIONS: [Activation; 7] = [
    Activation::Linear,
    Activation::Tanh,
    Activation::Relu,
    Activation::Elu { alpha: 0.5 },
    Activation::Selu { lambda: 1.05, alpha: 1.67 },
    Activation::Leaky { alpha: 0.2 },
    Activation::Leaky { alpha: 0.0 },
];

#[test]
fn lists_are_those_of_scoring_every_row() {
    for isa in Isa::available() {
        for (n, width, count, k) in [
            (1, 1, 1, 1),
            (31, 2, 2, 5),
            (33, 5, 3, 40),
            (1000, 33, 4, 20),
            (3001, 33, 21, 7),
            (2500, 101, 5, 300),
            (1500, 300, 9, 20),
            (6000, 9, 2, 3900),
            (64, 9, 2, 0),
            (0, 9, 2, 3),
        ] {
            let case = Case::random(n, width, count, n as u64);
            let bytes = ScanTable::new(&case.table);
            let mut lists = TopLists::new(width);
            for activation in ACTIVATIONS {
                let scan = case.scan(isa, &bytes, activation);
                scan.top_k(&case.queries, count, k, 0..n as u32, &|_, _| true, &mut lists);
                let plain = case.plain(isa, activation, k, |_, _| true);
                assert_eq!(found(&lists, count), plain, "{isa} {n} × {width}, {count}, {k}, {activation:?}");
            }
        }
    }
}

#[test]
fn lists_are_right_for_many_random_tables() {
    for seed in 0..60 {
        let rng = CounterRng::new(seed, 9);
        let [n, width, count, k] = [600, 40, 8, 30].map(|most: u64| 1 + rng.below(most, most) as usize);
        let case = Case::random(n, width, count, seed);
        let (bytes, mut lists) = (ScanTable::new(&case.table), TopLists::new(width));
        for isa in Isa::available() {
            let scan = case.scan(isa, &bytes, Activation::Linear);
            scan.top_k(&case.queries, count, k, 0..n as u32, &|_, _| true, &mut lists);
            let plain = case.plain(isa, Activation::Linear, k, |_, _| true);
            assert_eq!(found(&lists, count), plain, "{isa}, seed {seed}: {n} × {width}, {count}, {k}");
        }
    }
}

/// Rows one step of f32 apart, in an order against them: a bound that is a little too low loses the best.
#[test]
fn rows_that_differ_in_the_last_bit_are_told_apart() {
    let (n, width) = (400, 17);
    let mut case = Case::random(n, width, 3, 1);
    let row = case.table.row(1).to_vec();
    for r in 0..n {
        case.table.row_mut(r).copy_from_slice(&row);
        let j = r % (width - 1);
        let x = case.table.row(r)[j];
        case.table.row_mut(r)[j] = f32::from_bits(x.to_bits() + (r / 16) as u32);
    }
    let (bytes, mut lists) = (ScanTable::new(&case.table), TopLists::new(width));
    for isa in Isa::available() {
        for activation in ACTIVATIONS {
            let scan = case.scan(isa, &bytes, activation);
            scan.top_k(&case.queries, 3, 10, 0..n as u32, &|_, _| true, &mut lists);
            assert_eq!(
                found(&lists, 3),
                case.plain(isa, activation, 10, |_, _| true),
                "{isa}, {activation:?}"
            );
        }
    }
}

#[test]
fn saturated_scores_tie_and_stand_by_priority() {
    let mut case = Case::random(500, 5, 1, 3);
    for r in 0..500 {
        // Products of 20 to 70: their tanh is 1.
        case.table.row_mut(r)[..5].copy_from_slice(&[0.0, 0.0, 0.0, 0.0, 40.0 + (r * 7 % 100) as f32]);
        case.priorities[r] = u64::from(r == 321);
    }
    let (bytes, mut lists) = (ScanTable::new(&case.table), TopLists::new(5));
    for isa in Isa::available() {
        let scan = case.scan(isa, &bytes, Activation::Tanh);
        scan.top_k(&case.queries, 1, 3, 0..500, &|_, _| true, &mut lists);
        let one = 1f32.to_bits();
        assert_eq!(found(&lists, 1), [[(321, one), (0, one), (1, one)]], "{isa}");
    }
}

/// Rows and queries whose rounding all goes one way, so that the bounds are as tight as they get.
#[test]
fn no_bound_is_below_its_score() {
    let rng = CounterRng::new(5, 5);
    let number = |i: usize| rng.unit_f32(i as u64) - 0.5;
    type Values = fn(usize, f32) -> f32;
    let ones: Values = |_, _| 1.0;
    let rounded_away: Values = |j, x| if j == 0 { 127.0 } else { 0.4 + 0.09 * x };
    let below_zero: Values = |j, x| -if j == 0 { 127.0 } else { 1.4 + 0.09 * x };
    let whole: Values = |j, x| if j == 0 { 127.0 } else { (110.0 + 30.0 * x).round() };
    let any: Values = |_, x| x;
    let kinds = [
        (ones, rounded_away),
        (rounded_away, ones),
        (below_zero, below_zero),
        // Sums of whole numbers that no longer fit into a float: it is the scores that are rounded.
        (whole, whole),
        (any, any),
    ];
    for (width, (row, query)) in [5, 17, 1501].into_iter().flat_map(|w| kinds.map(|k| (w, k))) {
        let mut case = Case::random(64, width, 1, 1);
        for j in 0..width {
            (0..64).for_each(|r| case.table.row_mut(r)[j] = row(j, number(r * width + j)));
            case.queries.row_mut(j)[0] = query(j, number(64 * width + j));
        }
        let bytes = ScanTable::new(&case.table);
        for isa in Isa::available() {
            let mut lists = TopLists::new(width);
            lists.start(&case.scan(isa, &bytes, Activation::Linear), &case.queries, 0..1, 1);
            for (r, score) in case.plain(isa, Activation::Linear, 64, |_, _| true).remove(0) {
                lists.lists[0].query.threshold = f32::from_bits(score);
                lists.lists[0].pending.clear();
                let blocks = r as usize / BLOCK..r as usize / BLOCK + 1;
                isa.run_bytes(Chunk { table: &bytes, blocks, rows: &(r..r + 1), lists: &mut lists.lists });
                assert_eq!(lists.lists[0].pending, [r], "{isa}, {width} columns, row {r}");
            }
        }
    }
}

#[test]
fn rows_left_out_are_replaced_by_the_next_best() {
    let case = Case::random(2000, 33, 5, 4);
    let (bytes, mut lists) = (ScanTable::new(&case.table), TopLists::new(33));
    let isa = Isa::detect();
    let best: Vec<Vec<u32>> = case
        .plain(isa, Activation::Linear, 10, |_, _| true)
        .iter()
        .map(|list| list.iter().map(|x| x.0).collect())
        .collect();
    let keep = |q: usize, row: u32| !best[q].contains(&row);
    let scan = case.scan(isa, &bytes, Activation::Linear);
    scan.top_k(&case.queries, 5, 10, 0..2000, &keep, &mut lists);
    assert_eq!(found(&lists, 5), case.plain(isa, Activation::Linear, 10, keep));
    scan.top_k(&case.queries, 5, 10, 0..2000, &|_, _| false, &mut lists);
    assert!(found(&lists, 5).iter().all(Vec::is_empty));
}

#[test]
fn named_rows_have_the_scores_of_a_search() {
    let case = Case::random(1000, 33, 18, 5);
    let (bytes, mut lists) = (ScanTable::new(&case.table), TopLists::new(33));
    let rows: Vec<u32> = (0..1000).rev().filter(|r| r % 7 == 3).collect();
    for isa in Isa::available() {
        let plain = case.plain(isa, Activation::Tanh, 12, |_, row| row % 7 == 3);
        for q in [0, 15, 17] {
            case.scan(isa, &bytes, Activation::Tanh).top_k_of(&case.queries, q, 12, &rows, &mut lists);
            assert_eq!(found(&lists, 1)[0], plain[q], "{isa}, query {q}");
        }
    }
}

#[test]
fn parts_merge_into_the_lists_of_one_search() {
    let case = Case::random(1000, 33, 3, 6);
    let bytes = ScanTable::new(&case.table);
    let scan = case.scan(Isa::detect(), &bytes, Activation::Linear);
    let plain = case.plain(Isa::detect(), Activation::Linear, 20, |_, _| true);
    for cuts in [vec![0, 1000], vec![0, 500, 1000], vec![0, 7, 7, 40, 999, 1000]] {
        let (mut all, mut part) = (TopLists::new(33), TopLists::new(33));
        scan.top_k(&case.queries, 3, 20, 0..0, &|_, _| true, &mut all);
        for cut in cuts.windows(2) {
            scan.top_k(&case.queries, 3, 20, cut[0]..cut[1], &|_, _| true, &mut part);
            all.merge(&part);
        }
        assert_eq!(found(&all, 3), plain, "{cuts:?}");
    }
}

#[test]
fn scores_that_are_not_finite_are_reported() {
    let mut case = Case::random(300, 9, 3, 7);
    let mut lists = TopLists::new(9);
    for isa in Isa::available() {
        // A query of infinite size spoils its own list alone; a score that overflows is no list's best, and yet told.
        case.queries.row_mut(2)[1] = f32::NAN;
        case.table.row_mut(100)[8] = -3e38;
        case.table.row_mut(100)[2] = -3e38;
        case.queries.row_mut(2)[2] = 1.0;
        let bytes = ScanTable::new(&case.table);
        let scan = case.scan(isa, &bytes, Activation::Linear);
        scan.top_k(&case.queries, 3, 2, 0..300, &|_, _| true, &mut lists);
        assert_eq!(lists.list(1).map_err(|e| e.count), Err(300), "{isa}");
        assert_eq!(lists.list(2).map_err(|e| e.count), Err(1), "{isa}");
        scan.top_k(&case.queries, 3, 2, 0..300, &|_, row| row != 100, &mut lists);
        assert_eq!(lists.list(2).map(<[_]>::len), Ok(2), "{isa}");
    }
    case.table.row_mut(299)[0] = f32::INFINITY;
    let bytes = ScanTable::new(&case.table);
    let scan = case.scan(Isa::detect(), &bytes, Activation::Linear);
    scan.top_k(&case.queries, 1, 2, 0..300, &|_, _| true, &mut lists);
    assert!(lists.list(0).is_err());
}

#[test]
fn huge_numbers_that_stay_finite_are_no_error() {
    let mut case = Case::random(700, 9, 2, 8);
    for r in 0..700 {
        case.table.row_mut(r)[..9].iter_mut().for_each(|x| *x *= 1e36);
    }
    let (bytes, mut lists) = (ScanTable::new(&case.table), TopLists::new(9));
    for isa in Isa::available() {
        let scan = case.scan(isa, &bytes, Activation::Linear);
        scan.top_k(&case.queries, 2, 9, 0..700, &|_, _| true, &mut lists);
        assert_eq!(found(&lists, 2), case.plain(isa, Activation::Linear, 9, |_, _| true), "{isa}");
    }
}

#[test]
fn few_rows_are_scored_and_the_bytes_are_a_fraction_of_the_table() {
    let rng = CounterRng::new(1, 0);
    let mut case = Case::random(50_000, 33, 2, 9);
    for r in 0..50_000 {
        (0..33).for_each(|j| case.table.row_mut(r)[j] = rng.unit_f32((r * 33 + j) as u64) - 0.5);
    }
    let (bytes, mut lists) = (ScanTable::new(&case.table), TopLists::new(33));
    for isa in Isa::available() {
        let scan = case.scan(isa, &bytes, Activation::Linear);
        scan.top_k(&case.queries, 2, 20, 0..50_000, &|_, _| true, &mut lists);
        // 20 (1 + ln 2,500) = 176 records in random order, and those that the bounds do not tell from one.
        assert!((0..2).all(|q| lists.scored(q) < 800), "{isa}: {} and {}", lists.scored(0), lists.scored(1));
    }
    // Beside the 1 that meets a bias the numbers of a query may be tiny, as those of a network that has seen little are.
    for r in 0..50_000 {
        case.table.row_mut(r)[32] = 0.0;
    }
    (0..32).for_each(|j| case.queries.row_mut(j)[1] *= 1e-3);
    let bytes = ScanTable::new(&case.table);
    for isa in Isa::available() {
        let scan = case.scan(isa, &bytes, Activation::Linear);
        scan.top_k(&case.queries, 2, 20, 0..50_000, &|_, _| true, &mut lists);
        assert!(lists.scored(1) < 800, "{isa}: {}", lists.scored(1));
    }
    assert!(ScanTable::bytes(50_000, 33) * 4 < Matrix::bytes(50_000, 33));
}
