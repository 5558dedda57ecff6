"""A Workflow written with Hera 7: a diamond of scripts that pass parameters. Prints its manifest."""

# pyright: reportMissingImports=false, reportCallIssue=false, reportUnusedExpression=false

from hera.workflows import (
    DAG,
    Parameter,
    Workflow,
    script,
)


@script(image="python:3.11")
def double(number: int):
    print(number * 2)


@script(image="python:3.11", outputs=Parameter(name="total", global_name="total", value_from={"path": "/tmp/total"}))
def add(left: int, right: int):
    with open("/tmp/total", "w") as file:
        file.write(str(left + right))


with (
    Workflow(
        generate_name="diamond-",
        entrypoint="diamond",
        labels={"written-with": "hera"},
        arguments=[Parameter(name="start"), Parameter(name="other", value=5)],
    ) as workflow,
    DAG(name="diamond"),
):
    first = double(name="first", arguments={"number": "{{workflow.parameters.start}}"})
    left = double(name="left", arguments={"number": first.result})
    right = double(name="right", arguments={"number": "{{workflow.parameters.other}}"})
    total = add(name="total", arguments={"left": left.result, "right": right.result})
    first >> [left, right] >> total


if __name__ == "__main__":
    print(workflow.to_yaml())
