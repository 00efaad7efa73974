//! tract, its graph optimised when it loads.

use mlc_peers::{Data, Workload};
use tract_linalg::multithread::{Executor, set_default_executor};
use tract_onnx::prelude::*;

fn main() {
    let load = |workload: &Workload| {
        if workload.threads > 1 {
            set_default_executor(Executor::multithread(workload.threads));
        }
        let model = tract_onnx::onnx().model_for_path(&workload.model).expect("a model");
        let ports = model.input_outlets().expect("inputs").to_vec();
        let input = |port: &OutletId| {
            let array = workload.inputs.iter().find(|array| array.name == model.node(port.node).name).expect("an input");
            let tensor = match &array.data {
                Data::F32(elements) => Tensor::from_shape(&array.shape, elements),
                Data::I64(elements) => Tensor::from_shape(&array.shape, elements),
                Data::F64(_) => panic!("no input is f64"),
            };
            tensor.expect("a tensor").into_tvalue()
        };
        let inputs: TVec<TValue> = ports.iter().map(input).collect();
        (model.into_optimized().expect("an optimised model").into_runnable().expect("a plan"), inputs)
    };
    Workload::read().serve(
        "0.23.9",
        load,
        |(plan, inputs)| plan.run(inputs.clone()).expect("a call"),
        |found| {
            let array = |tensor: &TValue| tensor.to_plain_array_view::<f32>().expect("f32").iter().copied().collect();
            found.iter().map(array).collect()
        },
    );
}
