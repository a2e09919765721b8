// SPDX-License-Identifier: Apache-2.0
//
// A manifest: the inputs of a catalog, one path a line, or each with a NUL behind it, as `find
// -print0` writes them. A NUL anywhere tells which, since no path holds one.
//
// In lines, a CR before the LF goes with it, blank lines are skipped, and so are those that begin
// with # (a file of such a name is ./#name); nothing else is special, so spaces are part of the
// path. A UTF-8 byte order mark at the very start is skipped.
#ifndef WADER_HOST_JOB_MANIFEST_H
#define WADER_HOST_JOB_MANIFEST_H

#include "host/base/base.h"

enum { MANIFEST_NBYTES_MAX = 256 * 1024 * 1024 };

// Walks a manifest's paths in order. `text` must outlive it.
struct manifest_walk {
    struct span path;  // of the entry, part of the text
    size_t number;     // of its line, or of the NUL-ended entry, from 1
    bool is_nul;       // entries end in NUL, not in lines
    // private
    const char *at, *end;
    const char *name;  // of the manifest, for messages
};
struct manifest_walk manifest_walk(struct span text, const char *name);

// The next entry; *more is false where there is none. STATUS_INPUT, naming the entry, for one that
// is no path: an empty one between NULs, one that is longer than a path may be.
enum status manifest_next(struct manifest_walk *walk, bool *more, struct error *error);

#endif
