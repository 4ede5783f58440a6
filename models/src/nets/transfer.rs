//! What a trained network gives to one with other classes.
//!
//! Takes two graphs of one architecture and width, gives the second with the first's weights; the
//! last dense layer stays as it is where the number of classes differs.

use crate::graph::{Graph, Op};

/// `fresh` with every node's weights, bias and norm from `trained`, but for dense layers of another size;
/// `None` where the two are not one architecture and width.
pub fn transfer(trained: &Graph, mut fresh: Graph) -> Option<Graph> {
    if trained.name != fresh.name || trained.nodes.len() != fresh.nodes.len() {
        return None;
    }
    for (to, from) in fresh.nodes.iter_mut().zip(&trained.nodes) {
        let same = match (&to.op, &from.op) {
            (Op::Dense(to), Op::Dense(from)) if to.weights.len() != from.weights.len() => continue,
            (Op::Conv2d(to), Op::Conv2d(from)) | (Op::Dense(to), Op::Dense(from)) => {
                (to.window, to.weights.len(), to.relu) == (from.window, from.weights.len(), from.relu)
            }
            (to, from) => to == from,
        };
        if !same || to.name != from.name {
            return None;
        }
        to.op = from.op.clone();
    }
    Some(fresh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::resnet::ResNet;

    fn net(classes: usize, width: f32, seed: u64) -> Graph {
        ResNet { blocks: 1, width }.graph((0..classes).map(|i| i.to_string()).collect(), seed)
    }

    fn weights(graph: &Graph, name: &str) -> Vec<f32> {
        let node = graph.nodes.iter().find(|node| node.name == name).expect("the node");
        match &node.op {
            Op::Conv2d(conv) | Op::Dense(conv) => conv.weights.clone(),
            _ => vec![],
        }
    }

    #[test]
    fn all_but_the_head_is_taken_over() {
        let (trained, fresh) = (net(10, 0.5, 1), net(3, 0.5, 2));
        let tuned = transfer(&trained, fresh.clone()).expect("one architecture");
        assert_eq!(weights(&tuned, "stack3.conv2"), weights(&trained, "stack3.conv2"));
        assert_eq!(weights(&tuned, "dense"), weights(&fresh, "dense"));
        assert_eq!(tuned.labels, fresh.labels);
        assert_eq!(tuned.tensors, fresh.tensors);
    }

    #[test]
    fn as_many_classes_keep_the_head() {
        let (trained, fresh) = (net(10, 0.5, 1), net(10, 0.5, 2));
        assert_eq!(transfer(&trained, fresh).expect("one architecture"), trained);
    }

    #[test]
    fn another_width_gives_nothing() {
        assert!(transfer(&net(10, 0.5, 1), net(3, 0.25, 2)).is_none());
    }
}
