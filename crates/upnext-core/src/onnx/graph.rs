//! A graph under construction: nodes and constants, whose values have unique names.

use super::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, element};

/// The name of a value in a graph.
pub(super) type Value = String;

/// A graph under construction.
#[derive(Default)]
pub(super) struct Graph {
    pub(super) proto: GraphProto,
    values: usize,
}

impl Graph {
    fn unique(&mut self, op: &str) -> Value {
        self.values += 1;
        format!("{}_{}", op.to_ascii_lowercase(), self.values)
    }

    /// Adds a node with one output.
    pub(super) fn node(&mut self, op: &str, inputs: &[&str]) -> Value {
        self.node_with(op, inputs, Vec::new())
    }

    /// Adds a node with attributes and one output.
    pub(super) fn node_with(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> Value {
        let output = self.unique(op);
        self.push(op, inputs, vec![output.clone()], attributes);
        output
    }

    /// Gives a value a name: that of an output of the graph.
    pub(super) fn named(&mut self, value: &str, name: &str) {
        self.push("Identity", &[value], vec![name.to_owned()], Vec::new());
    }

    fn push(&mut self, op: &str, inputs: &[&str], output: Vec<Value>, attribute: Vec<AttributeProto>) {
        self.proto.node.push(NodeProto {
            name: format!("node_{}", self.proto.node.len()),
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output,
            op_type: op.to_owned(),
            attribute,
        });
    }

    /// Cuts a matrix into blocks of columns.
    pub(super) fn split<const N: usize>(&mut self, value: &str, columns: [usize; N]) -> [Value; N] {
        let sizes = columns.map(|columns| columns as i64);
        let sizes = self.integers(&[N], &sizes);
        let outputs: [Value; N] = std::array::from_fn(|_| self.unique("Split"));
        self.push("Split", &[value, &sizes], outputs.to_vec(), vec![AttributeProto::int("axis", 1)]);
        outputs
    }

    /// The largest values of each row and their places, both in the order of the values, the largest first.
    pub(super) fn largest(&mut self, value: &str, k: usize) -> (Value, Value) {
        let k = self.integers(&[1], &[k as i64]);
        let (values, places) = (self.unique("TopK"), self.unique("TopK"));
        self.push("TopK", &[value, &k], vec![values.clone(), places.clone()], Vec::new());
        (values, places)
    }

    /// Adds a constant under a name of its own.
    pub(super) fn weights(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        self.constant(
            name.to_owned(),
            shape,
            element::FLOAT,
            values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        )
    }

    /// Adds a constant.
    pub(super) fn floats(&mut self, shape: &[usize], values: &[f32]) -> Value {
        let name = self.unique("const");
        self.weights(&name, shape, values)
    }

    /// Adds a constant of integers.
    pub(super) fn integers(&mut self, shape: &[usize], values: &[i64]) -> Value {
        let name = self.unique("const");
        self.constant(name, shape, element::INT64, values.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    fn constant(&mut self, name: Value, shape: &[usize], data_type: i32, raw_data: Vec<u8>) -> Value {
        let dims = shape.iter().map(|&size| size as i64).collect();
        self.proto.initializer.push(TensorProto { dims, data_type, name: name.clone(), raw_data });
        name
    }
}
