//! What only changes how a value is counted, and the arithmetic of shapes around it.
//!
//! Exporters compute the target of a reshape from the batch of the image; with a batch of 1 all of
//! it is constant.

use super::{Order, Stop, Value, Walk};
use crate::import::Reason;
use crate::import::onnx::constant::{Constant, Data};
use crate::import::onnx::proto::{FLOAT, NodeProto, text};

impl<'a> Walk<'a> {
    /// `Flatten`, `Reshape`, `Squeeze`: to `[1, elements]`, or to the shape that the value has.
    pub(super) fn reshape(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        let asked = match node.op_type.as_str() {
            "Flatten" => Vec::new(),
            "Squeeze" => self.axes(node)?,
            _ => self.constant(node, 1)?.ints()?.to_vec(),
        };
        let value = self.any(node, 0)?;
        let dims = self.dims(&value);
        let elements: i64 = dims.iter().product();
        let refused = || Reason::Target(asked.clone());
        let target = match node.op_type.as_str() {
            "Flatten" if matches!(node.int("axis", 1), 1 | -3) => vec![1, elements],
            "Flatten" => return Err(Reason::Target(vec![node.int("axis", 1)]).into()),
            "Squeeze" if asked.is_empty() => return Err(refused().into()),
            "Squeeze" => {
                let rank = dims.len() as i64;
                let gone = |axis: i64| asked.contains(&axis) || asked.contains(&(axis - rank));
                let kept = dims.iter().zip(0..).filter(|&(_, axis)| !gone(axis));
                kept.map(|(&extent, _)| extent).collect()
            }
            _ => resolve(&asked, &dims).ok_or_else(refused)?,
        };
        if target == dims {
            return Ok(value);
        }
        if target == [1, elements] { Ok(Value { flat: true, ..value }) } else { Err(refused().into()) }
    }

    /// A transpose between the two orders of channels.
    pub(super) fn transpose(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        let value = self.any(node, 0)?;
        let order = match (node.ints("perm"), value.order) {
            (Some([0, 2, 3, 1]), Order::ChannelsFirst) if !value.flat => Order::ChannelsLast,
            (Some([0, 3, 1, 2]), Order::ChannelsLast) if !value.flat => Order::ChannelsFirst,
            (Some([0, 1, 2, 3]), order) if !value.flat => order,
            (Some([0, 1]), order) if value.flat => order,
            (perm, _) => return Err(Reason::Permutation(perm.unwrap_or_default().to_vec()).into()),
        };
        Ok(Value { order, ..value })
    }

    /// The extents of a value in the file.
    fn dims(&self, value: &Value) -> Vec<i64> {
        let [height, width, channels] = self.tensors[value.id].shape.map(|extent| extent as i64);
        match (value.flat, value.order) {
            (true, _) => vec![1, height * width * channels],
            (false, Order::ChannelsFirst) => vec![1, channels, height, width],
            (false, Order::ChannelsLast) => vec![1, height, width, channels],
        }
    }

