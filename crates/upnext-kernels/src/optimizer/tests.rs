//! Tests of the optimisers against their formulas in f64, and of tables against dense parameters.

use super::*;
use crate::rows::RowGroups;
use crate::simd::Isa;
use crate::thread_pool::ThreadPool;

const OPTIMIZERS: [Optimizer; 4] = [Optimizer::Adagrad, Optimizer::Rmsprop, Optimizer::Sgd, Optimizer::Adam];

/// One update of one number in f64; `x` is (θ, a, m, v, t).
fn plain(o: &UpdateRule, g: f64, x: &mut (f64, f64, f64, f64, f64)) {
    let g = g + f64::from(o.l2) * x.0;
    let (rate, decay) = (f64::from(o.learning_rate), f64::from(o.rmsprop_decay));
    let epsilon = f64::from(o.epsilon);
    let delta = match o.optimizer {
        Optimizer::Sgd => -rate * g,
        Optimizer::Adagrad => {
            x.1 += g * g;
            -rate * g / (x.1 + epsilon).sqrt()
        }
        Optimizer::Rmsprop => {
            x.1 = decay * x.1 + (1.0 - decay) * g * g;
            -rate * g / (x.1 + epsilon).sqrt()
        }
        Optimizer::Adam => {
            let (b1, b2) = (f64::from(o.adam_beta1), f64::from(o.adam_beta2));
            x.4 += 1.0;
            x.2 = b1 * x.2 + (1.0 - b1) * g;
            x.1 = b2 * x.1 + (1.0 - b2) * g * g;
            -rate * (x.2 / (1.0 - b1.powf(x.4))) / ((x.1 / (1.0 - b2.powf(x.4))).sqrt() + epsilon)
        }
    };
    x.3 = f64::from(o.momentum) * x.3 + delta;
    x.0 += x.3;
}

