"""A pipeline of the KFP SDK 1.8: two components, a value and a file passed between them. Prints its manifest."""

# pyright: reportMissingImports=false, reportInvalidTypeForm=false, reportArgumentType=false, reportReturnType=false

import sys
import tempfile

import kfp
from kfp.components import InputPath, OutputPath, create_component_from_func


def prepare(rows: int, data_path: OutputPath(str)) -> int:
    """Writes so many rows, and returns their sum."""
    with open(data_path, "w") as file:
        file.writelines(f"{number}\n" for number in range(rows))
    return sum(range(rows))


def train(
    data_path: InputPath(str),
    expected: int,
    run_id: str,
    stamp: str,
    model_path: OutputPath("Model"),
    mlpipeline_metrics_path: OutputPath("Metrics"),
):
    """Writes a model of what it read, and a metric."""
    import json

    with open(data_path) as file:
        total = sum(int(line) for line in file)
    if total != expected:
        raise SystemExit(f"read {total}, expected {expected}")
    with open(model_path, "w") as file:
        file.write(f"sum={total} run={run_id} stamp={stamp}")
    with open(mlpipeline_metrics_path, "w") as file:
        json.dump({"metrics": [{"name": "total", "numberValue": total, "format": "RAW"}]}, file)


prepare_op = create_component_from_func(prepare, base_image="python:3.9")
train_op = create_component_from_func(train, base_image="python:3.9")


@kfp.dsl.pipeline(name="train", description="Two steps that pass a value and a file")
def pipeline(rows: int = 10, stamp: str = "[[CurrentTime.2006]]"):
    """Prepares data and trains on it."""
    prepared = prepare_op(rows)
    train_op(prepared.outputs["data"], prepared.outputs["Output"], kfp.dsl.RUN_ID_PLACEHOLDER, stamp)


if __name__ == "__main__":
    with tempfile.NamedTemporaryFile(suffix=".yaml") as package:
        kfp.compiler.Compiler().compile(pipeline, package.name)
        sys.stdout.write(package.read().decode())
