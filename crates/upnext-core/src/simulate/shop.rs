//! The shop's items: their categories, their popularity on a day, and the choice of a session's next item.

/// Number of tastes. Each taste has its own successors of an item.
pub(super) const TASTES: u64 = 4;

/// Approximate number of items in a category.
const CATEGORY_SIZE: usize = 40;

/// Cumulative probabilities of the six successors of an item.
const SUCCESSORS: [f64; 6] = [0.35, 0.6, 0.75, 0.85, 0.93, 1.0];

/// A sequence of random numbers: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub(super) struct Draw(u64);

impl Draw {
    /// The sequence number `stream` of a seed.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        Self(mix(seed ^ mix(stream)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform in [0, 1).
    pub(super) fn share(&mut self) -> f64 {
        share(self.next())
    }

    /// Uniform in 0..n. The bias of the remainder, n / 2⁶⁴, is negligible.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn share(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// The weight of popularity rank `r`, from 0.
fn zipf(r: usize) -> f64 {
    let root = (r as f64 + 1.0).sqrt();
    1.0 / (root * root.sqrt())
}

/// All items and their popularity on the current day. An item's position in its category is its rank there.
#[derive(Debug)]
pub(super) struct Shop {
    seed: u64,
    days: u32,
    /// The first item of each category, and the number of items.
    starts: Vec<usize>,
    /// Cumulative weights of the categories.
    categories: Vec<f64>,
    /// Cumulative weights of the items inside each category on the current day; an item that has not appeared yet adds
    /// 0.
    items: Vec<f64>,
    today: u32,
}

impl Shop {
    pub(super) fn new(items: u32, days: u32, seed: u64) -> Self {
        let n = items as usize;
        let count = (n / CATEGORY_SIZE).max(1);
        let starts = (0..=count).map(|c| c * n / count).collect();
        let categories = cumulated((0..count).map(zipf));
        let mut shop = Self { seed, days, starts, categories, items: vec![0.0; n], today: 0 };
        shop.open_on(0);
        shop
    }

    /// Sets the current day, and the popularities of that day.
    pub(super) fn open_on(&mut self, day: u32) {
        self.today = day;
        for category in 0..self.categories.len() {
            let start = self.starts[category];
            let mut sum = 0.0;
            for item in start..self.starts[category + 1] {
                sum += self.weight(item, item - start);
                self.items[item] = sum;
            }
        }
    }

    /// The item's weight in its category on the current day.
    fn weight(&self, item: usize, rank: usize) -> f64 {
        let age = i64::from(self.today) - self.birth(item, rank);
        if age < 0 {
            return 0.0;
        }
        let mood = 0.5 + share(self.hash(item, 1 << 32 | u64::from(self.today)));
        zipf(rank) * mood / (1.0 + age as f64 / 10.0)
    }

    /// The day on which the item appears: not after the log's first day for four in five and for the first of a
    /// category.
    fn birth(&self, item: usize, rank: usize) -> i64 {
        let bits = self.hash(item, 2 << 32);
        if rank > 0 && self.days > 1 && bits.is_multiple_of(5) {
            1 + (bits / 5 % u64::from(self.days - 1)) as i64
        } else {
            -((bits / 5 % 40) as i64)
        }
    }

    fn hash(&self, item: usize, what: u64) -> u64 {
        mix(self.seed ^ mix(item as u64 ^ mix(what)))
    }

    /// The category of an item, both from 0.
    pub(super) fn category_of(&self, item: u32) -> usize {
        self.starts.partition_point(|&start| start <= item as usize) - 1
    }

    /// Draws the next item of a session with the items `seen`, the current one last.
    pub(super) fn click(&self, seen: &[u32], taste: u64, draw: &mut Draw) -> u32 {
        let Some(&current) = seen.last() else { return self.popular_anywhere(draw) };
        let what = draw.share();
        if what < 0.12 {
            return seen[draw.below(seen.len() as u64) as usize];
        }
        let category = self.category_of(current);
        if what < 0.62 {
            let liking = draw.share();
            let which = SUCCESSORS.iter().position(|&cumulated| liking < cumulated).unwrap_or(0);
            let next = self.successor(current as usize, category, taste, which as u64);
            if self.birth(next, next - self.starts[category]) <= i64::from(self.today) {
                return next as u32;
            }
        }
        if what < 0.86 { self.popular_in(category, draw) } else { self.popular_anywhere(draw) }
    }

    /// One of the likely successors of an item: another item of its category, preferably a popular one.
    fn successor(&self, item: usize, category: usize, taste: u64, which: u64) -> usize {
        let (start, size) = (self.starts[category], self.starts[category + 1] - self.starts[category]);
        let bits = self.hash(item, 3 << 32 | taste << 8 | which);
        let rank = ((bits >> 32) as usize % size).min((bits & 0xffff_ffff) as usize % size);
        if start + rank == item { start + (rank + 1) % size } else { start + rank }
    }

    fn popular_anywhere(&self, draw: &mut Draw) -> u32 {
        let category = pick(&self.categories, draw);
        self.popular_in(category, draw)
    }

    fn popular_in(&self, category: usize, draw: &mut Draw) -> u32 {
        let items = self.starts[category]..self.starts[category + 1];
        (items.start + pick(&self.items[items], draw)) as u32
    }
}

fn cumulated(weights: impl Iterator<Item = f64>) -> Vec<f64> {
    weights
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect()
}

/// Draws an index with a probability proportional to its weight.
fn pick(cumulated: &[f64], draw: &mut Draw) -> usize {
    let total = cumulated.last().copied().unwrap_or(0.0);
    let at = draw.share() * total;
    cumulated.partition_point(|&sum| sum <= at).min(cumulated.len() - 1)
}
