//! Names beside what they name, without overlaps.

/// Height of a line of text.
pub(super) const LINE: f64 = 12.0;

/// About the width of a character.
const CHARACTER: f64 = 6.1;

/// The most characters of a name in a plot.
const LONGEST: usize = 16;

/// Shortens a name that would not fit beside a plot.
pub(super) fn short(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    name.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// The space that the longest of these names needs.
pub(super) fn width<'a>(names: impl Iterator<Item = &'a str>) -> f64 {
    names.map(|name| short(name).chars().count()).max().unwrap_or(0) as f64 * CHARACTER
}

/// Moves heights apart by at least a line, as little as possible and within `top` to `bottom` while there is room. The page's
/// script does the same when models are shown or hidden.
pub(super) fn spread(heights: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|&a, &b| heights[a].total_cmp(&heights[b]));
    // Blocks of touching labels: the height of the first one, and their number.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    let clamp = |at: f64, count: usize| at.min(bottom - LINE * (count - 1) as f64).max(top);
    for &i in &order {
        let mut block = (clamp(heights[i], 1), 1);
        while let Some(&(above, count)) = blocks.last() {
            if above + LINE * count as f64 <= block.0 {
                break;
            }
            blocks.pop();
            let (own, all) = (block.0 - LINE * count as f64, (count + block.1) as f64);
            let at = (above * count as f64 + own * block.1 as f64) / all;
            block = (clamp(at, count + block.1), count + block.1);
        }
        blocks.push(block);
    }
    let mut places = vec![0.0; heights.len()];
    let at = blocks.iter().flat_map(|&(first, count)| (0..count).map(move |i| first + LINE * i as f64));
    order.iter().zip(at).for_each(|(&i, at)| places[i] = at);
    places
}

/// A rectangle: left, top, right, bottom.
type Area = [f64; 4];

/// Places for the names of points: right or left of each, or as near above or below as no other name or point is covered.
/// Returns for each the position of its text and whether that is its left or right end.
pub(super) fn beside(
    points: &[(f64, f64)],
    names: &[&str],
    (left, right): (f64, f64),
) -> Vec<(f64, f64, &'static str)> {
    const GAP: f64 = 7.0;
    const STEPS: [f64; 9] = [0.0, -1.0, 1.0, -2.0, 2.0, -3.0, 3.0, -4.0, 4.0];
    let mut taken: Vec<Area> = points.iter().map(|&(x, y)| [x - 4.0, y - 4.0, x + 4.0, y + 4.0]).collect();
    let overlap = |a: &Area, b: &Area| a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
    let mut places = Vec::new();
    for (&(x, y), name) in points.iter().zip(names) {
        let wide = short(name).chars().count() as f64 * CHARACTER;
        let options: Vec<(f64, f64, &str, Area)> = STEPS
            .iter()
            .flat_map(|step| {
                let at = y + LINE * step;
                let area = |from: f64| [from, at - 5.5, from + wide, at + 5.5];
                [(x + GAP, at, "start", area(x + GAP)), (x - GAP, at, "end", area(x - GAP - wide))]
            })
            .collect();
        let inside = |area: &Area| area[0] >= left && area[2] <= right;
        let is_free = |area: &Area| inside(area) && !taken.iter().any(|other| overlap(area, other));
        let found = options.iter().find(|option| is_free(&option.3));
        // If all are taken, a name that is cut off would be worse than two that overlap.
        let found = found.or_else(|| options.iter().find(|option| inside(&option.3))).unwrap_or(&options[0]);
        taken.push(found.3);
        places.push((found.0, found.1 + 4.0, found.2));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_labels_keep_their_order_and_a_line_between_them() {
        assert_eq!(spread(&[50.0, 10.0], 0.0, 100.0), [50.0, 10.0]);
        assert_eq!(spread(&[50.0, 50.0], 0.0, 100.0), [44.0, 56.0]);
        assert_eq!(spread(&[99.0, 100.0, 98.0], 0.0, 100.0), [88.0, 100.0, 76.0]);
        let many: Vec<f64> = (0..13).map(|i| f64::from(i * i % 7)).collect();
        let places = spread(&many, 20.0, 200.0);
        let mut sorted = places.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= LINE - 1e-9), "{sorted:?}");
        assert!(sorted[0] >= 20.0 && sorted[12] <= 200.0);
        assert!(spread(&[], 0.0, 1.0).is_empty());
    }

    #[test]
    fn names_beside_points_do_not_cover_each_other_where_there_is_room() {
        let places = beside(&[(100.0, 50.0), (110.0, 50.0)], &["first", "second"], (0.0, 400.0));
        assert_eq!((places[0].2, places[1].2), ("end", "start"));
        // At the right edge, the name is on the left.
        assert_eq!(beside(&[(395.0, 50.0)], &["name"], (0.0, 400.0))[0].2, "end");
        assert_eq!(short("a-name-that-is-far-too-long"), "a-name-that-is-…");
    }
}
