//! Which token comes next: the likeliest, or one drawn by its probability.
//! Invariant: the same seed and the same scores give the same tokens.

/// Chooses among scores.
#[derive(Debug, Clone)]
pub struct Sampler {
    temperature: f32,
    state: u64,
}

impl Sampler {
    /// At temperature 0 always the greatest score; the higher it is, the more even the draw.
    pub fn new(temperature: f32, seed: u64) -> Sampler {
        Sampler { temperature, state: seed }
    }

    /// The position of the chosen score: `softmax(scores / temperature)` at a number drawn from 0..1.
    pub fn choose(&mut self, scores: &[f32]) -> usize {
        let top = (0..scores.len()).reduce(|best, i| if scores[i] > scores[best] { i } else { best }).unwrap_or(0);
        if self.temperature <= 0.0 {
            return top;
        }
        let (drawn, temperature) = (self.draw(), self.temperature);
        let weight = |score: &f32| f64::from((score - scores[top]) / temperature).exp();
        let mut left = drawn * scores.iter().map(weight).sum::<f64>();
        let chosen = scores.iter().position(|score| {
            left -= weight(score);
            left < 0.0
        });
        chosen.unwrap_or(top)
    }

    /// The next number of splitmix64 (Steele, Lea, Flood 2014), in 0..1.
    fn draw(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Sampler;

    #[test]
    fn cold_takes_the_best_and_warm_follows_the_odds() {
        let scores = [0.0f32, 3f32.ln(), f32::NEG_INFINITY];
        assert_eq!(Sampler::new(0.0, 7).choose(&scores), 1);
        let mut sampler = Sampler::new(1.0, 7);
        let drawn: Vec<usize> = (0..4000).map(|_| sampler.choose(&scores)).collect();
        let share = drawn.iter().filter(|choice| **choice == 1).count() as f64 / 4000.0;
        assert!((share - 0.75).abs() < 0.03, "{share} of the draws, not three in four");
        assert!(!drawn.contains(&2));
        let mut again = Sampler::new(1.0, 7);
        assert_eq!(drawn[..50], (0..50).map(|_| again.choose(&scores)).collect::<Vec<_>>());
    }
}
