//! rten, its weights packed when it loads. Threads are those of RTEN_NUM_THREADS, which run.py sets.

use mlc_peers::{Data, Workload};
use rten::{ModelOptions, NodeId, Value, ValueOrView};
use rten_tensor::{Tensor, prelude::*};

fn main() {
    let load = |workload: &Workload| {
        let model = ModelOptions::with_all_ops().prepack_weights(true).load_file(&workload.model).expect("a model");
        let input = |array: &mlc_peers::Array| -> (NodeId, Value) {
            let value = match &array.data {
                Data::F32(elements) => Tensor::from_data(&array.shape[..], elements.clone()).into(),
                Data::I64(ids) => Tensor::from_data(&array.shape[..], ids.iter().map(|id| *id as i32).collect::<Vec<_>>()).into(),
                Data::F64(_) => panic!("no input is f64"),
            };
            (model.node_id(&array.name).expect("an input"), value)
        };
        let inputs: Vec<(NodeId, Value)> = workload.inputs.iter().map(input).collect();
        let outputs: Vec<NodeId> = workload.outputs.iter().map(|name| model.node_id(name).expect("an output")).collect();
        (model, inputs, outputs)
    };
    Workload::read().serve(
        "0.27.0",
        load,
        |(model, inputs, outputs)| {
            let given: Vec<(NodeId, ValueOrView)> = inputs.iter().map(|(node, value)| (*node, value.as_view().into())).collect();
            model.run(given, outputs, None).expect("a call")
        },
        |found| found.into_iter().map(|value| Tensor::<f32>::try_from(value).expect("f32").to_vec()).collect(),
    );
}