#[test]
fn every_rule_agrees_with_its_formula_and_untouched_rows_stay() {
    let pool = ThreadPool::new(2);
    for isa in Isa::available() {
        for optimizer in OPTIMIZERS {
            for (momentum, l2) in [(0.0, 0.0), (0.4, 0.01)] {
                let o = UpdateRule { momentum, l2, ..UpdateRule::new(optimizer, 0.1) };
                let (rows, width) = (7, 19);
                let mut value = Matrix::zeros(rows, width);
                for r in 0..rows {
                    value.row_mut(r)[..width]
                        .iter_mut()
                        .enumerate()
                        .for_each(|(j, x)| *x = (r + j) as f32 * 0.1);
                }
                let start = value.clone();
                let mut state = OptimizerState::new(&o, rows, width);
                let mut groups: Vec<_> = (0..3).map(|p| RowGroups::of_part(rows, p, 3)).collect();
                let mut expected: Vec<Vec<_>> = (0..rows)
                    .map(|r| value.values(r).iter().map(|&x| (f64::from(x), 0.0, 0.0, 0.0, 0.0)).collect())
                    .collect();
                for step in 0..5 {
                    // Row 3 is used in every step, row 5 in the first two, row 1 from the third on.
                    let other = if step < 2 { 5 } else { 1 };
                    let uses = [3, other, 3, other];
                    for (p, groups) in groups.iter_mut().enumerate() {
                        groups.group((0..).zip(uses).filter(|&(_, row)| row as usize % 3 == p));
                    }
                    let mut gradients = Matrix::zeros(4, width);
                    for u in 0..4 {
                        for j in 0..width {
                            gradients.row_mut(u)[j] = ((u * 7 + j * 3 + step) as f32 * 0.7).sin();
                        }
                    }
                    for row in [1, 3, 5] {
                        if uses.contains(&row) {
                            for j in 0..width {
                                let g = (0..4)
                                    .filter(|&u| uses[u] == row)
                                    .map(|u| f64::from(gradients.row(u)[j]));
                                plain(&o, g.sum(), &mut expected[row as usize][j]);
                            }
                        }
                    }
                    let source = GradientRows { gradients: &gradients, source: None };
                    let parts = TableParts::new(&mut value, &mut state, groups.len());
                    pool.for_each(groups.iter().enumerate(), |(p, groups)| {
                        update_table(isa, &o, 1.0, parts.take(p), groups, source);
                    });
                }
                for r in 0..rows {
                    for j in 0..width {
                        let (is, should) = (f64::from(value.row(r)[j]), expected[r][j].0);
                        assert!((is - should).abs() < 2e-5, "{isa} {o:?} row {r}: {is}, not {should}");
                    }
                }
                for r in [0, 2, 4, 6] {
                    assert_eq!(value.row(r), start.row(r), "row {r} was not used");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "the state of another optimiser")]
fn the_state_of_another_optimiser_is_refused_by_a_table() {
    let sgd = UpdateRule::new(Optimizer::Sgd, 0.1);
    let (mut value, mut state) = (Matrix::zeros(2, 3), OptimizerState::new(&sgd, 2, 3));
    let mut groups = RowGroups::new(2);
    groups.group([(0, 0), (1, 1)].into_iter());
    let source = GradientRows { gradients: &Matrix::zeros(2, 3), source: None };
    let adam = UpdateRule::new(Optimizer::Adam, 0.1);
    let parts = TableParts::new(&mut value, &mut state, 1);
    update_table(Isa::PORTABLE, &adam, 1.0, parts.take(0), &groups, source);
}

#[test]
fn the_state_of_another_optimiser_is_refused_by_a_block() {
    let sgd = UpdateRule::new(Optimizer::Sgd, 0.1);
    let others = [Optimizer::Adagrad, Optimizer::Rmsprop, Optimizer::Adam]
        .map(|optimizer| UpdateRule::new(optimizer, 0.1))
        .into_iter()
        .chain([UpdateRule { momentum: 0.5, ..sgd }]);
    for other in others {
        let refused = std::panic::catch_unwind(|| {
            let (mut value, mut state) = (Matrix::zeros(2, 3), OptimizerState::new(&sgd, 2, 3));
            let gradient = value.clone();
            for block in DenseBlocks::new(&mut value, &mut state, 2) {
                update_dense(Isa::PORTABLE, &other, 1.0, block, gradient.data());
            }
        });
        assert!(refused.is_err(), "{other:?}");
    }
}

#[test]
fn dense_updates_equal_table_updates() {
    let pool = ThreadPool::new(2);
    let (rows, width, steps) = if cfg!(miri) { (5, 17, 1) } else { (9, 33, 3) };
    for optimizer in OPTIMIZERS {
        let o = UpdateRule { momentum: 0.3, l2: 0.001, ..UpdateRule::new(optimizer, 0.05) };
        let mut gradient = Matrix::zeros(rows, width);
        for r in 0..rows {
            (0..width).for_each(|j| gradient.row_mut(r)[j] = ((r * width + j) as f32).cos());
        }
        let (mut a, mut b) = (gradient.clone(), gradient.clone());
        let (mut state_a, mut state_b) =
            (OptimizerState::new(&o, rows, width), OptimizerState::new(&o, rows, width));
        let mut groups = RowGroups::new(rows);
        groups.group((0..rows as u32).map(|r| (r, r)));
        for _ in 0..steps {
            let source = GradientRows { gradients: &gradient, source: None };
            let part = TableParts::new(&mut a, &mut state_a, 1).take(0);
            update_table(Isa::detect(), &o, 0.5, part, &groups, source);
            let stride = gradient.stride();
            pool.for_each(DenseBlocks::new(&mut b, &mut state_b, 4), |block| {
                let gradient = &gradient.data()[block.first() * stride..][..block.count() * stride];
                update_dense(Isa::detect(), &o, 0.5, block, gradient);
            });
        }
        assert_eq!(a.data(), b.data(), "{optimizer:?}");
        let source = GradientRows { gradients: &gradient, source: None };
        let (table, dense) = (
            table_norm_squared(Isa::detect(), 0.1, &a, &groups, source),
            dense_norm_squared(Isa::detect(), 0.1, &a, &gradient),
        );
        assert_eq!(table, dense);
    }
}

#[test]
fn updated_rows_can_be_scaled_to_the_length_1() {
    let sgd = UpdateRule::new(Optimizer::Sgd, 0.1);
    for isa in Isa::available() {
        for (columns, width) in [(1, 2), (5, 6), (16, 17), (33, 40)] {
            let mut value = Matrix::zeros(4, width);
            for r in 0..4 {
                (0..width).for_each(|j| value.row_mut(r)[j] = ((r * width + j) as f32 * 0.7).sin());
            }
            let start = value.clone();
            let mut gradients = Matrix::zeros(2, width);
            for u in 0..2 {
                (0..width).for_each(|j| gradients.row_mut(u)[j] = ((u + 3 * j) as f32).cos());
            }
            let mut state = OptimizerState::new(&sgd, 4, width);
            let mut groups = RowGroups::new(4);
            groups.group([(0, 1), (1, 3)].into_iter());
            let source = GradientRows { gradients: &gradients, source: None };
            let part = TableParts::new(&mut value, &mut state, 1).of_unit_rows(columns).take(0);
            update_table(isa, &sgd, 1.0, part, &groups, source);
            for (u, r) in [1, 3].into_iter().enumerate() {
                let moved = |j: usize| f64::from(start.row(r)[j]) - 0.1 * f64::from(gradients.row(u)[j]);
                let length = (0..columns).map(|j| moved(j).powi(2)).sum::<f64>().sqrt();
                for j in 0..width {
                    let should = if j < columns { moved(j) / length } else { moved(j) };
                    let is = f64::from(value.row(r)[j]);
                    assert!((is - should).abs() < 1e-6, "{isa} row {r} column {j}: {is}, not {should}");
                }
            }
            assert!([0, 2].into_iter().all(|r| value.row(r) == start.row(r)), "{isa}");
        }
    }
}

#[test]
fn a_part_of_a_table_is_given_away_once_and_takes_its_own_groups_only() {
    let sgd = UpdateRule::new(Optimizer::Sgd, 0.1);
    let refused = |run: &dyn Fn(&TableParts)| {
        let (mut value, mut state) = (Matrix::zeros(5, 3), OptimizerState::new(&sgd, 5, 3));
        let parts = TableParts::new(&mut value, &mut state, 2);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&parts))).is_err()
    };
    let gradients = Matrix::zeros(2, 3);
    let source = GradientRows { gradients: &gradients, source: None };
    let update = |parts: &TableParts, groups: RowGroups| {
        update_table(Isa::PORTABLE, &sgd, 1.0, parts.take(1), &groups, source);
    };
    assert!(!refused(&|parts| update(parts, RowGroups::of_part(5, 1, 2))));
    assert!(refused(&|parts| update(parts, RowGroups::of_part(5, 0, 2))), "another part");
    assert!(refused(&|parts| update(parts, RowGroups::of_part(7, 1, 2))), "another table");
    assert!(refused(&|parts| _ = (parts.take(1), parts.take(1))), "twice");
    assert!(refused(&|parts| _ = parts.take(2)), "a part that is not there");
}
