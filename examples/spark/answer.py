"""Answers lines of JSON with gemma3n on the machines of a Spark cluster.

    spark-submit answer.py QUESTIONS ANSWERS [--partitions N] -- gemma3n batch MODEL --max-tokens 100

QUESTIONS is what Spark reads as text (a file, a folder, hdfs://…), a request a line, each with an id; ANSWERS is the folder of records that it
writes. The program and the model lie at the same path on every machine. Every partition is one process.
"""

import argparse
import shlex
import sys

from pyspark.sql import SparkSession


def answered(lines, command):
    """The records of lines. Failed lines are records, too (exit code 2); a program that cannot run at all fails the task."""
    shell = shlex.join(command) + " || [ $? = 2 ]"
    return lines.pipe("sh -c " + shlex.quote(shell), checkCode=True)


def main(words):
    split = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(usage="answer.py QUESTIONS ANSWERS [--partitions N] -- gemma3n batch [MODEL] [options]")
    parser.add_argument("questions")
    parser.add_argument("answers")
    parser.add_argument("--partitions", type=int, default=None, help="processes, of which as many run at once as the cluster has places")
    arguments = parser.parse_args(words[:split])
    command = words[split + 1 :] or ["gemma3n", "batch"]

    spark = SparkSession.builder.appName("gemma3n").getOrCreate()
    lines = spark.sparkContext.textFile(arguments.questions)
    if arguments.partitions:
        lines = lines.repartition(arguments.partitions)
    answered(lines, command).saveAsTextFile(arguments.answers)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
