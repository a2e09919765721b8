// SPDX-License-Identifier: Apache-2.0
//
// What the words of a command line mean as inputs, in their order:
//   -          stdin
//   @FILE      the manifest FILE (host/job/manifest.h), plain or gzip, @- for one on stdin; its
//              paths are relative to its own directory, those of @- to the working directory
//   DIR        its regular files with a catalog's name, not those of directories in it, by name
//   PATTERN    with *, ? or [, where no file has that very name: the files that it matches, by
//              name, but for hidden ones, directories and what wader itself wrote
//   else       a file, whether it is there or not
// Names are sorted by their bytes: the order is the same everywhere.
#ifndef WADER_HOST_JOB_INPUTS_H
#define WADER_HOST_JOB_INPUTS_H

#include "host/base/base.h"

enum { INPUTS_MAX = 10000000 };

struct inputs {
    char **paths;  // [n]
    size_t n, cap;
    bool is_list;  // a directory, a pattern or a manifest was among the words
};

// `*inputs` may hold some already. With `must_exist`, a path in a manifest that is no file is
// refused, named with its line. STATUS_INPUT for that, for a directory or pattern without any
// input, and for what cannot be read; STATUS_IO without memory.
enum status inputs_add(struct inputs *inputs, const char *word, bool must_exist,
                       struct error *error);
void inputs_free(struct inputs *inputs);

// Takes .gz and the kind (.jsonl, .tsv, .txt) off the end of a catalog's name, where they are
// there.
void inputs_cut_kind(struct span *name);

// The suffixes of what wader writes beside a catalog: rows of labels, and their records.
bool inputs_is_own_output(const char *name);

bool is_directory(const char *path);

#endif
