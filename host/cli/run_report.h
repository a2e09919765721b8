// SPDX-License-Identifier: Apache-2.0
//
// The file of --report: one JSON object that tells all of a run. Keys are stable, others may come;
// what is not known (yet) is null.
//   wader_report   1, the schema
//   state          "running", "done" (exit code 0), "stopped" (75: run it again), "failed"
//   command, exit_code, error: null, or message, file, record (from 1), byte (in the plain input),
//                  compressed_byte, of those that are known
//   started, written (RFC 3339, UTC), seconds
//   wader          version, commit (of the sources; "-dirty": changed since), compiler, libraries
//   machine        host, pid, cpu, flags, kernels, system, processors, memory_nbytes
//   device         device, precision, hardware, workers, threads, batch_tokens, max_length
//   model          directory, weights, labels (names), labels_from, sha256 (that of commit records,
//                  over files and labels), files: of each name, nbytes, sha256
//   tokenizer      sha256 and files likewise
//   options        of each by its long name: value, from ("flag", "environment", "file", "default")
//   arguments      the INPUTs as they were given
//   rows           in, out, labelled, truncated, abstained, ill_formed_utf8, bad, bad_by_kind;
//                  they are all that this run worked on, committed or not, without what an earlier
//                  one had done
//   tokens, unknown_tokens ([UNK] among them)
//   encoded, identical   titles that went through the model; that took an identical one's logits
//   previous       of --previous: rows it has, reused, changed (the id with another title), new,
//                  removed (ids; null where this run does not see all inputs)
//   stages         read_seconds, tokenize_seconds, encode_seconds, write_seconds: over all threads
//   titles_per_s   rows that went through the model, by all of the run's time
//   outputs        how many: planned, done, already_done, stopped, failed, not_begun
//   files          of each: input, output (null: stdout), state, exit_code, error, and record: the
//                  commit record as it stands beside the output; for stdout stream: input_nbytes,
//                  input_sha256, output_nbytes, output_sha256
#ifndef WADER_HOST_CLI_RUN_REPORT_H
#define WADER_HOST_CLI_RUN_REPORT_H

#include "host/cli/observe.h"

// With what the file begins, and no other file does.
#define RUN_REPORT_OPENING "{\n  \"wader_report\": 1,\n"

// Writes it in the place of what was there; STATUS_IO.
enum status run_report_write(struct job *job, const struct observed_end *end, struct error *error);

#endif
