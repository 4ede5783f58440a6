//! Real factors as fixed-point rescales.

use fourbit::requant::Rescale;

/// The rescale nearest to a real factor: multiplier in `[2^30, 2^31)`, shift in `2..=62`; `None`
/// where the factor is outside `[2^-32, 2^29)`, negative or not a number.
///
/// A factor below 1/4 has a shift of 33 or more, which is what the fast kernels are made for. A
/// larger one, where a step of the accumulator is more than a quarter of the output's, keeps its
/// smaller shift: as valid, and exact.
pub fn rescale(factor: f64) -> Option<Rescale> {
    const TOP: f64 = (1u64 << 31) as f64;
    const HALF: f64 = TOP / 2.0;
    if !factor.is_normal() || factor < 0.0 {
        return None;
    }
    // A power of two scales a float exactly, so the one rounding is the multiplier's.
    let mut shift = 30 - factor.log2().floor() as i32;
    let mut multiplier = (factor * 2f64.powi(shift)).round_ties_even();
    if multiplier >= TOP {
        shift -= 1;
        multiplier = (factor * 2f64.powi(shift)).round_ties_even();
    } else if multiplier < HALF {
        shift += 1;
        multiplier = (factor * 2f64.powi(shift)).round_ties_even();
    }
    let fits = (2..=62).contains(&shift) && (HALF..TOP).contains(&multiplier);
    fits.then_some(Rescale { multiplier: multiplier as i32, shift: shift as u8 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let cases = [
            (0.5, 1 << 30, 31),
            (0.25, 1 << 30, 32),
            (0.75, 3 << 29, 31),
            (1.0, 1 << 30, 30),
            ((1u64 << 19) as f64, 1 << 30, 11),
            // 2^-32 and the largest number below 2^29.
            (2f64.powi(-32), 1 << 30, 62),
            (2f64.powi(29) - 1.0, i32::MAX - 3, 2),
        ];
        for (factor, multiplier, shift) in cases {
            assert_eq!(rescale(factor), Some(Rescale { multiplier, shift }), "{factor}");
        }
    }

    #[test]
    fn a_multiplier_that_rounds_to_the_top_is_halved() {
        let below_one = 1.0 - 2f64.powi(-40);
        assert_eq!(rescale(below_one), Some(Rescale { multiplier: 1 << 30, shift: 30 }));
    }

    #[test]
    fn outside() {
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY, 2f64.powi(29), 2f64.powi(-33)] {
            assert_eq!(rescale(factor), None, "{factor}");
        }
    }

    #[test]
    fn every_factor_is_met_to_31_bits() {
        let mut factor = 1.0e-9;
        while factor < 1.0e8 {
            let Rescale { multiplier, shift } = rescale(factor).expect("inside");
            let met = f64::from(multiplier) / 2f64.powi(i32::from(shift));
            assert!((met / factor - 1.0).abs() <= 2f64.powi(-31), "{factor}");
            assert!(factor >= 0.25 || shift >= 33);
            factor *= 1.37;
        }
    }
}
