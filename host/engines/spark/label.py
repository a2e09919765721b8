#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Labels JSONL records in Spark: each partition's lines go through `wader label`, which writes a
row for each, in their order.

    spark-submit label.py --wader /opt/wader/bin/wader --model /models/titles IN... OUT

Program and model must be under these paths on every node. OUT is a directory that is not there yet,
of gzipped JSONL parts. What Spark commits is whole: a task whose wader failed, or was killed, is
tried again elsewhere, with the same bytes. There are none of wader's own commit records.
"""
import argparse
import shlex

from pyspark.sql import SparkSession


def label(lines, command, env):
    """The rows of an RDD of lines. Without checkCode a wader that failed would go unnoticed: the
    rows that it had written would stand for all of them. `env` is all of the environment that it
    gets."""
    return lines.pipe(" ".join(map(shlex.quote, command)), env=env, checkCode=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wader", default="wader", help="the program, on every node")
    parser.add_argument("--model", required=True, help="the model directory, on every node")
    parser.add_argument("--partitions", type=int, default=0,
                        help="spread lines over so many first; as many as files if not given")
    parser.add_argument("--threads", type=int, default=1, help="a task; spark.task.cpus of them")
    parser.add_argument("--option", action="append", default=[], metavar="--NAME=VALUE",
                        help="more of wader label; several times")
    parser.add_argument("inputs", nargs="+", metavar="IN")
    parser.add_argument("output", metavar="OUT")
    args = parser.parse_args()
    spark = SparkSession.builder.appName("wader label").getOrCreate()
    lines = spark.sparkContext.textFile(",".join(args.inputs))
    if args.partitions:
        lines = lines.repartition(args.partitions)  # in another order
    command = [args.wader, "label", "-q", "--model", args.model, "--input-format", "jsonl",
               "--threads", str(args.threads), *args.option]
    rows = label(lines, command, {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
    rows.saveAsTextFile(args.output, "org.apache.hadoop.io.compress.GzipCodec")
    spark.stop()


if __name__ == "__main__":
    main()
