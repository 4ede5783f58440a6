//! SGD with Nesterov momentum, its schedule, and the average of the weights.
//!
//! Works on plain arrays. Weight decay falls on weights only. Statistics of batch norms are not
//! trained but follow what the forward passes measured.

use crate::config::Config;
use crate::qat::{Kind, Parameter};

/// Momentum of the updates.
const MOMENTUM: f32 = 0.9;
/// Part of a running statistic that a new measurement replaces.
const STATISTIC_RATE: f32 = 0.1;
/// Smallest bound of an activation.
const LEAST_BOUND: f32 = 1e-3;

/// Parameters, their momentum and their average.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct State {
    /// Current values.
    pub values: Vec<Vec<f32>>,
    /// Averaged values, which are exported.
    pub average: Vec<Vec<f32>>,
    /// Momentum of each value.
    pub momentum: Vec<Vec<f32>>,
    /// Updates made.
    pub updates: usize,
}

impl State {
    /// The start of a run.
    pub fn new(values: Vec<Vec<f32>>) -> Self {
        let momentum = values.iter().map(|v| vec![0.0; v.len()]).collect();
        Self { average: values.clone(), values, momentum, updates: 0 }
    }

    /// One update. `gradients` holds `None` for what is not trained.
    pub fn update(
        &mut self,
        config: &Config,
        total_updates: usize,
        parameters: &[Parameter],
        gradients: &[Option<Vec<f32>>],
    ) {
        let lr = learning_rate(config, self.updates, total_updates);
        let shortened = shortening(config.clip, gradients);
        for (index, (parameter, gradient)) in parameters.iter().zip(gradients).enumerate() {
            let Some(gradient) = gradient else { continue };
            let decay = if parameter.kind == Kind::Weight { config.weight_decay } else { 0.0 };
            let values = &mut self.values[index];
            for ((value, momentum), gradient) in
                values.iter_mut().zip(&mut self.momentum[index]).zip(gradient)
            {
                let gradient = shortened * gradient + decay * *value;
                *momentum = MOMENTUM * *momentum + gradient;
                *value -= lr * (gradient + MOMENTUM * *momentum);
            }
            if parameter.kind == Kind::Bound {
                values.iter_mut().for_each(|bound| *bound = bound.max(LEAST_BOUND));
            }
        }
    }

    /// Moves a running statistic towards a measured value.
    pub fn measure(&mut self, index: usize, measured: &[f32]) {
        for (value, measured) in self.values[index].iter_mut().zip(measured) {
            *value += STATISTIC_RATE * (measured - *value);
        }
    }

    /// Ends an update: moves the average. Early in a run it follows faster.
    pub fn finish_update(&mut self, config: &Config) {
        let decay = config.ema.min((1 + self.updates) as f32 / (10 + self.updates) as f32);
        for (average, value) in self.average.iter_mut().flatten().zip(self.values.iter().flatten()) {
            *average += (1.0 - decay) * (value - *average);
        }
        self.updates += 1;
    }
}

/// What to multiply gradients by so that their norm is at most `longest`; 0 stands for no limit.
fn shortening(longest: f32, gradients: &[Option<Vec<f32>>]) -> f32 {
    let squares = |part: &Vec<f32>| part.iter().map(|g| f64::from(g * g)).sum::<f64>();
    let norm = gradients.iter().flatten().map(squares).sum::<f64>().sqrt() as f32;
    if longest > 0.0 && norm > longest { longest / norm } else { 1.0 }
}

/// Rises linearly to the peak, then falls linearly to zero.
pub fn learning_rate(config: &Config, update: usize, total: usize) -> f32 {
    let warmup = (config.warmup * total as f32).max(1e-6);
    let done = update as f32 + 0.5;
    let rising = done / warmup;
    let falling = (total as f32 - done) / (total as f32 - warmup).max(1e-6);
    config.lr * rising.min(falling).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = "dataset = 'shapes'\narch = 'resnet8'\nwidth = 1.0\nsetting = 'float'\nepochs = 1\nlr = 1.0\nseed = 1\nwarmup = 0.2\nweight_decay = 0.5\nema = 0.5\n";
        Config::parse(text).expect("parses")
    }

    #[test]
    fn schedule_by_hand() {
        // Ten updates: two rising, eight falling.
        let rates: Vec<f32> = (0..10).map(|i| learning_rate(&config(), i, 10)).collect();
        let expected = [0.25, 0.75, 0.9375, 0.8125, 0.6875, 0.5625, 0.4375, 0.3125, 0.1875, 0.0625];
        assert!(rates.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{rates:?}");
    }

    #[test]
    fn long_gradients_are_shortened() {
        let gradients = [Some(vec![3.0]), None, Some(vec![0.0, 4.0])];
        assert_eq!([0.0, 10.0, 1.0].map(|longest| shortening(longest, &gradients)), [1.0, 1.0, 0.2]);
    }

    #[test]
    fn updates_by_hand() {
        let parameter = |kind| Parameter { name: String::new(), kind };
        let parameters = [Kind::Weight, Kind::Offset, Kind::Bound, Kind::Statistic].map(parameter);
        let mut state = State::new(vec![vec![2.0], vec![2.0], vec![0.1], vec![1.0]]);
        let gradient = Some(vec![1.0]);
        // First of ten updates: rate 0.25. Weight: g = 1 + 0.5 * 2 = 2, m = 2, step 0.25 * 3.8.
        state.update(&config(), 10, &parameters, &[gradient.clone(), gradient.clone(), gradient, None]);
        state.measure(3, &[2.0]);
        let close = |a: f32, b: f32| (a - b).abs() < 1e-6;
        assert!(close(state.values[0][0], 2.0 - 0.95));
        assert!(close(state.values[1][0], 2.0 - 0.25 * 1.9));
        assert_eq!(state.values[2][0], LEAST_BOUND);
        assert!(close(state.values[3][0], 1.1));
        // The first average moves by 1 - 1/10.
        state.finish_update(&config());
        assert!(close(state.average[0][0], 2.0 - 0.9 * 0.95));
        assert_eq!(state.updates, 1);
    }
}
