"""Runs examples/spark/answer.py on a Spark cluster of two workers on this machine, and compares its records with those of one process."""

import glob
import json
import os
import subprocess
import sys
import tempfile

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
program = os.path.abspath(os.environ.get("GEMMA3N", os.path.join(root, ".build/release/gemma3n")))
command = [program, "batch", "--max-tokens", "8", "--temperature", "0", "--parallel", "4"]


def submit(questions, answers, command):
    environment = dict(os.environ, PYSPARK_PYTHON=sys.executable, PYSPARK_DRIVER_PYTHON=sys.executable)
    environment.pop("SPARK_HOME", None)
    return subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "spark-submit"), "--master", "local-cluster[2,1,1024]", os.path.join(root, "examples/spark/answer.py"), questions, answers, "--partitions", "4", "--"] + command,
        env=environment, capture_output=True, text=True)


def records(text):
    return {record["id"]: {key: value for key, value in record.items() if key != "line"} for record in map(json.loads, text.splitlines())}


def main():
    with tempfile.TemporaryDirectory() as folder:
        questions = os.path.join(folder, "questions.jsonl")
        with open(questions, "w") as file:
            for index in range(40):
                body = {"id": index, "prompt": f"What is {index} and 1? Grüße, 東京"}
                if index % 10 == 7:
                    body = {"custom_id": index, "url": "/v1/embeddings", "body": {}}
                file.write(json.dumps(body, ensure_ascii=False) + "\n")

        with open(questions) as file:
            alone = subprocess.run(command, stdin=file, capture_output=True, text=True)
        assert alone.returncode == 2, alone.stderr
        expected = records(alone.stdout)
        assert len(expected) == 40 and sum("error" in record for record in expected.values()) == 4

        answers = os.path.join(folder, "answers")
        done = submit(questions, answers, command)
        assert done.returncode == 0, done.stderr[-4000:]
        parts = sorted(glob.glob(os.path.join(answers, "part-*")))
        found = records("".join(open(part).read() for part in parts))
        assert found == expected, "the cluster's records differ from those of one process"

        # A program that cannot run is no answer.
        broken = submit(questions, os.path.join(folder, "none"), [program, "batch", "/nowhere"])
        assert broken.returncode != 0, "a model that is not there went unnoticed"
        print(f"40 lines in {len(parts)} partitions on two workers: the same records as from one process, 4 failures among them")


main()