    /// What an operation gives where that does not depend on the image; `None` where it does.
    pub(super) fn constant_of(&self, node: &NodeProto) -> Result<Option<Constant>, Stop> {
        let name = text(node.output.first().map_or("", String::as_str));
        let list = |values: Vec<i64>| {
            Some(Constant { name: name.clone(), dims: vec![values.len()], data: Data::Ints(values) })
        };
        let input = |index| node.input(index).and_then(|name| self.constants.get(name));
        match node.op_type.as_str() {
            "Constant" => return written(node, &name).map(Some).ok_or(Reason::NoConstant(name).into()),
            "Shape" => return Ok(list(self.dims(&self.any(node, 0)?))),
            _ => {}
        }
        let Some(first) = input(0) else { return Ok(None) };
        let named = |constant: &Constant| Constant { name: name.clone(), ..constant.clone() };
        Ok(match node.op_type.as_str() {
            "Identity" => Some(named(first)),
            // Between integers, or from float32 to the same.
            "Cast" if (node.int("to", 0) == i64::from(FLOAT)) == matches!(first.data, Data::Floats(_)) => {
                Some(named(first))
            }
            "DequantizeLinear" => {
                let (scale, zero) = (self.constant(node, 1)?, self.optional(node, 2)?);
                let stored = first.stored(scale, zero, node.int("axis", 1))?;
                Some(Constant { data: Data::Stored(stored), ..named(first) })
            }
            "Unsqueeze" => list(first.ints()?.to_vec()),
            "Gather" => {
                let (values, at) = (first.ints()?, self.constant(node, 1)?);
                let picked = at.ints()?.iter().map(|&at| pick(values, at)).collect::<Option<Vec<_>>>();
                let picked = picked.ok_or_else(|| Reason::NoConstant(first.name.clone()))?;
                Some(Constant { name, dims: at.dims.clone(), data: Data::Ints(picked) })
            }
            "Concat" => {
                let part = |index| Ok::<_, Stop>(self.constant(node, index)?.ints()?);
                list((0..node.input.len()).map(part).collect::<Result<Vec<_>, _>>()?.concat())
            }
            _ => None,
        })
    }
}

/// The value of a `Constant`.
fn written(node: &NodeProto, name: &str) -> Option<Constant> {
    if let Some(tensor) = node.attribute("value").and_then(|value| value.t.as_ref()) {
        return Constant::read(tensor, name);
    }
    let attribute = node.attribute.first()?;
    let (dims, data) = match attribute.name.as_str() {
        "value_float" => (vec![], Data::Floats(vec![attribute.f])),
        "value_floats" => (vec![attribute.floats.len()], Data::Floats(attribute.floats.clone())),
        "value_int" => (vec![], Data::Ints(vec![attribute.i])),
        "value_ints" => (vec![attribute.ints.len()], Data::Ints(attribute.ints.clone())),
        _ => return None,
    };
    Some(Constant { name: name.to_owned(), dims, data })
}

/// A value by its index, from the end where that is negative.
fn pick(values: &[i64], at: i64) -> Option<i64> {
    let at = if at < 0 { at.checked_add(values.len() as i64)? } else { at };
    values.get(usize::try_from(at).ok()?).copied()
}

/// The shape that a reshape asks for: 0 keeps an extent, -1 takes what is left.
fn resolve(asked: &[i64], dims: &[i64]) -> Option<Vec<i64>> {
    let kept = asked
        .iter()
        .enumerate()
        .map(|(i, &extent)| if extent == 0 { dims.get(i).copied() } else { Some(extent) });
    let mut target = kept.collect::<Option<Vec<_>>>()?;
    let mut known = target.iter().filter(|&&extent| extent != -1);
    let known = known.try_fold(1i64, |n, &extent| n.checked_mul(extent)).filter(|&n| n > 0)?;
    let elements: i64 = dims.iter().product();
    if let Some(open) = target.iter_mut().find(|extent| **extent == -1) {
        *open = elements / known;
    }
    let product = target.iter().try_fold(1i64, |n, &extent| n.checked_mul(extent));
    (product == Some(elements)).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_a_reshape() {
        let dims = [1, 4, 3, 2];
        for (asked, target) in [
            (&[0, -1][..], Some(vec![1, 24])),
            (&[-1, 24], Some(vec![1, 24])),
            (&[1, 4, 6], Some(vec![1, 4, 6])),
            (&[0, 0, 0, 0], Some(vec![1, 4, 3, 2])),
            (&[5, -1], None),
            (&[1, 23], None),
            (&[-1, -1], None),
            (&[0, 0, 0, 0, 0], None),
            (&[i64::MAX, i64::MAX], None),
        ] {
            assert_eq!(resolve(asked, &dims), target, "{asked:?}");
        }
    }

    #[test]
    fn indices_count_from_the_end_too() {
        assert_eq!([0, -1, 2, -3].map(|at| pick(&[7, 8], at)), [Some(7), Some(8), None, None]);
    }
}
